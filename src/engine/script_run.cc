#include "engine/script_run.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/errors.h"

namespace holdfast::engine {
namespace {

// A script has as long before anything else runs on its core; heartbeats may wait for that.
constexpr int64_t kFirstSliceNs = 10'000'000;
constexpr int64_t kSliceNs = 5'000'000;

bool MayRunScript(const Command& command) {
  return (command.acl & kAclScripting) != 0 && !command.has(kAllowBusy);
}

}  // namespace

bool Partition::RunsScript() const {
  return MayRunScript(*script_->requests[script_->current].command);
}

bool Partition::RunsOnFiber(const Command& command) const {
  if (MayRunScript(command)) return true;
  return command.reads_other_keys && keyspace_->has_cold();
}

bool Partition::script_suspended() const { return script_ != nullptr && script_->suspended; }

bool Partition::HoldsRequests() const { return script_suspended() && !script_->busy; }

bool Partition::RefusesAsBusy(uint32_t flags) const {
  return script_suspended() && !script_->fiber.inside() && (flags & kAllowBusy) == 0;
}

bool Partition::RunsFunction() const {
  return script_->requests[script_->current].command->name.starts_with("fcall");
}

void Partition::SetBusy(bool busy) {
  script_->busy = busy;
  Core* core = host_->core();
  if (core == nullptr) return;
  core->engine().NoteBusy(number_, !busy            ? std::string_view()
                                   : RunsFunction() ? kBusyFunction
                                                    : kBusy);
}

std::optional<Partition::RunningScript> Partition::FindRunningScript() const {
  if (!script_suspended()) return std::nullopt;
  const ScriptRun& run = *script_;
  RunningScript running;
  running.function = RunsFunction();
  for (const std::string_view arg : run.requests[run.current].args) {
    running.request.emplace_back(arg);
  }
  running.duration_ms = (host_->clock().MonotonicNs() - run.began_ns) / 1'000'000;
  return running;
}

ExecResult Partition::StartScript(std::span<const Request> requests, const Caller& caller,
                                  Outcome outcome, std::vector<std::string>* replies) {
  if (script_ == nullptr) script_ = std::make_unique<ScriptRun>();
  ScriptRun& run = *script_;
  CHECK(run.fiber.idle() && !run.suspended);
  run.args.clear();
  run.requests.clear();
  for (const Request& request : requests) {
    run.args.emplace_back(request.args);
    run.requests.push_back({request.command, run.args.back().args(), request.db});
  }
  run.caller = caller;
  run.caller.address = run.address = caller.address;
  run.caller.name = run.name = caller.name;
  run.caller.acl_user = run.acl_user = caller.acl_user;
  run.replies.assign(requests.size(), std::string());
  run.outcome = std::move(outcome);
  run.busy = false;
  run.abandoned = run.killed = false;
  run.end_reason = {};
  run.batch_begin = batch_.size();
  run.effects_begin = batch_.empty() ? 0 : batch_effects_;
  run.events_begin = batch_events_.size();
  // Its effects may have to stand by themselves: they name their author again.
  if (batch_author_ != data::Author()) batch_author_ = {UINT64_MAX, UINT64_MAX};
  run.began_ns = host_->clock().MonotonicNs();
  run.slice_end_ns = run.began_ns + kFirstSliceNs;
  const bool over = run.fiber.Run([this, &run] {
    for (size_t i = 0; i < run.requests.size() && !run.abandoned; ++i) {
      run.current = i;
      if (std::exchange(run.killed, false)) run.end_reason = {};
      Run(run.requests[i], run.caller, {}, &run.replies[i], &run.outcome);
    }
  });
  ExecResult result;
  if (over) {
    *replies = std::move(run.replies);
    return Finish(run.outcome, caller.unconfirmed);
  }
  HoldEffects();
  run.suspended = true;
  host_->ContinueLater(this);
  result.suspended = true;
  return result;
}

// What was in the batch before the script is not its: replies wait for the index that the batch
// would have had. That part is proposed now, so that the script's effects stay by themselves.
void Partition::HoldEffects() {
  ScriptRun& run = *script_;
  const auto own_events = batch_events_.begin() + static_cast<std::ptrdiff_t>(run.events_begin);
  std::vector<KeyEvent> kept(std::make_move_iterator(own_events),
                             std::make_move_iterator(batch_events_.end()));
  batch_events_.erase(own_events, batch_events_.end());
  if (batch_.size() == run.batch_begin) {
    ProposeBatch();
  } else if (run.batch_begin > 0) {
    const std::string own = batch_.substr(run.batch_begin);
    batch_.resize(run.batch_begin);
    ProposeBatch();
    data::AppendPayloadHeader(&batch_);
    batch_ += own;
    batch_effects_ -= run.effects_begin;
  }
  // What was told before, with nothing changed.
  QueueKeyEvents(open_index_ - 1);
  batch_events_ = std::move(kept);
}

// The group may have appended entries of its own meanwhile: only now it is known at which index the
// script's effects will be.
void Partition::ReleaseEffects() {
  if (batch_.empty()) return;
  open_index_ = replica_->last_index() + 1;
  const auto touch = [this](const data::Effect& effect) {
    if (effect.kind == data::EffectKind::kDatabases) {
      all_touched_ = open_index_;
    } else {
      touched_.Touch(keyspace_->Hash(effect.key).hash, open_index_, commit_index_);
    }
    return Status::Ok();
  };
  CHECK(data::ForEachEffect(batch_, touch).ok());
  Outcome& outcome = script_->outcome;
  if (outcome.wrote) outcome.index = std::max(outcome.index, open_index_);
  host_->NeedsTurnEnd(this);
}

std::string_view Partition::ScriptPoint() {
  CHECK(script_ != nullptr && script_->fiber.inside());
  ScriptRun& run = *script_;
  if (run.end_reason.empty() && host_->clock().MonotonicNs() >= run.slice_end_ns) {
    run.fiber.Pause();
  }
  return run.end_reason;
}

std::string_view Partition::AwaitInScript() {
  CHECK(script_ != nullptr && script_->fiber.inside());
  if (script_->end_reason.empty()) script_->fiber.Pause();
  return script_->end_reason;
}

void Partition::WhenScriptEnds(WhenScriptEnded done) {
  CHECK(script_suspended() && !script_->done);
  script_->done = std::move(done);
}

void Partition::RunBehindScript(HeldRequest request) {
  CHECK(HoldsRequests());
  script_->behind.push_back(std::move(request));
}

bool Partition::CancelBehindScript(uint64_t client, const uint64_t* slot) {
  if (script_ == nullptr) return false;
  return std::erase_if(script_->behind, [client, slot](const HeldRequest& held) {
           return held.place.client == client && (slot == nullptr || held.place.slot == *slot);
         }) > 0;
}

void Partition::ServeBehindScript() {
  // A task may start another script, behind which the rest then waits: in the same order, since
  // tasks that find a script put themselves into the line again.
  std::vector<HeldRequest> held;
  held.swap(script_->behind);
  for (HeldRequest& request : held) request.task();
}

void Partition::ContinueScript() {
  if (!script_suspended()) return;
  ScriptRun& run = *script_;
  if (!ready()) {
    // Leadership is on its way to another node, so that nothing could be proposed at the end.
    host_->ContinueLater(this);
    return;
  }
  const int64_t now_ns = host_->clock().MonotonicNs();
  const int64_t threshold_ns = host_->config().busy_reply_threshold_ms * 1'000'000;
  // A transaction that waits for values holds up its partition, but nobody could kill it.
  if (!run.busy && RunsScript() && now_ns - run.began_ns >= threshold_ns) {
    SetBusy(true);
    ServeBehindScript();
  }
  const Core* core = host_->core();
  if (run.busy && batch_.empty() && core != nullptr && core->draining()) {
    run.end_reason = "The server shuts down";
  }
  run.slice_end_ns = now_ns + kSliceNs;
  if (!run.fiber.Resume()) {
    host_->ContinueLater(this);
    return;
  }
  run.suspended = false;
  SetBusy(false);
  ReleaseEffects();
  if (!batch_events_.empty()) host_->NeedsTurnEnd(this);
  const ExecResult result = Finish(run.outcome, run.caller.unconfirmed);
  EndScript(result);
}

// Whoever asked for the script gets its end; then what was behind it runs.
void Partition::EndScript(const ExecResult& result) {
  WhenScriptEnded done = std::move(script_->done);
  script_->done = nullptr;
  if (done) done(result, std::move(script_->replies));
  ServeBehindScript();
}

void Partition::AbandonScript(bool answer) {
  if (!script_suspended()) return;
  ScriptRun& run = *script_;
  run.end_reason = "The partition lost its leadership";
  run.abandoned = true;
  // The hook raises that error after each instruction, which no script survives for long.
  while (!run.fiber.Resume()) {
  }
  run.suspended = false;
  SetBusy(false);
  if (!answer) {
    run.done = nullptr;
    run.behind.clear();
    return;
  }
  ExecResult lost;
  lost.executed = false;
  lost.refusal = kTryAgain;
  EndScript(lost);
}

Partition::ScriptKilled Partition::KillScript(bool function) {
  // A transaction may only wait for values.
  if (!script_suspended() || !RunsScript()) return ScriptKilled::kNoScript;
  // Only a script's own effects are in the batch while it is suspended.
  if (!batch_.empty()) return ScriptKilled::kHasWritten;
  if (RunsFunction() != function) return ScriptKilled::kOtherKind;
  script_->killed = true;
  script_->end_reason = "Script killed by user with SCRIPT KILL...";  // Redis's words for both
  return ScriptKilled::kKilled;
}

}  // namespace holdfast::engine
