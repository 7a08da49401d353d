// What clients may call themselves.
#pragma once

#include <string_view>

namespace holdfast::commands {

// Whether every byte is a printable ASCII character other than a blank: names stand unquoted in
// CLIENT LIST.
[[nodiscard]] bool IsPlainName(std::string_view name);

}  // namespace holdfast::commands
