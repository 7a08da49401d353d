// Changes of who takes part: joint consensus (Raft paper, section 6; Raft dissertation, chapter 4).
//
// A configuration is in force as soon as its entry is in the log, committed or not, and no longer
// when the entry is truncated (PITFALLS P12). A change of voters takes two entries, the joint one
// and, proposed by whoever leads when that is committed, the one that leaves it.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "raft/core.h"
#include "raft/membership.h"

namespace holdfast::raft {

namespace {

std::vector<NodeId> Sorted(std::vector<NodeId> list) {
  std::sort(list.begin(), list.end());
  return list;
}

Payload PayloadOf(const Membership& membership) {
  return std::make_shared<const std::string>(EncodeMembership(membership));
}

}  // namespace

// --- The leader --------------------------------------------------------------------------------

void Group::Core::On(const ChangeMembership& change) { out_->proposal = StartChange(change); }

Proposal Group::Core::StartChange(const ChangeMembership& change) {
  if (role_ != Role::kLeader) return {.refusal = Refusal::kNotLeader};
  if (transfer_to_ != kNoNode) return {.refusal = Refusal::kTransferring};
  // One at a time; and not before an entry of the own term is committed, because until then the log
  // may hold a change that a leader elsewhere is about to overrule (PITFALLS P11).
  if (changing() || commit_index_ < term_start_index_) return {.refusal = Refusal::kChanging};
  Membership next{
      .voters = Sorted(change.voters), .outgoing = {}, .learners = Sorted(change.learners)};
  const std::vector<NodeId> voters = Sorted(membership_.voters);
  if (!ValidateMembership(next).ok() ||
      (next.voters == voters && next.learners == Sorted(membership_.learners))) {
    return {.refusal = Refusal::kInvalid};
  }
  // A voter without the log would make the group wait for it (PITFALLS P13).
  for (const NodeId node : next.voters) {
    if (IsVoterOf(membership_, node)) continue;
    const Peer* const peer = FindPeer(node);
    if (peer == nullptr || !IsPromotable(*peer)) return {.refusal = Refusal::kNotCaughtUp};
  }
  // The same voters make the same quorums, so learners come and go in one step.
  if (next.voters != voters) next.outgoing = voters;
  AppendAsLeader(EntryKind::kConfiguration, PayloadOf(next));
  return {.refusal = Refusal::kNone, .term = hard_state_.term, .index = log_.last_index()};
}

bool Group::Core::IsPromotable(const Peer& peer) const {
  const uint64_t match = peer.progress.match();
  return peer.progress.state() == Progress::State::kPipeline && match >= log_.base().index &&
         log_.BytesAfter(match) <= config_.max_promotion_lag_bytes;
}

void Group::Core::FinishChange() {
  CHECK(role_ == Role::kLeader);
  if (configurations_.back().index > commit_index_ || commit_index_ < term_start_index_) return;
  if (!IsJoint(membership_)) {
    if (!is_voter_) Resign();
  } else if (transfer_to_ == kNoNode) {  // or it would never catch up; it is done after that
    AppendAsLeader(EntryKind::kConfiguration, PayloadOf({.voters = membership_.voters,
                                                         .outgoing = {},
                                                         .learners = membership_.learners}));
  }
}

// The group goes on without this node. That it may is told to the others, and one that has
// everything campaigns without waiting for a timeout.
void Group::Core::Resign() {
  CHECK(role_ == Role::kLeader && !is_voter_);
  SendHeartbeats();
  for (const Peer& peer : peers_) {
    if (!IsVoterOf(membership_, peer.id) || peer.progress.match() != log_.last_index()) continue;
    SendTimeoutNow(peer.id);
    break;
  }
  BecomeFollower(hard_state_.term, kNoNode);
}

void Group::Core::UpdatePeers() {
  CHECK(role_ == Role::kLeader);
  std::erase_if(peers_, [this](const Peer& peer) { return !IsMemberOf(membership_, peer.id); });
  const size_t known = peers_.size();
  AddPeers(log_.last_index());
  for (size_t i = known; i < peers_.size(); ++i) SendAppends(&peers_[i]);
}

std::optional<PeerStatus> Group::Core::StatusOf(NodeId id) const {
  const Peer* const peer = role_ == Role::kLeader ? FindPeer(id) : nullptr;
  if (peer == nullptr) return std::nullopt;
  const uint64_t match = peer->progress.match();
  return PeerStatus{.match = match,
                    .lag_bytes = log_.BytesAfter(std::max(match, log_.base().index)),
                    .active = peer->active,
                    .snapshot = peer->progress.state() == Progress::State::kSnapshot,
                    .promotable = IsPromotable(*peer)};
}

// --- Every node --------------------------------------------------------------------------------

bool Group::Core::changing() const {
  return IsJoint(membership_) || configurations_.back().index > commit_index_;
}

void Group::Core::AdoptConfiguration(const Entry& entry) {
  CHECK(entry.kind == EntryKind::kConfiguration && entry.payload != nullptr);
  auto membership = DecodeMembership(*entry.payload);
  CHECK_MSG(membership.ok(), "a membership that was checked before");
  configurations_.push_back({.index = entry.index, .membership = std::move(membership).value()});
  UseConfiguration();
}

void Group::Core::RollBackConfigurations(uint64_t from) {
  const size_t before = configurations_.size();
  while (configurations_.back().index >= from) configurations_.pop_back();
  CHECK(!configurations_.empty());
  if (configurations_.size() != before) UseConfiguration();
}

// What is committed is never rolled back, so only the last committed one may be needed again.
void Group::Core::ForgetConfigurations(uint64_t committed) {
  while (configurations_.size() > 1 && configurations_[1].index <= committed) {
    configurations_.erase(configurations_.begin());
  }
}

void Group::Core::UseConfiguration() {
  const Membership& membership = configurations_.back().membership;
  if (membership == membership_) return;
  membership_ = membership;
  is_voter_ = IsVoterOf(membership_, config_.self);
  alone_is_quorum_ = TallyOfQuorum(membership_, [this](NodeId node) {
                       return node == config_.self ? Vote::kGranted : Vote::kRejected;
                     }) == Tally::kWon;
  if (out_ != nullptr) out_->membership_changed = true;
}

}  // namespace holdfast::raft
