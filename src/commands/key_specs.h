// Key specifications for the rows of the command table.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/command.h"

namespace holdfast::commands {

// One key: the argument `at`.
constexpr engine::KeySpec KeyAt(int at, uint32_t flags) {
  return {engine::KeySpec::Kind::kRange, at, at, 1, flags};
}

// Keys from the argument `first` to `last` (negative: counted from the end), `step` apart.
constexpr engine::KeySpec KeysFrom(int first, int last, int step, uint32_t flags) {
  return {engine::KeySpec::Kind::kRange, first, last, step, flags};
}

// As many keys as the argument `number` says, from the one behind it on, `step` apart.
constexpr engine::KeySpec CountedKeys(int number, int step, uint32_t flags) {
  return {engine::KeySpec::Kind::kNumKeys, number, 0, step, flags};
}

// The key behind the word `keyword`, which is looked for from the argument `first` on.
constexpr engine::KeySpec KeyBehind(std::string_view keyword, int first, uint32_t flags) {
  return {engine::KeySpec::Kind::kKeyword, first, 0, 1, flags, keyword};
}

// The streams of XREAD, behind an option that is the argument `first` or a later one.
constexpr engine::KeySpec StreamKeys(int first, uint32_t flags) {
  return {engine::KeySpec::Kind::kStreams, first, 0, 1, flags};
}

// The destination of SORT, whose options begin at the argument `first`.
constexpr engine::KeySpec SortStoreKey(int first, uint32_t flags) {
  return {engine::KeySpec::Kind::kSortStore, first, 0, 1, flags};
}

}  // namespace holdfast::commands
