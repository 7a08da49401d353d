// Random worlds: a few nodes, everything that can go wrong in a network and at a power loss,
// changes of membership, transfers of leadership and snapshots, in an order that a seed decides. In
// every third world reads go by leases, and the clocks run apart as far as they may. The world
// watches what raft promises (world.h). At the end everything is repaired, and the group has to
// work again.
//
// RAFT_WORLD_SEED=n runs one seed, RAFT_WORLD_SEEDS=n that many.
#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "raft/membership.h"
#include "text.h"
#include "world.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft::testing {
namespace {

struct Counts {
  uint64_t proposals = 0;
  uint64_t committed = 0;
  uint64_t reads = 0;
  uint64_t crashes = 0;
  uint64_t lost = 0;
  uint64_t repeated = 0;
  uint64_t terms = 0;
  uint64_t changes = 0;
  uint64_t transfers = 0;
  uint64_t snapshots = 0;
  uint64_t half_installed = 0;  // power losses between switch and reset
  uint64_t lease_reads = 0;
  uint64_t forwarded = 0;
};

constexpr uint64_t kElectionTimeoutMs = 150;
constexpr uint64_t kDriftMs = 20;
// Of a thousand, faster or slower: two clocks differ by at most 18 ms in an election timeout.
constexpr uint64_t kMostDriftPerMille = 60;

// How often each kind of step is taken, relative to the others.
struct Weights {
  uint64_t crash = 0;
  uint64_t start = 0;
  uint64_t cut = 0;
  uint64_t tick = 0;
  uint64_t disk = 0;
  uint64_t propose = 0;
  uint64_t read = 0;
  uint64_t housekeeping = 0;
  uint64_t message = 0;
  uint64_t change = 0;
  uint64_t transfer = 0;
  uint64_t snapshot = 0;

  uint64_t Sum() const {
    return crash + start + cut + tick + disk + propose + read + housekeeping + message + change +
           transfer + snapshot;
  }
};

class RandomWorld {
 public:
  RandomWorld(uint64_t seed, size_t voters)
      : rng_(seed), nodes_(voters + seed % 4), lease_(seed % 3 == 0) {
    Disk disk;
    for (NodeId id = 1; id <= voters; ++id) disk.membership.voters.push_back(id);
    // How bad it gets, and what there is most of, differs from seed to seed.
    loss_ = rng_.Chance(1, 4) ? 0 : rng_.Below(300);
    weights_.crash = rng_.Chance(1, 3) ? 0 : rng_.Below(30);
    weights_.start = 5 + rng_.Below(50);
    weights_.cut = rng_.Chance(1, 2) ? 0 : rng_.Below(10);
    weights_.tick = 100 + rng_.Below(400);
    weights_.disk = 20 + rng_.Below(200);
    weights_.propose = 5 + rng_.Below(80);
    weights_.read = rng_.Below(60);
    weights_.housekeeping = rng_.Below(40);
    weights_.message = 100 + rng_.Below(500);
    weights_.change = nodes_ == voters ? 0 : rng_.Below(20);
    weights_.transfer = rng_.Chance(1, 2) ? 0 : rng_.Below(15);
    weights_.snapshot = 2 + rng_.Below(20);
    if (lease_) {
      // A lease that fails shows when its holder reads while others elect and commit: all of that
      // has to happen within an election timeout.
      weights_.read = 100 + rng_.Below(300);
      weights_.transfer = rng_.Below(60);
      weights_.tick = 300 + rng_.Below(300);
      weights_.disk = 300 + rng_.Below(300);
      weights_.message = 500 + rng_.Below(1500);
      weights_.start = 100;
      loss_ = rng_.Below(50);
    }
    compact_hard_ = rng_.Chance(1, 2);
    for (NodeId id = 1; id <= nodes_; ++id) {
      GroupConfig config;
      config.self = id;
      config.seed = seed * 100 + id;
      config.election_timeout_ms = kElectionTimeoutMs;
      // Nodes may be set up differently, or promise nothing.
      config.lease_promises = lease_ && !rng_.Chance(1, 8);
      config.lease_reads = config.lease_promises;
      if (lease_ && rng_.Chance(1, 4)) config.election_timeout_ms -= rng_.Below(30);
      config.lease_drift_ms = kDriftMs;
      config.max_retained_bytes = rng_.Below(4000);
      config.max_transfer_retained_bytes = rng_.Below(8000);
      config.max_promotion_lag_bytes = 1000;
      clocks_.push_back(
          {.offset_ms = 1 + rng_.Below(100000),
           .per_mille = 1000 - kMostDriftPerMille + rng_.Below(2 * kMostDriftPerMille + 1)});
      config.max_append_bytes = 300;
      config.max_inflight_appends = 1 + static_cast<uint32_t>(rng_.Below(5));
      config.max_inflight_bytes = 1000;
      config.max_uncommitted_bytes = 3000;
      config.max_pending_reads = 20;
      REQUIRE(world_.AddNode(config, disk).ok());
    }
    world_.set_observer([this](NodeId from, const Update& update) {
      for (const NodeId to : update.snapshots_to_send) {
        sendings_.push_back({.from = from, .to = to, .snapshot = world_.TakeSnapshot(from)});
      }
    });
  }

  void Run(int steps) {
    for (int i = 0; i < steps && world_.violations().empty(); ++i) OneStep();
  }

  // Everything is repaired: in a bounded time one leader stands, and what it is told gets
  // committed and applied everywhere.
  void Recover() {
    cut_.clear();
    for (NodeId id = 1; id <= nodes_; ++id) {
      if (!world_.Runs(id)) REQUIRE(world_.Start(id).ok());
    }
    Beat(200);
    const NodeId leader = Leader();
    REQUIRE_MESSAGE(leader != kNoNode, Describe());
    for (int i = 0; i < 5; ++i) {
      ProposeTo(leader);
      world_.Step(leader, ReadIndex{++round_});
      REQUIRE(world_.Settle());
    }
    CHECK(world_.At(leader).reads.empty());  // every round was answered
    Beat(5);
    const Group& best = *world_.At(leader).group;
    CHECK(best.ready());
    CHECK_FALSE(best.changing());
    for (NodeId id = 1; id <= nodes_; ++id) {
      const Group& group = *world_.At(id).group;
      if (!IsMemberOf(best.membership(), id)) continue;
      CHECK(group.membership() == best.membership());
      CHECK(group.term() == best.term());
      CHECK(group.leader() == leader);
      CHECK(group.last_index() == best.last_index());
      CHECK(group.commit_index() == best.last_index());
      CHECK(group.applied_index() == best.last_index());
    }
  }

  World& world() { return world_; }
  const Counts& counts() {
    counts_.committed = world_.known_committed();
    counts_.reads = world_.confirmed_reads();
    for (const auto& [id, node] : world_.nodes()) {
      if (node.group != nullptr) counts_.terms = std::max(counts_.terms, node.group->term());
    }
    return counts_;
  }

 private:
  struct NodeClock {
    uint64_t offset_ms = 0;
    uint64_t per_mille = 1000;
  };
  // A snapshot on its way.
  struct Sending {
    NodeId from = kNoNode;
    NodeId to = kNoNode;
    Snapshot snapshot;
  };

  NodeId RandomNode() { return 1 + rng_.Below(nodes_); }

  NodeId Leader() {
    NodeId leader = kNoNode;
    uint64_t term = 0;
    for (const auto& [id, node] : world_.nodes()) {
      if (node.group == nullptr || node.group->role() != Role::kLeader) continue;
      if (node.group->term() > term) {
        term = node.group->term();
        leader = id;
      }
    }
    return leader;
  }

  std::string Describe() const {
    std::string text;
    for (const auto& [id, node] : world_.nodes()) {
      if (node.group == nullptr) continue;
      const Group& group = *node.group;
      text += std::to_string(id) + ": " + Show(group.standing()) + ", members " +
              Show(group.membership()) + ", last " +
              Show(LogPosition{group.last_index(), group.TermAt(group.last_index())}) +
              ", commit " + std::to_string(group.commit_index()) + "\n";
    }
    return text;
  }

  uint64_t ClockOf(NodeId id) const {
    const NodeClock& clock = clocks_[id - 1];
    return clock.offset_ms + real_us_ * clock.per_mille / 1000000;
  }

  void TickNode(NodeId id, uint64_t ms) {
    if (!world_.Runs(id)) return;
    uint64_t& now_ms = world_.At(id).now_ms;
    now_ms = lease_ ? ClockOf(id) : now_ms + ms;
    world_.Step(id, Tick{now_ms});
  }

  // Some intervals in which everything arrives.
  void Beat(int intervals) {
    for (int i = 0; i < intervals; ++i) {
      real_us_ += 50000;
      for (NodeId id = 1; id <= nodes_; ++id) TickNode(id, 50);
      REQUIRE(world_.Settle());
      while (!sendings_.empty()) {
        EndSending(0, true);
        REQUIRE(world_.Settle());
      }
    }
  }

  void ProposeTo(NodeId id) {
    if (!world_.Runs(id)) return;
    ++counts_.proposals;
    const std::string payload =
        "p" + std::to_string(counts_.proposals) + std::string(rng_.Below(200), '.');
    world_.Step(id, Propose{std::make_shared<const std::string>(payload)});
  }

  void ReadAt(NodeId id) {
    if (!world_.Runs(id)) return;
    ReadIndex read{.round = ++round_, .now_ms = 0, .forward = rng_.Chance(1, 2)};
    if (lease_ && rng_.Chance(3, 4)) read.now_ms = ClockOf(id);
    const bool leads = world_.At(id).group->role() == Role::kLeader;
    const Update& update = world_.Step(id, read);
    if (!leads && update.reads.empty()) ++counts_.forwarded;
    // Answered without a message to anybody, by one of several voters.
    if (leads && update.messages.empty() && !update.reads.empty() &&
        update.reads.back().confirmed() && world_.At(id).group->membership().voters.size() > 1) {
      ++counts_.lease_reads;
    }
  }

  // Most nodes keep their part, one gets another.
  void Change() {
    const NodeId leader = Leader();
    if (leader == kNoNode) return;
    const Membership& now = world_.At(leader).group->membership();
    const NodeId moved = RandomNode();
    ChangeMembership change;
    for (NodeId id = 1; id <= nodes_; ++id) {
      const bool votes = std::find(now.voters.begin(), now.voters.end(), id) != now.voters.end();
      uint64_t part = votes ? 0 : IsMemberOf(now, id) ? 1 : 2;
      if (id == moved || rng_.Chance(1, 10)) part = rng_.Below(3);
      if (part == 0) change.voters.push_back(id);
      if (part == 1) change.learners.push_back(id);
    }
    counts_.changes += world_.Step(leader, change).proposal->accepted() ? 1 : 0;
  }

  void Transfer() {
    const NodeId leader = Leader();
    if (leader == kNoNode) return;
    const Update& update = world_.Step(leader, TransferLeadership{RandomNode()});
    counts_.transfers += *update.transfer == Refusal::kNone ? 1 : 0;
  }

  // A sending arrives, or fails, or power is lost at the worst moment; and sometimes it comes once
  // more, much later.
  void EndSending(size_t i, bool well) {
    const Sending sending = sendings_[i];
    if (well || rng_.Chance(9, 10)) {
      sendings_.erase(sendings_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    bool ok = world_.Runs(sending.to) && (well || rng_.Chance(3, 4));
    if (ok && world_.SwitchIn(sending.to, sending.snapshot)) {
      ++counts_.snapshots;
      ok = well || rng_.Chance(3, 4);
      if (ok) {
        world_.Step(sending.to, InstallSnapshot{sending.snapshot.last, sending.snapshot.membership,
                                                sending.snapshot.term, sending.snapshot.leader});
      } else {
        ++counts_.half_installed;
        ++counts_.crashes;
        world_.Crash(sending.to);
      }
    }
    if (!world_.Runs(sending.from)) return;
    world_.Step(sending.from,
                SnapshotStatus{.peer = sending.to, .position = sending.snapshot.last, .ok = ok});
  }

  void OneStep() {
    const NodeId id = RandomNode();
    real_us_ += rng_.Below(600);
    if (rng_.Below(500) == 0) real_us_ += rng_.Below(400000);  // everybody stalls
    uint64_t dice = rng_.Below(weights_.Sum());
    // Takes the weight of one kind of step off the dice; true when the dice lies in it.
    const auto is = [&dice](uint64_t weight) {
      if (dice < weight) return true;
      dice -= weight;
      return false;
    };
    if (is(weights_.crash)) {
      if (!world_.Runs(id)) return;
      ++counts_.crashes;
      world_.Crash(id);
    } else if (is(weights_.start)) {
      if (!world_.Runs(id)) REQUIRE(world_.Start(id).ok());
    } else if (is(weights_.cut)) {
      // One more direction of a link goes, or all links are whole again.
      if (rng_.Chance(1, 2)) {
        cut_.clear();
      } else {
        cut_.insert({RandomNode(), RandomNode()});
      }
    } else if (is(weights_.tick)) {
      TickNode(id, rng_.Below(30) == 0 ? 5000 : rng_.Below(60));
    } else if (is(weights_.disk)) {
      if (world_.Runs(id) && !world_.At(id).requests.empty()) {
        world_.CompleteWrites(id, 1 + rng_.Below(world_.At(id).requests.size()));
      }
    } else if (is(weights_.propose)) {
      ProposeTo(rng_.Chance(4, 5) && Leader() != kNoNode ? Leader() : id);
    } else if (is(weights_.read)) {
      const NodeId reader = !lease_ && rng_.Chance(3, 4) && Leader() != kNoNode ? Leader() : id;
      ReadAt(reader);
    } else if (is(weights_.change)) {
      Change();
    } else if (is(weights_.transfer)) {
      Transfer();
    } else if (is(weights_.snapshot)) {
      if (!sendings_.empty()) EndSending(rng_.Below(sendings_.size()), false);
    } else if (is(weights_.housekeeping)) {
      Housekeeping(id);
    } else {
      MoveMessage();
    }
  }

  // The state machine is flushed, the log compacted as far as the group says, or in some worlds as
  // far as it may: one entry is left below that, which a restart uses up (see Restored::entries).
  void Housekeeping(NodeId id) {
    if (!world_.Runs(id)) return;
    const uint64_t applied = world_.At(id).group->applied_index();
    world_.Flush(id, std::max(applied - rng_.Below(applied + 1) / 2,
                              world_.At(id).group->first_index() - 1));
    uint64_t through = world_.At(id).disk.applied.index;
    if (!compact_hard_) through = world_.At(id).group->CompactionIndex(through);
    world_.CompactLog(id, through - std::min(through, uint64_t{1}));
  }

  void MoveMessage() {
    std::vector<Link> busy;
    for (const auto& [link, queue] : world_.network()) {
      if (!queue.empty()) busy.push_back(link);
    }
    if (busy.empty()) return;
    const Link link = busy[rng_.Below(busy.size())];
    std::deque<Message>& queue = world_.network()[link];
    // Mostly in order; sometimes any message of the queue.
    const size_t i = rng_.Below(5) == 0 ? rng_.Below(queue.size()) : 0;
    const Message message = queue[i];
    if (rng_.Below(20) == 0 && queue.size() < 100) {
      ++counts_.repeated;  // it stays and comes again, at some later time
    } else {
      queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (cut_.count(link) > 0 || rng_.Below(1000) < loss_ || !world_.Runs(link.second)) {
      ++counts_.lost;
      return;
    }
    world_.Step(link.second, message);
  }

  Rng rng_;
  const size_t nodes_;  // the first of them are the founding voters
  const bool lease_;
  bool compact_hard_ = false;
  uint64_t real_us_ = 0;
  std::vector<NodeClock> clocks_;
  std::vector<Sending> sendings_;
  World world_;
  Weights weights_;
  uint64_t loss_ = 0;  // in a thousand messages
  uint64_t round_ = 0;
  std::set<Link> cut_;
  Counts counts_;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

TEST_CASE("raft worlds: loss, repetition, reordering, power losses and stalls break no promise") {
  const uint64_t wanted = FromEnvironment("RAFT_WORLD_SEED", 0);
  const uint64_t first = wanted == 0 ? 1 : wanted;
  const uint64_t n = wanted == 0 ? FromEnvironment("RAFT_WORLD_SEEDS", 2000) : 1;
  Counts all;
  for (uint64_t seed = first; seed < first + n; ++seed) {
    CAPTURE(seed);
    const size_t sizes[] = {1, 2, 3, 3, 3, 4, 5};
    RandomWorld one(seed, sizes[seed % std::size(sizes)]);
    one.Run(4000);
    if (one.world().violations().empty()) one.Recover();
    for (const std::string& violation : one.world().violations()) FAIL_CHECK(violation);
    const Counts& counts = one.counts();
    all.proposals += counts.proposals;
    all.committed += counts.committed;
    all.reads += counts.reads;
    all.crashes += counts.crashes;
    all.lost += counts.lost;
    all.repeated += counts.repeated;
    all.terms += counts.terms;
    all.changes += counts.changes;
    all.transfers += counts.transfers;
    all.snapshots += counts.snapshots;
    all.half_installed += counts.half_installed;
    all.lease_reads += counts.lease_reads;
    all.forwarded += counts.forwarded;
  }
  MESSAGE("worlds ", n, ", proposals ", all.proposals, ", committed ", all.committed, ", reads ",
          all.reads, ", crashes ", all.crashes, ", messages lost ", all.lost, ", repeated ",
          all.repeated, ", terms ", all.terms, ", changes ", all.changes, ", transfers ",
          all.transfers, ", snapshots ", all.snapshots, " (", all.half_installed,
          " half installed), lease reads ", all.lease_reads, ", forwarded ", all.forwarded);
  // A run in which little happened proves little.
  if (n >= 100) {
    CHECK(all.committed > n * 20);
    CHECK(all.reads > n * 5);
    CHECK(all.crashes > n * 3);
    CHECK(all.terms > n * 3);
    CHECK(all.changes > n);
    CHECK(all.transfers > n);
    CHECK(all.snapshots > n / 2);
    CHECK(all.half_installed > n / 20);
    CHECK(all.lease_reads > n / 3);
    CHECK(all.forwarded > n);
  }
}

}  // namespace
}  // namespace holdfast::raft::testing
