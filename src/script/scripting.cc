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
// As in Redis: the code of a library does nothing but register functions.
constexpr int64_t kLoadTimeoutMs = 500;
// How long a node may be behind what another one has: far more than heartbeats need.
constexpr int64_t kMaxWaitMs = 5000;
// Changes of functions of one core that are under way.
constexpr size_t kMaxChanges = 1000;

// The name in the case that the cache has; empty when it can't be one.
std::string LowerSha(std::string_view sha) {
  return sha.size() == kSha1HexDigits ? ToLower(sha) : std::string();
}

}  // namespace

Scripting::Scripting(engine::Engine* engine)
    : engine_(engine),
      libraries_(&engine->functions_revision, [this] { OnLibrariesChanged(); }),
      sides_(engine->cores()) {
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    sides_[i].self = std::make_unique<engine::InternalClient>(&engine->core(i));
  }
  engine->core(engine->CoreOfPartition(engine->meta_partition()))
      .FindPartition(engine->meta_partition())
      ->Observe(&libraries_);
  running_ = true;
  engine->scripting = this;
}

Scripting::~Scripting() { engine_->scripting = nullptr; }

Machine* Scripting::FreeMachine(engine::Core& core) {
  CoreSide& side = sides_[core.number()];
  if (side.generation != cache_.generation()) {
    side.generation = cache_.generation();
    for (auto& machine : side.machines) machine->Sweep();
  }
  if (side.libraries_generation != libraries_.generation()) {
    side.libraries_generation = libraries_.generation();
    side.libraries = libraries_.Present();
    const auto present = [&side](const Library& library) {
      const auto it = side.libraries->libraries.find(library.name);
      return it != side.libraries->libraries.end() && it->second.get() == &library;
    };
    for (auto& machine : side.machines) machine->SweepLibraries(present);
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
  const std::string_view late = AwaitUsers(ctx);
  if (!late.empty()) {
    ctx.Error(late);
    return;
  }
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
  if (machine->error_counted()) ctx.ErrorIsCounted();
  CountBytes(&sides_[core.number()]);
}

engine::InternalClient* Scripting::ClientOf(const engine::Core& core) {
  return sides_[core.number()].self.get();
}

// ---- Functions

std::string_view Scripting::AwaitLibraries(engine::ExecContext& ctx) {
  const auto& clock = ctx.partition().host()->clock();
  const int64_t until_ms = clock.MonotonicMs() + kMaxWaitMs;
  while (libraries_.revision() < ctx.caller.functions_revision) {
    if (clock.MonotonicMs() >= until_ms) {
      return "TRYAGAIN this node has not learned of the newest functions yet; nothing was applied";
    }
    const std::string_view end = ctx.partition().AwaitInScript();
    if (!end.empty()) return engine::kTryAgain;
  }
  return {};
}

std::string_view Scripting::AwaitUsers(engine::ExecContext& ctx) {
  if (ctx.caller.acl_user.empty()) return {};
  engine::PartitionHost* host = ctx.partition().host();
  const int64_t until_ms = host->clock().MonotonicMs() + kMaxWaitMs;
  while (host->core()->access().users().revision() < ctx.caller.acl_revision) {
    if (host->clock().MonotonicMs() >= until_ms) {
      return "TRYAGAIN this node has not learned of the newest users yet; nothing was applied";
    }
    const std::string_view end = ctx.partition().AwaitInScript();
    if (!end.empty()) return engine::kTryAgain;
  }
  return {};
}

void Scripting::RunFunction(engine::ExecContext& ctx, bool read_only) {
  std::string_view late = AwaitUsers(ctx);
  if (late.empty()) late = AwaitLibraries(ctx);
  if (!late.empty()) {
    ctx.Error(late);
    return;
  }
  engine::Core& core = *ctx.partition().host()->core();
  Machine* machine = FreeMachine(core);
  const LibrarySet::Found* found = sides_[core.number()].libraries->Find(ctx.args[1]);
  if (found == nullptr) {
    ctx.Error("ERR Function not found");
    return;
  }
  int64_t keys;
  if (!ctx.ParseInt(2, &keys, "ERR Bad number of keys provided")) return;
  if (keys > static_cast<int64_t>(ctx.args.size()) - 3) {
    ctx.Error("ERR Number of keys can't be greater than number of args");
    return;
  }
  if (keys < 0) {
    ctx.Error("ERR Number of keys can't be negative");
    return;
  }
  // The set may be replaced while the function is suspended.
  const std::shared_ptr<const Library> library = found->library;
  const size_t number = found->function;
  ScriptCalls call(&ctx, library->functions[number].flags, read_only);
  const std::string_view refusal = call.WhyRefused();
  if (!refusal.empty()) {
    ctx.Error(refusal);
    return;
  }
  const std::string wrong = machine->LoadLibrary(library, &call);
  if (!wrong.empty()) {
    ctx.Error("ERR " + wrong);
    return;
  }
  Invocation invocation;
  invocation.keys = ctx.args.subspan(3, static_cast<size_t>(keys));
  invocation.args = ctx.args.subspan(3 + static_cast<size_t>(keys));
  invocation.protocol = ctx.caller.protocol;
  invocation.max_reply_bytes = kMaxReplyBytes;
  machine->Call(*library, number, invocation, &call, ctx.reply.out());
  if (machine->error_counted()) ctx.ErrorIsCounted();
  CountBytes(&sides_[core.number()]);
}

namespace {

// Code that registers functions can call nothing.
class LoadingHost final : public ScriptHost {
 public:
  explicit LoadingHost(engine::Partition* partition)
      : partition_(*partition), until_ms_(Now() + kLoadTimeoutMs) {}

  std::string_view Call(engine::Args, int, std::string*) override {
    return "This Redis command is not allowed from script";
  }
  bool Knows(engine::Args) override { return false; }
  std::string_view Interrupt() override {
    if (Now() > until_ms_) return "FUNCTION LOAD timeout";
    return partition_.ScriptPoint();
  }

 private:
  int64_t Now() const { return partition_.host()->clock().MonotonicMs(); }

  engine::Partition& partition_;
  const int64_t until_ms_;
};

}  // namespace

std::string Scripting::CheckLibrary(engine::ExecContext& ctx, std::string_view body,
                                    std::vector<Function>* functions) {
  engine::Core& core = *ctx.partition().host()->core();
  LoadingHost host(&ctx.partition());
  std::string wrong = FreeMachine(core)->CheckLibrary(body, &host, functions);
  CountBytes(&sides_[core.number()]);
  return wrong;
}

void Scripting::Change(engine::Core& core, const engine::Command& command,
                       const std::vector<std::string>& args, ChangeDone done) {
  const auto error = [](std::string_view text) {
    resp::Reply reply;
    reply.type = resp::ReplyType::kError;
    reply.string = text;
    return reply;
  };
  engine::InternalClient& self = *sides_[core.number()].self;
  if (self.pending() >= kMaxChanges) {
    done(error("ERR too many changes of functions are under way"));
    return;
  }
  self.CallOn(engine_->meta_partition(), command, args,
              [this, &core, error, done = std::move(done)](const resp::Reply& reply) mutable {
                if (reply.is_error()) {
                  done(reply);
                  return;
                }
                if (reply.elements.size() != 2) {
                  done(error("ERR the leading node sent no reply"));
                  return;
                }
                WaitingChange change;
                change.revision = static_cast<uint64_t>(reply.elements[0].integer);
                change.until_ms = core.clock().MonotonicMs() + kMaxWaitMs;
                change.reply = reply.elements[1];
                change.done = std::move(done);
                sides_[core.number()].waiting.push_back(std::move(change));
                ServeChanges(core);
              });
}

void Scripting::ServeChanges(engine::Core& core) {
  std::vector<WaitingChange>& waiting = sides_[core.number()].waiting;
  const uint64_t revision = libraries_.revision();
  const int64_t now_ms = core.clock().MonotonicMs();
  std::vector<WaitingChange> over;
  for (size_t i = 0; i < waiting.size();) {
    if (waiting[i].revision > revision && waiting[i].until_ms > now_ms) {
      ++i;
      continue;
    }
    over.push_back(std::move(waiting[i]));
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (WaitingChange& change : over) {
    if (change.revision > revision) {
      change.reply.type = resp::ReplyType::kError;
      change.reply.string = "INDOUBT the change was made, but this node has not learned of it yet";
    }
    change.done(change.reply);
  }
  if (!waiting.empty()) core.RunAfter(kMaxWaitMs, [this, &core] { ServeChanges(core); });
}

// On the meta partition's core.
void Scripting::OnLibrariesChanged() {
  if (!running_) return;
  const uint32_t home = engine_->CoreOfPartition(engine_->meta_partition());
  for (uint32_t i = 0; i < engine_->cores(); ++i) {
    engine_->core(home).Post(i, [this, i] { ServeChanges(engine_->core(i)); });
  }
}

// ---- EVALSHA and nodes

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

bool Scripting::ShaMayWrite(std::string_view sha) const {
  const std::shared_ptr<Script> script = cache_.Find(LowerSha(sha));
  return script == nullptr || (script->shebang.flags & kNoWrites) == 0;
}

}  // namespace holdfast::script
