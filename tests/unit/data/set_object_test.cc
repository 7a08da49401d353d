#include "data/set_object.h"

#include <set>
#include <string>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

std::set<std::string> Members(const SetObject& set) {
  std::set<std::string> members;
  set.ForEach([&members](std::string_view member, std::string_view value) {
    REQUIRE(value.empty());
    REQUIRE(members.emplace(member).second);
  });
  return members;
}

TEST_CASE("a set behaves like a set, of integers and of anything") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    EncodingLimits limits;
    limits.set_integers = 16;
    SetObject set({seed, &limits});
    std::set<std::string> model;
    bool table = false;
    for (int step = 0; step < 3000; ++step) {
      std::string member = std::to_string(static_cast<int64_t>(rng.Below(10 * seed)) - 20);
      // What looks like an integer and isn't its usual form, is no integer.
      if (rng.Chance(1, 300)) member = rng.Chance(1, 2) ? "0" + member : "text";
      if (rng.Chance(1, 100))
        member = rng.Chance(1, 2) ? "9223372036854775807" : "-9223372036854775808";
      if (rng.Chance(2, 5)) {
        REQUIRE(set.Delete(member) == (model.erase(member) == 1));
      } else {
        set.Put(member, {});
        model.insert(member);
        table |= model.size() > 16 || member[0] == 't' || (member[0] == '0' && member.size() > 1);
      }
      REQUIRE(set.size() == model.size());
      REQUIRE(set.encoding() == (table ? "hashtable" : "intset"));
      REQUIRE(set.Contains(member) == model.contains(member));
      if (step % 100 == 0) REQUIRE(Members(set) == model);
    }
    REQUIRE(Members(set) == model);
    uint64_t count;
    REQUIRE(DecodeCount(set.Head(), &count));
    REQUIRE(count == model.size());
  }
}

TEST_CASE("every member is chosen at random, and found by a scan") {
  for (const int members : {1, 300, 700}) {
    CAPTURE(members);
    SetObject set({3, nullptr});
    for (int i = 0; i < members; ++i) set.Put(std::to_string(i), {});
    Rng rng(4);
    std::set<std::string> seen;
    for (int i = 0; i < members * 30; ++i) seen.insert(set.Random(&rng));
    CHECK(seen.size() == static_cast<size_t>(members));
    seen.clear();
    uint64_t cursor = 0;
    do {
      cursor = set.Scan(cursor, 10, [&seen](std::string_view member) { seen.emplace(member); });
    } while (cursor != 0);
    CHECK(seen.size() == static_cast<size_t>(members));
  }
}

TEST_CASE("integers take two, four or eight bytes each, and give them back") {
  SetObject set({3, nullptr});
  const size_t empty = set.MemoryBytes();
  for (int i = 0; i < 512; ++i) set.Put(std::to_string(i), {});
  CHECK(set.MemoryBytes() == empty + 512 * 2);
  for (const int64_t large : {int64_t{1} << 15, int64_t{1} << 31}) {
    REQUIRE(set.Delete("511"));
    set.Put(std::to_string(large), {});
    CHECK(set.MemoryBytes() == empty + 512 * (large == int64_t{1} << 15 ? 4 : 8));
    for (int i = 0; i < 511; ++i) REQUIRE(set.Contains(std::to_string(i)));
    REQUIRE(set.Contains(std::to_string(large)));
    REQUIRE(set.Delete(std::to_string(large)));
    set.Put("511", {});
  }
  for (int i = 0; i < 512; ++i) REQUIRE(set.Delete(std::to_string(i)));
  CHECK(set.MemoryBytes() <= empty + 64);
}

}  // namespace
}  // namespace holdfast::data
