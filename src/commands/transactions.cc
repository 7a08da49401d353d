// MULTI, EXEC, DISCARD, WATCH and UNWATCH: the checks; the rest is in engine/dispatcher.
#include "commands/server_handlers.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {

using engine::SessionContext;

namespace {

// Monitors see the commands of a transaction when they run, and EXEC behind them.
void ShowTransaction(SessionContext& ctx) {
  const engine::Client& client = ctx.client;
  if (!client.multi_failed) {
    for (const engine::QueuedCommand& queued : client.queued) {
      engine::FeedMonitors(&ctx.core, client.db, client.address, *queued.command,
                           queued.args.args());
    }
  }
  engine::FeedMonitors(&ctx.core, client.db, client.address, ctx.command, ctx.args);
}

}  // namespace

void Multi(SessionContext& ctx) {
  if (ctx.client.in_multi) {
    ctx.Error("ERR MULTI calls can not be nested");
    return;
  }
  ctx.client.in_multi = true;
  ctx.reply.Ok();
}

void Discard(SessionContext& ctx) {
  if (!ctx.client.in_multi) {
    ctx.Error("ERR DISCARD without MULTI");
    return;
  }
  engine::ResetTransaction(&ctx.client);
  engine::UnwatchAll(&ctx.client);
  ctx.reply.Ok();
}

void Exec(SessionContext& ctx) {
  engine::Client& client = ctx.client;
  if (!client.in_multi) {
    ctx.Error("ERR EXEC without MULTI");
    return;
  }
  if (ctx.core.engine().monitors.load(std::memory_order_relaxed) > 0) ShowTransaction(ctx);
  if (client.multi_failed) {
    engine::ResetTransaction(&client);
    engine::UnwatchAll(&client);
    ctx.Error("EXECABORT Transaction discarded because of previous errors.");
    return;
  }
  engine::RunTransaction(&client, ctx.command);
}

void Watch(SessionContext& ctx) {
  if (ctx.client.in_multi) {
    ctx.Error("ERR WATCH inside MULTI is not allowed");
    return;
  }
  engine::WatchKeys(&ctx.client, ctx.args, ctx.command);
}

void Unwatch(SessionContext& ctx) {
  engine::UnwatchAll(&ctx.client);
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
