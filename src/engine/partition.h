// One partition on its leader: executes commands on the current state, gathers their effects into
// the open batch, proposes one entry a turn, and opens the gates of replies when it is committed.
//
//            Execute ──effects──▶ keyspace (at once) and open batch
//            TurnEnd ──payload──▶ replica::Replica ──▶ log thread, peers
//   OnCommit ◀── committed ── replica; gates open; the entry goes to the persister
//
// The memory runs ahead of the commit index; a reply leaves only when what it has seen or done is
// committed and, for a read, leadership was confirmed after it arrived (DESIGN.md §2).
//
// Everything here runs on the loop thread of the owning core; a simulation drives it without one.
#pragma once

#include <absl/functional/any_invocable.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hlc.h"
#include "base/rng.h"
#include "data/keyspace.h"
#include "data/persist.h"
#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/config.h"
#include "engine/context.h"
#include "engine/follower_reads.h"
#include "engine/gate.h"
#include "engine/key_events.h"
#include "engine/stats.h"
#include "engine/touched_keys.h"
#include "engine/tracking.h"
#include "engine/value_loads.h"
#include "raft/types.h"
#include "replica/replica.h"
#include "txn/watch.h"

namespace holdfast::engine {

// One command of a transaction, or a single one.
struct Request {
  const Command* command;
  Args args;
  uint32_t db;
};

// What a partition has to read from its store when what was in memory was not committed.
struct RebuildRequest {
  bool whole = false;             // everything, not only `keys`
  std::vector<std::string> keys;  // of meta records, each once
};
struct Rebuilt {
  std::unique_ptr<data::Keyspace> keyspace;  // set when everything was asked for
  std::vector<data::StoredRecord> records;   // else one for each key, in their order
};

// Values that a partition wants back in memory.
struct ValueRequest {
  // Returned with the values.
  uint64_t period = 0;
  // What has been handed to Persist so far has to be in the store first.
  bool after_flush = false;
  std::vector<ColdValue> values;
};
struct LoadedValues {
  uint64_t period = 0;
  std::vector<uint64_t> created;            // as requested
  std::vector<data::StoredRecord> records;  // in the order of the request
};

// Learns what the group has committed, and nothing else. Loop thread only.
class CommitObserver {
 public:
  virtual ~CommitObserver() = default;
  virtual void OnCommitted(std::string_view payload) = 0;
  // The state was replaced: this is all of it, and all is committed.
  virtual void OnReplaced(const data::Keyspace& keyspace) = 0;
};

// What a partition needs of the core it lives on. Loop thread only.
class PartitionHost {
 public:
  virtual ~PartitionHost() = default;
  // nullptr in a simulation.
  virtual class Core* core() { return nullptr; }
  virtual const Config& config() const = 0;
  virtual const Clock& clock() const = 0;
  virtual CoreStats* stats() = 0;
  // Wall clock, milliseconds since 1970 UTC; may be read once for several commands of a turn.
  virtual int64_t NowMs() = 0;
  // A command has run for `ns` nanoseconds and answered `reply`: statistics and slow log.
  virtual void CommandDone(const Request& request, const Caller& caller, int64_t ns,
                           std::string_view reply) = 0;
  // A command was refused before it ran, with `error`.
  virtual void CommandRejected(const Command& command, std::string_view error) = 0;
  // Work that no client asked for has taken `ns` nanoseconds: for LATENCY.
  virtual void NoteLatency(std::string_view, int64_t) {}
  // Bytes of memory that the process uses for data, all cores together.
  virtual uint64_t UsedMemory() const = 0;
  // Free disk space is below disk-reserve-bytes (P43).
  virtual bool DiskIsFull() const = 0;
  // `asking` has nothing left to evict, and memory is above maxmemory: evicts at most `max_keys`
  // keys from the core's other partitions, and has other cores evict theirs. False when nobody has
  // anything.
  virtual bool EvictElsewhere(const class Partition* asking, size_t max_keys) = 0;
  virtual bool ActiveExpireEnabled() const = 0;
  // Hands a finished reply to its client, on whatever core.
  virtual void Deliver(const ReplyAddress& address, std::string bytes) = 0;
  // What happened to a key is committed, and subscribers are to hear of it.
  virtual void PublishKeyEvent(const KeyEvent&) {}
  // An entry is committed, whose first change is at `position`.
  virtual void NoteCommitted(const ChangePosition& /*position*/, std::string_view /*payload*/) {}
  // What the partition holds was replaced: any key may be another one now.
  virtual void NoteReplaced() {}
  // The client `reader` of this core has read the request's keys, and seen all changes up to
  // `seen`.
  virtual void NoteRead(uint64_t /*reader*/, const Request&, const ChangePosition& /*seen*/) {}
  // Replies of this core's client may leave.
  virtual void WakeClient(uint64_t client) = 0;
  // The partition lost its leadership: replies of this core's clients that wait for it become
  // errors (ReplyQueue::LoseGates).
  virtual void GatesLost(class Partition* partition) = 0;
  // The request has done nothing and can't be done here: the partition lost its leadership while it
  // waited, or a follower can't answer it.
  virtual void GiveBack(class Partition* partition, BlockedRequest request) = 0;
  // The partition leads from now on, or follows another node.
  virtual void StandingChanged(class Partition* partition) = 0;
  // Reads the state as of the last entry handed to Persist from the store, and then calls
  // partition->Rebuilt, on this loop, later.
  virtual void Rebuild(class Partition* partition, RebuildRequest request) = 0;
  // Reads values from the store, and then calls partition->TakeValues on this loop, later.
  virtual void LoadValues(class Partition* partition, ValueRequest request) = 0;
  // Committed entries, for the store. `job` continues where the last one ended.
  virtual void Persist(class Partition* partition, data::PersistJob job) = 0;
  // The partition has something to do at the end of this turn.
  virtual void NeedsTurnEnd(class Partition* partition) = 0;
  // Calls partition->ContinueScript on this loop, after whatever else has something to do.
  virtual void ContinueLater(class Partition*) {}
  // `peer` needs a snapshot of what the store holds. Called from inside a step of the group.
  virtual void SendSnapshot(class Partition* partition, raft::NodeId peer) = 0;
};

struct ExecResult {
  Gate gate;
  bool is_write = false;      // an effect was emitted
  bool executed = true;       // false: a watched key was modified, the transaction did nothing
  std::string_view refusal;   // why the transaction was not even looked at; empty when it was
  bool blocked = false;       // the reply comes later, to the address
  bool suspended = false;     // a script takes long: the reply comes later; see WhenScriptEnds
  bool too_long = false;      // of one command: its reply was given up (ExecContext::ReplyTooLong)
  bool read_nothing = false;  // a script that is over has run no command that reads
  bool announces = false;     // there are tasks of ExecContext::WhenCommitted

  // What those tasks wait for.
  Gate AnnounceGate() const {
    Gate announce;
    announce.index = gate.index;
    return announce;
  }
};

class Partition : public replica::StateMachine {
 public:
  struct Options {
    uint32_t number = 0;
    uint16_t first_slot = 0;
    uint16_t last_slot = 0;
    PartitionHost* host = nullptr;
    // Makes an empty keyspace for this partition. Any thread.
    std::function<std::unique_ptr<data::Keyspace>()> new_keyspace;
    std::unique_ptr<data::Keyspace> keyspace;  // loaded up to applied_index
    uint64_t applied_index = 0;
    // Read rounds begin here: above those of every earlier process.
    uint64_t first_round = 1;
    uint64_t seed = 0;
    // Its keys are clients' data, of which they may hear, and which may go when memory is full.
    bool evictable = true;
    // Smaller values than this never leave memory: there is little to win.
    size_t smallest_dropped = 64;
  };
  explicit Partition(Options options);
  ~Partition() override;

  // REQUIRES: before anything else is called; `replica` outlives the partition's use.
  void Attach(replica::Replica* replica);
  // Before the core runs; any number of observers. OnReplaced follows at once.
  void Observe(CommitObserver* observer);

  uint32_t number() const { return number_; }
  uint16_t first_slot() const { return first_slot_; }
  uint16_t last_slot() const { return last_slot_; }
  // Leads, its memory contains every entry, and leadership isn't on its way to another node:
  // commands may be executed.
  bool ready() const { return ready_ && !transferring_; }
  // Numbers the times for which it is ready without interruption; 0 = it isn't.
  uint64_t ready_period() const { return ready() ? ready_period_ : 0; }
  // Its memory contains exactly the entries up to applied_index(), which are all committed.
  bool follows() const { return !ready_ && !rebuilding_; }
  // The largest revision given out or seen.
  uint64_t last_revision() const { return revisions_.last(); }
  // Another node has given out, or seen, this revision.
  void ObserveRevision(uint64_t revision) { revisions_.Observe(revision); }
  // The last entry that was handed out by raft and is in memory.
  uint64_t applied_index() const { return applied_index_; }

  // ---- Executing. Replies are appended to `out` as RESP.

  // Runs one command now. When the result is blocked, nothing was appended and the reply goes to
  // `address` later.
  ExecResult Execute(const Request& request, const Caller& caller, const ReplyAddress& address,
                     std::string* out);
  // Runs the commands of a transaction as one unit: all their effects are in one entry. Gives one
  // reply each in `replies`, unless it was refused or a watched key was modified: then nothing is
  // executed.
  ExecResult ExecuteTransaction(const std::vector<Request>& requests, const Caller& caller,
                                const std::vector<WatchedKey>& watched,
                                std::vector<std::string>* replies);
  // As Execute, with the reply delivered to `address` when its gate is open: for clients of other
  // cores.
  void ExecuteAndDeliver(const Request& request, const Caller& caller, const ReplyAddress& address);
  // Delivers `bytes` to `address` when the gate is open; INDOUBT/TRYAGAIN when it can't open.
  void DeliverAt(const Gate& gate, bool is_write, const ReplyAddress& address, std::string bytes);

  // ---- Scripts that take long; see engine/script_run.h.
  // The replies of the request, one for each of its commands; or its refusal says why nothing of it
  // happened.
  using WhenScriptEnded =
      absl::AnyInvocable<void(const ExecResult& result, std::vector<std::string> replies)>;
  // REQUIRES: the request that was executed last is suspended, and nobody has asked yet.
  void WhenScriptEnds(WhenScriptEnded done);
  // Requests have to wait for the end of a script, unless they are kAllowBusy: RunBehindScript has
  // them try again then.
  bool HoldsRequests() const;
  void RunBehindScript(HeldRequest request);
  // Called by a script every now and then. Not empty: it has to end with this error.
  std::string_view ScriptPoint();
  // The same, and lets others run in any case: for a script that waits for something.
  std::string_view AwaitInScript();
  // Called once after ContinueLater.
  void ContinueScript();
  enum class ScriptKilled : uint8_t { kNoScript, kHasWritten, kOtherKind, kKilled };
  // `function`: ends only FCALL; else only EVAL.
  ScriptKilled KillScript(bool function);
  // What a function that takes long was called with, and for how long it has run.
  struct RunningScript {
    bool function = false;
    std::vector<std::string> request;
    int64_t duration_ms = 0;
  };
  std::optional<RunningScript> FindRunningScript() const;
  // Ends a suspended script and forgets its effects. With `answer` it and what waits behind it are
  // told. REQUIRES: the partition doesn't lead any more, or the core ends.
  void AbandonScript(bool answer);

  // A read for a client that takes what this node has although another one leads. The reply goes to
  // the request's address, or the host gets it back. With `confirm` it is as linearizable as a
  // leader's; without, it may be behind by any time.
  void ReadAsFollower(BlockedRequest request, bool confirm);
  // Calls `then` when this node has noted (PartitionHost::NoteCommitted) whatever was committed
  // before the call, wherever; or when it can't know. May be at once. REQUIRES: `then` doesn't call
  // the partition.
  void CatchUp(absl::AnyInvocable<void()> then);

  // ---- Values that are not in memory; see engine/value_loads.h.
  // Whether MissingValues may find anything, which takes longer.
  bool MayMissValues() const { return keyspace_->has_cold() || !loads_.empty(); }
  // What the requests need and is not in memory; nullopt: they may run. Empty: they have to wait
  // behind an earlier request of the same origin.
  std::optional<std::vector<ColdValue>> MissingValues(const Origin& origin,
                                                      std::span<const Request> requests) const;
  // It runs when the values are there, or when the partition doesn't lead any more.
  // `origin`: its name.
  void RunWithValues(std::string origin, HeldRequest request, std::vector<ColdValue> values);
  // Whether a request of this origin would have to wait behind an earlier one.
  bool WaitsForValues(const Origin& origin) const {
    return !loads_.empty() && loads_.Waits(origin.Name());
  }
  // The answer to PartitionHost::LoadValues.
  void TakeValues(LoadedValues loaded);
  // What its keys take, with copies that are on their way into memory.
  uint64_t MemoryBytes() const { return keyspace_->MemoryBytes() + coming_bytes_; }
  // The store holds every effect up to this revision.
  void Stored(uint64_t revision);
  // For a script: returns when the request's values are in memory. Not empty: the script has to end
  // with this error.
  std::string_view AwaitValues(const Request& request);

  // ---- Gates.
  bool IsOpen(const Gate& gate) const {
    return gate.index <= commit_index_ && gate.round <= confirmed_round_;
  }
  // The waiter is told when the gate is open, which may be at once.
  void WaitAt(const Gate& gate, std::unique_ptr<GateWaiter> waiter);
  // WakeClient(client) will be called once when the gate is open.
  void WakeAt(const Gate& gate, uint64_t client);

  // ---- WATCH. Returns the revision to compare at EXEC.
  uint64_t Watch(uint32_t db, std::string_view key);
  void Unwatch(uint32_t db, std::string_view key) { watches_.Unwatch(db, key); }

  // ---- Blocked requests.
  // Takes the request out of the line without a reply: its client is gone. False when nothing waits
  // there.
  bool CancelBlocked(const ReplyAddress& address);
  // All requests of the client.
  void CancelBlockedOf(uint64_t client);
  // CLIENT UNBLOCK: answers as at the timeout, or, what waits for a key, with an error. False when
  // nothing waits there.
  bool Unblock(const ReplyAddress& address, bool with_error);

  // ---- Time.
  // Proposes what the turn gathered and confirms its reads. Called once a turn when
  // NeedsTurnEnd was.
  void TurnEnd();
  // Expires keys and leases, ends waiting requests whose time is up; bounded work. Returns the
  // monotonic ms at which it wants to be called again at the latest, 0 = no wish.
  int64_t Tick();
  // Evicts by the policy until memory is not above maxmemory, at most `max_keys` keys; how many
  // went. Fewer than `max_keys` while memory is still above: there is nothing left to evict here.
  size_t Evict(size_t max_keys);

  // ---- replica::StateMachine
  void OnCommit(uint64_t commit_index, uint64_t first, uint64_t last) override;
  void OnReads(const raft::ReadAnswer& answer) override;
  void OnStanding(const raft::Standing& standing) override;
  void BeforeOwnEntry() override { ProposeBatch(); }
  void OnSnapshotWanted(raft::NodeId peer) override { host_->SendSnapshot(this, peer); }

  // The answer to PartitionHost::Rebuild. Leaves what it replaces in `rebuilt`, to be freed where
  // that stalls nobody.
  void TakeRebuilt(Rebuilt* rebuilt);
  // The store holds another state than what was applied here, as of entry `index`, and `keyspace`
  // is that state; the group hears of it next (replica::Replica::Install). Gives back what it
  // replaces. REQUIRES: follows(), and the group is frozen.
  std::unique_ptr<data::Keyspace> Replace(std::unique_ptr<data::Keyspace> keyspace, uint64_t index);
  // An empty keyspace for this partition. Any thread.
  std::unique_ptr<data::Keyspace> NewKeyspace() const { return new_keyspace_(); }

  // Other members that hold entry `index` and all before it on disk, as far as is known here.
  // REQUIRES: leads.
  uint64_t CopiesOf(uint64_t index) const;

  // ---- For INFO, DEBUG, SCAN and tests.
  data::Keyspace& keyspace() { return *keyspace_; }
  const data::Keyspace& keyspace() const { return *keyspace_; }
  replica::Replica* replica() { return replica_; }
  const BlockedRequests& blocked() const { return blocked_; }
  const txn::WatchTable& watches() const { return watches_; }
  uint64_t commit_index() const { return commit_index_; }
  uint64_t proposed_index() const { return open_index_ - 1; }
  // The last entry that the memory contains, the one that the open batch will be included.
  uint64_t memory_end() const {
    if (!ready_) return std::max(memory_index_, handed_out_);
    return batch_.empty() ? open_index_ - 1 : open_index_;
  }
  PartitionHost* host() { return host_; }
  Rng* rng() { return &rng_; }

 private:
  friend class ExecContext;

  // What one command, or all commands of a transaction, have seen and done.
  struct Outcome {
    uint64_t index = 0;  // the last entry that a reply depends on
    bool wrote = false;
    bool blocked = false;
    bool too_long = false;
    bool read_nothing = false;                          // of one command: see ExecResult
    bool tells_no_state = false;                        // of one command: ExecContext::TellsNoState
    std::vector<absl::AnyInvocable<void()>> committed;  // ExecContext::WhenCommitted
  };
  // Runs one command, without admission checks, and adds to `outcome`.
  void Run(const Request& request, const Caller& caller, const ReplyAddress& address,
           std::string* out, Outcome* outcome);
  ExecResult Finish(Outcome& outcome, bool unconfirmed = false);
  // The command may have to be suspended: it runs a script, or reads keys that nobody can name
  // before, whose values may not be in memory.
  bool RunsOnFiber(const Command& command) const;
  struct ScriptRun;
  // `outcome`: what was done for it before.
  ExecResult StartScript(std::span<const Request> requests, const Caller& caller, Outcome outcome,
                         std::vector<std::string>* replies);
  bool script_suspended() const;
  bool RefusesAsBusy(uint32_t flags) const;
  void SetBusy(bool busy);
  // Of the request that runs on the fiber.
  bool RunsScript() const;
  bool RunsFunction() const;
  void HoldEffects();
  void ReleaseEffects();
  void EndScript(const ExecResult& result);
  void ServeBehindScript();
  // What is read now waits for this turn's round.
  void UseRound();
  // Whether the key is as it was when WATCH returned `watch.revision`.
  bool Unmodified(const WatchedKey& watch, Outcome* outcome);
  // Why a command with these flags can't be taken now; empty when it can.
  std::string_view WhyRefused(uint32_t flags);
  void Emit(data::Effect* effect, Key* key, uint32_t logical, int64_t now_ms,
            const data::Author& author = {});
  void Append(const data::Effect& effect, const data::Author& author);
  void EmitDatabases(const data::DatabaseMap& map, uint32_t affected, int64_t now_ms);
  // Something happened to a key of database `logical`, which is to be told when the open batch, if
  // there is one, is committed. `name` is static.
  void Notify(uint32_t event_class, std::string_view name, uint32_t logical, std::string_view key);
  void AddKeyEvent(KeyEvent event);
  // Those of the open batch become those of entry `entry`.
  void QueueKeyEvents(uint64_t entry);
  void PublishKeyEvents();
  // The key's time has come.
  void EmitExpiry(uint32_t logical, data::Database* database, data::Object* object, int64_t now_ms);
  void EmitDelete(uint32_t logical, data::Database* database, data::Object* object, int64_t now_ms);
  void ProposeBatch();
  void TakeCommitted();
  void Lead(uint64_t term);
  void StepDown();
  void GiveBlockedBack();
  void ServeFollowerReads();
  void ServeAsFollower(BlockedRequest request);
  void GiveReadsBack();
  // Runs a request that has waited and delivers its reply; false when only a leader can do it.
  // REQUIRES: it neither waits again nor changes anything.
  bool AnswerNow(BlockedRequest* request);
  // A request that waits for copies of an entry on other nodes.
  struct CopyWait {
    BlockedRequest request;
    uint64_t index = 0;
    uint64_t copies = 0;
  };
  // Answers those that have what they wait for, or whose time is up.
  void ServeCopyWaits(int64_t now_ms);
  void AnswerCopyWait(CopyWait* wait);
  std::optional<CopyWait> TakeCopyWait(const ReplyAddress& address);
  RebuildRequest UncommittedKeys() const;
  void KeyChanged(uint32_t logical, std::string_view key, uint64_t revision);
  void ServeReadyKeys();
  void ServeReadyKey(uint32_t db, const std::string& key);
  bool IsExpired(const data::Database& database, const data::Object* object, int64_t now_ms) const;
  bool ExpireKeys();
  void ExpireLeases();
  void EndOverdueRequests();
  void AnswerInVain(const BlockedRequest& request);
  // Makes room for a write, here first and elsewhere then. False when nothing can be evicted.
  bool EnsureMemory();
  bool OverMaxmemory() const;
  bool EvictOne();
  // One victim by the policy among a few samples of database `logical`; nullptr when there is none.
  // A smaller score is a better victim.
  data::Object* Candidate(uint32_t logical, int64_t* score);
  static ColdValue ColdValueOf(const data::Database& database, const data::Object& object);
  void AddMissing(const Request& request, std::vector<ColdValue>* missing) const;
  void RequestValues(std::vector<ColdValue> values);
  // The open batch has made this cold key. It comes into memory when the store has it, unless
  // memory is limited: then when it is wanted.
  void NoteCopy(const Key& copy, bool moves, uint64_t bytes);
  // Whether the store may be given a collection of this size to copy: what is queued is bounded.
  bool MayCopyInStore(uint64_t bytes) const;
  // The entry that made the cold key; 0 when it isn't known any more, since it is in the store or
  // on its way there.
  uint64_t EntryOfCopy(uint64_t created) const;
  // Asks for the copies whose entries have been handed to Persist.
  void RequestCopies();
  void EndLoads();
  std::string_view AwaitLoads(const std::vector<ColdValue>& values);
  // A command that has found values missing runs again when they are there.
  void RunWithWanted(const Request& request, const Caller& caller,
                     const std::vector<ColdValue>& wanted, std::string* out, Outcome* outcome);
  void WantValues(const std::vector<ColdValue>& wanted, const ValueLoads::WaitedKey* waited);
  // `slot` null: all requests of the client.
  bool CancelBehindScript(uint64_t client, const uint64_t* slot);
  // Takes values out of memory while it is above resident-memory; bounded work. Whether there is
  // more to do.
  bool DropValues();
  uint64_t DropSome();  // how many records less memory holds
  bool MayBeDropped(const data::Database& database, const data::Object& object) const;

  const uint32_t number_;
  const uint16_t first_slot_;
  const uint16_t last_slot_;
  const bool evictable_;
  const size_t smallest_dropped_;
  PartitionHost* const host_;
  const std::function<std::unique_ptr<data::Keyspace>()> new_keyspace_;
  std::unique_ptr<data::Keyspace> keyspace_;
  replica::Replica* replica_ = nullptr;
  std::vector<CommitObserver*> observers_;
  HybridLogicalClock revisions_;
  Rng rng_;

  bool ready_ = false;
  bool transferring_ = false;  // raft takes no proposals
  uint64_t ready_period_ = 0;
  bool rebuilding_ = false;  // PartitionHost::Rebuild is under way
  uint64_t leads_term_ = 0;  // raft leads and is ready in this term; 0 = it doesn't
  uint64_t memory_index_;    // the last entry that the memory contains
  uint64_t applied_index_;   // of these, the last that raft has handed out
  uint64_t handed_out_ = 0;  // the last entry that raft has handed out; more only while rebuilding
  uint64_t commit_index_ = 0;
  // Payloads of entries that were proposed here and not handed out yet, with their indexes.
  std::deque<std::pair<uint64_t, raft::Payload>> proposed_;
  uint64_t open_index_ = 1;  // the index that the open batch will get
  std::string batch_;        // payload of the open batch; empty = no effect yet
  size_t batch_reserve_ = 0;
  uint32_t batch_effects_ = 0;  // in it
  data::Author batch_author_;   // of its last effect
  bool turn_end_requested_ = false;
  std::vector<KeyEvent> batch_events_;  // of the open batch
  std::deque<KeyEvent> key_events_;     // of entries that aren't committed yet, in order
  size_t key_event_bytes_ = 0;          // of both

  uint64_t open_round_;  // the read round that this turn's reads wait for
  bool round_used_ = false;
  bool round_refused_ = false;  // too many were pending: Tick starts another one
  uint64_t confirmed_round_ = 0;

  TouchedKeys touched_;
  uint64_t all_touched_ = 0;  // the last entry that touched whole databases
  GateQueue gates_;
  std::vector<GateQueue::Item> open_gates_;
  // Of requests that are committed; they run at the end of the turn.
  std::vector<std::unique_ptr<GateWaiter>> announcements_;
  txn::WatchTable watches_;
  BlockedRequests blocked_;
  FollowerReads follower_reads_;
  std::vector<CopyWait> copy_waits_;
  std::vector<std::pair<uint32_t, std::string>> ready_keys_;  // changed keys that are waited for
  bool serving_ = false;
  ValueLoads loads_;
  uint64_t load_period_ = 1;        // changes when what is being loaded isn't wanted any more
  uint64_t stored_revision_;        // effects up to this one are in the store
  uint64_t followed_revision_ = 0;  // effects up to this one may have come while it followed
  // Copies that aren't in the store yet, in order.
  struct QueuedCopy {
    uint64_t created;  // the generation
    uint64_t entry;
    uint64_t bytes;
  };
  std::deque<QueuedCopy> copies_;
  uint64_t copied_bytes_ = 0;  // of all of them
  // Copies that come into memory by themselves, by generation: the bytes that they will take, which
  // count as used.
  absl::flat_hash_map<uint64_t, uint64_t> coming_;
  uint64_t coming_bytes_ = 0;
  // Copies that are wanted and not committed yet: entry, value.
  std::vector<std::pair<uint64_t, ColdValue>> wanted_copies_;
  uint64_t drop_cursor_ = 0;
  uint32_t drop_db_ = 0;
  std::unique_ptr<ScriptRun> script_;  // made by the first script
};

}  // namespace holdfast::engine
