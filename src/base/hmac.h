// HMAC-SHA256 (RFC 2104) and what goes with it: proof that somebody knows a secret, without showing
// it. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

inline constexpr size_t kHmacBytes = 32;

// kHmacBytes bytes. The key may be empty, and is then no secret.
std::string HmacSha256(std::string_view key, std::string_view bytes);

// Whether both are the same, in a time that depends on their lengths only: for comparing what a
// stranger sent with what he should have sent.
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace holdfast
