#include "base/rng.h"

#include <array>
#include <set>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

TEST_CASE("SplitMix64's known answers") {
  Rng rng(1234567);
  CHECK(rng.Next() == 6457827717110365317ULL);
  CHECK(rng.Next() == 3203168211198807973ULL);
  CHECK(rng.Next() == 9817491932198370423ULL);
}

TEST_CASE("the same seed gives the same numbers, another one others") {
  Rng a(9);
  Rng b(9);
  Rng c(10);
  int same_as_c = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t n = a.Next();
    REQUIRE(n == b.Next());
    same_as_c += n == c.Next() ? 1 : 0;
  }
  CHECK(same_as_c == 0);
}

TEST_CASE("Below stays below, reaches every number and favours none") {
  Rng rng(7);
  CHECK(rng.Below(1) == 0);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t n = rng.Below(counts.size());
    REQUIRE(n < counts.size());
    ++counts[n];
  }
  // 10,000 expected each; the standard deviation is 95.
  for (const int count : counts) {
    CHECK(count > 9400);
    CHECK(count < 10600);
  }
  for (int i = 0; i < 1000; ++i) CHECK(rng.Below(UINT64_MAX) < UINT64_MAX);
}

TEST_CASE("Chance") {
  Rng rng(8);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    hits += rng.Chance(1, 4) ? 1 : 0;
    REQUIRE_FALSE(rng.Chance(0, 5));
    REQUIRE(rng.Chance(5, 5));
  }
  CHECK(hits > 24'000);
  CHECK(hits < 26'000);
}

TEST_CASE("seeds from the operating system differ") {
  std::set<uint64_t> seeds;
  for (int i = 0; i < 100; ++i) seeds.insert(RandomSeed());
  CHECK(seeds.size() == 100);
}

}  // namespace
}  // namespace holdfast
