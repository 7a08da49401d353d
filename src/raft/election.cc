// How a node becomes leader.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

bool Group::Core::IsVoter() const {
  const auto lists = {&membership_.voters, &membership_.outgoing};
  return std::any_of(lists.begin(), lists.end(), [this](const auto* list) {
    return std::find(list->begin(), list->end(), config_.self) != list->end();
  });
}

bool Group::Core::AloneIsQuorum() const {
  return TallyOfQuorum(membership_, [this](NodeId node) {
           return node == config_.self ? Vote::kGranted : Vote::kRejected;
         }) == Tally::kWon;
}

void Group::Core::TickElection(uint64_t) {
  // A quorum by itself has nobody to wait for. As a candidate it waits for its disk, however long
  // that takes: another campaign would only make the first one's write worthless.
  if (role_ == Role::kFollower && AloneIsQuorum()) Campaign();
}

void Group::Core::Campaign() {
  CHECK(IsVoter());
  SetHardState({.term = hard_state_.term + 1, .voted_for = config_.self});
  role_ = Role::kCandidate;
  leader_ = kNoNode;
  votes_.clear();
}

// One's own vote counts when it is durable, like everybody else's (PITFALLS P05).
void Group::Core::CountVotes() {
  CHECK(role_ == Role::kCandidate && hard_state_.voted_for == config_.self);
  const bool own_is_durable = durable_hard_state_ == hard_state_;
  const Tally tally = TallyOfQuorum(membership_, [&](NodeId node) {
    if (node == config_.self) return own_is_durable ? Vote::kGranted : Vote::kMissing;
    for (const auto& [voter, vote] : votes_) {
      if (voter == node) return vote;
    }
    return Vote::kMissing;
  });
  if (tally == Tally::kWon) BecomeLeader();
}

void Group::Core::BecomeLeader() {
  CHECK(role_ == Role::kCandidate && durable_hard_state_ == hard_state_);
  role_ = Role::kLeader;
  leader_ = config_.self;
  // Without an entry of its own term a leader could commit nothing (PITFALLS P01), and so would
  // never learn what its predecessors had committed (PITFALLS P02).
  AppendAsLeader(EntryKind::kNoop, nullptr);
  term_start_index_ = log_.last_index();
}

}  // namespace holdfast::raft
