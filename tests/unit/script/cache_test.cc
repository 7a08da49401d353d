#include "script/cache.h"

#include <doctest/doctest.h>

#include <string>

#include "base/sha1.h"

namespace holdfast::script {
namespace {

TEST_CASE("scripts that were used longest ago go first") {
  ScriptCache cache;
  const std::string filler(10'000, ' ');
  constexpr uint64_t kMax = 100'000;
  for (int i = 0; i < 100; ++i) {
    const std::string body = "return " + std::to_string(i) + filler;
    cache.Add(Sha1Hex(body), body, Shebang(), i, kMax);
    CHECK(cache.bytes() <= kMax);
    // The first one is used all the time.
    const std::string first = "return 0" + filler;
    REQUIRE(cache.Find(Sha1Hex(first)) != nullptr);
    cache.Find(Sha1Hex(first))->used_ms = i;
  }
  CHECK(cache.scripts() >= 7);
  CHECK(cache.evicted() + cache.scripts() == 100);
  CHECK(cache.Find(Sha1Hex("return 1" + filler)) == nullptr);
  CHECK(cache.Find(Sha1Hex("return 99" + filler)) != nullptr);
}

TEST_CASE("a flush drops all") {
  ScriptCache cache;
  const auto script = cache.Add(Sha1Hex("return 1"), "return 1", Shebang(), 0, 1 << 20);
  const uint64_t generation = cache.generation();
  CHECK(cache.Add(Sha1Hex("return 1"), "return 1", Shebang(), 0, 1 << 20) == script);
  cache.Flush();
  CHECK(script->dropped);
  CHECK(cache.generation() != generation);
  CHECK(cache.scripts() == 0);
  CHECK(cache.bytes() == 0);
  CHECK(cache.Find(Sha1Hex("return 1")) == nullptr);
}

}  // namespace
}  // namespace holdfast::script
