// Raft's values as text, and back: the words of the scenarios.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"

namespace holdfast::raft::testing {

std::vector<std::string> Split(std::string_view text, char separator);
// Separated by blanks; no empty words.
std::vector<std::string> Words(std::string_view text);

std::optional<uint64_t> ParseNumber(std::string_view text);
std::optional<std::vector<uint64_t>> ParseNumbers(std::string_view text);  // 1,2,3
std::optional<LogPosition> ParsePosition(std::string_view text);           // 5@2
// 5@2:payload, 5@2:(noop), 5@2:[1.2/1/3] for a configuration, 5@2 for an empty payload.
std::optional<Entry> ParseEntry(std::string_view text);
std::optional<std::vector<Entry>> ParseEntries(std::string_view text);
// `kind from>to key=value …` as Show writes it.
std::optional<Message> ParseMessage(std::string_view text);

std::string Show(LogPosition position);
std::string Show(const Membership& membership);  // voters/outgoing/learners, as 1.2.3/1.2/4
std::string Show(const Entry& entry);
std::string Show(const Message& message);
std::string Show(const Standing& standing);
std::string Show(Refusal refusal);

// The lines of an update; `commit_before` tells whether the commit index moved, `membership` is the
// one in force behind it. Empty when nothing is in it.
std::vector<std::string> Show(const Update& update, uint64_t commit_before,
                              const Membership& membership);

}  // namespace holdfast::raft::testing
