// The pure state machine of one Raft group: Step(event) -> update.
//
// Nothing in this folder knows threads, clocks, sockets, files or logs, or makes up ids: time,
// randomness (as a seed), messages and completions come in as events; what has to be persisted,
// sent and applied goes out as an update. The same events always give the same updates.
//
// A group of one voter takes no shortcut. It campaigns at its first Tick, persists term and vote,
// counts its own vote when that is durable, leads, appends a no-op, commits it when it is durable,
// and is ready for reads then (PITFALLS P02, P03, P05).
//
// THE CALLER'S DUTIES (the reasons and diagrams are in README.md)
//
//  1. Persist in order. Whenever Update::ticket is set, write hard_state, reset and append;
//  requests
//     of one group become durable in the order in which they were given out, all or a prefix.
//  2. An entry to append replaces everything at and behind its index, also when read back.
//  3. When requests are durable, Step(Persisted{ticket}) with the newest of them; it covers the
//     earlier ones. Never before they are durable. A failed write ends the process.
//  4. A message leaves when the request `after` is durable, not before; messages may be lost,
//     duplicated and reordered after that.
//  5. Apply [apply_first, apply_last] in order. What is stored as applied must be able to say the
//     applied index and its term when the group starts again (Restored::applied).
//  6. Acknowledge a proposal when its (term, index) is committed: FateOf says kCommitted. When
//     leadership ended before, it is in doubt.
//  7. A leader executes only while Standing::ready, on a state that contains every entry up to
//     last_index().
//  8. A read's reply waits for a round that was started after the read arrived.
//  9. Tick at least every heartbeat_interval_ms while needs_ticks().
// 10. Compact only what is in the durable state machine, and keep the last hard state when log
//     segments are removed.
// 11. Store the membership with the applied state: that of the last kConfiguration entry applied
//     (DecodeMembership), or of the snapshot.
// 12. Send the snapshots that are asked for, and report how it went.
// 13. Between asking WantsSnapshot and Step(InstallSnapshot) the group takes no other event.
//
// In the steady state Step allocates nothing besides what the caller's payloads need.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/status.h"
#include "raft/types.h"

namespace holdfast::raft {

// What became of a proposal, see FateOf.
enum class Fate : uint8_t {
  kPending,    // in the log, not committed
  kCommitted,  // will be kept forever
  kLost,       // another entry has its place: it never took effect and never will
};

// What a leader knows of another member.
struct PeerStatus {
  uint64_t match = 0;      // the last entry known to be durable there
  uint64_t lag_bytes = 0;  // of the log behind that, as far as it is not compacted
  bool active = false;     // was heard of within an election timeout or two
  bool snapshot = false;   // waits for a snapshot
  // Lacks little enough to become a voter (GroupConfig::max_promotion_lag_bytes).
  bool promotable = false;
};

// Loop thread of the owning core only.
class Group {
 public:
  // Starts a group from what its disk holds; the first Step produces the first update.
  // kInvalidArgument: the configuration is senseless. kCorruption: `restored` contradicts itself (a
  // gap, terms that go back or beyond the hard state, an end below the applied index, a membership
  // without voters).
  // kUnsupported: an entry of a kind that this version cannot interpret.
  static Result<std::unique_ptr<Group>> Create(const GroupConfig& config, Restored restored);

  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Takes in one event and overwrites `*out` with everything that follows from it. A message that
  // is senseless or not for this node changes nothing; a caller that breaks its duties (a ticket
  // that was never given out, a clock or a round that goes back, compacting what is not applied)
  // ends the process.
  void Step(const Event& event, Update* out);

  NodeId self() const;
  Role role() const;
  uint64_t term() const;
  NodeId leader() const;  // of term(); kNoNode when unknown
  bool ready() const;     // see Standing::ready
  Standing standing() const;
  // The one in force: of the last kConfiguration entry in the log, committed or not.
  const Membership& membership() const;
  // Whether a change of membership is not complete: it is joint, or its entry is not committed.
  bool changing() const;

  // What a leader knows of another member; none when it does not lead or there is no such member.
  std::optional<PeerStatus> StatusOf(NodeId peer) const;

  // The entries in memory are [first_index(), last_index()]; none when first > last.
  uint64_t first_index() const;
  uint64_t last_index() const;
  uint64_t commit_index() const;
  // The last entry that is known to be durable on this node.
  uint64_t durable_index() const;
  // The last entry handed out to be applied.
  uint64_t applied_index() const;

  // REQUIRES: first_index() <= index <= last_index(). Valid until the next Step.
  const Entry& EntryAt(uint64_t index) const;
  // REQUIRES: first_index() - 1 <= index <= last_index().
  uint64_t TermAt(uint64_t index) const;
  // REQUIRES: index >= first_index(), that is, the place was not compacted since.
  Fate FateOf(uint64_t term, uint64_t index) const;

  // Entry::charged_bytes of the entries that are in the log and not committed.
  uint64_t uncommitted_bytes() const;
  // Entry::charged_bytes of all entries in memory.
  uint64_t log_bytes() const;

  // The last entry that may be compacted when the durable state machine contains everything up to
  // `applied`: what other members may still lack is kept, up to max_retained_bytes. Below
  // first_index() when there is nothing to gain. REQUIRES: applied <= applied_index().
  uint64_t CompactionIndex(uint64_t applied) const;

  // Whether a snapshot that ends at `last` would be news. Ask before switching it in: one that is
  // refused must not replace the state machine.
  bool WantsSnapshot(LogPosition last) const;

  // False when a Tick would do nothing until some other event comes: a lone voter that leads.
  bool needs_ticks() const;

 private:
  class Core;
  explicit Group(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace holdfast::raft
