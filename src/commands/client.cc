// CLIENT: what a connection asks or sets about itself. What concerns others is in client_admin.cc.
#include <string>

#include "base/numbers.h"
#include "commands/client_list.h"
#include "commands/client_name.h"
#include "commands/server_handlers.h"
#include "engine/session_context.h"

namespace holdfast::commands {

using engine::SessionContext;

namespace {

// Sets `value` by ON or OFF in args[2] and replies.
void Switch(SessionContext& ctx, bool* value) {
  const bool on = EqualsIgnoreCase(ctx.args[2], "on");
  if (!on && !EqualsIgnoreCase(ctx.args[2], "off")) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  *value = on;
  ctx.reply.Ok();
}

}  // namespace

void ClientId(SessionContext& ctx) { ctx.reply.Integer(static_cast<int64_t>(ctx.client.id)); }

void ClientGetname(SessionContext& ctx) {
  if (ctx.client.name.empty()) {
    ctx.reply.Null();
  } else {
    ctx.reply.Bulk(ctx.client.name);
  }
}

void ClientSetname(SessionContext& ctx) {
  if (!IsPlainName(ctx.args[2])) {
    ctx.Error("ERR Client names cannot contain spaces, newlines or special characters.");
    return;
  }
  ctx.client.name = ctx.args[2];
  ctx.reply.Ok();
}

void ClientSetinfo(SessionContext& ctx) {
  std::string* field;
  if (EqualsIgnoreCase(ctx.args[2], "lib-name")) {
    field = &ctx.client.lib_name;
  } else if (EqualsIgnoreCase(ctx.args[2], "lib-ver")) {
    field = &ctx.client.lib_version;
  } else {
    ctx.Error("ERR Unrecognized option '" + std::string(ctx.args[2]) + "'");
    return;
  }
  if (!IsPlainName(ctx.args[3])) {
    ctx.Error("ERR " + ToLower(ctx.args[2]) +
              " cannot contain spaces, newlines or special characters.");
    return;
  }
  *field = ctx.args[3];
  ctx.reply.Ok();
}

void ClientInfo(SessionContext& ctx) {
  std::string line;
  AppendClientLine(ctx.client, RequestBytes(ctx.args), ctx.core.clock().MonotonicMs(), &line);
  ctx.reply.Verbatim("txt", line);
}

void ClientReply(SessionContext& ctx) {
  engine::Client& client = ctx.client;
  if (EqualsIgnoreCase(ctx.args[2], "on")) {
    client.reply_mode = engine::ReplyMode::kOn;
    ctx.reply.Ok();
  } else if (EqualsIgnoreCase(ctx.args[2], "off")) {
    client.reply_mode = engine::ReplyMode::kOff;
  } else if (EqualsIgnoreCase(ctx.args[2], "skip")) {
    // Covers this request, which has no reply, and the next one.
    if (client.reply_mode != engine::ReplyMode::kOff) {
      client.reply_mode = engine::ReplyMode::kSkipNext;
    }
  } else {
    ctx.Error(engine::kSyntaxError);
  }
}

void ClientNoEvict(SessionContext& ctx) { Switch(ctx, &ctx.client.no_evict); }

void ClientNoTouch(SessionContext& ctx) { Switch(ctx, &ctx.client.no_touch); }

}  // namespace holdfast::commands
