#include "engine/shrink_gauge.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;

TEST_CASE("P35 a partition that shrank to less than half is due, once") {
  ShrinkGauge gauge;
  gauge.Opened(0);
  gauge.Written(100 * kMib, 100 * kMib);
  CHECK(!gauge.Due(100 * kMib));
  CHECK(!gauge.Due(51 * kMib));
  CHECK(gauge.Due(50 * kMib));
  CHECK(gauge.Due(0));
  gauge.PassBegins(40 * kMib);
  CHECK(!gauge.Due(40 * kMib));
  CHECK(!gauge.Due(21 * kMib));
  // What is deleted during the pass counts for the next one.
  CHECK(gauge.Due(20 * kMib));
  gauge.PassBegins(0);
  CHECK(!gauge.Due(0));
}

TEST_CASE("P35 garbage that a store brings along from before a restart counts") {
  ShrinkGauge gauge;
  gauge.Opened(60 * kMib);
  CHECK(gauge.Due(kMib));
  CHECK(!gauge.Due(31 * kMib));
  ShrinkGauge small;
  small.Opened(4 * kMib - 1);
  CHECK(!small.Due(0));
}

TEST_CASE("overwriting and replacing at a steady size is never due") {
  ShrinkGauge gauge;
  gauge.Opened(0);
  for (int i = 0; i < 1000; ++i) {
    gauge.Written(10 * kMib, 10 * kMib);
    CHECK(!gauge.Due(10 * kMib));
  }
  // It was due if it shrank.
  CHECK(gauge.Due(5 * kMib));
}

TEST_CASE("filling and emptying inside the write-behind is not due over and over") {
  ShrinkGauge gauge;
  gauge.Opened(0);
  int passes = 0;
  for (int i = 0; i < 1000; ++i) {
    gauge.Written(1000, 8 * kMib);  // of 8 MiB, only some deletions reach the store
    if (!gauge.Due(0)) continue;
    gauge.PassBegins(0);
    ++passes;
  }
  CHECK(passes == 0);
}

}  // namespace
}  // namespace holdfast::engine
