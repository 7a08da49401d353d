// What keys.cc shares with the other families of keyspace commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Reads args[i] as the number of a database, in two steps since SWAPDB looks at both its numbers
// before it judges one. False, with the error replied, when it isn't a number of 32 bits: `error`,
// or Redis's texts when that is empty.
[[nodiscard]] bool ParseDatabaseNumber(engine::ExecContext& ctx, size_t i, std::string_view error,
                                       int64_t* number);
// False, with the error replied, when SELECT knows no such database.
[[nodiscard]] bool CheckDatabase(engine::ExecContext& ctx, int64_t number, uint32_t* db);

}  // namespace holdfast::commands
