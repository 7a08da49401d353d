#include "commands/command_flags.h"

#include <span>

#include "engine/acl_user.h"
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

std::vector<std::string_view> AclCategoryNames(uint32_t acl) {
  std::vector<std::string_view> names;
  for (const engine::AclCategoryName& category : engine::AclCategories()) {
    if ((acl & category.bit) != 0) names.push_back(category.name);
  }
  return names;
}

std::optional<uint32_t> FindAclCategory(std::string_view name) {
  const uint32_t bit = engine::FindAclCategoryBit(name);
  return bit == 0 ? std::nullopt : std::optional<uint32_t>(bit);
}

}  // namespace holdfast::commands
