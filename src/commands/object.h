// When a key was last used, by the partition's access clock.
#pragma once

#include <cstdint>

#include "engine/context.h"

namespace holdfast::commands {

// Seconds since the key was read or written. REQUIRES: key.
int64_t IdleSeconds(engine::ExecContext& ctx, const engine::Key& key);
// Makes the key look unused for so long, at most since the machine started. REQUIRES: key.
void SetIdleSeconds(engine::ExecContext& ctx, const engine::Key& key, int64_t seconds);

}  // namespace holdfast::commands
