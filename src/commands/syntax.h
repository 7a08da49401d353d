// The notation in which a command's row gives its arguments, which is the one of Redis's
// documentation, and what COMMAND DOCS makes of it:
//
//     key value [NX | XX] [GET] [EX seconds | KEEPTTL]     a word in capitals is a token
//     key [key ...]                                        repetition of what stands before it
//     [TYPE <NORMAL | REPLICA>]                            < > groups without being optional
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace holdfast::commands {

// One argument as COMMAND DOCS reports it.
struct Argument {
  enum class Type : uint8_t {
    kString,
    kInteger,
    kDouble,
    kKey,
    kPattern,
    kUnixTime,
    kPureToken,
    kOneOf,
    kBlock
  };
  std::string name;
  Type type = Type::kString;
  std::string token;        // the word before it, or the word itself; may be empty
  int key_spec_index = -1;  // kKey: which of the command's key specifications finds it
  bool optional = false;
  bool multiple = false;
  bool multiple_token = false;      // the token is repeated too
  std::vector<Argument> arguments;  // kOneOf, kBlock
};

// Redis's name of the type: "pure-token".
std::string_view TypeName(Argument::Type type);

// Reads a syntax line. nullopt when it isn't in the notation.
std::optional<std::vector<Argument>> ParseSyntax(std::string_view syntax);

// The arguments of a command, with its keys marked. REQUIRES: its syntax is in the notation.
std::vector<Argument> ArgumentsOf(const engine::Command& command);

}  // namespace holdfast::commands
