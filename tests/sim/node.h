// A whole node in one thread: the real raft core, replica host, WAL, persister job, snapshots and
// partitions, on simulated disks and somebody else's clock. Threads are replaced by steps that the
// driver takes in any order.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "data/collect.h"
#include "data/persist.h"
#include "engine/config.h"
#include "engine/partition.h"
#include "mutants.h"
#include "replica/frame.h"
#include "replica/replica.h"
#include "storage/log_thread.h"
#include "storage/mem_store.h"
#include "storage/sim_file_system.h"

namespace holdfast::sim {

class Snapshots;

// Stores whose directories can fail to change: the places where a switch (storage/store_switch.h)
// is interrupted.
class DirectoryFaults final : public storage::StoreFactory {
 public:
  explicit DirectoryFaults(storage::MemStoreDisk* disk) : disk_(disk) {}
  Result<std::unique_ptr<storage::Store>> Open(const std::string& path) override {
    return disk_->Open(path);
  }
  Status Destroy(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Result<bool> Exists(const std::string& path) override { return disk_->Exists(path); }

  // The `nth` change from now fails, after it happened or instead of that.
  void FailNth(uint64_t nth, bool happens);
  void ClearFaults() { countdown_ = 0; }
  uint64_t failed() const { return failed_; }

 private:
  bool Fails() { return countdown_ > 0 && --countdown_ == 0; }

  storage::MemStoreDisk* const disk_;
  uint64_t countdown_ = 0;
  bool happens_ = false;
  uint64_t failed_ = 0;
};

// What survives a crash of the process or of the machine.
struct Disks {
  storage::SimFileSystem files;
  storage::MemStoreDisk stores;
  DirectoryFaults directories{&stores};
  uint64_t boot = 0;
};

// The entries that were proposed to one partition of a node that is alone, to compare a recovered
// state with.
struct Journal {
  std::map<uint64_t, raft::Payload> entries;  // data entries by index, all since the beginning
  uint64_t proposed = 0;                      // the last index
  uint64_t acknowledged = 0;                  // the last index whose gates were opened
};

// What is around a node of a group.
class Surroundings : public replica::MessageSink {
 public:
  // An item for another node. False: it was dropped.
  virtual bool SendItem(raft::NodeId to, replica::ItemKind kind, std::string_view bytes) = 0;
  virtual void Deliver(const engine::ReplyAddress& address, std::string reply) = 0;
};

struct NodeOptions {
  raft::NodeId id = 77;
  uint32_t partitions = 1;
  uint64_t seed = 0;
  const Clock* clock = nullptr;
  Mutant mutant = Mutant::kNone;
  // Exactly one of these two: a node is alone, or one of a group.
  std::vector<Journal>* journals = nullptr;
  Surroundings* surroundings = nullptr;
  raft::Membership founding;                   // of a group
  raft::GroupConfig group;                     // but for `self` and `seed`
  uint64_t snapshot_rate = uint64_t{1} << 30;  // bytes a second
  // Values leave memory as soon as they may.
  bool drops_values = false;
};

inline constexpr uint64_t kHashSeed = 12345;
uint16_t FirstSlotOf(uint32_t partition, uint32_t partitions);
// An empty keyspace of one of so many partitions.
// `resident_bytes`: see data::Keyspace::Options.
std::unique_ptr<data::Keyspace> EmptyKeyspace(uint32_t partition, uint32_t partitions,
                                              const Clock* clock, size_t resident_bytes = 0);
// Everything a client could see in a partition, in one string. REQUIRES: all values are in memory.
std::string Dump(const data::Keyspace& keyspace);

class Node final : public engine::PartitionHost {
 public:
  Node(Disks* disks, NodeOptions options);
  ~Node() override;

  // Recovers from the disks, a node that is alone until every partition leads. The error names what
  // is wrong.
  Status Boot();

  // ---- Steps
  void TurnEnd();
  // The log thread writes one frame. False when there was nothing to do.
  bool LogStep();
  bool HasLogWork() const { return log_->has_work(); }
  // The loop hears of durable frames.
  void Completions();
  // The persister does one thing for one partition: writes jobs, or reads what the partition wants
  // to know again, or hands it over. False when there was nothing to do.
  bool PersistStep(Rng* rng);
  bool HasPersistWork() const;
  // One step of collecting the records of flushed databases.
  void CollectStep(Rng* rng);
  void Tick();
  // The log or a store has failed: the process has to end.
  bool dead() const { return dead_; }
  void Die() { dead_ = true; }

  engine::Partition* partition(uint32_t number) { return slots_[number].partition.get(); }
  const engine::Partition* partition(uint32_t number) const {
    return slots_[number].partition.get();
  }
  const raft::Group& group(uint32_t number) const { return host_->replicas()[number]->group(); }
  uint32_t partitions() const { return options_.partitions; }
  // What recovery found in store and log.
  const raft::LogPosition& recovered_applied(uint32_t number) const {
    return slots_[number].applied;
  }
  const raft::Membership& recovered_membership(uint32_t number) const {
    return slots_[number].membership;
  }
  const raft::HardState& recovered_hard_state(uint32_t number) const {
    return slots_[number].hard_state;
  }
  // The last entry; everything acknowledged before has to be at or below it.
  uint64_t recovered_index(uint32_t number) const { return slots_[number].recovered; }
  // The last entry that the store holds.
  uint64_t stored_index(uint32_t number) const { return slots_[number].stored; }

  // ---- Groups only.
  replica::Host* host() { return host_.get(); }
  const replica::Host* host() const { return host_.get(); }
  Snapshots* snapshots() { return snapshots_.get(); }
  const NodeOptions& options() const { return options_; }
  Disks* disks() { return disks_; }
  // Runs the commands as they come from a client, several as one transaction; the reply goes to
  // Surroundings::Deliver when it may leave.
  void Serve(uint32_t partition, uint32_t db, const std::vector<std::vector<std::string>>& commands,
             const engine::ReplyAddress& address);
  std::shared_ptr<storage::Store> StoreOf(uint32_t partition) { return slots_[partition].store; }
  // As engine::Persister's.
  bool CanLend(uint32_t partition) const;
  std::shared_ptr<storage::Store> Lend(uint32_t partition);
  void Return(uint32_t partition, std::shared_ptr<storage::Store> store, uint64_t index);

  // ---- engine::PartitionHost
  const engine::Config& config() const override { return config_; }
  const Clock& clock() const override { return *options_.clock; }
  engine::CoreStats* stats() override { return &stats_; }
  int64_t NowMs() override { return options_.clock->WallMs(); }
  void CommandDone(const engine::Request&, const engine::Caller&, int64_t,
                   std::string_view) override {}
  void CommandRejected(const engine::Command&, std::string_view) override {}
  // Above resident-memory, when that is set, two times of three.
  uint64_t UsedMemory() const override { return ++memory_asked_ % 3 == 0 ? 0 : 2; }
  bool DiskIsFull() const override { return false; }
  bool EvictElsewhere(const engine::Partition*, size_t) override { return false; }
  bool ActiveExpireEnabled() const override { return true; }
  void Deliver(const engine::ReplyAddress& address, std::string bytes) override;
  void WakeClient(uint64_t) override {}
  void GatesLost(engine::Partition*) override { ++step_downs_; }
  void GiveBack(engine::Partition* partition, engine::BlockedRequest request) override;
  void StandingChanged(engine::Partition*) override {}
  void Rebuild(engine::Partition* partition, engine::RebuildRequest request) override;
  void LoadValues(engine::Partition* partition, engine::ValueRequest request) override;
  void SendSnapshot(engine::Partition* partition, raft::NodeId peer) override;
  void Persist(engine::Partition* partition, data::PersistJob job) override;
  void NeedsTurnEnd(engine::Partition* partition) override;
  void ContinueLater(engine::Partition* partition) override;

  uint64_t step_downs() const { return step_downs_; }
  // As Dump of the partition's memory; what left memory is read from the store. nullopt while the
  // store is behind, so that nobody could tell.
  std::optional<std::string> DumpOf(uint32_t partition) const;

 private:
  class EagerLog;
  class LateClock;
  // A partition and what the persister knows of it.
  struct Slot {
    std::shared_ptr<storage::Store> store;  // null while lent
    std::unique_ptr<engine::Partition> partition;
    raft::LogPosition applied;
    raft::Membership membership;
    raft::HardState hard_state;
    uint64_t recovered = 0;
    uint64_t stored = 0;
    std::deque<data::PersistJob> jobs;
    std::optional<engine::RebuildRequest> rebuild;
    std::unique_ptr<engine::Rebuilt> rebuilt;
    std::deque<engine::ValueRequest> wanted;
    std::deque<engine::LoadedValues> loaded;  // read, and not handed over
    std::unique_ptr<data::DeadRecordCollector> collector;
    std::unique_ptr<data::GarbageCollector> garbage_collector;
  };

  Status OpenStores();
  Status FoundGroup(Slot* slot);
  Result<std::vector<raft::Restored>> Replay(storage::WalRecovery* recovery);
  // What a mutant remembers wrongly.
  void Distort(std::vector<raft::Restored>* groups) const;
  Status OpenLog(const storage::WalRecovery& recovery);
  Status MakePartitions(std::vector<raft::Restored> groups);
  Status Elect();
  void NoteProposals();
  void WriteJobs(uint32_t number, Rng* rng);
  void ReadForRebuild(Slot* slot);
  // Whether there was something to do.
  bool ReadValues(Slot* slot, Rng* rng);
  void Answer(engine::Partition* partition, engine::ExecResult result,
              const engine::ReplyAddress& address, std::string reply);
  bool AnswerFromMemory(engine::Partition* partition, const std::vector<std::string>& command,
                        const engine::ReplyAddress& address);

  Disks* const disks_;
  const NodeOptions options_;
  const Mutant mutant_;
  engine::Config config_;
  engine::CoreStats stats_;
  std::unique_ptr<Clock> late_clock_;
  std::unique_ptr<storage::ManualLog> log_;
  std::unique_ptr<EagerLog> eager_log_;
  std::unique_ptr<replica::Host> host_;
  std::vector<Slot> slots_;
  std::vector<engine::Partition*> turn_end_;
  std::vector<engine::Partition*> continued_;
  uint64_t step_downs_ = 0;
  uint64_t jobs_handed_over_ = 0;
  mutable uint64_t memory_asked_ = 0;
  bool dead_ = false;
  std::unique_ptr<Snapshots> snapshots_;  // last: it uses the rest
};

}  // namespace holdfast::sim
