#include "engine/access_control.h"

#include <utility>
#include <vector>

#include "engine/client.h"
#include "engine/context.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/gather.h"

namespace holdfast::engine {
namespace {

std::string_view ReasonOf(AclDenial denial) {
  switch (denial) {
    case AclDenial::kKey:
      return "key";
    case AclDenial::kChannel:
      return "channel";
    default:
      return "command";
  }
}

std::string LineOf(Core* core, const Client& client) {
  const auto& describe = core->engine().describe_client;
  return describe ? describe(client) : std::string();
}

}  // namespace

const std::string_view kDeniedByProtectedMode =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no "
    "password is set for the default user. In this mode connections are only accepted from "
    "the loopback interface. If you want to connect from external computers to Redis you may "
    "adopt one of the following solutions: 1) Just disable protected mode sending the "
    "command 'CONFIG SET protected-mode no' from the loopback interface by connecting to "
    "Redis from the same host the server is running, however MAKE SURE Redis is not publicly "
    "accessible from internet if you do so. Use CONFIG REWRITE to make this change "
    "permanent. 2) Alternatively you can just disable the protected mode by editing the "
    "Redis configuration file, and setting the protected mode option to 'no', and then "
    "restarting the server. 3) If you started the server manually just for testing, restart "
    "it with the '--protected-mode no' option. 4) Setup a an authentication password for the "
    "default user. NOTE: You only need to do one of the above things in order for the server "
    "to start accepting connections from the outside.\r\n";

bool IsLoopback(std::string_view address) {
  if (address.starts_with("[::ffff:")) address.remove_prefix(8);
  return address.starts_with("127.") || address.starts_with("[::1]") || address.starts_with('/');
}

AccessControl::AccessControl(Core* core) : core_(core), users_(core->engine().commands()) {
  users_.SetPassword(core->config().requirepass);
}

// ---- Rules that change

void AccessControl::SetUsers(std::shared_ptr<const AclTable> table) {
  users_.Set(std::move(table), core_->config().requirepass);
  std::vector<Client*> clients;
  for (const auto& [id, client] : core_->clients()) clients.push_back(client);
  for (Client* client : clients) Refresh(client);
}

void AccessControl::ConfigChanged() {
  const AclUserPtr before = users_.default_user();
  users_.SetPassword(core_->config().requirepass);
  if (users_.default_user() == before) return;
  for (const auto& [id, client] : core_->clients()) Refresh(client);
}

void AccessControl::Refresh(Client* client) {
  if (client->user == nullptr || client->closing) return;
  AclUserPtr now = users_.Find(client->user->name());
  const bool gone = now == nullptr;
  const bool changed = now != client->user;
  if (gone) {
    client->authenticated = false;
    now = users_.default_user();
  }
  client->user = std::move(now);
  client->unrestricted = !MustAuthenticate(*client) && client->user->unrestricted();
  if (gone) {
    Dismiss(client);
  } else if (changed && !client->unrestricted) {
    CheckSubscriptions(client);
    CheckBlocked(client);
  }
}

void AccessControl::Dismiss(Client* client) {
  // One that asked for just this gets its answer.
  if (client->waiting > 0 && !client->blocked) {
    client->close_after_reply = true;
    client->MarkDirty();
  } else {
    client->Close("its user was deleted");
  }
}

void AccessControl::CheckSubscriptions(Client* client) const {
  if (!client->subscribed()) return;
  for (const SubscriptionKind kind :
       {SubscriptionKind::kChannel, SubscriptionKind::kPattern, SubscriptionKind::kShardChannel}) {
    for (const std::string& name : client->subscriptions->names(kind)) {
      if (MayListen(*client->user, name, kind == SubscriptionKind::kPattern)) continue;
      client->Close("its user may not listen any more to what it listens to");
      return;
    }
  }
}

void AccessControl::CheckBlocked(Client* client) const {
  if (!client->blocked || client->last_command == nullptr) return;
  const Command& command = *client->last_command;
  const AclVerdict verdict = CheckAcl(*client->user, command, client->blocked_args.args());
  if (verdict.allowed()) return;
  // The partition ends the wait, unless it is just over; see Client::ReplyArrived.
  client->revoked = NoPermission(verdict, command);
  const ReplyAddress address{core_->number(), client->id, client->blocked_slot};
  const uint32_t number = client->blocked_partition;
  if (core_->router().Unblock(number, address, /*with_error=*/true)) return;
  Engine* engine = &core_->engine();
  const uint32_t target = engine->CoreOfPartition(number);
  core_->Post(target, [engine, target, number, address] {
    engine->core(target).FindPartition(number)->Unblock(address, /*with_error=*/true);
  });
}

// ---- Clients

void AccessControl::Admit(Client* client) const {
  client->user = users_.default_user();
  client->authenticated = client->user->LetsAnybodyIn();
  client->unrestricted = client->authenticated && client->user->unrestricted();
}

bool AccessControl::IsProtectedFrom(std::string_view address) const {
  return core_->config().protected_mode && users_.default_user()->nopass() && !IsLoopback(address);
}

bool AccessControl::MustAuthenticate(const Client& client) const {
  return !client.authenticated && !users_.default_user()->LetsAnybodyIn();
}

bool AccessControl::Authenticate(Client* client, std::string_view name, std::string_view password,
                                 std::string_view command) {
  const AclUserPtr user = users_.Find(name);
  // A user that doesn't exist takes as long to be refused.
  if (user == nullptr) (void)users_.default_user()->Accepts(password);
  if (user == nullptr || !user->Accepts(password)) {
    AclLogEntry entry;
    entry.reason = "auth";
    entry.context = client->in_multi ? "multi" : "toplevel";
    entry.object = command;
    entry.username = name;
    entry.client = LineOf(core_, *client);
    Log(std::move(entry));
    return false;
  }
  client->user = user;
  client->authenticated = true;
  client->unrestricted = user->unrestricted();
  return true;
}

bool AccessControl::Allows(Client* client, const Command& command, Args args) {
  if (client->user == nullptr || command.has(kNoAuth)) return true;
  if (MustAuthenticate(*client)) {
    Refuse(client, command, "NOAUTH Authentication required.");
    return false;
  }
  const AclVerdict verdict = CheckAcl(*client->user, command, args);
  if (!verdict.allowed()) {
    client->last_command = &command;
    LogDenial(verdict, client->in_multi ? "multi" : "toplevel", command, args, client->user->name(),
              LineOf(core_, *client));
    Refuse(client, command, NoPermission(verdict, command));
    return false;
  }
  if (!command.reads_other_keys) return true;
  const std::string_view wrong = CheckSortAcl(*client->user, command, args);
  if (!wrong.empty()) Reject(client, &command, wrong);
  return wrong.empty();
}

std::string AccessControl::WhyRefusedAtExec(Client* client, const Command& command, Args args) {
  if (client->unrestricted || client->user == nullptr || command.has(kNoAuth)) return {};
  const AclVerdict verdict = CheckAcl(*client->user, command, args);
  if (!verdict.allowed()) {
    LogDenial(verdict, "multi", command, args, client->user->name(), LineOf(core_, *client));
    return NoPermissionAtExec(verdict);
  }
  if (!command.reads_other_keys) return {};
  return std::string(CheckSortAcl(*client->user, command, args));
}

// ---- Scripts

std::string AccessControl::WhyRefusedInScript(const Caller& caller, const Command& command,
                                              Args args) {
  if (caller.acl_user.empty()) return {};
  const AclUserPtr user = users_.Find(caller.acl_user);
  const AclVerdict verdict =
      user == nullptr ? AclVerdict{AclDenial::kCommand, 0} : CheckAcl(*user, command, args);
  if (!verdict.allowed()) {
    std::string line = "addr=" + std::string(caller.address);
    line += " name=" + std::string(caller.name) + " user=" + std::string(caller.acl_user);
    LogDenial(verdict, "lua", command, args, caller.acl_user, std::move(line));
    return "The user executing the script " + std::string(NoPermissionInScript(verdict));
  }
  if (!command.reads_other_keys) return {};
  const std::string_view wrong = CheckSortAcl(*user, command, args);
  return wrong.empty() ? std::string() : "-" + std::string(wrong);
}

bool AccessControl::AllowsInScript(const Caller& caller, const Command& command, Args args) const {
  if (caller.acl_user.empty()) return true;
  const AclUserPtr user = users_.Find(caller.acl_user);
  return user != nullptr && CheckAcl(*user, command, args).allowed();
}

// ---- The log

void AccessControl::LogDenial(const AclVerdict& verdict, std::string_view context,
                              const Command& command, Args args, std::string_view user,
                              std::string client) {
  AclLogEntry entry;
  entry.reason = ReasonOf(verdict.denial);
  entry.context = context;
  entry.object =
      verdict.denial == AclDenial::kCommand ? FullName(command) : std::string(args[verdict.arg]);
  entry.username = user;
  entry.client = std::move(client);
  Log(std::move(entry));
}

void AccessControl::Log(AclLogEntry entry) {
  entry.at_ms = core_->clock().WallUs() / 1000;
  const auto max = static_cast<size_t>(core_->config().acllog_max_len);
  if (core_->number() == 0) {
    log_.Add(std::move(entry), max);
    return;
  }
  Engine* engine = &core_->engine();
  core_->Post(0, [engine, entry = std::move(entry), max]() mutable {
    engine->core(0).access().log().Add(std::move(entry), max);
  });
}

}  // namespace holdfast::engine
