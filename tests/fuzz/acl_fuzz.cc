// Arbitrary rules of access control: reading them never crashes, and a user's canonical text makes
// the same user again, in a record as in the line of a file.
//
// The first byte chooses what new users begin with and whether the rest is a whole ACL file; else
// rules end at NULs.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "commands/table.h"
#include "engine/acl_check.h"
#include "engine/acl_rules.h"

namespace {

using holdfast::engine::AclUser;
using holdfast::engine::CommandTable;

void CheckText(const CommandTable& table, const AclUser& user) {
  const std::string text = user.Describe(table);
  AclUser read(user.name(), false);
  CHECK(holdfast::engine::ReadUser(table, text, &read));
  CHECK(read == user);
  CHECK(read.Describe(table) == text);
  std::vector<AclUser> users;
  CHECK(holdfast::engine::ReadAclFile(table, "f", "user u " + text, false, &users).empty());
  CHECK(users.size() == 1 && users[0].Describe(table) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const CommandTable& table = holdfast::commands::Table();
  const bool all_channels = (data[0] & 1) != 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 2) != 0) {
    std::vector<AclUser> users;
    const std::string wrong = holdfast::engine::ReadAclFile(table, "f", rest, all_channels, &users);
    CHECK(wrong.empty() || users.empty());
    for (const AclUser& user : users) CheckText(table, user);
    return 0;
  }
  AclUser user("u", all_channels);
  std::vector<std::string_view> rules;
  while (!rest.empty()) {
    const size_t end = rest.find('\0');
    rules.push_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  // One by one, so that a wrong one doesn't take the others along.
  for (const std::string_view rule : rules) {
    (void)holdfast::engine::ApplyRules(table, {&rule, 1}, all_channels, &user);
  }
  (void)holdfast::engine::ApplyRules(table, rules, all_channels, &user);
  CheckText(table, user);
  const std::string_view request[] = {"mset", "key", "value", "other", "value"};
  (void)CheckAcl(user, *table.Find("mset"), request);
  return 0;
}
