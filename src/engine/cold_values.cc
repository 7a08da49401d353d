// Values that leave memory and come back: what a partition does with engine/value_loads.h.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/access.h"
#include "engine/partition.h"
#include "engine/script_run.h"

namespace holdfast::engine {
namespace {

// A window is so many keys in the order of SCAN; of those that may go, the half that wasn't used
// for longest goes.
constexpr size_t kDropWindow = 256;
constexpr size_t kDropWindowsPerTick = 16;
// Freeing so many elements takes about a millisecond.
constexpr uint64_t kDroppedPerTick = 10'000;
// Of collections that wait to be copied in the store; a single one may be larger.
constexpr uint64_t kMaxCopiedBytes = uint64_t{64} << 20;

}  // namespace

ColdValue Partition::ColdValueOf(const data::Database& database, const data::Object& object) {
  ColdValue value;
  data::AppendMetaKey(&value.record_key, KeySlot(object.key()), database.physical, object.key());
  value.created = object.created();
  value.revision = object.revision();
  return value;
}

void Partition::AddMissing(const Request& request, std::vector<ColdValue>* missing) const {
  std::vector<int> positions;
  if (!request.command->NeedsValues(request.args)) return;
  if (!FindKeys(*request.command, request.args, &positions)) return;
  if (request.command->values == ValueUse::kOfFirstKey) positions.resize(1);
  const data::Database* database = keyspace_->Logical(request.db);
  for (const int i : positions) {
    const data::HashedKey key = keyspace_->Hash(request.args[static_cast<size_t>(i)]);
    const data::Object* object = database->table.Find(key);
    if (object != nullptr && object->cold()) missing->push_back(ColdValueOf(*database, *object));
  }
}

std::optional<std::vector<ColdValue>> Partition::MissingValues(
    const Origin& origin, std::span<const Request> requests) const {
  std::vector<ColdValue> missing;
  if (!ready()) return std::nullopt;
  for (const Request& request : requests) AddMissing(request, &missing);
  if (missing.empty() && (loads_.empty() || !loads_.Waits(origin.Name()))) return std::nullopt;
  return missing;
}

void Partition::RunWithValues(std::string origin, HeldRequest request,
                              std::vector<ColdValue> values) {
  std::vector<ColdValue> fresh;
  loads_.Hold(std::move(origin), std::move(request), std::move(values), &fresh);
  RequestValues(std::move(fresh));
}

void Partition::RequestValues(std::vector<ColdValue> values) {
  if (values.empty()) return;
  ValueRequest request;
  request.period = load_period_;
  std::erase_if(values, [this](const ColdValue& value) {
    const uint64_t entry = EntryOfCopy(value.created);
    if (entry <= applied_index_) return false;
    wanted_copies_.emplace_back(entry, value);
    return true;
  });
  if (values.empty()) return;
  // While it followed, changes of cold keys went to the store alone, and may still be on their way
  // there. What it changes as a leader is at most their metas, which aren't read again: they hide
  // the revision of the value. A copy is made in the store.
  const bool may_be_older = stored_revision_ < followed_revision_;
  for (const ColdValue& value : values) {
    request.after_flush |= may_be_older && value.revision > stored_revision_;
    request.after_flush |= value.created > stored_revision_;
  }
  request.values = std::move(values);
  host_->LoadValues(this, std::move(request));
}

bool Partition::MayCopyInStore(uint64_t bytes) const {
  return copies_.empty() || copied_bytes_ + bytes <= kMaxCopiedBytes;
}

void Partition::NoteCopy(const Key& copy, bool moves, uint64_t bytes) {
  copies_.push_back({copy.object->created(), open_index_, bytes});
  copied_bytes_ += bytes;
  if (moves || host_->config().resident_memory_bytes != 0) return;
  coming_[copy.object->created()] = bytes;
  coming_bytes_ += bytes;
  WantValues({ColdValueOf(*copy.database, *copy.object)}, nullptr);
}

uint64_t Partition::EntryOfCopy(uint64_t created) const {
  const auto it = std::lower_bound(
      copies_.begin(), copies_.end(), created,
      [](const QueuedCopy& copy, uint64_t wanted) { return copy.created < wanted; });
  return it != copies_.end() && it->created == created ? it->entry : 0;
}

void Partition::RequestCopies() {
  std::vector<ColdValue> values;
  std::erase_if(wanted_copies_, [this, &values](std::pair<uint64_t, ColdValue>& wanted) {
    if (wanted.first > applied_index_) return false;
    values.push_back(std::move(wanted.second));
    return true;
  });
  RequestValues(std::move(values));
}

void Partition::Stored(uint64_t revision) {
  stored_revision_ = std::max(stored_revision_, revision);
  while (!copies_.empty() && copies_.front().created <= stored_revision_) {
    copied_bytes_ -= copies_.front().bytes;
    copies_.pop_front();
  }
}

void Partition::TakeValues(LoadedValues loaded) {
  if (loaded.period != load_period_) return;
  for (size_t i = 0; i < loaded.records.size(); ++i) {
    data::StoredRecord& record = loaded.records[i];
    if (const auto coming = coming_.find(loaded.created[i]); coming != coming_.end()) {
      coming_bytes_ -= coming->second;
      coming_.erase(coming);
    }
    if (keyspace_->IsCold(record.key, loaded.created[i])) {
      Status status = record.status;
      if (status.ok()) {
        status = keyspace_->Fill(record.key, loaded.created[i],
                                 record.value.has_value() ? &*record.value : nullptr,
                                 std::move(record.collection));
      }
      if (!status.ok()) Fatal("a value that was dropped can't be read: " + status.message());
      ++host_->stats()->values_loaded;
    }
    if (loads_.CreatedOf(record.key) == loaded.created[i]) loads_.Loaded(record.key);
  }
  for (ValueLoads::WaitedKey& key : loads_.TakeWaited()) ready_keys_.push_back(std::move(key));
  ServeReadyKeys();
  loads_.Run();
}

// The requests come back to whoever holds them, and go to the next leader.
void Partition::EndLoads() {
  ++load_period_;
  wanted_copies_.clear();
  coming_.clear();
  coming_bytes_ = 0;
  loads_.RunAll();
  for (ValueLoads::WaitedKey& key : loads_.TakeWaited()) ready_keys_.push_back(std::move(key));
}

std::string_view Partition::AwaitValues(const Request& request) {
  while (keyspace_->has_cold()) {
    std::vector<ColdValue> missing;
    AddMissing(request, &missing);
    if (missing.empty()) break;
    const std::string_view end = AwaitLoads(missing);
    if (!end.empty()) return end;
  }
  return {};
}

std::string_view Partition::AwaitLoads(const std::vector<ColdValue>& values) {
  WantValues(values, nullptr);
  const auto is_loading = [this](const ColdValue& value) {
    return loads_.IsLoading(value.record_key);
  };
  while (std::any_of(values.begin(), values.end(), is_loading)) {
    const std::string_view end = AwaitInScript();
    if (!end.empty()) return end;
  }
  return {};
}

void Partition::RunWithWanted(const Request& request, const Caller& caller,
                              const std::vector<ColdValue>& wanted, std::string* out,
                              Outcome* outcome) {
  if (script_ != nullptr && script_->fiber.inside()) {
    const std::string_view end = AwaitLoads(wanted);
    if (end.empty()) {
      Run(request, caller, {}, out, outcome);
    } else {
      resp::Writer(out, caller.protocol).Error("ERR " + std::string(end));
    }
    return;
  }
  // Only what looks at keys that its specification doesn't name comes here.
  WantValues(wanted, nullptr);
  resp::Writer(out, caller.protocol).Error(kTryAgain);
}

void Partition::WantValues(const std::vector<ColdValue>& wanted,
                           const ValueLoads::WaitedKey* waited) {
  std::vector<ColdValue> fresh;
  for (const ColdValue& value : wanted) {
    if (loads_.Want(value, waited)) fresh.push_back(value);
  }
  RequestValues(std::move(fresh));
}

bool Partition::CancelBlocked(const ReplyAddress& address) {
  return blocked_.Remove(address).has_value() || TakeCopyWait(address).has_value() ||
         loads_.Cancel(address) || CancelBehindScript(address.client, &address.slot);
}

// ---- Dropping

bool Partition::DropValues() {
  const uint64_t limit = host_->config().resident_memory_bytes;
  if (limit == 0 || !evictable_ || rebuilding_ || script_suspended()) return false;
  uint64_t dropped = 0;
  for (size_t i = 0; i < kDropWindowsPerTick && dropped < kDroppedPerTick; ++i) {
    if (host_->UsedMemory() <= limit) return false;
    dropped += DropSome();
  }
  // When nothing could go, the store has to take something first.
  return dropped > 0;
}

uint64_t Partition::DropSome() {
  // The next database that has keys.
  for (uint32_t i = 0; i < data::kLogicalDatabases && drop_cursor_ == 0; ++i) {
    drop_db_ = (drop_db_ + 1) % data::kLogicalDatabases;
    if (keyspace_->Logical(drop_db_)->table.size() > 0) break;
  }
  data::Database* database = keyspace_->Logical(drop_db_);
  std::vector<data::Object*> candidates;
  drop_cursor_ = database->table.Scan(drop_cursor_, kDropWindow, [&](data::Object* object) {
    if (MayBeDropped(*database, *object)) candidates.push_back(object);
  });
  const Config& config = host_->config();
  const int64_t now_ns = host_->clock().MonotonicNs();
  // The smaller, the sooner it goes.
  const auto worth = [&config, now_ns,
                      lfu = IsLfu(config.maxmemory_policy)](const data::Object* object) -> int64_t {
    if (lfu) return LfuCounter(object->accessed, now_ns, config);
    return -static_cast<int64_t>(LruClockAt(now_ns) - object->accessed);
  };
  const auto half = static_cast<std::ptrdiff_t>((candidates.size() + 1) / 2);
  std::nth_element(
      candidates.begin(), candidates.begin() + half, candidates.end(),
      [&worth](const data::Object* a, const data::Object* b) { return worth(a) < worth(b); });
  uint64_t records = 0;
  for (auto it = candidates.begin(); it != candidates.begin() + half; ++it) {
    const data::Collection* collection = (*it)->collection();
    records += collection == nullptr ? 1 : collection->records();
    keyspace_->Drop(database, *it);
    ++host_->stats()->values_dropped;
  }
  return records;
}

bool Partition::MayBeDropped(const data::Database& database, const data::Object& object) const {
  if (!data::MayBeCold(object.type()) || object.cold()) return false;
  if (object.revision() > stored_revision_) return false;
  const data::Collection* collection = object.collection();
  const size_t bytes = collection != nullptr ? collection->MemoryBytes() : object.value_size();
  if (bytes < smallest_dropped_) return false;
  // What is being loaded would come back as it was when it was read.
  return loads_.empty() || !loads_.Pins(ColdValueOf(database, object).record_key);
}

}  // namespace holdfast::engine
