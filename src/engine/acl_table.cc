#include "engine/acl_table.h"

#include <utility>

#include "base/sha256.h"

namespace holdfast::engine {

void AclUsers::Set(std::shared_ptr<const AclTable> table, const std::string& requirepass) {
  table_ = std::move(table);
  std::string hash = requirepass.empty() ? std::string() : Sha256Hex(requirepass);
  if (implied_ == nullptr || hash != implied_password_hash_) {
    implied_ = std::make_shared<const AclUser>(AclUser::Default(commands_, requirepass));
    implied_password_hash_ = std::move(hash);
  }
  const auto it = table_->users.find("default");
  default_ = it == table_->users.end() ? implied_ : it->second;
}

AclUserPtr AclUsers::Find(std::string_view name) const {
  if (name == "default") return default_;
  // Should there be one of an earlier build: see WhyBadUserName.
  const auto it = name.empty() ? table_->users.end() : table_->users.find(name);
  return it == table_->users.end() ? nullptr : it->second;
}

std::map<std::string, AclUserPtr, std::less<>> AclUsers::All() const {
  auto all = table_->users;
  all.insert_or_assign("default", default_);
  return all;
}

}  // namespace holdfast::engine
