// A leader shows itself, and looks whether a quorum still sees it.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::TickLeader(uint64_t elapsed_ms) {
  CHECK(role_ == Role::kLeader);
  TickTransfer(elapsed_ms);
  quorum_elapsed_ms_ += elapsed_ms;
  if (quorum_elapsed_ms_ >= config_.election_timeout_ms) {
    quorum_elapsed_ms_ = 0;
    if (!QuorumIsActive()) {
      // Others may have elected somebody; whoever waits here should ask elsewhere.
      BecomeFollower(hard_state_.term, kNoNode);
      return;
    }
    for (Peer& peer : peers_) peer.active = false;
  }
  heartbeat_elapsed_ms_ += elapsed_ms;
  if (heartbeat_elapsed_ms_ < config_.heartbeat_interval_ms) return;
  heartbeat_elapsed_ms_ = 0;
  for (Peer& peer : peers_) {
    const uint64_t match = peer.progress.match();
    peer.stuck = match < log_.last_index() && match == peer.match_at_heartbeat;
    peer.match_at_heartbeat = match;
  }
  SendHeartbeats();
  ContinueTransfer();  // the message may have been lost
}

void Group::Core::SendHeartbeats() {
  CHECK(role_ == Role::kLeader);
  for (Peer& peer : peers_) SendHeartbeat(&peer);
}

void Group::Core::SendHeartbeat(Peer* peer) {
  Message& heartbeat = Send(MessageKind::kHeartbeat, peer->id).message;
  // The follower's log is known to be the leader's only up to `match`.
  heartbeat.commit = std::min(commit_index_, peer->progress.match());
  peer->told_commit = std::max(peer->told_commit, heartbeat.commit);
  // The newest round that waits stands for all before it.
  heartbeat.round = reads_.empty() ? 0 : reads_.back().round;
  if (config_.lease_reads) heartbeat.sent_ms = clock_ms_;
}

bool Group::Core::QuorumIsActive() const {
  return TallyOfQuorum(membership_, [this](NodeId node) {
           if (node == config_.self) return Vote::kGranted;
           for (const Peer& peer : peers_) {
             if (peer.id == node && peer.active) return Vote::kGranted;
           }
           return Vote::kRejected;
         }) == Tally::kWon;
}

void Group::Core::OnHeartbeat(const Message& message) {
  HearLeader(message.from);
  // A leader counts nothing as known here that this node has not made durable.
  CHECK_MSG(message.commit <= log_.last_index(), "this node's disk lost entries it had confirmed");
  if (message.commit > commit_index_) AdvanceCommitTo(message.commit);
  Message& reply = Send(MessageKind::kHeartbeatReply, message.from).message;
  reply.round = message.round;
  reply.sent_ms = message.sent_ms;
  if (message.sent_ms != 0) reply.promise_ms = PromisedMs();
}

void Group::Core::OnHeartbeatReply(const Message& message) {
  Peer* const peer = role_ == Role::kLeader ? FindPeer(message.from) : nullptr;
  if (peer == nullptr || message.round > last_round_ || message.sent_ms > clock_ms_) return;
  peer->active = true;
  peer->acked_round = std::max(peer->acked_round, message.round);
  if (message.promise_ms > 0) {
    peer->promised_until_ms =
        std::max(peer->promised_until_ms, message.sent_ms + message.promise_ms);
  }
  ReleaseReads();
  if (!peer->stuck || peer->progress.state() == Progress::State::kSnapshot) return;
  peer->stuck = false;
  peer->progress.Alive();
  if (peer->progress.next() < log_.first_index()) {
    // Compacted; but what is known of the follower may be older than what it has by now.
    peer->progress.GuessAgain(log_.first_index());
    SendEmptyAppend(peer);
    return;
  }
  if (!SendAppend(peer)) SendEmptyAppend(peer);
}

}  // namespace holdfast::raft
