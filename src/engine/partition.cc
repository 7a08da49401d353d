#include "engine/partition.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/gate_waiters.h"
#include "engine/script_run.h"

namespace holdfast::engine {
namespace {

// A batch above this is proposed as soon as its command is done instead of at the end of the turn.
constexpr size_t kMaxBatchBytes = size_t{4} << 20;

}  // namespace

Partition::Partition(Options options)
    : number_(options.number),
      first_slot_(options.first_slot),
      last_slot_(options.last_slot),
      evictable_(options.evictable),
      smallest_dropped_(options.smallest_dropped),
      host_(options.host),
      new_keyspace_(std::move(options.new_keyspace)),
      keyspace_(std::move(options.keyspace)),
      revisions_(&options.host->clock()),
      rng_(options.seed),
      memory_index_(options.applied_index),
      applied_index_(options.applied_index),
      handed_out_(options.applied_index),
      open_round_(options.first_round),
      stored_revision_(keyspace_->max_revision()) {
  revisions_.Observe(keyspace_->max_revision());
}

Partition::~Partition() { AbandonScript(/*answer=*/false); }

void Partition::Attach(replica::Replica* replica) {
  CHECK(replica_ == nullptr);
  replica_ = replica;
  commit_index_ = replica->commit_index();
  open_index_ = replica->last_index() + 1;
}

void Partition::Observe(CommitObserver* observer) {
  observers_.push_back(observer);
  observer->OnReplaced(*keyspace_);
}

// ---- Executing

std::string_view Partition::WhyRefused(uint32_t flags) {
  if (!ready()) return kTryAgain;
  if (script_ != nullptr && RefusesAsBusy(flags)) {
    return RunsFunction() ? kBusyFunction : kBusy;
  }
  if ((flags & kWrite) == 0) return {};
  if (host_->DiskIsFull()) return kDiskFull;
  if ((flags & kDenyOom) != 0 && !EnsureMemory()) return kOutOfMemory;
  return {};
}

void Partition::Run(const Request& request, const Caller& caller, const ReplyAddress& address,
                    std::string* out, Outcome* outcome) {
  const int64_t begin_ns = host_->clock().MonotonicNs();
  const size_t begin = out->size();
  resp::Writer writer(out, caller.protocol);
  Caller effective = caller;
  effective.db = request.db;
  if (keyspace_->has_cold() && script_ != nullptr && script_->fiber.inside()) {
    const std::string_view end = AwaitValues(request);
    if (!end.empty()) {
      writer.Error("ERR " + std::string(end));
      return;
    }
  }
  ExecContext context(this, *request.command, request.args, effective, &writer, begin_ns);
  context.RunHandler();
  if (!context.wanted().empty()) {
    CHECK(!context.emitted());
    out->resize(begin);
    RunWithWanted(request, caller, context.wanted(), out, outcome);
    return;
  }
  context.PassOnKeyEvents();
  // A script that reads at all may have read whatever it has declared.
  outcome->read_nothing = (request.command->acl & kAclScripting) != 0 && !context.read_inside_;
  if (caller.reader != 0 && !outcome->read_nothing) {
    const uint32_t effects = batch_.empty() ? 0 : batch_effects_;
    host_->NoteRead(caller.reader, request, {ready_period(), open_index_, effects});
  }
  outcome->index = std::max(outcome->index, context.gate_index());
  outcome->wrote |= context.emitted();
  outcome->too_long |= context.too_long();
  outcome->tells_no_state = context.tells_no_state_;
  for (auto& task : context.committed_) outcome->committed.push_back(std::move(task));
  if (context.blocked()) {
    CHECK(out->size() == begin);
    outcome->blocked = true;
    BlockedRequest blocked;
    blocked.address = address;
    blocked.command = request.command;
    blocked.args = OwnedArgs(request.args);
    if (!context.wait_.args.empty()) {
      const std::vector<std::string>& args = context.wait_.args;
      blocked.sent_args = std::move(blocked.args);
      blocked.args = OwnedArgs(std::vector<std::string_view>(args.begin(), args.end()));
      blocked.args_index = context.gate_index();
    }
    blocked.caller = effective;
    blocked.caller.acl_user = {};                       // it was judged
    blocked.caller.address = blocked.caller.name = {};  // they don't outlive this call
    blocked.began_ms = host_->clock().MonotonicMs();
    if (context.wait_.timeout_ms > 0) {
      const int64_t left_ms = context.wait_.timeout_ms - effective.waited_ms;
      blocked.deadline_ms = blocked.began_ms + std::max<int64_t>(1, left_ms);
    }
    if (context.blocked_copies_ > 0) {
      copy_waits_.push_back({std::move(blocked), context.blocked_index_, context.blocked_copies_});
    } else {
      blocked.db = effective.db;
      blocked.keys = std::move(context.blocked_keys_);
      blocked.in_line = context.wait_.in_line;
      blocked.null_array = context.wait_.null_array;
      blocked_.Add(std::move(blocked));
    }
    // The core looks at the new deadline at the end of the turn.
    host_->NeedsTurnEnd(this);
    return;
  }
  // A session command's part that runs here is counted with the whole of it.
  if (request.command->route == Route::kSession) return;
  effective.error_counted = context.error_counted_;
  host_->CommandDone(request, effective, host_->clock().MonotonicNs() - begin_ns,
                     std::string_view(*out).substr(begin));
}

void Partition::UseRound() {
  if (round_used_) return;
  round_used_ = true;
  host_->NeedsTurnEnd(this);
}

ExecResult Partition::Finish(Outcome& outcome, bool unconfirmed) {
  ExecResult result;
  result.is_write = outcome.wrote;
  result.blocked = outcome.blocked;
  result.too_long = outcome.too_long;
  result.read_nothing = outcome.read_nothing;
  result.gate.index = outcome.index > commit_index_ ? outcome.index : 0;
  if (!outcome.wrote && !unconfirmed) {
    // A read: leadership has to be confirmed by a round that starts after now.
    result.gate.round = open_round_;
    UseRound();
  }
  ServeReadyKeys();
  if (!outcome.committed.empty()) {
    // Its index alone: what a read announces needs no proof that this node still leads.
    result.announces = true;
    auto tasks = std::make_unique<CommittedTasks>(std::move(outcome.committed));
    if (result.AnnounceGate().index > commit_index_) {
      WaitAt(result.AnnounceGate(), std::move(tasks));
    } else {
      // Not in the middle of the reply, but before any reply leaves.
      announcements_.push_back(std::move(tasks));
      host_->NeedsTurnEnd(this);
    }
  }
  if (batch_.size() > kMaxBatchBytes) ProposeBatch();
  return result;
}

ExecResult Partition::Execute(const Request& request, const Caller& caller,
                              const ReplyAddress& address, std::string* out) {
  const std::string_view refusal = WhyRefused(request.command->flags);
  if (!refusal.empty()) {
    resp::Writer(out, caller.protocol).Error(refusal);
    if (request.command->route != Route::kSession) {
      host_->CommandRejected(*request.command, refusal);
    }
    return {};
  }
  if (RunsOnFiber(*request.command)) {
    std::vector<std::string> replies;
    const ExecResult result = StartScript({&request, 1}, caller, Outcome(), &replies);
    if (!result.suspended) out->append(replies[0]);
    return result;
  }
  Outcome outcome;
  Run(request, caller, address, out, &outcome);
  return Finish(outcome, caller.unconfirmed || outcome.tells_no_state);
}

bool Partition::Unmodified(const WatchedKey& watch, Outcome* outcome) {
  const data::HashedKey hashed = keyspace_->Hash(watch.key);
  outcome->index = std::max(outcome->index, touched_.Find(hashed.hash, commit_index_));
  if (!watches_.Unmodified(watch.db, watch.key, watch.revision)) return false;
  data::Database* database = keyspace_->Logical(watch.db);
  data::Object* object = database->table.Find(hashed);
  if (object == nullptr || !IsExpired(*database, object, host_->NowMs())) return true;
  // An expired key of another revision was missing for the watcher already: SWAPDB brought it.
  if (object->revision() != watch.revision) return true;
  // It has expired since WATCH: whoever learns that waits for the deletion.
  EmitExpiry(watch.db, database, object, host_->NowMs());
  outcome->index = open_index_;
  outcome->wrote = true;
  return false;
}

ExecResult Partition::ExecuteTransaction(const std::vector<Request>& requests, const Caller& caller,
                                         const std::vector<WatchedKey>& watched,
                                         std::vector<std::string>* replies) {
  uint32_t flags = 0;
  for (const Request& request : requests) flags |= request.command->flags;
  const std::string_view refusal = WhyRefused(flags);
  if (!refusal.empty()) {
    ExecResult refused;
    refused.executed = false;
    refused.refusal = refusal;
    return refused;
  }
  Outcome outcome;
  for (const WatchedKey& watch : watched) {
    if (Unmodified(watch, &outcome)) continue;
    ExecResult aborted = Finish(outcome, caller.unconfirmed);
    aborted.executed = false;
    return aborted;
  }
  Caller inside = caller;
  inside.in_transaction = true;
  // What it needs was loaded before, but SWAPDB in front may mean other keys.
  const auto on_fiber = [this](const Request& request) { return RunsOnFiber(*request.command); };
  const bool may_miss = keyspace_->has_cold() && !script_suspended();
  if (may_miss || std::any_of(requests.begin(), requests.end(), on_fiber)) {
    return StartScript(requests, inside, std::move(outcome), replies);
  }
  replies->resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    Run(requests[i], inside, {}, &(*replies)[i], &outcome);
  }
  return Finish(outcome, caller.unconfirmed);
}

void Partition::ExecuteAndDeliver(const Request& request, const Caller& caller,
                                  const ReplyAddress& address) {
  std::string reply;
  const ExecResult result = Execute(request, caller, address, &reply);
  CHECK(!result.suspended);
  if (!result.blocked) DeliverAt(result.gate, result.is_write, address, std::move(reply));
}

void Partition::DeliverAt(const Gate& gate, bool is_write, const ReplyAddress& address,
                          std::string bytes) {
  WaitAt(gate, std::make_unique<RemoteReply>(host_, address, std::move(bytes), is_write));
}

void Partition::WaitAt(const Gate& gate, std::unique_ptr<GateWaiter> waiter) {
  if (IsOpen(gate)) {
    waiter->OnGateOpen();
    return;
  }
  GateQueue::Item item;
  item.gate = gate;
  item.waiter = std::move(waiter);
  gates_.Add(std::move(item), commit_index_, confirmed_round_);
}

void Partition::WakeAt(const Gate& gate, uint64_t client) {
  CHECK(!IsOpen(gate));
  GateQueue::Item item;
  item.gate = gate;
  item.client = client;
  gates_.Add(std::move(item), commit_index_, confirmed_round_);
}

uint64_t Partition::Watch(uint32_t db, std::string_view key) {
  const data::HashedKey hashed = keyspace_->Hash(key);
  data::Database* database = keyspace_->Logical(db);
  data::Object* object = database->table.Find(hashed);
  if (object != nullptr && IsExpired(*database, object, host_->NowMs())) {
    EmitExpiry(db, database, object, host_->NowMs());
    object = nullptr;
  }
  if (object != nullptr) return watches_.Watch(db, key, object->revision());
  // A missing key is as old as the partition: should it come, go and be watched again under another
  // leader, the revision shows that. No key has this one.
  constexpr uint64_t kMissing = uint64_t{1} << 63;
  return watches_.Watch(db, key, kMissing | revisions_.last());
}

bool Partition::Unblock(const ReplyAddress& address, bool with_error) {
  std::optional<BlockedRequest> request = blocked_.Remove(address);
  if (!request.has_value()) {
    std::optional<CopyWait> wait = TakeCopyWait(address);
    if (!wait.has_value()) return false;
    AnswerCopyWait(&*wait);
    return true;
  }
  if (with_error) {
    std::string reply;
    resp::Writer(&reply, request->caller.protocol).Error(kUnblocked);
    host_->CommandDone({request->command, request->args.args(), request->db}, request->caller, 0,
                       reply);
    host_->Deliver(request->address, std::move(reply));
  } else {
    AnswerInVain(*request);
  }
  return true;
}

// That it waited in vain says what the keys were: an observation, which waits as that of a read
// does.
void Partition::AnswerInVain(const BlockedRequest& request) {
  std::string reply;
  resp::Writer writer(&reply, request.caller.protocol);
  request.null_array ? writer.NullArray() : writer.Null();
  Outcome outcome;
  outcome.index = all_touched_;
  for (const std::string& key : request.keys) {
    outcome.index =
        std::max(outcome.index, touched_.Find(keyspace_->Hash(key).hash, commit_index_));
  }
  host_->CommandDone({request.command, request.args.args(), request.db}, request.caller, 0, reply);
  DeliverAt(Finish(outcome).gate, /*is_write=*/false, request.address, std::move(reply));
}

// ---- Effects

bool Partition::IsExpired(const data::Database& database, const data::Object* object,
                          int64_t now_ms) const {
  if (object->heap_position == data::kNotInHeap) return false;
  if (object->type() == data::ObjectType::kLock) {
    // The clock is cut to milliseconds: only when the last one is over has the lease ended.
    return keyspace_->leases()->DeadlineOf(object) < host_->clock().MonotonicMs();
  }
  return database.expiries.DeadlineOf(object) <= now_ms;
}

void Partition::Append(const data::Effect& effect, const data::Author& author) {
  CHECK_MSG(ready_, "an effect of a follower");
  if (batch_.empty()) {
    batch_.reserve(batch_reserve_);
    data::AppendPayloadHeader(&batch_);
    batch_author_ = {};
    batch_effects_ = 0;
    host_->NeedsTurnEnd(this);
  }
  if (author != batch_author_) {
    data::AppendAuthor(&batch_, author);
    batch_author_ = author;
  }
  data::AppendEffect(&batch_, effect);
  ++batch_effects_;
  ++host_->stats()->effects;
}

void Partition::Emit(data::Effect* effect, Key* key, uint32_t logical, int64_t now_ms,
                     const data::Author& author) {
  const uint64_t fresh = revisions_.NextAt(now_ms);
  if (effect->kind == data::EffectKind::kDelete) {
    effect->meta.revision = fresh;
    if (data::HasElements(key->object->type())) {
      effect->kind = data::EffectKind::kRemove;
      effect->meta.created = key->object->created();
    }
  } else if (!effect->keep_revision) {
    if (effect->meta.created == 0) effect->meta.created = fresh;
    effect->meta.revision = fresh;
    if (effect->meta.version < UINT32_MAX) ++effect->meta.version;
  }
  Append(*effect, author);
  key->object = keyspace_->Apply(*effect, key->object);
  touched_.Touch(effect->hash, open_index_, commit_index_);
  KeyChanged(logical, effect->key, fresh);
}

void Partition::KeyChanged(uint32_t logical, std::string_view key, uint64_t revision) {
  watches_.Touch(logical, key, revision);
  if (!blocked_.empty() && blocked_.Waiting(logical, key) > 0) {
    ready_keys_.emplace_back(logical, std::string(key));
  }
}

void Partition::EmitDelete(uint32_t logical, data::Database* database, data::Object* object,
                           int64_t now_ms) {
  // The object goes away with the effect; its name is needed after that.
  const std::string name(object->key());
  Key key;
  key.hashed = keyspace_->Hash(name);
  key.database = database;
  key.object = object;
  data::Effect effect;
  effect.kind = data::EffectKind::kDelete;
  effect.slot = key.hashed.slot;
  effect.database = database->physical;
  effect.key = name;
  effect.hash = key.hashed.hash;
  Emit(&effect, &key, logical, now_ms);
}

void Partition::EmitExpiry(uint32_t logical, data::Database* database, data::Object* object,
                           int64_t now_ms) {
  Notify(kExpiredEvents, "expired", logical, object->key());
  EmitDelete(logical, database, object, now_ms);
  ++host_->stats()->expired_keys;
}

void Partition::EmitDatabases(const data::DatabaseMap& map, uint32_t affected, int64_t now_ms) {
  std::string encoded;
  data::AppendDatabaseMap(&encoded, map);
  data::Effect effect;
  effect.kind = data::EffectKind::kDatabases;
  effect.value = encoded;
  effect.meta.revision = revisions_.NextAt(now_ms);
  // A key whose time has come is missing for everybody.
  const auto exists = [this, now_ms](uint32_t db) {
    return [this, db, now_ms](std::string_view key) {
      const data::Database* database = keyspace_->Logical(db);
      const data::Object* object = database->table.Find(keyspace_->Hash(key));
      return object != nullptr && !IsExpired(*database, object, now_ms);
    };
  };
  // A watched key is modified when it was there before or is there afterwards.
  for (int pass = 0; pass < 2; ++pass) {
    for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
      if ((affected & (1u << db)) == 0) continue;
      watches_.TouchAll(db, effect.meta.revision, exists(db));
    }
    if (pass == 1) break;
    Append(effect, {});
    keyspace_->Apply(effect, nullptr);
    all_touched_ = open_index_;
  }
  const auto first = static_cast<std::ptrdiff_t>(ready_keys_.size());
  blocked_.ForEachKey([this, affected](uint32_t db, std::string_view key) {
    if ((affected & (1u << db)) != 0) ready_keys_.emplace_back(db, std::string(key));
  });
  // Not in the order of a hash table: what is served first makes an effect first.
  std::sort(ready_keys_.begin() + first, ready_keys_.end());
}

// ---- Blocked requests

void Partition::ServeReadyKeys() {
  // While leadership goes to another node nothing can be proposed.
  if (serving_ || script_suspended() || !ready()) return;
  serving_ = true;
  while (!ready_keys_.empty()) {
    std::vector<std::pair<uint32_t, std::string>> keys;
    keys.swap(ready_keys_);
    for (const auto& [db, key] : keys) ServeReadyKey(db, key);
  }
  serving_ = false;
}

void Partition::ServeReadyKey(uint32_t db, const std::string& key) {
  using Served = BlockedRequests::Outcome;
  struct Answer {
    Gate gate;
    bool is_write;
    ReplyAddress address;
    std::string reply;
  };
  // Delivered when the lines are at rest: a delivery may end a client, and that takes requests out.
  std::vector<Answer> answers;
  blocked_.Serve(db, key, [this, db, &key, &answers](const BlockedRequest& request) {
    std::string reply;
    resp::Writer writer(&reply, request.caller.protocol);
    Caller caller = request.caller;
    caller.retry = true;
    const int64_t begin_ns = host_->clock().MonotonicNs();
    ExecContext context(this, *request.command, request.args.args(), caller, &writer, begin_ns);
    context.RunHandler();
    if (!context.wanted().empty()) {
      CHECK(!context.emitted());
      const ValueLoads::WaitedKey again{db, key};
      WantValues(context.wanted(), &again);
      return Served::kInTurn;
    }
    if (context.blocked()) {
      return context.wait_.in_line == InLine::kInTurn ? Served::kInTurn : Served::kTogether;
    }
    context.PassOnKeyEvents();
    Outcome outcome;
    outcome.index = context.gate_index();
    outcome.wrote = context.emitted();
    host_->CommandDone({request.command, request.args.args(), caller.db}, caller,
                       host_->clock().MonotonicNs() - begin_ns, reply);
    const ExecResult result = Finish(outcome);
    answers.push_back({result.gate, result.is_write, request.address, std::move(reply)});
    return Served::kDone;
  });
  for (Answer& answer : answers) {
    DeliverAt(answer.gate, answer.is_write, answer.address, std::move(answer.reply));
  }
}

// ---- The log

void Partition::ProposeBatch() {
  if (batch_.empty() || script_suspended()) return;
  // The next batch is likely to be as large as this one.
  batch_reserve_ = std::min(batch_.size() + batch_.size() / 8, kMaxBatchBytes);
  // Payloads stay until the store has them: one that turned out small gives its room back.
  if (batch_.capacity() > batch_.size() * 2) batch_.shrink_to_fit();
  auto payload = std::make_shared<const std::string>(std::move(batch_));
  batch_ = std::string();
  const uint64_t index = open_index_;
  proposed_.emplace_back(index, payload);
  const raft::Proposal proposal = replica_->Propose(std::move(payload));
  // Commands run only while the partition is ready, and the limits on uncommitted bytes are kept by
  // not reading from clients: a refusal here would lose effects that are in memory.
  CHECK_MSG(proposal.accepted(), "raft refused an entry whose effects are applied");
  CHECK(proposal.index == index);
  QueueKeyEvents(index);
  memory_index_ = proposal.index;
  open_index_ = proposal.index + 1;
}

void Partition::TurnEnd() {
  for (const auto& waiter : std::exchange(announcements_, {})) waiter->OnGateOpen();
  ProposeBatch();
  // Nothing was changed: what is told was only seen, perhaps in an entry that isn't committed yet.
  if (batch_.empty() && !script_suspended()) QueueKeyEvents(open_index_ - 1);
  PublishKeyEvents();
  if (round_used_) {
    round_used_ = false;
    if (replica_->frozen()) {
      GiveReadsBack();
    } else {
      replica_->ReadRound(open_round_++);
    }
  }
}

void Partition::OnCommit(uint64_t commit_index, uint64_t first, uint64_t last) {
  CHECK(commit_index >= commit_index_);
  commit_index_ = commit_index;
  if (first <= last) {
    handed_out_ = last;
    if (!rebuilding_) TakeCommitted();
  }
  // The group may have appended an entry of its own; see BeforeOwnEntry.
  if (ready_ && batch_.empty()) open_index_ = replica_->last_index() + 1;
  // Before whoever made them is answered.
  PublishKeyEvents();
  open_gates_.clear();
  gates_.TakeOpen(commit_index_, confirmed_round_, &open_gates_);
  for (GateQueue::Item& item : open_gates_) {
    if (item.waiter != nullptr) {
      item.waiter->OnGateOpen();
    } else {
      host_->WakeClient(item.client);
    }
  }
  open_gates_.clear();
  if (!follower_reads_.empty()) ServeFollowerReads();
  if (!copy_waits_.empty()) ServeCopyWaits(0);
}

// Applies what raft has handed out, where memory doesn't contain it already, and hands it to the
// store.
void Partition::TakeCommitted() {
  if (applied_index_ == handed_out_) return;
  data::PersistJob job;
  for (uint64_t index = applied_index_ + 1; index <= handed_out_; ++index) {
    const raft::Entry& entry = replica_->EntryAt(index);
    if (entry.kind == raft::EntryKind::kConfiguration) job.membership = entry.payload;
    if (entry.kind != raft::EntryKind::kData) continue;
    if (index > memory_index_) {
      const Status status = keyspace_->ApplyPayload(*entry.payload);
      if (!status.ok()) Fatal("a committed entry can't be applied: " + status.message());
    }
    for (CommitObserver* observer : observers_) observer->OnCommitted(*entry.payload);
    if (evictable_) host_->NoteCommitted({ready_period(), index, 0}, *entry.payload);
    job.bytes += entry.payload->size();
    job.payloads.push_back(entry.payload);
    job.positions.push_back({entry.index, entry.term});
  }
  applied_index_ = handed_out_;
  memory_index_ = std::max(memory_index_, applied_index_);
  while (!proposed_.empty() && proposed_.front().first <= applied_index_) proposed_.pop_front();
  job.applied_index = applied_index_;
  job.applied_term = replica_->TermAt(applied_index_);
  host_->Persist(this, std::move(job));
  if (!wanted_copies_.empty()) RequestCopies();
}

void Partition::OnReads(const raft::ReadAnswer& answer) {
  if (answer.refusal == raft::Refusal::kTooMany) round_refused_ = true;
  if (!answer.confirmed()) {
    GiveReadsBack();
    return;
  }
  confirmed_round_ = std::max(confirmed_round_, answer.round);
  follower_reads_.Confirm(answer.round, answer.index);
  OnCommit(commit_index_, 1, 0);
}

// ---- Leading and following

void Partition::OnStanding(const raft::Standing& standing) {
  if (leads_term_ != 0 && (!standing.ready || standing.term != leads_term_)) {
    leads_term_ = 0;
    if (ready_) StepDown();
  }
  transferring_ = standing.transferring_to != raft::kNoNode;
  if (transferring_) EndLoads();
  if (ready_ && !transferring_) ++ready_period_;  // the transfer came to nothing
  if (standing.ready && leads_term_ == 0) {
    leads_term_ = standing.term;
    if (!rebuilding_) Lead(standing.term);
  }
  host_->StandingChanged(this);
}

void Partition::Lead(uint64_t term) {
  CHECK(applied_index_ == memory_index_ && batch_.empty() && proposed_.empty());
  // What is not handed out yet is the group's own: the end of a membership change that a former
  // leader had begun.
  for (uint64_t index = applied_index_ + 1; index <= replica_->last_index(); ++index) {
    CHECK(replica_->EntryAt(index).kind != raft::EntryKind::kData);
  }
  ready_ = true;
  ++ready_period_;
  GiveReadsBack();
  open_index_ = replica_->last_index() + 1;
  followed_revision_ = keyspace_->max_revision();
  revisions_.Observe(followed_revision_);
  keyspace_->RestartLeases();
  LogVerbose("partition {} leads term {} from index {}", number_, term, open_index_);
}

// Nobody may see any more what memory has beyond what raft has handed out: another leader may
// replace those entries. They are forgotten, and come again if they were committed.
void Partition::StepDown() {
  ready_ = false;
  round_used_ = false;
  round_refused_ = false;
  AbandonScript(/*answer=*/true);
  copies_.clear();
  copied_bytes_ = 0;
  EndLoads();
  // Who watches a key learns at EXEC that it may have been changed elsewhere.
  watches_ = txn::WatchTable();
  std::vector<GateQueue::Item> lost;
  gates_.TakeAll(&lost);
  host_->GatesLost(this);
  for (GateQueue::Item& item : lost) {
    if (item.waiter != nullptr) item.waiter->OnGateLost(item.gate.index < open_index_);
  }
  GiveBlockedBack();
  RebuildRequest request = UncommittedKeys();
  batch_.clear();
  batch_events_.clear();
  key_events_.clear();
  key_event_bytes_ = 0;
  proposed_.clear();
  ready_keys_.clear();
  touched_ = TouchedKeys();
  all_touched_ = 0;
  memory_index_ = applied_index_;
  LogNotice("partition {} follows from index {}; {} keys are read again", number_, applied_index_,
            request.whole ? "all" : std::to_string(request.keys.size()));
  if (!request.whole && request.keys.empty()) return;
  rebuilding_ = true;
  host_->Rebuild(this, std::move(request));
}

void Partition::GiveBlockedBack() {
  std::vector<BlockedRequest> requests = blocked_.TakeAll();
  for (CopyWait& wait : copy_waits_) requests.push_back(std::move(wait.request));
  copy_waits_.clear();
  for (BlockedRequest& request : requests) {
    if (request.args_index > commit_index_) request.args = std::move(request.sent_args);
    request.caller.waited_ms += host_->clock().MonotonicMs() - request.began_ms;
    host_->GiveBack(this, std::move(request));
  }
}

}  // namespace holdfast::engine
