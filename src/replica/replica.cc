#include "replica/replica.h"

#include <utility>

#include "base/check.h"

namespace holdfast::replica {
namespace {

storage::WalKind KindOf(raft::EntryKind kind) {
  switch (kind) {
    case raft::EntryKind::kNoop:
      return storage::WalKind::kNoop;
    case raft::EntryKind::kData:
      return storage::WalKind::kData;
    case raft::EntryKind::kConfiguration:
      return storage::WalKind::kConfiguration;
  }
  CHECK_MSG(false, "an entry of an unknown kind");
  return storage::WalKind::kNoop;
}

}  // namespace

Replica::Replica(Host* host, uint32_t partition, std::unique_ptr<raft::Group> group,
                 StateMachine* machine)
    : host_(host), partition_(partition), group_(std::move(group)), machine_(machine) {}

raft::Proposal Replica::Propose(raft::Payload payload) {
  Step(raft::Propose{std::move(payload)});
  CHECK(update_.proposal.has_value());
  return *update_.proposal;
}

void Replica::ReadRound(uint64_t round) {
  // The clock now, after the reads have arrived (P08).
  const auto now_ms = static_cast<uint64_t>(host_->clock_->MonotonicMs());
  Step(raft::ReadIndex{.round = round, .now_ms = now_ms, .forward = true});
}

raft::Proposal Replica::ChangeMembership(raft::ChangeMembership change) {
  if (frozen_) return {.refusal = raft::Refusal::kNotLeader};
  machine_->BeforeOwnEntry();
  Step(std::move(change));
  CHECK(update_.proposal.has_value());
  return *update_.proposal;
}

raft::Refusal Replica::Transfer(raft::NodeId to) {
  if (frozen_) return raft::Refusal::kNotLeader;
  machine_->BeforeOwnEntry();
  Step(raft::TransferLeadership{to});
  CHECK(update_.transfer.has_value());
  return *update_.transfer;
}

void Replica::Compact(uint64_t index) { Step(raft::Compact{group_->CompactionIndex(index)}); }

void Replica::Deliver(raft::Message message) {
  if (!frozen_) Step(raft::Event(std::move(message)));
}

void Replica::SnapshotEnded(const raft::SnapshotStatus& status) {
  if (!frozen_) Step(status);
}

void Replica::Freeze() {
  CHECK(!frozen_ && !stepping_);
  frozen_ = true;
}

void Replica::Install(raft::InstallSnapshot snapshot) {
  CHECK(frozen_);
  frozen_ = false;
  Step(std::move(snapshot));
  CHECK_MSG(update_.installed.has_value(), "a snapshot that is no news was switched in");
  if (!completed_frozen_.has_value()) return;
  const raft::Ticket ticket = *completed_frozen_;
  completed_frozen_.reset();
  Step(raft::Persisted{ticket});
}

// Records go into the batch before anything else, so that what waits for them waits for the right
// frame; then messages leave, then entries are applied.
void Replica::Step(const raft::Event& event) {
  CHECK_MSG(!stepping_, "a state machine called back into its group");
  CHECK_MSG(!frozen_, "an event while a snapshot is switched in");
  if (group_->changing() && !std::holds_alternative<raft::Propose>(event)) {
    machine_->BeforeOwnEntry();
  }
  stepping_ = true;
  group_->Step(event, &update_);
  Persist(update_);
  Send(&update_);
  if (update_.standing.has_value()) {
    if (update_.standing->ready) ++elections_won_;
  }
  machine_->OnCommit(update_.commit_index, update_.apply_first, update_.apply_last);
  if (update_.standing.has_value()) machine_->OnStanding(*update_.standing);
  for (const raft::ReadAnswer& answer : update_.reads) machine_->OnReads(answer);
  for (const raft::NodeId peer : update_.snapshots_to_send) machine_->OnSnapshotWanted(peer);
  stepping_ = false;
}

void Replica::Persist(const raft::Update& update) {
  if (!update.ticket.has_value()) return;
  if (update.hard_state.has_value()) {
    host_->batch_.AddHardState(partition_, update.hard_state->term, update.hard_state->voted_for);
  }
  if (update.reset.has_value()) {
    host_->batch_.AddReset(partition_, update.reset->term, update.reset->index);
  }
  for (const raft::Entry& entry : update.append) {
    host_->batch_.AddEntry(KindOf(entry.kind), partition_, entry.term, entry.index,
                           entry.payload == nullptr ? std::string_view() : *entry.payload);
  }
  if (!has_unsubmitted_) {
    has_unsubmitted_ = true;
    host_->in_batch_.push_back(this);
  }
  unsubmitted_ = *update.ticket;
}

void Replica::Send(raft::Update* update) {
  for (raft::Outgoing& out : update->messages) {
    if (out.after == 0) {
      CHECK_MSG(host_->sink_ != nullptr, "a message without a way to leave");
      host_->sink_->Send(partition_, out.message);
    } else {
      held_.push_back(std::move(out));
    }
  }
}

// What was promised stays promised while frozen; only the group hears of it later.
void Replica::Complete(const raft::Ticket& ticket) {
  Release(ticket.sequence);
  if (frozen_) {
    completed_frozen_ = ticket;
  } else {
    Step(raft::Persisted{ticket});
  }
}

void Replica::Release(uint64_t sequence) {
  size_t kept = 0;
  for (size_t i = 0; i < held_.size(); ++i) {
    if (held_[i].after <= sequence) {
      host_->sink_->Send(partition_, held_[i].message);
      continue;
    }
    if (kept != i) held_[kept] = std::move(held_[i]);
    ++kept;
  }
  held_.resize(kept);
}

Result<Replica*> Host::Add(uint32_t partition, const raft::GroupConfig& config,
                           raft::Restored restored, StateMachine* machine) {
  Result<std::unique_ptr<raft::Group>> group = raft::Group::Create(config, std::move(restored));
  if (!group.ok()) return group.status();
  replicas_.push_back(
      std::make_unique<Replica>(this, partition, std::move(group).value(), machine));
  return replicas_.back().get();
}

void Host::Tick() {
  const auto now_ms = static_cast<uint64_t>(clock_->MonotonicMs());
  for (const auto& replica : replicas_) {
    if (replica->group_->needs_ticks() && !replica->frozen()) replica->Step(raft::Tick{now_ms});
  }
}

bool Host::NeedsTicks() const {
  for (const auto& replica : replicas_) {
    if (replica->group_->needs_ticks()) return true;
  }
  return false;
}

void Host::Deliver(uint32_t partition, raft::Message message) {
  for (const auto& replica : replicas_) {
    if (replica->partition() != partition) continue;
    replica->Deliver(std::move(message));
    return;
  }
}

bool Host::EndTurn() {
  if (in_batch_.empty()) return false;
  const uint64_t log_ticket = log_->Submit(std::move(batch_));
  batch_.Clear();
  for (Replica* replica : in_batch_) {
    submitted_.push_back({log_ticket, replica, replica->unsubmitted_});
    replica->has_unsubmitted_ = false;
  }
  in_batch_.clear();
  return true;
}

void Host::OnDurable() {
  const uint64_t durable = log_->durable_ticket();
  completed_.clear();
  while (!submitted_.empty() && submitted_.front().log_ticket <= durable) {
    // One completion a group is enough: it covers the earlier ones.
    bool newer = false;
    for (Submitted& done : completed_) {
      if (done.replica != submitted_.front().replica) continue;
      done = submitted_.front();
      newer = true;
    }
    if (!newer) completed_.push_back(submitted_.front());
    submitted_.pop_front();
  }
  for (const Submitted& done : completed_) {
    done.replica->Complete(done.ticket);
  }
}

uint64_t Host::uncommitted_bytes() const {
  uint64_t bytes = 0;
  for (const auto& replica : replicas_) bytes += replica->group_->uncommitted_bytes();
  return bytes;
}

}  // namespace holdfast::replica
