// All users, as one core knows them. Immutable: a change of rules makes a new table, which core 0
// sends to all cores (cluster/access.h). A user that a change doesn't concern stays the same
// object.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/acl_user.h"

namespace holdfast::engine {

using AclUserPtr = std::shared_ptr<const AclUser>;

struct AclTable {
  // Of the meta partition: up to where its records are in here.
  uint64_t revision = 0;
  // Of the newest user in here, as it came: what other nodes have to know before they judge by it.
  // `revision` may be that of any record, which they don't wait for.
  uint64_t changed = 0;
  // By name. The default user is among them when it has rules of its own; else it follows from
  // requirepass, which each core knows.
  std::map<std::string, AclUserPtr, std::less<>> users;
};

// A core's present table. Loop thread of the core only.
class AclUsers {
 public:
  explicit AclUsers(const CommandTable& commands) : commands_(commands) {}

  // `requirepass`: the default user's password when the table has no such user.
  void Set(std::shared_ptr<const AclTable> table, const std::string& requirepass);
  void SetPassword(const std::string& requirepass) { Set(table_, requirepass); }

  uint64_t revision() const { return table_->revision; }
  uint64_t changed() const { return table_->changed; }
  // nullptr: there is none of that name.
  AclUserPtr Find(std::string_view name) const;
  const AclUserPtr& default_user() const { return default_; }
  // Of `table`, with the default user.
  std::map<std::string, AclUserPtr, std::less<>> All() const;
  // Whether the default user follows from requirepass.
  bool default_is_implied() const { return !table_->users.contains("default"); }

 private:
  const CommandTable& commands_;
  std::shared_ptr<const AclTable> table_ = std::make_shared<const AclTable>();
  AclUserPtr default_;
  AclUserPtr implied_;  // by requirepass
  std::string implied_password_hash_;
};

}  // namespace holdfast::engine
