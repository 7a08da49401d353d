#include "data/object.h"

#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

using Owned = std::unique_ptr<Object, void (*)(Object*)>;

Owned Make(std::string_view key, std::string_view value, uint64_t fence = 0, size_t capacity = 0) {
  Meta meta;
  meta.version = 3;
  meta.revision = 100;
  meta.created = 70;
  meta.fence = fence;
  return {Object::Create(key, meta, value, capacity), Object::Free};
}

TEST_CASE("an object keeps key, value and meta at every size around the limits") {
  std::vector<size_t> sizes = {0, 1, 7, 8, 15, 16, 63, 64, 65, 100};
  for (size_t d = 0; d < 6; ++d) sizes.push_back(Object::kInlineLimit - 3 + d);
  sizes.push_back(100'000);
  for (const size_t key_size : {0, 1, 5, 16, 40, 1000, 70'000}) {
    for (const size_t value_size : sizes) {
      for (const uint64_t fence : {uint64_t{0}, uint64_t{99}}) {
        CAPTURE(key_size);
        CAPTURE(value_size);
        CAPTURE(fence);
        const std::string key(key_size, 'k');
        const std::string value(value_size, 'v');
        const Owned object = Make(key, value, fence);
        CHECK(object->key() == key);
        CHECK(object->value() == value);
        CHECK(object->value_size() == value_size);
        CHECK(object->fence() == fence);
        CHECK(object->type() == ObjectType::kString);
        CHECK(object->revision() == 100);
        CHECK(object->created() == 70);
        CHECK(object->version() == 3);
        CHECK(!object->raw());
        CHECK(object->heap_position == kNotInHeap);
        CHECK(object->MemoryBytes() >= sizeof(Object) + key_size + value_size);
        CHECK(object->MemoryBytes() <=
              sizeof(Object) + key_size + value_size + 40 + (key_size + value_size) / 4);
        CHECK(object->CanHoldValue(value_size));
      }
    }
  }
}

TEST_CASE("empty views without a pointer are values like any other") {
  const Owned object = Make(std::string_view(), std::string_view());
  CHECK(object->key().empty());
  CHECK(object->value().empty());
  object->SetValue(std::string_view());
  object->Patch(0, std::string_view(), 0);
  const Owned roomy = Make("k", std::string_view(), 0, 5000);
  CHECK(roomy->value().empty());
  CHECK(roomy->CanHoldValue(5000));
}

TEST_CASE("a fence needs room, and stays readable as 0 once it has it") {
  const Owned without = Make("key", "value");
  Meta meta;
  meta.version = 4;
  meta.revision = 200;
  meta.created = 70;
  CHECK(without->CanHoldMeta(meta));
  meta.fence = 5;
  CHECK(!without->CanHoldMeta(meta));

  const Owned with = Make("key", "value", 5);
  CHECK(with->CanHoldMeta(meta));
  meta.fence = 6;
  meta.raw = true;
  meta.type = ObjectType::kSequence;
  with->SetMeta(meta);
  CHECK(with->fence() == 6);
  CHECK(with->raw());
  CHECK(with->type() == ObjectType::kSequence);
  CHECK(with->revision() == 200);
  CHECK(with->version() == 4);
  CHECK(with->key() == "key");
  CHECK(with->value() == "value");
  meta.fence = 0;
  meta.raw = false;
  with->SetMeta(meta);
  CHECK(with->fence() == 0);
  CHECK(!with->raw());
  CHECK(with->value() == "value");
}

TEST_CASE("values that fit are replaced in place, others are refused") {
  Rng rng(1);
  for (int round = 0; round < 3000; ++round) {
    const std::string first(rng.Below(3000), 'a');
    const std::string second(rng.Below(3000), 'b');
    const Owned object = Make("some key", first, rng.Below(2));
    const bool fits = object->CanHoldValue(second.size());
    if (second.size() > first.size() + 1024) CHECK(!fits);
    // A value that shrank to less than half gives its memory back, unless it is tiny anyway.
    if (first.size() > 100 && second.size() * 2 < first.size()) CHECK(!fits);
    if (first.size() == second.size()) CHECK(fits);
    if (!fits) continue;
    const size_t before = object->MemoryBytes();
    object->SetValue(second);
    CHECK(object->value() == second);
    CHECK(object->key() == "some key");
    CHECK(object->MemoryBytes() == before);
  }
}

TEST_CASE("a value may be replaced by a part of itself") {
  const Owned object = Make("k", "0123456789");
  REQUIRE(object->CanHoldValue(7));
  object->SetValue(object->value().substr(3));
  CHECK(object->value() == "3456789");
}

TEST_CASE("patches of a large value with room against std::string") {
  Rng rng(2);
  const size_t capacity = 4000;
  const Owned object = Make("k", std::string(2500, 'x'), 7, capacity);
  CHECK(object->MemoryBytes() >= capacity);
  std::string model(2500, 'x');
  for (int step = 0; step < 20'000; ++step) {
    // From half the capacity on, a value counts as shrunk.
    const size_t size = 2000 + rng.Below(2001);
    REQUIRE(object->CanHoldValue(size));
    const size_t offset = rng.Below(size + 1);
    const std::string bytes(rng.Below(size - offset + 1), static_cast<char>(rng.Next()));
    object->Patch(offset, bytes, size);
    model.resize(size, '\0');
    model.replace(offset, bytes.size(), bytes);
    REQUIRE(object->value() == model);
  }
  CHECK(object->fence() == 7);
  CHECK(object->key() == "k");
  CHECK(!object->CanHoldValue(capacity + 1));
  CHECK(!object->CanHoldValue(capacity / 2 - 1));
}

TEST_CASE("bytes that a patch grows over are zero, also where an older value was") {
  const Owned object = Make("k", std::string(3000, 'x'), 0, 4000);
  object->Patch(2000, "", 2000);
  object->Patch(2990, "yy", 2995);
  CHECK(object->value() ==
        std::string(2000, 'x') + std::string(990, '\0') + "yy" + std::string(3, '\0'));
}

TEST_CASE("type names are Redis's where Redis has the type") {
  CHECK(TypeName(ObjectType::kString) == "string");
  CHECK(TypeName(ObjectType::kLock) == "lock");
  CHECK(TypeName(ObjectType::kSequence) == "sequence");
}

}  // namespace
}  // namespace holdfast::data
