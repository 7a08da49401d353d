#include "cluster/reconcile.h"

namespace holdfast::cluster {
namespace {

using Ids = std::vector<raft::NodeId>;

// Nodes without a record are left alone: a group may know of a node before this view does.
bool HasToGo(const View& view, raft::NodeId id) {
  const NodeRecord* record = view.Find(id);
  return record != nullptr && !record->present();
}

Ids Remaining(const View& view, const Ids& ids) {
  Ids remaining;
  for (const raft::NodeId id : ids) {
    if (!HasToGo(view, id)) remaining.push_back(id);
  }
  return remaining;
}

}  // namespace

raft::NodeId Successor(const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of) {
  raft::NodeId successor = raft::kNoNode;
  uint64_t best = 0;
  for (const raft::NodeId id : Remaining(view, members.voters)) {
    const std::optional<raft::PeerStatus> status = status_of(id);
    if (!status.has_value() || !status->active) continue;
    if (successor != raft::kNoNode && status->match <= best) continue;
    successor = id;
    best = status->match;
  }
  return successor;
}

ReconcileStep NextStep(raft::NodeId self, const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of) {
  ReconcileStep step;
  if (HasToGo(view, self)) {
    step.transfer_to = Successor(members, view, status_of);
    return step;
  }
  raft::ChangeMembership wanted{Remaining(view, members.voters), Remaining(view, members.learners)};
  if (wanted.voters.empty()) return step;
  if (wanted.voters != members.voters || wanted.learners != members.learners) {
    step.change = std::move(wanted);
    return step;
  }
  for (const auto& [id, record] : view.nodes) {
    if (!record.present()) continue;
    if (Contains(wanted.voters, id) || Contains(wanted.learners, id)) continue;
    wanted.learners.push_back(id);
  }
  if (wanted.learners != members.learners) {
    step.change = std::move(wanted);
    return step;
  }
  for (const raft::NodeId id : members.learners) {
    const std::optional<raft::PeerStatus> status = status_of(id);
    if (!status.has_value() || !status->active || !status->promotable) continue;
    std::erase(wanted.learners, id);
    wanted.voters.push_back(id);
    step.change = std::move(wanted);
    return step;
  }
  return step;
}

}  // namespace holdfast::cluster
