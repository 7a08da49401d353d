// What Object::accessed means: when a key was used last, or, with an LFU policy, how often.
//
//   LRU: units of 100 ms of the monotonic clock; it wraps after 13 years, and the distance to now
//        doesn't care.
//   LFU: minutes of the monotonic clock << 8 | a counter of 8 bits. Each use raises the counter by
//        one with a probability that falls as it grows (lfu-log-factor), and it loses one for each
//        lfu-decay-time that passes, as in Redis.
//
// After a change between the two kinds of policy what is there is read as the other kind; uses put
// it right again. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/rng.h"
#include "engine/config.h"

namespace holdfast::engine {

[[nodiscard]] inline bool IsLfu(MaxmemoryPolicy policy) {
  return policy == MaxmemoryPolicy::kAllkeysLfu || policy == MaxmemoryPolicy::kVolatileLfu;
}

[[nodiscard]] inline uint32_t LruClockAt(int64_t monotonic_ns) {
  return static_cast<uint32_t>(monotonic_ns / 100'000'000);
}

// Of a key that is new: it has to have a chance to be used before it is the first to go.
inline constexpr uint8_t kLfuInitial = 5;

[[nodiscard]] inline uint32_t LfuAccess(uint8_t counter, int64_t monotonic_ns) {
  return static_cast<uint32_t>(monotonic_ns / 60'000'000'000) << 8 | counter;
}

// The counter as of now.
[[nodiscard]] inline uint8_t LfuCounter(uint32_t accessed, int64_t monotonic_ns,
                                        const Config& config) {
  const uint32_t counter = accessed & 0xff;
  if (config.lfu_decay_time_min == 0) return static_cast<uint8_t>(counter);
  const uint32_t now = LfuAccess(0, monotonic_ns) >> 8;
  const uint32_t minutes = (now - (accessed >> 8)) & 0xffffff;
  const auto lost = static_cast<uint64_t>(minutes / config.lfu_decay_time_min);
  return static_cast<uint8_t>(counter - std::min<uint64_t>(counter, lost));
}

// `accessed` after one more use.
[[nodiscard]] inline uint32_t LfuTouched(uint32_t accessed, int64_t monotonic_ns,
                                         const Config& config, Rng* rng) {
  uint8_t counter = LfuCounter(accessed, monotonic_ns, config);
  const uint64_t above = counter > kLfuInitial ? counter - kLfuInitial : 0U;
  if (counter < 255 && rng->Chance(1, above * static_cast<uint64_t>(config.lfu_log_factor) + 1)) {
    ++counter;
  }
  return LfuAccess(counter, monotonic_ns);
}

}  // namespace holdfast::engine
