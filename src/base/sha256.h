// SHA-256, for what may be stored of a password. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

inline constexpr size_t kSha256HexDigits = 64;

// 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);
// Whether `text` is such a hash.
[[nodiscard]] bool IsSha256Hex(std::string_view text);

}  // namespace holdfast
