#include "commands/command_flags.h"

#include <span>

#include "base/numbers.h"
#include "engine/command.h"

namespace holdfast::commands {
namespace {

struct NamedBit {
  uint32_t bit;
  std::string_view name;
};

// kMayReplicate is for the server itself; Redis doesn't show it either.
constexpr NamedBit kFlags[] = {
    {engine::kWrite, "write"},
    {engine::kReadonly, "readonly"},
    {engine::kDenyOom, "denyoom"},
    {engine::kAdmin, "admin"},
    {engine::kPubsub, "pubsub"},
    {engine::kNoscript, "noscript"},
    {engine::kBlocking, "blocking"},
    {engine::kLoading, "loading"},
    {engine::kStale, "stale"},
    {engine::kSkipMonitor, "skip_monitor"},
    {engine::kSkipSlowlog, "skip_slowlog"},
    {engine::kFast, "fast"},
    {engine::kNoAuth, "no_auth"},
    {engine::kNoAsyncLoading, "no_async_loading"},
    {engine::kNoMulti, "no_multi"},
    {engine::kMovableKeys, "movablekeys"},
    {engine::kNoMandatoryKeys, "no_mandatory_keys"},
    {engine::kAllowBusy, "allow_busy"},
};

constexpr NamedBit kKeyFlags[] = {
    {engine::kKeyRo, "RO"},          {engine::kKeyRw, "RW"},
    {engine::kKeyOw, "OW"},          {engine::kKeyRm, "RM"},
    {engine::kKeyAccess, "access"},  {engine::kKeyUpdate, "update"},
    {engine::kKeyInsert, "insert"},  {engine::kKeyDelete, "delete"},
    {engine::kKeyNotKey, "not_key"}, {engine::kKeyVariable, "variable_flags"},
};

constexpr NamedBit kCategories[] = {
    {engine::kAclKeyspace, "keyspace"},
    {engine::kAclRead, "read"},
    {engine::kAclWrite, "write"},
    {engine::kAclString, "string"},
    {engine::kAclBitmap, "bitmap"},
    {engine::kAclPubsub, "pubsub"},
    {engine::kAclAdmin, "admin"},
    {engine::kAclFast, "fast"},
    {engine::kAclSlow, "slow"},
    {engine::kAclBlocking, "blocking"},
    {engine::kAclDangerous, "dangerous"},
    {engine::kAclConnection, "connection"},
    {engine::kAclTransaction, "transaction"},
    {engine::kAclScripting, "scripting"},
    {engine::kAclLock, "lock"},
    {engine::kAclSequence, "sequence"},
    {engine::kAclHash, "hash"},
    {engine::kAclSet, "set"},
    {engine::kAclList, "list"},
    {engine::kAclSortedSet, "sortedset"},
    {engine::kAclGeo, "geo"},
    {engine::kAclHyperloglog, "hyperloglog"},
    {engine::kAclStream, "stream"},
};

std::vector<std::string_view> NamesOf(std::span<const NamedBit> bits, uint32_t set) {
  std::vector<std::string_view> names;
  for (const NamedBit& bit : bits) {
    if ((set & bit.bit) != 0) names.push_back(bit.name);
  }
  return names;
}

}  // namespace

std::vector<std::string_view> CommandFlagNames(uint32_t flags) { return NamesOf(kFlags, flags); }

std::vector<std::string_view> KeyFlagNames(uint32_t flags) { return NamesOf(kKeyFlags, flags); }

std::vector<std::string_view> AclCategoryNames(uint32_t acl) { return NamesOf(kCategories, acl); }

std::optional<uint32_t> FindAclCategory(std::string_view name) {
  for (const NamedBit& category : kCategories) {
    if (EqualsIgnoreCase(category.name, name)) return category.bit;
  }
  return std::nullopt;
}

}  // namespace holdfast::commands
