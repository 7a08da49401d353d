#include "cluster/reconcile.h"

#include <map>

#include <doctest/doctest.h>

namespace holdfast::cluster {
namespace {

using Ids = std::vector<raft::NodeId>;

constexpr uint32_t kMeta = 2;

// What leader 1 sees.
struct World {
  raft::Membership members;
  View view;
  std::map<raft::NodeId, raft::PeerStatus> peers;

  void Node(raft::NodeId id, NodeState state) { view.nodes[id] = {state, "a:1", ""}; }
  void Peer(raft::NodeId id, uint64_t match, bool promotable, bool active = true) {
    raft::PeerStatus status;
    status.match = match;
    status.active = active;
    status.promotable = promotable;
    peers[id] = status;
  }
  PeerStatusOf StatusOf() const {
    return [this](raft::NodeId id) -> std::optional<raft::PeerStatus> {
      const auto it = peers.find(id);
      if (it == peers.end()) return std::nullopt;
      return it->second;
    };
  }
  ReconcileStep Next(GroupKind kind = GroupKind::kData) const {
    return NextStep(1, kind == GroupKind::kMeta ? kMeta : 0, kind, members, view, StatusOf());
  }
};

TEST_CASE("newcomers become learners, and voters one by one when they have caught up") {
  World world;
  world.members.voters = {1};
  world.Node(1, NodeState::kMember);
  CHECK(world.Next().nothing());
  world.Node(2, NodeState::kJoining);
  world.Node(3, NodeState::kJoining);
  ReconcileStep step = world.Next();
  REQUIRE(step.change.has_value());
  CHECK(step.change->voters == Ids{1});
  CHECK(step.change->learners == Ids{2, 3});

  world.members.learners = {2, 3};
  CHECK(world.Next().nothing());
  world.Peer(2, 10, /*promotable=*/false);
  CHECK(world.Next().nothing());
  world.Peer(2, 90, true, /*active=*/false);
  CHECK(world.Next().nothing());
  world.Peer(2, 90, true);
  world.Peer(3, 90, true);
  step = world.Next();
  REQUIRE(step.change.has_value());
  CHECK(step.change->voters == Ids{1, 2});
  CHECK(step.change->learners == Ids{3});
}

TEST_CASE("who leaves goes before anybody comes") {
  World world;
  world.members.voters = {1, 2, 3};
  world.Node(1, NodeState::kMember);
  world.Node(2, NodeState::kLeaving);
  world.Node(3, NodeState::kMember);
  world.Node(4, NodeState::kJoining);
  const ReconcileStep step = world.Next();
  REQUIRE(step.change.has_value());
  CHECK(step.change->voters == Ids{1, 3});
  CHECK(step.change->learners.empty());
}

TEST_CASE("the meta group keeps a node that leaves until every other group has let it go") {
  World world;
  world.members.voters = {1, 2, 3};
  for (const raft::NodeId id : {1, 3}) world.Node(id, NodeState::kMember);
  world.Node(2, NodeState::kLeaving);
  world.view.partitions[0].voters = {1, 2, 3};
  world.view.partitions[1].voters = {1, 3};
  world.view.partitions[kMeta].voters = {1, 2, 3};
  CHECK(world.Next(GroupKind::kMeta).nothing());
  REQUIRE(world.Next(GroupKind::kData).change.has_value());
  world.view.partitions[0].voters = {1, 3};
  world.view.partitions[1].learners = {2};
  CHECK(world.Next(GroupKind::kMeta).nothing());
  world.view.partitions[1].learners.clear();
  const ReconcileStep step = world.Next(GroupKind::kMeta);
  REQUIRE(step.change.has_value());
  CHECK(step.change->voters == Ids{1, 3});
}

TEST_CASE("a leader that leaves hands over to the voter that has most") {
  World world;
  world.members.voters = {1, 2, 3};
  for (const raft::NodeId id : {1, 2, 3}) world.Node(id, NodeState::kMember);
  world.Node(1, NodeState::kLeaving);
  CHECK(world.Next().nothing());
  world.Peer(2, 50, true);
  world.Peer(3, 70, true);
  CHECK(world.Next().transfer_to == 3);
  world.Peer(3, 70, true, /*active=*/false);
  CHECK(world.Next().transfer_to == 2);
  world.Node(2, NodeState::kRemoved);
  CHECK(world.Next().nothing());
}

TEST_CASE("nobody is left, or a member is unknown: nothing is changed") {
  World world;
  world.members.voters = {2};
  world.Node(1, NodeState::kMember);
  world.Node(2, NodeState::kRemoved);
  CHECK(world.Next().nothing());
  world.members.voters = {1, 9};
  CHECK(world.Next().nothing());
}

TEST_CASE("a leader that stops hands over to the voter that is up and has most") {
  World world;
  world.members.voters = {1, 2, 3, 4};
  world.members.learners = {5};
  for (raft::NodeId id = 1; id <= 5; ++id) world.Node(id, NodeState::kMember);
  CHECK(Successor(world.members, world.view, world.StatusOf()) == raft::kNoNode);
  world.Peer(2, 80, true, /*active=*/false);
  world.Peer(5, 99, true);
  CHECK(Successor(world.members, world.view, world.StatusOf()) == raft::kNoNode);
  world.Peer(3, 0, true);
  CHECK(Successor(world.members, world.view, world.StatusOf()) == 3);
  world.Peer(4, 50, true);
  CHECK(Successor(world.members, world.view, world.StatusOf()) == 4);
  world.Node(4, NodeState::kLeaving);
  CHECK(Successor(world.members, world.view, world.StatusOf()) == 3);
}

}  // namespace
}  // namespace holdfast::cluster
