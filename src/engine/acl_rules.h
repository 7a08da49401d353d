// Rules of access control as text: how they are split, and applied to a user. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acl_user.h"
#include "engine/command.h"

namespace holdfast::engine {

// The words of `text`, which are parted by blanks and may be quoted as in an inline request. False:
// a quote isn't closed.
[[nodiscard]] bool SplitRules(std::string_view text, std::vector<std::string>* words);

// Puts selectors that were spread over several arguments ("(+get", "~a*)") together. -1 when it is
// done, else where one begins that doesn't end.
int MergeSelectors(std::span<const std::string_view> rules, std::vector<std::string>* merged);

// Names of users and patterns stand unquoted in lines.
[[nodiscard]] bool HasBlanks(std::string_view text);
// What is wrong with the name of a user, as a whole error, else empty.
std::string_view WhyBadUserName(std::string_view name);

// Applies ACL SETUSER's rules, all or none. What is wrong with them, as Redis words it behind
// "ERR ", else empty.
std::string ApplyRules(const CommandTable& table, std::span<const std::string_view> rules,
                       bool all_channels, AclUser* user);

// Replaces passwords in rules by their hashes (">secret" by "#<sha256>", "<secret" by "!<sha256>"),
// so that they go no further.
std::string HideSecret(std::string_view rule);

// Reads the canonical text of a user that AclUser::Describe wrote, here or on a node of another
// version: commands and categories that this one doesn't know are left out. False when it is
// damaged.
[[nodiscard]] bool ReadUser(const CommandTable& table, std::string_view text, AclUser* user);

// The users in the lines of an ACL file called `file`, or what is wrong with it, as Redis words it
// for ACL LOAD behind "ERR ", else empty. Users come in the order of their lines.
std::string ReadAclFile(const CommandTable& table, std::string_view file, std::string_view text,
                        bool all_channels, std::vector<AclUser>* users);

}  // namespace holdfast::engine
