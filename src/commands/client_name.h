// What clients may call themselves, and how a password is checked.
#pragma once

#include <string_view>

namespace holdfast::commands {

// Whether every byte is a printable ASCII character other than a blank: names stand unquoted in
// CLIENT LIST.
[[nodiscard]] bool IsPlainName(std::string_view name);

// Whether the two are the same, in a time that depends only on the lengths, so that a password
// can't be guessed byte by byte.
[[nodiscard]] bool ConstantTimeEquals(std::string_view given, std::string_view secret);

}  // namespace holdfast::commands
