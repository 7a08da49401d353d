// Eviction beyond the partition that is written: memory is full for the whole process, so a write
// is refused only when no partition of any core has a key to give.
//
//   write ─▶ its partition ─▶ the core's other partitions, in turn ─▶ a message to each other core
//
// Another core needs a turn to answer. The write doesn't wait for it: it is let through, and this
// core takes nothing more from its clients until the answers are there (Core::Overloaded).
//
// Loop thread of the owning core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::engine {

class Core;
class Partition;

// What a core knows of another one's keys.
class EvictionHelper {
 public:
  // One request is under way at most.
  bool asked() const { return asked_; }
  void Ask() { asked_ = true; }
  // It had nothing to evict (`exhausted`) when its keys took `keyspace_bytes`.
  void Answered(bool exhausted, uint64_t keyspace_bytes);
  // Whether it may have something to evict, now that its keys take `keyspace_bytes`: what it had
  // when it was exhausted is still not evictable, but what has come since may be.
  bool MayHelp(uint64_t keyspace_bytes) const {
    return !exhausted_ || keyspace_bytes > exhausted_bytes_;
  }
  // Another policy may see it differently.
  void Forget() { exhausted_ = false; }

 private:
  bool asked_ = false;
  bool exhausted_ = false;
  uint64_t exhausted_bytes_ = 0;
};

class Evictor {
 public:
  explicit Evictor(Core* core) : core_(core) {}

  // See PartitionHost::EvictElsewhere.
  bool EvictElsewhere(const Partition* asking, size_t max_keys);
  // Without being asked by a write: clients' buffers have grown, or maxmemory is lower than it was.
  // Every now and then, and before commands that no partition runs.
  // True when there is more to do.
  bool Tick();
  // A write was let through because of room that other cores are still making.
  bool on_credit() const { return on_credit_; }
  // maxmemory or its policy may have changed.
  void ConfigChanged();

 private:
  // Evicts from all partitions of this core but `except` (may be null), beginning where it ended
  // the last time; how many keys went.
  size_t EvictHere(const Partition* except, size_t max_keys);
  bool AskOthers();
  void Ask(uint32_t number);
  void Answered(uint32_t number, bool exhausted, uint64_t keyspace_bytes);

  Core* const core_;
  std::vector<EvictionHelper> helpers_;  // by core; made when first needed
  uint32_t outstanding_ = 0;             // requests under way
  bool on_credit_ = false;
  size_t next_ = 0;  // of the core's partitions
};

}  // namespace holdfast::engine
