#include "data/list_object.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "data/tight.h"

namespace holdfast::data {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;

// How far a position is behind another, which may be more than an int64_t holds.
uint64_t Distance(int64_t from, int64_t to) {
  return static_cast<uint64_t>(to) - static_cast<uint64_t>(from);
}

// How far an item that isn't a run's first is behind the one before it.
void AppendDistance(std::string* out, int64_t from, int64_t to) {
  const uint64_t distance = Distance(from, to);
  AppendVarint(out, distance == ListObject::kGap ? 0 : distance);
}

}  // namespace

std::string ListObject::EncodePosition(int64_t position) {
  std::string element;
  // Negative numbers sort below the others.
  AppendFixed64BE(&element, static_cast<uint64_t>(position) ^ kSignBit);
  return element;
}

bool ListObject::DecodePosition(std::string_view element, int64_t* position) {
  if (element.size() != sizeof(uint64_t)) return false;
  *position = static_cast<int64_t>(LoadFixed64BE(element.data()) ^ kSignBit);
  return true;
}

size_t ListObject::MemoryBytes() const {
  return sizeof *this + runs_.capacity() * sizeof(runs_[0]) + run_bytes_;
}

// ---- In a run

ListObject::Packed ListObject::Read(const Run& run, size_t begin, int64_t before) {
  ByteReader in(std::string_view(run.bytes).substr(begin));
  Packed packed;
  packed.begin = begin;
  packed.before = before;
  uint64_t distance;
  CHECK(in.ReadVarint(&distance));
  if (distance == 0 && begin > 0) distance = kGap;
  packed.length_at = run.bytes.size() - in.rest().size();
  CHECK(in.ReadLengthPrefixed(&packed.item.value));
  packed.end = run.bytes.size() - in.rest().size();
  packed.item.position = static_cast<int64_t>(static_cast<uint64_t>(before) + distance);
  return packed;
}

ListObject::Packed ListObject::ReadLast(const Run& run) {
  Packed packed = Read(run, run.last_begin, 0);
  if (packed.begin == 0) {
    packed.before = run.first;
  } else {
    const auto distance = static_cast<uint64_t>(packed.item.position);
    packed.before = static_cast<int64_t>(static_cast<uint64_t>(run.last) - distance);
  }
  packed.item.position = run.last;
  return packed;
}

ListObject::Packed ListObject::Seek(const Run& run, int64_t position) {
  if (position == run.last) return ReadLast(run);
  Packed packed;
  packed.before = run.first;
  if (position < run.last) {
    do {
      packed = Read(run, packed.end, packed.before);
      if (packed.item.position >= position) return packed;
      packed.before = packed.item.position;
    } while (true);
  }
  packed.begin = packed.end = run.bytes.size();
  packed.before = run.last;
  return packed;
}

void ListObject::Splice(Run* run, const Packed& next, const Item& item) {
  std::string bytes;
  const bool is_first = next.begin == 0;
  const bool is_last = next.begin == run->bytes.size();
  if (is_first) {
    AppendVarint(&bytes, 0);
  } else {
    AppendDistance(&bytes, next.before, item.position);
  }
  AppendLengthPrefixed(&bytes, item.value);
  size_t replaced = 0;
  if (is_last) {
    run->last_begin = static_cast<uint32_t>(next.begin);
  } else {
    const size_t item_bytes = bytes.size();
    AppendDistance(&bytes, item.position, next.item.position);
    replaced = next.length_at - next.begin;
    // The last item begins behind what is put in front of it.
    run->last_begin +=
        static_cast<uint32_t>(next.begin == run->last_begin ? item_bytes : bytes.size() - replaced);
  }
  ReplaceTight(&run->bytes, next.begin, replaced, bytes);
  if (is_first) run->first = item.position;
  if (is_last) run->last = item.position;
  ++run->count;
}

void ListObject::Append(Run* run, const Item& item) {
  Packed end;
  end.begin = end.end = run->bytes.size();
  end.before = run->last;
  Splice(run, end, item);
}

void ListObject::Overwrite(Run* run, const Packed& old, std::string_view value) {
  std::string bytes;
  AppendLengthPrefixed(&bytes, value);
  if (old.begin != run->last_begin) {
    run->last_begin += static_cast<uint32_t>(bytes.size() - (old.end - old.length_at));
  }
  ReplaceTight(&run->bytes, old.length_at, old.end - old.length_at, bytes);
}

void ListObject::Erase(Run* run, const Packed& old) {
  std::string bytes;
  size_t end = old.end;
  if (old.end < run->bytes.size()) {
    const Packed next = Read(*run, old.end, old.item.position);
    if (old.begin == 0) {
      AppendVarint(&bytes, 0);
      run->first = next.item.position;
    } else {
      AppendDistance(&bytes, old.before, next.item.position);
    }
    end = next.length_at;
    if (next.begin == run->last_begin) {
      run->last_begin = static_cast<uint32_t>(old.begin);
    } else {
      run->last_begin -= static_cast<uint32_t>(end - old.begin - bytes.size());
    }
  } else if (run->count > 1) {
    // Items can only be read forwards: the one before is found from the front.
    Packed before = Read(*run, 0, run->first);
    while (before.end < old.begin) before = Read(*run, before.end, before.item.position);
    run->last = old.before;
    run->last_begin = static_cast<uint32_t>(before.begin);
  }
  ReplaceTight(&run->bytes, old.begin, end - old.begin, bytes);
  --run->count;
}

bool ListObject::HasRoom(const Run& run, size_t value_bytes) {
  constexpr size_t kMostOfVarints = 20;
  return run.count < kRunItems && run.bytes.size() + value_bytes + kMostOfVarints <= kRunBytes;
}

// ---- Among runs

size_t ListObject::RunOf(int64_t position) const {
  const auto after = std::upper_bound(
      runs_.begin(), runs_.end(), position,
      [](int64_t wanted, const std::unique_ptr<Run>& run) { return wanted < run->first; });
  const auto index = static_cast<size_t>(std::distance(runs_.begin(), after));
  return index == 0 ? 0 : index - 1;
}

void ListObject::InsertRun(size_t at, const Item& item) {
  auto run = std::make_unique<Run>();
  Append(run.get(), item);
  run_bytes_ += run->MemoryBytes();
  runs_.insert(runs_.begin() + static_cast<ptrdiff_t>(at), std::move(run));
}

void ListObject::Put(std::string_view element, std::string_view value) {
  Item item{0, value};
  CHECK(DecodePosition(element, &item.position));
  if (runs_.empty()) {
    InsertRun(0, item);
    ++size_;
    return;
  }
  const size_t index = RunOf(item.position);
  Run* run = runs_[index].get();
  const Packed next = Seek(*run, item.position);
  const bool at_end = next.begin == run->bytes.size();
  if (!at_end && next.item.position == item.position) {
    run_bytes_ -= run->MemoryBytes();
    Overwrite(run, next, value);
    run_bytes_ += run->MemoryBytes();
  } else {
    ++size_;
    // At an end of a full run another one takes it: runs of a list that only grows stay full, and a
    // queue moves nothing.
    if (!HasRoom(*run, value.size()) && (at_end || next.begin == 0)) {
      const size_t neighbour = at_end ? index + 1 : index;
      if (!at_end || neighbour == runs_.size() || !HasRoom(*runs_[neighbour], value.size())) {
        InsertRun(neighbour, item);
        return;
      }
      run = runs_[neighbour].get();
      run_bytes_ -= run->MemoryBytes();
      Splice(run, Seek(*run, item.position), item);
      run_bytes_ += run->MemoryBytes();
      return;
    }
    run_bytes_ -= run->MemoryBytes();
    Splice(run, next, item);
    run_bytes_ += run->MemoryBytes();
  }
  if (run->count > kRunItems || (run->bytes.size() > kRunBytes && run->count > 1)) Split(index);
}

void ListObject::Split(size_t index) {
  Run* run = runs_[index].get();
  CHECK(run->count > 1);
  run_bytes_ -= run->MemoryBytes();
  // The first item stays, the last one goes.
  auto second = std::make_unique<Run>();
  Packed at = Read(*run, 0, run->first);
  uint32_t kept = 1;
  while (kept + 1 < run->count && at.end < run->bytes.size() / 2) {
    at = Read(*run, at.end, at.item.position);
    ++kept;
  }
  const size_t cut = at.end;
  const int64_t last = at.item.position;
  const Packed next = Read(*run, cut, last);
  second->first = next.item.position;
  second->last = run->last;
  second->count = run->count - kept;
  AppendVarint(&second->bytes, 0);
  if (run->last_begin > next.begin) {
    const size_t moved_by = next.length_at - second->bytes.size();
    second->last_begin = static_cast<uint32_t>(run->last_begin - moved_by);
  }
  second->bytes.append(run->bytes, next.length_at);
  run->bytes.resize(cut);
  run->bytes.shrink_to_fit();
  run->last = last;
  run->last_begin = static_cast<uint32_t>(at.begin);
  run->count = kept;
  run_bytes_ += run->MemoryBytes() + second->MemoryBytes();
  runs_.insert(runs_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(second));
}

bool ListObject::Delete(std::string_view element) {
  int64_t position;
  if (!DecodePosition(element, &position) || runs_.empty()) return false;
  const size_t index = RunOf(position);
  Run* run = runs_[index].get();
  const Packed old = Seek(*run, position);
  if (old.begin == run->bytes.size() || old.item.position != position) return false;
  run_bytes_ -= run->MemoryBytes();
  Erase(run, old);
  --size_;
  if (run->count == 0) {
    runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(index));
    return true;
  }
  run_bytes_ += run->MemoryBytes();
  // Neighbours that have become small join, the one behind first.
  if (!TryJoin(index) && index > 0) TryJoin(index - 1);
  return true;
}

bool ListObject::TryJoin(size_t index) {
  if (index + 1 >= runs_.size()) return false;
  Run* run = runs_[index].get();
  const Run& next = *runs_[index + 1];
  if (run->count + next.count > kRunItems / 2) return false;
  if (run->bytes.size() + next.bytes.size() > kRunBytes / 2) return false;
  run_bytes_ -= run->MemoryBytes() + next.MemoryBytes();
  const Packed first = Read(next, 0, next.first);
  const size_t seam = run->bytes.size();
  AppendDistance(&run->bytes, run->last, next.first);
  run->last_begin = static_cast<uint32_t>(
      next.last_begin == 0 ? seam : run->bytes.size() + next.last_begin - first.length_at);
  run->bytes.append(next.bytes, first.length_at);
  run->last = next.last;
  run->count += next.count;
  run_bytes_ += run->MemoryBytes();
  runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(index) + 1);
  return true;
}

bool ListObject::Contains(std::string_view element) const {
  int64_t position;
  if (!DecodePosition(element, &position) || runs_.empty()) return false;
  const Run& run = *runs_[RunOf(position)];
  const Packed packed = Seek(run, position);
  return packed.begin < run.bytes.size() && packed.item.position == position;
}

void ListObject::ForEach(
    const std::function<void(std::string_view element, std::string_view value)>& visit) const {
  Walk(0, false, [&visit](const Item& item) {
    visit(EncodePosition(item.position), item.value);
    return true;
  });
}

ListObject::Item ListObject::At(uint64_t index) const {
  CHECK(index < size_);
  if (index + 1 == size_) return ReadLast(*runs_.back()).item;
  Item found;
  Walk(index, false, [&found](const Item& item) {
    found = item;
    return false;
  });
  return found;
}

void ListObject::Walk(uint64_t index, bool backwards,
                      absl::FunctionRef<bool(const Item& item)> visit) const {
  if (index >= size_) return;
  // The run, and which of its items; from the nearer end.
  size_t at = 0;
  if (index < size_ / 2) {
    for (; index >= runs_[at]->count; ++at) index -= runs_[at]->count;
  } else {
    uint64_t from_end = size_ - 1 - index;
    at = runs_.size() - 1;
    for (; from_end >= runs_[at]->count; --at) from_end -= runs_[at]->count;
    index = runs_[at]->count - 1 - from_end;
  }
  absl::InlinedVector<Item, kRunItems> behind;  // of a run, when it is walked backwards
  while (true) {
    const Run& run = *runs_[at];
    Packed packed;
    packed.before = run.first;
    behind.clear();
    // Often only the last one is wanted.
    if (backwards && index + 1 == run.count && !visit(ReadLast(run).item)) return;
    for (uint32_t i = 0; i < run.count; ++i) {
      if (backwards && (i > index || i + 1 == run.count)) break;
      packed = Read(run, packed.end, packed.before);
      packed.before = packed.item.position;
      if (backwards) {
        behind.push_back(packed.item);
      } else if (i >= index && !visit(packed.item)) {
        return;
      }
    }
    for (size_t i = behind.size(); i > 0; --i) {
      if (!visit(behind[i - 1])) return;
    }
    if (backwards ? at == 0 : at + 1 == runs_.size()) return;
    at = backwards ? at - 1 : at + 1;
    index = backwards ? runs_[at]->count - 1 : 0;
  }
}

}  // namespace holdfast::data
