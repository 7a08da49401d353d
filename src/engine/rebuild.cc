// What a partition takes from its store: the state without effects that were never committed, after
// its leadership, and the state of a snapshot.
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "data/effect.h"
#include "engine/partition.h"

namespace holdfast::engine {

RebuildRequest Partition::UncommittedKeys() const {
  // More keys than this are not looked up one by one.
  constexpr size_t kMaxKeys = 100'000;
  RebuildRequest request;
  absl::flat_hash_set<std::string_view> keys;
  const auto note = [&request, &keys](const data::Effect& effect) {
    request.whole |= effect.kind == data::EffectKind::kDatabases || keys.size() > kMaxKeys;
    if (!request.whole) keys.insert(effect.record_key);
    return Status::Ok();
  };
  for (const auto& [index, payload] : proposed_) CHECK(data::ForEachEffect(*payload, note).ok());
  if (!batch_.empty()) CHECK(data::ForEachEffect(batch_, note).ok());
  if (!request.whole) request.keys.assign(keys.begin(), keys.end());
  // In an order that depends on nothing but the keys, which also is that of the store.
  std::sort(request.keys.begin(), request.keys.end());
  return request;
}

void Partition::TakeRebuilt(Rebuilt* rebuilt) {
  CHECK(rebuilding_ && !ready_);
  if (rebuilt->keyspace != nullptr) keyspace_.swap(rebuilt->keyspace);
  for (data::StoredRecord& record : rebuilt->records) {
    Status status = record.status;
    if (status.ok()) {
      status = keyspace_->Restore(record.key, record.value.has_value() ? &*record.value : nullptr,
                                  std::move(record.collection));
    }
    if (!status.ok()) Fatal("a record of the store can't be read: " + status.message());
  }
  rebuilding_ = false;
  TakeCommitted();
  if (leads_term_ != 0) {
    Lead(leads_term_);
    host_->StandingChanged(this);
  }
}

// Nothing waits for the old state: gates, watches and blocked requests ended with leadership, and
// what was proposed was forgotten then.
std::unique_ptr<data::Keyspace> Partition::Replace(std::unique_ptr<data::Keyspace> keyspace,
                                                   uint64_t index) {
  CHECK(follows() && replica_->frozen());
  CHECK(index > applied_index_ && handed_out_ == applied_index_);
  CHECK(batch_.empty() && proposed_.empty() && blocked_.empty());
  keyspace_.swap(keyspace);
  stored_revision_ = keyspace_->max_revision();
  revisions_.Observe(stored_revision_);
  memory_index_ = applied_index_ = handed_out_ = index;
  // Revisions that were watched are of another history.
  watches_ = txn::WatchTable();
  touched_ = TouchedKeys();
  all_touched_ = 0;
  for (CommitObserver* observer : observers_) observer->OnReplaced(*keyspace_);
  if (evictable_) host_->NoteReplaced();
  return keyspace;
}

}  // namespace holdfast::engine
