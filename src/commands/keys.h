// What keys.cc shares with the other families of keyspace commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Reads args[i] as the number of one of SELECT's databases. False, with the error replied, when it
// is none; what isn't a number of 32 bits is answered with `error`, or Redis's texts when that is
// empty.
[[nodiscard]] bool ParseDatabase(engine::ExecContext& ctx, size_t i, std::string_view error,
                                 uint32_t* db);

}  // namespace holdfast::commands
