// Hybrid logical clock: the source of revisions (Kulkarni et al., "Logical Physical Clocks", §3).
//
// A revision is (milliseconds since 2025-01-01 UTC) << 12 | logical counter. It is strictly
// increasing, stays close to wall-clock time, and stays below 2^53 until after 2090, so that a
// double holds it exactly.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace holdfast {

inline constexpr int64_t kRevisionEpochMs = 1'735'689'600'000;  // 2025-01-01T00:00:00Z
inline constexpr int kRevisionLogicalBits = 12;

class HybridLogicalClock {
 public:
  explicit HybridLogicalClock(const Clock* clock) : clock_(clock) {}

  // The next revision: larger than every one returned or observed before. When the counter of a
  // millisecond is used up, or the wall clock went back, it runs ahead of the wall clock.
  uint64_t Next() { return NextAt(clock_->WallMs()); }
  // As Next(), with a wall-clock reading that the caller took already.
  uint64_t NextAt(int64_t wall_ms) {
    const int64_t since = wall_ms - kRevisionEpochMs;
    const uint64_t physical = since > 0 ? static_cast<uint64_t>(since) << kRevisionLogicalBits : 0;
    last_ = physical > last_ ? physical : last_ + 1;
    return last_;
  }

  // Merges a revision seen elsewhere (another node, the log, the disk).
  void Observe(uint64_t revision) {
    if (revision > last_) last_ = revision;
  }

  // The largest revision returned or observed so far.
  uint64_t last() const { return last_; }

  // The wall-clock milliseconds (since 1970) that a revision carries.
  static int64_t WallMsOf(uint64_t revision) {
    return static_cast<int64_t>(revision >> kRevisionLogicalBits) + kRevisionEpochMs;
  }

 private:
  const Clock* clock_;
  uint64_t last_ = 0;
};

}  // namespace holdfast
