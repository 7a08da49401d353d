// The Raft groups of one core: carries out what the pure core (src/raft) asks for, in the order
// that it asks for.
//
//   Propose / Deliver / Tick … ──Step──▶ update ──▶ records into the turn's WAL batch
//                                              └──▶ messages to the sink: those that need not wait
//                                                   for the disk leave while it works
//   EndTurn     hands the batch of all groups to the log thread: one write + fdatasync
//   OnDurable   messages that waited ──▶ sink; completions ──Step(Persisted)──▶ commit ──▶
//               StateMachine
//
// Everything here runs on the core's loop thread. Only storage::Log crosses to another thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "raft/raft.h"
#include "storage/log_thread.h"
#include "storage/wal.h"

namespace holdfast::replica {

// What a group tells the state machine that it replicates.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Everything up to `commit_index` is committed. Entries [first, last] (none when first > last)
  // are to be applied now, in order; read them with Replica::EntryAt.
  virtual void OnCommit(uint64_t commit_index, uint64_t first, uint64_t last) = 0;
  virtual void OnReads(const raft::ReadAnswer& answer) = 0;
  virtual void OnStanding(const raft::Standing& standing) = 0;
  // The group may now append an entry of its own (the end of a membership change), or stop taking
  // proposals. What is to come before that has to be proposed: its place in the log is known
  // already.
  virtual void BeforeOwnEntry() = 0;
  // `peer` needs a snapshot of the durable state; Replica::SnapshotEnded is to follow, unless
  // leadership ends before. Called from inside a step of the group.
  virtual void OnSnapshotWanted(raft::NodeId peer) = 0;
};

// The way to the other nodes. Messages may be lost, repeated and reordered.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // Takes a message of this partition's group to message.to. May leave at the end of the turn.
  virtual void Send(uint32_t partition, const raft::Message& message) = 0;
};

class Host;

// One group on this core.
class Replica {
 public:
  Replica(Host* host, uint32_t partition, std::unique_ptr<raft::Group> group,
          StateMachine* machine);

  uint32_t partition() const { return partition_; }

  // Appends an entry. When accepted, the state machine hears of its commit; see raft::Proposal.
  raft::Proposal Propose(raft::Payload payload);
  // Starts a read round, by the leader when that is another node; `round` must grow with every call
  // and above those of former processes. The answer comes through OnReads, maybe before this
  // returns. REQUIRES: not frozen.
  void ReadRound(uint64_t round);
  // Changes who takes part, step by step; see raft::ChangeMembership.
  raft::Proposal ChangeMembership(raft::ChangeMembership change);
  // Hands leadership over; see raft::TransferLeadership. kNone: under way.
  raft::Refusal Transfer(raft::NodeId to);
  // Entries up to `index` are durable in the store: memory and log may drop them, except for what
  // other members may still need.
  void Compact(uint64_t index);
  // A message of this group has come from another node.
  void Deliver(raft::Message message);

  // ---- Snapshots (src/raft/README.md, duties 12 and 13).
  // The sending that OnSnapshotWanted asked for is over.
  void SnapshotEnded(const raft::SnapshotStatus& status);
  // The group takes no event any more until Install: messages are dropped, ticks and completions
  // come later. REQUIRES: group().WantsSnapshot of what is to be installed.
  void Freeze();
  bool frozen() const { return frozen_; }
  // The state machine is the snapshot now. REQUIRES: frozen.
  void Install(raft::InstallSnapshot snapshot);

  uint64_t commit_index() const { return group_->commit_index(); }
  uint64_t last_index() const { return group_->last_index(); }
  uint64_t term() const { return group_->term(); }
  const raft::Entry& EntryAt(uint64_t index) const { return group_->EntryAt(index); }
  uint64_t TermAt(uint64_t index) const { return group_->TermAt(index); }
  const raft::Group& group() const { return *group_; }
  // Elections that this node has won since it started.
  uint64_t elections_won() const { return elections_won_; }

 private:
  friend class Host;
  // Feeds one event and carries out the update, except for what waits for the disk.
  void Step(const raft::Event& event);
  void Persist(const raft::Update& update);
  void Send(raft::Update* update);
  // This request, and all before it, are durable.
  void Complete(const raft::Ticket& ticket);
  void Release(uint64_t sequence);

  Host* host_;
  const uint32_t partition_;
  std::unique_ptr<raft::Group> group_;
  StateMachine* machine_;
  raft::Update update_;
  bool stepping_ = false;
  uint64_t elections_won_ = 0;
  // The newest request of this turn that went into the batch, if any.
  raft::Ticket unsubmitted_;
  bool has_unsubmitted_ = false;
  bool frozen_ = false;
  // The newest request that became durable while frozen.
  std::optional<raft::Ticket> completed_frozen_;
  // Messages that wait for the disk (PITFALLS P06), in the order in which they were made.
  std::vector<raft::Outgoing> held_;
};

class Host {
 public:
  // `log` is this core's WAL. All pointers outlive the host; `sink` may be null where no group has
  // another member.
  Host(storage::Log* log, const Clock* clock, MessageSink* sink = nullptr)
      : log_(log), clock_(clock), sink_(sink) {}

  // Adds a group. InvalidArgument or Corruption from raft::Group::Create.
  Result<Replica*> Add(uint32_t partition, const raft::GroupConfig& config, raft::Restored restored,
                       StateMachine* machine);

  // Feeds the time to the groups that need it.
  void Tick();
  bool NeedsTicks() const;
  // Hands what the turn has gathered to the log. True when there was something.
  bool EndTurn();
  // A message of this partition's group has come; ignored when the group isn't here.
  void Deliver(uint32_t partition, raft::Message message);
  // The log has made more durable; called after its notification, and harmless at any time.
  void OnDurable();

  // Bytes that are proposed and not committed, over all groups.
  uint64_t uncommitted_bytes() const;
  const std::vector<std::unique_ptr<Replica>>& replicas() const { return replicas_; }

 private:
  friend class Replica;
  struct Submitted {
    uint64_t log_ticket;
    Replica* replica;
    raft::Ticket ticket;
  };

  storage::Log* const log_;
  const Clock* const clock_;
  MessageSink* const sink_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  storage::WalBatch batch_;
  std::vector<Replica*> in_batch_;   // replicas with records in batch_
  std::deque<Submitted> submitted_;  // in the order of their log tickets
  std::vector<Submitted> completed_;
};

}  // namespace holdfast::replica
