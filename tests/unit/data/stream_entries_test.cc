#include "data/stream_entries.h"

#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/collection.h"
#include "data/stream_record.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

using Fields = std::vector<std::string>;
using Model = std::map<StreamId, Fields>;

std::string Encode(const Fields& fields) {
  std::string value;
  for (size_t i = 0; i < fields.size(); i += 2) {
    AppendStreamField(&value, fields[i], fields[i + 1]);
  }
  return value;
}

Fields RandomFields(Rng* rng) {
  Fields fields;
  const uint64_t kind = rng->Below(10);
  const size_t count = kind == 0 ? 1 + rng->Below(5) : 2;
  for (size_t i = 0; i < count; ++i) {
    // Most entries have the same fields.
    fields.push_back(kind < 2 ? "other" + std::to_string(rng->Below(3)) : "f" + std::to_string(i));
    fields.emplace_back(rng->Below(kind == 3 ? 300 : 20), 'v');
  }
  return fields;
}

void Compare(const StreamEntries& entries, const Model& model, Rng* rng) {
  REQUIRE(entries.size() == model.size());
  uint64_t in_nodes = 0;
  auto expected = model.begin();
  for (size_t node = 0; node < entries.nodes(); ++node) {
    in_nodes += entries.NodeEntries(node);
    REQUIRE(entries.NodeEntries(node) > 0);
    entries.WalkNode(node, [&](StreamId id) {
      REQUIRE(id == expected->first);
      ++expected;
      return true;
    });
    REQUIRE(std::prev(expected)->first == entries.NodeLastId(node));
  }
  REQUIRE(in_nodes == model.size());
  if (model.empty()) return;
  REQUIRE(entries.first_id() == model.begin()->first);
  REQUIRE(entries.last_id() == model.rbegin()->first);
  for (int i = 0; i < 4; ++i) {
    // Of ids that are there and of others.
    StreamId first{rng->Below(200), rng->Below(4)};
    StreamId last{rng->Below(200), rng->Below(4)};
    if (i == 0) first = {};
    if (i == 1) last = StreamId::Max();
    const uint64_t most = rng->Below(3) == 0 ? 1 + rng->Below(20) : UINT64_MAX;
    std::vector<std::pair<StreamId, Fields>> wanted;
    for (const auto& [id, fields] : model) {
      if (first <= id && id <= last) wanted.emplace_back(id, fields);
    }
    for (const bool backwards : {false, true}) {
      uint64_t visited = 0;
      entries.Walk(first, last, backwards, [&](const StreamEntry& entry) {
        REQUIRE(visited < wanted.size());
        const auto& [id, fields] = wanted[backwards ? wanted.size() - 1 - visited : visited];
        REQUIRE(entry.id == id);
        REQUIRE(Fields(entry.fields.begin(), entry.fields.end()) == fields);
        return ++visited < most;
      });
      REQUIRE(visited == std::min<uint64_t>(most, wanted.size()));
    }
    REQUIRE(entries.Contains(first) == model.contains(first));
  }
}

TEST_CASE("entries of a stream behave like a map, however they come and go") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    EncodingLimits limits;
    limits.stream_entries = seed % 3 == 0 ? 0 : 1 + rng.Below(30);
    limits.stream_bytes = seed % 4 == 0 ? 0 : 20 + rng.Below(600);
    StreamEntries entries(limits);
    Model model;
    for (int step = 0; step < 3000; ++step) {
      StreamId id{rng.Below(200), rng.Below(4)};
      const uint64_t kind = rng.Below(10);
      // As commands do it: behind the last one.
      if (kind < 4 && !model.empty()) {
        id = model.rbegin()->first;
        id.ms += rng.Below(2);
        ++id.seq;
      }
      if (kind < 6) {
        const Fields fields = RandomFields(&rng);
        entries.Put(id, Encode(fields));
        model[id] = fields;
      } else {
        if (!model.empty() && kind < 8) id = model.begin()->first;
        REQUIRE(entries.Erase(id) == (model.erase(id) > 0));
      }
      if (step % 50 == 0) Compare(entries, model, &rng);
    }
    Compare(entries, model, &rng);
    while (!model.empty()) {
      const auto victim = std::next(model.begin(), static_cast<ptrdiff_t>(rng.Below(model.size())));
      REQUIRE(entries.Erase(victim->first));
      model.erase(victim);
      if (model.size() % 100 == 0) Compare(entries, model, &rng);
    }
    CHECK(entries.nodes() == 0);
    CHECK(entries.MemoryBytes() == 0);
  }
}

TEST_CASE("a node is as large as the limits say, and deleted entries count") {
  EncodingLimits limits;
  limits.stream_entries = 10;
  StreamEntries entries(limits);
  for (uint64_t i = 1; i <= 25; ++i) entries.Put({i, 0}, Encode({"f", "v"}));
  REQUIRE(entries.nodes() == 3);
  CHECK(entries.NodeEntries(0) == 10);
  CHECK(entries.NodeEntries(2) == 5);
  // 24 and 25 were there: five more make the node full.
  CHECK(entries.Erase({24, 0}));
  CHECK(entries.Erase({21, 0}));
  for (uint64_t i = 26; i <= 30; ++i) entries.Put({i, 0}, Encode({"f", "v"}));
  CHECK(entries.nodes() == 3);
  CHECK(entries.NodeEntries(2) == 8);
  CHECK(entries.BeginsNode(2));
  entries.Put({31, 0}, Encode({"f", "v"}));
  CHECK(entries.nodes() == 4);
  CHECK_FALSE(entries.BeginsNode(2));
  limits.stream_bytes = 8;
  CHECK(entries.BeginsNode(4));
}

TEST_CASE("entries with the same fields keep their names once") {
  EncodingLimits limits;
  limits.stream_bytes = 0;
  limits.stream_entries = 1000;
  StreamEntries same(limits);
  StreamEntries different(limits);
  const std::string name(40, 'n');
  for (uint64_t i = 1; i <= 1000; ++i) {
    same.Put({1'700'000'000'000 + i, 0}, Encode({name, "value"}));
    different.Put({1'700'000'000'000 + i, 0}, Encode({name + std::to_string(i), "value"}));
  }
  // Distance, number, mark, length and five bytes; twice that while the run of bytes grows.
  CHECK(same.MemoryBytes() < 1000 * 34);
  CHECK(different.MemoryBytes() > 1000 * 45);
}

TEST_CASE("numbers of ids wrap nowhere") {
  EncodingLimits limits;
  StreamEntries entries(limits);
  const std::vector<StreamId> ids = {
      {0, 1}, {0, UINT64_MAX}, {1, 0}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX}};
  for (const StreamId id : ids) entries.Put(id, Encode({"f", id.Text()}));
  std::vector<StreamId> seen;
  entries.Walk({}, StreamId::Max(), false, [&seen](const StreamEntry& entry) {
    CHECK(entry.fields[1] == entry.id.Text());
    seen.push_back(entry.id);
    return true;
  });
  CHECK(seen == ids);
  StreamId id = StreamId::Max();
  CHECK_FALSE(id.Increment());
  CHECK(id == StreamId::Max());
  CHECK(id.Decrement());
  CHECK(id == StreamId{UINT64_MAX, UINT64_MAX - 1});
  id = {5, UINT64_MAX};
  CHECK(id.Increment());
  CHECK(id == StreamId{6, 0});
  CHECK(id.Decrement());
  CHECK(id == StreamId{5, UINT64_MAX});
  id = {};
  CHECK_FALSE(id.Decrement());
  CHECK(StreamId{12, 7}.Text() == "12-7");
}

}  // namespace
}  // namespace holdfast::data
