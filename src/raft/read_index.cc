// Linearizable reads: when a round that the caller started is confirmed (Raft dissertation,
// section 6.4), on the leader itself or asked for by a follower.
#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::On(const ReadIndex& read) {
  CHECK_MSG(read.round > last_asked_, "read rounds must grow");
  last_asked_ = read.round;
  NoteClock(read.now_ms);
  if (role_ == Role::kLeader) {
    StartRound(kNoNode, read.round, read.now_ms);
  } else if (read.forward && leader_ != kNoNode) {
    ForwardRead(read.round);
  } else {
    AnswerCaller(read.round, Refusal::kNotLeader, 0);
  }
}

void Group::Core::StartRound(NodeId asker, uint64_t asked, uint64_t now_ms) {
  CHECK(role_ == Role::kLeader);
  const WaitingRead read{.round = last_round_ + 1, .asker = asker, .asked = asked};
  if (reads_.full()) {
    AnswerRead(read, Refusal::kTooMany);
    return;
  }
  reads_.Push(read);
  last_round_ = read.round;
  if (LeaseHolds(now_ms)) {
    ReleaseReadsThrough(read.round);
    return;
  }
  if (!alone_is_quorum_) SendHeartbeats();
  ReleaseReads();
}

// A leader that has committed nothing in its term may not know yet what its predecessors had
// committed and acknowledged: reads wait for that (PITFALLS P03). Then a round is confirmed when a
// quorum has answered a heartbeat that named it or a later one, in this term (PITFALLS P04): such a
// heartbeat left after the round had started, and whoever answered it knew no higher term.
void Group::Core::ReleaseReads() {
  if (!ready() || reads_.empty()) return;
  ReleaseReadsThrough(ReachedByQuorum(
      membership_,
      [this](NodeId node) {
        return node == config_.self ? last_round_ : FindPeer(node)->acked_round;
      },
      &scratch_));
}

void Group::Core::ReleaseReadsThrough(uint64_t round) {
  CHECK(ready());
  while (!reads_.empty() && reads_.front().round <= round) AnswerRead(reads_.Pop(), Refusal::kNone);
}

// Followers that wait are told nothing: they hear of a new leader, or give up.
void Group::Core::RefuseReads() {
  while (!reads_.empty()) {
    const WaitingRead read = reads_.Pop();
    if (read.asker == kNoNode) AnswerRead(read, Refusal::kNotLeader);
  }
  while (!forwarded_.empty()) AnswerCaller(forwarded_.Pop().round, Refusal::kNotLeader, 0);
}

void Group::Core::AnswerRead(const WaitingRead& read, Refusal refusal) {
  if (read.asker == kNoNode) {
    AnswerCaller(read.asked, refusal, commit_index_);
    return;
  }
  Message& reply = Send(MessageKind::kReadIndexReply, read.asker).message;
  reply.round = read.asked;
  reply.rejected = refusal != Refusal::kNone;
  if (reply.rejected) return;
  reply.commit = commit_index_;
  if (Peer* peer = FindPeer(read.asker)) {
    peer->wanted_commit = commit_index_;
    TellCommit(peer);
  }
}

// By a heartbeat, as soon as it may name that index: should it be lost, the next one does.
void Group::Core::TellCommit(Peer* peer) {
  if (peer->told_commit >= peer->wanted_commit) return;
  if (peer->progress.match() >= peer->wanted_commit) SendHeartbeat(peer);
}

void Group::Core::AnswerCaller(uint64_t round, Refusal refusal, uint64_t index) {
  ReadAnswer answer{.round = round, .refusal = refusal};
  if (refusal == Refusal::kNone) {
    answer.term = hard_state_.term;
    answer.index = index;
  }
  out_->reads.push_back(answer);
}

// --- Followers ---------------------------------------------------------------------------------

void Group::Core::ForwardRead(uint64_t round) {
  CHECK(role_ == Role::kFollower && leader_ != kNoNode);
  if (forwarded_.full()) {
    AnswerCaller(round, Refusal::kTooMany, 0);
    return;
  }
  forwarded_.Push({.round = round, .given_up_ms = lived_ms_ + config_.election_timeout_ms});
  Send(MessageKind::kReadIndex, leader_).message.round = round;
}

void Group::Core::TickForwarded(uint64_t elapsed_ms) {
  lived_ms_ += elapsed_ms;
  while (!forwarded_.empty() && forwarded_.front().given_up_ms <= lived_ms_) {
    AnswerCaller(forwarded_.Pop().round, Refusal::kNoAnswer, 0);
  }
}

// The follower's round becomes one of the leader's: it is confirmed by what happens from now on,
// and this is after the follower has started it.
void Group::Core::OnReadIndex(const Message& message) {
  if (role_ == Role::kLeader) {
    if (FindPeer(message.from) != nullptr) StartRound(message.from, message.round, 0);
    return;
  }
  Message& reply = Send(MessageKind::kReadIndexReply, message.from).message;
  reply.round = message.round;
  reply.rejected = true;
}

// The leader confirmed its leadership after the round had started, and so after all before it.
void Group::Core::OnReadIndexReply(const Message& message) {
  if (message.from != leader_ || forwarded_.empty() || message.round > forwarded_.back().round) {
    return;
  }
  const Refusal refusal = message.rejected ? Refusal::kNoAnswer : Refusal::kNone;
  while (!forwarded_.empty() && forwarded_.front().round <= message.round) {
    AnswerCaller(forwarded_.Pop().round, refusal, message.commit);
  }
}

}  // namespace holdfast::raft
