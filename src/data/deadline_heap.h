// A 4-ary min-heap of objects by deadline, with each object's position kept in the object, so that
// any of them can be moved or removed in O(log n). Storage is in chunks: growing never copies more
// than a chunk's pointer, so no push takes long. Loop thread of the owning core only.
#pragma once

#include <cstdint>
#include <deque>

#include "base/check.h"
#include "data/object.h"

namespace holdfast::data {

class DeadlineHeap {
 public:
  struct Item {
    int64_t deadline_ms;
    Object* object;
  };

  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  // REQUIRES: !empty()
  const Item& top() const { return items_.front(); }
  const Item& at(size_t position) const { return items_[position]; }
  // REQUIRES: the object is in the heap.
  int64_t DeadlineOf(const Object* object) const {
    CHECK(items_[object->heap_position].object == object);
    return items_[object->heap_position].deadline_ms;
  }

  // Adds the object, or moves it when it is in the heap already.
  void Set(Object* object, int64_t deadline_ms) {
    if (object->heap_position == kNotInHeap) {
      CHECK(items_.size() < kNotInHeap);
      items_.push_back({deadline_ms, object});
      object->heap_position = static_cast<uint32_t>(items_.size() - 1);
      SiftUp(items_.size() - 1);
      return;
    }
    const uint32_t at = object->heap_position;
    CHECK(items_[at].object == object);
    const bool earlier = deadline_ms < items_[at].deadline_ms;
    items_[at].deadline_ms = deadline_ms;
    if (earlier) {
      SiftUp(at);
    } else {
      SiftDown(at);
    }
  }

  // Takes the object out. REQUIRES: it is in the heap.
  void Remove(Object* object) {
    const uint32_t at = object->heap_position;
    CHECK(at < items_.size() && items_[at].object == object);
    object->heap_position = kNotInHeap;
    const Item last = items_.back();
    items_.pop_back();
    if (at == items_.size()) return;
    Place(at, last);
    SiftUp(at);
    SiftDown(last.object->heap_position);
  }

  // `fresh` takes the place of `old`, with the same deadline.
  void Replace(Object* old, Object* fresh) {
    const uint32_t at = old->heap_position;
    CHECK(at < items_.size() && items_[at].object == old);
    items_[at].object = fresh;
    fresh->heap_position = at;
    old->heap_position = kNotInHeap;
  }

 private:
  static constexpr size_t kArity = 4;

  void Place(size_t at, const Item& item) {
    items_[at] = item;
    item.object->heap_position = static_cast<uint32_t>(at);
  }

  void SiftUp(size_t at) {
    const Item item = items_[at];
    while (at > 0) {
      const size_t parent = (at - 1) / kArity;
      if (items_[parent].deadline_ms <= item.deadline_ms) break;
      Place(at, items_[parent]);
      at = parent;
    }
    Place(at, item);
  }

  void SiftDown(size_t at) {
    const Item item = items_[at];
    while (true) {
      const size_t first = at * kArity + 1;
      if (first >= items_.size()) break;
      size_t least = first;
      for (size_t child = first + 1; child < first + kArity && child < items_.size(); ++child) {
        if (items_[child].deadline_ms < items_[least].deadline_ms) least = child;
      }
      if (items_[least].deadline_ms >= item.deadline_ms) break;
      Place(at, items_[least]);
      at = least;
    }
    Place(at, item);
  }

  std::deque<Item> items_;
};

}  // namespace holdfast::data
