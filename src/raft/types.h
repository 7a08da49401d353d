// The vocabulary of src/raft: what goes into a group and what comes out of it. Plain values; the
// contract of their use is in raft.h.
//
// Conventions: the log's first index is 1; term 0, index 0 and node id 0 mean "none". All times are
// milliseconds of one monotonic clock whose zero does not matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::raft {

using NodeId = uint64_t;
inline constexpr NodeId kNoNode = 0;

// Immutable and shared: the log, the WAL writer, the peer links and the persister hold the same
// bytes. May be null, which means empty.
using Payload = std::shared_ptr<const std::string>;

// The numbers are stored in the WAL and sent to peers; never renumber.
enum class EntryKind : uint8_t {
  kNoop = 0,           // a leader's first entry of its term (PITFALLS P02); no payload
  kData = 1,           // a batch of effects
  kConfiguration = 2,  // a membership change
};

// One log record. (term, index) names it: no two entries of a group share both.
struct Entry {
  uint64_t term = 0;
  uint64_t index = 0;
  EntryKind kind = EntryKind::kNoop;
  Payload payload;

  // What this entry counts for in every limit: its payload, and a flat charge for everything else,
  // so that even empty entries are bounded.
  static constexpr uint64_t kOverheadBytes = 64;
  uint64_t charged_bytes() const {
    return kOverheadBytes + (payload == nullptr ? 0 : payload->size());
  }
};

// The place of an entry in the log, and which entry it is.
struct LogPosition {
  uint64_t index = 0;
  uint64_t term = 0;
  bool operator==(const LogPosition&) const = default;
};

// What a node must never forget: the highest term it has seen and its vote in that term.
struct HardState {
  uint64_t term = 0;
  NodeId voted_for = kNoNode;
  bool operator==(const HardState&) const = default;
};

// Who takes part. During a joint change `outgoing` holds the voters that are on their way out, and
// a quorum is one of `voters` and one of `outgoing`. Learners replicate and don't count. A node
// that is in `outgoing` and in `learners` is a voter until the joint change ends, and a learner
// then. Each list is free of duplicates and of kNoNode; nobody is in `voters` and in `learners`.
struct Membership {
  std::vector<NodeId> voters;
  std::vector<NodeId> outgoing;
  std::vector<NodeId> learners;
  bool operator==(const Membership&) const = default;
};

struct GroupConfig {
  NodeId self = kNoNode;

  // A follower that heard nothing from a leader for a random time in [timeout, 2 * timeout) asks
  // for votes.
  uint64_t election_timeout_ms = 300;
  // How often a leader shows itself. Also the most that one Tick counts for, however late it comes
  // (PITFALLS P19), so the caller has to tick at least this often. At most half the timeout.
  uint64_t heartbeat_interval_ms = 50;

  // The byte limits count Entry::charged_bytes.
  // Bytes in one append message; a single larger entry travels alone.
  uint64_t max_append_bytes = uint64_t{1} << 20;
  // Appends sent to one follower and not answered yet (PITFALLS P18).
  uint32_t max_inflight_appends = 64;
  uint64_t max_inflight_bytes = uint64_t{8} << 20;
  // A leader refuses proposals while its uncommitted entries hold this much or the proposal would
  // lift them above it; with nothing uncommitted it takes a proposal of any size.
  uint64_t max_uncommitted_bytes = uint64_t{64} << 20;
  // Read rounds that wait for a confirmation; one more is refused.
  uint32_t max_pending_reads = 4096;

  // What Group::CompactionIndex keeps for followers that lag. One that needs more than that gets a
  // snapshot (PITFALLS P16).
  uint64_t max_retained_bytes = uint64_t{16} << 20;
  // The same while a snapshot is on its way to such a follower: what is written meanwhile has to be
  // there when it has arrived, or the follower needs the next one.
  uint64_t max_transfer_retained_bytes = uint64_t{256} << 20;
  // A learner may lack this much of the log and still be promoted (PITFALLS P13).
  uint64_t max_promotion_lag_bytes = uint64_t{1} << 20;

  // Whether this node keeps its promises to elect nobody else strictly, even over a restart, and
  // tells the leader of them (lease.cc, PITFALLS P08). What its former life has promised binds it
  // only if this was set then.
  bool lease_promises = false;
  // Whether this node as a leader may confirm a read at once, without asking, while a quorum is
  // bound by promises. REQUIRES: lease_promises.
  bool lease_reads = false;
  // The most by which the clocks of two nodes may differ in how far they advance during one
  // election timeout: a lease is shorter than the promises by that. With lease_reads, less than
  // election_timeout_ms - heartbeat_interval_ms.
  uint64_t lease_drift_ms = 30;

  // Of the election timeouts. Different on every node and in every group.
  uint64_t seed = 0;
};

// What the disk holds when a group starts.
struct Restored {
  HardState hard_state;
  // The last entry contained in the durable state machine; everything up to it is committed.
  LogPosition applied;
  // The durable log, without gaps. Begins anywhere up to applied.index + 1 and ends anywhere from
  // applied.index on; empty means that nothing is above `applied`. Entries at or below `applied`
  // are kept for followers that lag; the first of them only lends its term to the one behind it,
  // unless it is the first ever.
  std::vector<Entry> entries;
  // As of `applied`; for a group that never ran, its founding members. A node that joins later
  // starts with these, too, or with any others among whom it is no voter. What the entries above
  // `applied` change comes on top of it.
  Membership membership;
  // `applied` is exactly a snapshot that was switched in, so the crash may have come before the log
  // was reset behind it. A log that does not contain `applied` is then dropped, and the first
  // update asks for the reset again (PITFALLS P15). In this case `entries` must contain the entry
  // at applied.index if the log has one: it tells whether what is behind it belongs to it.
  bool installed = false;
};

// --- Messages ----------------------------------------------------------------------------------

// The numbers are sent to peers; never renumber.
enum class MessageKind : uint8_t {
  kPreVote = 0,
  kPreVoteReply = 1,
  kVote = 2,
  kVoteReply = 3,
  kAppend = 4,
  kAppendReply = 5,
  kHeartbeat = 6,
  kHeartbeatReply = 7,
  kTimeoutNow = 8,
  kReadIndex = 9,
  kReadIndexReply = 10,
};

// One message between two nodes of a group. Fields that a kind does not name are 0.
//
//   kPreVote        term: the term it would campaign in; position: its last entry
//   kPreVoteReply   term: the one asked for when granted, the answerer's own when rejected
//   kVote           term; position: the candidate's last entry; transfer: the leader asked for it
//   kVoteReply      term, rejected
//   kAppend         term; position: the entry before `entries`; entries; commit
//   kAppendReply    term; accepted: position.index = the last entry known to match and durable;
//                   rejected: position.index = the refused position's, hint = the last entry that
//                   may match
//   kHeartbeat      term; commit: at most what the receiver is known to hold; round; sent_ms: on
//                   the leader's clock, not after it left
//   kHeartbeatReply term; round, sent_ms: of the heartbeat it answers (PITFALLS P04, P08);
//                   promise_ms: how long from then on the answerer elects nobody else
//   kTimeoutNow     term; position: the leader's last entry. The receiver is to campaign at once
//   kReadIndex      term; round: of the follower, which asks for a confirmed commit index
//   kReadIndexReply term; round: the one asked for; commit: the index; or rejected
struct Message {
  MessageKind kind = MessageKind::kHeartbeat;
  bool rejected = false;
  bool transfer = false;
  NodeId from = kNoNode;
  NodeId to = kNoNode;
  uint64_t term = 0;
  LogPosition position;
  LogPosition hint;
  uint64_t commit = 0;
  uint64_t round = 0;
  uint64_t sent_ms = 0;
  uint64_t promise_ms = 0;
  std::vector<Entry> entries;
};

// --- Persistence -------------------------------------------------------------------------------

// Names one persistence request and everything that is durable once it is: requests of one group
// complete in the order of their `sequence`. It is handed back unchanged in Persisted.
struct Ticket {
  uint64_t sequence = 0;  // 1, 2, 3, … in the life of one Group object
  HardState hard_state;   // the one in force
  LogPosition last;       // the end of the log
  bool operator==(const Ticket&) const = default;
};

// --- Events ------------------------------------------------------------------------------------

// Time has passed. `now_ms` never goes back.
struct Tick {
  uint64_t now_ms = 0;
};

// A leader is asked to append `payload`; the answer is Update::proposal.
struct Propose {
  Payload payload;
};

// The request `ticket`, and with it every earlier one, is durable.
struct Persisted {
  Ticket ticket;
};

// Starts a read round: confirm, from now on, that this node leads. `round` is larger than in every
// earlier ReadIndex of this Group object. Exactly one ReadAnswer comes for every round.
struct ReadIndex {
  uint64_t round = 0;
  // For a lease: the clock of Tick, read *after* the reads behind this round had arrived (not the
  // time at which the loop's turn began). 0: unknown; the round is confirmed by asking.
  uint64_t now_ms = 0;
  // A node that does not lead asks its leader. When this is used, rounds must not be used again
  // after a restart either: begin above all earlier ones, say at the time of day in microseconds.
  bool forward = false;
};

// Entries up to `index` are no longer needed in memory. REQUIRES: index was handed out to be
// applied (Update::apply_last) or was contained in Restored::applied. An index below the first
// entry does nothing.
struct Compact {
  uint64_t index = 0;
};

// A leader is asked to change who takes part, to exactly this; the answer is Update::proposal, and
// names the entry that begins the change. A change of voters passes through a joint membership,
// which the leader leaves by itself; it is over when Group::changing() is false again.
struct ChangeMembership {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
};

// A leader is asked to make `to` the leader; the answer is Update::transfer. Under way while
// Standing::transferring_to is set: until this node follows, or for an election timeout.
struct TransferLeadership {
  NodeId to = kNoNode;
};

// How the sending of a snapshot that Update::snapshots_to_send asked for ended. ok: the follower's
// durable state machine contains `position`. Exactly one for every request, unless leadership ended
// before; an old or repeated one does no harm.
struct SnapshotStatus {
  NodeId peer = kNoNode;
  LogPosition position;
  bool ok = false;
};

// The durable state machine of this node is now a snapshot: its last entry is `last`, its
// membership `membership`. `term` and `leader` are those under which it was sent. Update::installed
// says that it was taken; one that is no news (Group::WantsSnapshot) does nothing.
struct InstallSnapshot {
  LogPosition last;
  Membership membership;
  uint64_t term = 0;
  NodeId leader = kNoNode;
};

// A Message is an event, too: it came from a peer.
using Event = std::variant<Tick, Propose, Persisted, ReadIndex, Compact, Message, ChangeMembership,
                           TransferLeadership, SnapshotStatus, InstallSnapshot>;

// --- Updates -----------------------------------------------------------------------------------

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

enum class Refusal : uint8_t {
  kNone,
  kNotLeader,     // nothing was appended or confirmed; ask the leader, if one is known
  kUncommitted,   // too many uncommitted bytes; try again when some are committed
  kTooMany,       // too many read rounds wait
  kTransferring,  // leadership is on its way to another node; ask that one, or again later
  kChanging,      // a change of membership is under way, or the leader is not ready (PITFALLS P11)
  kNotCaughtUp,   // a node lacks too much of the log: promote a learner that has it
  kInvalid,       // makes no sense, or would change nothing
  kNoAnswer,      // the leader has not answered a forwarded read; nothing is known
};

// What became of a Propose or ChangeMembership. When accepted, the entry is (term, index), and only
// an entry with both is this proposal (PITFALLS P22).
struct Proposal {
  Refusal refusal = Refusal::kNone;
  uint64_t term = 0;
  uint64_t index = 0;
  bool accepted() const { return refusal == Refusal::kNone; }
};

// The end of a read round. Confirmed: the leader of `term` led at some moment after the round had
// started, and everything committed before that moment is at or below `index`. On a node that does
// not lead, `index` may be above what it has applied: the reads wait for that.
struct ReadAnswer {
  uint64_t round = 0;
  Refusal refusal = Refusal::kNone;
  uint64_t term = 0;
  uint64_t index = 0;
  bool confirmed() const { return refusal == Refusal::kNone; }
};

// Where a node stands in its group.
struct Standing {
  Role role = Role::kFollower;
  uint64_t term = 0;
  NodeId leader = kNoNode;  // of `term`, when known
  // Leads, and an entry of its own term is committed: only now is its commit index complete
  // (PITFALLS P02, P03). That entry is durable here, too, so this or an earlier update has handed
  // out everything of earlier terms to be applied.
  bool ready = false;
  // A leader that takes no proposals, because this node is to lead.
  NodeId transferring_to = kNoNode;
  bool operator==(const Standing&) const = default;
};

// A message with the condition on which it may leave (PITFALLS P06).
struct Outgoing {
  uint64_t after = 0;  // sequence of the ticket that must be durable before; 0: none
  Message message;
};

// The messages of an update. Clear() keeps every message's memory for the next update.
class Outbox {
 public:
  // A message whose fields are all empty.
  Outgoing& Add();
  void Clear() { size_ = 0; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Outgoing& operator[](size_t i) { return slots_[i]; }
  const Outgoing& operator[](size_t i) const { return slots_[i]; }
  Outgoing* begin() { return slots_.data(); }
  Outgoing* end() { return slots_.data() + size_; }
  const Outgoing* begin() const { return slots_.data(); }
  const Outgoing* end() const { return slots_.data() + size_; }

 private:
  std::vector<Outgoing> slots_;
  size_t size_ = 0;
};

// What the caller has to do after a Step; the order is in raft.h. Reuse one object for many Steps:
// it keeps its memory.
struct Update {
  // To be made durable together, and behind all earlier requests. `ticket` is set exactly when
  // there is something to write. The first entry of `append` may have an index that was appended
  // before: it then replaces that entry and everything behind it.
  std::optional<Ticket> ticket;
  std::optional<HardState> hard_state;
  // The log is gone and begins anew behind this position; what is in `append` comes after that.
  std::optional<LogPosition> reset;
  std::vector<Entry> append;

  Outbox messages;

  // Everything up to here is committed: on disk at a quorum. Always set.
  uint64_t commit_index = 0;
  // Entries [apply_first, apply_last] are committed, are durable here too, and were not handed out
  // before; read them with Group::EntryAt. None when apply_first > apply_last.
  uint64_t apply_first = 1;
  uint64_t apply_last = 0;

  // This Step's snapshot was taken in: everything up to here counts as applied, and applying goes
  // on behind it. Not set: it was no news.
  std::optional<LogPosition> installed;
  // Followers that need what is compacted: send each a snapshot of the durable state machine and
  // report SnapshotStatus. Its position must be at least first_index() - 1.
  std::vector<NodeId> snapshots_to_send;

  // Group::membership() is another one than before.
  bool membership_changed = false;

  // The answer to this Step's Propose or ChangeMembership.
  std::optional<Proposal> proposal;
  // The answer to this Step's TransferLeadership; kNone: under way.
  std::optional<Refusal> transfer;
  // In the order of their rounds.
  std::vector<ReadAnswer> reads;

  // Set when it changed. Leaving role kLeader, or leading a later term, puts every proposal of the
  // old term that is not committed by this very update in doubt.
  std::optional<Standing> standing;

  bool has_apply() const { return apply_first <= apply_last; }
  // Forgets the contents, keeps the memory. Step does this first.
  void Clear();
};

}  // namespace holdfast::raft
