// Decides the next step by which the members of a partition's group become the nodes of the
// cluster. Pure: the leader of each group asks again and again, does one step at a time, and may
// change, die or be asked twice at any moment.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "cluster/view.h"
#include "raft/raft.h"
#include "raft/types.h"

namespace holdfast::cluster {

struct ReconcileStep {
  // Who is to take part; empty: nothing to change.
  std::optional<raft::ChangeMembership> change;
  // Who is to lead instead of this node, which has to go; kNoNode: stays.
  raft::NodeId transfer_to = raft::kNoNode;

  bool nothing() const { return !change.has_value() && transfer_to == raft::kNoNode; }
};

using PeerStatusOf = std::function<std::optional<raft::PeerStatus>(raft::NodeId)>;

// Whom a leader hands its office to: of the voters that stay in the cluster, the one that is up and
// has most of its log. kNoNode: nobody. `status_of` says what the leader knows of another member,
// and nothing of itself.
raft::NodeId Successor(const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of);

// Which group it is about. The meta group lets a node that leaves go last, when no other group has
// it any more: through the meta group a node hears that it has to go, and one that leads elsewhere
// and has not heard keeps its office (nobody else can take it out).
enum class GroupKind : uint8_t { kData, kMeta };

// The order: whoever leaves goes first (a leader hands its office over before), then newcomers
// become learners, then learners that have caught up become voters, one by one. `self` leads
// `partition`.
ReconcileStep NextStep(raft::NodeId self, uint32_t partition, GroupKind kind,
                       const raft::Membership& members, const View& view,
                       const PeerStatusOf& status_of);

}  // namespace holdfast::cluster
