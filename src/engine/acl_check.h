// Whether a user may run a request. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/acl_user.h"
#include "engine/command.h"

namespace holdfast::engine {

// In the order in which Redis prefers them when several permissions refuse for different reasons.
enum class AclDenial : uint8_t { kNone, kCommand, kKey, kChannel };

struct AclVerdict {
  AclDenial denial = AclDenial::kNone;
  size_t arg = 0;  // kKey, kChannel: which argument

  bool allowed() const { return denial == AclDenial::kNone; }
};

AclVerdict CheckAcl(const AclUser& user, const Command& command, Args args);

// The whole error of a request that is refused.
std::string NoPermission(const AclVerdict& verdict, const Command& command);
// Of one that EXEC finds refused, since the rules have changed.
std::string NoPermissionAtExec(const AclVerdict& verdict);
// What a script is told, behind "The user executing the script ".
std::string_view NoPermissionInScript(const AclVerdict& verdict);
// ACL DRYRUN's answer.
std::string NoPermissionDryRun(const AclVerdict& verdict, const Command& command, Args args);

// SORT's BY and GET name keys by patterns: whoever uses them must be allowed to read all keys. What
// is wrong with the request then, as the whole error, else empty. REQUIRES: CheckAcl allows it.
std::string_view CheckSortAcl(const AclUser& user, const Command& command, Args args);

// Whether the user may listen to the channel, or to the pattern.
bool MayListen(const AclUser& user, std::string_view channel, bool is_pattern);

}  // namespace holdfast::engine
