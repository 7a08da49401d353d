#include "engine/access.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

constexpr int64_t kMinuteNs = 60'000'000'000;

TEST_CASE("a counter of uses sinks with time") {
  Config config;
  REQUIRE(config.lfu_decay_time_min == 1);
  const int64_t now = 1000 * kMinuteNs;
  const uint32_t accessed = LfuAccess(100, now);
  CHECK(LfuCounter(accessed, now, config) == 100);
  CHECK(LfuCounter(accessed, now + kMinuteNs - 1, config) == 100);
  CHECK(LfuCounter(accessed, now + kMinuteNs, config) == 99);
  CHECK(LfuCounter(accessed, now + 30 * kMinuteNs, config) == 70);
  CHECK(LfuCounter(accessed, now + 101 * kMinuteNs, config) == 0);
  config.lfu_decay_time_min = 10;
  CHECK(LfuCounter(accessed, now + 30 * kMinuteNs, config) == 97);
  config.lfu_decay_time_min = 0;
  CHECK(LfuCounter(accessed, now + 3000 * kMinuteNs, config) == 100);
}

TEST_CASE("minutes wrap") {
  const Config config;
  const int64_t last = int64_t{0xffffff} * kMinuteNs;
  CHECK(LfuCounter(LfuAccess(50, last), last + 3 * kMinuteNs, config) == 47);
}

TEST_CASE("uses raise the counter, the less the higher it is") {
  Config config;
  Rng rng(1);
  const int64_t now = kMinuteNs;
  // A few uses of a new key are all counted.
  uint32_t accessed = LfuAccess(0, now);
  for (int i = 1; i <= kLfuInitial + 1; ++i) {
    accessed = LfuTouched(accessed, now, config, &rng);
    CHECK(LfuCounter(accessed, now, config) == i);
  }
  // The chance at counter c is 1 / ((c - 5) * 10 + 1): c grows as the root of the uses, roughly.
  const auto after = [&](int uses) {
    uint32_t value = LfuAccess(kLfuInitial, now);
    for (int i = 0; i < uses; ++i) value = LfuTouched(value, now, config, &rng);
    return static_cast<int>(LfuCounter(value, now, config));
  };
  const int hundred = after(100);
  const int many = after(100'000);
  CHECK(hundred > 7);
  CHECK(hundred < 15);
  CHECK(many > 110);
  CHECK(many < 180);
  CHECK(after(5'000'000) == 255);
  config.lfu_log_factor = 0;
  CHECK(after(100) == 105);
}

}  // namespace
}  // namespace holdfast::engine
