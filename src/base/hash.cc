#include "base/hash.h"

#include <xxhash.h>

#include <array>

namespace holdfast {
namespace {

constexpr std::array<uint16_t, 256> MakeCrc16Table() {
  std::array<uint16_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    unsigned crc = i << 8;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    table[i] = static_cast<uint16_t>(crc);
  }
  return table;
}

// Reflected form of the polynomial 0xad93d23594c935a9.
constexpr std::array<uint64_t, 256> MakeCrc64Table() {
  std::array<uint64_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    uint64_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x95ac9329ac4bc9b5ULL : crc >> 1;
    }
    table[i] = crc;
  }
  return table;
}

// Four bytes at a time ("slicing"): tables[n][b] is what byte b does to the sum when n bytes follow
// it.
constexpr std::array<std::array<uint16_t, 256>, 4> MakeCrc16Tables() {
  std::array<std::array<uint16_t, 256>, 4> tables{};
  tables[0] = MakeCrc16Table();
  for (unsigned n = 1; n < 4; ++n) {
    for (unsigned i = 0; i < 256; ++i) {
      const unsigned crc = tables[n - 1][i];
      tables[n][i] = static_cast<uint16_t>((crc << 8) ^ tables[0][crc >> 8]);
    }
  }
  return tables;
}

constexpr auto kCrc16Tables = MakeCrc16Tables();
constexpr auto kCrc64Table = MakeCrc64Table();

}  // namespace

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint16_t Crc16(std::string_view bytes) {
  unsigned crc = 0;  // never above 16 bits
  while (bytes.size() >= 4) {
    const auto* b = reinterpret_cast<const unsigned char*>(bytes.data());
    crc = kCrc16Tables[3][(crc >> 8) ^ b[0]] ^ kCrc16Tables[2][(crc & 0xff) ^ b[1]] ^
          kCrc16Tables[1][b[2]] ^ kCrc16Tables[0][b[3]];
    bytes.remove_prefix(4);
  }
  for (const char c : bytes) {
    crc = ((crc << 8) & 0xffff) ^ kCrc16Tables[0][(crc >> 8) ^ static_cast<unsigned char>(c)];
  }
  return static_cast<uint16_t>(crc);
}

uint64_t Crc64(uint64_t crc, std::string_view bytes) {
  for (const char c : bytes) {
    crc = kCrc64Table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  }
  return crc;
}

std::string_view HashTag(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace holdfast
