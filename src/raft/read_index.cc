// Linearizable reads: when a round that the caller started is confirmed (Raft dissertation,
// section 6.4).
#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::StartRead(uint64_t round) {
  CHECK_MSG(round > last_round_, "read rounds must grow");
  last_round_ = round;
  if (role_ != Role::kLeader) {
    AnswerRead(round, Refusal::kNotLeader);
  } else if (reads_.full()) {
    AnswerRead(round, Refusal::kTooMany);
  } else {
    reads_.Push(round);
    if (!alone_is_quorum_) SendHeartbeats();
    ReleaseReads();
  }
}

// A leader that has committed nothing in its term may not know yet what its predecessors had
// committed and acknowledged: reads wait for that (PITFALLS P03). Then a round is confirmed when a
// quorum has answered a heartbeat that named it or a later one, in this term (PITFALLS P04): such a
// heartbeat left after the round had started, and whoever answered it knew no higher term.
void Group::Core::ReleaseReads() {
  if (!ready() || reads_.empty()) return;
  const uint64_t confirmed = ReachedByQuorum(
      membership_,
      [this](NodeId node) {
        return node == config_.self ? last_round_ : FindPeer(node)->acked_round;
      },
      &scratch_);
  while (!reads_.empty() && reads_.front() <= confirmed) AnswerRead(reads_.Pop(), Refusal::kNone);
}

void Group::Core::RefuseReads() {
  while (!reads_.empty()) AnswerRead(reads_.Pop(), Refusal::kNotLeader);
}

void Group::Core::AnswerRead(uint64_t round, Refusal refusal) {
  ReadAnswer answer{.round = round, .refusal = refusal};
  if (refusal == Refusal::kNone) {
    answer.term = hard_state_.term;
    answer.index = commit_index_;
  }
  out_->reads.push_back(answer);
}

}  // namespace holdfast::raft
