// The hashes Holdfast uses: XXH3 for checksums, tables and digests, CRC16 for slots.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

inline constexpr uint32_t kSlots = 16384;

// XXH3, 64 bits. Any thread.
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

// CRC-16/XMODEM, as Redis Cluster's specification names it.
uint16_t Crc16(std::string_view bytes);

// CRC-64 with Redis's polynomial ("Jones", reflected), the checksum of DUMP payloads.
// `crc` is the value so far, 0 at the start.
uint64_t Crc64(uint64_t crc, std::string_view bytes);

// The part of a key that decides its slot: what stands between the first '{' and the next '}' when
// that is not empty, else the whole key.
std::string_view HashTag(std::string_view key);

// 0..kSlots-1.
inline uint16_t KeySlot(std::string_view key) {
  return static_cast<uint16_t>(Crc16(HashTag(key)) % kSlots);
}

}  // namespace holdfast
