#include "data/collect.h"

#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast::data {
namespace {

// The kinds of records that belong to a slot and a database, in the order of their keys.
constexpr std::string_view kKinds = "egm";
// Those that have much of a store.
constexpr std::string_view kLargeKinds = "em";

// What sorts before every record of this kind, slot and database, and behind those before them.
std::string PlaceBegin(char kind, uint32_t slot, uint32_t database) {
  if (slot >= kSlots) return std::string(1, static_cast<char>(kind + 1));
  std::string key(1, kind);
  AppendFixed16BE(&key, static_cast<uint16_t>(slot));
  AppendFixed32BE(&key, database);
  return key;
}

// The same without a database.
std::string SlotBegin(char kind, uint32_t slot) {
  std::string key = PlaceBegin(kind, slot, 0);
  if (key.size() > 1) key.resize(key.size() - sizeof(uint32_t));
  return key;
}

}  // namespace

DeadRecordCollector::DeadRecordCollector(uint16_t first_slot, uint16_t last_slot,
                                         const DatabaseMap& live)
    : first_slot_(first_slot),
      last_slot_(last_slot),
      live_(live),
      position_(PlaceBegin(kKinds[0], first_slot, 0)) {
  CHECK(first_slot <= last_slot);
}

bool DeadRecordCollector::IsLive(uint32_t database) const {
  return database >= live_.next || live_.IsLive(database);
}

bool DeadRecordCollector::NextKind() {
  if (++kind_ == kKinds.size()) return false;
  position_ = PlaceBegin(kKinds[kind_], first_slot_, 0);
  return true;
}

Result<bool> DeadRecordCollector::Step(storage::Store* store, size_t max_records) {
  CHECK(max_records > 0 && !done_);
  storage::StoreBatch batch;
  const std::unique_ptr<storage::StoreIterator> records = store->NewIterator();
  records->Seek(position_);
  for (size_t looked_at = 0; looked_at < max_records && !done_; ++looked_at) {
    const char kind = kKinds[kind_];
    if (!records->Valid() || records->key()[0] != kind) {
      RETURN_IF_ERROR(records->status());
      done_ = !NextKind();
      if (!done_) records->Seek(position_);
      continue;
    }
    if (records->key().size() < kMetaKeyPrefix) {
      return Status::Corruption("store holds a record with a damaged key");
    }
    const uint32_t slot = LoadFixed16BE(records->key().data() + 1);
    const uint32_t database = LoadFixed32BE(records->key().data() + 3);
    if (slot > last_slot_) {
      done_ = !NextKind();
      if (!done_) records->Seek(position_);
      continue;
    }
    if (!IsLive(database)) {
      batch.Delete(records->key());
      records->Next();
      continue;
    }
    // Over the whole database, to the next one of the slot or to the next slot.
    records->Seek(database < UINT32_MAX ? PlaceBegin(kind, slot, database + 1)
                                        : PlaceBegin(kind, slot + 1, 0));
  }
  RETURN_IF_ERROR(records->status());
  if (!done_ && records->Valid()) position_ = records->key();
  if (batch.changes() > 0) RETURN_IF_ERROR(store->Write(batch, /*sync=*/false));
  deleted_ += batch.changes();
  return done_;
}

Result<bool> GarbageCollector::Step(storage::Store* store, size_t max_records) {
  CHECK(max_records > 0);
  storage::StoreBatch batch;
  const std::unique_ptr<storage::StoreIterator> garbage = store->NewIterator();
  const std::unique_ptr<storage::StoreIterator> elements = store->NewIterator();
  size_t left = max_records;
  for (garbage->Seek(garbage_position_); left > 0; garbage->Next(), element_position_.clear()) {
    if (!garbage->Valid() || garbage->key()[0] != 'g') break;
    uint16_t slot;
    uint32_t database;
    uint64_t generation;
    if (!ParseGarbageKey(garbage->key(), &slot, &database, &generation)) {
      return Status::Corruption("store holds a record with a damaged key");
    }
    // A database may have been flushed since the last step, and its garbage collected with it.
    if (garbage->key() != garbage_position_) element_position_.clear();
    garbage_position_ = garbage->key();
    std::string prefix;
    AppendElementPrefix(&prefix, slot, database, generation);
    elements->Seek(element_position_.empty() ? prefix : element_position_);
    for (; left > 0 && elements->Valid() && elements->key().starts_with(prefix); --left) {
      batch.Delete(elements->key());
      elements->Next();
    }
    RETURN_IF_ERROR(elements->status());
    if (left == 0) {
      element_position_ = elements->Valid() ? std::string(elements->key()) : prefix + '\xff';
      break;
    }
    // All of its elements go with it, or went before.
    batch.Delete(garbage->key());
    --left;
  }
  RETURN_IF_ERROR(garbage->status());
  if (batch.changes() > 0) RETURN_IF_ERROR(store->Write(batch, /*sync=*/false));
  return left > 0;
}

StoreCompactor::StoreCompactor(uint16_t first_slot, uint16_t last_slot)
    : first_slot_(first_slot), end_slot_(uint32_t{last_slot} + 1), next_slot_(first_slot) {
  CHECK(first_slot <= last_slot);
}

uint32_t StoreCompactor::EndOfPiece(storage::Store* store, uint64_t max_bytes) const {
  const char kind = kLargeKinds[kind_];
  const std::string begin = SlotBegin(kind, next_slot_);
  uint32_t fits = next_slot_ + 1;
  uint32_t too_many = end_slot_ + 1;
  while (too_many - fits > 1) {
    const uint32_t middle = fits + (too_many - fits) / 2;
    if (store->ApproximateBytes(begin, SlotBegin(kind, middle)) <= max_bytes) {
      fits = middle;
    } else {
      too_many = middle;
    }
  }
  return fits;
}

Result<bool> StoreCompactor::Step(storage::Store* store, uint64_t max_bytes) {
  CHECK(max_bytes > 0 && kind_ < kLargeKinds.size());
  const uint32_t end = EndOfPiece(store, max_bytes);
  const char kind = kLargeKinds[kind_];
  RETURN_IF_ERROR(store->CompactRange(SlotBegin(kind, next_slot_), SlotBegin(kind, end)));
  next_slot_ = end;
  if (next_slot_ == end_slot_) {
    next_slot_ = first_slot_;
    ++kind_;
  }
  return kind_ == kLargeKinds.size();
}

}  // namespace holdfast::data
