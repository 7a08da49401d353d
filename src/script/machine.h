// One Lua state with everything that a script finds in it, and the scripts and libraries that it
// has compiled.
//
// The sandbox: what is global can't be changed, there is no io, no os but os.clock, no loading of
// files or of bytecode, and nothing that a script leaves behind is found by the next one, except in
// cjson's settings. Memory is limited, and a hook asks the host every now and then whether the
// script may go on.
//
// One thread at a time. While a script is suspended (its host switches stacks in Interrupt) its
// machine must not run another one: see busy().
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "script/cache.h"
#include "script/library.h"
#include "script/lua.h"

namespace holdfast::script {

// What a script may do to the world, and the world to it.
class ScriptHost {
 public:
  virtual ~ScriptHost() = default;
  // Runs a command of redis.call. Its reply is appended to `reply` as RESP in `protocol`; or the
  // result says why it was not run: an error as PushError takes it.
  virtual std::string_view Call(engine::Args args, int protocol, std::string* reply) = 0;
  // Whether there is such a command, for redis.acl_check_cmd.
  virtual bool Knows(engine::Args args) = 0;
  // Whether who runs the script may run this command. REQUIRES: it is known.
  virtual bool Permits(engine::Args) { return true; }
  // Called every thousand instructions or so. Not empty: the script ends with this error, and
  // nothing in it can catch that.
  virtual std::string_view Interrupt() = 0;
};

// What a script is called with.
struct Invocation {
  engine::Args keys;
  engine::Args args;
  int protocol = 2;  // of the client
  size_t max_reply_bytes = SIZE_MAX;
};

class Machine {
 public:
  explicit Machine(uint64_t memory_limit);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The compiled script, or nullptr. `sha` in lower case.
  std::shared_ptr<Script> Find(std::string_view sha) const;
  // Compiles a script that isn't yet. What is wrong with it, as Lua says; empty when nothing is.
  std::string Compile(const std::shared_ptr<Script>& script);
  // Whether `body` compiles, without keeping it.
  std::string Check(std::string_view body, const Shebang& shebang);
  // Forgets compiled scripts that the cache has dropped.
  void Sweep();

  // Runs a library's code, which registers its functions, and keeps it. What is wrong with it, as
  // Redis words it behind "ERR "; empty when nothing is. REQUIRES: !busy().
  std::string LoadLibrary(const std::shared_ptr<const Library>& library, ScriptHost* host);
  bool HasLibrary(const Library& library) const { return libraries_.contains(&library); }
  // The same without keeping it: which functions there are.
  std::string CheckLibrary(std::string_view body, ScriptHost* host,
                           std::vector<Function>* functions);
  // Forgets libraries for which this is false.
  void SweepLibraries(const std::function<bool(const Library&)>& keep);

  // Runs a compiled script and appends its reply, or the error in which it ended, to `reply`.
  // REQUIRES: !busy().
  void Run(const Script& script, const Invocation& invocation, ScriptHost* host,
           std::string* reply);
  // Calls library.functions[function] in the same way. REQUIRES: HasLibrary.
  void Call(const Library& library, size_t function, const Invocation& invocation, ScriptHost* host,
            std::string* reply);
  bool busy() const { return host_ != nullptr; }

  // The error in which the last script ended, or which it returned, was one of redis.call.
  bool error_counted() const { return error_counted_; }

  void set_memory_limit(uint64_t bytes) { memory_limit_ = bytes; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  size_t scripts() const { return compiled_.size(); }

  // ---- For the functions that Lua calls.
  static Machine* Of(lua_State* lua);
  // Asks the host whether the script may go on; raises an error when not. For work that takes long
  // where no hook runs.
  void Point(lua_State* lua);
  // Whether so many more bytes are within the limit, twice over: a buffer grows by doubling.
  bool HasRoomFor(uint64_t bytes) const {
    return bytes < UINT64_MAX / 4 && memory_bytes_ + 2 * bytes <= memory_limit_;
  }
  ScriptHost* host() { return host_; }
  // A library's code is running, not one of its functions.
  bool loading() const { return registered_ != nullptr; }
  // redis.register_function: the function at the top of the stack, which is popped. What is wrong
  // with it; nullptr when nothing is. May raise an error of memory. REQUIRES: loading().
  const char* Register(lua_State* lua, std::string_view name, const std::string_view* description,
                       uint32_t flags);
  int script_protocol() const { return script_protocol_; }
  void set_script_protocol(int protocol) { script_protocol_ = protocol; }
  // Scratch of redis.call, here because errors don't run destructors.
  std::vector<std::string_view>& call_args() { return call_args_; }
  std::vector<std::string>& number_texts() { return number_texts_; }
  std::string& call_reply() { return call_reply_; }
  // The generator of math.random: 48 bits, which go on from script to script.
  uint64_t random_state = 0;
  // Of table.sort since the last Point.
  size_t compared = 0;

 private:
  struct Compiled {
    std::shared_ptr<Script> script;
    int function = LUA_NOREF;  // in the registry
  };

  struct CompiledLibrary {
    std::shared_ptr<const Library> library;
    std::vector<int> functions;  // in the registry; as library->functions
  };
  struct Registered {
    Function function;
    int reference = LUA_NOREF;
  };

  static void* Allocate(void* machine, void* block, size_t old_size, size_t new_size);
  static void Hook(lua_State* lua, lua_Debug* event);
  static int RunProtected(lua_State* lua);
  static int LoadProtected(lua_State* lua);
  static int LoadLibraryProtected(lua_State* lua);
  std::string RunLibrary(std::string_view body, ScriptHost* host,
                         std::vector<Registered>* registered);
  void Release(std::vector<Registered>* registered);
  void Execute(std::string_view name, int function, bool is_function, const Invocation& invocation,
               ScriptHost* host, std::string* reply);
  void PushArgument(engine::Args values);
  // Compiles into loaded_; else says what is wrong.
  std::string Load(std::string_view body, const Shebang& shebang);
  void WriteError(std::string* reply);
  // Whether the value at the top is an error that was counted.
  bool IsCountedError() const;

  lua_State* lua_ = nullptr;
  uint64_t memory_limit_;
  uint64_t memory_bytes_ = 0;
  uint64_t collect_above_ = 0;  // the next look at the garbage while a script runs
  // In the registry.
  int error_handler_ = LUA_NOREF;
  int run_ = LUA_NOREF;
  int load_ = LUA_NOREF;
  int loaded_ = LUA_NOREF;
  int load_library_ = LUA_NOREF;
  int globals_ = LUA_NOREF;  // the real table of globals, which scripts see but don't get
  int library_globals_ = LUA_NOREF;
  absl::flat_hash_map<std::string_view, Compiled> compiled_;  // by the scripts' own names
  absl::flat_hash_map<const Library*, CompiledLibrary> libraries_;
  uint64_t runs_ = 0;

  // Of the running script.
  ScriptHost* host_ = nullptr;
  std::string name_;  // its SHA-1, or the function's name
  int function_ = LUA_NOREF;
  bool is_function_ = false;  // keys and arguments are parameters, not globals
  const Invocation* invocation_ = nullptr;
  std::string* reply_ = nullptr;
  int script_protocol_ = 2;
  bool ended_by_host_ = false;
  bool error_counted_ = false;
  std::string end_reason_;
  std::vector<std::string_view> call_args_;
  std::vector<std::string> number_texts_;
  std::string call_reply_;
  std::string_view loading_;
  bool compiled_library_ = false;  // the code has no errors of syntax and runs
  std::vector<Registered>* registered_ = nullptr;
};

}  // namespace holdfast::script
