// The current state of one partition in memory: every key of its databases.
//
// State changes only through Apply, with effects; commands read objects through Find. Loop thread
// of the owning core only, except where a database that was flushed is freed.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/status.h"
#include "data/collection.h"
#include "data/deadline_heap.h"
#include "data/effect.h"
#include "data/table.h"

namespace holdfast::data {

// The keys of one physical database.
struct Database {
  Database(uint32_t number, uint16_t first_slot, uint16_t last_slot, uint64_t seed)
      : physical(number), table(first_slot, last_slot, seed) {}

  const uint32_t physical;
  Table table;
  DeadlineHeap expiries;    // keys with an expiry time; deadline in wall-clock ms since 1970
  size_t object_bytes = 0;  // memory of all objects
  uint64_t cold_keys = 0;   // whose values are in the store only

  size_t MemoryBytes() const { return object_bytes + table.MemoryBytes(); }
};

class Keyspace {
 public:
  struct Options {
    uint16_t first_slot = 0;
    uint16_t last_slot = kSlots - 1;
    uint64_t hash_seed = 0;
    const Clock* clock = nullptr;
    // Takes a database that was flushed, to free it where it stalls nobody. Unset: freed at once.
    std::function<void(std::unique_ptr<Database>)> retire;
    // The same for a large collection that was deleted.
    std::function<void(std::unique_ptr<Collection>)> retire_collection;
    const EncodingLimits* limits = nullptr;  // nullptr: the defaults
    // When loading: what comes after so many bytes of memory is left cold. 0 = no limit.
    size_t resident_bytes = 0;
  };
  explicit Keyspace(Options options);

  HashedKey Hash(std::string_view key) const {
    return {key, Hash64(key, options_.hash_seed), KeySlot(key)};
  }

  // The database that SELECT's number means. REQUIRES: logical < kLogicalDatabases.
  Database* Logical(uint32_t logical) const { return databases_[logical].get(); }
  // nullptr when no SELECT number means it any more.
  Database* Physical(uint32_t physical) const;
  uint32_t LogicalOf(uint32_t physical) const;
  const DatabaseMap& map() const { return map_; }

  // When the key expires, in ms since 1970; 0 = never. Locks don't expire by wall clock.
  static int64_t ExpireAt(const Database& database, const Object* object);
  // The meta of an object as an effect would carry it.
  static Meta MetaOf(const Database& database, const Object* object);

  // Applies one effect. `existing` is the object of effect.key, or nullptr, when the caller looked
  // it up already. Returns the key's object afterwards, nullptr when there is none (any more).
  // REQUIRES: effect.hash is set for effects on keys; effects are in log order.
  Object* Apply(const Effect& effect, Object* existing);
  // Applies the payload of a committed entry (follower, replay). Corruption when it can't be read
  // or contradicts the state; some of its effects may have been applied then.
  Status ApplyPayload(std::string_view payload);
  // Takes in one record of the store, when loading. Records of dead databases set
  // found_dead_records() and are ignored; `dead`, unless null, says whether this is one.
  // REQUIRES: no record with this key was loaded before.
  Status Load(std::string_view record_key, std::string_view record_value, bool* dead = nullptr);
  // The same for an element record. Those of collections that are no more set found_garbage(), as
  // do garbage records, and are ignored. REQUIRES: all meta records are loaded.
  Status LoadElement(std::string_view record_key, std::string_view record_value);
  // Everything is loaded. Corruption: a collection lacks elements.
  Status FinishLoad();
  // Makes one key what a record of the store says it is, or removes it (`record_value` null): its
  // present state was never committed (DESIGN.md §2 rule 4). `collection`: its elements, when it is
  // one. A record of a dead database is ignored.
  Status Restore(std::string_view record_key, const std::string* record_value,
                 std::unique_ptr<Collection> collection);

  // ---- Cold keys: their values are in the store only. A follower applies changes to them by their
  // metas alone, since the store gets the changes anyway.
  // Whether there are any.
  bool has_cold() const { return cold_keys_ > 0; }
  uint64_t cold_keys() const { return cold_keys_; }
  // Takes the value out of memory. REQUIRES: MayBeCold(object->type()), it isn't cold, and the
  // store holds its value.
  Object* Drop(Database* database, Object* object);
  // Whether there is a key of this generation whose value isn't in memory.
  bool IsCold(std::string_view record_key, uint64_t created) const;
  // Gives a cold key the value that the store holds; its meta stays what memory says it is. Does
  // nothing when the key is not cold (any more), or not the one of `created`. Corruption when the
  // store doesn't hold what it should.
  Status Fill(std::string_view record_key, uint64_t created, const std::string* record_value,
              std::unique_ptr<Collection> collection);

  // Takes in the "databases" system record; before any Load.
  Status LoadDatabases(std::string_view record_value);
  bool found_dead_records() const { return found_dead_records_; }
  // When loading: there are elements of deleted collections.
  void LoadGarbage() { found_garbage_ = true; }
  bool found_garbage() const { return found_garbage_; }
  CollectionOptions collection_options() const { return {options_.hash_seed, options_.limits}; }

  // The largest revision of any effect applied, also of those before the store was loaded.
  uint64_t max_revision() const { return max_revision_; }
  // When loading: an effect with this revision was applied once.
  void LoadRevision(uint64_t revision) { max_revision_ = std::max(max_revision_, revision); }
  size_t MemoryBytes() const;

  // Leases of all locks, by the monotonic clock in ms (DESIGN.md §2 rule 5).
  DeadlineHeap* leases() { return &leases_; }
  const DeadlineHeap& leases() const { return leases_; }
  // Every lease starts again at its full length: after a change of leadership (P33).
  void RestartLeases();
  // The database whose table holds `object`, which is in the lease heap.
  Database* DatabaseOfLease(const Object* object) const;

 private:
  Object* ApplyPut(Database* database, const Effect& effect, Object* existing);
  void ApplyDelete(Database* database, const Effect& effect, Object* existing);
  Object* ApplyInPlace(Database* database, const Effect& effect, Object* existing);
  Object* ApplyElements(Database* database, const Effect& effect, Object* existing);
  Object* ApplyCopy(Database* database, const Effect& effect, Object* existing);
  // The collection that a copy effect copies; nullptr when there is none of its generation.
  Object* SourceOf(const Effect& effect, Database** database, HashedKey* key) const;
  Object* ApplyToCold(Database* database, const Effect& effect, Object* existing);
  Object* InsertCold(Database* database, const Effect& effect);
  // The cold key of this generation; nullptr without one.
  Object* FindCold(std::string_view record_key, uint64_t created, Database** database,
                   HashedKey* key) const;
  bool IsFull() const {
    return options_.resident_bytes != 0 && MemoryBytes() >= options_.resident_bytes;
  }
  // `object` is a new one of the database, or leaves it.
  void Count(Database* database, const Object* object);
  void Uncount(Database* database, const Object* object);
  // Frees an object that is in no table any more.
  void Discard(Object* object);
  void ApplyDatabases(const Effect& effect);
  Status CheckDatabases(std::string_view encoded) const;
  Status CheckPlace(const Effect& effect) const;
  Status CheckEffect(const Effect& effect, const Object* existing) const;
  Status CheckCopy(const Effect& effect, const Object* existing) const;
  void Swap(Database* database, const HashedKey& key, Object* old, Object* fresh);
  void SetDeadline(Database* database, Object* object, const Meta& meta);
  void DropDeadline(Database* database, Object* object);

  Options options_;
  DatabaseMap map_;
  std::array<std::unique_ptr<Database>, kLogicalDatabases> databases_;
  DeadlineHeap leases_;
  uint64_t max_revision_ = 0;
  uint64_t cold_keys_ = 0;  // of all databases
  bool found_dead_records_ = false;
  bool found_garbage_ = false;
  // While loading: collections by slot, physical database and generation, and what their heads say.
  struct Loading {
    Database* database;
    Object* object;
    std::string head;
  };
  std::map<std::tuple<uint16_t, uint32_t, uint64_t>, Loading> loading_;
};

}  // namespace holdfast::data
