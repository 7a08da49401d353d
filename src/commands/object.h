// What is known of a key besides its value.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Seconds since the key was read or written. REQUIRES: key.
int64_t IdleSeconds(engine::ExecContext& ctx, const engine::Key& key);
// OBJECT ENCODING's answer: the names that clients know from Redis, although a string is kept in
// one way only here.
std::string_view EncodingOf(const data::Object& object);
// Makes the key look unused for so long, at most since the machine started; not with an LFU policy.
// REQUIRES: key.
void SetIdleSeconds(engine::ExecContext& ctx, const engine::Key& key, int64_t seconds);
// Makes the key look as often used as this counter says, with an LFU policy. REQUIRES: key.
void SetFrequency(engine::ExecContext& ctx, const engine::Key& key, uint8_t frequency);

}  // namespace holdfast::commands
