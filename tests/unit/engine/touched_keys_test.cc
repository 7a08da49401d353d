#include "engine/touched_keys.h"

#include <map>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("touched keys agree with a map, through rebuilds") {
  Rng rng(3);
  TouchedKeys keys;
  std::map<uint64_t, uint64_t> model;
  uint64_t index = 0;
  uint64_t commit = 0;
  for (int step = 0; step < 200'000; ++step) {
    if (rng.Chance(1, 3)) ++index;
    if (index == 0) continue;
    if (rng.Chance(1, 20)) commit += rng.Below(index - commit + 1);
    // A few hot keys, many cold ones, and hashes that share their low bits.
    const uint64_t hash = rng.Chance(1, 2) ? rng.Below(8) << 20 : rng.Below(5000);
    if (rng.Chance(1, 2) && index > commit) {
      keys.Touch(hash, index, commit);
      model[hash] = index;
    }
    const auto it = model.find(hash);
    const uint64_t expected = it != model.end() && it->second > commit ? it->second : 0;
    REQUIRE(keys.Find(hash, commit) == expected);
  }
}

TEST_CASE("nothing is found once everything is committed") {
  TouchedKeys keys;
  keys.Touch(1, 10, 0);
  CHECK(keys.Find(1, 9) == 10);
  CHECK(keys.Find(1, 10) == 0);
  CHECK(keys.Find(2, 0) == 0);
}

}  // namespace
}  // namespace holdfast::engine
