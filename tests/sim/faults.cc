// What goes wrong, and what operators do.
#include <algorithm>

#include "raft/membership.h"
#include "world.h"

namespace holdfast::sim {

void World::NextFault() {
  After(1 + rng_.Below(weather_.calm_us), [this] {
    if (repaired_) return;
    Fault();
    NextFault();
  });
}

void World::Fault() {
  const Weather& w = weather_;
  const uint64_t sum = w.cut + w.isolate + w.heal + w.pause + w.process + w.machine + w.everybody +
                       w.disk + w.full + w.clock + w.transfer + w.membership + w.replay;
  uint64_t dice = rng_.Below(sum);
  // Takes the weight of one kind off the dice; true when the dice lies in it.
  const auto is = [&dice](uint64_t weight) {
    if (dice < weight) return true;
    dice -= weight;
    return false;
  };
  Machine& machine = AnyMachine();
  if (is(w.cut)) {
    CutSome();
  } else if (is(w.isolate)) {
    Isolate();
  } else if (is(w.heal)) {
    cut_.clear();
  } else if (is(w.pause)) {
    ++report_[Count::kPauses];
    Machine* const leader = Leader(static_cast<uint32_t>(rng_.Below(partitions_)));
    Machine& paused = leader != nullptr && rng_.Chance(1, 2) ? *leader : machine;
    paused.Pause(1000 + rng_.Below(1'500'000));
  } else if (is(w.process)) {
    if (machine.node() != nullptr) machine.Crash(false);
  } else if (is(w.machine)) {
    if (machine.node() != nullptr) machine.Crash(true);
  } else if (is(w.everybody)) {
    const bool power = rng_.Chance(1, 2);
    for (const auto& each : machines_) {
      if (each->node() != nullptr) each->Crash(power);
    }
  } else if (is(w.disk)) {
    BreakDisk(&machine);
  } else if (is(w.full)) {
    FillDisk(&machine);
  } else if (is(w.clock)) {
    DisturbClock(&machine);
  } else if (is(w.transfer)) {
    Transfer();
  } else if (is(w.membership)) {
    ChangeMembership();
  } else {
    Replay();
  }
}

// Single directions of links.
void World::CutSome() {
  ++report_[Count::kCuts];
  for (uint64_t n = 1 + rng_.Below(3); n > 0; --n) cut_.insert({AnyNode(), AnyNode()});
}

// Some nodes and the others hear nothing of each other, or only the ones of the others.
void World::Isolate() {
  ++report_[Count::kCuts];
  std::vector<bool> inside;
  const Machine* const leader = Leader(static_cast<uint32_t>(rng_.Below(partitions_)));
  const bool alone = leader != nullptr && rng_.Chance(1, 2);
  for (const auto& machine : machines_) {
    inside.push_back(alone ? machine.get() == leader : rng_.Chance(1, 3));
  }
  const bool one_way = rng_.Chance(1, 3);
  for (raft::NodeId a = 1; a <= machines_.size(); ++a) {
    for (raft::NodeId b = 1; b <= machines_.size(); ++b) {
      if (inside[a - 1] && !inside[b - 1]) {
        cut_.insert({a, b});
        if (!one_way) cut_.insert({b, a});
      }
    }
  }
}

void World::BreakDisk(Machine* machine) {
  ++report_[Count::kDiskFaults];
  constexpr storage::Fault kFaults[] = {storage::Fault::kIoError, storage::Fault::kNoSpace,
                                        storage::Fault::kShortWrite};
  Disks& disks = machine->disks();
  switch (rng_.Below(4)) {
    case 0:
      disks.stores.FailNth(1 + rng_.Below(20), Status::IoError("simulated"));
      break;
    case 1:
      disks.directories.FailNth(1 + rng_.Below(6), rng_.Chance(1, 2));
      break;
    case 2:
      disks.files.FailNth(storage::FileCall::kSync, 1 + rng_.Below(20), storage::Fault::kIoError);
      break;
    default:
      disks.files.FailNth(1 + rng_.Below(60), kFaults[rng_.Below(3)]);
  }
}

void World::FillDisk(Machine* machine) {
  ++report_[Count::kDiskFaults];
  storage::SimFileSystem& files = machine->disks().files;
  files.SetCapacity(files.UsedBytes() + rng_.Below(10'000));
  After(rng_.Below(1'000'000), [machine] { machine->disks().files.SetCapacity(UINT64_MAX); });
}

void World::DisturbClock(Machine* machine) {
  ++report_[Count::kClockJumps];
  if (rng_.Chance(1, 2)) {
    machine->clock().JumpWall(static_cast<int64_t>(rng_.Below(20'000'000)) - 10'000'000);
  } else {
    machine->clock().SetRate(1000 - weather_.fast_per_mille +
                             rng_.Below(2 * weather_.fast_per_mille + 1));
  }
}

void World::Transfer() {
  const auto partition = static_cast<uint32_t>(rng_.Below(partitions_));
  Machine* const leader = Leader(partition);
  if (leader == nullptr) return;
  const raft::NodeId to = AnyNode();
  leader->Later(0, [this, partition, to](Node* node) {
    const raft::Refusal refusal = node->partition(partition)->replica()->Transfer(to);
    if (refusal == raft::Refusal::kNone) ++report_[Count::kTransfers];
  });
}

// Most nodes keep their part, one gets another.
void World::ChangeMembership() {
  const auto partition = static_cast<uint32_t>(rng_.Below(partitions_));
  Machine* const leader = Leader(partition);
  if (leader == nullptr) return;
  const raft::Membership now = leader->node()->group(partition).membership();
  const raft::NodeId moved = AnyNode();
  raft::ChangeMembership change;
  for (raft::NodeId id = 1; id <= machines_.size(); ++id) {
    const bool votes = std::find(now.voters.begin(), now.voters.end(), id) != now.voters.end();
    uint64_t part = votes ? 0 : raft::IsMemberOf(now, id) ? 1 : 2;
    if (id == moved || rng_.Chance(1, 10)) part = rng_.Below(3);
    if (part == 0) change.voters.push_back(id);
    if (part == 1) change.learners.push_back(id);
  }
  leader->Later(0, [this, partition, change](Node* node) {
    const raft::Proposal proposal = node->partition(partition)->replica()->ChangeMembership(change);
    if (proposal.accepted()) ++report_[Count::kMembershipChanges];
  });
}

// Messages of long ago come once more.
void World::Replay() {
  if (old_frames_.empty()) return;
  for (uint64_t n = 1 + rng_.Below(10); n > 0; --n) {
    ++report_[Count::kMessagesReplayed];
    After(Latency(),
          [this, frame = old_frames_[rng_.Below(old_frames_.size())]] { Arrive(frame); });
  }
}

}  // namespace holdfast::sim
