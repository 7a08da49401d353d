// Rows of functions. Unlike in Redis, FUNCTION can't be queued by MULTI, since a transaction runs
// on one partition, which isn't the one that has the libraries.
#include "commands/handlers.h"
#include "commands/key_specs.h"
#include "commands/rows.h"
#include "commands/scripting.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using enum engine::CommandFlag;
using engine::Command;
using engine::kAclScripting;
using engine::Route;

constexpr std::string_view kChangeTips = "request_policy:all_shards response_policy:all_succeeded";

constexpr Command kFunctionSubcommands[] = {
    {.name = "delete",
     .arity = 3,
     .flags = kNoscript | kWrite | kNoMulti,
     .data = ApplyFunctionDelete,
     .session = FunctionChange,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Delete a function by name",
     .syntax = "library-name",
     .tips = kChangeTips},
    {.name = "dump",
     .arity = 2,
     .flags = kNoscript | kNoMulti,
     .route = Route::kMeta,
     .data = FunctionDump,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(N) where N is the number of functions",
     .summary = "Dump all functions into a serialized binary payload"},
    {.name = "flush",
     .arity = -2,
     .flags = kNoscript | kWrite | kNoMulti,
     .data = ApplyFunctionFlush,
     .session = FunctionChange,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(N) where N is the number of functions deleted",
     .summary = "Deleting all functions",
     .syntax = "[ASYNC | SYNC]",
     .tips = kChangeTips},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .session = ContainerHelp,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Show helpful text about the different subcommands"},
    {.name = "kill",
     .arity = 2,
     .flags = kNoscript | kAllowBusy,
     .route = Route::kEveryPartition,
     .merge = engine::Merge::kAnyOk,
     .data = FunctionKill,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Kill the function currently in execution.",
     .tips = "request_policy:all_shards response_policy:one_succeeded"},
    {.name = "list",
     .arity = -2,
     .flags = kNoscript | kNoMulti,
     .route = Route::kMeta,
     .data = FunctionList,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(N) where N is the number of functions",
     .summary = "List information about all the functions",
     .syntax = "[LIBRARYNAME library-name-pattern] [WITHCODE]",
     .tips = "nondeterministic_output_order"},
    {.name = "load",
     .arity = -3,
     .flags = kNoscript | kWrite | kDenyOom | kNoMulti,
     .data = ApplyFunctionLoad,
     .session = FunctionChange,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(1) (considering compilation time is redundant)",
     .summary = "Create a function with the given arguments (name, code, description)",
     .syntax = "[REPLACE] function-code",
     .tips = kChangeTips},
    {.name = "restore",
     .arity = -3,
     .flags = kNoscript | kWrite | kDenyOom | kNoMulti,
     .data = ApplyFunctionRestore,
     .session = FunctionChange,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(N) where N is the number of functions on the payload",
     .summary = "Restore all the functions on the given payload",
     .syntax = "serialized-value [FLUSH | APPEND | REPLACE]",
     .tips = kChangeTips},
    {.name = "stats",
     .arity = 2,
     .flags = kNoscript | kAllowBusy,
     .session = FunctionStats,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary =
         "Return information about the function currently running (name, description, duration)",
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
};

constexpr std::string_view kFunctionHelp[] = {
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using "
    "FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore "
    "policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, "
    "replace "
    "the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of "
    "failure",
    "      in case of functions name collision with another library).",
};

constexpr uint32_t kFcallFlags =
    kNoscript | kSkipMonitor | kMayReplicate | kNoMandatoryKeys | kStale | kMovableKeys;
constexpr uint32_t kFcallRoFlags =
    kNoscript | kSkipMonitor | kNoMandatoryKeys | kStale | kReadonly | kMovableKeys;

constexpr Command kFunctionRows[] = {
    {.name = "fcall",
     .arity = -3,
     .flags = kFcallFlags,
     .keys = CountedKeys(2, 1, engine::kKeyRw | engine::kKeyAccess | engine::kKeyUpdate),
     .route = Route::kKeys,
     .data = Fcall,
     .writes = FcallWrites,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "Depends on the function that is executed.",
     .summary = "Invoke a function",
     .syntax = "function numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "fcall_ro",
     .arity = -3,
     .flags = kFcallRoFlags,
     .keys = CountedKeys(2, 1, engine::kKeyRo | engine::kKeyAccess),
     .route = Route::kKeys,
     .data = FcallRo,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "Depends on the function that is executed.",
     .summary = "Invoke a read-only function",
     .syntax = "function numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "function",
     .arity = -2,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "Depends on subcommand.",
     .summary = "A container for function commands",
     .subcommands = kFunctionSubcommands,
     .help = kFunctionHelp},
};

}  // namespace

std::span<const Command> FunctionRows() { return kFunctionRows; }

}  // namespace holdfast::commands
