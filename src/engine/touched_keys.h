// Which keys the uncommitted entries have touched: hash of the key -> index of the last entry.
//
// A reply that has read a key waits for that entry (DESIGN.md §2 rule 2). Keys are told apart by
// their 64-bit hash only: a collision makes a reply wait for one commit more than it needs to.
// Entries at or below the commit index are forgotten lazily. Loop thread of the owning core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::engine {

class TouchedKeys {
 public:
  TouchedKeys() : cells_(kMinCells) {}

  // The entry `index` touches the key. `commit` is the commit index.
  void Touch(uint64_t hash, uint64_t index, uint64_t commit) {
    if ((used_ + 1) * 2 > cells_.size()) Rebuild(commit);
    Put(hash, index);
    newest_ = index;
  }

  // Has what Find and Touch of this key will read brought into the cache.
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&cells_[hash & (cells_.size() - 1)]); }

  // The last uncommitted entry that touched the key; 0 = none.
  uint64_t Find(uint64_t hash, uint64_t commit) const {
    if (newest_ <= commit) return 0;
    const size_t mask = cells_.size() - 1;
    for (size_t i = hash & mask; cells_[i].index != 0; i = (i + 1) & mask) {
      if (cells_[i].hash == hash) return cells_[i].index > commit ? cells_[i].index : 0;
    }
    return 0;
  }

 private:
  static constexpr size_t kMinCells = 1024;
  struct Cell {
    uint64_t hash = 0;
    uint64_t index = 0;  // 0 = free
  };

  void Put(uint64_t hash, uint64_t index) {
    const size_t mask = cells_.size() - 1;
    size_t i = hash & mask;
    while (cells_[i].index != 0 && cells_[i].hash != hash) i = (i + 1) & mask;
    if (cells_[i].index == 0) ++used_;
    cells_[i] = {hash, index};
  }

  // Drops what is committed; doubles when too little was.
  void Rebuild(uint64_t commit) {
    std::vector<Cell> old;
    old.swap(cells_);
    size_t live = 0;
    for (const Cell& cell : old) live += cell.index > commit ? 1 : 0;
    size_t size = kMinCells;
    while (size < (live + 1) * 4) size *= 2;
    cells_.resize(size);
    used_ = 0;
    for (const Cell& cell : old) {
      if (cell.index > commit) Put(cell.hash, cell.index);
    }
  }

  std::vector<Cell> cells_;
  size_t used_ = 0;
  uint64_t newest_ = 0;
};

}  // namespace holdfast::engine
