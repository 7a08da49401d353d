// The bytes of LevelDB records. DESIGN.md §3 names them; this header owns their format.
//
//   meta record    key    'm' slot(u16 BE) database(u32 BE) key-bytes
//                  value  format(1) type flags revision(u64 LE) age(varint) version(varint)
//                         [expire-at ms(varint)] [fence(varint)] value-bytes
//   element record key    'e' slot(u16 BE) database(u32 BE) generation(u64 BE) element-bytes
//                  value  value-bytes
//   garbage record key    'g' slot(u16 BE) database(u32 BE) generation(u64 BE)
//                  value  format(1)
//   system record  key    's' name
//
// `age` is revision - created revision. `database` is a physical database number: SELECT's 16
// numbers are mapped to physical ones by the system record "databases", so that FLUSHDB and
// SWAPDB are one small record, and the dead database's records are collected later.
// flags: 1 = expire-at follows, 2 = fence follows, 4 = raw.
//
// The value-bytes of a collection are its head (Collection::Head). Its elements have records of
// their own, found by its generation: its created revision, which no other key of the partition
// ever has. The key's name isn't repeated in each of them. When a collection is deleted, a garbage
// record says that the elements of this generation are to be collected.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/object.h"

namespace holdfast::data {

inline constexpr uint8_t kRecordFormat = 1;
inline constexpr uint32_t kLogicalDatabases = 16;
inline constexpr size_t kMetaKeyPrefix = 7;

// Names of the system records of a partition.
inline constexpr std::string_view kAppliedRecord = "sapplied";      // AppliedState
inline constexpr std::string_view kIdentityRecord = "sidentity";    // format, node, partition
inline constexpr std::string_view kDatabasesRecord = "sdatabases";  // DatabaseMap
// The largest revision of any effect up to the applied entry: format(1) u64 LE. The key that had it
// may be deleted, and revisions must not come again (P32).
inline constexpr std::string_view kRevisionRecord = "srevision";
// Who takes part in the partition's Raft group, as of the applied entry; raft's own encoding.
inline constexpr std::string_view kMembershipRecord = "smembership";

// Appends 'm' slot database key.
void AppendMetaKey(std::string* out, uint16_t slot, uint32_t database, std::string_view key);
// False when `record_key` is not a meta record's key.
[[nodiscard]] bool ParseMetaKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                                std::string_view* key);

// Appends 'e' slot database generation: what the keys of all elements of a collection begin with.
void AppendElementPrefix(std::string* out, uint16_t slot, uint32_t database, uint64_t generation);
[[nodiscard]] bool ParseElementKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                                   uint64_t* generation, std::string_view* element);
void AppendGarbageKey(std::string* out, uint16_t slot, uint32_t database, uint64_t generation);
[[nodiscard]] bool ParseGarbageKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                                   uint64_t* generation);

// Appends everything of a meta record's value but the value bytes.
// REQUIRES: version > 0, created <= revision, expire_at_ms >= 0, and 0 for a lock.
void AppendMeta(std::string* out, const Meta& meta);
// Reads what AppendMeta wrote; `*value` is the rest. Corruption (damage) or Unsupported (newer).
Status ParseMeta(std::string_view record, Meta* meta, std::string_view* value);

// Which physical database each of SELECT's numbers means, and the next unused physical number.
struct DatabaseMap {
  std::array<uint32_t, kLogicalDatabases> physical{};
  uint32_t next = kLogicalDatabases;

  // Number i is physical database i.
  static DatabaseMap Initial();
  // Whether any number means this physical database.
  bool IsLive(uint32_t database) const;
  bool operator==(const DatabaseMap&) const = default;
};
void AppendDatabaseMap(std::string* out, const DatabaseMap& map);
// Corruption also when two numbers mean the same database.
Status ParseDatabaseMap(std::string_view bytes, DatabaseMap* map);

// Longest lease of a lock, in ms: leaves room to add it to any clock.
inline constexpr uint64_t kMaxLeaseMs = uint64_t{1} << 62;

// The value of a lock: the length of its lease and who holds it. The fencing token is the created
// revision of the key.
struct LockValue {
  uint64_t lease_ms = 0;
  std::string_view owner;
};
std::string EncodeLock(const LockValue& lock);
// False for damaged bytes and for a lease above kMaxLeaseMs.
[[nodiscard]] bool DecodeLock(std::string_view bytes, LockValue* lock);

// The value of a sequence: the next number it gives out, the step between numbers, the last
// number it may give out.
struct SequenceValue {
  int64_t next = 1;
  int64_t increment = 1;
  int64_t max = INT64_MAX;
  bool operator==(const SequenceValue&) const = default;
};
std::string EncodeSequence(const SequenceValue& sequence);
[[nodiscard]] bool DecodeSequence(std::string_view bytes, SequenceValue* sequence);

}  // namespace holdfast::data
