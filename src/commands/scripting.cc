// EVAL, EVALSHA, their read-only forms and SCRIPT; the work is done in src/script.
#include <string_view>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/scripting.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/partition.h"
#include "engine/session_context.h"
#include "script/scripting.h"

namespace holdfast::commands {

using engine::ExecContext;
using engine::SessionContext;

namespace {

script::Scripting& ScriptingOf(engine::Core& core) { return *core.engine().scripting; }

void RunScript(ExecContext& ctx, bool by_sha, bool read_only) {
  ScriptingOf(*ctx.partition().host()->core()).Run(ctx, by_sha, read_only);
}

}  // namespace

void Eval(ExecContext& ctx) { RunScript(ctx, false, false); }

void EvalRo(ExecContext& ctx) { RunScript(ctx, false, true); }

void Evalsha(ExecContext& ctx) { RunScript(ctx, true, false); }

void EvalshaRo(ExecContext& ctx) { RunScript(ctx, true, true); }

std::string_view ForwardEval(engine::Core& core, const engine::Command**, engine::OwnedArgs* args) {
  return ScriptingOf(core).ForwardBody(core, args->args()[1]);
}

std::string_view ForwardEvalsha(engine::Core& core, const engine::Command** command,
                                engine::OwnedArgs* args) {
  const std::string_view name = (*command)->has(engine::kReadonly) ? "eval_ro" : "eval";
  return ScriptingOf(core).ForwardSha(core, name, command, args);
}

bool EvalWrites(engine::Core&, engine::Args args) { return script::MayWrite(args[1]); }

bool EvalshaWrites(engine::Core& core, engine::Args args) {
  return ScriptingOf(core).ShaMayWrite(args[1]);
}

bool FcallWrites(engine::Core& core, engine::Args args) {
  const auto libraries = ScriptingOf(core).libraries().Present();
  const script::LibrarySet::Found* found = libraries->Find(args[1]);
  return found == nullptr ||
         (found->library->functions[found->function].flags & script::kNoWrites) == 0;
}

void Fcall(ExecContext& ctx) {
  ScriptingOf(*ctx.partition().host()->core()).RunFunction(ctx, /*read_only=*/false);
}

void FcallRo(ExecContext& ctx) {
  ScriptingOf(*ctx.partition().host()->core()).RunFunction(ctx, /*read_only=*/true);
}

namespace {

void Kill(ExecContext& ctx, bool function) {
  using Killed = engine::Partition::ScriptKilled;
  switch (ctx.partition().KillScript(function)) {
    case Killed::kKilled:
      ctx.reply.Ok();
      return;
    case Killed::kHasWritten:
      ctx.Error(
          "UNKILLABLE Sorry the script already executed write commands against the dataset. You "
          "can either wait the script termination or kill the server in a hard way using the "
          "SHUTDOWN NOSAVE command.");
      return;
    case Killed::kNoScript:
      ctx.Error("NOTBUSY No scripts in execution right now.");
      return;
    case Killed::kOtherKind:
      ctx.Error(function ? engine::kBusy : engine::kBusyFunction);
      return;
  }
}

}  // namespace

void ScriptKill(ExecContext& ctx) { Kill(ctx, /*function=*/false); }

void FunctionKill(ExecContext& ctx) { Kill(ctx, /*function=*/true); }

void ScriptDebug(SessionContext& ctx) {
  const std::string_view mode = ctx.args[2];
  if (EqualsIgnoreCase(mode, "no")) {
    ctx.reply.Ok();
  } else if (EqualsIgnoreCase(mode, "yes") || EqualsIgnoreCase(mode, "sync")) {
    ctx.Error("ERR there is no debugger of scripts");
  } else {
    ctx.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO");
  }
}

void ScriptExists(SessionContext& ctx) {
  ctx.reply.Array(ctx.args.size() - 2);
  for (const std::string_view sha : ctx.args.subspan(2)) {
    ctx.reply.Integer(ScriptingOf(ctx.core).Exists(sha) ? 1 : 0);
  }
}

void ScriptFlush(SessionContext& ctx) {
  const bool known =
      ctx.args.size() == 2 || (ctx.args.size() == 3 && (EqualsIgnoreCase(ctx.args[2], "sync") ||
                                                        EqualsIgnoreCase(ctx.args[2], "async")));
  if (!known) {
    ctx.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    return;
  }
  ScriptingOf(ctx.core).Flush();
  ctx.reply.Ok();
}

void ScriptLoad(SessionContext& ctx) {
  const Result<std::string> sha = ScriptingOf(ctx.core).Load(ctx.core, ctx.args[2]);
  if (sha.ok()) {
    ctx.reply.Bulk(sha.value());
  } else {
    ctx.Error(sha.status().message());
  }
}

}  // namespace holdfast::commands
