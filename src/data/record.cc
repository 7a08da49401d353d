#include "data/record.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast::data {
namespace {

enum MetaFlags : uint8_t { kHasExpiry = 1, kHasFence = 2, kIsRaw = 4, kKnownFlags = 7 };

}  // namespace

void AppendMetaKey(std::string* out, uint16_t slot, uint32_t database, std::string_view key) {
  out->push_back('m');
  AppendFixed16BE(out, slot);
  AppendFixed32BE(out, database);
  out->append(key);
}

bool ParseMetaKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                  std::string_view* key) {
  if (record_key.size() < kMetaKeyPrefix || record_key[0] != 'm') return false;
  *slot = LoadFixed16BE(record_key.data() + 1);
  *database = LoadFixed32BE(record_key.data() + 3);
  *key = record_key.substr(kMetaKeyPrefix);
  return *slot < kSlots;
}

namespace {

// type slot database generation
constexpr size_t kGenerationPrefix = kMetaKeyPrefix + 8;

void AppendGeneration(std::string* out, char type, uint16_t slot, uint32_t database,
                      uint64_t generation) {
  out->push_back(type);
  AppendFixed16BE(out, slot);
  AppendFixed32BE(out, database);
  AppendFixed64BE(out, generation);
}

bool ParseGeneration(std::string_view record_key, char type, uint16_t* slot, uint32_t* database,
                     uint64_t* generation) {
  if (record_key.size() < kGenerationPrefix || record_key[0] != type) return false;
  *slot = LoadFixed16BE(record_key.data() + 1);
  *database = LoadFixed32BE(record_key.data() + 3);
  *generation = LoadFixed64BE(record_key.data() + kMetaKeyPrefix);
  return *slot < kSlots;
}

}  // namespace

void AppendElementPrefix(std::string* out, uint16_t slot, uint32_t database, uint64_t generation) {
  AppendGeneration(out, 'e', slot, database, generation);
}

bool ParseElementKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                     uint64_t* generation, std::string_view* element) {
  if (!ParseGeneration(record_key, 'e', slot, database, generation)) return false;
  *element = record_key.substr(kGenerationPrefix);
  return true;
}

void AppendGarbageKey(std::string* out, uint16_t slot, uint32_t database, uint64_t generation) {
  AppendGeneration(out, 'g', slot, database, generation);
}

bool ParseGarbageKey(std::string_view record_key, uint16_t* slot, uint32_t* database,
                     uint64_t* generation) {
  return record_key.size() == kGenerationPrefix &&
         ParseGeneration(record_key, 'g', slot, database, generation);
}

void AppendMeta(std::string* out, const Meta& meta) {
  // What ParseMeta would refuse must not reach a log or a store.
  CHECK(meta.version > 0 && meta.created <= meta.revision && meta.expire_at_ms >= 0);
  CHECK(meta.type != ObjectType::kLock || meta.expire_at_ms == 0);
  const uint8_t flags =
      static_cast<uint8_t>((meta.expire_at_ms != 0 ? kHasExpiry : 0) |
                           (meta.fence != 0 ? kHasFence : 0) | (meta.raw ? kIsRaw : 0));
  const char head[3] = {static_cast<char>(kRecordFormat), static_cast<char>(meta.type),
                        static_cast<char>(flags)};
  out->append(head, sizeof head);
  AppendFixed64(out, meta.revision);
  AppendVarint(out, meta.revision - meta.created);
  AppendVarint(out, meta.version);
  if (meta.expire_at_ms != 0) AppendVarint(out, static_cast<uint64_t>(meta.expire_at_ms));
  if (meta.fence != 0) AppendVarint(out, meta.fence);
}

Status ParseMeta(std::string_view record, Meta* meta, std::string_view* value) {
  ByteReader in(record);
  uint8_t format;
  uint8_t type;
  uint8_t flags;
  uint64_t age;
  uint64_t version;
  if (!in.ReadByte(&format)) return Status::Corruption("empty meta record");
  if (format != kRecordFormat) {
    return Status::Unsupported("meta record of format " + std::to_string(format) +
                               "; this holdfast reads format " + std::to_string(kRecordFormat));
  }
  if (!in.ReadByte(&type) || !in.ReadByte(&flags) || !in.ReadFixed64(&meta->revision) ||
      !in.ReadVarint(&age) || !in.ReadVarint(&version)) {
    return Status::Corruption("meta record is cut short");
  }
  if (type > static_cast<uint8_t>(ObjectType::kStream) || (flags & ~kKnownFlags) != 0 ||
      age > meta->revision || version == 0 || version > UINT32_MAX) {
    return Status::Corruption("meta record has impossible fields");
  }
  meta->type = static_cast<ObjectType>(type);
  meta->raw = (flags & kIsRaw) != 0;
  meta->created = meta->revision - age;
  meta->version = static_cast<uint32_t>(version);
  meta->expire_at_ms = 0;
  meta->fence = 0;
  if ((flags & kHasExpiry) != 0) {
    uint64_t at;
    if (!in.ReadVarint(&at) || at == 0 || at > INT64_MAX) {
      return Status::Corruption("meta record has an impossible expiry");
    }
    if (meta->type == ObjectType::kLock) {
      return Status::Corruption("meta record of a lock has an expiry");
    }
    meta->expire_at_ms = static_cast<int64_t>(at);
  }
  if ((flags & kHasFence) != 0 && (!in.ReadVarint(&meta->fence) || meta->fence == 0)) {
    return Status::Corruption("meta record has an impossible fence");
  }
  *value = in.rest();
  return Status::Ok();
}

DatabaseMap DatabaseMap::Initial() {
  DatabaseMap map;
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) map.physical[i] = i;
  return map;
}

bool DatabaseMap::IsLive(uint32_t database) const {
  return std::find(physical.begin(), physical.end(), database) != physical.end();
}

void AppendDatabaseMap(std::string* out, const DatabaseMap& map) {
  out->push_back(static_cast<char>(kRecordFormat));
  for (const uint32_t physical : map.physical) AppendVarint(out, physical);
  AppendVarint(out, map.next);
}

Status ParseDatabaseMap(std::string_view bytes, DatabaseMap* map) {
  ByteReader in(bytes);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty databases record");
  if (format != kRecordFormat) return Status::Unsupported("databases record of a newer format");
  uint64_t number;
  for (uint32_t& physical : map->physical) {
    if (!in.ReadVarint(&number) || number >= UINT32_MAX) {
      return Status::Corruption("databases record is damaged");
    }
    physical = static_cast<uint32_t>(number);
  }
  if (!in.ReadVarint(&number) || number >= UINT32_MAX || !in.empty()) {
    return Status::Corruption("databases record is damaged");
  }
  map->next = static_cast<uint32_t>(number);
  for (auto at = map->physical.begin(); at != map->physical.end(); ++at) {
    if (*at >= map->next || std::find(map->physical.begin(), at, *at) != at) {
      return Status::Corruption("databases record is damaged");
    }
  }
  return Status::Ok();
}

std::string EncodeLock(const LockValue& lock) {
  std::string out;
  AppendVarint(&out, lock.lease_ms);
  out.append(lock.owner);
  return out;
}

bool DecodeLock(std::string_view bytes, LockValue* lock) {
  ByteReader in(bytes);
  if (!in.ReadVarint(&lock->lease_ms) || lock->lease_ms > kMaxLeaseMs) return false;
  lock->owner = in.rest();
  return true;
}

std::string EncodeSequence(const SequenceValue& sequence) {
  std::string out;
  AppendFixed64(&out, static_cast<uint64_t>(sequence.next));
  AppendFixed64(&out, static_cast<uint64_t>(sequence.increment));
  AppendFixed64(&out, static_cast<uint64_t>(sequence.max));
  return out;
}

bool DecodeSequence(std::string_view bytes, SequenceValue* sequence) {
  ByteReader in(bytes);
  uint64_t next;
  uint64_t increment;
  uint64_t max;
  if (!in.ReadFixed64(&next) || !in.ReadFixed64(&increment) || !in.ReadFixed64(&max) ||
      !in.empty()) {
    return false;
  }
  sequence->next = static_cast<int64_t>(next);
  sequence->increment = static_cast<int64_t>(increment);
  sequence->max = static_cast<int64_t>(max);
  return true;
}

}  // namespace holdfast::data
