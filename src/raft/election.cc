// How a node becomes leader: pre-vote, vote, and who gets one (Raft dissertation, sections 3.4,
// 4.2.3 and 9.6).
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"
#include "raft/membership.h"

namespace holdfast::raft {

// A node that is on its way out still campaigns while it does not know the end of that to be
// committed: others may go by an earlier configuration, need its vote, and not get it because its
// log is longer (Raft dissertation, section 4.2.2).
bool Group::Core::MayCampaign() const {
  return std::any_of(configurations_.begin(), configurations_.end(),
                     [this](const auto& c) { return IsVoterOf(c.membership, config_.self); });
}

void Group::Core::TickElection(uint64_t elapsed_ms) {
  CHECK(role_ != Role::kLeader);
  election_elapsed_ms_ += elapsed_ms;
  if (!MayCampaign()) {
    // Votes as freely as others do: it may have been promoted without knowing (PITFALLS P13).
    if (leader_ != kNoNode && election_elapsed_ms_ >= election_timeout_ms_) {
      BecomeFollower(hard_state_.term, kNoNode);
    }
    return;
  }
  if (alone_is_quorum_) {
    // Nobody to wait for, unless this was not so a moment ago.
    if (role_ == Role::kFollower && !InLease()) Campaign(false);
    return;
  }
  if (election_elapsed_ms_ < election_timeout_ms_) return;
  // A candidate waits for its own disk, however long that takes: its requests have not even left,
  // and another campaign would only make the write under way worthless.
  if (role_ == Role::kCandidate && durable_hard_state_ != hard_state_) return;
  PreCampaign();
}

// The randomness keeps voters from campaigning together again and again, and groups from doing so
// after a restart of their node (PITFALLS P20).
void Group::Core::ResetElectionTimer() {
  election_elapsed_ms_ = 0;
  election_timeout_ms_ = config_.election_timeout_ms + rng_.Below(config_.election_timeout_ms);
}

void Group::Core::BecomeFollower(uint64_t term, NodeId leader) {
  CHECK(term >= hard_state_.term && leader != config_.self);
  if (term > hard_state_.term) SetHardState({.term = term, .voted_for = kNoNode});
  RefuseReads();
  peers_.clear();
  votes_.clear();
  transfer_to_ = kNoNode;
  role_ = Role::kFollower;
  leader_ = leader;
  ResetElectionTimer();
}

// Asks whether a campaign would be won, without disturbing anybody by a new term (PITFALLS P10).
void Group::Core::PreCampaign() {
  CHECK(MayCampaign() && role_ != Role::kLeader);
  RefuseReads();
  role_ = Role::kPreCandidate;
  leader_ = kNoNode;
  votes_.clear();
  ResetElectionTimer();
  AskForVotes(MessageKind::kPreVote, hard_state_.term + 1, false);
}

void Group::Core::Campaign(bool transfer) {
  CHECK(MayCampaign() && role_ != Role::kLeader);
  CHECK_MSG(transfer || !config_.lease_promises || promise_ms_ == 0,
            "votes against its own promise");
  RefuseReads();
  role_ = Role::kCandidate;
  leader_ = kNoNode;
  votes_.clear();
  ResetElectionTimer();
  SetHardState({.term = hard_state_.term + 1, .voted_for = config_.self});
  AskForVotes(MessageKind::kVote, hard_state_.term, transfer);
}

void Group::Core::AskForVotes(MessageKind kind, uint64_t term, bool transfer) {
  const auto ask = [&](NodeId node) {
    if (node == config_.self) return;
    Message& request = Send(kind, node).message;
    request.term = term;
    request.position = log_.last();
    request.transfer = transfer;
  };
  for (const NodeId node : membership_.voters) ask(node);
  for (const NodeId node : membership_.outgoing) {
    const auto& voters = membership_.voters;
    if (std::find(voters.begin(), voters.end(), node) == voters.end()) ask(node);
  }
}

// The first answer of a voter stands.
void Group::Core::RecordVote(NodeId from, bool granted) {
  if (!IsVoterOf(membership_, from)) return;
  const auto is_from = [from](const auto& vote) { return vote.first == from; };
  if (std::any_of(votes_.begin(), votes_.end(), is_from)) return;
  votes_.emplace_back(from, granted ? Vote::kGranted : Vote::kRejected);
  CountVotes();
}

void Group::Core::CountVotes() {
  CHECK(role_ == Role::kPreCandidate || role_ == Role::kCandidate);
  // One's own vote counts when it is durable, like everybody else's (PITFALLS P05). A pre-vote
  // promises nothing, so there is nothing to make durable.
  const bool own_counts = role_ == Role::kPreCandidate || durable_hard_state_ == hard_state_;
  const Tally tally = TallyOfQuorum(membership_, [&](NodeId node) {
    if (node == config_.self) return own_counts ? Vote::kGranted : Vote::kMissing;
    for (const auto& [voter, vote] : votes_) {
      if (voter == node) return vote;
    }
    return Vote::kMissing;
  });
  if (tally == Tally::kLost) {
    BecomeFollower(hard_state_.term, kNoNode);
  } else if (tally == Tally::kWon && role_ == Role::kPreCandidate) {
    Campaign(false);
  } else if (tally == Tally::kWon && own_counts) {
    BecomeLeader();
  }
}

void Group::Core::BecomeLeader() {
  CHECK(role_ == Role::kCandidate && durable_hard_state_ == hard_state_);
  role_ = Role::kLeader;
  leader_ = config_.self;
  votes_.clear();
  heartbeat_elapsed_ms_ = 0;
  quorum_elapsed_ms_ = 0;
  transfer_to_ = kNoNode;
  lease_dropped_ = false;
  CHECK(peers_.empty());
  AddPeers(log_.last_index() + 1);
  // Without an entry of its own term a leader could commit nothing (PITFALLS P01), and so would
  // never learn what its predecessors had committed (PITFALLS P02).
  term_start_index_ = log_.last_index() + 1;
  AppendAsLeader(EntryKind::kNoop, nullptr);
}

bool Group::Core::IsUpToDate(LogPosition last) const {
  const LogPosition own = log_.last();
  return last.term > own.term || (last.term == own.term && last.index >= own.index);
}

// Everybody answers, voter or not: the one who asks may know a newer membership (PITFALLS P13).
void Group::Core::OnPreVote(const Message& message) {
  const bool granted = message.term > hard_state_.term && role_ != Role::kLeader && !InLease() &&
                       IsUpToDate(message.position);
  Message& reply = Send(MessageKind::kPreVoteReply, message.from).message;
  reply.rejected = !granted;
  if (granted) reply.term = message.term;
}

void Group::Core::OnPreVoteReply(const Message& message) {
  if (role_ != Role::kPreCandidate) return;
  if (!message.rejected && message.term != hard_state_.term + 1) return;  // of another campaign
  RecordVote(message.from, !message.rejected);
}

void Group::Core::OnVote(const Message& message) {
  CHECK(message.term == hard_state_.term);
  const bool granted = (hard_state_.voted_for == message.from) ||
                       (hard_state_.voted_for == kNoNode && leader_ == kNoNode &&
                        (message.transfer || !InLease()) && IsUpToDate(message.position));
  if (granted) {
    SetHardState({.term = hard_state_.term, .voted_for = message.from});
    election_elapsed_ms_ = 0;
  }
  // Leaves when the vote is durable (PITFALLS P06): given twice, it would elect two leaders.
  Send(MessageKind::kVoteReply, message.from).message.rejected = !granted;
}

void Group::Core::OnVoteReply(const Message& message) {
  CHECK(message.term == hard_state_.term);
  if (role_ == Role::kCandidate) RecordVote(message.from, !message.rejected);
}

}  // namespace holdfast::raft
