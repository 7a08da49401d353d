// The inside of a group's simulation (group.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "clients.h"
#include "mutants.h"
#include "node.h"
#include "replica/frame.h"
#include "report.h"
#include "truth.h"

namespace holdfast::sim {

// The clocks of one machine: they run at a rate of their own, and the wall clock jumps.
class MachineClock final : public Clock {
 public:
  explicit MachineClock(const uint64_t* now_us) : now_us_(now_us) {}
  int64_t WallMs() const override { return WallUs() / 1000; }
  int64_t WallUs() const override {
    return kRevisionEpochMs * 1000 + wall_offset_us_ + MonotonicNs() / 1000 - start_us_;
  }
  int64_t MonotonicNs() const override {
    return (start_us_ + static_cast<int64_t>((*now_us_ - base_us_) * per_mille_ / 1000)) * 1000;
  }
  void SetRate(uint64_t per_mille);
  void JumpWall(int64_t us) { wall_offset_us_ += us; }
  // The monotonic clock begins anew, as after a boot of the machine.
  void Restart(int64_t start_us);

 private:
  const uint64_t* const now_us_;
  uint64_t base_us_ = 0;  // of real time
  int64_t start_us_ = 1'000'000;
  int64_t wall_offset_us_ = int64_t{1'000'000} * 100'000;
  uint64_t per_mille_ = 1000;
};

class World final : public Clients::Host {
 public:
  World(uint64_t seed, Mutant mutant);
  ~World() override;
  Report Run();

 private:
  class Machine;
  using Link = std::pair<raft::NodeId, raft::NodeId>;  // from, to

  // How bad it gets, and what there is most of, differs from seed to seed.
  struct Weather {
    uint64_t run_us = 0;
    // The network.
    uint64_t latency_us = 0;  // at most, mostly
    uint64_t late_us = 0;     // at most, sometimes
    uint64_t late_per_mille = 0;
    uint64_t loss_per_mille = 0;
    uint64_t repeat_per_mille = 0;
    bool items_alone = false;  // each item in a frame of its own
    // The nodes.
    uint64_t turn_us = 0;
    uint64_t tick_us = 0;
    uint64_t disk_us = 0;
    uint64_t slow_disk_us = 0;
    uint64_t slow_disk_per_mille = 0;
    uint64_t io_us = 0;
    uint64_t persist_us = 0;
    uint64_t fast_per_mille = 0;  // the most by which a clock is fast or slow
    // What happens: weights.
    uint64_t calm_us = 0;  // at most, between two of them
    uint64_t cut = 0, isolate = 0, heal = 0, pause = 0, process = 0, machine = 0, everybody = 0;
    uint64_t disk = 0, full = 0, clock = 0, transfer = 0, membership = 0, replay = 0;
  };
  struct Event {
    uint64_t at_us = 0;
    uint64_t sequence = 0;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return at_us != other.at_us ? at_us > other.at_us : sequence > other.sequence;
    }
  };
  struct Frame {
    Link link;
    std::string bytes;
  };

  // ---- world.cc: time, nodes
  void MakeWeather();
  raft::GroupConfig RandomGroupConfig();
  // Runs events until `until_us`, or something is wrong.
  void RunUntil(uint64_t until_us);
  void Repair();
  bool Converged();
  void CheckBounds();
  std::string Describe();
  Machine& At(raft::NodeId id) { return *machines_[id - 1]; }
  Machine& AnyMachine() { return *machines_[rng_.Below(machines_.size())]; }
  Machine* Leader(uint32_t partition);

  // ---- Clients::Host
  uint64_t now_us() const override { return now_us_; }
  void After(uint64_t us, std::function<void()> what) override;
  void SendRequest(raft::NodeId node, const Request& request,
                   const engine::ReplyAddress& address) override;
  raft::NodeId AnyNode() override { return 1 + rng_.Below(machines_.size()); }
  raft::NodeId LeaderAt(raft::NodeId node, uint32_t partition) override;

  // ---- network.cc
  uint64_t Latency();
  void SendReply(raft::NodeId from, const engine::ReplyAddress& address, std::string bytes);
  void SendRaft(Frame frame);
  // Nothing of these is repeated or overtaken: links that lose something are down.
  void SendInOrder(Frame frame);
  void Arrive(const Frame& frame);
  void DeliverItem(Machine* machine, raft::NodeId from, replica::ItemKind kind,
                   std::string_view bytes);
  void DeliverMessage(Machine* machine, uint32_t partition, raft::Message message);
  // What a mutant makes of a message; false: it is answered already.
  bool Distort(Machine* machine, uint32_t partition, raft::Message* message);
  void Forge(const raft::Message& asked, uint32_t partition, raft::Message reply);

  // ---- faults.cc
  void NextFault();
  void Fault();
  void CutSome();
  void Isolate();
  void BreakDisk(Machine* machine);
  void FillDisk(Machine* machine);
  void DisturbClock(Machine* machine);
  void Transfer();
  void ChangeMembership();
  void Replay();

  Rng rng_;
  const uint64_t seed_;
  const Mutant mutant_;
  Report report_;
  Weather weather_;
  uint64_t now_us_ = 0;
  uint64_t next_sequence_ = 0;
  std::priority_queue<Event> events_;
  uint32_t partitions_ = 1;
  size_t founders_ = 3;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::set<Link> cut_;
  std::map<Link, uint64_t> in_order_us_;  // when the last one of SendInOrder arrives
  std::vector<Frame> old_frames_;
  bool repaired_ = false;
  std::unique_ptr<Truth> truth_;
  std::unique_ptr<Clients> clients_;
};

// One node with its disks, clocks and threads.
class World::Machine final : public Surroundings {
 public:
  Machine(World* world, raft::NodeId id, NodeOptions options);

  raft::NodeId id() const { return id_; }
  // Null while it is down.
  Node* node() { return node_.get(); }
  MachineClock& clock() { return clock_; }
  Disks& disks() { return *disks_; }

  void Start();
  // The process ends, and starts again after a while.
  void Crash(bool machine);
  void Pause(uint64_t us);
  // Nothing is wrong with it from now on.
  void Repair();
  // The ways by which something comes to a node. What has come by different ones while it was
  // paused has no order.
  enum class Way : uint8_t { kInside, kPeers, kClients };
  // Runs in this life of the process only, and not while it is paused.
  void Later(uint64_t us, std::function<void(Node*)> what, Way way = Way::kInside);
  // Something was done to the node outside of its own steps.
  void Touched();

  // ---- Surroundings
  void Send(uint32_t partition, const raft::Message& message) override;
  bool SendItem(raft::NodeId to, replica::ItemKind kind, std::string_view bytes) override;
  void Deliver(const engine::ReplyAddress& address, std::string reply) override;

 private:
  void RunLater(uint64_t life, const std::function<void(Node*)>& what, Way way);
  void TurnEnd();
  void Flush();
  void ScheduleTick();
  void ScheduleWork();

  World* const world_;
  const raft::NodeId id_;
  NodeOptions options_;
  MachineClock clock_;
  std::unique_ptr<Disks> disks_;
  std::unique_ptr<Node> node_;
  uint64_t life_ = 0;
  uint64_t paused_until_us_[3] = {};  // by way
  // Steps that are in the queue.
  bool turn_ = false, log_ = false, persist_ = false, io_ = false;
  bool rested_ = false;  // nothing was done since the turn ended
  // What the turn has for others.
  std::map<raft::NodeId, replica::FrameWriter> outbox_;
};

}  // namespace holdfast::sim
