// Write-behind of one core: gathers committed entries of its partitions and has the persister
// thread write them to LevelDB, coalesced, about once a second or every flush-max-bytes.
//
// Loop thread of the core only. The stores are used by the persister thread alone once the core
// runs.
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "data/collect.h"
#include "data/persist.h"
#include "engine/partition.h"
#include "engine/shrink_gauge.h"
#include "storage/io_thread.h"
#include "storage/store.h"

namespace holdfast::engine {

class Core;

class Persister {
 public:
  explicit Persister(Core* core);
  ~Persister();

  // `store` holds everything up to `applied_index`. `collect_dead`: it was found to contain records
  // of databases that were flushed. Before the core runs.
  void AddPartition(Partition* partition, std::unique_ptr<storage::Store> store,
                    uint64_t applied_index, bool collect_dead);

  // Committed entries that follow the last ones of this partition.
  void Add(Partition* partition, data::PersistJob job);
  // Starts writing what is due: called at the end of turns and by a timer. `force`: everything.
  void Pump(bool force);
  // Everything committed so far is written and synced, then `done` runs on the loop thread.
  void Flush(absl::AnyInvocable<void()> done);

  // Writes what the partition has handed over and then reads what is asked for; ends with
  // Partition::TakeRebuilt. REQUIRES: nothing more is handed over before that.
  void Rebuild(Partition* partition, RebuildRequest request);

  // Reads values; ends with Partition::TakeValues. More than the thread has room for wait.
  void LoadValues(Partition* partition, ValueRequest request);

  // Bytes of entries that are committed and not yet in the store.
  uint64_t pending_bytes() const { return pending_bytes_; }
  bool idle() const { return pending_bytes_ == 0 && writing_ == 0; }
  // The last entry of the partition that its store holds.
  uint64_t stored_index(const Partition* partition) const;
  int64_t last_flush_unix_s() const { return last_flush_unix_s_; }
  const data::PersistStats& stats() const { return stats_; }
  // Ends the thread. REQUIRES: the loop does not run any more.
  void Stop();
  // Frees something large on the persister thread, or right here when that is busy. `keys`: how
  // many keys it was, for INFO.
  void FreeLater(std::shared_ptr<void> garbage, size_t keys = 0);
  // Keys that are to be freed on the thread, and that were since CONFIG RESETSTAT. Any thread.
  uint64_t keys_to_free() const { return keys_to_free_.load(std::memory_order_relaxed); }
  uint64_t keys_freed() const { return keys_freed_.load(std::memory_order_relaxed); }
  void ResetKeysFreed() { keys_freed_.store(0, std::memory_order_relaxed); }
  // Dead records of this partition have to be collected (again).
  void CollectDead(Partition* partition);

  // ---- Snapshots (engine/snapshots.h).
  // The partition's store, for reading only. Whoever keeps it must let go of it before Lend.
  std::shared_ptr<storage::Store> StoreOf(const Partition* partition) {
    return Find(partition)->store;
  }
  // Whether nothing uses the store, so that it can be lent.
  bool CanLend(const Partition* partition);
  // Hands the store out; nothing is written until Return.
  std::shared_ptr<storage::Store> Lend(const Partition* partition);
  // A store that holds everything up to `index` takes the place of the one that was lent; what was
  // to be written to that one is forgotten. `bytes`: how large it is.
  void Return(Partition* partition, std::shared_ptr<storage::Store> store, uint64_t index,
              uint64_t term, uint64_t bytes);

 private:
  std::atomic<uint64_t> keys_to_free_{0};
  std::atomic<uint64_t> keys_freed_{0};

  struct Slot {
    Partition* partition = nullptr;
    std::shared_ptr<storage::Store> store;
    data::PersistJob pending;
    uint64_t stored_index = 0;
    int64_t oldest_ms = 0;  // monotonic; when the oldest pending entry came
    bool writing = false;
    // Dead records are to be looked for once the store has reached this index.
    std::optional<uint64_t> collect_at;
    bool in_pass = false;      // a pass has begun and goes on
    bool has_garbage = false;  // a pass for elements of deleted collections has to begin
    std::optional<RebuildRequest> rebuild;
    uint32_t reading = 0;  // pieces of value requests that are under way
    // Of the pass that is under way. Persister thread while `writing`, else the loop's.
    std::unique_ptr<data::DeadRecordCollector> collector;
    std::unique_ptr<data::GarbageCollector> garbage_collector;
    ShrinkGauge gauge;
    // A compaction is due, once the store has reached this index: what the keys took in memory
    // then.
    struct Shrunk {
      uint64_t index;
      uint64_t live_bytes;
    };
    std::optional<Shrunk> shrunk;
    // Of the compaction that is under way; as `collector`.
    std::unique_ptr<data::StoreCompactor> compactor;
  };
  struct Waiter {
    std::vector<uint64_t> indexes;  // by slot
    absl::AnyInvocable<void()> done;
  };

  // A piece of a value request.
  struct Reading {
    Slot* slot;
    ValueRequest request;
  };
  void PumpReads();
  void Write(Slot* slot);
  void Written(Slot* slot, uint64_t index, size_t bytes, const data::PersistStats& stats);
  void Collect(Slot* slot);
  void CollectGarbage(Slot* slot);
  void ContinueRebuild(Slot* slot);
  Slot* Find(const Partition* partition);
  bool CollectIsDue(const Slot& slot) const;
  void Compact(Slot* slot);
  bool CompactIsDue(Slot* slot);
  void Compacted(Slot* slot, bool finished);
  // Background work on a store that isn't being written.
  void Tidy(Slot* slot);
  void CheckWaiters();

  Core* const core_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Waiter> waiters_;
  uint64_t pending_bytes_ = 0;
  uint32_t writing_ = 0;
  bool compacting_ = false;  // one piece at a time, whatever the number of partitions
  int64_t last_flush_unix_s_ = 0;
  data::PersistStats stats_;
  std::deque<Reading> reads_;  // that wait for room
  storage::IoThread thread_;   // the threads are last: they end before the stores go
  storage::IoThread reader_;
};

}  // namespace holdfast::engine
