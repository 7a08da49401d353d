// Keyspace notifications: which events of keys clients may subscribe to (notify-keyspace-events),
// and what tells of one.
//
//   handler ──Notify──▶ the partition's queue ──committed──▶ PubSub, as PUBLISH would
//
// An event is published when the entry that made it is committed, before the request that caused it
// is answered, by the partition's leader and to subscribers of all nodes. Like every message it
// arrives at most once: what a leader was about to publish when it lost its office is not.
//
// Plain data and pure functions: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::engine {

// What clients subscribe to, by the letters of notify-keyspace-events; or-ed together.
enum KeyEventClass : uint32_t {
  kEventsOfKeys = 1 << 0,     // K: messages on __keyspace@<db>__:<key>
  kEventsByName = 1 << 1,     // E: messages on __keyevent@<db>__:<event>
  kGenericEvents = 1 << 2,    // g
  kStringEvents = 1 << 3,     // $
  kListEvents = 1 << 4,       // l
  kSetEvents = 1 << 5,        // s
  kHashEvents = 1 << 6,       // h
  kSortedSetEvents = 1 << 7,  // z
  kExpiredEvents = 1 << 8,    // x
  kEvictedEvents = 1 << 9,    // e
  kStreamEvents = 1 << 10,    // t
  kKeyMissEvents = 1 << 11,   // m: a read of a missing key; not in A
  kModuleEvents = 1 << 12,    // d: Redis's modules have them, here there are none
  kNewKeyEvents = 1 << 13,    // n: not in A
  // A
  kAllEvents = kGenericEvents | kStringEvents | kListEvents | kSetEvents | kHashEvents |
               kSortedSetEvents | kExpiredEvents | kEvictedEvents | kStreamEvents | kModuleEvents,
};

// Reads letters in any order. False, with nothing changed, when one is no class.
[[nodiscard]] bool ParseKeyEvents(std::string_view letters, uint32_t* classes);
// As Redis writes them, which forgets n behind A.
std::string FormatKeyEvents(uint32_t classes);

// Whether a configuration wants events of this class on any channel.
inline bool WantsKeyEvents(uint32_t wanted, uint32_t event_class) {
  return (wanted & event_class) != 0 && (wanted & (kEventsOfKeys | kEventsByName)) != 0;
}

struct KeyEvent {
  uint64_t entry = 0;     // the one that makes it, or the last one that it has seen
  uint32_t db = 0;        // of SELECT
  std::string_view name;  // static
  std::string key;
};

}  // namespace holdfast::engine
