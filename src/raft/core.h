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

  // Before the first Step: the log on disk is left over from before a snapshot, and so is its hard
  // state `stored`, which the one in force replaces.
  void ResetAtFirstStep(const HardState& stored);

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
    // It elects nobody else before that, in this node's time but for the drift of the clocks.
    uint64_t promised_until_ms = 0;
    // The follower lags and got no further for a heartbeat interval: an append or its answer may
    // be lost, and its next sign of life is the moment to ask.
    bool stuck = false;
    uint64_t match_at_heartbeat = 0;
    // A read of the follower waits until it knows that this is committed there, too; what a message
    // may have told it of that.
    uint64_t wanted_commit = 0;
    uint64_t told_commit = 0;
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
  bool MayCampaign() const;
  void TickElection(uint64_t elapsed_ms);
  void ResetElectionTimer();
  void BecomeFollower(uint64_t term, NodeId leader);
  void PreCampaign();
  // `transfer`: the leader has asked for it.
  void Campaign(bool transfer);
  void AskForVotes(MessageKind kind, uint64_t term, bool transfer);
  void RecordVote(NodeId from, bool granted);
  void CountVotes();
  void BecomeLeader();
  bool IsUpToDate(LogPosition last) const;
  void OnPreVote(const Message& message);
  void OnPreVoteReply(const Message& message);
  void OnVote(const Message& message);
  void OnVoteReply(const Message& message);

  // --- heartbeat.cc: a leader shows itself, and looks whether anybody sees it
  void TickLeader(uint64_t elapsed_ms);
  void SendHeartbeats();
  void SendHeartbeat(Peer* peer);
  bool QuorumIsActive() const;
  void OnHeartbeat(const Message& message);
  void OnHeartbeatReply(const Message& message);

  // --- replication.cc: the leader's log grows, and travels
  Proposal AppendProposal(const Payload& payload);
  void AppendAsLeader(EntryKind kind, const Payload& payload);
  // Adds the members that are not there yet, guessed to hold everything before `next`.
  void AddPeers(uint64_t next);
  Peer* FindPeer(NodeId id);
  const Peer* FindPeer(NodeId id) const;
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

  // --- read_index.cc: rounds, on the leader and forwarded to it
  // A round for this node's caller or for a follower. `now_ms`: the clock, if known.
  void StartRound(NodeId asker, uint64_t asked, uint64_t now_ms);
  void ReleaseReads();
  void ReleaseReadsThrough(uint64_t round);
  void RefuseReads();
  void TickForwarded(uint64_t elapsed_ms);
  void ForwardRead(uint64_t round);
  void AnswerRead(const WaitingRead& read, Refusal refusal);
  // The follower's reads need not wait for the next heartbeat.
  void TellCommit(Peer* peer);
  void AnswerCaller(uint64_t round, Refusal refusal, uint64_t index);
  void OnReadIndex(const Message& message);
  void OnReadIndexReply(const Message& message);

  // --- lease.cc: what voters promise, and what a leader makes of it
  void NoteClock(uint64_t now_ms);
  // Whether a leader was heard of so recently that nobody else may be elected.
  bool InLease() const;
  void RenewPromise();
  // How long a promise lasts at least, counted from when it is told; 0: this node makes none.
  uint64_t PromisedMs() const;
  // Whether no other node can have been elected by `now_ms`.
  bool LeaseHolds(uint64_t now_ms);

  // --- reconfiguration.cc: who takes part
  Proposal StartChange(const ChangeMembership& change);
  bool IsPromotable(const Peer& peer) const;
  // What follows for a leader from the commit index.
  void FinishChange();
  void Resign();
  void AdoptConfiguration(const Entry& entry);
  void RollBackConfigurations(uint64_t from);
  void ForgetConfigurations(uint64_t committed);
  void UseConfiguration();
  void UpdatePeers();

  // --- snapshot.cc
  void NeedSnapshot(Peer* peer);

  // --- transfer.cc: another node is to lead
  Refusal StartTransfer(NodeId to);
  void ContinueTransfer();
  void TickTransfer(uint64_t elapsed_ms);
  void SendTimeoutNow(NodeId to);
  void OnTimeoutNow(const Message& message);

  struct Configuration {
    uint64_t index = 0;  // of its entry; 0: from the disk or a snapshot
    Membership membership;
  };

  const GroupConfig config_;
  // The last committed configuration and all behind it; the last one is in force.
  std::vector<Configuration> configurations_;
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
  uint64_t clock_ms_ = 0;  // the newest time of any event
  uint64_t lived_ms_ = 0;  // all that Ticks counted for

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
  bool restart_reset_ = false;  // the first update is to reset the log on disk
  uint64_t durable_index_ = 0;

  // Commit. applied_index_ <= min(commit_index_, durable_index_).
  uint64_t commit_index_ = 0;
  uint64_t applied_index_ = 0;

  // Leader: the index of its no-op, the other members, its clocks.
  uint64_t term_start_index_ = 0;
  std::vector<Peer> peers_;
  uint64_t heartbeat_elapsed_ms_ = 0;
  uint64_t quorum_elapsed_ms_ = 0;

  // Lease: how long this node still promises to elect nobody; the leader's own is gone for the rest
  // of its term once it has asked another node to campaign.
  uint64_t promise_ms_ = 0;
  bool lease_dropped_ = false;

  // Transfer.
  NodeId transfer_to_ = kNoNode;
  uint64_t transfer_elapsed_ms_ = 0;

  // Reads. The caller names its rounds; between leader and followers go the numbers of last_round_.
  uint64_t last_asked_ = 0;
  uint64_t last_round_ = 0;
  ReadQueue reads_;      // a leader's
  ReadQueue forwarded_;  // a follower's; `round` is the caller's

  std::vector<uint64_t> scratch_;
};

}  // namespace holdfast::raft
