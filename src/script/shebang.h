// The first line of a script that says what it needs: `#!lua flags=no-writes,allow-stale`.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::script {

enum ScriptFlag : uint32_t {
  kNoWrites = 1u << 0,
  kAllowOom = 1u << 1,
  kAllowStale = 1u << 2,
  kNoCluster = 1u << 3,
  kAllowCrossSlotKeys = 1u << 4,
  // There is no such line: whatever the script calls is judged when it is called.
  kNoShebang = 1u << 5,
};

// The flags that are named, without kNoShebang, in the order in which FUNCTION LIST shows them.
struct NamedFlag {
  std::string_view name;
  ScriptFlag flag;
};
std::span<const NamedFlag> NamedFlags();
// 0 when there is none of that name, in any case.
uint32_t FlagByName(std::string_view name);

struct Shebang {
  uint32_t flags = kNoShebang;
  size_t code = 0;  // where the Lua code begins: at the end of that line, so that lines still count
};

// Reads the first line of `body`. Returns what is wrong with it, as Redis words it behind "ERR ";
// empty when nothing is.
std::string ParseShebang(std::string_view body, Shebang* shebang);

// Whether the script may write, as far as that line says; one that is wrong fails anyhow.
[[nodiscard]] bool MayWrite(std::string_view body);

}  // namespace holdfast::script
