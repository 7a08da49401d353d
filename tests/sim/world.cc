#include "world.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "group.h"
#include "raft/membership.h"
#include "replica/message_codec.h"
#include "snapshots.h"

namespace holdfast::sim {
namespace {

constexpr size_t kMostNodes = 7;
// How long a repaired group may take to converge: snapshots that were given up begin again after
// ten seconds.
constexpr uint64_t kConvergeUs = 90'000'000;
constexpr uint64_t kLookUs = 100'000;

}  // namespace

// ---- MachineClock

void MachineClock::SetRate(uint64_t per_mille) {
  const int64_t monotonic_us = MonotonicNs() / 1000;
  wall_offset_us_ += monotonic_us - start_us_;
  start_us_ = monotonic_us;
  base_us_ = *now_us_;
  per_mille_ = per_mille;
}

void MachineClock::Restart(int64_t start_us) {
  SetRate(per_mille_);
  start_us_ = start_us;
}

// ---- Machine

World::Machine::Machine(World* world, raft::NodeId id, NodeOptions options)
    : world_(world),
      id_(id),
      options_(std::move(options)),
      clock_(&world->now_us_),
      disks_(std::make_unique<Disks>()) {
  options_.id = id;
  options_.clock = &clock_;
  options_.surroundings = this;
}

void World::Machine::Start() {
  CHECK(node_ == nullptr);
  ++life_;
  options_.seed = world_->seed_ * 1000 + id_ * 100'000 + life_;
  node_ = std::make_unique<Node>(disks_.get(), options_);
  const Status booted = node_->Boot();
  if (booted.ok()) {
    world_->truth_->Booted(*node_);
    turn_ = log_ = persist_ = io_ = false;
    ScheduleTick();
    Touched();
    return;
  }
  if (booted.code() != Code::kIoError && booted.code() != Code::kNoSpace) {
    world_->report_.Violation("node " + std::to_string(id_) +
                              " does not start: " + booted.message());
  }
  Crash(false);
}

void World::Machine::Crash(bool machine) {
  Rng& rng = world_->rng_;
  if (node_ != nullptr) {
    world_->report_[Count::kStepDowns] += node_->step_downs();
    if (node_->snapshots() != nullptr) {
      world_->report_[Count::kSnapshotsSent] += node_->snapshots()->sent();
      world_->report_[Count::kSnapshotsInstalled] += node_->snapshots()->installed();
    }
  }
  ++life_;
  outbox_.clear();
  ++world_->report_[machine ? Count::kMachineCrashes : Count::kProcessCrashes];
  disks_->files.ClearFaults();
  disks_->directories.ClearFaults();
  if (machine) {
    disks_->files.Crash(&rng);
    disks_->stores.Crash(&rng);
    clock_.Restart(1'000'000 + static_cast<int64_t>(rng.Below(100'000'000)));
    if (world_->mutant_ == Mutant::kDiskWiped) {
      node_ = nullptr;
      disks_ = std::make_unique<Disks>();
    }
  } else {
    disks_->files.KillProcess();
    disks_->stores.KillProcess(&rng);
  }
  node_ = nullptr;
  std::fill(std::begin(paused_until_us_), std::end(paused_until_us_), 0);
  world_->clients_->OnNodeLost(id_);
  const uint64_t down_us = world_->repaired_ ? 1000 : 1000 + rng.Below(700'000);
  world_->After(down_us, [this, life = life_] {
    if (life == life_ && node_ == nullptr) Start();
  });
}

void World::Machine::Repair() {
  disks_->files.ClearFaults();
  disks_->files.SetCapacity(UINT64_MAX);
  disks_->directories.ClearFaults();
  std::fill(std::begin(paused_until_us_), std::end(paused_until_us_), 0);
  clock_.SetRate(1000);
  if (node_ == nullptr) Start();
}

void World::Machine::Pause(uint64_t us) {
  for (uint64_t& until_us : paused_until_us_) {
    until_us = world_->now_us_ + us + world_->rng_.Below(20'000);
  }
}

void World::Machine::Later(uint64_t us, std::function<void(Node*)> what, Way way) {
  world_->After(us,
                [this, life = life_, what = std::move(what), way] { RunLater(life, what, way); });
}

void World::Machine::RunLater(uint64_t life, const std::function<void(Node*)>& what, Way way) {
  if (life != life_ || node_ == nullptr) return;
  const uint64_t until_us = paused_until_us_[static_cast<size_t>(way)];
  if (until_us > world_->now_us_) {
    world_->After(until_us - world_->now_us_,
                  [this, life, what, way] { RunLater(life, what, way); });
    return;
  }
  rested_ = false;
  what(node_.get());
  if (life == life_ && node_ != nullptr) Touched();
}

// After every step: looks whether all is well, and sees to it that the next steps come.
void World::Machine::Touched() {
  if (node_->dead()) {
    world_->report_[Count::kSwitchesInterrupted] += disks_->directories.failed();
    Crash(world_->rng_.Chance(1, 2));
    return;
  }
  world_->truth_->Watch(*node_);
  if (world_->rng_.Chance(1, 200)) world_->truth_->CompareState(*node_);
  for (uint32_t p = 0; p < node_->partitions(); ++p) {
    const raft::Group& group = node_->group(p);
    world_->report_.Note(world_->now_us_ ^ (group.term() << 48) ^ (group.commit_index() << 24) ^
                         (group.last_index() << 8) ^ id_);
  }
  ScheduleWork();
}

void World::Machine::ScheduleWork() {
  const Weather& weather = world_->weather_;
  Rng& rng = world_->rng_;
  if (!turn_ && !rested_) {
    turn_ = true;
    Later(rng.Below(weather.turn_us), [this](Node*) { TurnEnd(); });
  }
  if (!log_ && node_->HasLogWork()) {
    log_ = true;
    uint64_t us = 1 + rng.Below(weather.disk_us);
    if (rng.Below(1000) < weather.slow_disk_per_mille) us += rng.Below(weather.slow_disk_us);
    Later(us, [this](Node* node) {
      log_ = false;
      node->LogStep();
      Later(world_->rng_.Below(50), [](Node* n) { n->Completions(); });
    });
  }
  if (!persist_ && node_->HasPersistWork()) {
    persist_ = true;
    Later(1 + rng.Below(weather.persist_us), [this](Node* node) {
      persist_ = false;
      node->PersistStep(&world_->rng_);
      if (world_->rng_.Chance(1, 10)) node->CollectStep(&world_->rng_);
    });
  }
  if (!io_ && node_->snapshots()->HasWork()) {
    io_ = true;
    Later(1 + rng.Below(weather.io_us), [this](Node* node) {
      io_ = false;
      node->snapshots()->Step();
      // Between the switch and the log's reset, as likely as not.
      if (!world_->repaired_ && node->snapshots()->switched() && world_->rng_.Chance(1, 6)) {
        ++world_->report_[Count::kSwitchesInterrupted];
        node->Die();
      }
      Later(world_->rng_.Below(50), [](Node* n) { n->snapshots()->Completions(); });
    });
  }
}

void World::Machine::TurnEnd() {
  turn_ = false;
  rested_ = true;
  node_->TurnEnd();
  if (world_->mutant_ == Mutant::kAckBeforeDurable) node_->Completions();
  Flush();
}

void World::Machine::ScheduleTick() {
  Later(1 + world_->rng_.Below(world_->weather_.tick_us), [this](Node* node) {
    node->Tick();
    ScheduleTick();
  });
}

// ---- World

World::World(uint64_t seed, Mutant mutant) : rng_(seed), seed_(seed), mutant_(mutant) {
  MakeWeather();
  constexpr size_t kFounders[] = {3, 3, 3, 4, 5};
  founders_ = kFounders[rng_.Below(std::size(kFounders))];
  const size_t nodes = std::min(kMostNodes, founders_ + rng_.Below(3));
  partitions_ = rng_.Chance(1, 4) ? 2 : 1;
  NodeOptions options;
  options.partitions = partitions_;
  options.mutant = mutant;
  options.group = RandomGroupConfig();
  options.drops_values = seed % 3 == 1;
  options.snapshot_rate = rng_.Chance(1, 2) ? uint64_t{1} << 30 : 50'000;
  raft::Membership founding;
  for (raft::NodeId id = 1; id <= founders_; ++id) founding.voters.push_back(id);
  truth_ = std::make_unique<Truth>(partitions_, founding, &report_);
  for (raft::NodeId id = 1; id <= nodes; ++id) {
    options.founding = founding;
    // As a node that joins: it knows of somebody else.
    if (id > founders_) options.founding.voters = {1};
    machines_.push_back(std::make_unique<Machine>(this, id, options));
    const uint64_t spread = 2 * weather_.fast_per_mille + 1;
    machines_.back()->clock().SetRate(1000 - weather_.fast_per_mille + rng_.Below(spread));
    machines_.back()->clock().JumpWall(static_cast<int64_t>(rng_.Below(2'000'000)));
  }
  Clients::Options clients;
  clients.partitions = partitions_;
  clients.clients = 2 + rng_.Below(6);
  clients.timeout_us = 200'000 + rng_.Below(1'300'000);
  clients.wander_percent = rng_.Below(40);
  if (clients_wander_) {
    clients.clients = 7;
    clients.think_us = 20'000;
    clients.timeout_us = 150'000 + rng_.Below(150'000);
    clients.wander_percent = 40;
  }
  clients.think_us = 1000 + rng_.Below(60'000);
  clients.fast_per_mille = weather_.fast_per_mille;
  clients.mutant = mutant;
  clients_ = std::make_unique<Clients>(this, clients, rng_.Next(), &report_);
}

World::~World() = default;

void World::MakeWeather() {
  Weather& w = weather_;
  w.run_us = 2'000'000 + rng_.Below(6'000'000);
  w.latency_us = 100 + rng_.Below(2000);
  w.late_us = 1000 + rng_.Below(400'000);
  w.late_per_mille = rng_.Chance(1, 3) ? 0 : rng_.Below(50);
  w.loss_per_mille = rng_.Chance(1, 3) ? 0 : rng_.Below(100);
  w.repeat_per_mille = rng_.Chance(1, 3) ? 0 : rng_.Below(100);
  w.items_alone = rng_.Chance(1, 2);
  w.turn_us = 1 + rng_.Below(500);
  w.tick_us = 10'000 + rng_.Below(40'000);
  w.disk_us = 50 + rng_.Below(2000);
  w.slow_disk_us = 1000 + rng_.Below(500'000);
  w.slow_disk_per_mille = rng_.Chance(1, 3) ? 0 : rng_.Below(50);
  w.io_us = rng_.Chance(1, 2) ? 10 * w.disk_us : 1000 + rng_.Below(300'000);
  w.persist_us = 1000 + rng_.Below(300'000);
  w.fast_per_mille = rng_.Below(20);
  w.calm_us = 20'000 + rng_.Below(500'000);
  const auto weight = [this] { return rng_.Chance(1, 2) ? 0 : rng_.Below(10); };
  w.cut = weight();
  w.isolate = weight();
  w.heal = 2 + rng_.Below(15);
  w.pause = weight();
  w.process = weight();
  w.machine = weight();
  w.everybody = rng_.Chance(1, 3) ? 1 : 0;
  w.disk = weight();
  w.full = rng_.Chance(1, 3) ? 1 : 0;
  w.clock = weight();
  w.transfer = weight();
  w.membership = rng_.Chance(1, 3) ? 0 : rng_.Below(20);
  w.replay = weight();
  // What takes several things at once to go wrong gets seeds of its own.
  if (rng_.Chance(1, 4)) {
    // Leaders that stand still while others are elected, and clients that ask both.
    w.pause = 15;
    clients_wander_ = true;
  } else if (rng_.Chance(1, 4)) {
    // Leaders that have only what they stored, and whose wall clocks are behind.
    w.clock = w.machine = w.process = 10;
  }
}

raft::GroupConfig World::RandomGroupConfig() {
  raft::GroupConfig config;
  config.max_append_bytes = 200 + rng_.Below(2000);
  config.max_inflight_appends = 1 + static_cast<uint32_t>(rng_.Below(8));
  config.max_inflight_bytes = 500 + rng_.Below(10'000);
  config.max_pending_reads = 20;
  config.max_retained_bytes = rng_.Below(8000);
  config.max_transfer_retained_bytes = rng_.Below(16'000);
  config.lease_promises = rng_.Chance(1, 2);
  config.lease_reads = config.lease_promises && rng_.Chance(1, 2);
  config.max_promotion_lag_bytes = 1000;
  return config;
}

Report World::Run() {
  for (const auto& machine : machines_) machine->Start();
  clients_->Start();
  NextFault();
  RunUntil(weather_.run_us);
  if (report_.violation.empty()) Repair();
  for (const auto& machine : machines_) {
    if (machine->node() == nullptr) continue;
    report_[Count::kStepDowns] += machine->node()->step_downs();
    report_[Count::kSnapshotsSent] += machine->node()->snapshots()->sent();
    report_[Count::kSnapshotsInstalled] += machine->node()->snapshots()->installed();
  }
  for (uint32_t p = 0; p < partitions_; ++p) report_[Count::kEntries] += truth_->committed(p);
  report_[Count::kTerms] += truth_->terms();
  return report_;
}

void World::After(uint64_t us, std::function<void()> what) {
  events_.push({now_us_ + us, next_sequence_++, std::move(what)});
}

void World::RunUntil(uint64_t until_us) {
  while (report_.violation.empty() && !events_.empty() && events_.top().at_us <= until_us) {
    const Event event = events_.top();
    events_.pop();
    now_us_ = event.at_us;
    ++report_[Count::kEvents];
    event.what();
  }
  now_us_ = std::max(now_us_, until_us);
}

World::Machine* World::Leader(uint32_t partition) {
  Machine* leader = nullptr;
  uint64_t term = 0;
  for (const auto& machine : machines_) {
    if (machine->node() == nullptr) continue;
    const raft::Group& group = machine->node()->group(partition);
    if (group.role() != raft::Role::kLeader || group.term() <= term) continue;
    term = group.term();
    leader = machine.get();
  }
  return leader;
}

raft::NodeId World::LeaderAt(raft::NodeId node, uint32_t partition) {
  Machine& machine = At(node);
  if (machine.node() == nullptr) return raft::kNoNode;
  return machine.node()->group(partition).leader();
}

// ---- The end

void World::Repair() {
  repaired_ = true;
  cut_.clear();
  weather_.loss_per_mille = weather_.late_per_mille = weather_.slow_disk_per_mille = 0;
  clients_->Stop();
  for (const auto& machine : machines_) machine->Repair();
  const uint64_t deadline_us = now_us_ + kConvergeUs;
  bool read = false;
  while (report_.violation.empty()) {
    RunUntil(now_us_ + kLookUs);
    if (!report_.violation.empty()) return;
    const bool done = clients_->idle() && Converged();
    if (done && read) break;
    if (done) {
      clients_->AskEverything();
      read = true;
    }
    if (now_us_ > deadline_us) report_.Violation("does not converge:" + Describe());
  }
  if (!report_.violation.empty()) return;
  for (const auto& machine : machines_) truth_->CompareState(*machine->node());
  CheckBounds();
  clients_->Check();
}

// One leads, and the members have everything, in their stores, too.
bool World::Converged() {
  for (uint32_t p = 0; p < partitions_; ++p) {
    Machine* const leader = Leader(p);
    if (leader == nullptr || !leader->node()->partition(p)->ready()) return false;
    const raft::Group& best = leader->node()->group(p);
    if (best.changing() || best.commit_index() != best.last_index()) return false;
    for (const auto& machine : machines_) {
      if (machine->node() == nullptr) return false;
      if (!raft::IsMemberOf(best.membership(), machine->id())) continue;
      engine::Partition* const partition = machine->node()->partition(p);
      const raft::Group& group = partition->replica()->group();
      if (group.term() != best.term() || group.membership() != best.membership()) return false;
      if (group.leader() != leader->id()) return false;
      if (group.applied_index() != best.last_index()) return false;
      if (partition->applied_index() != best.last_index()) return false;
      if (machine->node()->stored_index(p) != best.last_index()) return false;
      if (!partition->follows() && !partition->ready()) return false;
    }
  }
  return true;
}

void World::CheckBounds() {
  // What is stored, and more than what may be kept for others, is gone from log and memory.
  constexpr uint64_t kMostFileBytes = 330'000;  // five segments that are filled ahead
  for (const auto& machine : machines_) {
    bool member = true;
    for (uint32_t p = 0; p < partitions_; ++p) {
      const raft::Group& group = machine->node()->group(p);
      const raft::Group& best = Leader(p)->node()->group(p);
      member &= raft::IsMemberOf(best.membership(), machine->id());
      if (!raft::IsMemberOf(best.membership(), machine->id())) continue;
      const uint64_t limit = machine->node()->options().group.max_retained_bytes + 4000;
      if (group.log_bytes() > limit) {
        report_.Violation("node " + std::to_string(machine->id()) + " keeps " +
                          std::to_string(group.log_bytes()) + " bytes of log in memory");
      }
    }
    if (member && machine->disks().files.UsedBytes() > kMostFileBytes) {
      report_.Violation("node " + std::to_string(machine->id()) + " keeps " +
                        std::to_string(machine->disks().files.UsedBytes()) + " bytes of log");
    }
  }
}

std::string World::Describe() {
  std::string text;
  const auto list = [&text](const char* name, const std::vector<raft::NodeId>& ids) {
    text += std::string(" ") + name;
    for (const raft::NodeId id : ids) text += " " + std::to_string(id);
  };
  for (const auto& machine : machines_) {
    text += "\n  node " + std::to_string(machine->id());
    if (machine->node() == nullptr) {
      text += " is down";
      continue;
    }
    for (uint32_t p = 0; p < partitions_; ++p) {
      const engine::Partition* const partition = machine->node()->partition(p);
      const raft::Group& group = machine->node()->group(p);
      text +=
          ": role " + std::to_string(static_cast<int>(group.role())) + ", term " +
          std::to_string(group.term()) + ", leader " + std::to_string(group.leader()) + ", log " +
          std::to_string(group.first_index()) + " to " + std::to_string(group.last_index()) +
          ", committed " + std::to_string(group.commit_index()) + ", applied " +
          std::to_string(partition->applied_index()) + ", stored " +
          std::to_string(machine->node()->stored_index(p)) + (partition->ready() ? ", ready" : "") +
          (partition->follows() ? ", follows" : "") + (group.changing() ? ", changing;" : ";");
      list("voters", group.membership().voters);
      list("outgoing", group.membership().outgoing);
      list("learners", group.membership().learners);
    }
  }
  return text;
}

Report RunGroup(uint64_t seed, Mutant mutant) { return World(seed, mutant).Run(); }

}  // namespace holdfast::sim
