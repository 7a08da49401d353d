#include "data/deadline_heap.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

Object* Make(int number) {
  Meta meta;
  meta.version = 1;
  return Object::Create(std::to_string(number), meta, "");
}

TEST_CASE("deadline heap against a sorted map") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    DeadlineHeap heap;
    std::vector<Object*> objects;
    const int count = static_cast<int>(1 + rng.Below(400));
    for (int i = 0; i < count; ++i) objects.push_back(Make(i));
    std::multimap<int64_t, Object*> model;
    std::map<Object*, int64_t> deadlines;
    const auto forget = [&](Object* object) {
      auto [at, end] = model.equal_range(deadlines.at(object));
      while (at != end && at->second != object) ++at;
      REQUIRE(at != end);
      model.erase(at);
      deadlines.erase(object);
    };
    // Few different deadlines make ties, many make deep moves.
    const uint64_t range = seed % 2 == 0 ? 10 : 1'000'000'000;
    for (int step = 0; step < 4000; ++step) {
      Object*& object = objects[rng.Below(objects.size())];
      const bool in_heap = deadlines.contains(object);
      REQUIRE(in_heap == (object->heap_position != kNotInHeap));
      const uint64_t action = rng.Below(10);
      if (action < 6) {
        const int64_t deadline = static_cast<int64_t>(rng.Below(range)) - 5;
        if (in_heap) forget(object);
        heap.Set(object, deadline);
        model.emplace(deadline, object);
        deadlines[object] = deadline;
      } else if (action < 8 && in_heap) {
        forget(object);
        heap.Remove(object);
      } else if (action == 8 && in_heap) {
        Object* fresh = Make(step);
        const int64_t deadline = deadlines.at(object);
        forget(object);
        heap.Replace(object, fresh);
        CHECK(object->heap_position == kNotInHeap);
        Object::Free(object);
        object = fresh;
        model.emplace(deadline, fresh);
        deadlines[fresh] = deadline;
      } else if (action == 9 && !heap.empty()) {
        Object* top = heap.top().object;
        REQUIRE(heap.top().deadline_ms == model.begin()->first);
        forget(top);
        heap.Remove(top);
      }
      REQUIRE(heap.size() == model.size());
      REQUIRE(heap.empty() == model.empty());
      if (!model.empty()) {
        REQUIRE(heap.top().deadline_ms == model.begin()->first);
        REQUIRE(heap.DeadlineOf(heap.top().object) == model.begin()->first);
      }
    }
    std::set<Object*> inside;
    for (size_t i = 0; i < heap.size(); ++i) {
      CHECK(heap.at(i).object->heap_position == i);
      CHECK(deadlines.at(heap.at(i).object) == heap.at(i).deadline_ms);
      inside.insert(heap.at(i).object);
    }
    CHECK(inside.size() == deadlines.size());
    int64_t last = INT64_MIN;
    while (!heap.empty()) {
      CHECK(heap.top().deadline_ms >= last);
      last = heap.top().deadline_ms;
      heap.Remove(heap.top().object);
    }
    for (Object* object : objects) {
      CHECK(object->heap_position == kNotInHeap);
      Object::Free(object);
    }
  }
}

}  // namespace
}  // namespace holdfast::data
