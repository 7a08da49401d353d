// The inside of a Group. One file implements each concept; this header lists them all, because
// they share the state of one node. Only the .cc files of this folder include it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "raft/log.h"
#include "raft/progress.h"
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
  bool ready() const {
    return role_ == Role::kLeader && std::min(commit_index_, durable_index_) >= term_start_index_;
  }
  bool needs_ticks() const {
    return !(role_ == Role::kLeader && alone_is_quorum_ && peers_.empty());
  }
  Fate FateOf(uint64_t term, uint64_t index) const;
  bool changing() const;
  std::optional<PeerStatus> StatusOf(NodeId id) const;
  uint64_t CompactionIndex(uint64_t applied) const;
  bool WantsSnapshot(LogPosition last) const;

  const GroupConfig& config() const { return config_; }
  const Membership& membership() const { return membership_; }
  const Log& log() const { return log_; }
  uint64_t commit_index() const { return commit_index_; }
  uint64_t durable_index() const { return durable_index_; }
  uint64_t applied_index() const { return applied_index_; }

 private:
  // What a leader knows about another member.
  struct Peer {
    NodeId id;
    Progress progress;
    bool active = false;       // answered since the last check of the quorum
    uint64_t acked_round = 0;  // the newest read round it has answered
    // The follower lags and got no further for a heartbeat interval: an append or its answer may
    // be lost, and its next sign of life is the moment to ask.
    bool stuck = false;
    uint64_t match_at_heartbeat = 0;
  };

  // --- raft.cc: dispatch, and what every update ends with
  void On(const Tick& tick);
  void On(const Propose& propose);
  void On(const Persisted& persisted);
  void On(const ReadIndex& read);
  void On(const Compact& compact);
  void On(const Message& message);
  void On(const ChangeMembership& change);
  void On(const TransferLeadership& transfer);
  void On(const SnapshotStatus& status);
  void On(const InstallSnapshot& snapshot);
  void FinishUpdate(const Standing& before);
  void CheckInvariants() const;

  // --- persistence.cc: what must be durable, and what is
  void SetHardState(const HardState& hard_state);
  void AppendToLog(const Entry& entry);
  void TruncateLogFrom(uint64_t index);
  // Gives out the ticket for what this Step has to persist, if anything.
  void IssueTicket();
  void TakeDurable(const Ticket& ticket);
  // The ticket that makes the hard state in force durable; 0 when it is.
  uint64_t AfterHardState() const;
  // The ticket that makes the log durable as it is now; at least AfterHardState().
  uint64_t AfterLog() const;

  // --- message.cc: what comes from peers and goes to them
  bool IsSensible(const Message& message) const;
  // Adopts a higher term, answers a lower one. True when `message` is to be handled.
  bool MatchTerm(const Message& message);
  // A message to `to` in the own term that may leave when the hard state is durable.
  Outgoing& Send(MessageKind kind, NodeId to);

  // --- election.cc: roles and votes
  bool IsVoter(NodeId node) const;
  void TickElection(uint64_t elapsed_ms);
  void ResetElectionTimer();
  void BecomeFollower(uint64_t term, NodeId leader);
  void PreCampaign();
  void Campaign();
  void AskForVotes(MessageKind kind, uint64_t term);
  void RecordVote(NodeId from, bool granted);
  void CountVotes();
  void BecomeLeader();
  // Whether a leader was heard of so recently that nobody else may be elected.
  bool InLease() const;
  bool IsUpToDate(LogPosition last) const;
  void OnPreVote(const Message& message);
  void OnPreVoteReply(const Message& message);
  void OnVote(const Message& message);
  void OnVoteReply(const Message& message);

  // --- heartbeat.cc: a leader shows itself, and looks whether anybody sees it
  void TickLeader(uint64_t elapsed_ms);
  void SendHeartbeats();
  bool QuorumIsActive() const;
  void OnHeartbeat(const Message& message);
  void OnHeartbeatReply(const Message& message);

  // --- replication.cc: the leader's log grows, and travels
  Proposal AppendProposal(const Payload& payload);
  void AppendAsLeader(EntryKind kind, const Payload& payload);
  void AddPeers();
  Peer* FindPeer(NodeId id);
  void SendAppends(Peer* peer);
  bool SendAppend(Peer* peer);
  void SendEmptyAppend(Peer* peer);
  void OnAppendReply(const Message& message);

  // --- follower.cc: a follower's log follows
  // A message that only the leader of the own term sends has come.
  void HearLeader(NodeId leader);
  void OnAppend(const Message& message);
  void AcceptEntries(const Message& message);
  void RejectAppend(const Message& message);

  // --- commit.cc
  // The last index that is durable on a quorum.
  uint64_t QuorumDurableIndex();
  void AdvanceLeaderCommit();
  void AdvanceCommitTo(uint64_t index);

  // --- read_index.cc
  void StartRead(uint64_t round);
  void ReleaseReads();
  void RefuseReads();
  void AnswerRead(uint64_t round, Refusal refusal);

  const GroupConfig config_;
  Membership membership_;
  Log log_;
  Update* out_ = nullptr;  // of the Step under way

  HardState hard_state_;
  Role role_ = Role::kFollower;
  NodeId leader_ = kNoNode;

  // Of membership_.
  bool is_voter_ = false;
  bool alone_is_quorum_ = false;  // this node by itself

  // Time, as of the last Tick.
  bool ticked_ = false;
  uint64_t now_ms_ = 0;

  // Election. What has elapsed since a leader was heard or the role changed.
  Rng rng_;
  uint64_t election_elapsed_ms_ = 0;
  uint64_t election_timeout_ms_ = 0;
  std::vector<std::pair<NodeId, Vote>> votes_;  // of this campaign; one's own is not in it

  // Persistence. The sequences are those of tickets.
  uint64_t issued_sequence_ = 0;
  uint64_t durable_sequence_ = 0;
  uint64_t hard_state_sequence_ = 0;  // the last one with a hard state
  uint64_t append_sequence_ = 0;      // the last one with entries
  HardState durable_hard_state_;
  uint64_t durable_index_ = 0;

  // Commit. applied_index_ <= min(commit_index_, durable_index_).
  uint64_t commit_index_ = 0;
  uint64_t applied_index_ = 0;

  // Leader: the index of its no-op, the other members, its clocks.
  uint64_t term_start_index_ = 0;
  std::vector<Peer> peers_;
  uint64_t heartbeat_elapsed_ms_ = 0;
  uint64_t quorum_elapsed_ms_ = 0;

  // Reads.
  uint64_t last_round_ = 0;
  ReadQueue reads_;

  std::vector<uint64_t> scratch_;
};

}  // namespace holdfast::raft
