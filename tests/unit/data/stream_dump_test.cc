#include "data/stream_dump.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/listpack.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

std::string FromHexDigits(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return out;
}

// The stream that a payload makes. nullptr: it makes none.
std::unique_ptr<StreamObject> Restored(std::string_view payload) {
  DumpedValue dumped;
  if (!DecodeDump(payload, &dumped).ok()) return nullptr;
  REQUIRE(dumped.type == ObjectType::kStream);
  auto stream = std::make_unique<StreamObject>(CollectionOptions());
  REQUIRE(CheckHead(dumped.type, dumped.value).ok());
  REQUIRE(ForEachChange(dumped.elements.bytes(), [&stream](const ElementChange& change) {
            RETURN_IF_ERROR(CheckElement(ObjectType::kStream, change.element, change.value));
            stream->Put(change.element, change.value);
            return Status::Ok();
          }).ok());
  stream->SetHead(dumped.value);
  REQUIRE(stream->Head() == dumped.value);
  return stream;
}

std::map<std::string, std::string> RecordsOf(const StreamObject& stream) {
  std::map<std::string, std::string> records;
  stream.ForEach([&records](std::string_view element, std::string_view value) {
    records.emplace(element, value);
  });
  return records;
}

// What DUMP says of the stream, which goes with it.
std::string Dumped(std::unique_ptr<StreamObject> stream) {
  Meta meta;
  meta.type = ObjectType::kStream;
  meta.version = 1;
  Object* object = Object::CreateCollection("key", meta, std::move(stream));
  std::string payload = EncodeDump(*object);
  Object::Free(object);
  return payload;
}

std::string FieldsText(const StreamObject& stream, StreamId id) {
  std::string text;
  stream.entries().Walk(id, id, false, [&text](const StreamEntry& entry) {
    for (const std::string_view part : entry.fields) text.append(part).push_back(' ');
    return true;
  });
  return text;
}

// By Redis 7.0.15: four entries of which one was deleted, two groups, two consumers.
constexpr std::string_view kFromRedis70 =
    "13011000000000000000050000000000000009406a6a0000001f0003010101020181660281670200010201000100"
    "018176020c010501020100010301966c6f6e6765722074657874206f6620612076616c756517ded4020501010101"
    "01dffa020101856f74686572060101060102010401dff702817602f2701101040501ff0309000509060304020267"
    "31050c81ffffffffffffffff02000000000000000500000000000000090068e5cf8b010000030000000000000005"
    "000000000000000c0168e5cf8b0100004046020263311ae70118a201000001000000000000000500000000000000"
    "090263321ae70118a2010000010000000000000005000000000000000c026732090081ffffffffffffffff00000a"
    "00cc2138b3d8ac5914";

// By Redis 5, as it stands in the tests of Redis 7.0.
constexpr std::string_view kFromRedis5 =
    "0f011000000000000000010000000000000000c3404a405716570000002300020104010101846461746105000103"
    "010020010381610204200a0001400a0062600a0002400a0063600a4022018164200a4039200a0065600a0005400a"
    "0066200a00ff02060002026731050004000000000000000100000000000000003ef783437a010000010000000000"
    "00000200000000000000003ef783437a01000001000000000000000400000000000000003ef783437a0100000100"
    "0000000000000500000000000000003ef783437a0100000101036331313ef783437a010000040000000000000001"
    "00000000000000000000000000000002000000000000000000000000000000040000000000000000000000000000"
    "000500000000000000000267320000000009003d52ef6867521dfa";

TEST_CASE("a stream of Redis 7.0 is read and written as it is") {
  const std::unique_ptr<StreamObject> stream = Restored(FromHexDigits(kFromRedis70));
  REQUIRE(stream != nullptr);
  CHECK(stream->size() == 3);
  CHECK(stream->head().last_id == StreamId{9, 0});
  CHECK(stream->head().max_deleted == StreamId{6, 3});
  CHECK(stream->head().entries_added == 4);
  CHECK(FieldsText(*stream, {5, 9}) == "f v g 12 ");
  CHECK(FieldsText(*stream, {5, 12}) == "f longer text of a value g -300 ");
  CHECK(FieldsText(*stream, {6, 3}).empty());
  CHECK(FieldsText(*stream, {9, 0}) == "f v g 70000 ");
  REQUIRE(stream->groups().size() == 2);
  const StreamGroup& group = *stream->Find("g1");
  CHECK(group.last_id == StreamId{5, 12});
  CHECK(group.entries_read == StreamGroupValue::kUnknown);
  REQUIRE(group.pending.size() == 2);
  CHECK(group.pending.at({5, 9}).consumer->name == "c1");
  CHECK(group.pending.at({5, 9}).delivered_ms == 1700000000000);
  CHECK(group.pending.at({5, 9}).deliveries == 3);
  CHECK(group.pending.at({5, 12}).consumer->name == "c2");
  CHECK(group.pending.at({5, 12}).deliveries == 70);
  CHECK(group.Find("c1")->seen_ms == 1795699107610);
  CHECK(stream->Find("g2")->consumers.empty());
  CHECK(stream->Lag(*stream->Find("g2")) == 0);

  auto copy = std::make_unique<StreamObject>(CollectionOptions());
  for (const auto& [element, value] : RecordsOf(*stream)) copy->Put(element, value);
  copy->SetHead(stream->Head());
  const std::unique_ptr<StreamObject> again = Restored(Dumped(std::move(copy)));
  REQUIRE(again != nullptr);
  CHECK(again->Head() == stream->Head());
  CHECK(RecordsOf(*again) == RecordsOf(*stream));
}

TEST_CASE("a stream of Redis 5 is read, and its groups get to know how far they are") {
  const std::unique_ptr<StreamObject> stream = Restored(FromHexDigits(kFromRedis5));
  REQUIRE(stream != nullptr);
  CHECK(stream->size() == 2);
  CHECK(stream->first_id() == StreamId{5, 0});
  CHECK(stream->head().last_id == StreamId{6, 0});
  CHECK(stream->head().entries_added == 2);
  CHECK(FieldsText(*stream, {6, 0}) == "data f ");
  // What was trimmed away is pending all the same.
  CHECK(stream->Find("g1")->pending.size() == 4);
  CHECK(stream->Find("g1")->entries_read == 1);
  CHECK(stream->Find("g2")->entries_read == 0);
}

TEST_CASE("any stream comes back from its payload") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    auto stream = std::make_unique<StreamObject>(CollectionOptions());
    StreamHead head;
    StreamId id;
    const uint64_t count = rng.Below(500);
    for (uint64_t i = 0; i < count; ++i) {
      id.ms += rng.Below(3) * rng.Below(1'000'000'000'000);
      id.seq = rng.Below(2) == 0 ? id.seq + 1 + rng.Below(1 << 20) : id.seq + 1;
      std::string value;
      for (uint64_t fields = 1 + rng.Below(3); fields > 0; --fields) {
        AppendStreamField(&value, rng.Below(3) == 0 ? std::to_string(rng.Next()) : "field",
                          std::string(rng.Below(rng.Below(20) == 0 ? 20'000 : 70), 'x'));
      }
      stream->Put(EncodeStreamElement({StreamKind::kEntry, id, {}, {}}), value);
    }
    head.entries_added = count + rng.Below(100);
    head.last_id = id;
    head.max_deleted = {rng.Below(100), rng.Below(2)};
    stream->SetHead(EncodeStreamHead(head));
    const std::string before = stream->Head();
    const auto records = RecordsOf(*stream);
    const std::string payload = Dumped(std::move(stream));
    const std::unique_ptr<StreamObject> back = Restored(payload);
    REQUIRE(back != nullptr);
    CHECK(back->Head() == before);
    CHECK(RecordsOf(*back) == records);
  }
}

TEST_CASE("a damaged payload of a stream makes none, or a whole one") {
  const std::string payload = FromHexDigits(kFromRedis70);
  const size_t body = payload.size() - 8;
  const auto with_sum = [](std::string bytes) {
    AppendFixed64(&bytes, Crc64(0, bytes));
    return bytes;
  };
  REQUIRE(Restored(with_sum(payload.substr(0, body))) != nullptr);
  for (size_t at = 0; at + 2 < body; ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string damaged = payload.substr(0, body);
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      if (damaged[0] != payload[0]) continue;
      CAPTURE(at);
      Restored(with_sum(damaged));  // requires of what it makes that it is whole
    }
    // Cut short, with the version behind it.
    const std::string cut = payload.substr(0, at) + payload.substr(body - 2, 2);
    if (at < body - 2 && at > 0) CHECK(Restored(with_sum(cut)) == nullptr);
  }
}

TEST_CASE("a listpack is read as it was written") {
  ListpackWriter writer;
  std::vector<std::string> expected;
  for (const int64_t edge : {int64_t{0}, int64_t{127}, int64_t{128}, int64_t{4095}, int64_t{4096},
                             int64_t{INT16_MAX}, int64_t{1} << 23, int64_t{INT32_MAX}, INT64_MAX}) {
    for (const int64_t integer : {edge, edge - 1, -edge, -edge - 1}) {
      writer.Add(integer);
      expected.push_back(std::to_string(integer));
    }
  }
  // Also where the length, or the length of the length, changes its form.
  for (const size_t size : {0, 1, 63, 64, 120, 125, 126, 127, 128, 4095, 4096, 16377, 16378, 16379,
                            16380, 2'097'145, 2'097'146, 2'097'147}) {
    expected.emplace_back(size, 'x');
    writer.Add(std::string_view(expected.back()));
  }
  std::vector<std::string> read;
  CHECK(ReadListpack(writer.Finish(), &read));
  CHECK(read == expected);
}

TEST_CASE("the length behind an element is as long as Redis makes it") {
  // 16378 bytes of text and 5 in front of them: 16383 takes three bytes, not two.
  const auto overhead = [](size_t size) {
    ListpackWriter writer;
    writer.Add(std::string_view(std::string(size, 'x')));
    return writer.Finish().size() - size - 6 - 5 - 1;
  };
  CHECK(overhead(16377) == 2);
  CHECK(overhead(16378) == 3);
  CHECK(overhead(2'097'145) == 3);
  CHECK(overhead(2'097'146) == 4);
}

}  // namespace
}  // namespace holdfast::data
