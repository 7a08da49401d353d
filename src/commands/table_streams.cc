// Rows of the stream commands.
#include "commands/handlers.h"
#include "commands/key_specs.h"
#include "commands/rows.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

// Enumerators only: flags, key flags, ACL categories, routes.
using enum engine::CommandFlag;
using enum engine::AclCategory;
using enum engine::KeyFlag;
using engine::Command;
using engine::Route;

constexpr Command kXgroupRows[] = {
    {.name = "create",
     .arity = -5,
     .flags = kWrite | kDenyOom,
     .keys = KeyAt(2, kKeyRw | kKeyInsert),
     .route = Route::kKeys,
     .data = XgroupCreate,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Create a consumer group.",
     .syntax = "key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries-read]"},
    {.name = "createconsumer",
     .arity = 5,
     .flags = kWrite | kDenyOom,
     .keys = KeyAt(2, kKeyRw | kKeyInsert),
     .route = Route::kKeys,
     .data = XgroupCreateconsumer,
     .acl = kAclStream,
     .since = "6.2.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Create a consumer in a consumer group.",
     .syntax = "key groupname consumername"},
    {.name = "delconsumer",
     .arity = 5,
     .flags = kWrite,
     .keys = KeyAt(2, kKeyRw | kKeyDelete),
     .route = Route::kKeys,
     .data = XgroupDelconsumer,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Delete a consumer from a consumer group.",
     .syntax = "key groupname consumername"},
    {.name = "destroy",
     .arity = 4,
     .flags = kWrite,
     .keys = KeyAt(2, kKeyRw | kKeyDelete),
     .route = Route::kKeys,
     .data = XgroupDestroy,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(N) where N is the number of entries in the group's pending entries list "
         "(PEL).",
     .summary = "Destroy a consumer group.",
     .syntax = "key groupname"},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .session = ContainerHelp,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Show helpful text about the different subcommands"},
    {.name = "setid",
     .arity = -5,
     .flags = kWrite,
     .keys = KeyAt(2, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = XgroupSetid,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Set a consumer group to an arbitrary last delivered ID value.",
     .syntax = "key groupname <id | $> [ENTRIESREAD entries-read]"},
};
constexpr std::string_view kXgroupHelp[] = {
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
};

constexpr Command kXinfoRows[] = {
    {.name = "consumers",
     .arity = 4,
     .flags = kReadonly,
     .keys = KeyAt(2, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = XinfoConsumers,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "List the consumers in a consumer group",
     .syntax = "key groupname",
     .tips = "nondeterministic_output"},
    {.name = "groups",
     .arity = 3,
     .flags = kReadonly,
     .keys = KeyAt(2, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = XinfoGroups,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "List the consumer groups of a stream",
     .syntax = "key"},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .session = ContainerHelp,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Show helpful text about the different subcommands"},
    {.name = "stream",
     .arity = -3,
     .flags = kReadonly,
     .keys = KeyAt(2, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = XinfoStream,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Get information about a stream",
     .syntax = "key [FULL [COUNT count]]"},
};
constexpr std::string_view kXinfoHelp[] = {
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
};

constexpr Command kStreamRows[] = {
    {.name = "xack",
     .arity = -4,
     .flags = kWrite | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Xack,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1) for each message ID processed.",
     .summary = 
         "Marks a pending message as correctly processed, effectively removing it "
         "from the pending entries list of the consumer group. Return value of the "
         "command is the number of messages successfully acknowledged, that is, the "
         "IDs we were actually able to resolve in the PEL.",
     .syntax = "key group id [id ...]"},
    {.name = "xadd",
     .arity = -5,
     .flags = kWrite | kDenyOom | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Xadd,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(1) when adding a new entry, O(N) when trimming where N being the number "
         "of entries evicted.",
     .summary = "Appends a new entry to a stream",
     .syntax = 
         "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | "
         "id> field value [field value ...]",
     .tips = "nondeterministic_output"},
    {.name = "xautoclaim",
     .arity = -6,
     .flags = kWrite | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyDelete),
     .route = Route::kKeys,
     .data = Xautoclaim,
     .acl = kAclStream,
     .since = "6.2.0",
     .group = "stream",
     .complexity = "O(1) if COUNT is small.",
     .summary = 
         "Changes (or acquires) ownership of messages in a consumer group, as if the "
         "messages were delivered to the specified consumer.",
     .syntax = "key group consumer min-idle-time start [COUNT count] [JUSTID]",
     .tips = "nondeterministic_output"},
    {.name = "xclaim",
     .arity = -6,
     .flags = kWrite | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Xclaim,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(log N) with N being the number of messages in the PEL of the consumer "
         "group.",
     .summary = 
         "Changes (or acquires) ownership of a message in a consumer group, as if the "
         "message was delivered to the specified consumer.",
     .syntax = 
         "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME "
         "unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
     .tips = "nondeterministic_output"},
    {.name = "xdel",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyDelete),
     .route = Route::kKeys,
     .data = Xdel,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(1) for each single item to delete in the stream, regardless of the stream "
         "size.",
     .summary = 
         "Removes the specified entries from the stream. Returns the number of items "
         "actually deleted, that may be different from the number of IDs passed in "
         "case certain IDs do not exist.",
     .syntax = "key id [id ...]"},
    {.name = "xgroup",
     .arity = -2,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "Depends on subcommand.",
     .summary = "A container for consumer groups commands",
     .subcommands = kXgroupRows,
     .help = kXgroupHelp},
    {.name = "xinfo",
     .arity = -2,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "Depends on subcommand.",
     .summary = "A container for stream introspection commands",
     .subcommands = kXinfoRows,
     .help = kXinfoHelp},
    {.name = "xlen",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = KeyAt(1, kKeyRo),
     .route = Route::kKeys,
     .data = Xlen,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "Return the number of entries in a stream",
     .syntax = "key"},
    {.name = "xpending",
     .arity = -3,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Xpending,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(N) with N being the number of elements returned, so asking for a small "
         "fixed number of entries per call is O(1). O(M), where M is the total number "
         "of entries scanned when used with the IDLE filter. When the command returns "
         "just the summary and the list of consumers is small, it runs in O(1) time; "
         "otherwise, an additional O(N) time for iterating every consumer.",
     .summary = 
         "Return information and entries from a stream consumer group pending entries "
         "list, that are messages fetched but never acknowledged.",
     .syntax = "key group [[IDLE min-idle-time] start end count [consumer]]",
     .tips = "nondeterministic_output"},
    {.name = "xrange",
     .arity = -4,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Xrange,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(N) with N being the number of elements being returned. If N is constant "
         "(e.g. always asking for the first 10 elements with COUNT), you can consider "
         "it O(1).",
     .summary = 
         "Return a range of elements in a stream, with IDs matching the specified IDs "
         "interval",
     .syntax = "key start end [COUNT count]"},
    {.name = "xread",
     .arity = -4,
     .flags = kReadonly | kBlocking | kMovableKeys,
     .keys = StreamKeys(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Xread,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "For each stream mentioned: O(N) with N being the number of elements being "
         "returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that "
         "when the BLOCK option is used, XADD will pay O(M) time in order to serve "
         "the M clients blocked on the stream getting new data.",
     .summary = 
         "Return never seen elements in multiple streams, with IDs greater than the "
         "ones reported by the caller for each stream. Can block.",
     .syntax = "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]"},
    {.name = "xreadgroup",
     .arity = -7,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = StreamKeys(4, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Xreadgroup,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "For each stream mentioned: O(M) with M being the number of elements "
         "returned. If M is constant (e.g. always asking for the first 10 elements "
         "with COUNT), you can consider it O(1). On the other side when XREADGROUP "
         "blocks, XADD will pay the O(N) time in order to serve the N clients blocked "
         "on the stream getting new data.",
     .summary = 
         "Return new entries from a stream using a consumer group, or access the "
         "history of the pending entries for a given consumer. Can block.",
     .syntax = 
         "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key "
         "[key ...] id [id ...]"},
    {.name = "xrevrange",
     .arity = -4,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Xrevrange,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(N) with N being the number of elements returned. If N is constant (e.g. "
         "always asking for the first 10 elements with COUNT), you can consider it "
         "O(1).",
     .summary = 
         "Return a range of elements in a stream, with IDs matching the specified IDs "
         "interval, in reverse order (from greater to smaller IDs) compared to XRANGE",
     .syntax = "key end start [COUNT count]"},
    {.name = "xsetid",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Xsetid,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .summary = "An internal command for replicating stream values",
     .syntax = 
         "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-entry-id]"},
    {.name = "xtrim",
     .arity = -4,
     .flags = kWrite,
     .keys = KeyAt(1, kKeyRw | kKeyDelete),
     .route = Route::kKeys,
     .data = Xtrim,
     .acl = kAclStream,
     .since = "5.0.0",
     .group = "stream",
     .complexity = 
         "O(N), with N being the number of evicted entries. Constant times are very "
         "small however, since entries are organized in macro nodes containing "
         "multiple entries that can be released with a single deallocation.",
     .summary = "Trims the stream to (approximately if '~' is passed) a certain size",
     .syntax = "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
     .tips = "nondeterministic_output"},
};

}  // namespace

std::span<const Command> StreamRows() { return kStreamRows; }

}  // namespace holdfast::commands
