// What this server calls itself.
#pragma once

#include <string_view>

namespace holdfast::engine {

inline constexpr std::string_view kVersion = "0.1.0";

// The Redis whose commands, replies and error texts are followed; clients choose features by it.
inline constexpr std::string_view kRedisVersion = "7.2.4";

}  // namespace holdfast::engine
