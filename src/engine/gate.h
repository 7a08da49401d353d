// What a reply waits for before it may leave (DESIGN.md §1, §2), and who waits.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace holdfast::engine {

struct Gate {
  uint64_t index = 0;  // the partition's commit index must have reached this
  uint64_t round = 0;  // this read round must have been confirmed

  bool operator==(const Gate&) const = default;
};

// A reply that waits away from its client: of a blocked client or of another core's. Loop thread of
// the partition's core only.
class GateWaiter {
 public:
  virtual ~GateWaiter() = default;
  // The gate is open.
  virtual void OnGateOpen() = 0;
  // The partition lost its leadership before the gate opened. `proposed`: the entry that it waits
  // for was given to raft, so that the outcome of a write is in doubt; else it never took effect.
  virtual void OnGateLost(bool proposed) = 0;
};

// Everything that waits for gates of one partition, by what it waits for. Loop thread only.
class GateQueue {
 public:
  // Either a client of this core, by id, or a waiter.
  struct Item {
    Gate gate;
    uint64_t client = 0;
    std::unique_ptr<GateWaiter> waiter;
  };

  void Add(Item item, uint64_t commit_index, uint64_t confirmed_round);
  // Moves out everything that has become open, in the order of its gates.
  void TakeOpen(uint64_t commit_index, uint64_t confirmed_round, std::vector<Item>* open);
  // Moves out everything.
  void TakeAll(std::vector<Item>* items);
  size_t size() const { return size_; }

 private:
  // Items by the number they wait for; the front bucket belongs to number `base`.
  struct Line {
    uint64_t base = 0;
    std::deque<std::vector<Item>> buckets;
    void Add(uint64_t number, Item item);
    void TakeThrough(uint64_t number, std::vector<Item>* out);
  };

  Line by_index_;
  Line by_round_;
  size_t size_ = 0;
};

}  // namespace holdfast::engine
