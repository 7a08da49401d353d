#include "raft/log.h"

#include <utility>

#include "base/check.h"

namespace holdfast::raft {

namespace {

constexpr size_t kMinCapacity = 16;
// After a burst the ring is given back step by step: it halves while less than an eighth is used,
// so that a load that swings by a factor of two never resizes it.
constexpr size_t kShrinkFactor = 8;

}  // namespace

Log::Log(LogPosition base) : base_(base), slots_(kMinCapacity) {
  CHECK((base.index == 0) == (base.term == 0));
}

const Entry& Log::EntryAt(uint64_t index) const {
  CHECK(index >= first_index() && index <= last_index());
  return SlotAt(index).entry;
}

uint64_t Log::TermAt(uint64_t index) const {
  CHECK(index >= base_.index && index <= last_index());
  return index == base_.index ? base_.term : SlotAt(index).entry.term;
}

bool Log::Contains(LogPosition position) const {
  return position.index >= base_.index && position.index <= last_index() &&
         TermAt(position.index) == position.term;
}

uint64_t Log::LastAtMostTerm(uint64_t index, uint64_t term) const {
  CHECK(index >= base_.index && index <= last_index());
  // Terms never decrease, so this is a binary search for the end of a prefix.
  uint64_t low = base_.index;
  uint64_t high = index;
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    if (TermAt(middle) <= term) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

void Log::Append(const Entry& entry) {
  CHECK(entry.index == last_index() + 1);
  CHECK_MSG(entry.term >= TermAt(last_index()) && entry.term > 0, "terms never decrease");
  const uint64_t bytes_before = BytesThrough(last_index());
  if (count_ == slots_.size()) Resize(slots_.size() * 2);
  ++count_;
  Slot& slot = SlotAt(entry.index);
  slot.entry = entry;
  slot.bytes_through = bytes_before + entry.charged_bytes();
}

void Log::TruncateFrom(uint64_t index) {
  CHECK(index >= first_index());
  while (last_index() >= index) {
    SlotAt(last_index()).entry = Entry();  // lets go of the payload now
    --count_;
  }
}

void Log::CompactThrough(uint64_t index) {
  CHECK(index >= base_.index && index <= last_index());
  if (index == base_.index) return;
  const LogPosition base{index, TermAt(index)};
  const uint64_t base_bytes = BytesThrough(index);
  for (uint64_t i = first_index(); i <= index; ++i) SlotAt(i).entry = Entry();
  const size_t dropped = index - base_.index;
  head_ = (head_ + dropped) & mask();
  count_ -= dropped;
  base_ = base;
  base_bytes_ = base_bytes;
  if (slots_.size() > kMinCapacity && count_ < slots_.size() / kShrinkFactor) {
    Resize(slots_.size() / 2);
  }
}

void Log::Reset(LogPosition base) { *this = Log(base); }

uint64_t Log::IndexWithin(uint64_t bytes) const {
  uint64_t low = base_.index;
  uint64_t high = last_index();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (BytesAfter(middle) <= bytes) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

uint64_t Log::BytesThrough(uint64_t index) const {
  return index == base_.index ? base_bytes_ : SlotAt(index).bytes_through;
}

uint64_t Log::BytesAfter(uint64_t after) const {
  CHECK(after >= base_.index && after <= last_index());
  return BytesThrough(last_index()) - BytesThrough(after);
}

void Log::Resize(size_t capacity) {
  CHECK(capacity >= count_ && (capacity & (capacity - 1)) == 0);
  std::vector<Slot> slots(capacity);
  for (size_t i = 0; i < count_; ++i) slots[i] = std::move(slots_[(head_ + i) & mask()]);
  slots_ = std::move(slots);
  head_ = 0;
}

}  // namespace holdfast::raft
