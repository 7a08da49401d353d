// A whole single-voter node in one thread: the real raft core, replica host, WAL, persister job and
// partitions, on simulated disks and a manual clock. Threads are replaced by steps that the driver
// takes in any order.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "data/persist.h"
#include "engine/config.h"
#include "engine/partition.h"
#include "replica/replica.h"
#include "storage/log_thread.h"
#include "storage/mem_store.h"
#include "storage/sim_file_system.h"

namespace holdfast::sim {

// Ways to build the node wrong on purpose: each has to be caught.
enum class Mutant {
  kNone,
  kAckBeforeDurable,  // completions are reported when the log was handed over
  kNoSync,            // frames are written but not synced
  kTruncateTooFar,    // log segments go although the store lacks their entries
  kStoreNotSynced,    // the log is truncated by an applied index that is not synced
  kAppliedApart,      // the applied index is written in a batch of its own, before the data
  kCollectByMemory,   // records are collected that are dead in memory but not in the store
};

// What survives a crash of the process or of the machine.
struct Disks {
  storage::SimFileSystem files;
  storage::MemStoreDisk stores;
  uint64_t boot = 0;
};

// The entries that were proposed to one partition, to compare a recovered state with.
struct Journal {
  std::map<uint64_t, raft::Payload> entries;  // data entries by index, all since the beginning
  uint64_t proposed = 0;                      // the last index
  uint64_t acknowledged = 0;                  // the last index whose gates were opened
};

class Node final : public engine::PartitionHost {
 public:
  Node(Disks* disks, uint32_t partitions, uint64_t seed, ManualClock* clock, Mutant mutant,
       std::vector<Journal>* journals);
  ~Node() override;

  // Recovers from the disks until every partition leads. The error names what is wrong.
  Status Boot();

  // ---- Steps
  void TurnEnd();
  // The log thread writes one frame. False when there was nothing to do.
  bool LogStep();
  // The loop hears of durable frames.
  void Completions();
  // The persister writes one job of one partition. False when there was nothing to do.
  bool PersistStep(Rng* rng);
  // One step of collecting the records of flushed databases.
  void CollectStep(Rng* rng);
  void Tick();
  // The log or a store has failed: the process has to end.
  bool dead() const { return dead_; }

  engine::Partition* partition(uint32_t number) { return partitions_[number].get(); }
  // The last entry that recovery found; everything acknowledged before has to be at or below it.
  uint64_t recovered_index(uint32_t number) const { return recovered_[number]; }
  uint32_t partitions() const { return static_cast<uint32_t>(partitions_.size()); }
  // Everything a client could see in a partition, in one string.
  static std::string Dump(const data::Keyspace& keyspace);

  // ---- engine::PartitionHost
  const engine::Config& config() const override { return config_; }
  const Clock& clock() const override { return *clock_; }
  engine::CoreStats* stats() override { return &stats_; }
  int64_t NowMs() override { return clock_->WallMs(); }
  void CommandDone(const engine::Request&, const engine::Caller&, int64_t,
                   std::string_view) override {}
  void CommandRejected(const engine::Command&, std::string_view) override {}
  uint64_t UsedMemory() const override { return 0; }
  bool DiskIsFull() const override { return false; }
  bool EvictElsewhere(const engine::Partition*, size_t) override { return false; }
  bool ActiveExpireEnabled() const override { return true; }
  void Deliver(const engine::ReplyAddress&, std::string) override {}
  void WakeClient(uint64_t) override {}
  void GatesLost(engine::Partition*) override {}
  void GiveBack(engine::Partition*, engine::BlockedRequest) override {}
  void StandingChanged(engine::Partition*) override {}
  void Rebuild(engine::Partition*, engine::RebuildRequest) override {}
  void SendSnapshot(engine::Partition*, raft::NodeId) override {}
  void Persist(engine::Partition* partition, data::PersistJob job) override;
  void NeedsTurnEnd(engine::Partition* partition) override;

 private:
  class EagerLog;
  Status MakePartitions(const std::vector<raft::LogPosition>& applied,
                        std::vector<raft::Restored> groups);
  Status Elect();
  void NoteProposals();

  Disks* const disks_;
  const Mutant mutant_;
  const uint64_t seed_;
  ManualClock* const clock_;
  std::vector<Journal>* const journals_;
  engine::Config config_;
  engine::CoreStats stats_;
  std::unique_ptr<storage::ManualLog> log_;
  std::unique_ptr<EagerLog> eager_log_;
  std::unique_ptr<replica::Host> host_;
  std::vector<std::unique_ptr<storage::Store>> stores_;
  std::vector<std::unique_ptr<engine::Partition>> partitions_;
  std::vector<uint64_t> recovered_;
  std::vector<std::deque<data::PersistJob>> jobs_;
  std::vector<std::unique_ptr<data::DeadRecordCollector>> collectors_;
  std::vector<engine::Partition*> turn_end_;
  bool dead_ = false;
};

}  // namespace holdfast::sim
