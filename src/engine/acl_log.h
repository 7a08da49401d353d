// ACL LOG: what was refused on this node lately. Core 0's loop thread only; other cores send it
// what they refuse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace holdfast::engine {

struct AclLogEntry {
  std::string_view reason;   // "command", "key", "channel" or "auth"
  std::string_view context;  // "toplevel", "multi" or "lua"
  std::string object;        // what was refused; the name of AUTH's command
  std::string username;
  std::string client;  // as CLIENT LIST shows it
  int64_t at_ms = 0;   // wall clock
  uint64_t count = 1;
};

class AclLog {
 public:
  // Adds it, or counts it with one of the latest that is alike. Entries above `max` are forgotten,
  // the oldest first.
  void Add(AclLogEntry entry, size_t max);
  void Clear() { entries_.clear(); }
  // The latest first.
  const std::deque<AclLogEntry>& entries() const { return entries_; }

 private:
  std::deque<AclLogEntry> entries_;
};

}  // namespace holdfast::engine
