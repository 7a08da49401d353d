// Leadership is handed to another node (Raft dissertation, section 3.10; PITFALLS P09).
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::On(const TransferLeadership& transfer) {
  out_->transfer = StartTransfer(transfer.to);
}

Refusal Group::Core::StartTransfer(NodeId to) {
  if (role_ != Role::kLeader) return Refusal::kNotLeader;
  if (transfer_to_ != kNoNode) return to == transfer_to_ ? Refusal::kNone : Refusal::kTransferring;
  const Peer* const peer = FindPeer(to);
  const auto& voters = membership_.voters;
  if (peer == nullptr || std::find(voters.begin(), voters.end(), to) == voters.end()) {
    return Refusal::kInvalid;
  }
  if (peer->progress.state() == Progress::State::kSnapshot) return Refusal::kNotCaughtUp;
  transfer_to_ = to;
  transfer_elapsed_ms_ = 0;
  ContinueTransfer();
  return Refusal::kNone;
}

// No proposal makes the log longer meanwhile, so the target catches up with its end.
void Group::Core::ContinueTransfer() {
  if (transfer_to_ == kNoNode) return;
  CHECK(role_ == Role::kLeader);
  const Peer* const peer = FindPeer(transfer_to_);
  CHECK(peer != nullptr);
  if (peer->progress.match() == log_.last_index()) SendTimeoutNow(peer->id);
}

void Group::Core::TickTransfer(uint64_t elapsed_ms) {
  if (transfer_to_ == kNoNode) return;
  transfer_elapsed_ms_ += elapsed_ms;
  if (transfer_elapsed_ms_ < config_.election_timeout_ms) return;
  transfer_to_ = kNoNode;
  FinishChange();  // what waited for the end of the transfer
}

// Whoever gets this may be elected although others have promised to elect nobody, and nobody knows
// when it gets it. So this leader never counts on a promise again.
void Group::Core::SendTimeoutNow(NodeId to) {
  lease_dropped_ = true;
  Send(MessageKind::kTimeoutNow, to).message.position = log_.last();
}

// Old when the log has grown since: the leader has gone on. Old when the term has changed, which
// ends every message.
void Group::Core::OnTimeoutNow(const Message& message) {
  HearLeader(message.from);
  if (MayCampaign() && log_.last() == message.position) Campaign(true);
}

}  // namespace holdfast::raft
