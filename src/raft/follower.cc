// How a follower's log follows the leader's.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

void Group::Core::HearLeader(NodeId leader) {
  CHECK_MSG(role_ != Role::kLeader, "two leaders in one term");
  CHECK_MSG(leader_ == kNoNode || leader_ == leader, "two leaders in one term");
  if (role_ != Role::kFollower || leader_ != leader) BecomeFollower(hard_state_.term, leader);
  election_elapsed_ms_ = 0;
  RenewPromise();
}

void Group::Core::OnAppend(const Message& message) {
  HearLeader(message.from);
  if (message.position.index < commit_index_) {
    // Old, or from a leader that does not know yet how much is here. What is committed agrees with
    // every later leader's log.
    Outgoing& reply = Send(MessageKind::kAppendReply, message.from);
    reply.after = AfterLog();
    reply.message.position.index = commit_index_;
  } else if (log_.Contains(message.position)) {
    AcceptEntries(message);
  } else {
    RejectAppend(message);
  }
}

void Group::Core::AcceptEntries(const Message& message) {
  for (const Entry& entry : message.entries) {
    if (log_.Contains({.index = entry.index, .term = entry.term})) continue;
    // Only a conflict of terms shows that what follows is not the leader's: a message that was
    // delayed or repeated ends earlier than the log does, without meaning it (PITFALLS P17).
    if (entry.index <= log_.last_index()) TruncateLogFrom(entry.index);
    AppendToLog(entry);
  }
  const uint64_t matched = message.position.index + message.entries.size();
  const uint64_t commit = std::min(message.commit, matched);
  if (commit > commit_index_) AdvanceCommitTo(commit);
  Outgoing& reply = Send(MessageKind::kAppendReply, message.from);
  reply.after = AfterLog();
  reply.message.position.index = matched;
}

void Group::Core::RejectAppend(const Message& message) {
  CHECK_MSG(message.position.index > commit_index_, "the leader lacks a committed entry");
  // Where this log ends or differs, nothing of a later term than the refused position's can agree.
  const uint64_t end = std::min(message.position.index - 1, log_.last_index());
  const uint64_t hint = log_.LastAtMostTerm(end, message.position.term);
  Message& reply = Send(MessageKind::kAppendReply, message.from).message;
  reply.rejected = true;
  reply.position.index = message.position.index;
  reply.hint = {.index = hint, .term = log_.TermAt(hint)};
}

}  // namespace holdfast::raft
