// How the leader's log grows, and travels to the followers.
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace holdfast::raft {

Proposal Group::Core::AppendProposal(const Payload& payload) {
  if (role_ != Role::kLeader) return {.refusal = Refusal::kNotLeader};
  if (transfer_to_ != kNoNode) return {.refusal = Refusal::kTransferring};
  const uint64_t uncommitted = log_.BytesAfter(commit_index_);
  const Entry entry{.kind = EntryKind::kData, .payload = payload};
  // With nothing uncommitted any size is taken, or a large proposal could never be made.
  if (uncommitted > 0 && uncommitted + entry.charged_bytes() > config_.max_uncommitted_bytes) {
    return {.refusal = Refusal::kUncommitted};
  }
  AppendAsLeader(EntryKind::kData, payload);
  return {.refusal = Refusal::kNone, .term = hard_state_.term, .index = log_.last_index()};
}

// The entry goes to the followers and to the own disk at the same time. It counts for the leader
// itself when it is durable here, like for any follower (PITFALLS P05).
void Group::Core::AppendAsLeader(EntryKind kind, const Payload& payload) {
  CHECK(role_ == Role::kLeader);
  AppendToLog(
      {.term = hard_state_.term, .index = log_.last_index() + 1, .kind = kind, .payload = payload});
  for (Peer& peer : peers_) SendAppends(&peer);
  // Only now, so that who is removed may still hear of it.
  if (kind == EntryKind::kConfiguration) UpdatePeers();
}

// All that is known of the others in a new term is that they may have what the leader has.
void Group::Core::AddPeers(uint64_t next) {
  for (const auto* list : {&membership_.voters, &membership_.outgoing, &membership_.learners}) {
    for (const NodeId node : *list) {
      if (node == config_.self || FindPeer(node) != nullptr) continue;
      peers_.push_back(
          {.id = node,
           .progress = Progress(next, config_.max_inflight_appends, config_.max_inflight_bytes)});
    }
  }
}

Group::Core::Peer* Group::Core::FindPeer(NodeId id) {
  const auto peer =
      std::find_if(peers_.begin(), peers_.end(), [id](const Peer& p) { return p.id == id; });
  return peer == peers_.end() ? nullptr : &*peer;
}

const Group::Core::Peer* Group::Core::FindPeer(NodeId id) const {
  return const_cast<Core*>(this)->FindPeer(id);
}

void Group::Core::SendAppends(Peer* peer) {
  while (SendAppend(peer)) {
  }
}

// Sends the next entries, as many as one message takes. False when there is none, or the limits
// are reached, or the follower needs what is compacted already.
bool Group::Core::SendAppend(Peer* peer) {
  Progress& progress = peer->progress;
  const uint64_t first = progress.next();
  if (first > log_.last_index() || first < log_.first_index() || !progress.CanSend()) return false;
  Message& append = Send(MessageKind::kAppend, peer->id).message;
  append.position = {.index = first - 1, .term = log_.TermAt(first - 1)};
  append.commit = commit_index_;
  uint64_t bytes = 0;
  for (uint64_t index = first; index <= log_.last_index(); ++index) {
    const Entry& entry = log_.EntryAt(index);
    if (bytes > 0 && bytes + entry.charged_bytes() > config_.max_append_bytes) break;
    bytes += entry.charged_bytes();
    append.entries.push_back(entry);
  }
  progress.Sent(append.entries.back().index, bytes);
  const uint64_t told = std::min(commit_index_, append.entries.back().index);
  peer->told_commit = std::max(peer->told_commit, told);
  return true;
}

// Asks only whether the follower has everything before the next entry.
void Group::Core::SendEmptyAppend(Peer* peer) {
  const uint64_t previous = peer->progress.next() - 1;
  Message& append = Send(MessageKind::kAppend, peer->id).message;
  append.position = {.index = previous, .term = log_.TermAt(previous)};
  append.commit = commit_index_;
  peer->progress.SentEmpty();
}

void Group::Core::OnAppendReply(const Message& message) {
  Peer* peer = role_ == Role::kLeader ? FindPeer(message.from) : nullptr;
  if (peer == nullptr) return;
  if (message.rejected) {
    // Where the follower's log ends or differs, and its term there: the logs can agree only where
    // this log's term is not larger (Raft paper, section 5.3; PITFALLS P18).
    peer->active = true;
    uint64_t agree = std::min(message.hint.index, log_.last_index());
    if (agree > log_.base().index) agree = log_.LastAtMostTerm(agree, message.hint.term);
    if (!peer->progress.Rejected(message.position.index, agree)) return;
    if (peer->progress.next() < log_.first_index()) {
      NeedSnapshot(peer);  // it says itself that it lacks what is gone
    } else {
      SendAppends(peer);
    }
    return;
  }
  if (message.position.index > log_.last_index()) return;  // nobody was sent that
  peer->active = true;
  if (peer->progress.Accepted(message.position.index)) {
    AdvanceLeaderCommit();
    ContinueTransfer();
    // The commit may have ended a change of membership, and this node's or the peer's part in it.
    peer = FindPeer(message.from);
    if (peer == nullptr) return;
  }
  SendAppends(peer);
  TellCommit(peer);
}

}  // namespace holdfast::raft
