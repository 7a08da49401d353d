#include "engine/persister.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/core.h"
#include "engine/engine.h"

namespace holdfast::engine {
namespace {

// Records that one step of collecting dead ones looks at.
constexpr size_t kCollectStep = 2000;
// Bytes that one step of a compaction rewrites, roughly: a fraction of a second, for which the
// core's stores are not written.
constexpr uint64_t kCompactStep = uint64_t{32} << 20;
// Values that are read at once, and pieces of so many that wait for the reading thread.
constexpr size_t kReadAtOnce = 32;
constexpr size_t kMaxReads = 64;

}  // namespace

Persister::Persister(Core* core)
    : core_(core),
      thread_("hf-persist-" + std::to_string(core->number())),
      reader_("hf-read-" + std::to_string(core->number()), kMaxReads) {}

Persister::~Persister() { Stop(); }

void Persister::Stop() {
  thread_.Stop();
  reader_.Stop();
}

void Persister::AddPartition(Partition* partition, std::unique_ptr<storage::Store> store,
                             uint64_t applied_index, bool collect_dead) {
  auto slot = std::make_unique<Slot>();
  slot->partition = partition;
  slot->store = std::move(store);
  slot->stored_index = applied_index;
  slot->pending.applied_index = applied_index;
  if (collect_dead) slot->collect_at = 0;
  slot->has_garbage = partition->keyspace().found_garbage();
  slot->gauge.Opened(slot->store->ApproximateBytes("", ""));
  slots_.push_back(std::move(slot));
}

void Persister::Add(Partition* partition, data::PersistJob job) {
  Slot* slot = Find(partition);
  if (slot->pending.payloads.empty()) slot->oldest_ms = core_->clock().MonotonicMs();
  pending_bytes_ += job.bytes;
  data::AppendJob(&slot->pending, std::move(job));
  if (slot->pending.bytes >= core_->config().flush_max_bytes) Write(slot);
}

void Persister::Pump(bool force) {
  const int64_t now_ms = core_->clock().MonotonicMs();
  for (auto& slot : slots_) {
    const bool due = !slot->pending.payloads.empty() &&
                     now_ms - slot->oldest_ms >= core_->config().flush_interval_ms;
    if (force || due) Write(slot.get());
    Tidy(slot.get());
  }
}

void Persister::Write(Slot* slot) {
  if (slot->writing || slot->pending.applied_index == slot->stored_index) return;
  auto job = std::make_shared<data::PersistJob>(std::move(slot->pending));
  slot->pending = data::PersistJob();
  slot->pending.applied_index = job->applied_index;
  slot->pending.applied_term = job->applied_term;
  slot->writing = true;
  ++writing_;
  const bool posted = thread_.TryPost([this, slot, job] {
    data::PersistStats stats;
    const Status status = data::PersistEntries(slot->store.get(), *job, true, &stats);
    // The log still has everything: end, and replay it into a newly opened store (P52, P53).
    if (!status.ok()) Fatal("LevelDB write failed, ending: " + status.message());
    core_->PostFromAnyThread([this, slot, index = job->applied_index, bytes = job->bytes, stats] {
      Written(slot, index, bytes, stats);
    });
  });
  CHECK_MSG(posted, "the persister's queue is bounded by its partitions");
}

void Persister::Written(Slot* slot, uint64_t index, size_t bytes, const data::PersistStats& stats) {
  slot->writing = false;
  --writing_;
  slot->stored_index = index;
  CHECK(pending_bytes_ >= bytes);
  pending_bytes_ -= bytes;
  stats_.jobs += stats.jobs;
  stats_.effects += stats.effects;
  stats_.records_written += stats.records_written;
  stats_.records_deleted += stats.records_deleted;
  stats_.records_skipped += stats.records_skipped;
  stats_.base_reads += stats.base_reads;
  slot->partition->Stored(stats.max_revision);
  if (stats.removed > 0) slot->has_garbage = true;
  stats_.bytes_written += stats.bytes_written;
  last_flush_unix_s_ = core_->clock().WallMs() / 1000;
  core_->engine().last_save_s.store(last_flush_unix_s_, std::memory_order_relaxed);
  // The store is synced up to here: memory, log and old segments may forget it.
  slot->partition->replica()->Compact(index);
  core_->log().RemoveObsolete({{slot->partition->number(), index}});
  CheckWaiters();
  if (slot->pending.bytes >= core_->config().flush_max_bytes || !waiters_.empty()) Write(slot);
  slot->gauge.Written(stats.bytes_written, slot->partition->keyspace().MemoryBytes());
  Tidy(slot);
}

void Persister::Tidy(Slot* slot) {
  ContinueRebuild(slot);
  if (CollectIsDue(*slot)) {
    Collect(slot);
  } else if (!slot->writing && (slot->has_garbage || slot->garbage_collector != nullptr)) {
    CollectGarbage(slot);
  } else if (CompactIsDue(slot)) {
    Compact(slot);
  }
}

namespace {

Rebuilt ReadForRebuild(const Partition& partition, storage::Store* store,
                       const RebuildRequest& request) {
  Rebuilt rebuilt;
  Status status;
  if (request.whole) {
    rebuilt.keyspace = partition.NewKeyspace();
    status = data::LoadKeyspace(store, rebuilt.keyspace.get(), nullptr);
  } else {
    status = data::ReadRecords(store, request.keys, partition.keyspace().collection_options(),
                               &rebuilt.records);
  }
  if (!status.ok()) Fatal("LevelDB read failed, ending: " + status.message());
  return rebuilt;
}

}  // namespace

void Persister::Rebuild(Partition* partition, RebuildRequest request) {
  Slot* slot = Find(partition);
  CHECK(!slot->rebuild.has_value());
  slot->rebuild = std::move(request);
  ContinueRebuild(slot);
}

void Persister::ContinueRebuild(Slot* slot) {
  if (!slot->rebuild.has_value() || slot->writing) return;
  if (slot->pending.applied_index != slot->stored_index) {
    Write(slot);
    return;
  }
  slot->writing = true;
  ++writing_;
  const bool posted = thread_.TryPost([this, slot, request = std::move(*slot->rebuild)] {
    auto rebuilt =
        std::make_shared<Rebuilt>(ReadForRebuild(*slot->partition, slot->store.get(), request));
    core_->PostFromAnyThread([this, slot, rebuilt = std::move(rebuilt)]() mutable {
      slot->writing = false;
      --writing_;
      slot->partition->TakeRebuilt(rebuilt.get());
      FreeLater(std::move(rebuilt));
      CheckWaiters();
    });
  });
  CHECK_MSG(posted, "the persister's queue is bounded by its partitions");
  slot->rebuild.reset();
}

void Persister::LoadValues(Partition* partition, ValueRequest request) {
  Slot* slot = Find(partition);
  if (request.after_flush) {
    request.after_flush = false;
    ++slot->reading;
    Flush([this, slot, partition, request = std::move(request)]() mutable {
      --slot->reading;
      LoadValues(partition, std::move(request));
    });
    return;
  }
  for (size_t i = 0; i < request.values.size(); i += kReadAtOnce) {
    const size_t end = std::min(i + kReadAtOnce, request.values.size());
    Reading piece{slot, {request.period, false, {}}};
    for (size_t k = i; k < end; ++k) piece.request.values.push_back(std::move(request.values[k]));
    ++slot->reading;
    reads_.push_back(std::move(piece));
  }
  PumpReads();
}

void Persister::PumpReads() {
  while (!reads_.empty() && reader_.pending() < kMaxReads) {
    auto piece = std::make_shared<Reading>(std::move(reads_.front()));
    reads_.pop_front();
    const data::CollectionOptions options = piece->slot->partition->keyspace().collection_options();
    const bool posted = reader_.TryPost([this, piece, options, store = piece->slot->store] {
      auto loaded = std::make_shared<LoadedValues>();
      loaded->period = piece->request.period;
      std::vector<std::string> keys;
      for (const ColdValue& value : piece->request.values) {
        keys.push_back(value.record_key);
        loaded->created.push_back(value.created);
      }
      const Status status = data::ReadRecords(store.get(), keys, options, &loaded->records);
      if (!status.ok()) Fatal("LevelDB read failed, ending: " + status.message());
      core_->PostFromAnyThread([this, slot = piece->slot, loaded] {
        --slot->reading;
        slot->partition->TakeValues(std::move(*loaded));
        PumpReads();
      });
    });
    CHECK_MSG(posted, "the loop alone posts reads, and has seen room");
  }
}

Persister::Slot* Persister::Find(const Partition* partition) {
  for (auto& slot : slots_) {
    if (slot->partition == partition) return slot.get();
  }
  CHECK_MSG(false, "a partition without a store");
  return nullptr;
}

bool Persister::CollectIsDue(const Slot& slot) const {
  if (slot.writing) return false;
  return slot.in_pass || (slot.collect_at.has_value() && *slot.collect_at <= slot.stored_index);
}

void Persister::Collect(Slot* slot) {
  // A flush while a pass is under way asks for another one, behind it.
  if (!slot->in_pass) slot->collect_at.reset();
  slot->in_pass = false;
  slot->writing = true;
  ++writing_;
  const bool posted = thread_.TryPost(
      [this, slot, first = slot->partition->first_slot(), last = slot->partition->last_slot()] {
        if (slot->collector == nullptr) {
          // What is dead is what the store says is dead. The memory runs ahead of it: records of a
          // database whose flush is not stored yet are still needed.
          Result<data::DatabaseMap> live = data::ReadDatabases(slot->store.get());
          if (!live.ok()) Fatal("LevelDB collection failed, ending: " + live.status().message());
          slot->collector = std::make_unique<data::DeadRecordCollector>(first, last, live.value());
        }
        Result<bool> step = slot->collector->Step(slot->store.get(), kCollectStep);
        if (!step.ok()) Fatal("LevelDB collection failed, ending: " + step.status().message());
        core_->PostFromAnyThread([this, slot, finished = step.value()] {
          slot->writing = false;
          --writing_;
          if (finished) {
            slot->collector = nullptr;
          } else {
            slot->in_pass = true;
          }
          ContinueRebuild(slot);
          CheckWaiters();
        });
      });
  CHECK_MSG(posted, "the persister's queue is bounded by its partitions");
}

void Persister::CollectGarbage(Slot* slot) {
  // What becomes garbage while a pass is under way may lie behind it.
  if (slot->garbage_collector == nullptr) {
    slot->garbage_collector = std::make_unique<data::GarbageCollector>();
    slot->has_garbage = false;
  }
  slot->writing = true;
  ++writing_;
  const bool posted = thread_.TryPost([this, slot] {
    Result<bool> step = slot->garbage_collector->Step(slot->store.get(), kCollectStep);
    if (!step.ok()) Fatal("LevelDB collection failed, ending: " + step.status().message());
    core_->PostFromAnyThread([this, slot, finished = step.value()] {
      slot->writing = false;
      --writing_;
      if (finished) slot->garbage_collector = nullptr;
      ContinueRebuild(slot);
      CheckWaiters();
    });
  });
  CHECK_MSG(posted, "the persister's queue is bounded by its partitions");
}

bool Persister::CompactIsDue(Slot* slot) {
  if (slot->writing || compacting_ || core_->draining()) return false;
  // A piece needs room for its new files before the old ones go, and a disk that is full for
  // LevelDB would end the process (P43).
  if (core_->log().free_bytes() < core_->config().disk_reserve_bytes + 2 * kCompactStep) {
    return false;
  }
  if (slot->compactor != nullptr) return true;
  const Partition& partition = *slot->partition;
  const uint64_t live = partition.keyspace().MemoryBytes();
  if (!slot->shrunk.has_value()) {
    if (!slot->gauge.Due(live)) return false;
    slot->shrunk = Slot::Shrunk{partition.memory_end(), live};
  }
  // The memory runs ahead of the store: what made it due has to be stored first, and the records of
  // flushed databases have to be collected.
  if (slot->stored_index < slot->shrunk->index) {
    // Only entries without effects are missing, which nobody hurries to store.
    if (slot->pending.payloads.empty()) Write(slot);
    return false;
  }
  if (slot->collect_at.has_value()) return false;
  if (slot->has_garbage || slot->garbage_collector != nullptr) return false;
  slot->gauge.PassBegins(std::max(slot->shrunk->live_bytes, live));
  slot->shrunk.reset();
  slot->compactor =
      std::make_unique<data::StoreCompactor>(partition.first_slot(), partition.last_slot());
  return true;
}

void Persister::Compact(Slot* slot) {
  slot->writing = compacting_ = true;
  ++writing_;
  const bool posted = thread_.TryPost([this, slot] {
    Result<bool> step = slot->compactor->Step(slot->store.get(), kCompactStep);
    if (!step.ok()) Fatal("LevelDB compaction failed, ending: " + step.status().message());
    core_->PostFromAnyThread([this, slot, finished = step.value()] { Compacted(slot, finished); });
  });
  CHECK_MSG(posted, "the persister's queue is bounded by its partitions");
}

void Persister::Compacted(Slot* slot, bool finished) {
  slot->writing = compacting_ = false;
  --writing_;
  if (finished) slot->compactor = nullptr;
  // What has become due meanwhile goes first; the next piece comes with a later tick.
  if (slot->pending.bytes >= core_->config().flush_max_bytes) Write(slot);
  ContinueRebuild(slot);
  CheckWaiters();
}

void Persister::CollectDead(Partition* partition) {
  for (auto& slot : slots_) {
    if (slot->partition == partition) slot->collect_at = partition->memory_end();
  }
}

void Persister::Flush(absl::AnyInvocable<void()> done) {
  Waiter waiter;
  for (const auto& slot : slots_) waiter.indexes.push_back(slot->pending.applied_index);
  waiter.done = std::move(done);
  waiters_.push_back(std::move(waiter));
  Pump(true);
  CheckWaiters();
}

void Persister::CheckWaiters() {
  for (size_t i = 0; i < waiters_.size();) {
    bool reached = true;
    for (size_t s = 0; s < slots_.size(); ++s) {
      if (slots_[s]->stored_index < waiters_[i].indexes[s]) {
        reached = false;
        Write(slots_[s].get());
      }
    }
    if (!reached) {
      ++i;
      continue;
    }
    absl::AnyInvocable<void()> done = std::move(waiters_[i].done);
    waiters_.erase(waiters_.begin() + static_cast<ptrdiff_t>(i));
    done();
  }
}

bool Persister::CanLend(const Partition* partition) {
  const Slot* slot = Find(partition);
  return !slot->writing && !slot->rebuild.has_value() && slot->reading == 0;
}

std::shared_ptr<storage::Store> Persister::Lend(const Partition* partition) {
  CHECK(CanLend(partition));
  Slot* slot = Find(partition);
  slot->writing = true;
  ++writing_;
  slot->collector = nullptr;
  slot->garbage_collector = nullptr;
  slot->compactor = nullptr;
  return std::move(slot->store);
}

void Persister::Return(Partition* partition, std::shared_ptr<storage::Store> store, uint64_t index,
                       uint64_t term, uint64_t bytes) {
  Slot* slot = Find(partition);
  CHECK(slot->writing && slot->store == nullptr && !slot->rebuild.has_value());
  CHECK(index > slot->pending.applied_index && pending_bytes_ >= slot->pending.bytes);
  pending_bytes_ -= slot->pending.bytes;
  slot->pending = data::PersistJob();
  slot->pending.applied_index = slot->stored_index = index;
  slot->pending.applied_term = term;
  slot->store = std::move(store);
  slot->collect_at.reset();
  if (partition->keyspace().found_dead_records()) slot->collect_at = 0;
  slot->has_garbage = partition->keyspace().found_garbage();
  slot->in_pass = false;
  slot->shrunk.reset();
  slot->gauge = ShrinkGauge();
  slot->gauge.Opened(bytes);
  slot->writing = false;
  --writing_;
  CheckWaiters();
}

void Persister::FreeLater(std::shared_ptr<void> garbage, size_t keys) {
  keys_to_free_.fetch_add(keys, std::memory_order_relaxed);
  const bool posted = thread_.TryPost([this, garbage = std::move(garbage), keys]() mutable {
    garbage.reset();
    keys_freed_.fetch_add(keys, std::memory_order_relaxed);
    keys_to_free_.fetch_sub(keys, std::memory_order_relaxed);
  });
  if (!posted) {
    keys_to_free_.fetch_sub(keys, std::memory_order_relaxed);
    // Refused: it went with the task, here.
    LogVerbose("persister is busy; freeing on the loop");
  }
}

uint64_t Persister::stored_index(const Partition* partition) const {
  for (const auto& slot : slots_) {
    if (slot->partition == partition) return slot->stored_index;
  }
  return 0;
}

}  // namespace holdfast::engine
