// SHA-1: the names of scripts. Not for secrets. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

inline constexpr size_t kSha1HexDigits = 40;

// 40 lower-case hexadecimal digits.
std::string Sha1Hex(std::string_view bytes);

}  // namespace holdfast
