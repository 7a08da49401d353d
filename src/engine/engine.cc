#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "raft/membership.h"
#include "replica/replay.h"
#include "storage/store_switch.h"

namespace holdfast::engine {
namespace {

// Raft node ids of a group are node ids; the identity gives them.
raft::GroupConfig GroupConfigFor(const storage::Identity& identity, uint32_t partition,
                                 const Config& config) {
  raft::GroupConfig group;
  group.self = identity.node_id;
  group.election_timeout_ms = static_cast<uint64_t>(config.election_timeout_ms);
  group.heartbeat_interval_ms = static_cast<uint64_t>(config.heartbeat_interval_ms);
  // Every node keeps its promises, since any other may be set up to rely on them.
  group.lease_promises = identity.cluster_id != 0;
  group.lease_reads = group.lease_promises && config.reads == Reads::kLease;
  group.lease_drift_ms = group.election_timeout_ms / 10;
  // Clients are kept from sending more long before this; see Core::Overloaded.
  group.max_uncommitted_bytes = UINT64_MAX / 2;
  group.seed = identity.node_id ^ (static_cast<uint64_t>(partition) << 32);
  return group;
}

}  // namespace

Engine::Engine(const Config& config, const CommandTable* table)
    : config_(config), table_(table), start_monotonic_ms_(SystemClock()->MonotonicMs()) {
  ShareOptions(config);
}

void Engine::ShareOptions(const Config& config) {
  resident_memory_bytes_ = config.resident_memory_bytes;
  encoding_limits_.hash_entries = static_cast<uint64_t>(config.hash_max_listpack_entries);
  encoding_limits_.hash_bytes = static_cast<uint64_t>(config.hash_max_listpack_value);
  encoding_limits_.set_integers = static_cast<uint64_t>(config.set_max_intset_entries);
  encoding_limits_.sorted_set_entries = static_cast<uint64_t>(config.zset_max_listpack_entries);
  encoding_limits_.sorted_set_bytes = static_cast<uint64_t>(config.zset_max_listpack_value);
  encoding_limits_.stream_bytes = config.stream_node_max_bytes;
  encoding_limits_.stream_entries = static_cast<uint64_t>(config.stream_node_max_entries);
}

Engine::~Engine() {
  if (started_ && !stopped_) {
    for (auto& core : cores_) core->loop().Stop();
    for (std::thread& thread : threads_) thread.join();
  }
}

Result<std::unique_ptr<Engine>> Engine::Open(const Config& config, const CommandTable* table,
                                             EnterCluster enter) {
  std::unique_ptr<Engine> engine(new Engine(config, table));
  RETURN_IF_ERROR(engine->Load(enter));
  return engine;
}

uint16_t Engine::FirstSlotOf(uint32_t partition) const {
  // The smallest slot that PartitionOfSlot maps to it.
  const uint64_t slots = static_cast<uint64_t>(partition) * kSlots;
  return static_cast<uint16_t>((slots + identity_.partitions - 1) / identity_.partitions);
}

Status Engine::Load(const EnterCluster& enter) {
  storage::FileSystem* fs = storage::PosixFileSystem();
  Result<storage::DataDirectory> directory =
      storage::OpenDataDirectory(fs, config_.dir, static_cast<uint32_t>(config_.partitions));
  if (!directory.ok()) return directory.status();
  directory_ = std::make_unique<storage::DataDirectory>(std::move(directory).value());
  identity_ = directory_->identity();
  directory_path_ = directory_->path();
  std::optional<ClusterEntry> entry;
  if (!in_cluster() && enter) {
    Result<std::optional<ClusterEntry>> entered = enter(identity_);
    if (!entered.ok()) return entered.status();
    entry = entered.value();
  }
  if (entry.has_value()) {
    identity_.cluster_id = entry->cluster_id;
    if (entry->joins) {
      identity_.partitions = entry->partitions;
      identity_.hash_seed = entry->hash_seed;
    }
  }
  standings_ = std::vector<PartitionStanding>(all_partitions());

  int64_t core_count = config_.cores;
  if (core_count == 0) core_count = std::max(1u, std::thread::hardware_concurrency());
  held_bytes_ = std::make_unique<std::atomic<size_t>[]>(static_cast<size_t>(core_count));
  // A core object needs the number of all of them only when it runs.
  for (int64_t i = 0; i < core_count; ++i) {
    cores_.push_back(std::make_unique<Core>(this, static_cast<uint32_t>(i), config_));
  }
  std::vector<std::unique_ptr<storage::Store>> stores;
  std::vector<data::AppliedState> applied;
  RETURN_IF_ERROR(OpenStores(&stores, &applied));
  std::vector<raft::Restored> restored;
  RETURN_IF_ERROR(Replay(stores, applied, &restored));
  if (entry.has_value()) RETURN_IF_ERROR(Enter(*entry, stores, &restored));
  RETURN_IF_ERROR(OpenLogs());
  return LoadPartitions(std::move(stores), std::move(restored));
}

// The members come first, the cluster's id last: a crash between the two leaves a node that belongs
// to no cluster and may try again.
Status Engine::Enter(const ClusterEntry& entry,
                     const std::vector<std::unique_ptr<storage::Store>>& stores,
                     std::vector<raft::Restored>* restored) {
  raft::Membership members;
  members.voters = {entry.joins ? entry.member : identity_.node_id};
  for (raft::Restored& group : *restored) {
    if (entry.joins && (group.applied.index != 0 || !group.entries.empty())) {
      return Status::InvalidArgument("data directory " + directory_path_ +
                                     " holds data of its own: join with an empty one");
    }
    group.membership = members;
  }
  for (const auto& store : stores) {
    storage::StoreBatch batch;
    batch.Put(data::kMembershipRecord, raft::EncodeMembership(members));
    RETURN_IF_ERROR(store->Write(batch, /*sync=*/true));
  }
  return directory_->JoinCluster(entry.cluster_id, identity_.partitions, identity_.hash_seed);
}

std::string Engine::StorePath(uint32_t partition) const {
  return partition == meta_partition() ? directory_->meta_path()
                                       : directory_->partition_path(partition);
}

Status Engine::OpenLogs() {
  storage::FileSystem* fs = storage::PosixFileSystem();
  for (auto& core : cores_) {
    const storage::WalIdentity identity{identity_.node_id, identity_.boot, core->number()};
    storage::WalOptions options;
    options.segment_bytes = config_.wal_segment_bytes;
    options.sync = config_.durability == Durability::kFsync;
    options.old_segments = recovery_.old_segments;
    storage::HardStates mine;
    for (const auto& [partition, state] : recovery_.hard_states) {
      if (CoreOfPartition(partition) == core->number()) mine.emplace(partition, state);
    }
    Result<std::unique_ptr<storage::WalWriter>> writer =
        storage::WalWriter::Create(fs, directory_->wal_path(), identity, options, mine);
    if (!writer.ok()) return writer.status();
    core->OpenLog(fs, directory_->wal_path(), std::move(writer).value());
  }
  return Status::Ok();
}

Status Engine::OpenStores(std::vector<std::unique_ptr<storage::Store>>* stores,
                          std::vector<data::AppliedState>* applied) {
  storage::FileSystem* fs = storage::PosixFileSystem();
  RETURN_IF_ERROR(fs->CreateDirectory(directory_->path() + "/partitions"));
  RETURN_IF_ERROR(fs->SyncDirectory(directory_->path()));
  for (size_t i = 0; i < cores_.size(); ++i) {
    factories_.push_back(storage::NewLevelStoreFactory(fs, storage::LevelStoreOptions()));
  }
  for (uint32_t p = 0; p < all_partitions(); ++p) {
    storage::StoreFactory* const factory = factories_[CoreOfPartition(p)].get();
    RETURN_IF_ERROR(storage::SettleSwitch(factory, StorePath(p)));
    Result<std::unique_ptr<storage::Store>> store = factory->Open(StorePath(p));
    if (!store.ok()) return store.status();
    RETURN_IF_ERROR(data::CheckOrWriteIdentity(store.value().get(), identity_.node_id, p));
    Result<data::AppliedState> state = data::ReadApplied(store.value().get());
    if (!state.ok()) return state.status();
    applied->push_back(state.value());
    stores->push_back(std::move(store).value());
  }
  return Status::Ok();
}

Status Engine::Replay(const std::vector<std::unique_ptr<storage::Store>>& stores,
                      const std::vector<data::AppliedState>& applied,
                      std::vector<raft::Restored>* restored) {
  std::vector<replica::LogReplay::Stored> stored;
  for (uint32_t p = 0; p < stores.size(); ++p) {
    raft::Membership members{{identity_.node_id}, {}, {}};
    Result<std::string> record = data::ReadMembership(stores[p].get());
    if (!record.ok()) return record.status();
    if (!record.value().empty()) {
      Result<raft::Membership> decoded = raft::DecodeMembership(record.value());
      if (!decoded.ok()) return decoded.status();
      members = std::move(decoded).value();
    }
    stored.push_back({p, {applied[p].index, applied[p].term}, std::move(members)});
  }
  replica::LogReplay replay(std::move(stored));
  Result<storage::WalRecovery> recovered = storage::RecoverWal(
      storage::PosixFileSystem(), directory_->wal_path(), identity_.node_id, identity_.boot,
      [&replay](const storage::WalRecord& record) { return replay.Take(record); });
  if (!recovered.ok()) return recovered.status();
  recovery_ = std::move(recovered).value();
  Result<std::vector<raft::Restored>> groups = replay.Finish(recovery_.hard_states);
  if (!groups.ok()) return groups.status();
  *restored = std::move(groups).value();
  return Status::Ok();
}

Status Engine::LoadPartition(Core* core, uint32_t number, std::unique_ptr<storage::Store> store,
                             raft::Restored restored, uint64_t* records) {
  Partition::Options options;
  options.number = number;
  if (number < partitions()) {
    options.first_slot = FirstSlotOf(number);
    options.last_slot = static_cast<uint16_t>(
        number + 1 == partitions() ? kSlots - 1 : FirstSlotOf(number + 1) - 1);
  } else {
    options.last_slot = kSlots - 1;
    options.evictable = false;
  }
  options.host = core;
  options.applied_index = restored.applied.index;
  options.first_round = identity_.boot << 40;
  options.seed = RandomSeed();
  data::Keyspace::Options keyspace;
  keyspace.first_slot = options.first_slot;
  keyspace.last_slot = options.last_slot;
  keyspace.hash_seed = identity_.hash_seed;
  keyspace.clock = SystemClock();
  keyspace.retire = [core, number](std::unique_ptr<data::Database> database) {
    core->Retire(number, std::move(database));
  };
  keyspace.retire_collection = [core](std::unique_ptr<data::Collection> collection) {
    core->persister().FreeLater(std::move(collection), 1);
  };
  keyspace.limits = &encoding_limits_;
  options.new_keyspace = [this, keyspace, evictable = options.evictable]() mutable {
    keyspace.resident_bytes = evictable ? resident_memory_bytes_ / partitions() : 0;
    return std::make_unique<data::Keyspace>(keyspace);
  };
  options.keyspace = options.new_keyspace();
  data::LoadStats stats;
  RETURN_IF_ERROR(data::LoadKeyspace(store.get(), options.keyspace.get(), &stats));
  *records += stats.records;
  return core->AddPartition(std::make_unique<Partition>(std::move(options)),
                            GroupConfigFor(identity_, number, config_), std::move(restored),
                            std::move(store));
}

Status Engine::LoadPartitions(std::vector<std::unique_ptr<storage::Store>> stores,
                              std::vector<raft::Restored> restored) {
  const int64_t begin_ms = SystemClock()->MonotonicMs();
  std::vector<Status> outcomes(cores_.size());
  std::vector<uint64_t> records(cores_.size());
  const auto load_core = [&](size_t core) -> Status {
    for (uint32_t p = 0; p < all_partitions(); ++p) {
      if (CoreOfPartition(p) != core) continue;
      RETURN_IF_ERROR(LoadPartition(cores_[core].get(), p, std::move(stores[p]),
                                    std::move(restored[p]), &records[core]));
    }
    return Status::Ok();
  };
  std::vector<std::thread> loaders;
  for (size_t i = 0; i < cores_.size(); ++i) {
    loaders.emplace_back([&outcomes, &load_core, i] { outcomes[i] = load_core(i); });
  }
  for (std::thread& loader : loaders) loader.join();
  for (const Status& outcome : outcomes) RETURN_IF_ERROR(outcome);
  LogNotice("loaded {} records of {} partitions in {} ms",
            std::accumulate(records.begin(), records.end(), uint64_t{0}), partitions(),
            SystemClock()->MonotonicMs() - begin_ms);
  return Status::Ok();
}

// ---- Running

void Engine::Start() {
  started_ = true;
  for (auto& core : cores_) {
    threads_.emplace_back([&core] { core->Run(); });
  }
  std::unique_lock lock(state_mutex_);
  state_changed_.wait(lock, [this] { return ready_cores_ == cores_.size(); });
}

void Engine::CoreReady() {
  const std::lock_guard lock(state_mutex_);
  ++ready_cores_;
  state_changed_.notify_all();
}

void Engine::NoteStanding(uint32_t partition, uint64_t leader, bool leads) {
  standings_[partition].leader.store(leader);
  standings_[partition].leads.store(leads);
}

void Engine::NoteBusy(uint32_t partition, std::string_view why) {
  if (partition == meta_partition()) return;
  const char* now = why.empty() ? nullptr : why.data();
  const char* before = standings_[partition].busy.exchange(now);
  if ((before == nullptr) == (now == nullptr)) return;
  if (now != nullptr) {
    busy_partitions_.fetch_add(1);
  } else {
    busy_partitions_.fetch_sub(1);
  }
}

void Engine::RequestShutdown() {
  if (shutdown_requested_.exchange(true)) return;
  if (on_shutdown_requested) on_shutdown_requested();
}

bool Engine::Shutdown(int64_t timeout_ms) {
  for (auto& core : cores_) {
    core->PostFromAnyThread([this, &core] {
      core->Drain([this] {
        const std::lock_guard lock(state_mutex_);
        ++drained_cores_;
        state_changed_.notify_all();
      });
    });
  }
  bool drained;
  {
    std::unique_lock lock(state_mutex_);
    drained = state_changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                      [this] { return drained_cores_ == cores_.size(); });
  }
  for (auto& core : cores_) core->loop().Stop();
  for (std::thread& thread : threads_) thread.join();
  stopped_ = true;
  return drained;
}

bool Engine::AdmitClient(int64_t limit) {
  if (clients_.fetch_add(1) < limit) return true;
  clients_.fetch_sub(1);
  return false;
}

uint64_t Engine::ClientBytes() const {
  uint64_t bytes = 0;
  for (const auto& core : cores_) bytes += core->client_bytes.load(std::memory_order_relaxed);
  return bytes;
}

// ---- Memory

void Engine::SampleMemory() {
  const uint64_t used = UsedMemory(*cores_[0]);
  if (used > peak_memory.load(std::memory_order_relaxed)) {
    peak_memory.store(used, std::memory_order_relaxed);
  }
}

// What evicting keys can change, and nothing else: entries that wait for the disk and LevelDB's
// buffers have limits of their own and come and go with the write rate.
uint64_t Engine::UsedMemory(const Core& asking) const {
  uint64_t keyspace = 0;
  for (const auto& core : cores_) {
    keyspace += core.get() == &asking ? core->KeyspaceBytesNow() : core->keyspace_bytes();
  }
  return startup_memory + keyspace + ClientBytes();
}

}  // namespace holdfast::engine
