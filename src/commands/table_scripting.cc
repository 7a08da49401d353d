// Rows of scripts.
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

constexpr uint32_t kEvalFlags =
    kNoscript | kSkipMonitor | kMayReplicate | kNoMandatoryKeys | kStale | kMovableKeys;
constexpr uint32_t kEvalRoFlags =
    kNoscript | kSkipMonitor | kNoMandatoryKeys | kStale | kReadonly | kMovableKeys;
constexpr uint32_t kAnyUse = engine::kKeyRw | engine::kKeyAccess | engine::kKeyUpdate;
constexpr uint32_t kAnyRead = engine::kKeyRo | engine::kKeyAccess;

constexpr Command kScriptSubcommands[] = {
    {.name = "debug",
     .arity = 3,
     .flags = kNoscript,
     .session = ScriptDebug,
     .acl = kAclScripting,
     .since = "3.2.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Set the debug mode for executed scripts.",
     .syntax = "<YES | SYNC | NO>"},
    {.name = "exists",
     .arity = -3,
     .flags = kNoscript,
     .session = ScriptExists,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the number of scripts to check (so checking a single script "
                   "is an O(1) operation).",
     .summary = "Check existence of scripts in the script cache.",
     .syntax = "sha1 [sha1 ...]",
     .tips = "request_policy:all_shards response_policy:agg_logical_and"},
    {.name = "flush",
     .arity = -2,
     .flags = kNoscript,
     .session = ScriptFlush,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the number of scripts in cache",
     .summary = "Remove all the scripts from the script cache.",
     .syntax = "[ASYNC | SYNC]",
     .tips = "request_policy:all_nodes response_policy:all_succeeded"},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .session = ContainerHelp,
     .acl = kAclScripting,
     .since = "5.0.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Show helpful text about the different subcommands"},
    {.name = "kill",
     .arity = 2,
     .flags = kNoscript | kAllowBusy,
     .route = Route::kEveryPartition,
     .merge = engine::Merge::kAnyOk,
     .data = ScriptKill,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(1)",
     .summary = "Kill the script currently in execution.",
     .tips = "request_policy:all_shards response_policy:one_succeeded"},
    {.name = "load",
     .arity = 3,
     .flags = kNoscript | kStale,
     .session = ScriptLoad,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the length in bytes of the script body.",
     .summary = "Load the specified Lua script into the script cache.",
     .syntax = "script",
     .tips = "request_policy:all_nodes response_policy:all_succeeded"},
};

constexpr std::string_view kScriptHelp[] = {
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
};

constexpr Command kScriptingRows[] = {
    {.name = "eval",
     .arity = -3,
     .flags = kEvalFlags,
     .keys = CountedKeys(2, 1, kAnyUse),
     .route = Route::kKeys,
     .data = Eval,
     .forward = ForwardEval,
     .writes = EvalWrites,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "Depends on the script that is executed.",
     .summary = "Execute a Lua script server side",
     .syntax = "script numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "eval_ro",
     .arity = -3,
     .flags = kEvalRoFlags,
     .keys = CountedKeys(2, 1, kAnyRead),
     .route = Route::kKeys,
     .data = EvalRo,
     .forward = ForwardEval,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "Depends on the script that is executed.",
     .summary = "Execute a read-only Lua script server side",
     .syntax = "script numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "evalsha",
     .arity = -3,
     .flags = kEvalFlags,
     .keys = CountedKeys(2, 1, kAnyUse),
     .route = Route::kKeys,
     .data = Evalsha,
     .forward = ForwardEvalsha,
     .writes = EvalshaWrites,
     .acl = kAclScripting,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "Depends on the script that is executed.",
     .summary = "Execute a Lua script server side",
     .syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "evalsha_ro",
     .arity = -3,
     .flags = kEvalRoFlags,
     .keys = CountedKeys(2, 1, kAnyRead),
     .route = Route::kKeys,
     .data = EvalshaRo,
     .forward = ForwardEvalsha,
     .acl = kAclScripting,
     .since = "7.0.0",
     .group = "scripting",
     .complexity = "Depends on the script that is executed.",
     .summary = "Execute a read-only Lua script server side",
     .syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]"},
    {.name = "script",
     .arity = -2,
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "Depends on subcommand.",
     .summary = "A container for Lua scripts management commands",
     .subcommands = kScriptSubcommands,
     .help = kScriptHelp},
};

}  // namespace

std::span<const Command> ScriptingRows() { return kScriptingRows; }

}  // namespace holdfast::commands
