// Snapshots of one core's partitions, to and from other nodes: brings the sender and the receiver
// together with links, stores, groups and a thread for their disk work, and switches a complete
// snapshot in (raft/README.md, duty 13):
//
//   loop         wanted? freeze the group, take the store from the persister
//   I/O thread   close both stores, switch them (storage/store_switch.h), open
//   loop         keyspace into the partition, store to the persister, group.Install
//
// Any failure of the partition's own store ends the process, which starts with the old state or the
// new one. A failure of the store beside it ends the transfer.
//
// Loop thread of the owning core only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/snapshot_receiver.h"
#include "engine/snapshot_sender.h"
#include "net/event_loop.h"
#include "storage/io_thread.h"

namespace holdfast::engine {

class Core;
class Partition;

class Snapshots final : private SnapshotSender::Host, private SnapshotReceiver::Host {
 public:
  explicit Snapshots(Core* core);
  ~Snapshots() override;

  // `peer` waits for a snapshot of this partition, which is led here.
  void Send(Partition* partition, raft::NodeId peer);
  // Of partitions of this core.
  void OnItem(raft::NodeId from, replica::SnapshotItem item);
  void OnAck(raft::NodeId from, const replica::SnapshotAck& ack);
  // Ends the thread. REQUIRES: the loop does not run any more.
  void Stop();

  // For INFO: the positions of the last ones since this node started; 0: none.
  struct Last {
    uint64_t sent_index = 0;
    uint64_t installed_index = 0;
  };
  Last LastOf(uint32_t partition) const;

 private:
  // ---- SnapshotSender::Host and SnapshotReceiver::Host
  int64_t NowMs() const override;
  void RunIo(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override;
  bool SendItem(raft::NodeId to, std::string_view item) override;
  std::shared_ptr<storage::Store> StoreOf(uint32_t partition) override;
  bool IsNeeded(uint32_t partition, raft::NodeId peer, uint64_t term) const override;
  void Ended(uint32_t partition, const raft::SnapshotStatus& status) override;
  uint64_t BytesPerSecond() const override;
  void SendAck(raft::NodeId to, const replica::SnapshotAck& ack) override;
  bool Leads(uint32_t partition) const override;
  bool WantsSnapshot(uint32_t partition, raft::LogPosition last) const override;
  bool HasRoom() const override;
  std::shared_ptr<data::SnapshotWriter> NewWriter(uint32_t partition) override;
  std::unique_ptr<data::Keyspace> NewKeyspace(uint32_t partition) const override;
  SnapshotReceiver::Switching SwitchIn(std::shared_ptr<ReceivedSnapshot> snapshot) override;

  void SwitchedIn(ReceivedSnapshot* snapshot, std::shared_ptr<storage::Store> store,
                  uint64_t bytes);
  void Wake();
  void Tick();

  Core* const core_;
  SnapshotSender sender_;
  SnapshotReceiver receiver_;
  net::Timer timer_;
  absl::flat_hash_map<uint32_t, Last> last_;
  storage::IoThread thread_;  // last: ends before what it works for
};

}  // namespace holdfast::engine
