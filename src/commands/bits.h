// Bits of a string, numbered from the most significant bit of its first byte on. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::commands {

// Ones among bits first..last. REQUIRES: first <= last < 8 * bytes.size().
int64_t CountOnes(std::string_view bytes, uint64_t first, uint64_t last);

// The first bit among first..last that is `bit`; -1 when there is none. REQUIRES: as CountOnes.
int64_t FindBit(std::string_view bytes, bool bit, uint64_t first, uint64_t last);

enum class BitOperation : uint8_t { kAnd, kOr, kXor, kNot };

// Makes *accumulated (operation) bytes; the shorter one counts as followed by zeros. For kNot
// `bytes` is ignored.
void CombineBits(BitOperation operation, std::string_view bytes, std::string* accumulated);

// What BITFIELD does when a number does not fit.
enum class Overflow : uint8_t { kWrap, kSaturate, kFail };

// A number of BITFIELD: i1..i64, u1..u63.
struct FieldType {
  bool is_signed = false;
  int bits = 0;

  bool operator==(const FieldType&) const = default;
};
[[nodiscard]] bool ParseFieldType(std::string_view text, FieldType* type);

// Bytes that a field of up to 64 bits can touch.
inline constexpr size_t kFieldWindow = 9;

// The field that begins `shift` bits into the window. REQUIRES: shift < 8.
int64_t ReadField(const unsigned char (&window)[kFieldWindow], unsigned shift, FieldType type);
void WriteField(unsigned char (&window)[kFieldWindow], unsigned shift, FieldType type,
                int64_t value);

// Fits `value` + `by` into the type. False when it doesn't fit and `overflow` is kFail. An unsigned
// field's `value` is below 2^63.
[[nodiscard]] bool AddToField(FieldType type, Overflow overflow, int64_t value, int64_t by,
                              int64_t* sum);
// Fits `value` into the type. As in Redis a negative number is a huge one to an unsigned field.
[[nodiscard]] bool FitField(FieldType type, Overflow overflow, int64_t value, int64_t* fitted);

}  // namespace holdfast::commands
