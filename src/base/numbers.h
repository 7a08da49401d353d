// Numbers as Redis reads and prints them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

// A decimal 64-bit integer in its one canonical form: no spaces, no plus sign, no leading zeros,
// not "-0". Anything else, or an overflow, is refused.
[[nodiscard]] bool ParseInt64(std::string_view text, int64_t* value);
[[nodiscard]] bool ParseUint64(std::string_view text, uint64_t* value);

// A floating-point number as strtold reads it, all of `text`, without leading spaces, and not NaN.
[[nodiscard]] bool ParseLongDouble(std::string_view text, long double* value);
[[nodiscard]] bool ParseDouble(std::string_view text, double* value);

// Writes `value` in decimal to `buffer`, which holds at least 20 bytes; returns the length.
size_t FormatInt64(int64_t value, char* buffer);

// Like Redis's replies to INCRBYFLOAT: 17 digits after the point, trailing zeros cut, no exponent.
std::string FormatLongDouble(long double value);

// Like Redis 7.0's RESP doubles: printf's %.17g ("0.10000000000000001"), "inf", "-inf", "nan". The
// first form writes to `buffer`, which holds at least kMaxDoubleText bytes, and returns the length.
inline constexpr size_t kMaxDoubleText = 32;
size_t FormatDouble(double value, char* buffer);
std::string FormatDouble(double value);

// 0 when `b` is 0.
inline double Ratio(uint64_t a, uint64_t b) {
  return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
}

// A size with Redis's units (b, k, kb, m, mb, g, gb; k = 1000, kb = 1024), case-insensitive.
[[nodiscard]] bool ParseMemorySize(std::string_view text, uint64_t* bytes);

// ASCII case folding and comparison; option names and command names are ASCII.
std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);
[[nodiscard]] bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace holdfast
