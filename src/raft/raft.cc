// The facade, the dispatch of events, and what every update ends with.
#include "raft/raft.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"
#include "raft/core.h"
#include "raft/membership.h"

namespace holdfast::raft {

namespace {

Status ValidateConfig(const GroupConfig& config) {
  if (config.self == kNoNode) return Status::InvalidArgument("raft: the node has no id");
  if (config.heartbeat_interval_ms == 0 ||
      config.election_timeout_ms < 2 * config.heartbeat_interval_ms) {
    return Status::InvalidArgument(
        "raft: the election timeout must be at least twice the heartbeat interval, which must be "
        "at least 1 ms");
  }
  if (config.max_append_bytes == 0 || config.max_inflight_appends == 0 ||
      config.max_inflight_bytes == 0 || config.max_uncommitted_bytes == 0 ||
      config.max_pending_reads == 0) {
    return Status::InvalidArgument("raft: every limit must be at least 1");
  }
  if (config.lease_reads && !config.lease_promises) {
    return Status::InvalidArgument("raft: a leader with leases has to promise what voters promise");
  }
  if (config.lease_reads &&
      config.election_timeout_ms <= config.heartbeat_interval_ms + config.lease_drift_ms) {
    return Status::InvalidArgument(
        "raft: a heartbeat interval and the drift of the clocks leave nothing for a lease");
  }
  return Status::Ok();
}

Status ValidateRestored(const Restored& restored) {
  const LogPosition applied = restored.applied;
  const std::vector<Entry>& entries = restored.entries;
  const auto at = [](uint64_t index) { return " at index " + std::to_string(index); };
  if ((applied.index == 0) != (applied.term == 0)) {
    return Status::Corruption("raft: the applied position has an index or a term, not both");
  }
  uint64_t last_term = applied.term;
  if (!entries.empty()) {
    if (entries.front().index == 0 || entries.front().index > applied.index + 1) {
      return Status::Corruption("raft: the log has a gap behind the applied index " +
                                std::to_string(applied.index));
    }
    if (entries.back().index < applied.index) {
      return Status::Corruption("raft: the log ends below the applied index " +
                                std::to_string(applied.index));
    }
    last_term = entries.front().index == applied.index + 1 ? applied.term : 0;
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (entry.index != entries.front().index + i) {
      return Status::Corruption("raft: the log has a gap" + at(entry.index));
    }
    if (entry.term == 0 || entry.term < last_term) {
      return Status::Corruption("raft: the log's terms go back" + at(entry.index));
    }
    if (entry.index == applied.index && entry.term != applied.term) {
      return Status::Corruption("raft: the log contradicts the applied term" + at(entry.index));
    }
    if (entry.kind == EntryKind::kConfiguration) {
      const auto membership =
          DecodeMembership(entry.payload == nullptr ? std::string_view() : *entry.payload);
      if (!membership.ok()) return membership.status();
    } else if (entry.kind != EntryKind::kNoop && entry.kind != EntryKind::kData) {
      return Status::Unsupported("raft: unknown kind of entry" + at(entry.index));
    }
    last_term = entry.term;
  }
  if (restored.hard_state.term < last_term) {
    return Status::Corruption("raft: the log holds an entry of a term beyond the stored one");
  }
  return ValidateMembership(restored.membership);
}

// Whether the log of a state machine that is an installed snapshot may not have been reset behind
// it (PITFALLS P15). One that begins right behind it was.
bool IsLeftOver(const Restored& restored) {
  const std::vector<Entry>& entries = restored.entries;
  if (!restored.installed) return false;
  if (entries.empty()) return true;
  if (entries.front().index > restored.applied.index) return false;
  const uint64_t i = restored.applied.index - entries.front().index;
  return i >= entries.size() || entries[i].term != restored.applied.term;
}

// Where the log in memory begins. When the entries reach down to the applied one or below, the
// first of them serves as the base, because its predecessor's term is not known.
LogPosition BaseOf(const Restored& restored) {
  if (restored.entries.empty()) return restored.applied;
  const Entry& first = restored.entries.front();
  if (first.index == restored.applied.index + 1) return restored.applied;
  if (first.index == 1) return {};
  return {.index = first.index, .term = first.term};
}

}  // namespace

// --- The facade --------------------------------------------------------------------------------

Result<std::unique_ptr<Group>> Group::Create(const GroupConfig& config, Restored restored) {
  RETURN_IF_ERROR(ValidateConfig(config));
  const bool left_over = IsLeftOver(restored);
  const HardState stored = restored.hard_state;
  if (left_over) {
    restored.entries.clear();
    // The term under which the snapshot came may not have been written; nobody voted in it here.
    if (stored.term < restored.applied.term) {
      restored.hard_state = {.term = restored.applied.term, .voted_for = kNoNode};
    }
  }
  RETURN_IF_ERROR(ValidateRestored(restored));
  auto core = std::make_unique<Core>(config, restored);
  if (left_over) core->ResetAtFirstStep(stored);
  return std::unique_ptr<Group>(new Group(std::move(core)));
}

Group::Group(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Group::~Group() = default;

void Group::Step(const Event& event, Update* out) { core_->Step(event, out); }

NodeId Group::self() const { return core_->config().self; }
Role Group::role() const { return core_->standing().role; }
uint64_t Group::term() const { return core_->standing().term; }
NodeId Group::leader() const { return core_->standing().leader; }
bool Group::ready() const { return core_->ready(); }
Standing Group::standing() const { return core_->standing(); }
const Membership& Group::membership() const { return core_->membership(); }
bool Group::changing() const { return core_->changing(); }
std::optional<PeerStatus> Group::StatusOf(NodeId peer) const { return core_->StatusOf(peer); }
uint64_t Group::first_index() const { return core_->log().first_index(); }
uint64_t Group::last_index() const { return core_->log().last_index(); }
uint64_t Group::commit_index() const { return core_->commit_index(); }
uint64_t Group::durable_index() const { return core_->durable_index(); }
uint64_t Group::applied_index() const { return core_->applied_index(); }
const Entry& Group::EntryAt(uint64_t index) const { return core_->log().EntryAt(index); }
uint64_t Group::TermAt(uint64_t index) const { return core_->log().TermAt(index); }
Fate Group::FateOf(uint64_t term, uint64_t index) const { return core_->FateOf(term, index); }
uint64_t Group::uncommitted_bytes() const { return core_->log().BytesAfter(core_->commit_index()); }
uint64_t Group::log_bytes() const { return core_->log().bytes(); }
uint64_t Group::CompactionIndex(uint64_t applied) const { return core_->CompactionIndex(applied); }
bool Group::WantsSnapshot(LogPosition last) const { return core_->WantsSnapshot(last); }
bool Group::needs_ticks() const { return core_->needs_ticks(); }

// --- The core ----------------------------------------------------------------------------------

Group::Core::Core(const GroupConfig& config, const Restored& restored)
    : config_(config),
      configurations_{{.index = 0, .membership = restored.membership}},
      log_(BaseOf(restored)),
      hard_state_(restored.hard_state),
      rng_(config.seed),
      durable_hard_state_(restored.hard_state),
      commit_index_(restored.applied.index),
      applied_index_(restored.applied.index),
      reads_(config.max_pending_reads),
      forwarded_(config.max_pending_reads) {
  UseConfiguration();
  for (const Entry& entry : restored.entries) {
    if (entry.index > log_.last_index()) log_.Append(entry);
    if (entry.index > applied_index_ && entry.kind == EntryKind::kConfiguration) {
      AdoptConfiguration(entry);
    }
  }
  durable_index_ = log_.last_index();
  RenewPromise();
  ResetElectionTimer();
  CheckInvariants();
}

void Group::Core::ResetAtFirstStep(const HardState& stored) {
  CHECK(issued_sequence_ == 0 && log_.last() == log_.base());
  restart_reset_ = true;
  durable_hard_state_ = stored;
}

void Group::Core::Step(const Event& event, Update* out) {
  out->Clear();
  out_ = out;
  const Standing before = standing();
  if (restart_reset_) {
    restart_reset_ = false;
    out->reset = log_.base();
    if (durable_hard_state_ != hard_state_) out->hard_state = hard_state_;
  }
  std::visit([this](const auto& e) { On(e); }, event);
  FinishUpdate(before);
  out_ = nullptr;
}

void Group::Core::On(const Tick& tick) {
  CHECK_MSG(!ticked_ || tick.now_ms >= now_ms_, "the clock went back");
  // However long nobody ticked, the group lived through one interval: after a stall the peers'
  // messages get the chance to be read before anything times out (PITFALLS P19).
  const uint64_t elapsed_ms =
      ticked_ ? std::min(tick.now_ms - now_ms_, config_.heartbeat_interval_ms) : 0;
  ticked_ = true;
  now_ms_ = tick.now_ms;
  NoteClock(tick.now_ms);
  promise_ms_ -= std::min(promise_ms_, elapsed_ms);
  TickForwarded(elapsed_ms);
  if (role_ == Role::kLeader) {
    TickLeader(elapsed_ms);
  } else {
    TickElection(elapsed_ms);
  }
}

void Group::Core::On(const Propose& propose) { out_->proposal = AppendProposal(propose.payload); }

void Group::Core::On(const Persisted& persisted) { TakeDurable(persisted.ticket); }

void Group::Core::On(const Compact& compact) {
  CHECK_MSG(compact.index <= applied_index_, "compacting entries that nobody has applied");
  if (compact.index >= log_.first_index()) log_.CompactThrough(compact.index);
}

void Group::Core::FinishUpdate(const Standing& before) {
  IssueTicket();
  out_->commit_index = commit_index_;
  const uint64_t applicable = std::min(commit_index_, durable_index_);
  if (applicable > applied_index_) {
    out_->apply_first = applied_index_ + 1;
    out_->apply_last = applicable;
    applied_index_ = applicable;
  }
  const Standing now = standing();
  CHECK_MSG(now.term >= before.term, "terms never decrease");
  if (now != before) out_->standing = now;
  CheckInvariants();
}

void Group::Core::CheckInvariants() const {
  CHECK(log_.base().index <= applied_index_);
  CHECK(applied_index_ <= commit_index_);
  CHECK(applied_index_ <= durable_index_);
  CHECK(commit_index_ <= log_.last_index());
  CHECK(durable_index_ <= log_.last_index());
  CHECK(durable_sequence_ <= issued_sequence_);
  CHECK(configurations_.front().index <= commit_index_);
  CHECK(forwarded_.empty() || (role_ == Role::kFollower && leader_ != kNoNode));
  CHECK(hard_state_.term >= log_.last().term);
  CHECK(hard_state_.term >= durable_hard_state_.term);
  if (alone_is_quorum_) {
    CHECK_MSG(commit_index_ <= durable_index_, "committed before the only disk had it");
  }
  if (role_ == Role::kLeader) {
    CHECK(leader_ == config_.self);
    CHECK_MSG(durable_hard_state_ == hard_state_, "leads on a vote that is not durable");
    CHECK(hard_state_.voted_for == config_.self);
    CHECK(term_start_index_ > 0 && log_.last().term == hard_state_.term);
    CHECK(!ready() || applied_index_ >= term_start_index_);
  } else {
    CHECK(leader_ != config_.self);
    CHECK_MSG(reads_.empty(), "only a leader has reads that wait");
    CHECK(transfer_to_ == kNoNode);
    CHECK(peers_.empty());
  }
}

Standing Group::Core::standing() const {
  return {.role = role_,
          .term = hard_state_.term,
          .leader = leader_,
          .ready = ready(),
          .transferring_to = transfer_to_};
}

Fate Group::Core::FateOf(uint64_t term, uint64_t index) const {
  CHECK(index >= log_.first_index());
  if (!log_.Contains({index, term})) return Fate::kLost;
  return index <= commit_index_ ? Fate::kCommitted : Fate::kPending;
}

}  // namespace holdfast::raft
