// What a command is: one row of the command table. The table itself is in commands/.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::engine {

class Core;
class ExecContext;
class OwnedArgs;
class SessionContext;
struct Command;

// The arguments of a request; args[0] is the command's name as the client wrote it.
using Args = std::span<const std::string_view>;

// Runs a command on the partition of its keys (loop thread of the core that owns the partition).
using DataHandler = void (*)(ExecContext&);
// Runs a command that touches no key, on the connection's own core.
using SessionHandler = void (*)(SessionContext&);
// Puts a request that is about to leave its client's core into a form that any node understands
// (EVALSHA takes the script along). Not empty: this error is its reply, and it goes nowhere.
using ForwardHandler = std::string_view (*)(Core& core, const Command** command, OwnedArgs* args);

// Whether this request may write or publish, of a command whose flags say only that it might (EVAL:
// the script may declare that it doesn't).
using WritesHandler = bool (*)(Core& core, Args args);

// The flags that COMMAND reports, under Redis's names.
enum CommandFlag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,  // refused when maxmemory is reached and nothing can be evicted
  kAdmin = 1u << 3,
  kPubsub = 1u << 4,
  kNoscript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,
  kStale = 1u << 8,
  kSkipMonitor = 1u << 9,
  kSkipSlowlog = 1u << 10,
  kFast = 1u << 11,
  kNoAuth = 1u << 12,  // allowed before AUTH
  kMayReplicate = 1u << 13,
  kNoMulti = 1u << 14,
  kMovableKeys = 1u << 15,
  kAllowBusy = 1u << 16,
  kNoAsyncLoading = 1u << 17,
  kNoMandatoryKeys = 1u << 18,
  // Only nodes run it: a client would get around the rights that the command for clients wants.
  // COMMAND doesn't tell.
  kInternal = 1u << 19,
};

// ACL categories, under Redis's names; a command's read/write/fast/slow/admin/… categories that
// follow from its flags are added by the table.
enum AclCategory : uint32_t {
  kAclKeyspace = 1u << 0,
  kAclRead = 1u << 1,
  kAclWrite = 1u << 2,
  kAclString = 1u << 3,
  kAclBitmap = 1u << 4,
  kAclAdmin = 1u << 5,
  kAclFast = 1u << 6,
  kAclSlow = 1u << 7,
  kAclBlocking = 1u << 8,
  kAclDangerous = 1u << 9,
  kAclConnection = 1u << 10,
  kAclTransaction = 1u << 11,
  kAclScripting = 1u << 12,
  kAclPubsub = 1u << 13,
  kAclLock = 1u << 14,      // Holdfast's own: locks
  kAclSequence = 1u << 15,  // Holdfast's own: sequences
  kAclHash = 1u << 16,
  kAclSet = 1u << 17,
  kAclList = 1u << 18,
  kAclSortedSet = 1u << 19,
  kAclGeo = 1u << 20,
  kAclHyperloglog = 1u << 21,
  kAclStream = 1u << 22,
};

// What a command does to its keys, as COMMAND INFO's key specifications say.
enum KeyFlag : uint32_t {
  kKeyRo = 1u << 0,
  kKeyRw = 1u << 1,
  kKeyOw = 1u << 2,
  kKeyRm = 1u << 3,
  kKeyAccess = 1u << 4,
  kKeyUpdate = 1u << 5,
  kKeyInsert = 1u << 6,
  kKeyDelete = 1u << 7,
  kKeyVariable = 1u << 8,
  kKeyNotKey = 1u << 9,  // decides the slot like a key, and is none: a shard channel
};

// Where a command's keys are among its arguments. A command has at most three specifications.
struct KeySpec {
  enum class Kind : uint8_t { kNone, kRange, kNumKeys, kKeyword, kStreams, kSortStore };
  Kind kind = Kind::kNone;
  // kRange: first argument that is a key; last (negative: counted from the end, -1 = the last
  // argument; not counted from `first`); step between keys.
  // kNumKeys: `first` is the argument that holds the number of keys, which follow it, `step` apart.
  // kKeyword: keys are the arguments behind each one from `first` on that is `keyword`. The handler
  // takes the last of them; all count, lest a request names one and touches another.
  // kStreams: the first half of what follows the option STREAMS, which is the argument `first` or a
  // later one (XREAD).
  // kSortStore: the argument behind the last option STORE of SORT, whose options begin at `first`;
  // none without that option.
  int first = 0;
  int last = 0;
  int step = 1;
  uint32_t flags = 0;
  std::string_view keyword = {};
};

// Where a request runs.
enum class Route : uint8_t {
  kSession,         // no keys; on the connection's core
  kKeys,            // on the one partition of all its keys; else -CROSSSLOT
  kSpread,          // keys may span partitions: split by key, replies merged as `merge` says
  kEveryPartition,  // the whole keyspace: on every partition, replies merged
  kByCursor,        // SCAN: on the partition that its cursor points into
  kMeta,            // on the meta partition, which holds the cluster's records
  kPartition,       // on the partition whose number is the second argument
};

// Whether a command needs the values of its keys, which may not be in memory (data/keyspace.h).
enum class ValueUse : uint8_t {
  kAlways,
  kNever,        // metas are enough: EXISTS, EXPIRE, and what replaces or deletes whole values
  kWithOptions,  // not when there are only a key and a value (SET)
  kOfFirstKey    // the other one is replaced (COPY, RENAME)
};

// How the replies of several partitions become one.
enum class Merge : uint8_t {
  kNone,
  kSumIntegers,
  kArrayInKeyOrder,
  kConcatArrays,
  kFirstOk,
  kFirstNonNil,
  kAnyOk,  // SCRIPT KILL: an OK, else an error that isn't NOTBUSY, else that
};

struct Command {
  std::string_view name = {};  // lower case
  int arity = 0;               // number of arguments with the name; negative: at least that many
  uint32_t flags = 0;
  KeySpec keys = {};
  KeySpec more_keys = {};  // second specification, e.g. BITOP's sources
  KeySpec last_keys = {};  // third one: GEORADIUS's STOREDIST
  Route route = Route::kSession;
  Merge merge = Merge::kNone;
  ValueUse values = ValueUse::kAlways;
  bool reads_other_keys = false;  // than its specifications name: SORT's BY and GET
  DataHandler data = nullptr;
  SessionHandler session = nullptr;
  ForwardHandler forward = nullptr;
  WritesHandler writes = nullptr;
  uint32_t acl = 0;
  std::string_view since = {};
  std::string_view group = {};
  std::string_view complexity = {};
  std::string_view summary = {};
  // The arguments, in the notation of Redis's documentation, e.g. "key value [NX | XX]".
  std::string_view syntax = {};
  // Redis's command tips, separated by blanks, e.g. "nondeterministic_output".
  std::string_view tips = {};
  std::span<const Command> subcommands = {};
  // Lines of the HELP subcommand, for containers.
  std::span<const std::string_view> help = {};

  // Set by the table: the container's name for a subcommand, else empty; the number of the row.
  std::string_view parent = {};
  uint32_t id = 0;

  bool has(CommandFlag flag) const { return (flags & flag) != 0; }
  bool NeedsValues(Args args) const {
    return values == ValueUse::kWithOptions ? args.size() > 3 : values != ValueUse::kNever;
  }
  // Data commands: once executed it may have modified something.
  bool may_write() const { return (flags & (kWrite | kMayReplicate)) != 0; }
};

// Appends the positions in `args` of the keys of a request. False when the arguments don't fit the
// specification (e.g. a numkeys that is not a number or too large); then nothing may be executed.
[[nodiscard]] bool FindKeys(const Command& command, Args args, std::vector<int>* positions);

// The same with what becomes of each key: KeyFlag bits, as this request's options have it where the
// command's depend on them.
struct KeyUse {
  int position = 0;
  uint32_t flags = 0;
};
[[nodiscard]] bool FindKeyUses(const Command& command, Args args, std::vector<KeyUse>* keys);

// The name in error texts and statistics: "get", "config|get".
std::string FullName(const Command& command);

// Whether `argc` arguments suit the command's arity.
[[nodiscard]] inline bool ArityFits(const Command& command, size_t argc) {
  return command.arity >= 0 ? argc == static_cast<size_t>(command.arity)
                            : argc >= static_cast<size_t>(-command.arity);
}

struct AclCategorySets;  // acl_selector.cc

// The table, as the layers below commands/ see it. Set once at startup, before any core runs.
class CommandTable {
 public:
  virtual ~CommandTable() = default;
  // The command, or nullptr. `name` in any case.
  virtual const Command* Find(std::string_view name) const = 0;
  // The subcommand of a container, or nullptr.
  virtual const Command* FindSubcommand(const Command& container, std::string_view name) const = 0;
  // All top-level rows.
  virtual std::span<const Command> commands() const = 0;
  // Rows and subcommand rows together: ids are below this.
  virtual uint32_t size() const = 0;
  virtual const Command& ById(uint32_t id) const = 0;

  // Which rows the categories of access control have; made when it is first asked for. Any thread.
  const AclCategorySets& category_sets() const;

 private:
  mutable std::once_flag category_sets_once_;
  mutable std::shared_ptr<const AclCategorySets> category_sets_;
};

}  // namespace holdfast::engine
