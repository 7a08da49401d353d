// Rows of the HyperLogLog commands.
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

constexpr Command kHyperloglogRows[] = {
    {.name = "pfadd",
     .arity = -2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = KeyAt(1, kKeyRw | kKeyInsert),
     .route = Route::kKeys,
     .data = Pfadd,
     .acl = kAclHyperloglog,
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "O(1) to add every element.",
     .summary = "Adds the specified elements to the specified HyperLogLog.",
     .syntax = "key [element [element ...]]"},
    {.name = "pfcount",
     .arity = -2,
     .flags = kReadonly | kMayReplicate,
     .keys = KeysFrom(1, -1, 1, kKeyRw | kKeyAccess),
     .route = Route::kKeys,
     .data = Pfcount,
     .acl = kAclHyperloglog,
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "O(1) with a very small average constant time when called with a single key. "
                   "O(N) with N being the number of keys, and much bigger constant times, when "
                   "called with multiple keys.",
     .summary = "Return the approximated cardinality of the set(s) observed by the HyperLogLog at "
                "key(s).",
     .syntax = "key [key ...]"},
    {.name = "pfdebug",
     .arity = 3,
     .flags = kWrite | kDenyOom | kAdmin,
     .keys = KeyAt(2, kKeyRw | kKeyAccess),
     .route = Route::kKeys,
     .data = Pfdebug,
     .acl = kAclHyperloglog,
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "N/A",
     .summary = "Internal commands for debugging HyperLogLog values",
     .syntax = "subcommand key"},
    {.name = "pfmerge",
     .arity = -2,
     .flags = kWrite | kDenyOom,
     .keys = KeyAt(1, kKeyRw | kKeyAccess | kKeyInsert),
     .more_keys = KeysFrom(2, -1, 1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Pfmerge,
     .acl = kAclHyperloglog,
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "O(N) to merge N HyperLogLogs, but with high constant times.",
     .summary = "Merge N different HyperLogLogs into a single one.",
     .syntax = "destkey sourcekey [sourcekey ...]"},
    {.name = "pfselftest",
     .arity = 1,
     .flags = kAdmin,
     .route = Route::kSession,
     .session = Pfselftest,
     .acl = kAclHyperloglog,
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "N/A",
     .summary = "An internal command for testing HyperLogLog values"},
};

}  // namespace

std::span<const Command> HyperloglogRows() { return kHyperloglogRows; }

}  // namespace holdfast::commands
