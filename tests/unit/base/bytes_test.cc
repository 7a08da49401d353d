#include "base/bytes.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

// Numbers of every length in bits, with their neighbours.
std::vector<uint64_t> Interesting() {
  std::vector<uint64_t> numbers = {0, UINT64_MAX};
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    numbers.insert(numbers.end(), {power - 1, power, power + 1});
  }
  Rng rng(1);
  for (int i = 0; i < 200; ++i) numbers.push_back(rng.Next() >> rng.Below(64));
  return numbers;
}

std::string Varint(uint64_t v) {
  std::string bytes;
  AppendVarint(&bytes, v);
  return bytes;
}

TEST_CASE("fixed widths have the documented byte order") {
  std::string bytes;
  AppendFixed16BE(&bytes, 0x0102);
  AppendFixed32BE(&bytes, 0x03040506);
  AppendFixed64BE(&bytes, 0x0708090a0b0c0d0eULL);
  CHECK(bytes == "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e");
  bytes.clear();
  AppendFixed32(&bytes, 0x03040506);
  AppendFixed64(&bytes, 0x0708090a0b0c0d0eULL);
  CHECK(bytes == "\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07");
}

TEST_CASE("fixed widths come back, at any alignment") {
  for (const uint64_t n : Interesting()) {
    std::string bytes = "x";
    AppendFixed16BE(&bytes, static_cast<uint16_t>(n));
    AppendFixed32BE(&bytes, static_cast<uint32_t>(n));
    AppendFixed64BE(&bytes, n);
    AppendFixed32(&bytes, static_cast<uint32_t>(n));
    AppendFixed64(&bytes, n);
    CHECK(bytes.size() == 1 + 2 + 4 + 8 + 4 + 8);
    const char* p = bytes.data();
    CHECK(LoadFixed16BE(p + 1) == static_cast<uint16_t>(n));
    CHECK(LoadFixed32BE(p + 3) == static_cast<uint32_t>(n));
    CHECK(LoadFixed64BE(p + 7) == n);
    CHECK(LoadFixed32(p + 15) == static_cast<uint32_t>(n));
    CHECK(LoadFixed64(p + 19) == n);
  }
}

TEST_CASE("big-endian numbers order like their bytes") {
  const std::vector<uint64_t> numbers = Interesting();
  for (size_t i = 1; i < numbers.size(); ++i) {
    std::string a;
    std::string b;
    AppendFixed64BE(&a, numbers[i - 1]);
    AppendFixed64BE(&b, numbers[i]);
    CHECK((a < b) == (numbers[i - 1] < numbers[i]));
  }
}

TEST_CASE("varints: known encodings") {
  CHECK(Varint(0) == std::string(1, '\0'));
  CHECK(Varint(127) == "\x7f");
  CHECK(Varint(128) == "\x80\x01");
  CHECK(Varint(300) == "\xac\x02");
  CHECK(Varint(UINT64_MAX) == "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

TEST_CASE("varints come back, and no prefix of one does") {
  for (const uint64_t n : Interesting()) {
    const std::string bytes = Varint(n);
    uint64_t back = ~n;
    ByteReader reader(bytes);
    REQUIRE(reader.ReadVarint(&back));
    CHECK(back == n);
    CHECK(reader.empty());
    for (size_t length = 0; length < bytes.size(); ++length) {
      ByteReader cut(std::string_view(bytes).substr(0, length));
      CHECK_FALSE(cut.ReadVarint(&back));
    }
  }
}

TEST_CASE("varints beyond 64 bits are refused") {
  uint64_t v;
  CHECK_FALSE(ByteReader("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").ReadVarint(&v));
  CHECK_FALSE(ByteReader("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01").ReadVarint(&v));
  CHECK_FALSE(ByteReader("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").ReadVarint(&v));
}

TEST_CASE("the reader takes each field once and stops at the end") {
  std::string bytes = "\x2a";
  AppendFixed32(&bytes, 77);
  AppendFixed64(&bytes, 88);
  AppendLengthPrefixed(&bytes, "hello");
  AppendLengthPrefixed(&bytes, "");
  bytes += "rest";
  ByteReader reader(bytes);
  uint8_t byte;
  uint32_t word;
  uint64_t wide;
  std::string_view text;
  REQUIRE(reader.ReadByte(&byte));
  CHECK(byte == 42);
  REQUIRE(reader.ReadFixed32(&word));
  CHECK(word == 77);
  REQUIRE(reader.ReadFixed64(&wide));
  CHECK(wide == 88);
  REQUIRE(reader.ReadLengthPrefixed(&text));
  CHECK(text == "hello");
  REQUIRE(reader.ReadLengthPrefixed(&text));
  CHECK(text.empty());
  CHECK(reader.rest() == "rest");
  CHECK_FALSE(reader.ReadFixed64(&wide));
  CHECK_FALSE(reader.ReadBytes(5, &text));
  REQUIRE(reader.ReadBytes(4, &text));
  CHECK(text == "rest");
  CHECK(reader.empty());
  CHECK_FALSE(reader.ReadByte(&byte));
  CHECK_FALSE(reader.ReadFixed32(&word));
  CHECK_FALSE(reader.ReadVarint(&wide));
}

TEST_CASE("a length beyond the bytes is refused, even one near 2^64") {
  for (const uint64_t length : {uint64_t{4}, uint64_t{1} << 40, UINT64_MAX}) {
    std::string bytes = Varint(length) + "abc";
    std::string_view text;
    CHECK_FALSE(ByteReader(bytes).ReadLengthPrefixed(&text));
  }
}

}  // namespace
}  // namespace holdfast
