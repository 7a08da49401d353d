#include "base/clock.h"

#include <chrono>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

TEST_CASE("the system's clocks agree with the library's") {
  const Clock* clock = SystemClock();
  const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  const int64_t before = clock->WallMs();
  // A minute leaves room for a stalled machine and a stepped clock.
  CHECK(before >= wall - 60'000);
  CHECK(before <= wall + 60'000);
  const int64_t us = clock->WallUs();
  CHECK(us / 1000 >= before - 60'000);
  CHECK(us / 1000 <= before + 60'000);
}

TEST_CASE("the monotonic clock never goes back, and goes on") {
  const Clock* clock = SystemClock();
  const int64_t start = clock->MonotonicNs();
  int64_t last = start;
  for (int i = 0; i < 10'000'000 && last == start; ++i) {
    const int64_t now = clock->MonotonicNs();
    REQUIRE(now >= last);
    last = now;
  }
  CHECK(last > start);
  CHECK(clock->MonotonicMs() >= last / 1'000'000);
}

TEST_CASE("a manual clock moves only when told to") {
  ManualClock clock(1'700'000'000'123);
  CHECK(clock.WallMs() == 1'700'000'000'123);
  CHECK(clock.WallUs() == 1'700'000'000'123'000);
  const int64_t start = clock.MonotonicNs();
  CHECK(start > 0);
  CHECK(clock.MonotonicNs() == start);
  clock.AdvanceMs(250);
  CHECK(clock.WallMs() == 1'700'000'000'373);
  CHECK(clock.MonotonicNs() == start + 250'000'000);
  CHECK(clock.MonotonicMs() == (start + 250'000'000) / 1'000'000);
}

TEST_CASE("a jump of the wall clock leaves the monotonic one alone") {
  ManualClock clock(5000);
  const int64_t start = clock.MonotonicNs();
  clock.JumpWallMs(-3000);
  CHECK(clock.WallMs() == 2000);
  CHECK(clock.MonotonicNs() == start);
}

}  // namespace
}  // namespace holdfast
