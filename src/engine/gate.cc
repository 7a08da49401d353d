#include "engine/gate.h"

#include <utility>

#include "base/check.h"

namespace holdfast::engine {

void GateQueue::Line::Add(uint64_t number, Item item) {
  if (buckets.empty()) base = number;
  while (number < base) {
    buckets.emplace_front();
    --base;
  }
  while (number - base >= buckets.size()) buckets.emplace_back();
  buckets[number - base].push_back(std::move(item));
}

void GateQueue::Line::TakeThrough(uint64_t number, std::vector<Item>* out) {
  while (!buckets.empty() && base <= number) {
    for (Item& item : buckets.front()) out->push_back(std::move(item));
    buckets.pop_front();
    ++base;
  }
}

void GateQueue::Add(Item item, uint64_t commit_index, uint64_t confirmed_round) {
  ++size_;
  if (item.gate.index > commit_index) {
    by_index_.Add(item.gate.index, std::move(item));
  } else {
    CHECK(item.gate.round > confirmed_round);
    by_round_.Add(item.gate.round, std::move(item));
  }
}

void GateQueue::TakeOpen(uint64_t commit_index, uint64_t confirmed_round, std::vector<Item>* open) {
  if (size_ == 0) return;
  by_round_.TakeThrough(confirmed_round, open);
  std::vector<Item> committed;
  by_index_.TakeThrough(commit_index, &committed);
  for (Item& item : committed) {
    // Committed, but its read round may still be open.
    if (item.gate.round > confirmed_round) {
      by_round_.Add(item.gate.round, std::move(item));
    } else {
      open->push_back(std::move(item));
    }
  }
  size_ -= open->size();
}

void GateQueue::TakeAll(std::vector<Item>* items) {
  by_index_.TakeThrough(UINT64_MAX, items);
  by_round_.TakeThrough(UINT64_MAX, items);
  size_ = 0;
}

}  // namespace holdfast::engine
