#include "engine/stats.h"

#include <algorithm>
#include <vector>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("percentiles are right within a bucket") {
  Rng rng(5);
  LatencyHistogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = rng.Below(1ULL << (1 + rng.Below(40)));
    histogram.Add(value);
    values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percentile : {1.0, 50.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(percentile / 100.0 * static_cast<double>(values.size()));
    const auto exact = static_cast<double>(values[std::max<size_t>(rank, 1) - 1]);
    const auto told = static_cast<double>(histogram.Percentile(percentile));
    CHECK(told >= exact);
    CHECK(told <= exact * 1.07 + 1);
  }
  CHECK(histogram.CountUpTo(UINT64_MAX) == values.size());
}

TEST_CASE("error replies are counted by prefix, a bounded number of them") {
  CoreStats stats;
  stats.CountError("ERR something");
  stats.CountError("ERR else");
  stats.CountError("WRONGTYPE");
  CHECK(stats.errors["ERR"] == 2);
  CHECK(stats.errors["WRONGTYPE"] == 1);
  for (int i = 0; i < 1000; ++i) stats.CountError("E" + std::to_string(i));
  CHECK(stats.errors.size() <= 128);
}

}  // namespace
}  // namespace holdfast::engine
