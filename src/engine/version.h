// What this server calls itself.
#pragma once

#include <string_view>

namespace holdfast::engine {

inline constexpr std::string_view kVersion = "0.1.0";

// The Redis that clients take this server for: they choose features by it. Commands, replies and
// error texts are those of 7.0; the caches of redis-py and Jedis want 7.4 (tracking.h).
inline constexpr std::string_view kRedisVersion = "7.4.0";

}  // namespace holdfast::engine
