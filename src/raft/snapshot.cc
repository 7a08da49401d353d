// When a log can't help any more: the leader asks for a snapshot to be sent, a follower takes one
// in (Raft paper, section 7; PITFALLS P15, P16). Only positions and memberships pass through here;
// the caller moves the bytes.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"
#include "raft/membership.h"

namespace holdfast::raft {

// --- The leader --------------------------------------------------------------------------------

void Group::Core::NeedSnapshot(Peer* peer) {
  peer->progress.BecomeSnapshot(log_.base().index);
  out_->snapshots_to_send.push_back(peer->id);
}

// What the report says is not taken for the follower's word: it only moves the guess. A failed one
// is asked for again when the follower has shown itself and has been asked where it stands.
void Group::Core::On(const SnapshotStatus& status) {
  Peer* const peer = role_ == Role::kLeader ? FindPeer(status.peer) : nullptr;
  if (peer == nullptr || peer->progress.state() != Progress::State::kSnapshot) return;
  const bool ok = status.ok && log_.Contains(status.position);
  peer->progress.SnapshotEnded(ok ? status.position.index : 0);
  if (ok && !SendAppend(peer)) SendEmptyAppend(peer);
}

// Followers know nothing of each other, and each of them may be the next leader.
uint64_t Group::Core::CompactionIndex(uint64_t applied) const {
  CHECK(applied <= applied_index_);
  const uint64_t within = log_.IndexWithin(config_.max_retained_bytes);
  if (role_ != Role::kLeader) return std::min(alone_is_quorum_ ? applied : within, applied);
  uint64_t index = applied;
  for (const Peer& peer : peers_) {
    const bool transfer = peer.progress.state() == Progress::State::kSnapshot;
    const uint64_t limit =
        transfer ? log_.IndexWithin(config_.max_transfer_retained_bytes) : within;
    index = std::min(index, std::max(peer.progress.dispensable(), limit));
  }
  return index;
}

// --- The follower ------------------------------------------------------------------------------

// A leader has everything that is committed in its log.
bool Group::Core::WantsSnapshot(LogPosition last) const {
  return role_ != Role::kLeader && last.index > commit_index_;
}

void Group::Core::On(const InstallSnapshot& snapshot) {
  const LogPosition last = snapshot.last;
  CHECK_MSG(last.index > 0 && last.term > 0 && last.term <= snapshot.term &&
                ValidateMembership(snapshot.membership).ok(),
            "a snapshot that makes no sense was switched in");
  if (!WantsSnapshot(last)) return;
  // Also from a leader of the past: what it had applied stays committed.
  if (snapshot.term > hard_state_.term) {
    BecomeFollower(snapshot.term, snapshot.leader);
  } else if (snapshot.term == hard_state_.term && snapshot.leader != kNoNode) {
    HearLeader(snapshot.leader);
  } else if (role_ != Role::kFollower) {
    BecomeFollower(hard_state_.term, kNoNode);
  }
  // What follows the snapshot's end in this log may have been confirmed to a leader, so it stays;
  // without the end it follows something else, and can't be committed.
  if (!log_.Contains(last)) {
    log_.Reset(last);
    out_->reset = last;
    durable_index_ = last.index;
    configurations_.clear();
  }
  // The state machine has it on disk, whatever the log has.
  durable_index_ = std::max(durable_index_, last.index);
  commit_index_ = last.index;
  applied_index_ = last.index;
  std::erase_if(configurations_, [&](const Configuration& c) { return c.index <= last.index; });
  configurations_.insert(configurations_.begin(), {.index = 0, .membership = snapshot.membership});
  UseConfiguration();
  out_->installed = last;
  if (leader_ == kNoNode) return;
  Outgoing& reply = Send(MessageKind::kAppendReply, leader_);
  reply.after = AfterLog();
  reply.message.position.index = last.index;
}

}  // namespace holdfast::raft
