#include "cluster/reconcile.h"

namespace holdfast::cluster {
namespace {

using Ids = std::vector<raft::NodeId>;

// Nodes without a record are left alone: a group may know of a node before this view does.
bool HasToGo(const View& view, raft::NodeId id) {
  const NodeRecord* record = view.Find(id);
  return record != nullptr && !record->present();
}

// Whether a partition other than `partition` has the node, by its leader's last report.
bool IsElsewhere(const View& view, raft::NodeId id, uint32_t partition) {
  for (const auto& [number, record] : view.partitions) {
    if (number == partition) continue;
    if (Contains(record.voters, id) || Contains(record.learners, id)) return true;
  }
  return false;
}

}  // namespace

raft::NodeId Successor(const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of) {
  raft::NodeId successor = raft::kNoNode;
  uint64_t best = 0;
  for (const raft::NodeId id : members.voters) {
    if (HasToGo(view, id)) continue;
    const std::optional<raft::PeerStatus> status = status_of(id);
    if (!status.has_value() || !status->active) continue;
    if (successor != raft::kNoNode && status->match <= best) continue;
    successor = id;
    best = status->match;
  }
  return successor;
}

ReconcileStep NextStep(raft::NodeId self, uint32_t partition, GroupKind kind,
                       const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of) {
  ReconcileStep step;
  if (HasToGo(view, self)) {
    step.transfer_to = Successor(members, view, status_of);
    return step;
  }
  const auto staying = [&](const Ids& ids) {
    Ids wanted;
    for (const raft::NodeId id : ids) {
      const bool goes = HasToGo(view, id);
      const bool waits = kind == GroupKind::kMeta && IsElsewhere(view, id, partition);
      if (!goes || waits) wanted.push_back(id);
    }
    return wanted;
  };
  raft::ChangeMembership wanted{staying(members.voters), staying(members.learners)};
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
