#include "engine/rates.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("the rate is the mean of the last intervals") {
  RateMeter meter;
  CHECK(meter.PerSecond().commands == 0);
  uint64_t commands = 1000;
  meter.Sample(1000, {commands, 0, 0});
  CHECK(meter.PerSecond().commands == 0);  // nothing to compare with yet
  for (size_t i = 1; i <= RateMeter::kSamples; ++i) {
    commands += 50;
    meter.Sample(1000 + static_cast<int64_t>(i) * 100, {commands, 2 * commands, 3 * commands});
  }
  CHECK(meter.PerSecond().commands == 500);
  // Calls that come too early don't count.
  meter.Sample(1000 + 1600 + 50, {commands + 1000, 0, 0});
  CHECK(meter.PerSecond().commands == 500);
  // Silence brings it down to nothing.
  for (size_t i = 1; i <= RateMeter::kSamples; ++i) {
    meter.Sample(2600 + static_cast<int64_t>(i) * 200, {commands, 2 * commands, 3 * commands});
  }
  CHECK(meter.PerSecond().commands == 0);
}

TEST_CASE("counters that were reset give no rate") {
  RateMeter meter;
  meter.Sample(1000, {500, 500, 500});
  meter.Sample(1100, {10, 10, 10});
  CHECK(meter.PerSecond().commands == 0);
  meter.Sample(1200, {26, 10, 10});
  CHECK(meter.PerSecond().commands == 16 * 10 / RateMeter::kSamples);
  CHECK(meter.PerSecond().input_bytes == 0);
}

}  // namespace
}  // namespace holdfast::engine
