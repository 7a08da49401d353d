// Scripts on a node: the cache that all cores share, and each core's Lua states.
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
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/command.h"
#include "script/cache.h"

namespace holdfast::engine {
class Core;
class ExecContext;
class OwnedArgs;
}  // namespace holdfast::engine

namespace holdfast::script {

class Machine;

class Scripting {
 public:
  explicit Scripting(uint32_t cores);
  ~Scripting();

  // ---- Loop thread of the core concerned.

  // EVAL and its kin, with the arguments script-or-sha, numkeys, keys and the rest.
  void Run(engine::ExecContext& ctx, bool by_sha, bool read_only);
  // SCRIPT LOAD: the script's SHA-1; or what is wrong, as the error reply has it.
  Result<std::string> Load(engine::Core& core, std::string_view body);
  // Of the commands above, before they leave the core; see engine::ForwardHandler.
  std::string_view ForwardBody(engine::Core& core, std::string_view body);
  std::string_view ForwardSha(engine::Core& core, std::string_view name,
                              const engine::Command** command, engine::OwnedArgs* args);

  // ---- Any thread.
  bool Exists(std::string_view sha) const;
  void Flush() { cache_.Flush(); }
  const ScriptCache& cache() const { return cache_; }
  // Bytes that Lua holds, all cores together.
  uint64_t lua_bytes() const { return lua_bytes_.load(std::memory_order_relaxed); }

 private:
  // What one core has. More than one machine only while scripts are suspended.
  struct CoreSide {
    std::vector<std::unique_ptr<Machine>> machines;
    uint64_t generation = 0;  // of the cache, when the machines were swept last
    uint64_t counted = 0;     // of lua_bytes_
  };

  Machine* FreeMachine(engine::Core& core);
  void CountBytes(CoreSide* side);
  // Finds or adds the script and compiles it on the core. Or an error reply.
  std::string Prepare(engine::Core& core, Machine* machine, std::string_view body,
                      std::shared_ptr<Script>* script);
  std::string PrepareSha(engine::Core& core, Machine* machine, std::string_view sha,
                         std::shared_ptr<Script>* script);

  ScriptCache cache_;
  std::vector<CoreSide> sides_;  // by core
  std::atomic<uint64_t> lua_bytes_{0};
};

}  // namespace holdfast::script
