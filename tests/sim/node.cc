#include "node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "commands/table.h"
#include "replica/replay.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kNodeId = 77;
constexpr uint64_t kHashSeed = 12345;
constexpr uint64_t kSegmentBytes = 4096;  // small, so that segments come and go
const char* const kWalPath = "wal";

uint16_t FirstSlot(uint32_t partition, uint32_t partitions) {
  return static_cast<uint16_t>((static_cast<uint64_t>(partition) * kSlots + partitions - 1) /
                               partitions);
}

}  // namespace

// A log that says "durable" when it was merely told: the mutant kAckBeforeDurable.
class Node::EagerLog final : public storage::Log {
 public:
  explicit EagerLog(storage::ManualLog* log) : log_(log) {}
  uint64_t Submit(storage::WalBatch&& batch) override {
    return last_ = log_->Submit(std::move(batch));
  }
  uint64_t durable_ticket() const override { return last_; }
  uint64_t pending_bytes() const override { return log_->pending_bytes(); }
  bool saturated() const override { return log_->saturated(); }
  void RemoveObsolete(const storage::AppliedIndexes& applied) override {
    log_->RemoveObsolete(applied);
  }
  uint64_t free_bytes() const override { return log_->free_bytes(); }
  uint64_t segment_bytes() const override { return log_->segment_bytes(); }

 private:
  storage::ManualLog* log_;
  uint64_t last_ = 0;
};

Node::Node(Disks* disks, uint32_t partitions, uint64_t seed, ManualClock* clock, Mutant mutant,
           std::vector<Journal>* journals)
    : disks_(disks),
      mutant_(mutant),
      seed_(seed),
      clock_(clock),
      journals_(journals),
      jobs_(partitions),
      collectors_(partitions) {
  stats_.commands.resize(commands::Table().size());
}

Node::~Node() = default;

Status Node::Boot() {
  const auto count = static_cast<uint32_t>(jobs_.size());
  const uint64_t boot = ++disks_->boot;
  std::vector<raft::LogPosition> applied;
  for (uint32_t p = 0; p < count; ++p) {
    Result<std::unique_ptr<storage::Store>> store = disks_->stores.Open(std::to_string(p));
    if (!store.ok()) return store.status();
    RETURN_IF_ERROR(data::CheckOrWriteIdentity(store.value().get(), kNodeId, p));
    Result<data::AppliedState> state = data::ReadApplied(store.value().get());
    if (!state.ok()) return state.status();
    applied.push_back({state.value().index, state.value().term});
    stores_.push_back(std::move(store).value());
  }
  std::vector<replica::LogReplay::Stored> stored;
  for (uint32_t p = 0; p < count; ++p) stored.push_back({p, applied[p], {{kNodeId}, {}, {}}});
  replica::LogReplay replay(std::move(stored));
  Result<storage::WalRecovery> recovered = storage::RecoverWal(
      &disks_->files, kWalPath, kNodeId, boot,
      [&replay](const storage::WalRecord& record) { return replay.Take(record); });
  if (!recovered.ok()) return recovered.status();
  std::vector<raft::Restored> groups = replay.Finish(recovered.value().hard_states);

  for (uint32_t p = 0; p < count; ++p) {
    const raft::Restored& group = groups[p];
    recovered_.push_back(group.entries.empty() ? group.applied.index : group.entries.back().index);
    // What was not recovered never happened; its indexes are used again.
    Journal& journal = (*journals_)[p];
    journal.proposed = recovered_[p];
    journal.entries.erase(journal.entries.upper_bound(recovered_[p]), journal.entries.end());
  }

  storage::WalOptions options;
  options.segment_bytes = kSegmentBytes;
  options.sync = mutant_ != Mutant::kNoSync;
  options.old_segments = recovered.value().old_segments;
  Result<std::unique_ptr<storage::WalWriter>> writer = storage::WalWriter::Create(
      &disks_->files, kWalPath, {kNodeId, boot, 0}, options, recovered.value().hard_states);
  if (!writer.ok()) return writer.status();
  storage::LogOptions log_options;
  log_options.on_failure = [this](const Status&) { dead_ = true; };
  log_ = std::make_unique<storage::ManualLog>(&disks_->files, kWalPath, std::move(writer).value(),
                                              std::move(log_options));
  eager_log_ = std::make_unique<EagerLog>(log_.get());
  storage::Log* log = mutant_ == Mutant::kAckBeforeDurable
                          ? static_cast<storage::Log*>(eager_log_.get())
                          : log_.get();
  host_ = std::make_unique<replica::Host>(log, clock_);
  RETURN_IF_ERROR(MakePartitions(applied, std::move(groups)));
  return Elect();
}

Status Node::MakePartitions(const std::vector<raft::LogPosition>& applied,
                            std::vector<raft::Restored> groups) {
  const auto count = static_cast<uint32_t>(jobs_.size());
  for (uint32_t p = 0; p < count; ++p) {
    engine::Partition::Options partition;
    partition.number = p;
    partition.first_slot = FirstSlot(p, count);
    partition.last_slot =
        static_cast<uint16_t>(p + 1 == count ? kSlots - 1 : FirstSlot(p + 1, count) - 1);
    partition.host = this;
    partition.applied_index = applied[p].index;
    partition.seed = seed_ + p;
    data::Keyspace::Options keyspace;
    keyspace.first_slot = partition.first_slot;
    keyspace.last_slot = partition.last_slot;
    keyspace.hash_seed = kHashSeed;
    keyspace.clock = clock_;
    partition.keyspace = std::make_unique<data::Keyspace>(std::move(keyspace));
    RETURN_IF_ERROR(data::LoadKeyspace(stores_[p].get(), partition.keyspace.get(), nullptr));
    partitions_.push_back(std::make_unique<engine::Partition>(std::move(partition)));
    raft::GroupConfig config;
    config.self = kNodeId;
    config.max_uncommitted_bytes = UINT64_MAX / 2;
    config.seed = seed_ + p;
    Result<replica::Replica*> replica =
        host_->Add(p, config, std::move(groups[p]), partitions_.back().get());
    if (!replica.ok()) return replica.status();
    partitions_.back()->Attach(replica.value());
  }
  return Status::Ok();
}

Status Node::Elect() {
  for (int i = 0; i < 100 && !dead_; ++i) {
    Tick();
    TurnEnd();
    LogStep();
    Completions();
  }
  if (dead_) return Status::IoError("the log failed while booting");
  for (const auto& partition : partitions_) {
    if (!partition->ready()) return Status::IoError("a partition does not lead");
  }
  return Status::Ok();
}

void Node::NeedsTurnEnd(engine::Partition* partition) {
  if (std::find(turn_end_.begin(), turn_end_.end(), partition) == turn_end_.end()) {
    turn_end_.push_back(partition);
  }
}

void Node::TurnEnd() {
  for (engine::Partition* partition : turn_end_) partition->TurnEnd();
  turn_end_.clear();
  NoteProposals();
  host_->EndTurn();
}

void Node::NoteProposals() {
  for (const auto& partition : partitions_) {
    Journal& journal = (*journals_)[partition->number()];
    const replica::Replica* replica = partition->replica();
    for (uint64_t i = std::max(journal.proposed + 1, replica->group().first_index());
         i <= replica->last_index(); ++i) {
      const raft::Entry& entry = replica->EntryAt(i);
      if (entry.kind == raft::EntryKind::kData) journal.entries[i] = entry.payload;
    }
    journal.proposed = std::max(journal.proposed, replica->last_index());
  }
}

bool Node::LogStep() {
  if (!log_->has_work()) return false;
  if (!log_->Step().ok()) dead_ = true;
  return true;
}

void Node::Completions() {
  if (dead_) return;
  host_->OnDurable();
  for (const auto& partition : partitions_) {
    Journal& journal = (*journals_)[partition->number()];
    journal.acknowledged = std::max(journal.acknowledged, partition->commit_index());
  }
}

void Node::Persist(engine::Partition* partition, data::PersistJob job) {
  jobs_[partition->number()].push_back(std::move(job));
}

bool Node::PersistStep(Rng* rng) {
  const auto p = static_cast<uint32_t>(rng->Below(jobs_.size()));
  if (jobs_[p].empty()) return false;
  // Any number of jobs may be written as one.
  data::PersistJob job;
  for (uint64_t n = 1 + rng->Below(jobs_[p].size()); n > 0; --n) {
    data::AppendJob(&job, std::move(jobs_[p].front()));
    jobs_[p].pop_front();
  }
  storage::Store* store = stores_[p].get();
  if (mutant_ == Mutant::kAppliedApart) {
    storage::StoreBatch applied;
    applied.Put(data::kAppliedRecord, data::EncodeApplied({job.applied_index, job.applied_term}));
    if (!store->Write(applied, true).ok()) dead_ = true;
  }
  const bool sync = mutant_ != Mutant::kStoreNotSynced && mutant_ != Mutant::kAppliedApart;
  if (!data::PersistEntries(store, job, sync, nullptr).ok()) {
    dead_ = true;
    return true;
  }
  if (mutant_ == Mutant::kAppliedApart) return true;
  partitions_[p]->replica()->Compact(job.applied_index);
  uint64_t obsolete = job.applied_index;
  if (mutant_ == Mutant::kTruncateTooFar) obsolete = partitions_[p]->proposed_index();
  log_->RemoveObsolete({{p, obsolete}});
  return true;
}

void Node::CollectStep(Rng* rng) {
  const auto p = static_cast<uint32_t>(rng->Below(collectors_.size()));
  storage::Store* store = stores_[p].get();
  if (collectors_[p] == nullptr) {
    Result<data::DatabaseMap> live = data::ReadDatabases(store);
    if (!live.ok()) {
      dead_ = true;
      return;
    }
    if (mutant_ == Mutant::kCollectByMemory) live = partitions_[p]->keyspace().map();
    collectors_[p] = std::make_unique<data::DeadRecordCollector>(
        partitions_[p]->first_slot(), partitions_[p]->last_slot(), live.value());
  }
  const Result<bool> done = collectors_[p]->Step(store, 1 + rng->Below(50));
  if (!done.ok()) dead_ = true;
  if (!done.ok() || done.value()) collectors_[p] = nullptr;
}

void Node::Tick() {
  host_->Tick();
  for (const auto& partition : partitions_) partition->Tick();
}

std::string Node::Dump(const data::Keyspace& keyspace) {
  std::string dump;
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    const data::Database* database = keyspace.Logical(db);
    uint64_t cursor = 0;
    do {
      cursor = database->table.Scan(cursor, 1000, [&](data::Object* object) {
        const data::Meta meta = data::Keyspace::MetaOf(*database, object);
        dump += std::to_string(db) + " " + std::string(object->key()) + " ";
        data::AppendMeta(&dump, meta);
        dump += object->value();
        dump += '\n';
      });
    } while (cursor != 0);
  }
  return dump;
}

}  // namespace holdfast::sim
