// How much a core does a second, over the last seconds: INFO's instantaneous_… fields.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace holdfast::engine {

// Loop thread of the owning core only.
class RateMeter {
 public:
  struct Totals {
    uint64_t commands = 0;
    uint64_t input_bytes = 0;
    uint64_t output_bytes = 0;
  };

  // Takes the counters as of `now_ms` (monotonic); to be called about every kIntervalMs or more
  // often. Counters that have become smaller were reset: that interval is left out.
  void Sample(int64_t now_ms, const Totals& totals);

  // Each a second, the mean of the last kSamples intervals.
  Totals PerSecond() const;

  static constexpr int64_t kIntervalMs = 100;
  static constexpr size_t kSamples = 16;

 private:
  std::array<Totals, kSamples> samples_{};  // a second
  size_t next_ = 0;
  int64_t last_ms_ = 0;
  Totals last_;
};

}  // namespace holdfast::engine
