// PING, ECHO, HELLO, AUTH, SELECT, QUIT and RESET.
#include <string>

#include "base/numbers.h"
#include "commands/client_name.h"
#include "commands/server_handlers.h"
#include "data/record.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/session_context.h"
#include "engine/version.h"

namespace holdfast::commands {
namespace {

using engine::Client;
using engine::SessionContext;

constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";
constexpr std::string_view kInvalidName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

struct HelloOptions {
  int64_t protocol = 0;  // 0: not given
  bool has_auth = false;
  std::string_view user;
  std::string_view password;
  bool has_name = false;
  std::string_view name;
};

// False, with the error replied, when the arguments are wrong. Nothing is changed yet.
bool ParseHello(SessionContext& ctx, HelloOptions* options) {
  if (ctx.args.size() < 2) return true;
  if (!ctx.ParseInt(1, &options->protocol,
                    "ERR Protocol version is not an integer or out of range")) {
    return false;
  }
  if (options->protocol != 2 && options->protocol != 3) {
    ctx.Error("NOPROTO unsupported protocol version");
    return false;
  }
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const size_t more = ctx.args.size() - i - 1;
    if (EqualsIgnoreCase(ctx.args[i], "AUTH") && more >= 2) {
      options->has_auth = true;
      options->user = ctx.args[i + 1];
      options->password = ctx.args[i + 2];
      i += 2;
    } else if (EqualsIgnoreCase(ctx.args[i], "SETNAME") && more >= 1) {
      options->has_name = true;
      options->name = ctx.args[++i];
      if (!IsPlainName(options->name)) {
        ctx.Error(kInvalidName);
        return false;
      }
    } else {
      ctx.Error("ERR Syntax error in HELLO option '" + std::string(ctx.args[i]) + "'");
      return false;
    }
  }
  return true;
}

}  // namespace

void Ping(SessionContext& ctx) {
  if (ctx.args.size() > 2) {
    ctx.ErrorArity();
  } else if (ctx.client.subscribed() && ctx.client.protocol == 2) {
    // In the form of a message, which is all that a listening client expects.
    ctx.reply.Array(2);
    ctx.reply.Bulk("pong");
    ctx.reply.Bulk(ctx.args.size() == 2 ? ctx.args[1] : std::string_view());
  } else if (ctx.args.size() == 2) {
    ctx.reply.Bulk(ctx.args[1]);
  } else {
    ctx.reply.Simple("PONG");
  }
}

void Echo(SessionContext& ctx) { ctx.reply.Bulk(ctx.args[1]); }

void Hello(SessionContext& ctx) {
  HelloOptions options;
  if (!ParseHello(ctx, &options)) return;
  Client& client = ctx.client;
  if (options.has_auth) {
    if (!ctx.core.access().Authenticate(&client, options.user, options.password, ctx.args[0])) {
      ctx.Error(kWrongPass);
      return;
    }
  }
  if (ctx.core.access().MustAuthenticate(client)) {
    ctx.Error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time");
    return;
  }
  if (options.has_name) client.name = options.name;
  if (options.protocol != 0) client.protocol = static_cast<int>(options.protocol);
  // The answer comes in the protocol that was just chosen.
  resp::Writer reply(ctx.reply.out(), client.protocol);
  reply.Map(7);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(engine::kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(client.protocol);
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(client.id));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.Array(0);
}

void Auth(SessionContext& ctx) {
  if (ctx.args.size() > 3) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  const bool with_user = ctx.args.size() == 3;
  if (!with_user && ctx.core.access().users().default_user()->nopass()) {
    ctx.Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
    return;
  }
  if (!ctx.core.access().Authenticate(&ctx.client, with_user ? ctx.args[1] : "default",
                                      ctx.args.back(), ctx.args[0])) {
    ctx.Error(kWrongPass);
    return;
  }
  ctx.reply.Ok();
}

void Select(SessionContext& ctx) {
  int64_t db;
  if (!ctx.ParseInt(1, &db)) return;
  if (db < INT32_MIN || db > INT32_MAX) {
    ctx.Error("ERR value is out of range, value must between -2147483648 and 2147483647");
    return;
  }
  if (db < 0 || db >= static_cast<int64_t>(data::kLogicalDatabases)) {
    ctx.Error("ERR DB index is out of range");
    return;
  }
  ctx.client.db = static_cast<uint32_t>(db);
  ctx.reply.Ok();
}

void Quit(SessionContext& ctx) {
  ctx.client.close_after_reply = true;
  ctx.reply.Ok();
}

// Brings the connection to the state of a fresh one.
void Reset(SessionContext& ctx) {
  Client& client = ctx.client;
  engine::ResetTransaction(&client);
  engine::UnwatchAll(&client);
  ctx.core.pubsub().UnsubscribeAll(&client);
  ctx.core.tracking().Disable(&client);
  if (client.monitor) {
    client.monitor = false;
    ctx.core.engine().monitors.fetch_sub(1);
  }
  client.db = 0;
  client.protocol = 2;
  client.name.clear();
  client.no_evict = false;
  client.no_touch = false;
  client.readonly = false;
  client.reply_mode = engine::ReplyMode::kOn;
  ctx.core.access().Admit(&client);
  ctx.reply.Simple("RESET");
}

}  // namespace holdfast::commands
