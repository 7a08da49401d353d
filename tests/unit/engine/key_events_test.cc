#include "engine/key_events.h"

#include <string>

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("the letters of events are read in any order and written in Redis's") {
  struct Case {
    std::string_view given;
    std::string_view shown;
  };
  for (const Case& each :
       {Case{"", ""}, Case{"xE", "xE"}, Case{"AKE", "AKE"}, Case{"KEA", "AKE"},
        Case{"g$lshzxetdKE", "AKE"}, Case{"Knm", "nKm"}, Case{"AKEmn", "AnKEm"}, Case{"KK", "K"}}) {
    CAPTURE(each.given);
    uint32_t classes = 0;
    REQUIRE(ParseKeyEvents(each.given, &classes));
    CHECK(FormatKeyEvents(classes) == each.shown);
  }
}

TEST_CASE("a letter that is no class changes nothing") {
  uint32_t classes = kAllEvents;
  for (const std::string_view bad : {"q", "AKEq", " ", "k"}) {
    CHECK_FALSE(ParseKeyEvents(bad, &classes));
    CHECK(classes == kAllEvents);
  }
}

TEST_CASE("A leaves out what comes with every read") {
  uint32_t classes = 0;
  REQUIRE(ParseKeyEvents("A", &classes));
  CHECK((classes & (kKeyMissEvents | kNewKeyEvents | kEventsOfKeys | kEventsByName)) == 0);
}

}  // namespace
}  // namespace holdfast::engine
