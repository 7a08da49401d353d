#include "engine/evictor.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE(
    "another core may help until it says that it has nothing, and again when it has more keys") {
  EvictionHelper helper;
  CHECK(helper.MayHelp(0));
  CHECK(!helper.asked());
  helper.Ask();
  CHECK(helper.asked());
  CHECK(helper.MayHelp(1000));
  helper.Answered(/*exhausted=*/false, 1000);
  CHECK(!helper.asked());
  CHECK(helper.MayHelp(1000));
  helper.Ask();
  helper.Answered(/*exhausted=*/true, 1000);
  CHECK(!helper.MayHelp(1000));
  CHECK(!helper.MayHelp(500));
  CHECK(helper.MayHelp(1001));
  // The answer may come out otherwise under another policy.
  helper.Forget();
  CHECK(helper.MayHelp(1000));
}

}  // namespace
}  // namespace holdfast::engine
