// What must be durable, and what is (PITFALLS P05, P06, P07).
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::SetHardState(const HardState& hard_state) {
  CHECK(hard_state.term >= hard_state_.term);
  if (hard_state.term == hard_state_.term) {
    CHECK_MSG(hard_state_.voted_for == kNoNode || hard_state_.voted_for == hard_state.voted_for,
              "a vote is given once a term");
  }
  if (hard_state == hard_state_) return;
  hard_state_ = hard_state;
  out_->hard_state = hard_state;
}

void Group::Core::AppendToLog(const Entry& entry) {
  CHECK(entry.term <= hard_state_.term);
  log_.Append(entry);
  out_->append.push_back(entry);
  if (entry.kind == EntryKind::kConfiguration) AdoptConfiguration(entry);
}

// What is truncated is replaced within the same Step, so the disk hears of it by the append.
void Group::Core::TruncateLogFrom(uint64_t index) {
  CHECK_MSG(index > commit_index_, "a committed entry would be truncated");
  CHECK(out_->append.empty());
  log_.TruncateFrom(index);
  durable_index_ = std::min(durable_index_, index - 1);
  RollBackConfigurations(index);
}

void Group::Core::IssueTicket() {
  const bool changes_log = !out_->append.empty() || out_->reset.has_value();
  if (!out_->hard_state.has_value() && !changes_log) return;
  out_->ticket =
      Ticket{.sequence = ++issued_sequence_, .hard_state = hard_state_, .last = log_.last()};
  if (out_->hard_state.has_value()) hard_state_sequence_ = issued_sequence_;
  if (changes_log) append_sequence_ = issued_sequence_;
}

uint64_t Group::Core::AfterHardState() const {
  const uint64_t sequence =
      out_->hard_state.has_value() ? issued_sequence_ + 1 : hard_state_sequence_;
  return sequence > durable_sequence_ ? sequence : 0;
}

uint64_t Group::Core::AfterLog() const {
  const bool changes_log = !out_->append.empty() || out_->reset.has_value();
  const uint64_t sequence = changes_log ? issued_sequence_ + 1 : append_sequence_;
  return std::max(sequence > durable_sequence_ ? sequence : 0, AfterHardState());
}

// Requests complete in order, so a ticket vouches for all earlier ones, and it names the end of the
// log at the time it was given out. Between then and now the log may have been rewritten, even
// twice, back to an entry of the same term and index whose second write is still under way
// (PITFALLS P07). That takes a change of term; so a ticket of another term says nothing about the
// log. Nothing is lost by it: a change of term issues a ticket of its own, which names the end of
// the log again.
//
// A reset (snapshot.cc) is no such case. An entry of the current term behind the snapshot's end was
// preceded by that end when it was written, or the log would not have been that of the term's
// leader, which has everything committed; and a log that contains the end is not reset.
void Group::Core::TakeDurable(const Ticket& ticket) {
  CHECK_MSG(ticket.sequence > 0 && ticket.sequence <= issued_sequence_,
            "a ticket that was never given out");
  if (ticket.sequence <= durable_sequence_) return;
  durable_sequence_ = ticket.sequence;
  durable_hard_state_ = ticket.hard_state;
  if (ticket.hard_state.term == hard_state_.term && log_.Contains(ticket.last)) {
    durable_index_ = std::max(durable_index_, ticket.last.index);
  }
  if (role_ == Role::kCandidate) CountVotes();
  if (role_ == Role::kLeader) {
    AdvanceLeaderCommit();
    ReleaseReads();  // nothing waits when this node has just resigned
  }
}

}  // namespace holdfast::raft
