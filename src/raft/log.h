// The part of a group's log that is in memory: everything behind the last compaction point.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/types.h"

namespace holdfast::raft {

// A gapless run of entries behind `base`, the last entry that is no longer there. Terms never
// decrease along the log. A ring buffer, so that appending at one end and compacting at the other
// allocates nothing once it has its size.
//
// Loop thread of the owning core only.
class Log {
 public:
  // An empty log behind `base` ({0, 0}: nothing was ever written).
  explicit Log(LogPosition base);

  uint64_t first_index() const { return base_.index + 1; }
  uint64_t last_index() const { return base_.index + count_; }
  LogPosition base() const { return base_; }
  LogPosition last() const { return {last_index(), TermAt(last_index())}; }

  // REQUIRES: first_index() <= index <= last_index(). Valid until the log is changed.
  const Entry& EntryAt(uint64_t index) const;
  // REQUIRES: base().index <= index <= last_index().
  uint64_t TermAt(uint64_t index) const;
  // Whether this log is known to hold the entry that `position` names. False below base().
  bool Contains(LogPosition position) const;

  // The last index in [base().index, index] whose term is at most `term`, base().index when there
  // is none. Where a log with (index, term) at its end can agree with this one at best.
  // REQUIRES: base().index <= index <= last_index().
  uint64_t LastAtMostTerm(uint64_t index, uint64_t term) const;

  // REQUIRES: entry.index == last_index() + 1 and entry.term >= last().term.
  void Append(const Entry& entry);
  // Removes the entries from `index` on. REQUIRES: first_index() <= index.
  void TruncateFrom(uint64_t index);
  // Removes the entries up to `index`. REQUIRES: base().index <= index <= last_index().
  void CompactThrough(uint64_t index);

  // Forgets everything; the log is empty behind `base`.
  void Reset(LogPosition base);

  // The lowest index in [base().index, last_index()] behind which the entries count for at most
  // `bytes`.
  uint64_t IndexWithin(uint64_t bytes) const;
  // Charged bytes of the entries in (after, last_index()]. REQUIRES: as for TermAt.
  uint64_t BytesAfter(uint64_t after) const;
  uint64_t bytes() const { return BytesAfter(base_.index); }

 private:
  struct Slot {
    Entry entry;
    // Charged bytes of all entries ever appended up to this one, those truncated since not
    // counted: the difference of two is the size of a range.
    uint64_t bytes_through = 0;
  };

  Slot& SlotAt(uint64_t index) { return slots_[(head_ + (index - base_.index - 1)) & mask()]; }
  const Slot& SlotAt(uint64_t index) const {
    return slots_[(head_ + (index - base_.index - 1)) & mask()];
  }
  size_t mask() const { return slots_.size() - 1; }
  uint64_t BytesThrough(uint64_t index) const;
  void Resize(size_t capacity);

  LogPosition base_;
  uint64_t base_bytes_ = 0;  // bytes_through of the base
  std::vector<Slot> slots_;  // a power of two
  size_t head_ = 0;          // the slot of first_index()
  size_t count_ = 0;
};

}  // namespace holdfast::raft
