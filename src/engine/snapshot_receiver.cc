#include "engine/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "raft/membership.h"

namespace holdfast::engine {

using replica::SnapshotAnswer;
using replica::SnapshotItem;
using replica::SnapshotItemType;

SnapshotReceiver::Incoming* SnapshotReceiver::Find(uint32_t partition) {
  for (const auto& incoming : incoming_) {
    if (incoming->snapshot->partition == partition) return incoming.get();
  }
  return nullptr;
}

void SnapshotReceiver::Answer(raft::NodeId to, const SnapshotItem& item, SnapshotAnswer answer) {
  host_->SendAck(to, {answer, item.partition, item.transfer, 0});
}

void SnapshotReceiver::Answer(Incoming* incoming) {
  incoming->answered_ms = host_->NowMs();
  // The I/O thread may be at work for somebody else.
  const SnapshotAnswer answer = incoming->opened ? SnapshotAnswer::kGoOn : SnapshotAnswer::kBusy;
  host_->SendAck(incoming->from, {answer, incoming->snapshot->partition, incoming->transfer,
                                  incoming->written + 1});
}

// ---- What comes

void SnapshotReceiver::OnItem(raft::NodeId from, SnapshotItem item) {
  if (item.type == SnapshotItemType::kBegin) {
    Begin(from, std::move(item));
    return;
  }
  Incoming* const incoming = Find(item.partition);
  if (incoming == nullptr || incoming->from != from || incoming->transfer != item.transfer) {
    // Of a transfer that this process doesn't know (any more).
    Answer(from, item, SnapshotAnswer::kFailed);
    return;
  }
  incoming->heard_ms = host_->NowMs();
  // Repeated, or one before it was lost: what is acknowledged next tells the sender.
  if (incoming->state != State::kReceiving || item.sequence != incoming->next) return;
  if (incoming->next - incoming->written > kMaxQueued) return;
  if (!host_->HasRoom()) {
    Abandon(item.partition, SnapshotAnswer::kFailed, "the disk is full");
    return;
  }
  ++incoming->next;
  if (item.type == SnapshotItemType::kChunk) {
    TakeChunk(incoming, std::move(item));
  } else {
    TakeEnd(incoming, item);
  }
}

void SnapshotReceiver::Begin(raft::NodeId from, SnapshotItem item) {
  if (Incoming* const known = Find(item.partition)) {
    if (known->from == from && known->transfer == item.transfer) {
      known->heard_ms = host_->NowMs();
      Answer(known);
      return;
    }
    // The same leader has given the other one up; a later leader's comes before an earlier's.
    const bool replaces = item.term > known->snapshot->install.term ||
                          (known->from == from && item.term == known->snapshot->install.term);
    if (known->state == State::kSwitching || !replaces) {
      Answer(from, item, SnapshotAnswer::kBusy);
      return;
    }
    Abandon(item.partition, SnapshotAnswer::kFailed, "another one begins");
  }
  if (host_->Leads(item.partition) || !host_->HasRoom()) {
    Answer(from, item, SnapshotAnswer::kFailed);
    return;
  }
  if (!host_->WantsSnapshot(item.partition, item.position)) {
    Answer(from, item, SnapshotAnswer::kDone);
    return;
  }
  if (incoming_.size() >= kMaxIncoming) {
    Answer(from, item, SnapshotAnswer::kBusy);
    return;
  }
  LogNotice("partition {}: a snapshot of index {} comes from node {:016x}", item.partition,
            item.position.index, from);
  auto incoming = std::make_unique<Incoming>();
  incoming->from = from;
  incoming->transfer = item.transfer;
  incoming->heard_ms = host_->NowMs();
  incoming->snapshot = std::make_shared<ReceivedSnapshot>();
  incoming->snapshot->partition = item.partition;
  incoming->snapshot->install = {item.position, std::move(item.membership), item.term, from};
  incoming->snapshot->writer = host_->NewWriter(item.partition);
  auto writer = incoming->snapshot->writer;
  incoming_.push_back(std::move(incoming));
  auto status = std::make_shared<Status>();
  host_->RunIo([writer, status] { *status = writer->Open(); },
               [this, partition = item.partition, transfer = item.transfer, status] {
                 if (Incoming* const opened = Find(partition);
                     opened != nullptr && opened->transfer == transfer) {
                   opened->opened = true;
                 }
                 Done(partition, transfer, *status, 0);
               });
}

void SnapshotReceiver::TakeChunk(Incoming* incoming, SnapshotItem item) {
  auto status = std::make_shared<Status>();
  host_->RunIo(
      [writer = incoming->snapshot->writer, records = std::move(item.records), status] {
        // Behind a failed one nothing is written.
        if (writer->store() != nullptr) *status = writer->Add(records);
      },
      [this, partition = item.partition, transfer = item.transfer, number = item.sequence, status] {
        Done(partition, transfer, *status, number);
      });
}

void SnapshotReceiver::TakeEnd(Incoming* incoming, const SnapshotItem& item) {
  incoming->state = State::kLoading;
  auto status = std::make_shared<Status>();
  host_->RunIo(
      [snapshot = incoming->snapshot, count = item.record_count, host = host_, status] {
        if (snapshot->writer->store() == nullptr) return;
        const raft::LogPosition last = snapshot->install.last;
        *status = snapshot->writer->Finish(
            {last.index, last.term}, raft::EncodeMembership(snapshot->install.membership), count);
        if (!status->ok()) return;
        snapshot->keyspace = host->NewKeyspace(snapshot->partition);
        *status = data::LoadKeyspace(snapshot->writer->store(), snapshot->keyspace.get(), nullptr);
      },
      [this, partition = item.partition, transfer = item.transfer, number = item.sequence, status] {
        Done(partition, transfer, *status, number);
      });
}

void SnapshotReceiver::Done(uint32_t partition, uint64_t transfer, const Status& status,
                            uint64_t written) {
  Incoming* const incoming = Find(partition);
  if (incoming == nullptr || incoming->transfer != transfer) return;
  if (!status.ok()) {
    Abandon(partition, SnapshotAnswer::kFailed, status.message());
    return;
  }
  incoming->written = std::max(incoming->written, written);
  Answer(incoming);
  if (incoming->state != State::kLoading || incoming->written + 1 != incoming->next) return;
  incoming->state = State::kComplete;
  TrySwitch(incoming);
}

// ---- What becomes of it

void SnapshotReceiver::TrySwitch(Incoming* incoming) {
  CHECK(incoming->state == State::kComplete);
  switch (host_->SwitchIn(incoming->snapshot)) {
    case Switching::kNotNow:
      return;
    case Switching::kNoNews:
      Abandon(incoming->snapshot->partition, SnapshotAnswer::kDone, "it is no news any more");
      return;
    case Switching::kUnderWay:
      incoming->state = State::kSwitching;
      return;
  }
}

void SnapshotReceiver::Switched(uint32_t partition) {
  Incoming* const incoming = Find(partition);
  CHECK(incoming != nullptr && incoming->state == State::kSwitching);
  host_->SendAck(incoming->from,
                 {SnapshotAnswer::kDone, partition, incoming->transfer, incoming->next});
  std::erase_if(incoming_, [incoming](const auto& i) { return i.get() == incoming; });
}

void SnapshotReceiver::Abandon(uint32_t partition, SnapshotAnswer answer, const std::string& why) {
  Incoming* const incoming = Find(partition);
  CHECK(incoming != nullptr && incoming->state != State::kSwitching);
  LogNotice("partition {}: the snapshot of index {} is thrown away: {}", partition,
            incoming->snapshot->install.last.index, why);
  host_->SendAck(incoming->from, {answer, partition, incoming->transfer, 0});
  auto snapshot = std::move(incoming->snapshot);
  std::erase_if(incoming_, [incoming](const auto& i) { return i.get() == incoming; });
  host_->RunIo(
      [snapshot = std::move(snapshot)] {
        const Status status = snapshot->writer->Discard();
        if (!status.ok()) LogWarning("a snapshot can't be removed: {}", status.message());
        snapshot->keyspace.reset();
      },
      nullptr);
}

void SnapshotReceiver::Tick() {
  const int64_t now_ms = host_->NowMs();
  std::vector<uint32_t> partitions;
  for (const auto& incoming : incoming_) partitions.push_back(incoming->snapshot->partition);
  for (const uint32_t partition : partitions) {
    Incoming* const incoming = Find(partition);
    const bool waits =
        incoming->state == State::kReceiving && incoming->written + 1 == incoming->next;
    if (waits && now_ms - incoming->heard_ms >= kSilenceMs) {
      Abandon(partition, SnapshotAnswer::kFailed, "its sender is silent");
      continue;
    }
    // While it waits for items the sender is the one to speak.
    if (!waits && now_ms - incoming->answered_ms >= kSignOfLifeMs) Answer(incoming);
    if (incoming->state == State::kComplete) TrySwitch(incoming);
  }
}

}  // namespace holdfast::engine
