#include "data/stream_object.h"

#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/stream_record.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

std::string EntryName(StreamId id) { return EncodeStreamElement({StreamKind::kEntry, id, {}, {}}); }
std::string GroupName(std::string_view group) {
  return EncodeStreamElement({StreamKind::kGroup, {}, group, {}});
}
std::string ConsumerName(std::string_view group, std::string_view consumer) {
  return EncodeStreamElement({StreamKind::kConsumer, {}, group, consumer});
}
std::string PendingName(std::string_view group, StreamId id) {
  return EncodeStreamElement({StreamKind::kPending, id, group, {}});
}
std::string OneField(std::string_view value) {
  std::string out;
  AppendStreamField(&out, "f", value);
  return out;
}

// What records there ought to be.
using Records = std::map<std::string, std::string>;

// Random changes such as commands make: never a consumer without its group.
class Changer {
 public:
  explicit Changer(uint64_t seed) : rng_(seed) {}

  void Step(StreamObject* stream, Records* records) {
    const std::string group = "g" + std::to_string(rng_.Below(3));
    const std::string consumer = "c" + std::to_string(rng_.Below(4));
    const StreamId id{1 + rng_.Below(300), rng_.Below(2)};
    const bool has_group = records->contains(GroupName(group));
    const bool has_consumer = records->contains(ConsumerName(group, consumer));
    switch (rng_.Below(8)) {
      case 0:
      case 1:
        Put(stream, records, EntryName(id), OneField(std::to_string(rng_.Below(100))));
        return;
      case 2:
        Delete(stream, records, EntryName(id));
        return;
      case 3:
        Put(stream, records, GroupName(group),
            EncodeStreamGroup({id, static_cast<int64_t>(rng_.Below(10)) - 1}));
        return;
      case 4:
        if (has_group) {
          Put(stream, records, ConsumerName(group, consumer),
              EncodeStreamConsumer(static_cast<int64_t>(rng_.Below(1000))));
        }
        return;
      case 5:
      case 6:
        if (has_consumer) {
          Put(stream, records, PendingName(group, id),
              EncodeStreamPending({static_cast<int64_t>(rng_.Below(1000)),
                                   static_cast<int64_t>(rng_.Below(5)), consumer}));
        }
        return;
      default:
        Delete(stream, records, PendingName(group, id));
        return;
    }
  }

 private:
  static void Put(StreamObject* stream, Records* records, const std::string& element,
                  const std::string& value) {
    REQUIRE(CheckStreamElement(element, value).ok());
    REQUIRE(stream->Contains(element) == records->contains(element));
    stream->Put(element, value);
    (*records)[element] = value;
  }
  static void Delete(StreamObject* stream, Records* records, const std::string& element) {
    REQUIRE(stream->Delete(element) == (records->erase(element) > 0));
  }

  Rng rng_;
};

// Every index of the stream says the same.
void Compare(const StreamObject& stream, const Records& records) {
  Records found;
  stream.ForEach([&found](std::string_view element, std::string_view value) {
    REQUIRE(found.emplace(element, value).second);
  });
  REQUIRE(found == records);
  REQUIRE(stream.records() == records.size());
  for (const auto& [name, group] : stream.groups()) {
    size_t owned = 0;
    for (const auto& [consumer_name, consumer] : group->consumers) {
      owned += consumer->pending.size();
      for (const StreamId id : consumer->pending) {
        REQUIRE(group->pending.at(id).consumer == consumer.get());
      }
    }
    REQUIRE(owned == group->pending.size());
  }
}

TEST_CASE("a stream is what its records are") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Changer changer(seed);
    StreamObject stream{CollectionOptions()};
    StreamHead head;
    head.last_id = {1000, 0};
    head.entries_added = 10'000;
    stream.SetHead(EncodeStreamHead(head));
    Records records;
    for (int step = 0; step < 3000; ++step) {
      changer.Step(&stream, &records);
      if (step % 100 == 0) Compare(stream, records);
    }
    // Loaded in the order of the store.
    StreamObject loaded{CollectionOptions()};
    loaded.SetHead(stream.Head());
    for (const auto& [element, value] : records) loaded.Put(element, value);
    Compare(loaded, records);
    CHECK_FALSE(stream.Head().empty());
    CHECK(loaded.Head() == stream.Head());
    // And taken apart, the other way round.
    while (!records.empty()) {
      REQUIRE(loaded.Delete(records.rbegin()->first));
      records.erase(std::prev(records.end()));
    }
    CHECK(loaded.records() == 0);
    CHECK(loaded.MemoryBytes() == StreamObject(CollectionOptions()).MemoryBytes());
  }
}

TEST_CASE("a stream whose records contradict each other has no head") {
  StreamHead head;
  head.last_id = {5, 0};
  head.entries_added = 1;
  const std::string group = EncodeStreamGroup({{1, 0}, 0});
  SUBCASE("a consumer without its group") {
    StreamObject stream{CollectionOptions()};
    stream.Put(ConsumerName("g", "c"), EncodeStreamConsumer(1));
    CHECK(stream.Head().empty());
  }
  SUBCASE("a pending entry without its consumer") {
    StreamObject stream{CollectionOptions()};
    stream.Put(GroupName("g"), group);
    CHECK_FALSE(stream.Head().empty());
    stream.Put(PendingName("g", {1, 1}), EncodeStreamPending({1, 1, "c"}));
    CHECK(stream.Head().empty());
    CHECK_FALSE(stream.Contains(PendingName("g", {1, 1})));
  }
  SUBCASE("a group that ends before its consumers, a consumer before what it owns") {
    StreamObject stream{CollectionOptions()};
    stream.Put(GroupName("g"), group);
    stream.Put(ConsumerName("g", "c"), EncodeStreamConsumer(1));
    stream.Put(PendingName("g", {1, 1}), EncodeStreamPending({1, 1, "c"}));
    CHECK_FALSE(stream.Delete(ConsumerName("g", "c")));
    CHECK(stream.Head().empty());
    CHECK_FALSE(stream.Delete(GroupName("g")));
    CHECK(stream.Contains(PendingName("g", {1, 1})));
  }
  SUBCASE("an entry behind the last id") {
    StreamObject stream{CollectionOptions()};
    stream.SetHead(EncodeStreamHead(head));
    stream.Put(EntryName({5, 0}), OneField("v"));
    CHECK_FALSE(stream.Head().empty());
    stream.Put(EntryName({5, 1}), OneField("v"));
    CHECK(stream.Head().empty());
  }
}

TEST_CASE("damaged records of a stream are told") {
  const auto corrupt = [](std::string_view element, std::string_view value) {
    return CheckStreamElement(element, value).code() == Code::kCorruption;
  };
  CHECK(CheckStreamElement(EntryName({1, 0}), OneField("v")).ok());
  CHECK(corrupt("", OneField("v")));
  CHECK(corrupt("\x04", OneField("v")));
  CHECK(corrupt(EntryName({}), OneField("v")));
  CHECK(corrupt(EntryName({1, 0}), ""));
  CHECK(corrupt(EntryName({1, 0}), OneField("v") + std::string("\x01x", 2)));
  CHECK(corrupt(EntryName({1, 0}), OneField("v").substr(1)));
  CHECK(corrupt(EntryName({1, 0}).substr(0, 16), OneField("v")));
  CHECK(corrupt(EntryName({1, 0}) + "x", OneField("v")));
  CHECK(CheckStreamElement(GroupName("g"), EncodeStreamGroup({{1, 2}, 3})).ok());
  CHECK(corrupt(GroupName("g"), EncodeStreamGroup({{1, 2}, 3}) + "x"));
  CHECK(corrupt(GroupName("g"), EncodeStreamGroup({{1, 2}, 3}).substr(0, 16)));
  CHECK(CheckStreamElement(ConsumerName("", ""), EncodeStreamConsumer(7)).ok());
  CHECK(corrupt(ConsumerName("g", "c"), ""));
  CHECK(corrupt("\x02\x09g", EncodeStreamConsumer(7)));
  CHECK(CheckStreamElement(PendingName("g", {1, 0}), EncodeStreamPending({1, 2, ""})).ok());
  CHECK(corrupt(PendingName("g", {1, 0}).substr(0, 18), EncodeStreamPending({1, 2, "c"})));
  CHECK(corrupt(PendingName("g", {1, 0}), "\x01"));
  StreamHead head;
  head.entries = 2;
  head.entries_added = 3;
  head.last_id = {4, 5};
  StreamHead read;
  CHECK(DecodeStreamHead(EncodeStreamHead(head), &read));
  CHECK(read == head);
  head.entries_added = 1;
  CHECK_FALSE(DecodeStreamHead(EncodeStreamHead(head), &read));
  head.entries_added = uint64_t{INT64_MAX} + 1;
  CHECK_FALSE(DecodeStreamHead(EncodeStreamHead(head), &read));
  CHECK_FALSE(DecodeStreamHead("", &read));
  CHECK(CheckHead(ObjectType::kStream, EncodeStreamHead({})).ok());
  CHECK(CheckHead(ObjectType::kHash, EncodeCount(0)).code() == Code::kCorruption);
  CHECK(CheckHead(ObjectType::kHash, EncodeCount(1)).ok());
}

TEST_CASE("how far a group has read is told when it can be told") {
  StreamObject stream{CollectionOptions()};
  StreamHead head;
  const auto set_head = [&] { stream.SetHead(EncodeStreamHead(head)); };
  StreamGroup group;
  CHECK(stream.Lag(group) == 0);
  for (uint64_t i = 1; i <= 5; ++i) stream.Put(EntryName({i, 0}), OneField("v"));
  head.entries = 5;
  head.entries_added = 8;
  head.last_id = {5, 0};
  set_head();
  CHECK(stream.EntriesUpTo({0, 1}) == 3);
  CHECK(stream.EntriesUpTo({1, 0}) == 4);
  CHECK(stream.EntriesUpTo({3, 0}) == StreamGroupValue::kUnknown);
  CHECK(stream.EntriesUpTo({5, 0}) == 8);
  CHECK(stream.EntriesUpTo({6, 0}) == StreamGroupValue::kUnknown);
  CHECK(stream.Lag(group) == 5);
  group.last_id = {3, 0};
  CHECK_FALSE(stream.Lag(group).has_value());
  group.entries_read = 6;
  CHECK(stream.Lag(group) == 2);
  stream.Delete(EntryName({4, 0}));
  head.entries = 4;
  head.max_deleted = {4, 0};
  set_head();
  CHECK(stream.HasHolesFrom({4, 0}));
  CHECK_FALSE(stream.HasHolesFrom({4, 1}));
  CHECK_FALSE(stream.Lag(group).has_value());
  CHECK(stream.EntriesUpTo({0, 1}) == StreamGroupValue::kUnknown);
  group.last_id = {4, 1};
  CHECK(stream.Lag(group) == 2);
}

}  // namespace
}  // namespace holdfast::data
