// Leases: reads without asking, because others have promised to elect nobody (Raft dissertation,
// section 6.4.1; PITFALLS P08, P09).
//
// The promise. A voter that answers a heartbeat gives nobody its vote for election_timeout_ms of
// its own clock, itself included, and keeps that through changes of term and role. After a restart
// it can't know what it has promised, so it behaves as if it had promised just then. Only a leader
// frees it, by asking for another one (transfer.cc).
//
// The lease. The leader counts from when it *sent* the heartbeat, which was before any answer. When
// a quorum has answered what was sent at `start` or later, every quorum that could elect another
// one has a member that is bound until
//
//     its answer + election_timeout_ms - heartbeat_interval_ms     on its clock,
//
// the interval being what its first Tick after the answer may count too much. It tells this length
// in its answer, since timeouts may be set to other values on other nodes. On the leader's clock
// that is not before
//
//     start + the length that it told - lease_drift_ms.
//
// A node that makes no such promise tells 0, and counts for nothing.
//
// Stalls of a voter only prolong its promise (a late Tick counts as one interval, P19). Stalls of
// the leader do no harm because the caller says what time it is, and reads the clock after the
// reads have arrived: an answer holds for that moment, however much later it is used.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::NoteClock(uint64_t now_ms) {
  if (now_ms == 0) return;
  CHECK_MSG(now_ms >= now_ms_, "the clock went back");
  clock_ms_ = std::max(clock_ms_, now_ms);
}

// Without leases this only spares the group elections that it does not need; a node that has given
// up its leader, or learned of a later term, is free.
bool Group::Core::InLease() const {
  if (config_.lease_promises) return promise_ms_ > 0;
  return role_ == Role::kFollower && leader_ != kNoNode &&
         election_elapsed_ms_ < config_.election_timeout_ms;
}

void Group::Core::RenewPromise() {
  if (config_.lease_promises) promise_ms_ = config_.election_timeout_ms;
}

uint64_t Group::Core::PromisedMs() const {
  if (!config_.lease_promises) return 0;
  return config_.election_timeout_ms - config_.heartbeat_interval_ms;
}

bool Group::Core::LeaseHolds(uint64_t now_ms) {
  if (!config_.lease_reads || now_ms == 0 || lease_dropped_ || !ready()) return false;
  const uint64_t end = ReachedByQuorum(
      membership_,
      [&](NodeId node) {
        return node == config_.self ? now_ms + PromisedMs() : FindPeer(node)->promised_until_ms;
      },
      &scratch_);
  return now_ms + config_.lease_drift_ms < end;
}

}  // namespace holdfast::raft
