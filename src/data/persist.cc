#include "data/persist.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "data/effect.h"

namespace holdfast::data {
namespace {

// Every meta record's key is in [kMetaBegin, kMetaEnd).
constexpr std::string_view kMetaBegin = "m";
constexpr std::string_view kMetaEnd = "n";
// And those of elements and of garbage.
constexpr std::string_view kElementsBegin = "e";
constexpr std::string_view kElementsEnd = "f";
constexpr std::string_view kGarbageBegin = "g";
constexpr std::string_view kGarbageEnd = "h";

// Reads a system record into `*value`; false when there is none.
Result<bool> GetSystem(storage::Store* store, std::string_view name, std::string* value) {
  Status status = store->Get(name, value);
  if (status.ok()) return true;
  if (status.code() == Code::kNotFound) return false;
  return status;
}

// The value of a garbage record.
constexpr std::string_view kGarbageValue("\x01", 1);
static_assert(kGarbageValue[0] == kRecordFormat);

std::string EncodeRevision(uint64_t revision) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, revision);
  return out;
}

// 0 when the store holds none.
Result<uint64_t> ReadRevision(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kRevisionRecord, &value);
  if (!found.ok()) return found.status();
  if (!found.value()) return uint64_t{0};
  ByteReader in(value);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty revision record");
  if (format != kRecordFormat) return Status::Unsupported("revision record of a newer format");
  uint64_t revision;
  if (!in.ReadFixed64(&revision) || !in.empty()) {
    return Status::Corruption("revision record is damaged");
  }
  return revision;
}

// A record that was changed in part: its final meta, and its value, which stays where it was read
// from until a patch changes its bytes.
struct Merged {
  Meta meta;
  std::string_view kept;  // the value while !owned; points into a payload
  std::string value;      // the value when owned
  bool owned = false;

  std::string_view bytes() const { return owned ? std::string_view(value) : kept; }
};

// What one job does to one record.
struct Pending {
  std::string_view record_key;
  std::string_view record;  // the whole record's value; unused when merged is set
  std::unique_ptr<Merged> merged;
  uint32_t database = 0;
  bool deleted = false;
};

// Where each record's Pending stands, by the record's key. Lookups take the hash and the list apart
// from each other, so that the memory for several of them can be asked for before it is needed: a
// job has far more keys than a cache, and waiting for memory was most of the persister's work.
class PlaceByKey {
 public:
  // `seed` is something that clients can't know.
  explicit PlaceByKey(uint64_t seed) : seed_(seed), cells_(kMinCells) {}

  uint32_t Hash(std::string_view key) const { return static_cast<uint32_t>(Hash64(key, seed_)); }
  void Prefetch(uint32_t hash) const { __builtin_prefetch(&cells_[hash & (cells_.size() - 1)]); }
  // The place that is likely the key's; kNone when it has none.
  size_t Guess(uint32_t hash) const {
    const Cell& cell = cells_[hash & (cells_.size() - 1)];
    return cell.place_and_1 != 0 && cell.hash == hash ? cell.place_and_1 - 1 : kNone;
  }
  // The key's place; records->size() becomes its place when it has none yet.
  size_t Place(uint32_t hash, std::string_view key, const std::vector<Pending>& records);
  void Clear() { cells_.assign(kMinCells, Cell()); }

  static constexpr size_t kNone = SIZE_MAX;

 private:
  static constexpr size_t kMinCells = 1024;
  struct Cell {
    uint32_t hash = 0;
    uint32_t place_and_1 = 0;  // 0 = free
  };

  void Grow();

  uint64_t seed_;
  std::vector<Cell> cells_;  // open addressing, at most half full
};

size_t PlaceByKey::Place(uint32_t hash, std::string_view key, const std::vector<Pending>& records) {
  const size_t mask = cells_.size() - 1;
  size_t i = hash & mask;
  for (; cells_[i].place_and_1 != 0; i = (i + 1) & mask) {
    const size_t place = cells_[i].place_and_1 - 1;
    if (cells_[i].hash == hash && records[place].record_key == key) return place;
  }
  CHECK(records.size() < UINT32_MAX / 2);
  cells_[i] = {hash, static_cast<uint32_t>(records.size() + 1)};
  if ((records.size() + 1) * 2 > cells_.size()) Grow();
  return records.size();
}

void PlaceByKey::Grow() {
  std::vector<Cell> old(cells_.size() * 2);
  old.swap(cells_);
  const size_t mask = cells_.size() - 1;
  for (const Cell& cell : old) {
    if (cell.place_and_1 == 0) continue;
    size_t i = cell.hash & mask;
    while (cells_[i].place_and_1 != 0) i = (i + 1) & mask;
    cells_[i] = cell;
  }
}

// Collects the effects of a job. The views of payloads stay valid as long as the job.
class Coalescer {
 public:
  explicit Coalescer(storage::Store* store)
      : store_(store), places_(reinterpret_cast<uint64_t>(store)) {}

  Status Add(const Effect& effect);
  // Writes the outcome and the position in one batch, and starts over. Records go in the order of
  // their keys: the same job gives the same batches everywhere.
  // `membership`: the encoded membership from this position on; nullptr when it didn't change.
  Status Write(const AppliedState& position, const std::string* membership, bool sync);

  // Roughly the memory that the batch takes: records, their order, and values that were read or
  // rebuilt.
  size_t memory_bytes() const { return memory_bytes_; }
  const PersistStats& stats() const { return stats_; }

 private:
  // A whole record, or its deletion, that waits until the memory it needs is in the cache.
  struct Change {
    std::string_view record_key;
    std::string_view record;
    uint32_t database;
    uint32_t hash;
    bool deleted;
  };
  // A record and its key in the order of keys: its first sixteen bytes, as numbers, settle nearly
  // every comparison without touching the key.
  struct Ordered {
    uint64_t head;
    uint64_t next;
    const Pending* pending;
  };
  // Of a record, besides its key and value: what is kept of it here, and its place.
  static constexpr size_t kRecordBytes = sizeof(Pending) + sizeof(Ordered) + 24;

  void Settle();
  void Add(std::string_view record_key, std::string_view record, uint32_t database, bool deleted);
  Status AddElements(const Effect& effect);
  void AddRemoved(const Effect& effect);
  Status AddCopied(const Effect& effect);
  // A copy that lives as long as the batch that is being made.
  std::string_view Keep(std::string bytes);
  Pending* Touch(uint32_t hash, std::string_view record_key, uint32_t database, bool* fresh);
  Status Merge(const Effect& effect, Pending* pending, bool fresh);
  Status ReadBase(Pending* pending, Merged* merged);
  void Build(storage::StoreBatch* batch);
  std::vector<Ordered> InKeyOrder() const;

  storage::Store* store_;
  std::vector<Pending> records_;
  PlaceByKey places_;
  std::array<Change, 16> waiting_{};
  size_t waiting_count_ = 0;
  // Keys and values that no payload contains as they are.
  std::deque<std::string> kept_;
  std::string_view databases_;  // the last "databases" effect's map; empty without one
  uint64_t revision_ = 0;       // the largest of any effect
  size_t memory_bytes_ = 0;
  PersistStats stats_;
};

Pending* Coalescer::Touch(uint32_t hash, std::string_view record_key, uint32_t database,
                          bool* fresh) {
  const size_t place = places_.Place(hash, record_key, records_);
  *fresh = place == records_.size();
  if (*fresh) {
    records_.emplace_back();
    records_.back().record_key = record_key;
    records_.back().database = database;
    memory_bytes_ += kRecordBytes + record_key.size();
  }
  return &records_[place];
}

// Carries out the changes that wait, in their order.
void Coalescer::Settle() {
  const std::span<const Change> changes(waiting_.data(), waiting_count_);
  std::array<size_t, std::tuple_size_v<decltype(waiting_)>> guesses;
  for (size_t i = 0; i < changes.size(); ++i) {
    guesses[i] = places_.Guess(changes[i].hash);
    if (guesses[i] != PlaceByKey::kNone) __builtin_prefetch(&records_[guesses[i]]);
  }
  for (size_t i = 0; i < changes.size(); ++i) {
    if (guesses[i] != PlaceByKey::kNone) {
      __builtin_prefetch(records_[guesses[i]].record_key.data());
    }
  }
  for (const Change& change : changes) {
    bool fresh;
    Pending* pending = Touch(change.hash, change.record_key, change.database, &fresh);
    // The key that stands beside the value: both are read when the batch is built.
    pending->record_key = change.record_key;
    if (fresh) memory_bytes_ += change.record.size();
    pending->record = change.record;
    pending->merged.reset();
    pending->deleted = change.deleted;
  }
  waiting_count_ = 0;
}

Status Coalescer::Add(const Effect& effect) {
  ++stats_.effects;
  revision_ = std::max(revision_, effect.meta.revision);
  stats_.max_revision = std::max(stats_.max_revision, effect.meta.revision);
  if (effect.kind == EffectKind::kDatabases) {
    databases_ = effect.value;
    return Status::Ok();
  }
  switch (effect.kind) {
    case EffectKind::kPut:
    case EffectKind::kDelete:
      // Of a deletion, `record` is empty.
      Add(effect.record_key, effect.record, effect.database, effect.kind == EffectKind::kDelete);
      return Status::Ok();
    case EffectKind::kElements:
      return AddElements(effect);
    case EffectKind::kRemove:
      AddRemoved(effect);
      return Status::Ok();
    case EffectKind::kCopy:
      return AddCopied(effect);
    default:
      break;
  }
  Settle();
  bool fresh;
  Pending* pending =
      Touch(places_.Hash(effect.record_key), effect.record_key, effect.database, &fresh);
  return Merge(effect, pending, fresh);
}

void Coalescer::Add(std::string_view record_key, std::string_view record, uint32_t database,
                    bool deleted) {
  const uint32_t hash = places_.Hash(record_key);
  places_.Prefetch(hash);
  waiting_[waiting_count_++] = {record_key, record, database, hash, deleted};
  if (waiting_count_ == waiting_.size()) Settle();
}

std::string_view Coalescer::Keep(std::string bytes) {
  kept_.push_back(std::move(bytes));
  memory_bytes_ += kept_.back().size();
  return kept_.back();
}

Status Coalescer::AddElements(const Effect& effect) {
  std::string record;
  AppendMeta(&record, effect.meta);
  record.append(effect.value);
  Add(effect.record_key, Keep(std::move(record)), effect.database, /*deleted=*/false);
  std::string prefix;
  AppendElementPrefix(&prefix, effect.slot, effect.database, effect.meta.created);
  return ForEachChange(effect.changes, [&](const ElementChange& change) {
    std::string key = prefix;
    key.append(change.element);
    Add(Keep(std::move(key)), change.value, effect.database, change.is_delete);
    return Status::Ok();
  });
}

void Coalescer::AddRemoved(const Effect& effect) {
  ++stats_.removed;
  Add(effect.record_key, {}, effect.database, /*deleted=*/true);
  std::string key;
  AppendGarbageKey(&key, effect.slot, effect.database, effect.meta.created);
  Add(Keep(std::move(key)), kGarbageValue, effect.database, /*deleted=*/false);
}

// The elements of the copy go to the store at once, since there may be any number of them: without
// the meta record, which goes with everything else, they are nobody's, and what a crash leaves of
// them is written again when the entry is.
Status Coalescer::AddCopied(const Effect& effect) {
  Settle();
  uint16_t slot;
  uint32_t database;
  std::string_view name;
  if (!ParseMetaKey(effect.source, &slot, &database, &name)) {
    return Status::Corruption("a copy of a key that can't be");
  }
  std::string from;
  AppendElementPrefix(&from, slot, database, effect.generation);
  std::string to;
  AppendElementPrefix(&to, effect.slot, effect.database, effect.meta.created);
  // What this job has done to the source.
  std::map<std::string_view, const Pending*> changed;
  for (const Pending& pending : records_) {
    if (pending.record_key.starts_with(from)) changed[pending.record_key] = &pending;
  }
  storage::StoreBatch batch;
  Status status;
  const auto copy = [&](std::string_view record_key, std::string_view value) {
    batch.Put(to + std::string(record_key.substr(from.size())), value);
    ++stats_.records_written;
    stats_.bytes_written += record_key.size() + value.size();
    if (batch.bytes() < kMaxBatchBytes || !status.ok()) return;
    status = store_->Write(batch, /*sync=*/false);
    batch.Clear();
  };
  auto next_changed = changed.begin();
  const auto copy_changed = [&] {
    const auto& [record_key, pending] = *next_changed++;
    if (!pending->deleted) copy(record_key, pending->record);
  };
  const std::unique_ptr<storage::StoreIterator> stored = store_->NewIterator();
  for (stored->Seek(from); stored->Valid() && stored->key().starts_with(from); stored->Next()) {
    while (next_changed != changed.end() && next_changed->first < stored->key()) copy_changed();
    if (next_changed != changed.end() && next_changed->first == stored->key()) {
      copy_changed();
    } else {
      copy(stored->key(), stored->value());
    }
  }
  RETURN_IF_ERROR(stored->status());
  while (next_changed != changed.end()) copy_changed();
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(store_->Write(batch, /*sync=*/false));
  std::string record;
  AppendMeta(&record, effect.meta);
  record.append(effect.value);
  Add(effect.record_key, Keep(std::move(record)), effect.database, /*deleted=*/false);
  return Status::Ok();
}

Status Coalescer::ReadBase(Pending* pending, Merged* merged) {
  ++stats_.base_reads;
  Status status = store_->Get(pending->record_key, &merged->value);
  if (status.code() == Code::kNotFound) {
    return Status::Corruption("an effect changes a part of a record that the store lacks");
  }
  RETURN_IF_ERROR(status);
  std::string_view value;
  RETURN_IF_ERROR(ParseMeta(merged->value, &merged->meta, &value));
  merged->value.erase(0, merged->value.size() - value.size());
  merged->owned = true;
  memory_bytes_ += merged->value.size();
  return Status::Ok();
}

Status Coalescer::Merge(const Effect& effect, Pending* pending, bool fresh) {
  if (pending->deleted) {
    return Status::Corruption("an effect changes a part of a record deleted before it");
  }
  if (pending->merged == nullptr) {
    pending->merged = std::make_unique<Merged>();
    Merged* merged = pending->merged.get();
    if (fresh) {
      RETURN_IF_ERROR(ReadBase(pending, merged));
    } else {
      RETURN_IF_ERROR(ParseMeta(pending->record, &merged->meta, &merged->kept));
    }
  }
  Merged* merged = pending->merged.get();
  if (merged->meta.type != effect.meta.type) {
    return Status::Corruption("an effect changes the type of a record but keeps its value");
  }
  merged->meta = effect.meta;
  if (effect.kind == EffectKind::kMeta) return Status::Ok();
  if (!merged->owned) {
    merged->value = merged->kept;
    merged->owned = true;
    memory_bytes_ += merged->value.size();
  }
  if (effect.new_size > merged->value.size()) {
    memory_bytes_ += effect.new_size - merged->value.size();
  }
  merged->value.resize(effect.new_size);
  // An empty view may have a null pointer, which replace() must not see.
  if (!effect.value.empty()) {
    merged->value.replace(effect.offset, effect.value.size(), effect.value);
  }
  return Status::Ok();
}

Status Coalescer::Write(const AppliedState& position, const std::string* membership, bool sync) {
  Settle();
  storage::StoreBatch batch;
  Build(&batch);
  if (membership != nullptr) batch.Put(kMembershipRecord, *membership);
  if (revision_ > 0) {
    // An effect may keep an older revision, and so may all of a job.
    Result<uint64_t> stored = ReadRevision(store_);
    if (!stored.ok()) return stored.status();
    revision_ = std::max(revision_, stored.value());
    batch.Put(kRevisionRecord, EncodeRevision(revision_));
  }
  batch.Put(kAppliedRecord, EncodeApplied(position));
  records_.clear();
  places_.Clear();
  kept_.clear();
  databases_ = {};
  memory_bytes_ = 0;
  ++stats_.batches;
  return store_->Write(batch, sync);
}

// The store inserts into a sorted list: neighbours in a row find their place in the cache.
std::vector<Coalescer::Ordered> Coalescer::InKeyOrder() const {
  std::vector<Ordered> order;
  order.reserve(records_.size());
  for (const Pending& pending : records_) {
    char head[16] = {};
    pending.record_key.copy(head, sizeof head);
    order.push_back({LoadFixed64BE(head), LoadFixed64BE(head + 8), &pending});
  }
  std::sort(order.begin(), order.end(), [](const Ordered& a, const Ordered& b) {
    if (a.head != b.head) return a.head < b.head;
    if (a.next != b.next) return a.next < b.next;
    return a.pending->record_key < b.pending->record_key;
  });
  return order;
}

void Coalescer::Build(storage::StoreBatch* batch) {
  // Physical numbers are never used again, so a database that is dead at the end of the job was
  // dead ever since its last record in it: what the job did to it doesn't matter.
  DatabaseMap live;
  const bool remapped = !databases_.empty();
  if (remapped) {
    CHECK(ParseDatabaseMap(databases_, &live).ok());  // ForEachEffect has parsed it
    batch->Put(kDatabasesRecord, databases_);
    ++stats_.records_written;
    stats_.bytes_written += kDatabasesRecord.size() + databases_.size();
  }
  std::string scratch;
  const std::vector<Ordered> order = InKeyOrder();
  for (size_t i = 0; i < order.size(); ++i) {
    // The payloads of a job are larger than any cache.
    if (i + 16 < order.size()) __builtin_prefetch(order[i + 16].pending);
    if (i + 8 < order.size()) {
      __builtin_prefetch(order[i + 8].pending->record_key.data());
      __builtin_prefetch(order[i + 8].pending->record_key.data() + 64);
    }
    const Pending& pending = *order[i].pending;
    if (remapped && !live.IsLive(pending.database)) {
      ++stats_.records_skipped;
      continue;
    }
    if (pending.deleted) {
      batch->Delete(pending.record_key);
      ++stats_.records_deleted;
      stats_.bytes_written += pending.record_key.size();
      continue;
    }
    std::string_view record = pending.record;
    if (pending.merged != nullptr) {
      scratch.clear();
      AppendMeta(&scratch, pending.merged->meta);
      scratch.append(pending.merged->bytes());
      record = scratch;
    }
    batch->Put(pending.record_key, record);
    ++stats_.records_written;
    stats_.bytes_written += pending.record_key.size() + record.size();
  }
}

}  // namespace

void AppendJob(PersistJob* job, PersistJob next) {
  job->bytes += next.bytes;
  job->applied_index = next.applied_index;
  job->applied_term = next.applied_term;
  if (next.membership != nullptr) job->membership = std::move(next.membership);
  for (auto& payload : next.payloads) job->payloads.push_back(std::move(payload));
  job->positions.insert(job->positions.end(), next.positions.begin(), next.positions.end());
}

Status PersistEntries(storage::Store* store, const PersistJob& job, bool sync,
                      PersistStats* stats) {
  CHECK(job.positions.empty() || job.positions.size() == job.payloads.size());
  Coalescer coalescer(store);
  for (size_t i = 0; i < job.payloads.size(); ++i) {
    CHECK(job.payloads[i] != nullptr);
    RETURN_IF_ERROR(ForEachEffect(
        *job.payloads[i], [&coalescer](const Effect& effect) { return coalescer.Add(effect); }));
    // The last batch carries the job's own position, and the sync that covers the earlier ones.
    if (!job.positions.empty() && i + 1 < job.payloads.size() &&
        coalescer.memory_bytes() > kMaxBatchBytes) {
      RETURN_IF_ERROR(coalescer.Write(job.positions[i], job.membership.get(), /*sync=*/false));
    }
  }
  RETURN_IF_ERROR(
      coalescer.Write({job.applied_index, job.applied_term}, job.membership.get(), sync));
  if (stats != nullptr) {
    const PersistStats& added = coalescer.stats();
    ++stats->jobs;
    stats->batches += added.batches;
    stats->effects += added.effects;
    stats->records_written += added.records_written;
    stats->records_deleted += added.records_deleted;
    stats->records_skipped += added.records_skipped;
    stats->removed += added.removed;
    stats->base_reads += added.base_reads;
    stats->bytes_written += added.bytes_written;
    stats->max_revision = std::max(stats->max_revision, added.max_revision);
  }
  return Status::Ok();
}

std::string EncodeApplied(const AppliedState& applied) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, applied.index);
  AppendFixed64(&out, applied.term);
  return out;
}

Status DecodeApplied(std::string_view bytes, AppliedState* applied) {
  ByteReader in(bytes);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty applied record");
  if (format != kRecordFormat) return Status::Unsupported("applied record of a newer format");
  if (!in.ReadFixed64(&applied->index) || !in.ReadFixed64(&applied->term) || !in.empty()) {
    return Status::Corruption("applied record is damaged");
  }
  return Status::Ok();
}

Result<AppliedState> ReadApplied(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kAppliedRecord, &value);
  if (!found.ok()) return found.status();
  AppliedState applied;
  if (!found.value()) return applied;
  Status status = DecodeApplied(value, &applied);
  if (!status.ok()) return status;
  return applied;
}

Result<std::string> ReadMembership(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kMembershipRecord, &value);
  if (!found.ok()) return found.status();
  return found.value() ? value : std::string();
}

namespace {

// The elements of the collection whose meta record this is; nothing when it is another value. The
// meta record is read again, with the elements, from one state of the store: others write to it.
Status ReadElements(storage::Store* store, const CollectionOptions& options, StoredRecord* record) {
  uint16_t slot;
  uint32_t database;
  std::string_view name;
  Meta meta;
  std::string_view head;
  if (!ParseMetaKey(record->key, &slot, &database, &name)) {
    return Status::Corruption("a record with a damaged key");
  }
  RETURN_IF_ERROR(ParseMeta(*record->value, &meta, &head));
  if (!HasElements(meta.type)) return Status::Ok();
  const std::unique_ptr<storage::StoreIterator> records = store->NewIterator();
  records->Seek(record->key);
  if (!records->Valid() || records->key() != record->key) {
    record->value.reset();
    return records->status();
  }
  record->value = records->value();
  RETURN_IF_ERROR(ParseMeta(*record->value, &meta, &head));
  if (!HasElements(meta.type)) return Status::Ok();
  RETURN_IF_ERROR(CheckHead(meta.type, head));
  std::unique_ptr<Collection> collection = NewCollection(meta.type, options);
  collection->SetHead(head);
  std::string prefix;
  AppendElementPrefix(&prefix, slot, database, meta.created);
  for (records->Seek(prefix); records->Valid() && records->key().starts_with(prefix);
       records->Next()) {
    const std::string_view element = records->key().substr(prefix.size());
    RETURN_IF_ERROR(CheckElement(meta.type, element, records->value()));
    collection->Put(element, records->value());
  }
  RETURN_IF_ERROR(records->status());
  if (collection->Head() != head) {
    return Status::Corruption("a collection's elements are not those that it had");
  }
  record->collection = std::move(collection);
  return Status::Ok();
}

}  // namespace

Status ReadRecords(storage::Store* store, const std::vector<std::string>& keys,
                   const CollectionOptions& options, std::vector<StoredRecord>* records) {
  for (const std::string& key : keys) {
    StoredRecord record{key, std::string(), nullptr, {}};
    const Status status = store->Get(key, &*record.value);
    if (status.code() == Code::kNotFound) {
      record.value.reset();
    } else if (!status.ok()) {
      return status;
    } else {
      record.status = ReadElements(store, options, &record);
    }
    records->push_back(std::move(record));
  }
  return Status::Ok();
}

std::string EncodeStoreIdentity(uint64_t node_id, uint32_t partition) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, node_id);
  AppendFixed32(&out, partition);
  return out;
}

Status DecodeStoreIdentity(std::string_view bytes, uint64_t* node_id, uint32_t* partition) {
  ByteReader in(bytes);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("store has an empty identity record");
  if (format != kRecordFormat) {
    return Status::Unsupported("store is of format " + std::to_string(format) +
                               "; this holdfast reads format " + std::to_string(kRecordFormat));
  }
  if (!in.ReadFixed64(node_id) || !in.ReadFixed32(partition) || !in.empty()) {
    return Status::Corruption("store has a damaged identity record");
  }
  return Status::Ok();
}

Status CheckOrWriteIdentity(storage::Store* store, uint64_t node_id, uint32_t partition) {
  std::string value;
  Result<bool> found = GetSystem(store, kIdentityRecord, &value);
  if (!found.ok()) return found.status();
  if (!found.value()) {
    bool empty = true;
    RETURN_IF_ERROR(store->Scan("", "", [&empty](std::string_view, std::string_view) {
      empty = false;
      return false;
    }));
    if (!empty) return Status::Corruption("store holds records but no identity record");
    storage::StoreBatch batch;
    batch.Put(kIdentityRecord, EncodeStoreIdentity(node_id, partition));
    return store->Write(batch, /*sync=*/true);
  }
  uint64_t stored_node;
  uint32_t stored_partition;
  RETURN_IF_ERROR(DecodeStoreIdentity(value, &stored_node, &stored_partition));
  if (stored_node != node_id) {
    return Status::Unsupported("store belongs to node " + std::to_string(stored_node) +
                               ", not to this node " + std::to_string(node_id));
  }
  if (stored_partition != partition) {
    return Status::Unsupported("store is partition " + std::to_string(stored_partition) +
                               ", not partition " + std::to_string(partition));
  }
  return Status::Ok();
}

Result<DatabaseMap> ReadDatabases(storage::Store* store) {
  std::string databases;
  Result<bool> found = GetSystem(store, kDatabasesRecord, &databases);
  if (!found.ok()) return found.status();
  DatabaseMap map = DatabaseMap::Initial();
  if (found.value()) RETURN_IF_ERROR(ParseDatabaseMap(databases, &map));
  return map;
}

namespace {

Status LoadElements(storage::Store* store, Keyspace* keyspace, LoadStats* loaded) {
  Status element_status;
  RETURN_IF_ERROR(store->Scan(kElementsBegin, kElementsEnd,
                              [&](std::string_view record_key, std::string_view record_value) {
                                ++loaded->records;
                                loaded->bytes += record_key.size() + record_value.size();
                                element_status = keyspace->LoadElement(record_key, record_value);
                                return element_status.ok();
                              }));
  RETURN_IF_ERROR(element_status);
  RETURN_IF_ERROR(
      store->Scan(kGarbageBegin, kGarbageEnd, [keyspace](std::string_view, std::string_view) {
        keyspace->LoadGarbage();
        return false;
      }));
  return keyspace->FinishLoad();
}

}  // namespace

Status LoadKeyspace(storage::Store* store, Keyspace* keyspace, LoadStats* stats) {
  std::string databases;
  Result<bool> found = GetSystem(store, kDatabasesRecord, &databases);
  if (!found.ok()) return found.status();
  if (found.value()) RETURN_IF_ERROR(keyspace->LoadDatabases(databases));
  Result<uint64_t> revision = ReadRevision(store);
  if (!revision.ok()) return revision.status();
  keyspace->LoadRevision(revision.value());
  LoadStats loaded;
  Status record_status;
  RETURN_IF_ERROR(store->Scan(kMetaBegin, kMetaEnd,
                              [&](std::string_view record_key, std::string_view record_value) {
                                ++loaded.records;
                                loaded.bytes += record_key.size() + record_value.size();
                                bool dead = false;
                                record_status = keyspace->Load(record_key, record_value, &dead);
                                if (dead) ++loaded.dead_records;
                                return record_status.ok();
                              }));
  RETURN_IF_ERROR(record_status);
  RETURN_IF_ERROR(LoadElements(store, keyspace, &loaded));
  if (stats != nullptr) {
    stats->records += loaded.records;
    stats->dead_records += loaded.dead_records;
    stats->bytes += loaded.bytes;
  }
  return Status::Ok();
}

}  // namespace holdfast::data
