#include "script/scripting.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"
#include "base/sha1.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "script/call.h"
#include "script/machine.h"

namespace holdfast::script {
namespace {

constexpr std::string_view kNoScript = "NOSCRIPT No matching script. Please use EVAL.";
// Lua's tables of arguments are small beside that.
constexpr size_t kMaxReplyBytes = size_t{512} << 20;

// The name in the case that the cache has; empty when it can't be one.
std::string LowerSha(std::string_view sha) {
  return sha.size() == kSha1HexDigits ? ToLower(sha) : std::string();
}

}  // namespace

Scripting::Scripting(uint32_t cores) : sides_(cores) {}
Scripting::~Scripting() = default;

Machine* Scripting::FreeMachine(engine::Core& core) {
  CoreSide& side = sides_[core.number()];
  if (side.generation != cache_.generation()) {
    side.generation = cache_.generation();
    for (auto& machine : side.machines) machine->Sweep();
  }
  const uint64_t limit = core.config().script_memory_bytes;
  for (auto& machine : side.machines) {
    if (machine->busy()) continue;
    machine->set_memory_limit(limit);
    return machine.get();
  }
  side.machines.push_back(std::make_unique<Machine>(limit));
  return side.machines.back().get();
}

void Scripting::CountBytes(CoreSide* side) {
  uint64_t bytes = 0;
  for (const auto& machine : side->machines) bytes += machine->memory_bytes();
  lua_bytes_.fetch_add(bytes - side->counted, std::memory_order_relaxed);
  side->counted = bytes;
}

std::string Scripting::Prepare(engine::Core& core, Machine* machine, std::string_view body,
                               std::shared_ptr<Script>* script) {
  const std::string sha = Sha1Hex(body);
  const int64_t now_ms = core.clock().MonotonicMs();
  *script = machine->Find(sha);
  if (*script == nullptr) *script = cache_.Find(sha);
  if (*script == nullptr) {
    Shebang shebang;
    std::string wrong = ParseShebang(body, &shebang);
    if (!wrong.empty()) return "ERR " + wrong;
    wrong = machine->Check(body, shebang);
    if (!wrong.empty()) return "ERR Error compiling script (new function): " + wrong;
    *script = cache_.Add(sha, body, shebang, now_ms, core.config().script_cache_bytes);
  }
  (*script)->used_ms.store(now_ms, std::memory_order_relaxed);
  const std::string wrong = machine->Compile(*script);
  return wrong.empty() ? "" : "ERR Error compiling script (new function): " + wrong;
}

std::string Scripting::PrepareSha(engine::Core& core, Machine* machine, std::string_view sha,
                                  std::shared_ptr<Script>* script) {
  const std::string name = LowerSha(sha);
  *script = machine->Find(name);
  if (*script == nullptr) *script = cache_.Find(name);
  if (*script == nullptr) return std::string(kNoScript);
  (*script)->used_ms.store(core.clock().MonotonicMs(), std::memory_order_relaxed);
  const std::string wrong = machine->Compile(*script);
  return wrong.empty() ? "" : "ERR Error compiling script (new function): " + wrong;
}

void Scripting::Run(engine::ExecContext& ctx, bool by_sha, bool read_only) {
  int64_t keys;
  if (!ctx.ParseInt(2, &keys)) return;
  if (keys > static_cast<int64_t>(ctx.args.size()) - 3) {
    ctx.Error("ERR Number of keys can't be greater than number of args");
    return;
  }
  if (keys < 0) {
    ctx.Error("ERR Number of keys can't be negative");
    return;
  }
  engine::Core& core = *ctx.partition().host()->core();
  Machine* machine = FreeMachine(core);
  std::shared_ptr<Script> script;
  const std::string error = by_sha ? PrepareSha(core, machine, ctx.args[1], &script)
                                   : Prepare(core, machine, ctx.args[1], &script);
  if (!error.empty()) {
    ctx.Error(error);
    return;
  }
  ScriptCalls call(&ctx, script->shebang.flags, read_only);
  const std::string_view refusal = call.WhyRefused();
  if (!refusal.empty()) {
    ctx.Error(refusal);
    return;
  }
  Invocation invocation;
  invocation.keys = ctx.args.subspan(3, static_cast<size_t>(keys));
  invocation.args = ctx.args.subspan(3 + static_cast<size_t>(keys));
  invocation.protocol = ctx.caller.protocol;
  invocation.max_reply_bytes = kMaxReplyBytes;
  machine->Run(*script, invocation, &call, ctx.reply.out());
  CountBytes(&sides_[core.number()]);
}

Result<std::string> Scripting::Load(engine::Core& core, std::string_view body) {
  std::shared_ptr<Script> script;
  std::string error = Prepare(core, FreeMachine(core), body, &script);
  if (!error.empty()) return Status::InvalidArgument(std::move(error));
  return script->sha;
}

// What doesn't compile here doesn't there either, and the leader says so.
std::string_view Scripting::ForwardBody(engine::Core& core, std::string_view body) {
  std::shared_ptr<Script> script;
  (void)Prepare(core, FreeMachine(core), body, &script);
  return {};
}

std::string_view Scripting::ForwardSha(engine::Core& core, std::string_view name,
                                       const engine::Command** command, engine::OwnedArgs* args) {
  const std::shared_ptr<Script> script = cache_.Find(LowerSha(args->args()[1]));
  if (script == nullptr) return kNoScript;
  script->used_ms.store(core.clock().MonotonicMs(), std::memory_order_relaxed);
  std::vector<std::string_view> with_body(args->args().begin(), args->args().end());
  with_body[0] = name;
  with_body[1] = script->body;
  *args = engine::OwnedArgs(with_body);
  *command = core.engine().commands().Find(name);
  CHECK(*command != nullptr);
  return {};
}

bool Scripting::Exists(std::string_view sha) const { return cache_.Find(LowerSha(sha)) != nullptr; }

}  // namespace holdfast::script
