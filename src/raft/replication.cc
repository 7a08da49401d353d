// How the leader's log grows.
#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

Proposal Group::Core::AppendProposal(const Payload& payload) {
  if (role_ != Role::kLeader) return {.refusal = Refusal::kNotLeader};
  const uint64_t uncommitted = log_.BytesAfter(commit_index_);
  const Entry entry{.kind = EntryKind::kData, .payload = payload};
  // With nothing uncommitted any size is taken, or a large proposal could never be made.
  if (uncommitted > 0 && uncommitted + entry.charged_bytes() > config_.max_uncommitted_bytes) {
    return {.refusal = Refusal::kUncommitted};
  }
  AppendAsLeader(EntryKind::kData, payload);
  return {.refusal = Refusal::kNone, .term = hard_state_.term, .index = log_.last_index()};
}

// The entry counts for the leader itself when it is durable here, like for any follower
// (PITFALLS P05).
void Group::Core::AppendAsLeader(EntryKind kind, const Payload& payload) {
  CHECK(role_ == Role::kLeader);
  AppendToLog(
      {.term = hard_state_.term, .index = log_.last_index() + 1, .kind = kind, .payload = payload});
}

}  // namespace holdfast::raft
