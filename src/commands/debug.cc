// DEBUG, as far as it means something here. One row in the table, as in Redis: statistics count all
// of it as "debug".
#include <cmath>
#include <string>

#include "base/log.h"
#include "base/numbers.h"
#include "commands/deferred.h"
#include "commands/handlers.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/gather.h"
#include "script/scripting.h"

namespace holdfast::commands {
namespace {

using engine::Command;
using engine::Core;
using engine::SessionContext;

// Longest DEBUG SLEEP.
constexpr double kMaxSleepSeconds = 86400;

constexpr std::string_view kHelp[] = {
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ERROR <string>",
    "    Return an error with <string> as message.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "RELOAD",
    "    Write everything committed to LevelDB, durably.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed. Setting it to 1 reenables it.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Setting it to 1 lets scripts call DEBUG PROTOCOL and DEBUG SLEEP.",
    "SLEEP <seconds>",
    "    Answer after <seconds>. Decimals allowed. Other clients are served meanwhile.",
    "HELP",
    "    Prints this help.",
};

void Help(SessionContext& ctx) {
  ctx.reply.Array(std::size(kHelp));
  for (const std::string_view line : kHelp) ctx.reply.Simple(line);
}

void Log(SessionContext& ctx) {
  LogNotice("DEBUG LOG: {}", ctx.args[2]);
  ctx.reply.Ok();
}

void Error(SessionContext& ctx) { ctx.Error(ctx.args[2]); }

void Sleep(SessionContext& ctx) {
  double seconds;
  if (!ParseDouble(ctx.args[2], &seconds) || !(seconds >= 0 && seconds <= kMaxSleepSeconds)) {
    ctx.Error("ERR the time to sleep must be a number of seconds, at most a day");
    return;
  }
  // A timer, not a sleeping thread: the core serves others.
  ctx.core.RunAfter(static_cast<uint64_t>(std::ceil(seconds * 1000)),
                    [deferred = Deferred::Make(ctx)] { deferred->FinishOk(); });
}

void SetActiveExpire(SessionContext& ctx) {
  int64_t on;
  if (!ctx.ParseInt(2, &on)) return;
  OnAllCores(ctx, [on](Core& core) { core.set_active_expire(on != 0); });
}

void SetDisableDenyScripts(SessionContext& ctx) {
  int64_t on;
  if (!ctx.ParseInt(2, &on)) return;
  ctx.core.engine().scripting->allow_debug.store(on != 0);
  ctx.reply.Ok();
}

void Reload(SessionContext& ctx) {
  // Memory and store hold the same, so there is nothing to load; what is tested is that everything
  // reaches the store.
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  FlushStores(deferred->home(), [deferred] { deferred->FinishOk(); });
}

// The one part of DEBUG that looks at a key: runs on the key's partition.
void DebugObjectOfKey(SessionContext& ctx) {
  static const Command row = [](const Command& debug) {
    Command object = debug;
    object.route = engine::Route::kKeys;
    object.keys = {.kind = engine::KeySpec::Kind::kRange, .first = 2, .last = 2};
    object.session = nullptr;
    object.data = DebugObject;
    return object;
  }(ctx.command);
  ctx.accounts_itself = true;
  engine::RunData(&ctx.client, row, ctx.args);
}

void ThreeNumbers(SessionContext& ctx) {
  for (int i = 0; i < 3; ++i) ctx.reply.Integer(i);
}

void Protocol(SessionContext& ctx) {
  const std::string type = ToLower(ctx.args[2]);
  resp::Writer& reply = ctx.reply;
  if (type == "string") {
    reply.Bulk("Hello World");
  } else if (type == "integer") {
    reply.Integer(12345);
  } else if (type == "double") {
    reply.Double(3.141);
  } else if (type == "bignum") {
    reply.BigNumber("1234567999999999999999999999999999999");
  } else if (type == "null") {
    reply.Null();
  } else if (type == "array") {
    reply.Array(3);
    ThreeNumbers(ctx);
  } else if (type == "set") {
    reply.Set(3);
    ThreeNumbers(ctx);
  } else if (type == "map") {
    reply.Map(3);
    for (int i = 0; i < 3; ++i) {
      reply.Integer(i);
      reply.Bool(i == 1);
    }
  } else if (type == "attrib") {
    if (reply.resp3()) {
      reply.Raw("|1\r\n");
      reply.Bulk("key-popularity");
      reply.Array(2);
      reply.Bulk("key:123");
      reply.Integer(90);
    }
    reply.Bulk("Some real reply following the attribute");
  } else if (type == "push") {
    if (!reply.resp3()) {
      ctx.Error("ERR RESP2 is not supported by this command");
      return;
    }
    reply.Push(2);
    reply.Bulk("server-cpu-usage");
    reply.Integer(42);
    reply.Bulk("Some real reply following the push reply");
  } else if (type == "true" || type == "false") {
    reply.Bool(type == "true");
  } else if (type == "verbatim") {
    reply.Verbatim("txt", "This is a verbatim\nstring");
  } else {
    ctx.Error(
        "ERR Wrong protocol type name. Please use one of the following: "
        "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
  }
}

struct Subcommand {
  std::string_view name;
  size_t arguments;  // with DEBUG and the name
  void (*run)(SessionContext&);
};

constexpr Subcommand kSubcommands[] = {
    {"error", 3, Error},
    {"help", 2, Help},
    {"log", 3, Log},
    {"object", 3, DebugObjectOfKey},
    {"protocol", 3, Protocol},
    {"reload", 2, Reload},
    {"sleep", 3, Sleep},
    {"set-active-expire", 3, SetActiveExpire},
    {"set-disable-deny-scripts", 3, SetDisableDenyScripts},
};

}  // namespace

void Debug(SessionContext& ctx) {
  for (const Subcommand& subcommand : kSubcommands) {
    if (EqualsIgnoreCase(subcommand.name, ctx.args[1]) && subcommand.arguments == ctx.args.size()) {
      subcommand.run(ctx);
      return;
    }
  }
  ctx.ErrorUnknownSubcommand();
}

}  // namespace holdfast::commands
