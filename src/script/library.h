// One library of functions: what FUNCTION LOAD brings, and the record that keeps it.
//
// Libraries are keys of the meta partition, "library/<name>" in its database 0. The value:
//
//   u8 version (1) | varint count, for each function: varint length, name | varint flags |
//   u8 has a description | [varint length, description] | code, to the end
//
// What the functions are is known by running the code; it is kept so that nobody has to run it to
// list them or to find that a name is taken. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "script/shebang.h"

namespace holdfast::script {

inline constexpr std::string_view kLibraryPrefix = "library/";

struct Function {
  std::string name;
  std::optional<std::string> description;
  uint32_t flags = 0;  // ScriptFlag
  bool operator==(const Function&) const = default;
};

struct Library {
  std::string name;
  std::string code;                 // with its first line
  std::vector<Function> functions;  // in the order of their registration
  bool operator==(const Library&) const = default;

  // Where the Lua code begins in `code`: at the end of its first line, so that lines still count.
  std::string_view body() const { return std::string_view(code).substr(code.find('\n')); }
};

// "#!lua name=mylib" of `code`. What is wrong with it, as Redis words it behind "ERR "; empty when
// nothing is.
std::string ParseLibraryName(std::string_view code, std::string* name);
// Letters, digits and underscores, at least one.
[[nodiscard]] bool IsFunctionName(std::string_view name);
inline constexpr const char* kBadFunctionName =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one "
    "character long";

std::string LibraryKey(std::string_view name);
std::string EncodeLibrary(const Library& library);
// Corruption for anything that EncodeLibrary doesn't write, Unsupported for another version.
// `key` is LibraryKey of its name.
Status DecodeLibrary(std::string_view key, std::string_view value, Library* library);

// FUNCTION DUMP's payload: Redis's. For each library the byte 245 and its code as an RDB string;
// then as behind DUMP's (data/dump.h).
std::string DumpLibraries(const std::vector<const Library*>& libraries);
// The codes in a payload. What is wrong with it, as Redis words it behind "ERR ".
std::string ReadLibraries(std::string_view payload, std::vector<std::string>* codes);

}  // namespace holdfast::script
