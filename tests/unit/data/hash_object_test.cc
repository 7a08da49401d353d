#include "data/hash_object.h"

#include <map>
#include <set>
#include <string>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

using Model = std::map<std::string, std::string>;

Model Contents(const HashObject& hash) {
  Model contents;
  hash.ForEach([&contents](std::string_view field, std::string_view value) {
    REQUIRE(contents.emplace(field, value).second);
  });
  return contents;
}

TEST_CASE("a hash behaves like a map, small and large, however it got there") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    EncodingLimits limits;
    limits.hash_entries = 20;
    limits.hash_bytes = 16;
    HashObject hash({seed, &limits});
    Model model;
    bool large = false;
    for (int step = 0; step < 3000; ++step) {
      const std::string field =
          rng.Chance(1, 100) ? std::string() : "f" + std::to_string(rng.Below(40 * seed));
      if (rng.Chance(2, 5)) {
        REQUIRE(hash.Delete(field) == (model.erase(field) == 1));
      } else {
        const std::string value(rng.Below(rng.Chance(1, 200) ? 200 : 12), 'v');
        hash.Put(field, value);
        model[field] = value;
        large |= model.size() > 20 || value.size() > 16;
      }
      REQUIRE(hash.size() == model.size());
      REQUIRE(hash.encoding() == (large ? "hashtable" : "listpack"));
      const auto found = hash.Find(field);
      REQUIRE(found.has_value() == model.contains(field));
      if (found.has_value()) REQUIRE(*found == model[field]);
      if (step % 100 == 0) REQUIRE(Contents(hash) == model);
    }
    REQUIRE(Contents(hash) == model);
    uint64_t size;
    REQUIRE(DecodeCount(hash.Head(), &size));
    REQUIRE(size == model.size());
    while (!model.empty()) {
      REQUIRE(hash.Delete(model.begin()->first));
      model.erase(model.begin());
    }
    REQUIRE(hash.size() == 0);
  }
}

TEST_CASE("a scan of a large hash returns what is there all along, while it grows and shrinks") {
  HashObject hash({77, nullptr});
  for (int i = 0; i < 5000; ++i) hash.Put("stays:" + std::to_string(i), "v");
  Rng rng(3);
  std::set<std::string> seen;
  uint64_t cursor = 0;
  int n = 0;
  do {
    cursor = hash.Scan(cursor, 10,
                       [&seen](std::string_view field, std::string_view) { seen.emplace(field); });
    for (int i = 0; i < 20; ++i) hash.Put("comes:" + std::to_string(n++), "v");
    for (int i = 0; i < 19; ++i) hash.Delete("comes:" + std::to_string(rng.Below(n)));
  } while (cursor != 0);
  for (int i = 0; i < 5000; ++i) REQUIRE(seen.contains("stays:" + std::to_string(i)));
}

TEST_CASE("the memory of a hash is what the allocator gave") {
  HashObject hash({1, nullptr});
  const size_t empty = hash.MemoryBytes();
  for (int i = 0; i < 2000; ++i) hash.Put("field:" + std::to_string(i), std::string(100, 'v'));
  CHECK(hash.MemoryBytes() > empty + 2000 * 110);
  CHECK(hash.MemoryBytes() < empty + 2000 * 200);
  for (int i = 0; i < 2000; ++i) REQUIRE(hash.Delete("field:" + std::to_string(i)));
  CHECK(hash.MemoryBytes() < empty + 1000);
}

TEST_CASE("every field is chosen at random, small and large") {
  for (const int fields : {1, 7, 600}) {
    CAPTURE(fields);
    HashObject hash({9, nullptr});
    for (int i = 0; i < fields; ++i) hash.Put(std::to_string(i), "v");
    Rng rng(4);
    std::set<std::string> seen;
    for (int i = 0; i < fields * 30; ++i) seen.emplace(hash.Random(&rng).first);
    CHECK(seen.size() == static_cast<size_t>(fields));
  }
}

TEST_CASE("a damaged head is found out") {
  uint64_t size;
  CHECK(DecodeCount(EncodeCount(300), &size));
  CHECK(size == 300);
  CHECK(!DecodeCount("", &size));
  CHECK(!DecodeCount("\xff", &size));
  CHECK(!DecodeCount("\x01\x01", &size));
}

}  // namespace
}  // namespace holdfast::data
