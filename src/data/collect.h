// Getting rid of what a partition's store holds and nobody can see, and of the room that it took
// (PITFALLS P35). In small steps, on the thread that persists, between jobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "data/record.h"
#include "storage/store.h"

namespace holdfast::data {

// Deletes the records of physical databases that no SELECT number means any more, in small steps
// (P35). Runs on the thread that persists, between jobs. The deletions need no applied index and no
// sync: a crash brings back at most records that nobody can see.
//
// One collector makes one pass over all kinds of records. `live` is what ReadDatabases says when
// the pass begins (the mapping in memory runs ahead of the store, whose records are still needed
// then); databases that are created while it runs (numbers from live.next on) are left alone,
// databases that die while it runs are for the next pass.
class DeadRecordCollector {
 public:
  DeadRecordCollector(uint16_t first_slot, uint16_t last_slot, const DatabaseMap& live);

  // Deletes up to `max_records` records, in one batch; a live database that is skipped counts as
  // one record, so that a step's length is bounded by `max_records` (> 0). True when the pass is
  // complete; then Step must not be called again. After an error the pass may be repeated by a new
  // collector.
  Result<bool> Step(storage::Store* store, size_t max_records);

  uint64_t deleted() const { return deleted_; }

 private:
  bool IsLive(uint32_t database) const;
  // Sets the position to the first record of the next kind; false when there is none.
  bool NextKind();

  const uint16_t first_slot_;
  const uint16_t last_slot_;
  const DatabaseMap live_;
  uint64_t deleted_ = 0;
  size_t kind_ = 0;
  // Where the pass goes on: the first record key not yet looked at.
  std::string position_;
  bool done_ = false;
};

// Deletes the elements of collections that were deleted, in small steps. One collector makes one
// pass; what becomes garbage behind its position is for the next pass. It remembers where it is:
// what has just been deleted lies in LevelDB for a while, and walking over it again would take as
// long as deleting it. Runs on the thread that persists, between jobs; see DeadRecordCollector.
class GarbageCollector {
 public:
  // Deletes up to `max_records` (> 0) records, in one batch. True when the pass is complete; then
  // Step must not be called again.
  Result<bool> Step(storage::Store* store, size_t max_records);

 private:
  std::string garbage_position_ = "g";
  std::string element_position_;  // in the collection at garbage_position_; empty: its beginning
};

// Gives the bytes of deleted records back to the disk (P35), piece by piece, so that the thread
// that persists can do its work in between. One compactor makes one pass over a partition.
class StoreCompactor {
 public:
  StoreCompactor(uint16_t first_slot, uint16_t last_slot);

  // Compacts the next slots that hold some `max_bytes` (> 0) together, but at least one slot. True
  // when the pass is complete; then Step must not be called again.
  Result<bool> Step(storage::Store* store, uint64_t max_bytes);

 private:
  // One past the last slot that goes into a piece of `max_bytes`.
  uint32_t EndOfPiece(storage::Store* store, uint64_t max_bytes) const;

  const uint32_t first_slot_;
  const uint32_t end_slot_;  // one past the last
  size_t kind_ = 0;          // of records; elements and keys are apart in the store
  uint32_t next_slot_;
};

}  // namespace holdfast::data
