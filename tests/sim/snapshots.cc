#include "snapshots.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "node.h"
#include "storage/store_switch.h"

namespace holdfast::sim {

using Switching = engine::SnapshotReceiver::Switching;

Snapshots::Snapshots(Node* node, uint64_t first_transfer)
    : node_(node),
      mutant_(node->options().mutant),
      sender_(this, first_transfer),
      receiver_(this) {}

void Snapshots::Send(engine::Partition* partition, raft::NodeId peer) {
  sender_.Start(partition->number(), peer, partition->replica()->term());
}

void Snapshots::OnItem(raft::NodeId from, replica::SnapshotItem item) {
  receiver_.OnItem(from, std::move(item));
}

void Snapshots::OnAck(raft::NodeId from, const replica::SnapshotAck& ack) {
  sender_.OnAck(from, ack);
}

void Snapshots::Tick() {
  if (!sender_.idle()) sender_.Tick();
  if (!receiver_.idle()) receiver_.Tick();
}

void Snapshots::RunIo(Work work, Work done) { work_.push_back({std::move(work), std::move(done)}); }

void Snapshots::Step() {
  Posted posted = std::move(work_.front());
  work_.pop_front();
  switched_ = false;
  posted.work();
  posted.work = nullptr;
  if (posted.done != nullptr) done_.push_back(std::move(posted.done));
}

void Snapshots::Completions() {
  while (!done_.empty() && !node_->dead()) {
    Work done = std::move(done_.front());
    done_.pop_front();
    done();
  }
}

int64_t Snapshots::NowMs() const { return node_->clock().MonotonicMs(); }

// ---- Sending

bool Snapshots::SendItem(raft::NodeId to, std::string_view item) {
  return node_->options().surroundings->SendItem(to, replica::ItemKind::kSnapshot, item);
}

std::shared_ptr<storage::Store> Snapshots::StoreOf(uint32_t partition) {
  return node_->StoreOf(partition);
}

bool Snapshots::IsNeeded(uint32_t partition, raft::NodeId peer, uint64_t term) const {
  const raft::Group& group = node_->group(partition);
  if (group.role() != raft::Role::kLeader || group.term() != term) return false;
  const std::optional<raft::PeerStatus> status = group.StatusOf(peer);
  return status.has_value() && status->snapshot;
}

void Snapshots::Ended(uint32_t partition, const raft::SnapshotStatus& status) {
  if (status.ok) ++sent_;
  node_->partition(partition)->replica()->SnapshotEnded(status);
}

uint64_t Snapshots::BytesPerSecond() const { return node_->options().snapshot_rate; }

// ---- Receiving

void Snapshots::SendAck(raft::NodeId to, const replica::SnapshotAck& ack) {
  node_->options().surroundings->SendItem(to, replica::ItemKind::kSnapshotAck,
                                          replica::EncodeSnapshotAck(ack));
}

bool Snapshots::Leads(uint32_t partition) const {
  return node_->group(partition).role() == raft::Role::kLeader;
}

bool Snapshots::WantsSnapshot(uint32_t partition, raft::LogPosition last) const {
  return node_->group(partition).WantsSnapshot(last);
}

std::shared_ptr<data::SnapshotWriter> Snapshots::NewWriter(uint32_t partition) {
  return std::make_shared<data::SnapshotWriter>(&node_->disks()->directories,
                                                storage::IncomingPath(std::to_string(partition)),
                                                node_->options().id, partition);
}

std::unique_ptr<data::Keyspace> Snapshots::NewKeyspace(uint32_t partition) const {
  return node_->partition(partition)->NewKeyspace();
}

Switching Snapshots::SwitchIn(std::shared_ptr<engine::ReceivedSnapshot> snapshot) {
  const uint32_t number = snapshot->partition;
  engine::Partition* const partition = node_->partition(number);
  if (!WantsSnapshot(number, snapshot->install.last)) return Switching::kNoNews;
  if (!partition->follows() || !node_->CanLend(number)) return Switching::kNotNow;
  sender_.Drop(number);
  partition->replica()->Freeze();
  auto store = std::make_shared<std::shared_ptr<storage::Store>>(node_->Lend(number));
  RunIo([this, number, snapshot, store] { Switch(number, snapshot.get(), store.get()); },
        [this, snapshot, store] { SwitchedIn(snapshot.get(), std::move(*store)); });
  return Switching::kUnderWay;
}

void Snapshots::Switch(uint32_t partition, engine::ReceivedSnapshot* snapshot,
                       std::shared_ptr<storage::Store>* store) {
  CHECK_MSG(store->use_count() == 1, "a store is read while its place is taken");
  store->reset();
  snapshot->writer->Close();
  DirectoryFaults* const stores = &node_->disks()->directories;
  const std::string path = std::to_string(partition);
  if (!storage::SwitchStores(stores, path).ok()) {
    node_->Die();
    return;
  }
  Result<std::unique_ptr<storage::Store>> opened = stores->Open(path);
  if (!opened.ok()) {
    node_->Die();
    return;
  }
  *store = std::move(opened).value();
  switched_ = true;
}

void Snapshots::SwitchedIn(engine::ReceivedSnapshot* snapshot,
                           std::shared_ptr<storage::Store> store) {
  engine::Partition* const partition = node_->partition(snapshot->partition);
  if (mutant_ == Mutant::kSnapshotAhead) ++snapshot->install.last.index;
  if (mutant_ == Mutant::kSnapshotOfMembers) {
    snapshot->install.membership = node_->options().founding;
  }
  const uint64_t index = snapshot->install.last.index;
  if (mutant_ == Mutant::kSwitchForgetsMemory) snapshot->keyspace = partition->NewKeyspace();
  partition->Replace(std::move(snapshot->keyspace), index);
  node_->Return(snapshot->partition, std::move(store), index);
  partition->replica()->Install(snapshot->install);
  ++installed_;
  receiver_.Switched(snapshot->partition);
}

}  // namespace holdfast::sim
