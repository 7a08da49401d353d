// When an entry is committed.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

uint64_t Group::Core::QuorumDurableIndex() {
  return ReachedByQuorum(
      membership_,
      [this](NodeId node) {
        return node == config_.self ? durable_index_ : FindPeer(node)->progress.match();
      },
      &scratch_);
}

void Group::Core::AdvanceLeaderCommit() {
  CHECK(role_ == Role::kLeader);
  const uint64_t index = QuorumDurableIndex();
  if (index <= commit_index_) return;
  // Only an entry of one's own term is committed by being counted; what is before it follows from
  // it. An older entry on a quorum of disks may still be overwritten by a leader that lacks it
  // (Raft paper, section 5.4.2; PITFALLS P01).
  if (log_.TermAt(index) != hard_state_.term) return;
  AdvanceCommitTo(index);
  FinishChange();
}

void Group::Core::AdvanceCommitTo(uint64_t index) {
  CHECK(index > commit_index_ && index <= log_.last_index());
  commit_index_ = index;
  ForgetConfigurations(index);
  ReleaseReads();
}

}  // namespace holdfast::raft
