// Which arguments of a request are secrets. MONITOR, SLOWLOG and logs show "(redacted)" for them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/command.h"

namespace holdfast::engine {

inline constexpr std::string_view kRedacted = "(redacted)";

// Whether args[i] is a password, or the user name with it.
[[nodiscard]] bool IsSecret(const Command& command, Args args, size_t i);

// Appends `text` in double quotes, with everything unprintable escaped, as MONITOR shows it.
void AppendQuoted(std::string_view text, std::string* out);

}  // namespace holdfast::engine
