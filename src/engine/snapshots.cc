#include "engine/snapshots.h"

#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "storage/store_switch.h"

namespace holdfast::engine {
namespace {

constexpr uint64_t kTickMs = 10;

}  // namespace

Snapshots::Snapshots(Core* core)
    : core_(core),
      sender_(this, RandomSeed()),
      receiver_(this),
      timer_(&core->loop()),
      thread_("hf-snap-" + std::to_string(core->number())) {}

Snapshots::~Snapshots() { Stop(); }

void Snapshots::Stop() { thread_.Stop(); }

void Snapshots::Send(Partition* partition, raft::NodeId peer) {
  sender_.Start(partition->number(), peer, partition->replica()->term());
  Wake();
}

void Snapshots::OnItem(raft::NodeId from, replica::SnapshotItem item) {
  receiver_.OnItem(from, std::move(item));
  if (!receiver_.idle()) Wake();
}

void Snapshots::OnAck(raft::NodeId from, const replica::SnapshotAck& ack) {
  sender_.OnAck(from, ack);
}

Snapshots::Last Snapshots::LastOf(uint32_t partition) const {
  const auto it = last_.find(partition);
  return it == last_.end() ? Last() : it->second;
}

// ---- Time

void Snapshots::Wake() {
  if (!timer_.active()) timer_.Start(kTickMs, kTickMs, [this] { Tick(); });
}

void Snapshots::Tick() {
  sender_.Tick();
  receiver_.Tick();
  if (sender_.idle() && receiver_.idle()) timer_.Stop();
}

int64_t Snapshots::NowMs() const { return core_->clock().MonotonicMs(); }

void Snapshots::RunIo(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
  const bool posted =
      thread_.TryPost([core = core_, work = std::move(work), done = std::move(done)]() mutable {
        work();
        work = nullptr;  // what it held goes here, not on the loop
        if (done != nullptr) core->PostFromAnyThread(std::move(done));
      });
  CHECK_MSG(posted, "the snapshots' queue is bounded by their windows");
}

// ---- Sending

bool Snapshots::SendItem(raft::NodeId to, std::string_view item) {
  replica::Transport* const transport = core_->transport();
  return transport != nullptr && transport->Send(to, replica::ItemKind::kSnapshot, item);
}

std::shared_ptr<storage::Store> Snapshots::StoreOf(uint32_t partition) {
  return core_->persister().StoreOf(core_->FindPartition(partition));
}

bool Snapshots::IsNeeded(uint32_t partition, raft::NodeId peer, uint64_t term) const {
  const raft::Group& group = core_->FindPartition(partition)->replica()->group();
  if (group.role() != raft::Role::kLeader || group.term() != term) return false;
  const std::optional<raft::PeerStatus> status = group.StatusOf(peer);
  return status.has_value() && status->snapshot;
}

void Snapshots::Ended(uint32_t partition, const raft::SnapshotStatus& status) {
  if (status.ok) last_[partition].sent_index = status.position.index;
  core_->FindPartition(partition)->replica()->SnapshotEnded(status);
}

uint64_t Snapshots::BytesPerSecond() const { return core_->config().cluster_snapshot_rate; }

// ---- Receiving

void Snapshots::SendAck(raft::NodeId to, const replica::SnapshotAck& ack) {
  if (core_->transport() == nullptr) return;
  // A lost one is asked for again.
  core_->transport()->Send(to, replica::ItemKind::kSnapshotAck, replica::EncodeSnapshotAck(ack));
}

bool Snapshots::Leads(uint32_t partition) const {
  return core_->FindPartition(partition)->replica()->group().role() == raft::Role::kLeader;
}

bool Snapshots::WantsSnapshot(uint32_t partition, raft::LogPosition last) const {
  return core_->FindPartition(partition)->replica()->group().WantsSnapshot(last);
}

bool Snapshots::HasRoom() const { return !core_->DiskIsFull(); }

std::shared_ptr<data::SnapshotWriter> Snapshots::NewWriter(uint32_t partition) {
  Engine& engine = core_->engine();
  return std::make_shared<data::SnapshotWriter>(&engine.store_factory(core_->number()),
                                                storage::IncomingPath(engine.StorePath(partition)),
                                                engine.identity().node_id, partition);
}

std::unique_ptr<data::Keyspace> Snapshots::NewKeyspace(uint32_t partition) const {
  return core_->FindPartition(partition)->NewKeyspace();
}

SnapshotReceiver::Switching Snapshots::SwitchIn(std::shared_ptr<ReceivedSnapshot> snapshot) {
  Partition* const partition = core_->FindPartition(snapshot->partition);
  replica::Replica* const replica = partition->replica();
  if (!replica->group().WantsSnapshot(snapshot->install.last)) {
    return SnapshotReceiver::Switching::kNoNews;
  }
  if (!partition->follows() || !core_->persister().CanLend(partition)) {
    return SnapshotReceiver::Switching::kNotNow;
  }
  // This node may have led a moment ago: its readers go before the store does.
  sender_.Drop(partition->number());
  replica->Freeze();
  struct Opened {
    std::shared_ptr<storage::Store> store;
    uint64_t bytes = 0;
  };
  auto opened = std::make_shared<Opened>();
  opened->store = core_->persister().Lend(partition);
  RunIo(
      [snapshot, opened, path = core_->engine().StorePath(partition->number()),
       factory = &core_->engine().store_factory(core_->number())] {
        CHECK_MSG(opened->store.use_count() == 1, "a store is read while its place is taken");
        opened->store.reset();
        snapshot->writer->Close();
        const Status status = storage::SwitchStores(factory, path);
        if (!status.ok()) Fatal("a snapshot can't be switched in, ending: " + status.message());
        Result<std::unique_ptr<storage::Store>> store = factory->Open(path);
        if (!store.ok()) Fatal("a snapshot can't be opened, ending: " + store.status().message());
        opened->store = std::move(store).value();
        opened->bytes = opened->store->ApproximateBytes("", "");
      },
      [this, snapshot, opened] {
        SwitchedIn(snapshot.get(), std::move(opened->store), opened->bytes);
      });
  return SnapshotReceiver::Switching::kUnderWay;
}

void Snapshots::SwitchedIn(ReceivedSnapshot* snapshot, std::shared_ptr<storage::Store> store,
                           uint64_t bytes) {
  Partition* const partition = core_->FindPartition(snapshot->partition);
  const raft::LogPosition last = snapshot->install.last;
  std::shared_ptr<data::Keyspace> replaced =
      partition->Replace(std::move(snapshot->keyspace), last.index);
  core_->persister().Return(partition, std::move(store), last.index, last.term, bytes);
  core_->persister().FreeLater(std::move(replaced));
  partition->replica()->Install(snapshot->install);
  last_[snapshot->partition].installed_index = last.index;
  LogNotice("partition {}: its state is the snapshot of index {} now", snapshot->partition,
            last.index);
  receiver_.Switched(snapshot->partition);
}

}  // namespace holdfast::engine
