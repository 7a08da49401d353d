#include "data/list_object.h"

#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

using Model = std::map<int64_t, std::string>;

void Compare(const ListObject& list, const Model& model, Rng* rng) {
  REQUIRE(list.size() == model.size());
  auto expected = model.begin();
  list.ForEach([&](std::string_view element, std::string_view value) {
    REQUIRE(element == ListObject::EncodePosition(expected->first));
    REQUIRE(value == expected->second);
    ++expected;
  });
  REQUIRE(expected == model.end());
  if (model.empty()) return;
  REQUIRE(list.FirstPosition() == model.begin()->first);
  REQUIRE(list.LastPosition() == model.rbegin()->first);
  REQUIRE(list.At(model.size() - 1).value == model.rbegin()->second);
  for (int i = 0; i < 5; ++i) {
    const uint64_t index = rng->Below(model.size());
    const auto at = std::next(model.begin(), static_cast<ptrdiff_t>(index));
    REQUIRE(list.At(index).position == at->first);
    REQUIRE(list.At(index).value == at->second);
    // From there to both ends.
    auto forward = at;
    list.Walk(index, false, [&](const ListObject::Item& item) {
      REQUIRE(item.position == forward->first);
      return ++forward != model.end();
    });
    REQUIRE(forward == model.end());
    auto backward = std::make_reverse_iterator(std::next(at));
    list.Walk(index, true, [&](const ListObject::Item& item) {
      REQUIRE(item.position == backward->first);
      return ++backward != model.rend();
    });
    REQUIRE(backward == model.rend());
  }
}

TEST_CASE("a list behaves like a map of positions, however items come and go") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    ListObject list;
    Model model;
    for (int step = 0; step < 4000; ++step) {
      int64_t position = static_cast<int64_t>(rng.Below(1 << 20)) - (1 << 19);
      const uint64_t kind = rng.Below(10);
      if (!model.empty() && kind < 3) {
        const int64_t by = rng.Chance(1, 2) ? 7 : ListObject::kGap;
        position = kind == 0 ? model.begin()->first - by : model.rbegin()->first + by;
      } else if (!model.empty() && kind < 8) {
        position = model.lower_bound(position) == model.end() ? model.begin()->first
                                                              : model.lower_bound(position)->first;
      }
      const std::string element = ListObject::EncodePosition(position);
      if (kind >= 4 && kind < 4 + seed % 4) {
        REQUIRE(list.Delete(element) == (model.erase(position) == 1));
      } else {
        // Now and then one that is larger than a run.
        const std::string value(rng.Below(100) == 0 ? 9000 : rng.Below(40),
                                static_cast<char>('a' + step % 26));
        list.Put(element, value);
        model[position] = value;
      }
      REQUIRE(list.Contains(element) == model.contains(position));
      if (step % 500 == 0) Compare(list, model, &rng);
    }
    Compare(list, model, &rng);
    while (!model.empty()) {
      const bool front = rng.Chance(1, 2);
      const int64_t position = front ? model.begin()->first : model.rbegin()->first;
      REQUIRE(list.Delete(ListObject::EncodePosition(position)));
      model.erase(position);
    }
    Compare(list, model, &rng);
  }
}

TEST_CASE("positions sort as numbers do, and nothing else is one") {
  const std::vector<int64_t> positions = {INT64_MIN, -65536, -1, 0, 1, 65536, INT64_MAX};
  for (size_t i = 0; i < positions.size(); ++i) {
    int64_t back;
    REQUIRE(ListObject::DecodePosition(ListObject::EncodePosition(positions[i]), &back));
    CHECK(back == positions[i]);
    if (i > 0) {
      CHECK(ListObject::EncodePosition(positions[i - 1]) <
            ListObject::EncodePosition(positions[i]));
    }
  }
  int64_t position;
  CHECK(!ListObject::DecodePosition("", &position));
  CHECK(!ListObject::DecodePosition("nine byte", &position));
}

TEST_CASE("what a list takes returns when items go, from whichever end or between") {
  Rng rng(5);
  for (int order = 0; order < 3; ++order) {
    CAPTURE(order);
    ListObject list;
    const size_t empty = list.MemoryBytes();
    std::vector<int64_t> left;
    for (int64_t i = 0; i < 20'000; ++i) {
      left.push_back(i * ListObject::kGap);
      list.Put(ListObject::EncodePosition(left.back()), std::string(100, 'v'));
    }
    const size_t full = list.MemoryBytes();
    CHECK(full > 20'000 * 100);
    CHECK(full < 20'000 * 120);
    while (left.size() > 500) {
      const size_t at = order == 0 ? 0 : order == 1 ? left.size() - 1 : rng.Below(left.size());
      REQUIRE(list.Delete(ListObject::EncodePosition(left[at])));
      left.erase(left.begin() + static_cast<ptrdiff_t>(at));
    }
    CHECK(list.MemoryBytes() < empty + full / 8);
  }
}

}  // namespace
}  // namespace holdfast::data
