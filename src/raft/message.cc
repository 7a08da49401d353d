// What comes from peers and goes to them: sanity, terms, dispatch.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"
#include "raft/membership.h"

namespace holdfast::raft {

Outgoing& Group::Core::Send(MessageKind kind, NodeId to) {
  CHECK(to != kNoNode && to != config_.self);
  Outgoing& outgoing = out_->messages.Add();
  outgoing.after = AfterHardState();
  outgoing.message.kind = kind;
  outgoing.message.from = config_.self;
  outgoing.message.to = to;
  outgoing.message.term = hard_state_.term;
  return outgoing;
}

// Peers are authenticated and frames carry checksums, so this is about what no correct peer of this
// version sends. Such a message changes nothing.
namespace {

bool IsSensibleEntry(const Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kNoop:
    case EntryKind::kData:
      return true;
    case EntryKind::kConfiguration:
      return entry.payload != nullptr && DecodeMembership(*entry.payload).ok();
  }
  return false;
}

}  // namespace

bool Group::Core::IsSensible(const Message& message) const {
  const auto is_position = [](LogPosition p) { return (p.index == 0) == (p.term == 0); };
  if (message.to != config_.self || message.from == kNoNode || message.from == config_.self ||
      message.term == 0) {
    return false;
  }
  switch (message.kind) {
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      return is_position(message.position) && message.position.term < message.term;
    case MessageKind::kAppendReply:
      return !message.rejected ||
             (is_position(message.hint) && message.hint.index < message.position.index);
    case MessageKind::kTimeoutNow:
    case MessageKind::kAppend:
      break;
    default:
      return true;
  }
  if (!is_position(message.position) || message.position.term > message.term) return false;
  LogPosition previous = message.position;
  for (const Entry& entry : message.entries) {
    if (entry.index != previous.index + 1 || entry.term == 0 || entry.term < previous.term ||
        entry.term > message.term || !IsSensibleEntry(entry)) {
      return false;
    }
    previous = {.index = entry.index, .term = entry.term};
  }
  return true;
}

bool Group::Core::MatchTerm(const Message& message) {
  const bool from_leader = message.kind == MessageKind::kAppend ||
                           message.kind == MessageKind::kHeartbeat ||
                           message.kind == MessageKind::kTimeoutNow;
  if (message.term > hard_state_.term) {
    // Nobody is in the term that a pre-vote is about (PITFALLS P10).
    if (message.kind == MessageKind::kPreVote) return true;
    if (message.kind == MessageKind::kPreVoteReply && !message.rejected) return true;
    if (message.kind == MessageKind::kVote && !message.transfer && InLease()) {
      // While a leader is heard, nobody else is helped to its place: neither vote nor term is
      // given (Raft dissertation, section 4.2.3), unless that leader wants it so. Should the
      // candidate's term be here to stay, the leader learns it from the answer to its next
      // heartbeat.
      Send(MessageKind::kVoteReply, message.from).message.rejected = true;
      return false;
    }
    // Before anything else (PITFALLS P21).
    BecomeFollower(message.term, from_leader ? message.from : kNoNode);
    return true;
  }
  if (message.term == hard_state_.term) return true;
  // From the past. Whoever asks for something is told the term, or it could never catch up
  // (PITFALLS P10); answers to what was asked in an earlier term mean nothing any more.
  if (from_leader) {
    Message& reply = Send(MessageKind::kAppendReply, message.from).message;
    reply.rejected = true;
    reply.position.index = log_.last_index() + 1;
    reply.hint = log_.last();
  } else if (message.kind == MessageKind::kPreVote) {
    Send(MessageKind::kPreVoteReply, message.from).message.rejected = true;
  } else if (message.kind == MessageKind::kVote) {
    Send(MessageKind::kVoteReply, message.from).message.rejected = true;
  } else if (message.kind == MessageKind::kReadIndex) {
    Message& reply = Send(MessageKind::kReadIndexReply, message.from).message;
    reply.round = message.round;
    reply.rejected = true;
  }
  return false;
}

void Group::Core::On(const Message& message) {
  if (!IsSensible(message) || !MatchTerm(message)) return;
  switch (message.kind) {
    case MessageKind::kPreVote:
      OnPreVote(message);
      break;
    case MessageKind::kPreVoteReply:
      OnPreVoteReply(message);
      break;
    case MessageKind::kVote:
      OnVote(message);
      break;
    case MessageKind::kVoteReply:
      OnVoteReply(message);
      break;
    case MessageKind::kAppend:
      OnAppend(message);
      break;
    case MessageKind::kAppendReply:
      OnAppendReply(message);
      break;
    case MessageKind::kHeartbeat:
      OnHeartbeat(message);
      break;
    case MessageKind::kHeartbeatReply:
      OnHeartbeatReply(message);
      break;
    case MessageKind::kTimeoutNow:
      OnTimeoutNow(message);
      break;
    case MessageKind::kReadIndex:
      OnReadIndex(message);
      break;
    case MessageKind::kReadIndexReply:
      OnReadIndexReply(message);
      break;
  }
}

}  // namespace holdfast::raft
