#include "engine/client.h"

#include <algorithm>

#include "engine/core.h"
#include "engine/engine.h"

namespace holdfast::engine {
namespace {

// Takes `slot` out of the list; returns whether it was there.
bool Take(std::vector<uint64_t>* slots, uint64_t slot) {
  const auto it = std::find(slots->begin(), slots->end(), slot);
  if (it == slots->end()) return false;
  slots->erase(it);
  return true;
}

}  // namespace

void Client::MarkDirty() {
  if (dirty) return;
  dirty = true;
  core->AddDirty(this);
}

void Client::GateOpened() {
  wake_registered = false;
  MarkDirty();
}

bool Client::TakeFollowerSlot(uint64_t slot) {
  if (!Take(&follower_slots, slot)) return false;
  if (follower_slots.empty() && waits_for_reads) {
    waits_for_reads = false;
    core->ResumeLater(this);
  }
  return true;
}

void Client::ReplyArrived(uint64_t slot, std::string_view bytes) {
  if (!follower_slots.empty()) TakeFollowerSlot(slot);
  std::string refusal;
  if (blocked && slot == blocked_slot && !revoked.empty()) {
    // Unless it got what it waited for just before it was too late.
    if (bytes.starts_with("-UNBLOCKED ")) bytes = refusal = "-" + revoked + "\r\n";
    revoked.clear();
  }
  replies.Fill(slot, Take(&muted_slots, slot) ? std::string_view() : bytes);
  bool released = Take(&deferred_slots, slot);
  if (blocked && slot == blocked_slot) {
    blocked = reply_is_late = false;
    blocked_args = OwnedArgs();
    core->engine().blocked_clients.fetch_sub(1, std::memory_order_relaxed);
    released = true;
  }
  MarkDirty();
  if (released && --waiting == 0) core->ResumeLater(this);
}

}  // namespace holdfast::engine
