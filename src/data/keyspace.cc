#include "data/keyspace.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::data {
namespace {

// How far a value that grows by a patch over-allocates: doubling up to 1 MiB, then 1 MiB at a time,
// so that APPEND is O(1) amortized and wastes at most 1 MiB.
size_t GrowthCapacity(size_t size) {
  constexpr size_t kMax = 1 << 20;
  return size < kMax ? size * 2 : size + kMax;
}

// A collection of more records than this is freed elsewhere.
constexpr uint64_t kFreedAtOnce = 512;

}  // namespace

Keyspace::Keyspace(Options options) : options_(std::move(options)), map_(DatabaseMap::Initial()) {
  CHECK(options_.clock != nullptr);
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) {
    databases_[i] = std::make_unique<Database>(map_.physical[i], options_.first_slot,
                                               options_.last_slot, options_.hash_seed);
  }
}

Database* Keyspace::Physical(uint32_t physical) const {
  for (const auto& database : databases_) {
    if (database->physical == physical) return database.get();
  }
  return nullptr;
}

uint32_t Keyspace::LogicalOf(uint32_t physical) const {
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) {
    if (databases_[i]->physical == physical) return i;
  }
  CHECK_MSG(false, "a physical database that no number means");
  return 0;
}

int64_t Keyspace::ExpireAt(const Database& database, const Object* object) {
  if (object->heap_position == kNotInHeap || object->type() == ObjectType::kLock) return 0;
  return database.expiries.DeadlineOf(object);
}

Meta Keyspace::MetaOf(const Database& database, const Object* object) {
  Meta meta;
  meta.type = object->type();
  meta.raw = object->raw();
  meta.version = object->version();
  meta.revision = object->revision();
  meta.created = object->created();
  meta.expire_at_ms = ExpireAt(database, object);
  meta.fence = object->fence();
  return meta;
}

void Keyspace::SetDeadline(Database* database, Object* object, const Meta& meta) {
  if (object->type() == ObjectType::kLock) {
    LockValue lock;
    CHECK(DecodeLock(object->value(), &lock));
    leases_.Set(object, options_.clock->MonotonicMs() + static_cast<int64_t>(lock.lease_ms));
  } else if (meta.expire_at_ms != 0) {
    database->expiries.Set(object, meta.expire_at_ms);
  } else if (object->heap_position != kNotInHeap) {
    database->expiries.Remove(object);
  }
}

void Keyspace::DropDeadline(Database* database, Object* object) {
  if (object->heap_position == kNotInHeap) return;
  if (object->type() == ObjectType::kLock) {
    leases_.Remove(object);
  } else {
    database->expiries.Remove(object);
  }
}

// Puts `fresh` into the table and the account in the place of `old` and frees `old`.
void Keyspace::Swap(Database* database, const HashedKey& key, Object* old, Object* fresh) {
  DropDeadline(database, old);
  database->table.Replace(key, old, fresh);
  Count(database, fresh);
  Uncount(database, old);
  fresh->accessed = old->accessed;
  Discard(old);
}

void Keyspace::Count(Database* database, const Object* object) {
  database->object_bytes += object->MemoryBytes();
  if (!object->cold()) return;
  ++database->cold_keys;
  ++cold_keys_;
}

void Keyspace::Uncount(Database* database, const Object* object) {
  database->object_bytes -= object->MemoryBytes();
  if (!object->cold()) return;
  --database->cold_keys;
  --cold_keys_;
}

void Keyspace::Discard(Object* object) {
  const Collection* collection = object->collection();
  if (collection != nullptr && collection->records() > kFreedAtOnce && options_.retire_collection) {
    options_.retire_collection(object->TakeCollection());
  }
  Object::Free(object);
}

Object* Keyspace::ApplyPut(Database* database, const Effect& effect, Object* existing) {
  const HashedKey key{effect.key, effect.hash, effect.slot};
  if (existing == nullptr) {
    Object* object = Object::Create(effect.key, effect.meta, effect.value);
    database->table.Insert(key, object);
    Count(database, object);
    SetDeadline(database, object, effect.meta);
    return object;
  }
  if (existing->type() == effect.meta.type && existing->CanHoldMeta(effect.meta) &&
      existing->CanHoldValue(effect.value.size())) {
    existing->SetMeta(effect.meta);
    existing->SetValue(effect.value);
    SetDeadline(database, existing, effect.meta);
    return existing;
  }
  Object* fresh = Object::Create(effect.key, effect.meta, effect.value);
  Swap(database, key, existing, fresh);
  SetDeadline(database, fresh, effect.meta);
  return fresh;
}

void Keyspace::ApplyDelete(Database* database, const Effect& effect, Object* existing) {
  if (existing == nullptr) return;
  DropDeadline(database, existing);
  database->table.Erase({effect.key, effect.hash, effect.slot}, existing);
  Uncount(database, existing);
  Discard(existing);
}

// Patch and meta effects: the value, or most of it, stays.
Object* Keyspace::ApplyInPlace(Database* database, const Effect& effect, Object* existing) {
  CHECK_MSG(existing != nullptr, "an effect on a part of a key that does not exist");
  if (existing->cold()) return ApplyToCold(database, effect, existing);
  const bool patch = effect.kind == EffectKind::kPatch;
  const size_t size = patch ? effect.new_size : existing->value_size();
  Object* object = existing;
  if (existing->collection() != nullptr && !existing->CanHoldMeta(effect.meta)) {
    // The elements stay where they are.
    database->object_bytes -= existing->MemoryBytes();
    object = Object::CreateCollection(existing->key(), effect.meta, existing->TakeCollection());
    database->object_bytes += existing->MemoryBytes();
    Swap(database, {effect.key, effect.hash, effect.slot}, existing, object);
  } else if (!existing->CanHoldMeta(effect.meta) || (patch && !existing->CanHoldValue(size))) {
    // What grows is likely to grow again, but not what was made for this patch.
    const bool grows = patch && existing->value_size() > 0 && size > existing->value_size();
    const size_t capacity = grows ? GrowthCapacity(size) : size;
    object = Object::Create(existing->key(), effect.meta,
                            existing->value().substr(0, std::min(size, existing->value_size())),
                            std::max(capacity, size));
    Swap(database, {effect.key, effect.hash, effect.slot}, existing, object);
    if (patch && !object->CanHoldValue(size)) {
      // The inline form has room for its present value only.
      std::string value(object->value());
      value.resize(size);
      Object* larger = Object::Create(object->key(), effect.meta, value);
      Swap(database, {effect.key, effect.hash, effect.slot}, object, larger);
      object = larger;
    }
  } else {
    object->SetMeta(effect.meta);
  }
  if (patch) object->Patch(effect.offset, effect.value, size);
  SetDeadline(database, object, effect.meta);
  return object;
}

Object* Keyspace::SourceOf(const Effect& effect, Database** database, HashedKey* key) const {
  uint16_t slot;
  uint32_t physical;
  std::string_view name;
  if (!ParseMetaKey(effect.source, &slot, &physical, &name)) return nullptr;
  *database = Physical(physical);
  *key = Hash(name);
  if (*database == nullptr || key->slot != slot || slot < options_.first_slot ||
      slot > options_.last_slot) {
    return nullptr;
  }
  Object* source = (*database)->table.Find(*key);
  const bool is_meant =
      source != nullptr && HasElements(source->type()) && source->created() == effect.generation;
  return is_meant ? source : nullptr;
}

// The elements are handed over, or nobody has wanted the copy's yet: it is cold.
Object* Keyspace::ApplyCopy(Database* database, const Effect& effect, Object* existing) {
  CHECK(existing == nullptr);
  Database* from;
  HashedKey key;
  Object* source = SourceOf(effect, &from, &key);
  CHECK_MSG(source != nullptr, "a copy of a collection that does not exist");
  if (!effect.moves || source->cold()) return InsertCold(database, effect);
  const Meta meta = MetaOf(*from, source);
  Object* emptied = Object::CreateCold(source->key(), meta);
  from->object_bytes -= source->MemoryBytes();
  std::unique_ptr<Collection> collection = source->TakeCollection();
  from->object_bytes += source->MemoryBytes();
  Swap(from, key, source, emptied);
  SetDeadline(from, emptied, meta);
  Object* object = Object::CreateCollection(effect.key, effect.meta, std::move(collection));
  database->table.Insert({effect.key, effect.hash, effect.slot}, object);
  Count(database, object);
  SetDeadline(database, object, effect.meta);
  return object;
}

// Its meta is all there is to change.
Object* Keyspace::ApplyToCold(Database* database, const Effect& effect, Object* existing) {
  CHECK(existing->type() == effect.meta.type);
  Object* object = existing;
  if (existing->CanHoldMeta(effect.meta)) {
    existing->SetMeta(effect.meta);
  } else {
    object = Object::CreateCold(existing->key(), effect.meta);
    Swap(database, {effect.key, effect.hash, effect.slot}, existing, object);
  }
  SetDeadline(database, object, effect.meta);
  return object;
}

Object* Keyspace::ApplyElements(Database* database, const Effect& effect, Object* existing) {
  if (existing != nullptr && existing->cold()) return ApplyToCold(database, effect, existing);
  Object* object = existing;
  if (object == nullptr) {
    object = Object::CreateCollection(effect.key, effect.meta,
                                      NewCollection(effect.meta.type, collection_options()));
    database->table.Insert({effect.key, effect.hash, effect.slot}, object);
  } else {
    CHECK(object->type() == effect.meta.type);
    database->object_bytes -= object->MemoryBytes();
    object->SetMeta(effect.meta);
  }
  Collection* collection = object->collection();
  CHECK(ForEachChange(effect.changes, [collection](const ElementChange& change) {
          if (change.is_delete) {
            collection->Delete(change.element);
          } else {
            collection->Put(change.element, change.value);
          }
          return Status::Ok();
        }).ok());
  collection->SetHead(effect.value);
  database->object_bytes += object->MemoryBytes();
  SetDeadline(database, object, effect.meta);
  return object;
}

void Keyspace::ApplyDatabases(const Effect& effect) {
  DatabaseMap map;
  CHECK(ParseDatabaseMap(effect.value, &map).ok());
  std::array<std::unique_ptr<Database>, kLogicalDatabases> old = std::move(databases_);
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) {
    for (auto& database : old) {
      if (database != nullptr && database->physical == map.physical[i]) {
        databases_[i] = std::move(database);
      }
    }
    if (databases_[i] == nullptr) {
      databases_[i] = std::make_unique<Database>(map.physical[i], options_.first_slot,
                                                 options_.last_slot, options_.hash_seed);
    }
  }
  map_ = map;
  cold_keys_ = 0;
  for (const auto& database : databases_) cold_keys_ += database->cold_keys;
  bool flushed = false;
  for (auto& database : old) {
    if (database == nullptr || database->table.size() == 0) continue;
    flushed = true;
    // Leases point into the table: take them out before it goes.
    std::vector<Object*> locks;
    for (size_t i = 0; i < leases_.size(); ++i) {
      Object* object = leases_.at(i).object;
      if (database->table.Find(Hash(object->key())) == object) locks.push_back(object);
    }
    for (Object* object : locks) leases_.Remove(object);
    if (options_.retire) options_.retire(std::move(database));
  }
  if (flushed) found_dead_records_ = true;
}

Object* Keyspace::Apply(const Effect& effect, Object* existing) {
  max_revision_ = std::max(max_revision_, effect.meta.revision);
  if (effect.kind == EffectKind::kDatabases) {
    ApplyDatabases(effect);
    return nullptr;
  }
  Database* database = Physical(effect.database);
  CHECK_MSG(database != nullptr, "an effect on a database that was flushed before it");
  switch (effect.kind) {
    case EffectKind::kPut:
      return ApplyPut(database, effect, existing);
    case EffectKind::kDelete:
    case EffectKind::kRemove:
      ApplyDelete(database, effect, existing);
      return nullptr;
    case EffectKind::kElements:
      return ApplyElements(database, effect, existing);
    case EffectKind::kCopy:
      return ApplyCopy(database, effect, existing);
    case EffectKind::kPatch:
    case EffectKind::kMeta:
      return ApplyInPlace(database, effect, existing);
    case EffectKind::kDatabases:
      break;
  }
  return nullptr;
}

// Whether the key of an effect or record belongs where it says.
Status Keyspace::CheckPlace(const Effect& effect) const {
  if (effect.slot < options_.first_slot || effect.slot > options_.last_slot) {
    return Status::Corruption("a change of a slot of another partition");
  }
  if (effect.slot != KeySlot(effect.key)) {
    return Status::Corruption("a change of a key in a slot that is not its own");
  }
  return Status::Ok();
}

// Whether the map, which comes from outside, may take the place of this one: no physical number is
// ever used again, since what was in its database may still be in the store.
Status Keyspace::CheckDatabases(std::string_view encoded) const {
  DatabaseMap map;
  RETURN_IF_ERROR(ParseDatabaseMap(encoded, &map));
  if (map.next < map_.next) return Status::Corruption("databases of an earlier time");
  for (const uint32_t physical : map.physical) {
    if (physical < map_.next && !map_.IsLive(physical)) {
      return Status::Corruption("a database that was flushed comes back");
    }
  }
  return Status::Ok();
}

// Whether Apply may have this effect, which comes from outside: what a leader's commands emit is
// right by construction.
Status Keyspace::CheckEffect(const Effect& effect, const Object* existing) const {
  if (effect.kind == EffectKind::kCopy) return CheckCopy(effect, existing);
  if (effect.kind == EffectKind::kPatch || effect.kind == EffectKind::kMeta) {
    if (existing == nullptr) {
      return Status::Corruption("a change of a part of a key that does not exist");
    }
    if (existing->type() != effect.meta.type) {
      return Status::Corruption("a change of a key's type that keeps its value");
    }
    // The elements of a collection are found by it.
    if (existing->created() != effect.meta.created) {
      return Status::Corruption("a change of a part of an earlier or later key of this name");
    }
    if (effect.kind == EffectKind::kPatch && effect.meta.type != ObjectType::kString) {
      return Status::Corruption("a change of a part of a value that is not a string");
    }
  }
  if (effect.kind == EffectKind::kElements && existing != nullptr &&
      (existing->type() != effect.meta.type || existing->created() != effect.meta.created ||
       !existing->CanHoldMeta(effect.meta))) {
    return Status::Corruption("a change of elements of another collection");
  }
  if (effect.kind == EffectKind::kPut && HasElements(effect.meta.type)) {
    return Status::Corruption("a collection as the value of a key");
  }
  if (effect.kind == EffectKind::kRemove &&
      (existing == nullptr || !HasElements(existing->type()) ||
       existing->created() != effect.meta.created)) {
    return Status::Corruption("the end of a collection that does not exist");
  }
  // The elements of a collection would stay behind.
  if ((effect.kind == EffectKind::kPut || effect.kind == EffectKind::kDelete) &&
      existing != nullptr && HasElements(existing->type())) {
    return Status::Corruption("a collection that ends like a single value");
  }
  if (effect.kind == EffectKind::kPut && effect.value.size() > UINT32_MAX) {
    return Status::Corruption("a value of 4 GiB or more");
  }
  LockValue lock;
  SequenceValue sequence;
  if (effect.kind == EffectKind::kPut &&
      ((effect.meta.type == ObjectType::kLock && !DecodeLock(effect.value, &lock)) ||
       (effect.meta.type == ObjectType::kSequence && !DecodeSequence(effect.value, &sequence)))) {
    return Status::Corruption("a damaged lock or sequence");
  }
  return Status::Ok();
}

Status Keyspace::CheckCopy(const Effect& effect, const Object* existing) const {
  if (existing != nullptr) return Status::Corruption("a copy over a key that exists");
  Database* database;
  HashedKey key;
  const Object* source = SourceOf(effect, &database, &key);
  if (source == nullptr) return Status::Corruption("a copy of a collection that does not exist");
  if (source->type() != effect.meta.type ||
      (!source->cold() && source->collection()->Head() != effect.value)) {
    return Status::Corruption("a copy of another collection");
  }
  return Status::Ok();
}

Status Keyspace::ApplyPayload(std::string_view payload) {
  return ForEachEffect(payload, [this](const Effect& decoded) {
    if (decoded.kind == EffectKind::kDatabases) {
      RETURN_IF_ERROR(CheckDatabases(decoded.value));
      Apply(decoded, nullptr);
      return Status::Ok();
    }
    Effect effect = decoded;
    effect.hash = Hash64(effect.key, options_.hash_seed);
    const Database* database = Physical(effect.database);
    if (database == nullptr) return Status::Corruption("effect on an unknown database");
    RETURN_IF_ERROR(CheckPlace(effect));
    Object* existing = database->table.Find({effect.key, effect.hash, effect.slot});
    RETURN_IF_ERROR(CheckEffect(effect, existing));
    const Object* object = Apply(effect, existing);
    if (effect.kind == EffectKind::kElements && !object->cold() &&
        object->collection()->Head() != effect.value) {
      return Status::Corruption("a collection is another one than was changed");
    }
    return Status::Ok();
  });
}

Status Keyspace::LoadDatabases(std::string_view record_value) {
  DatabaseMap map;
  RETURN_IF_ERROR(ParseDatabaseMap(record_value, &map));
  Effect effect;
  effect.kind = EffectKind::kDatabases;
  effect.value = record_value;
  ApplyDatabases(effect);
  return Status::Ok();
}

Status Keyspace::Load(std::string_view record_key, std::string_view record_value, bool* dead) {
  Effect effect;
  effect.kind = EffectKind::kPut;
  if (!ParseMetaKey(record_key, &effect.slot, &effect.database, &effect.key)) {
    return Status::Corruption("store holds a record with a damaged key");
  }
  RETURN_IF_ERROR(CheckPlace(effect));
  RETURN_IF_ERROR(ParseMeta(record_value, &effect.meta, &effect.value));
  Database* database = Physical(effect.database);
  if (dead != nullptr) *dead = database == nullptr;
  if (database == nullptr) {
    found_dead_records_ = true;
    return Status::Ok();
  }
  effect.hash = Hash64(effect.key, options_.hash_seed);
  max_revision_ = std::max(max_revision_, effect.meta.revision);
  if (HasElements(effect.meta.type)) {
    effect.kind = EffectKind::kElements;
    RETURN_IF_ERROR(CheckHead(effect.meta.type, effect.value));
    Object* object = IsFull() ? InsertCold(database, effect) : Apply(effect, nullptr);
    loading_[{effect.slot, effect.database, effect.meta.created}] = {database, object,
                                                                     std::string(effect.value)};
    return Status::Ok();
  }
  RETURN_IF_ERROR(CheckEffect(effect, nullptr));
  if (MayBeCold(effect.meta.type) && IsFull()) {
    InsertCold(database, effect);
  } else {
    ApplyPut(database, effect, nullptr);
  }
  return Status::Ok();
}

Object* Keyspace::InsertCold(Database* database, const Effect& effect) {
  Object* object = Object::CreateCold(effect.key, effect.meta);
  database->table.Insert({effect.key, effect.hash, effect.slot}, object);
  Count(database, object);
  SetDeadline(database, object, effect.meta);
  return object;
}

Status Keyspace::LoadElement(std::string_view record_key, std::string_view record_value) {
  uint16_t slot;
  uint32_t physical;
  uint64_t generation;
  std::string_view element;
  if (!ParseElementKey(record_key, &slot, &physical, &generation, &element)) {
    return Status::Corruption("store holds an element with a damaged key");
  }
  const auto it = loading_.find({slot, physical, generation});
  if (it == loading_.end()) {
    (Physical(physical) == nullptr ? found_dead_records_ : found_garbage_) = true;
    return Status::Ok();
  }
  Object* object = it->second.object;
  RETURN_IF_ERROR(CheckElement(object->type(), element, record_value));
  if (object->cold()) return Status::Ok();
  Database* database = it->second.database;
  database->object_bytes -= object->MemoryBytes();
  object->collection()->Put(element, record_value);
  database->object_bytes += object->MemoryBytes();
  return Status::Ok();
}

Status Keyspace::FinishLoad() {
  for (const auto& [place, loading] : loading_) {
    if (!loading.object->cold() && loading.object->collection()->Head() != loading.head) {
      return Status::Corruption("a collection's elements are not those that it had");
    }
  }
  loading_.clear();
  return Status::Ok();
}

Status Keyspace::Restore(std::string_view record_key, const std::string* record_value,
                         std::unique_ptr<Collection> collection) {
  Effect effect;
  effect.kind = record_value == nullptr ? EffectKind::kDelete : EffectKind::kPut;
  if (!ParseMetaKey(record_key, &effect.slot, &effect.database, &effect.key)) {
    return Status::Corruption("a record with a damaged key");
  }
  RETURN_IF_ERROR(CheckPlace(effect));
  if (record_value != nullptr) {
    RETURN_IF_ERROR(ParseMeta(*record_value, &effect.meta, &effect.value));
    if (HasElements(effect.meta.type) != (collection != nullptr)) {
      return Status::Corruption("a key without its elements, or elements without their key");
    }
    if (collection == nullptr) RETURN_IF_ERROR(CheckEffect(effect, nullptr));
  }
  Database* database = Physical(effect.database);
  if (database == nullptr) return Status::Ok();
  effect.hash = Hash64(effect.key, options_.hash_seed);
  Object* existing = database->table.Find({effect.key, effect.hash, effect.slot});
  const bool replaced = existing != nullptr && existing->collection() != nullptr;
  if (collection == nullptr && !replaced) {
    Apply(effect, existing);
    return Status::Ok();
  }
  ApplyDelete(database, effect, existing);
  if (collection == nullptr) {
    if (record_value != nullptr) Apply(effect, nullptr);
    return Status::Ok();
  }
  max_revision_ = std::max(max_revision_, effect.meta.revision);
  Object* object = Object::CreateCollection(effect.key, effect.meta, std::move(collection));
  database->table.Insert({effect.key, effect.hash, effect.slot}, object);
  Count(database, object);
  SetDeadline(database, object, effect.meta);
  return Status::Ok();
}

Object* Keyspace::Drop(Database* database, Object* object) {
  CHECK(MayBeCold(object->type()) && !object->cold());
  const Meta meta = MetaOf(*database, object);
  Object* cold = Object::CreateCold(object->key(), meta);
  Swap(database, Hash(cold->key()), object, cold);
  SetDeadline(database, cold, meta);
  return cold;
}

Object* Keyspace::FindCold(std::string_view record_key, uint64_t created, Database** database,
                           HashedKey* key) const {
  uint16_t slot;
  uint32_t physical;
  std::string_view name;
  CHECK(ParseMetaKey(record_key, &slot, &physical, &name));
  *database = Physical(physical);
  if (*database == nullptr) return nullptr;
  *key = Hash(name);
  Object* object = (*database)->table.Find(*key);
  const bool is_meant = object != nullptr && object->cold() && object->created() == created;
  return is_meant ? object : nullptr;
}

bool Keyspace::IsCold(std::string_view record_key, uint64_t created) const {
  Database* database;
  HashedKey key;
  return FindCold(record_key, created, &database, &key) != nullptr;
}

Status Keyspace::Fill(std::string_view record_key, uint64_t created,
                      const std::string* record_value, std::unique_ptr<Collection> collection) {
  Database* database;
  HashedKey key;
  Object* cold = FindCold(record_key, created, &database, &key);
  if (cold == nullptr) return Status::Ok();
  if (record_value == nullptr) return Status::Corruption("a key's value is not in the store");
  Meta stored;
  std::string_view value;
  RETURN_IF_ERROR(ParseMeta(*record_value, &stored, &value));
  if (stored.created != created || stored.type != cold->type() ||
      HasElements(stored.type) != (collection != nullptr)) {
    return Status::Corruption("the store holds another value than a key had");
  }
  const Meta meta = MetaOf(*database, cold);
  Object* object = collection != nullptr
                       ? Object::CreateCollection(cold->key(), meta, std::move(collection))
                       : Object::Create(cold->key(), meta, value);
  Swap(database, key, cold, object);
  SetDeadline(database, object, meta);
  return Status::Ok();
}

size_t Keyspace::MemoryBytes() const {
  size_t bytes = 0;
  for (const auto& database : databases_) bytes += database->MemoryBytes();
  return bytes;
}

void Keyspace::RestartLeases() {
  const int64_t now_ms = options_.clock->MonotonicMs();
  std::vector<Object*> locks;
  locks.reserve(leases_.size());
  for (size_t i = 0; i < leases_.size(); ++i) locks.push_back(leases_.at(i).object);
  for (Object* object : locks) {
    LockValue lock;
    CHECK(DecodeLock(object->value(), &lock));
    leases_.Set(object, now_ms + static_cast<int64_t>(lock.lease_ms));
  }
}

Database* Keyspace::DatabaseOfLease(const Object* object) const {
  const HashedKey key = Hash(object->key());
  for (const auto& database : databases_) {
    if (database->table.Find(key) == object) return database.get();
  }
  CHECK_MSG(false, "a lease of a lock that is in no table");
  return nullptr;
}

}  // namespace holdfast::data
