#include "base/hash.h"

#include <set>
#include <string>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

TEST_CASE("known answers of the hashes") {
  CHECK(Hash64("Hello world") == 0xb6acb9d84a38ff74ULL);
  CHECK(Hash64("") == 0x2d06800538d394c2ULL);
  CHECK(Crc16("123456789") == 0x31c3);
  CHECK(Crc16("") == 0);
  CHECK(Crc64(0, "123456789") == 0xe9c6d914c4b8d9caULL);
  CHECK(Crc64(0, "") == 0);
}

TEST_CASE("the seed changes XXH3") {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 100; ++seed) hashes.insert(Hash64("key", seed));
  CHECK(hashes.size() == 100);
}

TEST_CASE("CRC64 can be computed in pieces") {
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>(i * 7));
  const uint64_t whole = Crc64(0, text);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    CHECK(Crc64(Crc64(0, text.substr(0, cut)), text.substr(cut)) == whole);
  }
}

TEST_CASE("CRC16 of any length is that of its definition, bit by bit") {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    unsigned crc = 0;
    for (const char c : text) {
      crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8;
      for (int bit = 0; bit < 8; ++bit) {
        crc = ((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
      }
    }
    CHECK(Crc16(text) == crc);
    text.push_back(static_cast<char>(i * 89 + 200));
  }
}

TEST_CASE("any flipped bit changes the checksums") {
  std::string text = "the bytes of one record";
  const uint16_t crc16 = Crc16(text);
  const uint64_t crc64 = Crc64(0, text);
  const uint64_t xxh3 = Hash64(text);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    CHECK(Crc16(text) != crc16);
    CHECK(Crc64(0, text) != crc64);
    CHECK(Hash64(text) != xxh3);
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
  }
}

// The answers of CLUSTER KEYSLOT in Redis 7.0.15.
TEST_CASE("slots of keys") {
  CHECK(KeySlot("foo") == 12182);
  CHECK(KeySlot("bar") == 5061);
  CHECK(KeySlot("hello") == 866);
  CHECK(KeySlot("123456789") == 12739);
  CHECK(KeySlot("") == 0);
  CHECK(KeySlot("somekey") == 11058);
  CHECK(KeySlot("foo{hash_tag}") == 2515);
  CHECK(KeySlot("bar{hash_tag}") == 2515);
}

TEST_CASE("hash tags") {
  CHECK(HashTag("{user1000}.following") == "user1000");
  CHECK(HashTag("foo{}{bar}") == "foo{}{bar}");
  CHECK(HashTag("foo{{bar}}zap") == "{bar");
  CHECK(HashTag("foo{bar}{zap}") == "bar");
  CHECK(HashTag("foo{bar") == "foo{bar");
  CHECK(HashTag("foo}bar{") == "foo}bar{");
  CHECK(HashTag("}{a}") == "a");
  CHECK(HashTag("{") == "{");
  CHECK(HashTag("") == "");
}

}  // namespace
}  // namespace holdfast
