#include "data/coalescer.h"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "data/collection.h"

namespace holdfast::data {
namespace {

// The value of a garbage record.
constexpr std::string_view kGarbageValue("\x01", 1);
static_assert(kGarbageValue[0] == kRecordFormat);

std::string EncodeRevision(uint64_t revision) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, revision);
  return out;
}

}  // namespace

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

const std::vector<uint32_t>& Coalescer::ElementsOf(const std::string& prefix) {
  for (; listed_ < records_.size(); ++listed_) {
    const std::string_view key = records_[listed_].record_key;
    if (!key.starts_with('e')) continue;
    elements_[std::string(key.substr(0, prefix.size()))].push_back(static_cast<uint32_t>(listed_));
  }
  return elements_[prefix];
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
  for (const uint32_t i : ElementsOf(from)) changed[records_[i].record_key] = &records_[i];
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
  elements_.clear();
  listed_ = 0;
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

}  // namespace holdfast::data
