// Events of a partition's keys, between the commands that make them and subscribers.
#include <utility>

#include "engine/partition.h"

namespace holdfast::engine {
namespace {

// Events that wait for their entries beyond this are dropped.
constexpr size_t kMaxKeyEventBytes = size_t{64} << 20;
// Room for so many is kept from batch to batch.
constexpr size_t kKeptBatchEvents = 1024;

size_t BytesOf(const KeyEvent& event) { return sizeof(KeyEvent) + event.key.size(); }

}  // namespace

void Partition::Notify(uint32_t event_class, std::string_view name, uint32_t logical,
                       std::string_view key) {
  if (!WantsKeyEvents(host_->config().notify_key_events, event_class)) return;
  AddKeyEvent({0, logical, name, std::string(key)});
}

void Partition::AddKeyEvent(KeyEvent event) {
  if (!evictable_) return;
  if (key_event_bytes_ + BytesOf(event) > kMaxKeyEventBytes) {
    ++host_->stats()->publications_dropped;
    return;
  }
  key_event_bytes_ += BytesOf(event);
  batch_events_.push_back(std::move(event));
  host_->NeedsTurnEnd(this);
}

void Partition::QueueKeyEvents(uint64_t entry) {
  for (KeyEvent& event : batch_events_) {
    event.entry = entry;
    key_events_.push_back(std::move(event));
  }
  batch_events_.clear();
  if (batch_events_.capacity() > kKeptBatchEvents) batch_events_.shrink_to_fit();
}

void Partition::PublishKeyEvents() {
  while (!key_events_.empty() && key_events_.front().entry <= commit_index_) {
    host_->PublishKeyEvent(key_events_.front());
    key_event_bytes_ -= BytesOf(key_events_.front());
    key_events_.pop_front();
  }
}

}  // namespace holdfast::engine
