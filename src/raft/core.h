// The inside of a Group. One file implements each concept; this header lists them all, because
// they share the state of one node. Only the .cc files of this folder include it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "raft/log.h"
#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/read_queue.h"

namespace holdfast::raft {

// Loop thread of the owning core only.
class Group::Core {
 public:
  // REQUIRES: both were validated by Group::Create.
  Core(const GroupConfig& config, const Restored& restored);

  void Step(const Event& event, Update* out);

  // What Group's accessors read.
  Standing standing() const;
  bool ready() const { return role_ == Role::kLeader && commit_index_ >= term_start_index_; }
  bool needs_ticks() const { return !(role_ == Role::kLeader && AloneIsQuorum()); }
  Fate FateOf(uint64_t term, uint64_t index) const;

  const GroupConfig& config() const { return config_; }
  const Membership& membership() const { return membership_; }
  const Log& log() const { return log_; }
  uint64_t commit_index() const { return commit_index_; }
  uint64_t durable_index() const { return durable_index_; }
  uint64_t applied_index() const { return applied_index_; }

 private:
  // --- raft.cc: dispatch, and what every update ends with
  void On(const Tick& tick);
  void On(const Propose& propose);
  void On(const Persisted& persisted);
  void On(const ReadIndex& read);
  void On(const Compact& compact);
  void On(const Message& message);
  void FinishUpdate(const Standing& before);
  void CheckInvariants() const;

  // --- persistence.cc: what must be durable, and what is
  void SetHardState(const HardState& hard_state);
  void AppendToLog(const Entry& entry);
  // Gives out the ticket for what this Step has to persist, if anything.
  void IssueTicket();
  void TakeDurable(const Ticket& ticket);

  // --- election.cc: roles
  bool IsVoter() const;
  // Whether this node is a quorum by itself.
  bool AloneIsQuorum() const;
  void TickElection(uint64_t elapsed_ms);
  void Campaign();
  void CountVotes();
  void BecomeLeader();

  // --- replication.cc: the leader's log grows
  Proposal AppendProposal(const Payload& payload);
  void AppendAsLeader(EntryKind kind, const Payload& payload);

  // --- commit.cc
  // The last index that is durable on a quorum.
  uint64_t QuorumDurableIndex();
  void AdvanceLeaderCommit();
  void AdvanceCommitTo(uint64_t index);

  // --- read_index.cc
  void StartRead(uint64_t round);
  void ReleaseReads();
  void AnswerRead(uint64_t round, Refusal refusal);

  const GroupConfig config_;
  Membership membership_;
  Log log_;
  Update* out_ = nullptr;  // of the Step under way

  HardState hard_state_;
  Role role_ = Role::kFollower;
  NodeId leader_ = kNoNode;

  // Time, as of the last Tick.
  bool ticked_ = false;
  uint64_t now_ms_ = 0;

  // Persistence. The sequences are those of tickets.
  uint64_t issued_sequence_ = 0;
  uint64_t durable_sequence_ = 0;
  HardState durable_hard_state_;
  uint64_t durable_index_ = 0;

  // Commit. applied_index_ <= min(commit_index_, durable_index_).
  uint64_t commit_index_ = 0;
  uint64_t applied_index_ = 0;

  // Candidate: who answered in this term.
  std::vector<std::pair<NodeId, Vote>> votes_;

  // Leader: the index of its no-op.
  uint64_t term_start_index_ = 0;

  // Reads.
  uint64_t last_round_ = 0;
  ReadQueue reads_;

  std::vector<uint64_t> scratch_;
};

}  // namespace holdfast::raft
