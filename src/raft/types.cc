#include "raft/types.h"

namespace holdfast::raft {

Outgoing& Outbox::Add() {
  if (size_ == slots_.size()) slots_.emplace_back();
  Outgoing& slot = slots_[size_++];
  std::vector<Entry> entries = std::move(slot.message.entries);
  entries.clear();
  slot = Outgoing();
  slot.message.entries = std::move(entries);
  return slot;
}

void Update::Clear() {
  ticket.reset();
  hard_state.reset();
  reset.reset();
  append.clear();
  messages.Clear();
  commit_index = 0;
  apply_first = 1;
  apply_last = 0;
  installed.reset();
  snapshots_to_send.clear();
  membership_changed = false;
  proposal.reset();
  transfer.reset();
  reads.clear();
  standing.reset();
}

}  // namespace holdfast::raft
