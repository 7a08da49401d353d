// SLOWLOG and LATENCY of one core. Loop thread only; readers gather over the cores.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace holdfast::engine {

// One slow command, as SLOWLOG GET shows it.
struct SlowEntry {
  uint64_t id = 0;
  int64_t unix_s = 0;
  int64_t duration_us = 0;
  std::vector<std::string> args;  // cut as Redis does: 32 arguments, 128 bytes each
  std::string client_address;
  std::string client_name;
};

class SlowLog {
 public:
  // Keeps the newest `max_len` entries. `id` is unique in the process.
  void Add(uint64_t id, int64_t unix_s, int64_t duration_us, const Command& command, Args args,
           std::string_view client_address, std::string_view client_name, size_t max_len);
  // Drops what is above `max_len`.
  void Trim(size_t max_len);
  void Reset() { entries_.clear(); }
  // Newest first.
  const std::deque<SlowEntry>& entries() const { return entries_; }

 private:
  std::deque<SlowEntry> entries_;
};

// Spikes of one kind of event: LATENCY LATEST and HISTORY. One sample a second and event, the
// largest; the newest 160, as in Redis.
class LatencyMonitor {
 public:
  struct Sample {
    int64_t unix_s = 0;
    int64_t ms = 0;
  };
  struct Event {
    std::deque<Sample> samples;
    int64_t max_ms = 0;
  };

  void Add(std::string_view event, int64_t unix_s, int64_t ms);
  // Forgets one event; returns whether there was one.
  bool Reset(std::string_view event);
  size_t ResetAll();
  const std::map<std::string, Event, std::less<>>& events() const { return events_; }

 private:
  std::map<std::string, Event, std::less<>> events_;
};

}  // namespace holdfast::engine
