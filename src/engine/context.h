// What a data command sees: its arguments, the keys of its partition, and the reply it writes.
//
// A handler reads objects with Find…, changes them only through Put, Patch, SetExpiry, Delete and
// SetDatabases (which emit effects and apply them at once), and writes exactly one reply, unless it
// calls Block. It never waits: the reply is held back until everything that it depends on is
// committed (DESIGN.md §2 rules 2 and 3). Loop thread of the owning core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/keyspace.h"
#include "engine/cold_value.h"
#include "engine/command.h"
#include "engine/errors.h"
#include "engine/key_events.h"
#include "resp/writer.h"

namespace holdfast::engine {

class Partition;
struct Config;

// Who asks, as far as a data command may know.
struct Caller {
  uint32_t db = 0;
  int protocol = 2;
  bool no_touch = false;        // CLIENT NO-TOUCH: reads don't count as accesses
  bool in_transaction = false;  // inside EXEC: blocking commands don't block
  bool in_script = false;       // inside a script, which is inside a transaction as well
  bool retry = false;           // a blocked request that is tried again
  bool unconfirmed = false;     // a read may be answered by one who was the leader (`reads: local`)
  uint64_t waits_index = 0;     // what a retried request for copies waits for
  int64_t waited_ms = 0;        // how long a blocking command has waited elsewhere already
  // Function libraries have to be as new as this revision of the meta partition: what the node that
  // the client talks to had. 0: it is this node.
  uint64_t functions_revision = 0;
  // The rules of access control have to be as new as this revision of the meta partition, and this
  // user's hold for what a script calls; no name: everything is allowed.
  uint64_t acl_revision = 0;
  std::string_view acl_user;
  int64_t now_ms = 0;  // inside of a script: when that began, as ExecContext::now_ms; 0: now
  bool error_counted = false;  // the reply's error is in the statistics already
  // The client of this core that is to hear when what it reads changes; 0: nobody (tracking.h).
  uint64_t reader = 0;
  // The client, when it doesn't want to hear of its own changes.
  data::Author author;
  // Of the client, for the slow log; valid while the command runs.
  std::string_view address;
  std::string_view name;
};

// A key that was looked up. `object` is nullptr when the key doesn't exist (or has just expired).
// Changing a key through the context keeps `object` up to date.
struct Key {
  data::HashedKey hashed;
  data::Database* database = nullptr;
  data::Object* object = nullptr;
  bool replaced = false;  // it was deleted here: what comes in its place is not a new key

  explicit operator bool() const { return object != nullptr; }
  bool Is(data::ObjectType type) const { return object != nullptr && object->type() == type; }
};

// What happens to a key's expiry time when its value is replaced.
struct Expiry {
  enum class Kind : uint8_t { kClear, kKeep, kAt };
  Kind kind = Kind::kClear;
  int64_t at_ms = 0;  // kAt: milliseconds since 1970 UTC, > 0

  static Expiry Clear() { return {}; }
  static Expiry Keep() { return {Kind::kKeep, 0}; }
  static Expiry At(int64_t ms) { return {Kind::kAt, ms}; }
};

// How a blocked request stands in the lines of its keys.
enum class InLine : uint8_t {
  // What comes goes to the first. While that one goes on waiting, those behind it that wait in turn
  // needn't be tried: it has found nothing, or what is there isn't to be had.
  kInTurn,
  // Each is tried when the key changes: what one doesn't take may be for the next.
  kTogether,
};

// How a request waits (ExecContext::Block).
struct Wait {
  int64_t timeout_ms = 0;  // 0 = for ever
  // Where it stands is settled when it begins to wait; when it goes on waiting, this says whether
  // those behind it are tried.
  InLine in_line = InLine::kInTurn;
  bool null_array = true;  // what it answers in vain: a null array, or a null string
  // Not empty: the arguments that it runs again with, here or under another leader.
  std::vector<std::string> args = {};
};

class ExecContext {
 public:
  // `begin_ns`: the monotonic clock as the command begins.
  ExecContext(Partition* partition, const Command& the_command, Args the_args,
              const Caller& the_caller, resp::Writer* writer, int64_t begin_ns);
  ExecContext(const ExecContext&) = delete;
  ExecContext& operator=(const ExecContext&) = delete;

  const Command& command;
  const Args args;
  const Caller& caller;
  resp::Writer& reply;

  // Milliseconds since 1970 UTC; the same throughout a command or transaction.
  int64_t now_ms() const { return now_ms_; }
  const Config& config() const;
  Partition& partition() { return *partition_; }

  // Whether every key that a pattern of SORT ("weight_*") may name is in this partition: it has all
  // slots, or a hash tag in front of the star decides.
  bool OwnsNamesLike(std::string_view pattern) const;

  // ---- Reading. A key whose time has come is deleted first (the deletion is an effect, and the
  // reply waits for it), so callers never see an expired key.

  // Counts a keyspace hit or miss and marks the access.
  Key FindForRead(std::string_view name) { return Find(name, caller.db, true, true); }
  // Marks the access.
  Key FindForWrite(std::string_view name) { return Find(name, caller.db, false, true); }
  // Counts a keyspace hit or miss; TTL, TYPE and EXISTS don't count as use.
  Key FindToShow(std::string_view name) { return Find(name, caller.db, true, false); }
  // Neither: OBJECT, DEBUG ….
  Key Peek(std::string_view name) { return Find(name, caller.db, false, false); }
  // To be replaced or only looked at, in one of SELECT's databases (COPY, MOVE, RENAME): its value
  // may not be in memory.
  Key FindForWriteIn(uint32_t db, std::string_view name) {
    return Find(name, db, false, true, /*may_be_cold=*/true);
  }
  // For loops over keys args[first], args[first + step], …: called before the one at `i` is looked
  // up, brings the next few into the cache together. Only makes things faster.
  void LookAhead(size_t first, size_t i, size_t step) {
    if ((i - first) % (kLookAhead * step) == 0 && i + step < args.size()) Prefetch(i, step);
  }
  // The reply depends on the whole partition (KEYS, DBSIZE, SCAN …): waits for every entry so far.
  void DependsOnAll();

  // Milliseconds since 1970 UTC at which the key expires; 0 = never. For locks see
  // LeaseRemainingMs. REQUIRES: key.
  int64_t ExpireAt(const Key& key) const;
  // REQUIRES: key is a lock.
  int64_t LeaseRemainingMs(const Key& key) const;

  // ---- Changing. Each gives the key a new revision and version and returns the revision.

  // Creates the key or replaces its value (and type). `raw`: see data::Meta. The fence of an
  // existing key is kept, and raised to `fence`. With `keep_revision`, revision and version of an
  // existing key of this type stay.
  uint64_t Put(Key* key, data::ObjectType type, std::string_view value, Expiry expiry,
               bool raw = false, uint64_t fence = 0, bool keep_revision = false);
  // Changes elements of a collection, and creates it when the key is missing. `head`: of the
  // collection as it is afterwards. Keeps expiry. REQUIRES: the key is missing or of this type;
  // `changes` is not empty and leaves an element, unless such a collection may be empty.
  uint64_t Change(Key* key, data::ObjectType type, const data::ElementChanges& changes,
                  std::string_view head);
  // Gives a missing key the collection of `source`, with its expiry time, without visiting the
  // elements: they are handed over (`moves`; the source must be deleted next, REQUIRES: it isn't
  // cold), or the target's are in the store only until somebody wants them, which has to be after
  // this request (REQUIRES: not in a transaction or script).
  uint64_t Copy(Key* source, Key* target, bool moves);
  // Whether Copy may be used: what it leaves to the store is bounded.
  bool MayCopy(const Key& source) const;
  // Rewrites a part of an existing string and marks it raw: the value becomes `new_size` bytes long
  // (cut, or zero bytes added), then `bytes` are written at `offset`. Keeps expiry.
  uint64_t Patch(Key* key, size_t offset, std::string_view bytes, size_t new_size);
  // Sets (at_ms > 0) or removes (0) the expiry time of an existing key that is not a lock. With
  // `keep_revision`, revision and version stay.
  uint64_t SetExpiry(Key* key, int64_t at_ms, bool keep_revision = false);
  // Deletes an existing key.
  uint64_t Delete(Key* key);
  // Gives a lock's lease a new end, `ms` from now, on the leader's monotonic clock, without an
  // effect. REQUIRES: key is a lock whose recorded lease is at least `ms` long.
  void RenewLease(const Key& key, int64_t ms);
  // Replaces the mapping of SELECT's databases (FLUSHDB, FLUSHALL, SWAPDB). `affected` is a bit set
  // of logical numbers whose contents change.
  void SetDatabases(const data::DatabaseMap& map, uint32_t affected);

  // Clients that want events of this class (KeyEventClass) hear, once it is committed, what this
  // command has done to the key. `event` is static. As a rule a command whose last element went
  // tells of what it took and then of a "del".
  void Notify(const Key& key, uint32_t event_class, std::string_view event);

  // ---- Blocking.

  // The request waits until one of the keys changes, then runs again (caller.retry), in order of
  // arrival among those that wait for the key. REQUIRES: !caller.in_transaction; nothing was
  // replied; no effect was emitted; `keys` is not empty.
  void Block(std::span<const std::string_view> keys, Wait wait);
  // The last entry so far, what was done in this turn included; for a request that has waited for
  // copies, the last one when it came.
  uint64_t LastIndex() const;
  // The request waits until `copies` > 0 other nodes hold entry `index`, then runs again
  // (caller.retry), and at the latest after `timeout_ms` (0 = never).
  void BlockForCopies(uint64_t index, uint64_t copies, int64_t timeout_ms);
  // How many requests wait for the key.
  size_t Waiters(const Key& key) const;

  // ---- Scripts.

  // Runs another command of this partition as a part of this one: their effects are in the same
  // entry, and this one's reply waits for whatever that one has seen. Appends its reply to `out` in
  // `protocol`. REQUIRES: nothing of it is refused by WhyRefused.
  void RunInside(const Command& inner, Args inner_args, uint32_t db, int protocol,
                 std::string* out);
  // The error that this one answers is that of an inner one, and counted as such.
  void ErrorIsCounted() { error_counted_ = true; }
  // `task` runs when what the request has done is committed, or, when it did nothing, as soon as it
  // is over; behind those of earlier calls. Never, when its effects are lost.
  void WhenCommitted(absl::AnyInvocable<void()> task) { committed_.push_back(std::move(task)); }
  // Why a command with these flags can't be taken now; empty when it can. May evict keys.
  std::string_view WhyRefused(uint32_t flags);

  // ---- Replies.
  // The reply tells nothing of what the partition holds: unless it is a part of a transaction, it
  // leaves although this node may not lead any more.
  void TellsNoState() { tells_no_state_ = true; }
  void Error(std::string_view text) { reply.Error(text); }
  void ErrorArity();
  // The reply is longer than a client may have waiting: the handler returns, and what it has
  // written is replaced by an error. For those whose reply is as long as an argument says.
  [[nodiscard]] bool ReplyTooLong();
  // False, with WRONGTYPE replied, when the key exists and is not of this type.
  [[nodiscard]] bool IsOrMissing(const Key& key, data::ObjectType type);
  [[nodiscard]] bool IsStringOrMissing(const Key& key) {
    return IsOrMissing(key, data::ObjectType::kString);
  }
  // Reads args[i] as an integer; on failure replies `error` and returns false.
  [[nodiscard]] bool ParseInt(size_t i, int64_t* value, std::string_view error = kNotInteger);

  // ---- For the partition: what the reply waits for.
  uint64_t gate_index() const { return gate_index_; }
  bool blocked() const { return blocked_; }
  bool too_long() const { return too_long_; }
  bool emitted() const { return emitted_; }
  // On a follower: only the leader can say what became of a key.
  bool needs_leader() const { return needs_leader_; }
  // Values that it looked for and that are not in memory: from then on it changes nothing, what it
  // replied is wrong, and it has to run again.
  const std::vector<ColdValue>& wanted() const { return wanted_; }

 private:
  friend class Partition;
  static constexpr size_t kLookAhead = 16;  // keys

  Key Find(std::string_view name, uint32_t db, bool count, bool touch, bool may_be_cold = false);
  // Of a key that is there and may be over.
  bool StillThere(const Key& key, uint32_t db);
  // The key's value is in the store only: for this run it is missing.
  void WantValue(Key* key);
  void Prefetch(size_t i, size_t step) const;
  void RunHandler();
  void NoteUse(data::Object* object, bool is_new);
  void PassOnKeyEvents();
  void Emit(data::Effect* effect, Key* key, uint32_t logical);

  Partition* partition_;
  int64_t now_ms_;
  const int64_t begin_ns_;
  const size_t reply_begin_;  // in the bytes that `reply` writes to
  uint64_t gate_index_ = 0;
  bool emitted_ = false;
  bool read_inside_ = false;  // a script: it has run a command that only reads
  bool needs_leader_ = false;
  bool tells_no_state_ = false;
  std::vector<ColdValue> wanted_;
  std::vector<KeyEvent> key_events_;
  bool blocked_ = false;
  bool too_long_ = false;
  bool error_counted_ = false;
  std::vector<absl::AnyInvocable<void()>> committed_;
  std::vector<std::string> blocked_keys_;
  Wait wait_;
  uint64_t blocked_index_ = 0;
  uint64_t blocked_copies_ = 0;  // not 0: waits for those instead of keys
};

}  // namespace holdfast::engine
