// Fixed-width and variable-length integers in byte strings.
//
// Big-endian where the bytes must order like the numbers (LevelDB keys), little-endian elsewhere.
// A varint is LEB128: seven bits a byte, low bits first, at most ten bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast {

inline void AppendFixed16BE(std::string* out, uint16_t v) {
  const char b[2] = {static_cast<char>(v >> 8), static_cast<char>(v)};
  out->append(b, sizeof b);
}

inline void AppendFixed32BE(std::string* out, uint32_t v) {
  v = __builtin_bswap32(v);
  out->append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline void AppendFixed64BE(std::string* out, uint64_t v) {
  v = __builtin_bswap64(v);
  out->append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline void AppendFixed32(std::string* out, uint32_t v) {
  out->append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline void AppendFixed64(std::string* out, uint64_t v) {
  out->append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline uint16_t LoadFixed16BE(const char* p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  return static_cast<uint16_t>((u[0] << 8) | u[1]);
}

inline uint32_t LoadFixed32BE(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

inline uint64_t LoadFixed64BE(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

inline uint32_t LoadFixed32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline uint64_t LoadFixed64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void AppendVarint(std::string* out, uint64_t v) {
  char b[10];
  int n = 0;
  while (v >= 0x80) {
    b[n++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  b[n++] = static_cast<char>(v);
  out->append(b, static_cast<size_t>(n));
}

// A varint length, then the bytes.
inline void AppendLengthPrefixed(std::string* out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out->append(bytes);
}

// Reads the same encodings front to back. Every call says whether the bytes sufficed; after a
// failed call nothing more may be read from the reader.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

  [[nodiscard]] bool ReadByte(uint8_t* v) {
    if (rest_.empty()) return false;
    *v = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool ReadFixed32(uint32_t* v) {
    if (rest_.size() < sizeof *v) return false;
    *v = LoadFixed32(rest_.data());
    rest_.remove_prefix(sizeof *v);
    return true;
  }
  [[nodiscard]] bool ReadFixed64(uint64_t* v) {
    if (rest_.size() < sizeof *v) return false;
    *v = LoadFixed64(rest_.data());
    rest_.remove_prefix(sizeof *v);
    return true;
  }
  // Refuses an encoding longer than needed or above 2^64 - 1: every number has one encoding.
  [[nodiscard]] bool ReadVarint(uint64_t* v) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < rest_.size(); ++i) {
      const auto b = static_cast<uint8_t>(rest_[i]);
      if ((i == 9 && b > 1) || (i > 0 && b == 0)) return false;
      value |= static_cast<uint64_t>(b & 0x7f) << (7 * i);
      if ((b & 0x80) == 0) {
        *v = value;
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] bool ReadBytes(size_t n, std::string_view* out) {
    if (rest_.size() < n) return false;
    *out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }
  [[nodiscard]] bool ReadLengthPrefixed(std::string_view* out) {
    uint64_t n;
    return ReadVarint(&n) && n <= rest_.size() && ReadBytes(n, out);
  }

 private:
  std::string_view rest_;
};

}  // namespace holdfast
