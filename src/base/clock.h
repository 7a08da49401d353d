// Time comes through this interface, so that a simulation can own it.
#pragma once

#include <cstdint>

namespace holdfast {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since 1970-01-01 UTC. May jump; only for expiry times and revisions.
  virtual int64_t WallMs() const = 0;
  // Microseconds since 1970-01-01 UTC.
  virtual int64_t WallUs() const = 0;
  // Nanoseconds of CLOCK_MONOTONIC. Never goes back; for leases, timeouts and durations.
  virtual int64_t MonotonicNs() const = 0;

  int64_t MonotonicMs() const { return MonotonicNs() / 1'000'000; }
};

// The machine's clocks. Any thread.
Clock* SystemClock();

// A clock that moves when told to. One thread.
class ManualClock : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms) : wall_us_(wall_ms * 1000) {}
  int64_t WallMs() const override { return wall_us_ / 1000; }
  int64_t WallUs() const override { return wall_us_; }
  int64_t MonotonicNs() const override { return monotonic_ns_; }
  void AdvanceMs(int64_t ms) {
    wall_us_ += ms * 1000;
    monotonic_ns_ += ms * 1'000'000;
  }
  void JumpWallMs(int64_t ms) { wall_us_ += ms * 1000; }

 private:
  int64_t wall_us_;
  int64_t monotonic_ns_ = 1'000'000'000;
};

}  // namespace holdfast
