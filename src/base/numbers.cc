#include "base/numbers.h"

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace holdfast {
namespace {

// The text length that strtold can need: far above the digits of any long double a client sends.
constexpr size_t kMaxFloatText = 5 * 1024;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

template <typename T>
bool ParseCanonical(std::string_view text, T* value) {
  if (text.empty() || text.size() > 20) return false;
  const bool negative = text[0] == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return false;
  if (digits[0] == '0' && text.size() > 1) return false;
  T parsed;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  *value = parsed;
  return true;
}

}  // namespace

bool ParseInt64(std::string_view text, int64_t* value) { return ParseCanonical(text, value); }
bool ParseUint64(std::string_view text, uint64_t* value) { return ParseCanonical(text, value); }

bool ParseLongDouble(std::string_view text, long double* value) {
  if (text.empty() || text.size() >= kMaxFloatText) return false;
  if (std::isspace(static_cast<unsigned char>(text[0])) != 0) return false;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long double parsed = std::strtold(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return false;
  if (errno == ERANGE && (std::isinf(parsed) || parsed == 0)) return false;
  if (std::isnan(parsed)) return false;
  *value = parsed;
  return true;
}

bool ParseDouble(std::string_view text, double* value) {
  if (text.empty() || text.size() >= kMaxFloatText) return false;
  if (std::isspace(static_cast<unsigned char>(text[0])) != 0) return false;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const double parsed = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return false;
  if (errno == ERANGE && (std::isinf(parsed) || parsed == 0)) return false;
  if (std::isnan(parsed)) return false;
  *value = parsed;
  return true;
}

size_t FormatInt64(int64_t value, char* buffer) {
  return static_cast<size_t>(std::to_chars(buffer, buffer + 20, value).ptr - buffer);
}

std::string FormatLongDouble(long double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (std::isnan(value)) return "nan";
  char buffer[5 * 1024];
  const int n = std::snprintf(buffer, sizeof buffer, "%.17Lf", value);
  std::string text(buffer, static_cast<size_t>(n));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  if (text == "-0") text = "0";
  return text;
}

size_t FormatDouble(double value, char* buffer) {
  if (std::isnan(value)) {
    std::memcpy(buffer, "nan", 3);
    return 3;
  }
  // Scores are mostly integers, and up to 17 digits %.17g prints those without an exponent.
  const bool minus_zero = value == 0 && std::signbit(value);
  if (std::fabs(value) < 1e17 && value == std::trunc(value) && !minus_zero) {
    return FormatInt64(static_cast<int64_t>(value), buffer);
  }
  const auto [end, error] =
      std::to_chars(buffer, buffer + kMaxDoubleText, value, std::chars_format::general, 17);
  CHECK(error == std::errc());
  return static_cast<size_t>(end - buffer);
}

std::string FormatDouble(double value) {
  char buffer[kMaxDoubleText];
  return std::string(buffer, FormatDouble(value, buffer));
}

bool ParseMemorySize(std::string_view text, uint64_t* bytes) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  if (digits == 0) return false;
  uint64_t number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc() || end != text.data() + digits) return false;
  const std::string unit = ToLower(text.substr(digits));
  uint64_t factor;
  if (unit.empty() || unit == "b") {
    factor = 1;
  } else if (unit == "k") {
    factor = 1000;
  } else if (unit == "kb") {
    factor = 1024;
  } else if (unit == "m") {
    factor = 1000 * 1000;
  } else if (unit == "mb") {
    factor = 1024 * 1024;
  } else if (unit == "g") {
    factor = 1000ULL * 1000 * 1000;
  } else if (unit == "gb") {
    factor = 1024ULL * 1024 * 1024;
  } else {
    return false;
  }
  return !__builtin_mul_overflow(number, factor, bytes);
}

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = Lower(c);
  return out;
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = Upper(c);
  return out;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

}  // namespace holdfast
