// Scripts on a node: the cache and the function libraries that all cores share, and each core's Lua
// states.
//
// A script runs as one data command on the partition of its keys (engine/context.h): what it calls
// are parts of that command, so that all their effects are in one entry of the log and its reply
// waits for everything that it has seen or done.
//
// EVALSHA and nodes. The cache belongs to the node, and a client knows the node that it is
// connected to: what it has loaded there must run wherever the keys are led. So a request that
// leaves its client's core takes the script along, as EVAL (Forward); a script that isn't known
// here is answered NOSCRIPT by this node, whatever the leader may know. In turn an EVAL that passes
// by is remembered here too.
//
// Functions are not a cache but data: see libraries.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/command.h"
#include "engine/internal_client.h"
#include "script/cache.h"
#include "script/libraries.h"

namespace holdfast::engine {
class Core;
class Engine;
class ExecContext;
class OwnedArgs;
}  // namespace holdfast::engine

namespace holdfast::script {

class Machine;

class Scripting {
 public:
  using ChangeDone = absl::AnyInvocable<void(const resp::Reply&)>;

  // On the engine's thread, before its cores run; destroyed before the engine, when they have
  // ended.
  explicit Scripting(engine::Engine* engine);
  ~Scripting();

  // ---- Loop thread of the core concerned.

  // EVAL and its kin, with the arguments script-or-sha, numkeys, keys and the rest.
  void Run(engine::ExecContext& ctx, bool by_sha, bool read_only);
  // FCALL and FCALL_RO.
  void RunFunction(engine::ExecContext& ctx, bool read_only);
  // A library's functions, found by running its code, within the time that Redis gives it. What is
  // wrong with it, as Redis words it behind "ERR "; empty when nothing is. Of a command that runs
  // scripts (it may be suspended meanwhile).
  std::string CheckLibrary(engine::ExecContext& ctx, std::string_view body,
                           std::vector<Function>* functions);
  // Runs `command`, whose data handler answers [revision, reply], on the meta partition; `done`
  // gets the reply when this node's libraries are as new as that revision, or an error.
  void Change(engine::Core& core, const engine::Command& command,
              const std::vector<std::string>& args, ChangeDone done);
  // The node itself as a client of this core.
  engine::InternalClient* ClientOf(const engine::Core& core);
  // SCRIPT LOAD: the script's SHA-1; or what is wrong, as the error reply has it.
  Result<std::string> Load(engine::Core& core, std::string_view body);
  // Of the commands above, before they leave the core; see engine::ForwardHandler.
  std::string_view ForwardBody(engine::Core& core, std::string_view body);
  std::string_view ForwardSha(engine::Core& core, std::string_view name,
                              const engine::Command** command, engine::OwnedArgs* args);

  // ---- Any thread.
  // DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call DEBUG PROTOCOL and DEBUG SLEEP. For tests.
  std::atomic<bool> allow_debug{false};
  bool Exists(std::string_view sha) const;
  // False when it is known and declares that it doesn't.
  bool ShaMayWrite(std::string_view sha) const;
  void Flush() { cache_.Flush(); }
  const ScriptCache& cache() const { return cache_; }
  const Libraries& libraries() const { return libraries_; }
  // Bytes that Lua holds, all cores together.
  uint64_t lua_bytes() const { return lua_bytes_.load(std::memory_order_relaxed); }

 private:
  // A change that is made, and that this node doesn't know of yet.
  struct WaitingChange {
    uint64_t revision = 0;
    int64_t until_ms = 0;  // monotonic
    resp::Reply reply;
    ChangeDone done;
  };
  // What one core has. More than one machine only while scripts are suspended.
  struct CoreSide {
    std::vector<std::unique_ptr<Machine>> machines;
    uint64_t generation = 0;  // of the cache, when the machines were swept last
    uint64_t counted = 0;     // of lua_bytes_
    std::shared_ptr<const LibrarySet> libraries;
    uint64_t libraries_generation = 0;  // of `libraries`
    std::unique_ptr<engine::InternalClient> self;
    std::vector<WaitingChange> waiting;
  };
  Machine* FreeMachine(engine::Core& core);
  // Waits in the script until this node's libraries are as new as the caller knows them. What to
  // answer when that takes too long, else empty.
  std::string_view AwaitLibraries(engine::ExecContext& ctx);
  // The same for the rules of access control that hold for the caller.
  static std::string_view AwaitUsers(engine::ExecContext& ctx);
  void ServeChanges(engine::Core& core);
  void OnLibrariesChanged();
  void CountBytes(CoreSide* side);
  // Finds or adds the script and compiles it on the core. Or an error reply.
  std::string Prepare(engine::Core& core, Machine* machine, std::string_view body,
                      std::shared_ptr<Script>* script);
  std::string PrepareSha(engine::Core& core, Machine* machine, std::string_view sha,
                         std::shared_ptr<Script>* script);

  engine::Engine* const engine_;
  bool running_ = false;  // cores may run: whoever waits is to be told of changes
  Libraries libraries_;
  ScriptCache cache_;
  std::vector<CoreSide> sides_;  // by core
  std::atomic<uint64_t> lua_bytes_{0};
};

}  // namespace holdfast::script
