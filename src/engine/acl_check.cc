#include "engine/acl_check.h"

#include <algorithm>
#include <vector>

#include "base/numbers.h"

namespace holdfast::engine {
namespace {

uint8_t AccessOf(uint32_t key_flags) {
  uint8_t access = 0;
  if ((key_flags & kKeyAccess) != 0) access |= kMayRead;
  if ((key_flags & (kKeyInsert | kKeyDelete | kKeyUpdate)) != 0) access |= kMayWrite;
  return access;
}

// The arguments that are channels: [first, last), patterns or not.
struct ChannelArgs {
  size_t first = 0;
  size_t last = 0;
  bool patterns = false;
};

ChannelArgs ChannelsOf(const Command& command, Args args) {
  if ((command.acl & kAclPubsub) == 0 || !command.parent.empty()) return {};
  const std::string_view name = command.name;
  if (name == "publish" || name == "spublish") return {1, 2, false};
  if (name == "subscribe" || name == "ssubscribe") return {1, args.size(), false};
  if (name == "psubscribe") return {1, args.size(), true};
  return {};
}

AclVerdict CheckSelector(const AclSelector& selector, const Command& command, Args args,
                         std::vector<KeyUse>* keys, bool* keys_known) {
  if (!selector.AllowsCommand(command, args)) return {AclDenial::kCommand, 0};
  if (!selector.all_keys()) {
    if (!*keys_known) {
      // What isn't where it should be is for the handler to refuse; no key is touched then.
      (void)FindKeyUses(command, args, keys);
      *keys_known = true;
    }
    for (const KeyUse& key : *keys) {
      if ((key.flags & kKeyNotKey) != 0) continue;
      const auto i = static_cast<size_t>(key.position);
      if (!selector.AllowsKey(args[i], AccessOf(key.flags))) return {AclDenial::kKey, i};
    }
  }
  if (!selector.all_channels()) {
    const ChannelArgs channels = ChannelsOf(command, args);
    for (size_t i = channels.first; i < std::min(channels.last, args.size()); ++i) {
      if (!selector.AllowsChannel(args[i], channels.patterns)) return {AclDenial::kChannel, i};
    }
  }
  return {};
}

bool MayReadAllKeys(const AclUser& user, const Command& command, Args args) {
  std::vector<KeyUse> keys;
  bool keys_known = false;
  return std::any_of(user.selectors().begin(), user.selectors().end(),
                     [&](const AclSelector& selector) {
                       return selector.AllowsEveryKey(kMayRead) &&
                              CheckSelector(selector, command, args, &keys, &keys_known).allowed();
                     });
}

}  // namespace

AclVerdict CheckAcl(const AclUser& user, const Command& command, Args args) {
  // The reason that is reported when none allows it: the one that came closest.
  AclVerdict closest{AclDenial::kCommand, 0};
  std::vector<KeyUse> keys;
  bool keys_known = false;
  for (const AclSelector& selector : user.selectors()) {
    const AclVerdict verdict = CheckSelector(selector, command, args, &keys, &keys_known);
    if (verdict.allowed()) return verdict;
    if (verdict.denial > closest.denial ||
        (verdict.denial == closest.denial && verdict.arg > closest.arg)) {
      closest = verdict;
    }
  }
  return closest;
}

std::string NoPermission(const AclVerdict& verdict, const Command& command) {
  const std::string begin = "NOPERM this user has no permissions to ";
  switch (verdict.denial) {
    case AclDenial::kKey:
      return begin + "access one of the keys used as arguments";
    case AclDenial::kChannel:
      return begin + "access one of the channels used as arguments";
    default:
      return begin + "run the '" + FullName(command) + "' command";
  }
}

std::string NoPermissionAtExec(const AclVerdict& verdict) {
  const std::string_view reason =
      verdict.denial == AclDenial::kKey ? "no permission to touch the specified keys"
      : verdict.denial == AclDenial::kChannel
          ? "no permission to access one of the channels used as arguments"
          : "no permission to execute the command or subcommand";
  return "NOPERM ACLs rules changed between the moment the transaction was accumulated and the "
         "EXEC call. This command is no longer allowed for the following reason: " +
         std::string(reason);
}

std::string_view NoPermissionInScript(const AclVerdict& verdict) {
  switch (verdict.denial) {
    case AclDenial::kKey:
      return "can't access at least one of the keys mentioned in the command arguments";
    case AclDenial::kChannel:
      return "can't publish to the channel mentioned in the command";
    default:
      return "can't run this command or subcommand";
  }
}

std::string NoPermissionDryRun(const AclVerdict& verdict, const Command& command, Args args) {
  switch (verdict.denial) {
    case AclDenial::kKey:
      return "This user has no permissions to access the '" + std::string(args[verdict.arg]) +
             "' key";
    case AclDenial::kChannel:
      return "This user has no permissions to access the '" + std::string(args[verdict.arg]) +
             "' channel";
    default:
      return "This user has no permissions to run the '" + FullName(command) + "' command";
  }
}

std::string_view CheckSortAcl(const AclUser& user, const Command& command, Args args) {
  // As the handler reads the options; what is wrong with them is its to say.
  for (size_t i = 2; i + 1 < args.size(); ++i) {
    const bool by = EqualsIgnoreCase(args[i], "BY");
    if (by || EqualsIgnoreCase(args[i], "GET")) {
      ++i;
      if (by && args[i].find('*') == std::string_view::npos) continue;
      if (MayReadAllKeys(user, command, args)) return {};
      return by ? "ERR BY option of SORT denied due to insufficient ACL permissions."
                : "ERR GET option of SORT denied due to insufficient ACL permissions.";
    }
    if (EqualsIgnoreCase(args[i], "LIMIT")) {
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "STORE")) {
      ++i;
    }
  }
  return {};
}

bool MayListen(const AclUser& user, std::string_view channel, bool is_pattern) {
  return std::any_of(
      user.selectors().begin(), user.selectors().end(),
      [&](const AclSelector& selector) { return selector.AllowsChannel(channel, is_pattern); });
}

}  // namespace holdfast::engine
