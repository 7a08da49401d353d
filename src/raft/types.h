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
// a quorum is one of `voters` and one of `outgoing`. Learners replicate and don't count.
// Each list is free of duplicates and of kNoNode.
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
  // As of `applied`; for a group that never ran, its founding members.
  Membership membership;
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
};

// One message between two nodes of a group. Fields that a kind does not name are 0.
//
//   kPreVote        term: the term it would campaign in; position: its last entry
//   kPreVoteReply   term: the one asked for when granted, the answerer's own when rejected
//   kVote           term; position: the candidate's last entry
//   kVoteReply      term, rejected
//   kAppend         term; position: the entry before `entries`; entries; commit
//   kAppendReply    term; accepted: position.index = the last entry known to match and durable;
//                   rejected: position.index = the refused position's, hint = the last entry that
//                   may match
//   kHeartbeat      term; commit: at most what the receiver is known to hold; round
//   kHeartbeatReply term, round: of the heartbeat it answers (PITFALLS P04)
struct Message {
  MessageKind kind = MessageKind::kHeartbeat;
  bool rejected = false;
  NodeId from = kNoNode;
  NodeId to = kNoNode;
  uint64_t term = 0;
  LogPosition position;
  LogPosition hint;
  uint64_t commit = 0;
  uint64_t round = 0;
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
};

// Entries up to `index` are no longer needed in memory. REQUIRES: index was handed out to be
// applied (Update::apply_last) or was contained in Restored::applied. An index below the first
// entry does nothing.
struct Compact {
  uint64_t index = 0;
};

// A Message is an event, too: it came from a peer.
using Event = std::variant<Tick, Propose, Persisted, ReadIndex, Compact, Message>;

// --- Updates -----------------------------------------------------------------------------------

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

enum class Refusal : uint8_t {
  kNone,
  kNotLeader,    // nothing was appended or confirmed; ask the leader, if one is known
  kUncommitted,  // too many uncommitted bytes; try again when some are committed
  kTooMany,      // too many read rounds wait
};

// What became of a Propose. When accepted, the entry is (term, index), and only an entry with both
// is this proposal (PITFALLS P22).
struct Proposal {
  Refusal refusal = Refusal::kNone;
  uint64_t term = 0;
  uint64_t index = 0;
  bool accepted() const { return refusal == Refusal::kNone; }
};

// The end of a read round. Confirmed: the node led `term` at some moment after the round had
// started, and everything committed before that moment is at or below `index`.
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
  std::vector<Entry> append;

  Outbox messages;

  // Everything up to here is committed: on disk at a quorum. Always set.
  uint64_t commit_index = 0;
  // Entries [apply_first, apply_last] are committed, are durable here too, and were not handed out
  // before; read them with Group::EntryAt. None when apply_first > apply_last.
  uint64_t apply_first = 1;
  uint64_t apply_last = 0;

  // The answer to this Step's Propose.
  std::optional<Proposal> proposal;
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
