#include "base/hlc.h"

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

constexpr int64_t kSomeTimeMs = kRevisionEpochMs + 1'000'000;

TEST_CASE("a revision carries its wall-clock time") {
  ManualClock clock(kSomeTimeMs);
  HybridLogicalClock hlc(&clock);
  const uint64_t revision = hlc.Next();
  CHECK(revision == uint64_t{1'000'000} << kRevisionLogicalBits);
  CHECK(HybridLogicalClock::WallMsOf(revision) == kSomeTimeMs);
  CHECK(hlc.last() == revision);
}

TEST_CASE("revisions of one millisecond count up, and run ahead when it is used up") {
  ManualClock clock(kSomeTimeMs);
  HybridLogicalClock hlc(&clock);
  const uint64_t first = hlc.Next();
  for (uint64_t i = 1; i < 10'000; ++i) REQUIRE(hlc.Next() == first + i);
  CHECK(HybridLogicalClock::WallMsOf(hlc.last()) == kSomeTimeMs + 2);
  // The wall clock is behind now, and catches up.
  clock.AdvanceMs(1);
  CHECK(hlc.Next() == first + 10'000);
  clock.AdvanceMs(10);
  CHECK(HybridLogicalClock::WallMsOf(hlc.Next()) == kSomeTimeMs + 11);
}

TEST_CASE("a wall clock that goes back does not take revisions along") {
  ManualClock clock(kSomeTimeMs);
  HybridLogicalClock hlc(&clock);
  const uint64_t before = hlc.Next();
  clock.JumpWallMs(-500'000);
  CHECK(hlc.Next() == before + 1);
  clock.JumpWallMs(-kSomeTimeMs);  // before the revisions' epoch
  CHECK(hlc.Next() == before + 2);
}

TEST_CASE("a clock before the epoch still gives increasing revisions above 0") {
  ManualClock clock(0);
  HybridLogicalClock hlc(&clock);
  CHECK(hlc.Next() == 1);
  CHECK(hlc.Next() == 2);
}

TEST_CASE("an observed revision is never given again") {
  ManualClock clock(kSomeTimeMs);
  HybridLogicalClock hlc(&clock);
  const uint64_t ahead = hlc.Next() + 12'345'678;
  hlc.Observe(ahead);
  CHECK(hlc.last() == ahead);
  CHECK(hlc.Next() == ahead + 1);
  hlc.Observe(5);  // an old one changes nothing
  CHECK(hlc.Next() == ahead + 2);
}

TEST_CASE("strictly increasing whatever the wall clock and other nodes do") {
  ManualClock clock(kSomeTimeMs);
  HybridLogicalClock hlc(&clock);
  Rng rng(3);
  uint64_t last = 0;
  for (int i = 0; i < 100'000; ++i) {
    switch (rng.Below(4)) {
      case 0:
        clock.JumpWallMs(static_cast<int64_t>(rng.Below(2000)) - 1000);
        break;
      case 1: {
        const uint64_t seen = last + rng.Below(10'000);
        hlc.Observe(seen);
        last = seen > last ? seen : last;
        break;
      }
      default: {
        const uint64_t next = rng.Chance(1, 2) ? hlc.Next() : hlc.NextAt(clock.WallMs());
        REQUIRE(next > last);
        last = next;
      }
    }
  }
}

TEST_CASE("a double holds every revision until after 2090") {
  ManualClock clock(3'786'912'000'000);  // 2090-01-01T00:00:00Z
  HybridLogicalClock hlc(&clock);
  CHECK(hlc.Next() < uint64_t{1} << 53);
}

}  // namespace
}  // namespace holdfast
