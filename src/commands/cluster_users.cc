// CLUSTER SETUSERS: how ACL's subcommands change the records of users (cluster/access.h), on the
// meta partition. Their replies are [revision, reply].
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/numbers.h"
#include "cluster/access.h"
#include "commands/handlers.h"
#include "engine/acl_rules.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using cluster::UserMap;
using engine::AclUser;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

const engine::CommandTable& TableOf(ExecContext& ctx) {
  return ctx.partition().host()->core()->engine().commands();
}

const UserMap& OwnUsers(ExecContext& ctx) {
  static const UserMap kNone;
  const cluster::Access* access = ctx.partition().host()->core()->engine().access;
  return access == nullptr ? kNone : access->own();
}

uint64_t PutRecord(ExecContext& ctx, std::string_view key_name, std::string_view record) {
  Key key = ctx.FindForWriteIn(0, key_name);
  if (key && key.object->value() == record) return key.object->revision();
  return ctx.Put(&key, data::ObjectType::kString, record, Expiry::Clear());
}

uint64_t PutUser(ExecContext& ctx, const AclUser& user) {
  return PutRecord(ctx, cluster::UserKey(user.name()), cluster::EncodeUser(TableOf(ctx), user));
}

// Whether users are records. What is not committed counts: the reply waits for it.
bool AreRecords(ExecContext& ctx) {
  return static_cast<bool>(ctx.FindForWriteIn(0, cluster::kUsersMark));
}

// Makes this node's own users records, the first time that anything is changed.
void MakeRecords(ExecContext& ctx) {
  if (AreRecords(ctx)) return;
  (void)PutRecord(ctx, cluster::kUsersMark, cluster::kUsersMarkValue);
  for (const auto& [name, user] : OwnUsers(ctx)) (void)PutUser(ctx, *user);
}

// The user as it is here; one without a record is in this node's files, or is not.
std::optional<AclUser> FindUser(ExecContext& ctx, std::string_view name) {
  if (!AreRecords(ctx)) {
    const auto it = OwnUsers(ctx).find(name);
    return it == OwnUsers(ctx).end() ? std::nullopt : std::optional<AclUser>(*it->second);
  }
  const std::string key_name = cluster::UserKey(name);
  const Key key = ctx.FindForWriteIn(0, key_name);
  if (!key) return std::nullopt;
  Result<AclUser> user = cluster::DecodeUser(TableOf(ctx), key_name, key.object->value());
  CHECK(user.ok());
  return std::move(user).value();
}

std::vector<std::string> NamesOfRecords(ExecContext& ctx) {
  std::vector<std::string> names;
  uint64_t cursor = 0;
  do {
    const data::Keyspace& keyspace = ctx.partition().keyspace();
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [&names](data::Object* object) {
      if (!object->key().starts_with(cluster::kUserPrefix)) return;
      names.emplace_back(object->key().substr(cluster::kUserPrefix.size()));
    });
  } while (cursor != 0);
  return names;
}

uint64_t DeleteUser(ExecContext& ctx, std::string_view name) {
  const std::string key_name = cluster::UserKey(name);
  Key key = ctx.FindForWriteIn(0, key_name);
  return key ? ctx.Delete(&key) : 0;
}

AclUser NewUser(ExecContext& ctx, std::string_view name) {
  if (name == "default") {
    return *ctx.partition().host()->core()->access().users().default_user();
  }
  return {std::string(name), ctx.config().acl_all_channels};
}

// SET name rule […]
void SetOne(ExecContext& ctx) {
  const std::string_view name = ctx.args[3];
  if (const auto wrong = engine::WhyBadUserName(name); !wrong.empty()) return ctx.Error(wrong);
  if (name.size() > cluster::kMaxUserNameBytes) return ctx.Error("ERR Usernames can't be so long");
  const std::optional<AclUser> present = FindUser(ctx, name);
  AclUser user = present ? *present : NewUser(ctx, name);
  const std::string wrong =
      engine::ApplyRules(TableOf(ctx), ctx.args.subspan(4), ctx.config().acl_all_channels, &user);
  if (!wrong.empty()) return ctx.Error("ERR " + wrong);
  if (user.Describe(TableOf(ctx)).size() > cluster::kMaxUserBytes) {
    return ctx.Error("ERR The user would have too many rules");
  }
  if (!present && ctx.partition().keyspace().Logical(0)->table.size() >= cluster::kMaxUsers) {
    return ctx.Error("ERR There are too many users");
  }
  MakeRecords(ctx);
  const uint64_t revision = PutUser(ctx, user);
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(revision));
  ctx.reply.Ok();
}

// DEL name […]
void DeleteSome(ExecContext& ctx) {
  const engine::Args names = ctx.args.subspan(3);
  if (std::find(names.begin(), names.end(), "default") != names.end()) {
    return ctx.Error("ERR The 'default' user cannot be removed");
  }
  MakeRecords(ctx);
  uint64_t revision = 0;
  int64_t deleted = 0;
  for (const std::string_view name : names) {
    const uint64_t at = DeleteUser(ctx, name);
    revision = std::max(revision, at);
    deleted += at == 0 ? 0 : 1;
  }
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(revision));
  ctx.reply.Integer(deleted);
}

// LOAD [name rules […]]: these and no others, each with its canonical text.
void Replace(ExecContext& ctx) {
  if (ctx.args.size() % 2 == 0) return ctx.Error(engine::kSyntaxError);
  std::map<std::string, AclUser, std::less<>> users;
  for (size_t i = 3; i < ctx.args.size(); i += 2) {
    AclUser user(std::string(ctx.args[i]), /*all_channels=*/false);
    if (!engine::WhyBadUserName(ctx.args[i]).empty() ||
        ctx.args[i].size() > cluster::kMaxUserNameBytes ||
        !engine::ReadUser(TableOf(ctx), ctx.args[i + 1], &user)) {
      return ctx.Error(engine::kSyntaxError);
    }
    users.insert_or_assign(std::string(ctx.args[i]), std::move(user));
  }
  if (users.size() > cluster::kMaxUsers) return ctx.Error("ERR There are too many users");
  // As in Redis: without rules the default user may do everything, whatever it was before.
  users.emplace("default", AclUser::Default(TableOf(ctx), {}));
  uint64_t revision = PutRecord(ctx, cluster::kUsersMark, cluster::kUsersMarkValue);
  for (const std::string& name : NamesOfRecords(ctx)) {
    if (!users.contains(name)) revision = std::max(revision, DeleteUser(ctx, name));
  }
  for (const auto& [name, user] : users) revision = std::max(revision, PutUser(ctx, user));
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(revision));
  ctx.reply.Ok();
}

// ASK: the index of the log at which a node knows every change that was acknowledged so far.
void AskIndex(ExecContext& ctx) {
  ctx.DependsOnAll();
  ctx.reply.Integer(static_cast<int64_t>(ctx.partition().replica()->group().last_index()));
}

}  // namespace

void ClusterSetusers(ExecContext& ctx) {
  const std::string_view what = ctx.args[2];
  if (EqualsIgnoreCase(what, "SET") && ctx.args.size() >= 4) return SetOne(ctx);
  if (EqualsIgnoreCase(what, "DEL") && ctx.args.size() >= 4) return DeleteSome(ctx);
  if (EqualsIgnoreCase(what, "LOAD")) return Replace(ctx);
  if (EqualsIgnoreCase(what, "ASK")) return AskIndex(ctx);
  ctx.Error(engine::kSyntaxError);
}

}  // namespace holdfast::commands
