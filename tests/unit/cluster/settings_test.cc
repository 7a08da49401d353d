#include "cluster/settings.h"

#include <string>

#include <doctest/doctest.h>

#include "engine/config.h"

namespace holdfast::cluster {
namespace {

TEST_CASE("a setting's record comes back as it was, and nothing else is taken for one") {
  for (const std::string_view value : {"", "0", "normal 0 0 0 slave 1 2 3", " x "}) {
    CAPTURE(value);
    const std::string record = EncodeSetting(value);
    std::string_view back;
    REQUIRE(DecodeSetting(record, &back).ok());
    CHECK(back == value);
  }
  std::string_view back = "unchanged";
  CHECK(DecodeSetting("", &back).code() == Code::kCorruption);
  CHECK(DecodeSetting("1", &back).code() == Code::kCorruption);
  CHECK(DecodeSetting("2 x", &back).code() == Code::kUnsupported);
  CHECK(back == "unchanged");
  CHECK(SettingKey("maxmemory") == "setting/maxmemory");
}

TEST_CASE("what nodes share can be changed while they run, is no secret and no listener") {
  for (const engine::Option& option : engine::Options()) {
    if ((option.flags & engine::kShared) == 0) continue;
    CAPTURE(option.name);
    CHECK((option.flags & engine::kRuntime) != 0);
    CHECK((option.flags & (engine::kSecret | engine::kListener | engine::kRedisOnly)) == 0);
    // The record holds what CONFIG GET shows: it has to be readable again.
    engine::Config config;
    const std::string shown = engine::GetOption(config, option);
    REQUIRE(engine::SetOption(&config, option, shown).ok());
    CHECK(engine::GetOption(config, option) == shown);
  }
}

}  // namespace
}  // namespace holdfast::cluster
