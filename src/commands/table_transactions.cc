// The rows of MULTI and what belongs to it.
#include "commands/rows.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using engine::Command;
using engine::kAclTransaction;
using engine::kAllowBusy;
using engine::kFast;
using engine::kKeyRo;
using engine::kLoading;
using engine::kNoscript;
using engine::kSkipSlowlog;
using engine::kStale;

constexpr Command kTransactionRows[] = {
    {.name = "discard",
     .arity = 1,
     .flags = kNoscript | kLoading | kStale | kFast | kAllowBusy,
     .session = Discard,
     .acl = kAclTransaction,
     .since = "2.0.0",
     .group = "transactions",
     .complexity = "O(N), when N is the number of queued commands",
     .summary = "Discard all commands issued after MULTI"},
    {.name = "exec",
     .arity = 1,
     .flags = kNoscript | kLoading | kStale | kSkipSlowlog,
     .session = Exec,
     .acl = kAclTransaction,
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "Depends on commands in the transaction",
     .summary = "Execute all commands issued after MULTI"},
    {.name = "multi",
     .arity = 1,
     .flags = kNoscript | kLoading | kStale | kFast | kAllowBusy,
     .session = Multi,
     .acl = kAclTransaction,
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "O(1)",
     .summary = "Mark the start of a transaction block"},
    {.name = "unwatch",
     .arity = 1,
     .flags = kNoscript | kLoading | kStale | kFast | kAllowBusy,
     .session = Unwatch,
     .acl = kAclTransaction,
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(1)",
     .summary = "Forget about all watched keys"},
    {.name = "watch",
     .arity = -2,
     .flags = kNoscript | kLoading | kStale | kFast | kAllowBusy,
     .keys =
         {.kind = engine::KeySpec::Kind::kRange, .first = 1, .last = -1, .flags = engine::kKeyRo},
     .session = Watch,
     .acl = kAclTransaction,
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(1) for every key.",
     .summary = "Watch the given keys to determine execution of the MULTI/EXEC block",
     .syntax = "key [key ...]"},
};

}  // namespace

std::span<const Command> TransactionRows() { return kTransactionRows; }

}  // namespace holdfast::commands
