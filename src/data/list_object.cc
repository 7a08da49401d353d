#include "data/list_object.h"

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::data {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;

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

size_t ListObject::BytesOf(const Item& item) {
  return item.value.capacity() > std::string().capacity() ? item.value.capacity() + 1 : 0;
}

size_t ListObject::MemoryBytes() const {
  size_t bytes = sizeof *this + value_bytes_;
  // What a run has room for: it is made that large, or was once.
  bytes += runs_.size() * (sizeof(Run) + kRunItems * sizeof(Item));
  return bytes;
}

ListObject::Place ListObject::Locate(int64_t position) const {
  // The last run that begins at or before the position.
  const auto after = std::upper_bound(
      runs_.begin(), runs_.end(), position,
      [](int64_t wanted, const Run& run) { return wanted < run.front().position; });
  if (after == runs_.begin()) return {0, 0};
  Place place;
  place.run = static_cast<size_t>(std::distance(runs_.begin(), after)) - 1;
  const Run& run = runs_[place.run];
  const auto item =
      std::lower_bound(run.begin(), run.end(), position,
                       [](const Item& each, int64_t wanted) { return each.position < wanted; });
  place.item = static_cast<size_t>(std::distance(run.begin(), item));
  return place;
}

bool ListObject::IsAt(const Place& place, int64_t position) const {
  return place.run < runs_.size() && place.item < runs_[place.run].size() &&
         runs_[place.run][place.item].position == position;
}

void ListObject::Put(std::string_view element, std::string_view value) {
  int64_t position;
  CHECK(DecodePosition(element, &position));
  const Place place = Locate(position);
  if (IsAt(place, position)) {
    Item& item = runs_[place.run][place.item];
    value_bytes_ -= BytesOf(item);
    item.value = std::string(value);
    value_bytes_ += BytesOf(item);
    return;
  }
  Item item{position, std::string(value)};
  value_bytes_ += BytesOf(item);
  ++size_;
  // At an end a new run begins: those behind stay full, and a queue moves nothing.
  if (runs_.empty() || (place.run + 1 == runs_.size() && place.item == kRunItems)) {
    runs_.emplace_back();
    runs_.back().reserve(kRunItems);
    runs_.back().push_back(std::move(item));
    return;
  }
  if (place.run == 0 && place.item == 0 && runs_.front().size() == kRunItems) {
    runs_.emplace_front();
    runs_.front().reserve(kRunItems);
    runs_.front().push_back(std::move(item));
    return;
  }
  Run& run = runs_[place.run];
  run.insert(run.begin() + static_cast<ptrdiff_t>(place.item), std::move(item));
  if (run.size() <= kRunItems) return;
  const auto half = run.begin() + static_cast<ptrdiff_t>(run.size() / 2);
  Run second(std::make_move_iterator(half), std::make_move_iterator(run.end()));
  run.erase(half, run.end());
  runs_.insert(runs_.begin() + static_cast<ptrdiff_t>(place.run) + 1, std::move(second));
}

bool ListObject::Delete(std::string_view element) {
  int64_t position;
  if (!DecodePosition(element, &position)) return false;
  const Place place = Locate(position);
  if (!IsAt(place, position)) return false;
  Run& run = runs_[place.run];
  value_bytes_ -= BytesOf(run[place.item]);
  run.erase(run.begin() + static_cast<ptrdiff_t>(place.item));
  if (run.empty()) runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(place.run));
  --size_;
  // Neighbours that have become small join, the one behind first.
  if (place.run < runs_.size() && !TryJoin(place.run) && place.run > 0) TryJoin(place.run - 1);
  return true;
}

bool ListObject::TryJoin(size_t run) {
  if (run + 1 >= runs_.size() || runs_[run].size() + runs_[run + 1].size() > kRunItems / 2) {
    return false;
  }
  Run& next = runs_[run + 1];
  runs_[run].insert(runs_[run].end(), std::make_move_iterator(next.begin()),
                    std::make_move_iterator(next.end()));
  runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(run) + 1);
  return true;
}

bool ListObject::Contains(std::string_view element) const {
  int64_t position;
  return DecodePosition(element, &position) && IsAt(Locate(position), position);
}

void ListObject::ForEach(
    const std::function<void(std::string_view element, std::string_view value)>& visit) const {
  for (const Run& run : runs_) {
    for (const Item& item : run) visit(EncodePosition(item.position), item.value);
  }
}

ListObject::Place ListObject::PlaceOf(uint64_t index) const {
  CHECK(index < size_);
  if (index < size_ / 2) {
    Place place;
    for (; index >= runs_[place.run].size(); ++place.run) index -= runs_[place.run].size();
    place.item = index;
    return place;
  }
  uint64_t from_end = size_ - 1 - index;
  Place place{runs_.size() - 1, 0};
  for (; from_end >= runs_[place.run].size(); --place.run) from_end -= runs_[place.run].size();
  place.item = runs_[place.run].size() - 1 - from_end;
  return place;
}

const ListObject::Item& ListObject::At(uint64_t index) const {
  const Place place = PlaceOf(index);
  return runs_[place.run][place.item];
}

void ListObject::Walk(uint64_t index, bool backwards,
                      absl::FunctionRef<bool(const Item& item)> visit) const {
  if (index >= size_) return;
  Place place = PlaceOf(index);
  while (visit(runs_[place.run][place.item])) {
    if (backwards) {
      if (place.item > 0) {
        --place.item;
      } else if (place.run > 0) {
        --place.run;
        place.item = runs_[place.run].size() - 1;
      } else {
        return;
      }
    } else if (++place.item == runs_[place.run].size()) {
      if (++place.run == runs_.size()) return;
      place.item = 0;
    }
  }
}

}  // namespace holdfast::data
