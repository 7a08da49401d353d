// A user of access control: who may log in, and what may then be run, on which keys and channels.
//
//   user alice on #<sha256> ~cache:* %R~shared:* resetchannels &news -@all +@read +set
//                (~tmp:* resetchannels -@all +del)
//   └─ flags, hashes ─┘ └──── permissions of the user itself ────┘ └─ a selector: more ─┘
//
// A request is allowed when one of the permissions allows all of it: the command, each key as the
// command uses it, each channel. Rules, their canonical text and the errors are Redis 7.0's. Of a
// password only the SHA-256 is kept.
//
// Users are values: built rule by rule, then shared as `const` by all cores (engine/acl_table.h).
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace holdfast::engine {

// The categories of commands, in the order in which Redis names them; Holdfast's own come last.
struct AclCategoryName {
  uint32_t bit;
  std::string_view name;
};
std::span<const AclCategoryName> AclCategories();
// 0: there is none of that name, in any case.
uint32_t FindAclCategoryBit(std::string_view name);

// Why a rule was refused.
enum class AclFault : uint8_t {
  kNone,
  kUnknownCommand,
  kSyntax,
  kKeyAfterAll,
  kChannelAfterAll,
  kNoSuchPassword,
  kBadHash,
  kFirstArgOfSubcommand,
};
// As Redis words it.
std::string_view FaultText(AclFault fault);

// What a key pattern gives.
enum AclAccess : uint8_t { kMayRead = 1, kMayWrite = 2, kMayReadAndWrite = 3 };

struct AclKeyPattern {
  std::string pattern;
  uint8_t access = kMayReadAndWrite;

  bool operator==(const AclKeyPattern&) const = default;
};

// One set of permissions.
class AclSelector {
 public:
  // More ids of commands than the table will ever have. The last one stands for commands that
  // don't exist yet, which +@all includes.
  static constexpr size_t kMaxCommands = 1024;

  explicit AclSelector(bool with_all_channels) : all_channels_(with_all_channels) {}

  // Changes it by a rule: "+get", "-@write", "~key*", "allchannels" ….
  [[nodiscard]] AclFault Apply(const CommandTable& table, std::string_view rule);

  bool all_keys() const { return all_keys_; }
  bool all_channels() const { return all_channels_; }
  bool all_commands() const { return all_commands_; }
  const std::vector<AclKeyPattern>& keys() const { return keys_; }
  const std::vector<std::string>& channels() const { return channels_; }

  // Whether the command may be run at all; `args` with its name.
  bool AllowsCommand(const Command& command, Args args) const;
  // `access`: of AclAccess; 0 when the command only wants to know whether the key is there.
  bool AllowsKey(std::string_view key, uint8_t access) const;
  // Whether each key there may ever be is allowed.
  bool AllowsEveryKey(uint8_t access) const;
  // `is_pattern`: the channel is a pattern, which has to be one of those given literally.
  bool AllowsChannel(std::string_view channel, bool is_pattern) const;

  // Rules that make the same from nothing.
  std::string DescribeCommands(const CommandTable& table) const;  // "-@all +get"
  std::string DescribeKeys() const;                               // "~a* %R~b*"
  std::string DescribeChannels() const;                           // "&news"
  std::string Describe(const CommandTable& table) const;
  // The same for between parentheses: words that would be misread there are quoted.
  std::string DescribeNested(const CommandTable& table) const;

  bool operator==(const AclSelector&) const = default;

 private:
  AclFault ApplyToKeys(std::string_view rule);
  AclFault ApplyToChannels(std::string_view rule);
  AclFault AllowByName(const CommandTable& table, std::string_view name);
  AclFault Deny(const CommandTable& table, std::string_view name);
  // A command, with its subcommands.
  void Set(const Command& command, bool allowed);
  void SetCategory(const CommandTable& table, size_t category, bool allowed);
  void DescribeSingly(const CommandTable& table, AclSelector* so_far, std::string* out) const;

  bool all_keys_ = false;
  bool all_channels_ = false;
  bool all_commands_ = false;
  std::bitset<kMaxCommands> commands_;
  // First arguments with which a command may be run that may not be run otherwise, by its id.
  std::map<uint32_t, std::vector<std::string>> first_args_;
  std::vector<AclKeyPattern> keys_;
  std::vector<std::string> channels_;
};

class AclUser {
 public:
  // One that may do nothing and can't log in. `all_channels`: acl-pubsub-default says so.
  AclUser(std::string name, bool all_channels);
  // The one that everybody is before AUTH: it may do everything. With a password, or without.
  static AclUser Default(const CommandTable& table, std::string_view password);

  // Changes it by a rule, those of a selector included; "" changes nothing. `table` and
  // `all_channels` (what "reset" and new selectors begin with) are those of the node.
  [[nodiscard]] AclFault Apply(const CommandTable& table, std::string_view rule, bool all_channels);

  const std::string& name() const { return name_; }
  bool on() const { return on_; }
  bool nopass() const { return nopass_; }
  // Hashes, in the order in which they came.
  const std::vector<std::string>& passwords() const { return passwords_; }
  // The first is the user's own.
  const std::vector<AclSelector>& selectors() const { return selectors_; }
  // Everything is allowed.
  bool unrestricted() const;
  std::vector<std::string_view> FlagNames() const;

  // Whether one may log in as this user with the password. Takes one hash of it whatever the user
  // is like, and compares in a time that doesn't depend on what is right.
  bool Accepts(std::string_view password) const;
  // Without a password, and it isn't off.
  bool LetsAnybodyIn() const { return on_ && nopass_; }

  // Rules that make the same user from a new one, as ACL LIST shows them behind the name.
  std::string Describe(const CommandTable& table) const;

  bool operator==(const AclUser&) const = default;

 private:
  enum class Sanitize : uint8_t { kUnset, kYes, kSkip };

  bool ApplyFlag(std::string_view rule, bool all_channels);
  AclFault ApplyPassword(std::string_view rule);
  AclFault AddSelector(const CommandTable& table, std::string_view rules, bool all_channels);

  std::string name_;
  bool on_ = false;
  bool nopass_ = false;
  Sanitize sanitize_ = Sanitize::kUnset;
  std::vector<std::string> passwords_;
  std::vector<AclSelector> selectors_;
};

}  // namespace holdfast::engine
