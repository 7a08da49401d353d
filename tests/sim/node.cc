#include "node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "commands/table.h"
#include "engine/errors.h"
#include "raft/membership.h"
#include "replica/replay.h"
#include "resp/writer.h"
#include "snapshots.h"
#include "storage/store_switch.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kSegmentBytes = 4096;  // small, so that segments come and go
const char* const kWalPath = "wal";

}  // namespace

uint16_t FirstSlotOf(uint32_t partition, uint32_t partitions) {
  return static_cast<uint16_t>((static_cast<uint64_t>(partition) * kSlots + partitions - 1) /
                               partitions);
}

std::unique_ptr<data::Keyspace> EmptyKeyspace(uint32_t partition, uint32_t partitions,
                                              const Clock* clock, size_t resident_bytes) {
  data::Keyspace::Options options;
  options.resident_bytes = resident_bytes;
  options.first_slot = FirstSlotOf(partition, partitions);
  options.last_slot = static_cast<uint16_t>(
      partition + 1 == partitions ? kSlots - 1 : FirstSlotOf(partition + 1, partitions) - 1);
  options.hash_seed = kHashSeed;
  options.clock = clock;
  return std::make_unique<data::Keyspace>(std::move(options));
}

namespace {

using ColdReader = std::function<std::string(const data::Database&, const data::Object&)>;

std::string DumpWith(const data::Keyspace& keyspace, const ColdReader& read_cold) {
  std::string dump;
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    const data::Database* database = keyspace.Logical(db);
    uint64_t cursor = 0;
    do {
      cursor = database->table.Scan(cursor, 1000, [&](data::Object* object) {
        const data::Meta meta = data::Keyspace::MetaOf(*database, object);
        dump += std::to_string(db) + " " + std::string(object->key()) + " ";
        data::AppendMeta(&dump, meta);
        dump += object->cold() ? read_cold(*database, *object) : object->value();
        dump += '\n';
      });
    } while (cursor != 0);
  }
  return dump;
}

}  // namespace

std::string Dump(const data::Keyspace& keyspace) {
  return DumpWith(keyspace, [](const data::Database&, const data::Object&) {
    CHECK_MSG(false, "a value is not in memory");
    return std::string();
  });
}

std::optional<std::string> Node::DumpOf(uint32_t number) const {
  const Slot& slot = slots_[number];
  const data::Keyspace& keyspace = slot.partition->keyspace();
  if (!keyspace.has_cold()) return Dump(keyspace);
  if (slot.store == nullptr || !slot.jobs.empty()) return std::nullopt;
  bool read = true;
  std::string dump =
      DumpWith(keyspace, [&](const data::Database& database, const data::Object& object) {
        std::string key;
        std::string record;
        data::AppendMetaKey(&key, KeySlot(object.key()), database.physical, object.key());
        read &= slot.store->Get(key, &record).ok();
        data::Meta meta;
        std::string_view value;
        if (!read || !data::ParseMeta(record, &meta, &value).ok()) return std::string("none");
        return std::string(value);
      });
  // The disk failed: the node will notice.
  if (!read) return std::nullopt;
  return dump;
}

// ---- DirectoryFaults

Status DirectoryFaults::Destroy(const std::string& path) {
  const bool fails = Fails();
  if (!fails || happens_) RETURN_IF_ERROR(disk_->Destroy(path));
  if (!fails) return Status::Ok();
  ++failed_;
  return Status::IoError("simulated");
}

Status DirectoryFaults::Rename(const std::string& from, const std::string& to) {
  const bool fails = Fails();
  if (!fails || happens_) RETURN_IF_ERROR(disk_->Rename(from, to));
  if (!fails) return Status::Ok();
  ++failed_;
  return Status::IoError("simulated");
}

void DirectoryFaults::FailNth(uint64_t nth, bool happens) {
  countdown_ = nth;
  happens_ = happens;
}

// ---- Node

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

// A monotonic clock by which leases begin a little before they do: the mutant kLeaseShort.
class Node::LateClock final : public Clock {
 public:
  explicit LateClock(const Clock* clock) : clock_(clock) {}
  int64_t WallMs() const override { return clock_->WallMs(); }
  int64_t WallUs() const override { return clock_->WallUs(); }
  int64_t MonotonicNs() const override { return clock_->MonotonicNs() - 100'000'000; }

 private:
  const Clock* const clock_;
};

Node::Node(Disks* disks, NodeOptions options)
    : disks_(disks),
      options_(std::move(options)),
      mutant_(options_.mutant),
      slots_(options_.partitions) {
  config_.resident_memory_bytes = options_.drops_values ? 1 : 0;
  CHECK((options_.journals == nullptr) != (options_.surroundings == nullptr));
  stats_.commands.resize(commands::Table().size());
  if (mutant_ == Mutant::kLeaseShort) late_clock_ = std::make_unique<LateClock>(options_.clock);
}

Node::~Node() = default;

Status Node::Boot() {
  ++disks_->boot;
  RETURN_IF_ERROR(OpenStores());
  storage::WalRecovery recovery;
  Result<std::vector<raft::Restored>> groups = Replay(&recovery);
  if (!groups.ok()) return groups.status();
  for (uint32_t p = 0; p < partitions(); ++p) {
    const raft::Restored& group = groups.value()[p];
    Slot& slot = slots_[p];
    slot.hard_state = group.hard_state;
    slot.recovered = group.entries.empty() ? group.applied.index : group.entries.back().index;
    if (options_.journals == nullptr) continue;
    // What was not recovered never happened; its indexes are used again.
    Journal& journal = (*options_.journals)[p];
    journal.proposed = slot.recovered;
    journal.entries.erase(journal.entries.upper_bound(slot.recovered), journal.entries.end());
  }
  RETURN_IF_ERROR(OpenLog(recovery));
  RETURN_IF_ERROR(MakePartitions(std::move(groups).value()));
  if (options_.surroundings == nullptr) return Elect();
  snapshots_ = std::make_unique<Snapshots>(this, options_.seed);
  return Status::Ok();
}

Status Node::OpenStores() {
  for (uint32_t p = 0; p < partitions(); ++p) {
    Slot& slot = slots_[p];
    RETURN_IF_ERROR(storage::SettleSwitch(&disks_->directories, std::to_string(p)));
    Result<std::unique_ptr<storage::Store>> store = disks_->directories.Open(std::to_string(p));
    if (!store.ok()) return store.status();
    slot.store = std::move(store).value();
    RETURN_IF_ERROR(data::CheckOrWriteIdentity(slot.store.get(), options_.id, p));
    Result<data::AppliedState> state = data::ReadApplied(slot.store.get());
    if (!state.ok()) return state.status();
    slot.applied = {state.value().index, state.value().term};
    slot.stored = slot.applied.index;
    RETURN_IF_ERROR(FoundGroup(&slot));
  }
  return Status::Ok();
}

// As engine::Engine::Enter.
Status Node::FoundGroup(Slot* slot) {
  slot->membership = {{options_.id}, {}, {}};
  if (options_.surroundings == nullptr) return Status::Ok();
  Result<std::string> record = data::ReadMembership(slot->store.get());
  if (!record.ok()) return record.status();
  if (record.value().empty()) {
    storage::StoreBatch batch;
    batch.Put(data::kMembershipRecord, raft::EncodeMembership(options_.founding));
    RETURN_IF_ERROR(slot->store->Write(batch, /*sync=*/true));
    slot->membership = options_.founding;
    return Status::Ok();
  }
  Result<raft::Membership> decoded = raft::DecodeMembership(record.value());
  if (!decoded.ok()) return decoded.status();
  slot->membership = std::move(decoded).value();
  return Status::Ok();
}

Result<std::vector<raft::Restored>> Node::Replay(storage::WalRecovery* recovery) {
  std::vector<replica::LogReplay::Stored> stored;
  for (uint32_t p = 0; p < partitions(); ++p) {
    stored.push_back({p, slots_[p].applied, slots_[p].membership});
  }
  replica::LogReplay replay(std::move(stored));
  Result<storage::WalRecovery> recovered = storage::RecoverWal(
      &disks_->files, kWalPath, options_.id, disks_->boot,
      [&replay](const storage::WalRecord& record) { return replay.Take(record); });
  if (!recovered.ok()) return recovered.status();
  *recovery = std::move(recovered).value();
  Result<std::vector<raft::Restored>> groups = replay.Finish(recovery->hard_states);
  if (groups.ok()) Distort(&groups.value());
  return groups;
}

void Node::Distort(std::vector<raft::Restored>* groups) const {
  for (raft::Restored& group : *groups) {
    if (mutant_ == Mutant::kVoteLost) group.hard_state.voted_for = raft::kNoNode;
    if (mutant_ == Mutant::kTermLost) {
      group.hard_state = {group.entries.empty() ? group.applied.term : group.entries.back().term,
                          raft::kNoNode};
    }
    if (mutant_ == Mutant::kTailLost && !group.entries.empty()) group.entries.pop_back();
    if (mutant_ == Mutant::kMembershipForgotten) group.membership = options_.founding;
    if (mutant_ == Mutant::kLearnersVote) {
      for (const raft::NodeId id : group.membership.learners) {
        group.membership.voters.push_back(id);
      }
      group.membership.learners.clear();
    }
  }
}

Status Node::OpenLog(const storage::WalRecovery& recovery) {
  storage::WalOptions options;
  options.segment_bytes = kSegmentBytes;
  options.sync = mutant_ != Mutant::kNoSync;
  options.old_segments = recovery.old_segments;
  Result<std::unique_ptr<storage::WalWriter>> writer = storage::WalWriter::Create(
      &disks_->files, kWalPath, {options_.id, disks_->boot, 0}, options, recovery.hard_states);
  if (!writer.ok()) return writer.status();
  storage::LogOptions log_options;
  log_options.on_failure = [this](const Status&) { dead_ = true; };
  log_ = std::make_unique<storage::ManualLog>(&disks_->files, kWalPath, std::move(writer).value(),
                                              std::move(log_options));
  eager_log_ = std::make_unique<EagerLog>(log_.get());
  storage::Log* log = mutant_ == Mutant::kAckBeforeDurable
                          ? static_cast<storage::Log*>(eager_log_.get())
                          : log_.get();
  host_ = std::make_unique<replica::Host>(log, options_.clock, options_.surroundings);
  return Status::Ok();
}

Status Node::MakePartitions(std::vector<raft::Restored> groups) {
  for (uint32_t p = 0; p < partitions(); ++p) {
    Slot& slot = slots_[p];
    engine::Partition::Options partition;
    partition.number = p;
    partition.first_slot = FirstSlotOf(p, partitions());
    partition.last_slot = static_cast<uint16_t>(
        p + 1 == partitions() ? kSlots - 1 : FirstSlotOf(p + 1, partitions()) - 1);
    partition.host = this;
    partition.applied_index = slot.applied.index;
    partition.first_round = disks_->boot << 40;
    partition.seed = options_.seed + p;
    partition.new_keyspace = [this, p] {
      const Clock* const clock = late_clock_ != nullptr ? late_clock_.get() : options_.clock;
      return EmptyKeyspace(p, partitions(), clock, options_.drops_values ? 1 : 0);
    };
    partition.smallest_dropped = 1;
    partition.keyspace = partition.new_keyspace();
    RETURN_IF_ERROR(data::LoadKeyspace(slot.store.get(), partition.keyspace.get(), nullptr));
    slot.partition = std::make_unique<engine::Partition>(std::move(partition));
    raft::GroupConfig config = options_.group;
    config.self = options_.id;
    config.max_uncommitted_bytes = UINT64_MAX / 2;
    config.seed = options_.seed + p;
    Result<replica::Replica*> replica =
        host_->Add(p, config, std::move(groups[p]), slot.partition.get());
    if (!replica.ok()) return replica.status();
    slot.partition->Attach(replica.value());
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
  for (const Slot& slot : slots_) {
    if (!slot.partition->ready()) return Status::IoError("a partition does not lead");
  }
  return Status::Ok();
}

void Node::NeedsTurnEnd(engine::Partition* partition) {
  if (std::find(turn_end_.begin(), turn_end_.end(), partition) == turn_end_.end()) {
    turn_end_.push_back(partition);
  }
}

void Node::ContinueLater(engine::Partition* partition) { continued_.push_back(partition); }

void Node::TurnEnd() {
  for (engine::Partition* partition : std::exchange(continued_, {})) partition->ContinueScript();
  for (size_t i = 0; i < turn_end_.size(); ++i) turn_end_[i]->TurnEnd();
  turn_end_.clear();
  NoteProposals();
  host_->EndTurn();
}

void Node::NoteProposals() {
  if (options_.journals == nullptr) return;
  for (const Slot& slot : slots_) {
    Journal& journal = (*options_.journals)[slot.partition->number()];
    const replica::Replica* replica = slot.partition->replica();
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
  if (options_.journals == nullptr) return;
  for (const Slot& slot : slots_) {
    Journal& journal = (*options_.journals)[slot.partition->number()];
    journal.acknowledged = std::max(journal.acknowledged, slot.partition->commit_index());
  }
}

void Node::Tick() {
  host_->Tick();
  for (const Slot& slot : slots_) slot.partition->Tick();
  if (snapshots_ != nullptr) snapshots_->Tick();
}

// ---- The persister

void Node::Persist(engine::Partition* partition, data::PersistJob job) {
  if (mutant_ == Mutant::kEntrySkipped && ++jobs_handed_over_ % 20 == 0 && !job.payloads.empty()) {
    job.payloads.pop_back();
    job.positions.pop_back();
  }
  if (mutant_ == Mutant::kMembershipNotStored) job.membership = nullptr;
  slots_[partition->number()].jobs.push_back(std::move(job));
}

bool Node::HasPersistWork() const {
  for (const Slot& slot : slots_) {
    if (slot.store == nullptr) continue;
    if (!slot.jobs.empty() || slot.rebuild.has_value() || slot.rebuilt != nullptr) return true;
    if (!slot.wanted.empty() || !slot.loaded.empty()) return true;
  }
  return false;
}

bool Node::PersistStep(Rng* rng) {
  const auto number = static_cast<uint32_t>(rng->Below(slots_.size()));
  Slot& slot = slots_[number];
  if (slot.store == nullptr) return false;
  if (options_.drops_values && rng->Chance(1, 2) && ReadValues(&slot, rng)) return true;
  if (slot.rebuilt != nullptr) {
    const std::unique_ptr<engine::Rebuilt> rebuilt = std::move(slot.rebuilt);
    slot.partition->TakeRebuilt(rebuilt.get());
  } else if (slot.rebuild.has_value() &&
             (slot.jobs.empty() || mutant_ == Mutant::kRebuiltTooEarly)) {
    ReadForRebuild(&slot);
  } else if (!slot.jobs.empty()) {
    WriteJobs(number, rng);
  } else {
    return ReadValues(&slot, rng);
  }
  return true;
}

bool Node::ReadValues(Slot* slot, Rng* rng) {
  if (!slot->loaded.empty() && (slot->wanted.empty() || rng->Chance(1, 2))) {
    engine::LoadedValues loaded = std::move(slot->loaded.front());
    slot->loaded.pop_front();
    slot->partition->TakeValues(std::move(loaded));
    return true;
  }
  if (slot->wanted.empty()) return false;
  engine::ValueRequest request = std::move(slot->wanted.front());
  if (request.after_flush && !slot->jobs.empty() && mutant_ != Mutant::kLoadedTooEarly) {
    slot->wanted.front() = std::move(request);
    return false;
  }
  slot->wanted.pop_front();
  engine::LoadedValues loaded;
  loaded.period = request.period;
  std::vector<std::string> keys;
  for (const engine::ColdValue& value : request.values) {
    keys.push_back(value.record_key);
    loaded.created.push_back(value.created);
  }
  const Status status = data::ReadRecords(
      slot->store.get(), keys, slot->partition->keyspace().collection_options(), &loaded.records);
  if (!status.ok()) dead_ = true;
  if (!dead_) slot->loaded.push_back(std::move(loaded));
  return true;
}

void Node::LoadValues(engine::Partition* partition, engine::ValueRequest request) {
  slots_[partition->number()].wanted.push_back(std::move(request));
}

void Node::WriteJobs(uint32_t number, Rng* rng) {
  Slot& slot = slots_[number];
  // Any number of jobs may be written as one.
  data::PersistJob job;
  for (uint64_t n = 1 + rng->Below(slot.jobs.size()); n > 0; --n) {
    data::AppendJob(&job, std::move(slot.jobs.front()));
    slot.jobs.pop_front();
  }
  storage::Store* store = slot.store.get();
  if (mutant_ == Mutant::kAppliedApart) {
    storage::StoreBatch applied;
    applied.Put(data::kAppliedRecord, data::EncodeApplied({job.applied_index, job.applied_term}));
    if (!store->Write(applied, true).ok()) dead_ = true;
  }
  const bool sync = mutant_ != Mutant::kStoreNotSynced && mutant_ != Mutant::kAppliedApart;
  data::PersistStats stats;
  if (!data::PersistEntries(store, job, sync, &stats).ok()) {
    dead_ = true;
    return;
  }
  slot.partition->Stored(stats.max_revision);
  if (mutant_ == Mutant::kRevisionNotStored) {
    storage::StoreBatch forget;
    forget.Delete(data::kRevisionRecord);
    if (!store->Write(forget, true).ok()) dead_ = true;
  }
  slot.stored = job.applied_index;
  if (mutant_ == Mutant::kAppliedApart) return;
  slot.partition->replica()->Compact(job.applied_index);
  uint64_t obsolete = job.applied_index;
  if (mutant_ == Mutant::kTruncateTooFar) obsolete = slot.partition->proposed_index();
  log_->RemoveObsolete({{number, obsolete}});
}

void Node::Rebuild(engine::Partition* partition, engine::RebuildRequest request) {
  Slot& slot = slots_[partition->number()];
  CHECK(!slot.rebuild.has_value() && slot.rebuilt == nullptr);
  if (mutant_ == Mutant::kMemoryKept) request = engine::RebuildRequest();
  slot.rebuild = std::move(request);
}

void Node::ReadForRebuild(Slot* slot) {
  slot->rebuilt = std::make_unique<engine::Rebuilt>();
  Status status;
  if (slot->rebuild->whole) {
    slot->rebuilt->keyspace = slot->partition->NewKeyspace();
    status = data::LoadKeyspace(slot->store.get(), slot->rebuilt->keyspace.get(), nullptr);
  } else {
    status = data::ReadRecords(slot->store.get(), slot->rebuild->keys,
                               slot->partition->keyspace().collection_options(),
                               &slot->rebuilt->records);
  }
  slot->rebuild.reset();
  if (!status.ok()) dead_ = true;
}

void Node::CollectStep(Rng* rng) {
  Slot& slot = slots_[rng->Below(slots_.size())];
  if (slot.store == nullptr) return;
  if (slot.collector == nullptr) {
    Result<data::DatabaseMap> live = data::ReadDatabases(slot.store.get());
    if (!live.ok()) {
      dead_ = true;
      return;
    }
    if (mutant_ == Mutant::kCollectByMemory) live = slot.partition->keyspace().map();
    slot.collector = std::make_unique<data::DeadRecordCollector>(
        slot.partition->first_slot(), slot.partition->last_slot(), live.value());
  }
  const Result<bool> done = slot.collector->Step(slot.store.get(), 1 + rng->Below(50));
  if (!done.ok()) dead_ = true;
  if (!done.ok() || done.value()) slot.collector = nullptr;
  if (dead_) return;
  if (slot.garbage_collector == nullptr) {
    slot.garbage_collector = std::make_unique<data::GarbageCollector>();
  }
  const Result<bool> swept = slot.garbage_collector->Step(slot.store.get(), 1 + rng->Below(50));
  if (!swept.ok()) dead_ = true;
  if (!swept.ok() || swept.value()) slot.garbage_collector = nullptr;
}

bool Node::CanLend(uint32_t partition) const {
  const Slot& slot = slots_[partition];
  return slot.store != nullptr && !slot.rebuild.has_value() && slot.rebuilt == nullptr &&
         slot.wanted.empty();
}

std::shared_ptr<storage::Store> Node::Lend(uint32_t partition) {
  CHECK(CanLend(partition));
  slots_[partition].collector = nullptr;
  slots_[partition].garbage_collector = nullptr;
  return std::move(slots_[partition].store);
}

void Node::Return(uint32_t partition, std::shared_ptr<storage::Store> store, uint64_t index) {
  Slot& slot = slots_[partition];
  CHECK(slot.store == nullptr && !slot.rebuild.has_value());
  slot.store = std::move(store);
  slot.jobs.clear();
  slot.stored = index;
}

// ---- Clients and other nodes

namespace {

// Of a transaction.
std::string JoinReplies(const engine::ExecResult& result, const std::vector<std::string>& replies) {
  std::string reply;
  resp::Writer writer(&reply, 2);
  if (!result.refusal.empty()) {
    writer.Error(result.refusal);
  } else {
    writer.Array(replies.size());
    for (const std::string& each : replies) reply += each;
  }
  return reply;
}

}  // namespace

void Node::Serve(uint32_t number, uint32_t db,
                 const std::vector<std::vector<std::string>>& commands,
                 const engine::ReplyAddress& address) {
  engine::Partition* const partition = slots_[number].partition.get();
  if (mutant_ == Mutant::kFollowersRead && !partition->ready() && commands.size() == 1 &&
      AnswerFromMemory(partition, commands.front(), address)) {
    return;
  }
  std::vector<std::vector<std::string_view>> views;
  std::vector<engine::Request> requests;
  for (const auto& command : commands) views.emplace_back(command.begin(), command.end());
  for (const auto& view : views) {
    requests.push_back({commands::Table().Find(view[0]), view, db});
  }
  // Not LOCKINFO: a lease counts from when the leader executed its grant, which a follower sees
  // when that is committed. The checker takes what it sees for the moment of the grant.
  if (!partition->ready() && requests.size() == 1 &&
      requests.front().command->has(engine::kReadonly) && commands.front()[0] != "lockinfo") {
    engine::BlockedRequest read;
    read.address = address;
    read.command = requests.front().command;
    read.args = engine::OwnedArgs(requests.front().args);
    read.caller.db = db;
    partition->ReadAsFollower(std::move(read), true);
    return;
  }
  const auto again = [this, number, db, commands, address] {
    Serve(number, db, commands, address);
  };
  const engine::Origin origin{address, {}};
  if (!partition->WaitsForValues(origin) && partition->HoldsRequests()) {
    partition->RunBehindScript({address, again});
    return;
  }
  if (partition->MayMissValues()) {
    if (auto missing = partition->MissingValues(origin, requests)) {
      partition->RunWithValues(origin.Name(), {address, again}, *std::move(missing));
      return;
    }
  }
  engine::Caller caller;
  caller.db = db;
  std::string reply;
  engine::ExecResult result;
  if (requests.size() == 1) {
    result = partition->Execute(requests.front(), caller, address, &reply);
  } else {
    std::vector<std::string> replies;
    result = partition->ExecuteTransaction(requests, caller, {}, &replies);
    reply = JoinReplies(result, replies);
  }
  if (result.suspended) {
    partition->WhenScriptEnds(
        [this, partition, address, single = requests.size() == 1](
            const engine::ExecResult& ended, const std::vector<std::string>& replies) {
          const bool one = single && ended.refusal.empty();
          Answer(partition, ended, address, one ? replies[0] : JoinReplies(ended, replies));
        });
    return;
  }
  if (!result.blocked) Answer(partition, result, address, std::move(reply));
}

void Node::Answer(engine::Partition* partition, engine::ExecResult result,
                  const engine::ReplyAddress& address, std::string reply) {
  engine::Gate gate = result.gate;
  if (mutant_ == Mutant::kGatesAtPropose && result.is_write) gate.index = 0;
  if (mutant_ == Mutant::kReadsNotConfirmed) gate.round = 0;
  if (mutant_ == Mutant::kRoundReused && gate.round > 0) gate.round -= 1;
  if (mutant_ == Mutant::kReadsUncommitted && !result.is_write) gate.index = 0;
  partition->DeliverAt(gate, result.is_write, address, std::move(reply));
}

bool Node::AnswerFromMemory(engine::Partition* partition, const std::vector<std::string>& command,
                            const engine::ReplyAddress& address) {
  if (command[0] != "get") return false;
  const data::Keyspace& keyspace = partition->keyspace();
  const data::Object* object = keyspace.Logical(0)->table.Find(keyspace.Hash(command[1]));
  std::string reply;
  resp::Writer writer(&reply, 2);
  if (object == nullptr) {
    writer.Null();
  } else if (object->cold()) {
    return false;
  } else {
    writer.Bulk(object->value());
  }
  options_.surroundings->Deliver(address, std::move(reply));
  return true;
}

void Node::Deliver(const engine::ReplyAddress& address, std::string bytes) {
  if (options_.surroundings == nullptr) return;
  if (mutant_ == Mutant::kDoubtAsTryAgain && bytes.starts_with("-INDOUBT")) {
    bytes = "-" + std::string(engine::kTryAgain) + "\r\n";
  }
  options_.surroundings->Deliver(address, std::move(bytes));
}

void Node::GiveBack(engine::Partition*, engine::BlockedRequest request) {
  Deliver(request.address, "-" + std::string(engine::kTryAgain) + "\r\n");
}

void Node::SendSnapshot(engine::Partition* partition, raft::NodeId peer) {
  CHECK(snapshots_ != nullptr);
  snapshots_->Send(partition, peer);
}

}  // namespace holdfast::sim
