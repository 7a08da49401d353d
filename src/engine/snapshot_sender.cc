#include "engine/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "raft/membership.h"

namespace holdfast::engine {
namespace {

using replica::SnapshotItem;
using replica::SnapshotItemType;

// How far sending may run ahead of its rate: it isn't looked at more often.
constexpr int64_t kBurstMs = 20;

}  // namespace

SnapshotSender::SnapshotSender(Host* host, uint64_t first_transfer)
    : host_(host), next_transfer_(first_transfer) {}

SnapshotSender::Transfer* SnapshotSender::Find(uint64_t number) {
  for (const auto& transfer : transfers_) {
    if (transfer->number == number) return transfer.get();
  }
  return nullptr;
}

void SnapshotSender::Start(uint32_t partition, raft::NodeId peer, uint64_t term) {
  for (const auto& transfer : transfers_) {
    if (transfer->partition != partition || transfer->peer != peer) continue;
    Remove(transfer->number);
    break;
  }
  auto transfer = std::make_unique<Transfer>();
  transfer->partition = partition;
  transfer->peer = peer;
  transfer->term = term;
  transfer->number = next_transfer_++;
  transfers_.push_back(std::move(transfer));
}

// Not from inside Start, which the group calls: the store is looked at in a later turn.
void SnapshotSender::Activate() {
  size_t active = 0;
  for (const auto& transfer : transfers_) active += transfer->active ? 1 : 0;
  for (const auto& transfer : transfers_) {
    if (active >= kMaxActive) return;
    if (transfer->active) continue;
    const Failures* const failures = FailuresOf(transfer->partition, transfer->peer);
    if (failures != nullptr && host_->NowMs() < failures->until_ms) continue;
    ++active;
    transfer->active = true;
    transfer->heard_ms = transfer->progress_ms = host_->NowMs();
    transfer->reader = std::make_shared<std::unique_ptr<data::SnapshotReader>>();
    Read(transfer.get());
  }
}

// ---- The I/O thread reads

void SnapshotSender::Read(Transfer* transfer) {
  CHECK(!transfer->reading && !transfer->complete);
  transfer->reading = true;
  auto piece = std::make_shared<Piece>();
  SnapshotItem item;
  item.partition = transfer->partition;
  item.transfer = transfer->number;
  item.term = transfer->term;
  item.sequence = transfer->first + transfer->window.size();
  std::shared_ptr<storage::Store> store;
  if (transfer->begin.empty()) store = host_->StoreOf(transfer->partition);
  auto work = [reader = transfer->reader, piece, item, store]() mutable {
    if (*reader == nullptr) {
      Result<std::unique_ptr<data::SnapshotReader>> opened =
          data::SnapshotReader::Open(std::move(store));
      piece->status = opened.status();
      if (!opened.ok()) return;
      *reader = std::move(opened).value();
      Result<raft::Membership> members = raft::DecodeMembership((*reader)->membership());
      piece->status = members.status();
      if (!members.ok()) return;
      SnapshotItem begin = item;
      begin.sequence = 0;
      begin.position = piece->position = {(*reader)->applied().index, (*reader)->applied().term};
      begin.membership = std::move(members).value();
      piece->begin = replica::EncodeSnapshotItem(begin);
    }
    Result<bool> more = (*reader)->Next(kChunkBytes, &item.records);
    piece->status = more.status();
    if (!more.ok()) return;
    piece->last = !more.value();
    item.type = piece->last ? SnapshotItemType::kEnd : SnapshotItemType::kChunk;
    item.record_count = (*reader)->records();
    piece->item = replica::EncodeSnapshotItem(item);
  };
  host_->RunIo(std::move(work),
               [this, number = transfer->number, piece] { TakePiece(number, piece.get()); });
}

void SnapshotSender::TakePiece(uint64_t number, Piece* piece) {
  Transfer* const transfer = Find(number);
  if (transfer == nullptr) return;
  transfer->reading = false;
  // Leadership may have ended since: the store goes on in a later term then, and what was read of
  // it would be announced in one that it is ahead of.
  if (!host_->IsNeeded(transfer->partition, transfer->peer, transfer->term)) {
    Remove(number);
    return;
  }
  if (!piece->status.ok()) {
    LogWarning("partition {}: its snapshot can't be read: {}", transfer->partition,
               piece->status.message());
    End(number, false);
    return;
  }
  if (!piece->begin.empty()) {
    transfer->begin = std::move(piece->begin);
    transfer->position = piece->position;
    LogNotice("partition {}: sends a snapshot of index {} to node {:016x}", transfer->partition,
              transfer->position.index, transfer->peer);
    Ask(transfer);
  }
  transfer->complete = piece->last;
  transfer->window.push_back(std::move(piece->item));
  Pump(transfer);
}

// ---- What is said

void SnapshotSender::Ask(Transfer* transfer) {
  transfer->asked_ms = host_->NowMs();
  transfer->asked = true;
  host_->SendItem(transfer->peer, transfer->begin);
}

void SnapshotSender::Pump(Transfer* transfer) {
  const int64_t now_ms = host_->NowMs();
  const uint64_t end = transfer->first + transfer->window.size();
  while (transfer->accepted && transfer->sent < end && now_ms + kBurstMs >= free_at_ms_) {
    const std::string& item = transfer->window[transfer->sent - transfer->first];
    if (!host_->SendItem(transfer->peer, item)) break;  // Tick tries again
    ++transfer->sent;
    // The part of a millisecond that is lost makes small chunks faster, which doesn't matter.
    free_at_ms_ = std::max(free_at_ms_, now_ms) +
                  static_cast<int64_t>(item.size() * 1000 / host_->BytesPerSecond());
  }
  if (transfer->active && !transfer->reading && !transfer->complete &&
      transfer->window.size() < kWindow) {
    Read(transfer);
  }
}

void SnapshotSender::OnAck(raft::NodeId from, const replica::SnapshotAck& ack) {
  Transfer* const transfer = Find(ack.transfer);
  if (transfer == nullptr || transfer->peer != from || transfer->partition != ack.partition) return;
  if (transfer->begin.empty()) return;
  const int64_t now_ms = host_->NowMs();
  transfer->heard_ms = now_ms;
  switch (ack.answer) {
    case replica::SnapshotAnswer::kDone:
      End(ack.transfer, true);
      return;
    case replica::SnapshotAnswer::kFailed:
      LogNotice("partition {}: node {:016x} doesn't take the snapshot of index {}",
                transfer->partition, from, transfer->position.index);
      End(ack.transfer, false);
      return;
    case replica::SnapshotAnswer::kBusy:
      transfer->asked = false;
      transfer->asked_ms = now_ms;
      return;
    case replica::SnapshotAnswer::kGoOn:
      break;
  }
  if (ack.next < transfer->first || ack.next > transfer->first + transfer->window.size()) {
    // The receiver has begun anew, or says what can't be.
    End(ack.transfer, false);
    return;
  }
  transfer->accepted = true;
  for (; transfer->first < ack.next; ++transfer->first) {
    transfer->window.pop_front();
    transfer->progress_ms = now_ms;
  }
  // The answer to a question, or as good as one: what is not written may have been lost.
  if (transfer->asked) transfer->sent = transfer->first;
  transfer->asked = false;
  transfer->sent = std::max(transfer->sent, transfer->first);
  Pump(transfer);
}

void SnapshotSender::Tick() {
  const int64_t now_ms = host_->NowMs();
  std::vector<uint64_t> numbers;
  for (const auto& transfer : transfers_) numbers.push_back(transfer->number);
  for (const uint64_t number : numbers) {
    Transfer* const transfer = Find(number);
    if (transfer == nullptr) continue;
    if (!host_->IsNeeded(transfer->partition, transfer->peer, transfer->term)) {
      Remove(number);
      continue;
    }
    if (!transfer->active || transfer->begin.empty()) continue;
    if (now_ms - transfer->heard_ms >= kSilenceMs ||
        now_ms - transfer->progress_ms >= kNoProgressMs) {
      LogNotice("partition {}: gives up sending a snapshot to node {:016x}", transfer->partition,
                transfer->peer);
      End(number, false);
      continue;
    }
    if (now_ms - std::max(transfer->heard_ms, transfer->asked_ms) >= kAskAgainMs) Ask(transfer);
    Pump(transfer);
  }
  Activate();
}

// ---- The end

void SnapshotSender::End(uint64_t number, bool ok) {
  Transfer* const transfer = Find(number);
  CHECK(transfer != nullptr);
  const uint32_t partition = transfer->partition;
  const raft::SnapshotStatus status{transfer->peer, transfer->position, ok};
  NoteEnd(partition, transfer->peer, ok);
  Remove(number);
  // The group may ask for the next one from inside.
  host_->Ended(partition, status);
}

SnapshotSender::Failures* SnapshotSender::FailuresOf(uint32_t partition, raft::NodeId peer) {
  for (Failures& failures : failures_) {
    if (failures.partition == partition && failures.peer == peer) return &failures;
  }
  return nullptr;
}

void SnapshotSender::NoteEnd(uint32_t partition, raft::NodeId peer, bool ok) {
  const int64_t now_ms = host_->NowMs();
  // What is long past counts no more, so that the list stays as short as the cluster is small.
  std::erase_if(failures_, [&](const Failures& failures) {
    return now_ms - failures.until_ms > 2 * kMaxRetryMs ||
           (ok && failures.partition == partition && failures.peer == peer);
  });
  if (ok) return;
  Failures* failures = FailuresOf(partition, peer);
  if (failures == nullptr) {
    failures_.push_back({partition, peer, kRetryMs, 0});
    failures = &failures_.back();
  } else {
    failures->pause_ms = std::min(2 * failures->pause_ms, kMaxRetryMs);
  }
  failures->until_ms = now_ms + failures->pause_ms;
}

void SnapshotSender::Remove(uint64_t number) {
  const auto it = std::find_if(transfers_.begin(), transfers_.end(),
                               [number](const auto& t) { return t->number == number; });
  CHECK(it != transfers_.end());
  // The reader goes on its own thread, behind what that may be doing with it.
  auto reader = std::move((*it)->reader);
  transfers_.erase(it);
  if (reader == nullptr) return;
  host_->RunIo([reader = std::move(reader)] { reader->reset(); }, nullptr);
}

void SnapshotSender::Drop(uint32_t partition) {
  for (size_t i = transfers_.size(); i-- > 0;) {
    if (transfers_[i]->partition == partition) Remove(transfers_[i]->number);
  }
}

}  // namespace holdfast::engine
