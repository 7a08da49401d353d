// The snapshots of one simulated node: as engine::Snapshots, with steps in place of the I/O thread.
// The sender, the receiver and the switch of stores are the real ones.
#pragma once

#include <deque>
#include <memory>
#include <string_view>

#include "engine/snapshot_receiver.h"
#include "engine/snapshot_sender.h"
#include "mutants.h"

namespace holdfast::engine {
class Partition;
}

namespace holdfast::sim {

class Node;

class Snapshots final : private engine::SnapshotSender::Host,
                        private engine::SnapshotReceiver::Host {
 public:
  // Transfers are numbered from `first_transfer`.
  Snapshots(Node* node, uint64_t first_transfer);

  void Send(engine::Partition* partition, raft::NodeId peer);
  void OnItem(raft::NodeId from, replica::SnapshotItem item);
  void OnAck(raft::NodeId from, const replica::SnapshotAck& ack);
  void Tick();
  // The I/O thread does the oldest of what is posted. REQUIRES: HasWork().
  void Step();
  bool HasWork() const { return !work_.empty(); }
  // The loop hears of what is done.
  void Completions();

  // The last step was the switch of a store.
  bool switched() const { return switched_; }

  uint64_t sent() const { return sent_; }
  uint64_t installed() const { return installed_; }

 private:
  using Work = absl::AnyInvocable<void()>;
  struct Posted {
    Work work;
    Work done;
  };

  // ---- SnapshotSender::Host and SnapshotReceiver::Host
  int64_t NowMs() const override;
  void RunIo(Work work, Work done) override;
  bool SendItem(raft::NodeId to, std::string_view item) override;
  std::shared_ptr<storage::Store> StoreOf(uint32_t partition) override;
  bool IsNeeded(uint32_t partition, raft::NodeId peer, uint64_t term) const override;
  void Ended(uint32_t partition, const raft::SnapshotStatus& status) override;
  uint64_t BytesPerSecond() const override;
  void SendAck(raft::NodeId to, const replica::SnapshotAck& ack) override;
  bool Leads(uint32_t partition) const override;
  bool WantsSnapshot(uint32_t partition, raft::LogPosition last) const override;
  bool HasRoom() const override { return true; }
  std::shared_ptr<data::SnapshotWriter> NewWriter(uint32_t partition) override;
  std::unique_ptr<data::Keyspace> NewKeyspace(uint32_t partition) const override;
  engine::SnapshotReceiver::Switching SwitchIn(
      std::shared_ptr<engine::ReceivedSnapshot> snapshot) override;

  void Switch(uint32_t partition, engine::ReceivedSnapshot* snapshot,
              std::shared_ptr<storage::Store>* store);
  void SwitchedIn(engine::ReceivedSnapshot* snapshot, std::shared_ptr<storage::Store> store);

  Node* const node_;
  const Mutant mutant_;
  engine::SnapshotSender sender_;
  engine::SnapshotReceiver receiver_;
  std::deque<Posted> work_;
  std::deque<Work> done_;
  bool switched_ = false;
  uint64_t sent_ = 0;
  uint64_t installed_ = 0;
};

}  // namespace holdfast::sim
