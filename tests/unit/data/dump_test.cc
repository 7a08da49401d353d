#include "data/dump.h"

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/list_object.h"
#include "data/record.h"
#include "data/sorted_set_object.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

// The payload of a value that is none of a collection.
std::string EncodeDump(const Meta& meta, std::string_view value) {
  Object* object = Object::Create("key", meta, value);
  std::string payload = EncodeDump(*object);
  Object::Free(object);
  return payload;
}

// `type` and `value` stay as they are when it fails.
Status DecodeDump(std::string_view payload, ObjectType* type, std::string* value) {
  DumpedValue dumped;
  RETURN_IF_ERROR(DecodeDump(payload, &dumped));
  *type = dumped.type;
  *value = std::move(dumped.value);
  return Status::Ok();
}

std::string FromHex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  }
  return out;
}

// A payload with any body and version and the right checksum.
std::string Sealed(std::string_view body, uint16_t version = kDumpVersion) {
  std::string out(body);
  out.push_back(static_cast<char>(version & 0xff));
  out.push_back(static_cast<char>(version >> 8));
  AppendFixed64(&out, Crc64(0, out));
  return out;
}

std::string Repeat(std::string_view what, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out.append(what);
  return out;
}

std::string Counting(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out.push_back(static_cast<char>(i));
  return out;
}

struct Known {
  std::string value;
  const char* payload;
  bool same = true;  // EncodeDump writes the same bytes: all but LZF
};

// Made by DUMP of Redis 7.0.15.
std::vector<Known> KnownPayloads() {
  return {
      {"", "00000a005d9b5c400f7fa2da"},
      {"hello", "000568656c6c6f0a006372df766534200a"},
      {"0", "00c0000a009840a778f8500308"},
      {"-1", "00c0ff0a000c937e2485089dc5"},
      {"127", "00c07f0a000db5eb315254c514"},
      {"128", "00c180000a00eb7ab3b510cf4b65"},
      {"-128", "00c0800a009966326d2f0c5bd9"},
      {"-129", "00c17fff0a001760822854808480"},
      {"32767", "00c1ff7f0a00495a37da17f4d52b"},
      {"32768", "00c2008000000a0045d82eedd5bda910"},
      {"-32769", "00c2ff7fffff0a00aee34c4d06c68536"},
      {"2147483647", "00c2ffffff7f0a002c74e59ee02eada1"},
      {"-2147483648", "00c2000000800a00c74f873e33558187"},
      {"2147483648", "000a323134373438333634380a00e7b129a34c1d76ee"},
      {"007", "00033030370a007258e27b4c69bad9"},
      {std::string(20, 'a'), "001461616161616161616161616161616161616161610a0083b46b5e1b11acf1"},
      {Counting(70),
       "004046000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627282"
       "92a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445"
       "0a00e02311b7571ca0ed"},
      {std::string(63, 'x') + "y", "00c3094040017878e033000178790a00c84995b8ec2846b6", false},
      {std::string(300, 'a'), "00c30c412c016161e0ff00e017000161610a004b1bc2625246e713", false},
      {Repeat("abcdefgh", 100),
       "00c3164320086162636465666768"
       "61e0ff07e1ff07e1fc070167680a00f48c2818e46a1406",
       false},
      {Repeat("The quick brown fox ", 3) + "jumps over the quick brown fox",
       "00c32c405a1454686520717569636b2062726f776e20666f782054e01e130b6a756d7073206f7665722074e00"
       "732016f780a000c4e7963e49a5703",
       false},
  };
}

TEST_CASE("payloads of Redis 7.0 decode, and strings encode to the same bytes") {
  for (const Known& known : KnownPayloads()) {
    CAPTURE(known.payload);
    ObjectType type = ObjectType::kLock;
    std::string value = "?";
    REQUIRE(DecodeDump(FromHex(known.payload), &type, &value).ok());
    CHECK(type == ObjectType::kString);
    CHECK(value == known.value);
    if (known.same) CHECK(EncodeDump(Meta{}, known.value) == FromHex(known.payload));
  }
}

TEST_CASE("dump round trip at the borders of every length form and integer form") {
  std::vector<std::string> values;
  for (const size_t size : {0, 1, 62, 63, 64, 65, 16382, 16383, 16384, 16385, 70000}) {
    values.push_back(std::string(size, 'v'));
  }
  for (const int64_t edge : {int64_t{0}, int64_t{INT8_MAX}, int64_t{INT8_MIN}, int64_t{INT16_MAX},
                             int64_t{INT16_MIN}, int64_t{INT32_MAX}, int64_t{INT32_MIN}}) {
    for (int64_t d = -2; d <= 2; ++d) values.push_back(std::to_string(edge + d));
  }
  for (const char* odd : {"-0", "+1", "01", " 1", "1 ", "--1", "9223372036854775807", "1e3"}) {
    values.emplace_back(odd);
  }
  for (const std::string& value : values) {
    const std::string payload = EncodeDump(Meta{}, value);
    ObjectType type = ObjectType::kLock;
    std::string back = "?";
    REQUIRE(DecodeDump(payload, &type, &back).ok());
    CHECK(type == ObjectType::kString);
    CHECK(back == value);
  }
}

TEST_CASE("locks and sequences keep their type, and damaged ones are refused") {
  Meta meta;
  ObjectType type;
  std::string back;
  meta.type = ObjectType::kLock;
  const std::string lock = EncodeLock({30000, "owner-1"});
  const std::string lock_payload = EncodeDump(meta, lock);
  CHECK(static_cast<uint8_t>(lock_payload[0]) == 240);
  REQUIRE(DecodeDump(lock_payload, &type, &back).ok());
  CHECK(type == ObjectType::kLock);
  CHECK(back == lock);

  meta.type = ObjectType::kSequence;
  const std::string sequence = EncodeSequence({5, 2, 100});
  REQUIRE(DecodeDump(EncodeDump(meta, sequence), &type, &back).ok());
  CHECK(type == ObjectType::kSequence);
  CHECK(back == sequence);

  CHECK(DecodeDump(EncodeDump(meta, "short"), &type, &back).message() == "Bad data format");
  meta.type = ObjectType::kLock;
  CHECK(DecodeDump(EncodeDump(meta, "\xff"), &type, &back).message() == "Bad data format");
}

TEST_CASE("a damaged dump payload changes nothing") {
  const char* const kWrong = "DUMP payload version or checksum are wrong";
  const char* const kBad = "Bad data format";
  const auto error = [](std::string_view payload) {
    ObjectType type = ObjectType::kSequence;
    std::string value = "untouched";
    const Status status = DecodeDump(payload, &type, &value);
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(type == ObjectType::kSequence);
    CHECK(value == "untouched");
    return status.message();
  };
  const std::string good = EncodeDump(Meta{}, std::string(100, 'q'));
  for (size_t n = 0; n < good.size(); ++n) CHECK(error(good.substr(0, n)) == kWrong);
  for (size_t n = 0; n < good.size() * 8; ++n) {
    std::string flipped = good;
    flipped[n / 8] = static_cast<char>(flipped[n / 8] ^ (1 << (n % 8)));
    CHECK(error(flipped) == kWrong);
  }
  const std::string five("\0\5hello", 7);
  ObjectType type;
  std::string value;
  CHECK(DecodeDump(Sealed(five, 1), &type, &value).ok());
  CHECK(DecodeDump(Sealed(five, kMaxDumpVersion), &type, &value).ok());
  CHECK(error(Sealed(five, kMaxDumpVersion + 1)) == kWrong);
  CHECK(error(Sealed(five, 0xffff)) == kWrong);

  CHECK(error(Sealed("")) == kBad);
  CHECK(error(Sealed(std::string_view("\0", 1))) == kBad);
  CHECK(error(Sealed(five.substr(0, 6))) == kBad);
  CHECK(error(Sealed(five + "x")) == kBad);
  CHECK(error(Sealed("\x01" + five.substr(1))) == kBad);  // a list of Redis before 3.2
  CHECK(error(Sealed(std::string_view("\0\x80", 2))) == kBad);
  CHECK(error(Sealed(std::string_view("\0\x82\0\0\0\0", 6))) == kBad);
  CHECK(error(Sealed(std::string_view("\0\x81\x7f\xff\xff\xff\xff\xff\xff\xff", 10))) == kBad);
  CHECK(error(Sealed(std::string_view("\0\xc1\x05", 3))) == kBad);
  CHECK(error(Sealed(std::string_view("\0\xc4\x05", 3))) == kBad);
  // Collections that are empty, cut, or have an element twice.
  CHECK(error(Sealed(std::string_view("\2\0", 2))) == kBad);
  CHECK(error(Sealed(std::string_view("\2\2\1a\1a", 6))) == kBad);
  CHECK(error(Sealed(std::string_view("\2\2\1a", 4))) == kBad);
  CHECK(error(Sealed(std::string_view("\4\0", 2))) == kBad);
  CHECK(error(Sealed(std::string_view("\4\1\1a", 4))) == kBad);
  CHECK(error(Sealed(std::string_view("\4\2\1a\1b\1a\1c", 10))) == kBad);
  CHECK(error(Sealed(std::string_view("\x0b\x0a\2\0\0\0\2\0\0\0\1\0", 12))) == kBad);
  CHECK(error(Sealed(std::string_view("\x0b\x0b\3\0\0\0\1\0\0\0\1\0\0", 13))) == kBad);
}

std::map<std::string, std::string> ElementsOf(const DumpedValue& dumped) {
  std::map<std::string, std::string> elements;
  const auto note = [&elements](const ElementChange& change) {
    CHECK(!change.is_delete);
    CHECK(elements.emplace(change.element, change.value).second);
    return Status::Ok();
  };
  CHECK(ForEachChange(dumped.elements.bytes(), note).ok());
  return elements;
}

TEST_CASE("collections come back as they were, large and small, and as Redis writes them") {
  const std::map<std::string, std::string> few = {{"a", "1"}, {"", "two"}, {"-300", ""}};
  std::map<std::string, std::string> many;
  for (int i = 0; i < 1000; ++i) many[std::to_string(i)] = std::string(i % 100, 'v');
  for (const auto& elements : {few, many}) {
    for (const ObjectType type : {ObjectType::kHash, ObjectType::kSet, ObjectType::kSortedSet}) {
      const bool is_set = type == ObjectType::kSet;
      double score = -2.5;
      std::unique_ptr<Collection> collection = NewCollection(type, {});
      std::map<std::string, std::string> expected;
      for (const auto& [element, value] : elements) {
        expected[element] = is_set ? "" : value;
        if (type == ObjectType::kSortedSet) {
          expected[element] = SortedSetObject::EncodeScore(score += 0.75);
        }
        collection->Put(element, expected[element]);
      }
      Meta meta;
      meta.type = type;
      Object* object = Object::CreateCollection("key", meta, std::move(collection));
      DumpedValue dumped;
      REQUIRE(DecodeDump(EncodeDump(*object), &dumped).ok());
      Object::Free(object);
      CHECK(dumped.type == type);
      CHECK(dumped.value == EncodeCount(elements.size()));
      CHECK(ElementsOf(dumped) == expected);
    }
  }
  DumpedValue dumped;
  REQUIRE(DecodeDump(FromHex("0b0a020000000100000001000a00056f61290c490534"), &dumped).ok());
  CHECK(dumped.type == ObjectType::kSet);
  CHECK(ElementsOf(dumped) == std::map<std::string, std::string>{{"1", ""}});
  // A list of Redis 7.0.
  REQUIRE(DecodeDump(FromHex("1201020a0a0000000100816102ff0a0009b9edf594ded995"), &dumped).ok());
  CHECK(dumped.type == ObjectType::kList);
  CHECK(ElementsOf(dumped) ==
        std::map<std::string, std::string>{{ListObject::EncodePosition(0), "a"}});
}

TEST_CASE("sorted sets as Redis writes them, and what is none") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::map<std::string, std::string> few = {{"a", SortedSetObject::EncodeScore(1)},
                                                  {"", SortedSetObject::EncodeScore(-1.5)},
                                                  {"300", SortedSetObject::EncodeScore(infinity)}};
  std::map<std::string, std::string> more = few;
  more["b"] = SortedSetObject::EncodeScore(2);
  DumpedValue dumped;
  // A listpack and a skip list of Redis 7.0.
  REQUIRE(DecodeDump(FromHex("111c1c00000006008001842d312e35058161020101c12c0283696e6604ff0a0000"
                             "4873237d696449"),
                     &dumped)
              .ok());
  CHECK(dumped.type == ObjectType::kSortedSet);
  CHECK(dumped.value == EncodeCount(3));
  CHECK(ElementsOf(dumped) == few);
  REQUIRE(DecodeDump(FromHex("0504c12c01000000000000f07f0162000000000000004001610000000000"
                             "00f03f00000000000000f8bf0a0003cbda63a434217f"),
                     &dumped)
              .ok());
  CHECK(dumped.type == ObjectType::kSortedSet);
  CHECK(dumped.value == EncodeCount(4));
  CHECK(ElementsOf(dumped) == more);

  const std::string one = SortedSetObject::EncodeScore(1);
  const std::string nan = SortedSetObject::EncodeScore(std::numeric_limits<double>::quiet_NaN());
  const auto refused = [&dumped](const std::string& body) {
    return !DecodeDump(Sealed(body), &dumped).ok();
  };
  CHECK_FALSE(refused("\5\1\1a" + one));
  CHECK(refused("\5\2\1a" + one + "\1a" + one));  // a member twice
  CHECK(refused("\5\1\1a" + nan));
  CHECK(refused("\5\1\1a" + one.substr(1)));
  CHECK(refused("\5\1\1a" + one + "x"));
  CHECK(refused(std::string("\5\0", 2)));
  CHECK(refused("\5\x80\xff\xff\xff\xff\1a" + one));  // no memory is taken for a count that lies
  // Listpacks: an odd number of elements, a score that is none.
  CHECK(
      refused(std::string("\x11\x0a\x0a\0\0\0\1\0\x81"
                          "a\2\xff",
                          12)));
  CHECK(
      refused(std::string("\x11\x0d\x0d\0\0\0\2\0\x81"
                          "a\2\x81"
                          "b\2\xff",
                          15)));
}

TEST_CASE("damaged LZF is refused") {
  ObjectType type;
  std::string value;
  const auto lzf = [](std::string_view compressed, uint8_t size) {
    std::string body("\0\xc3", 2);
    body.push_back(static_cast<char>(compressed.size()));
    body.push_back(static_cast<char>(size));
    body.append(compressed);
    return Sealed(body);
  };
  const std::string ok(
      "\x01"
      "ab\x20\x01",
      5);  // "ab", then 3 bytes from 2 back
  REQUIRE(DecodeDump(lzf(ok, 5), &type, &value).ok());
  CHECK(value == "ababa");
  CHECK(!DecodeDump(lzf(ok, 4), &type, &value).ok());
  CHECK(!DecodeDump(lzf(ok, 6), &type, &value).ok());
  for (size_t n = 1; n < ok.size(); ++n) {
    CHECK(!DecodeDump(lzf(ok.substr(0, n), 5), &type, &value).ok());
  }
  std::string before_start = ok;
  before_start[4] = 2;
  CHECK(!DecodeDump(lzf(before_start, 5), &type, &value).ok());
  // A length that no compressed form of 5 bytes can reach must not be allocated.
  std::string liar("\0\xc3\x05\x80\x1f\xff\xff\xff", 8);
  CHECK(!DecodeDump(Sealed(liar + ok), &type, &value).ok());

  Rng rng(7);
  for (int round = 0; round < 20000; ++round) {
    std::string noise;
    for (uint64_t i = rng.Below(40); i > 0; --i) noise.push_back(static_cast<char>(rng.Next()));
    const auto size = static_cast<uint8_t>(rng.Below(64));
    std::string out;
    if (DecodeDump(lzf(noise, size), &type, &out).ok() && size < 64) CHECK(out.size() == size);
  }
}

}  // namespace
}  // namespace holdfast::data
