#include "script/machine.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "resp/writer.h"
#include "script/error_value.h"
#include "script/resp_values.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

// Instructions between two looks at the clock: some ten microseconds.
constexpr int kHookInstructions = 1000;
// Runs between two steps of the collector, so that garbage doesn't wait for a script that is large.
constexpr uint64_t kCollectEvery = 50;
constexpr const char* kChunkName = "@user_script";
constexpr const char* kLibraryChunkName = "@user_function";
// What building the sandbox takes is not the script's.
constexpr uint64_t kLeastMemory = uint64_t{1} << 20;

}  // namespace

Machine::Machine(uint64_t memory_limit) : memory_limit_(UINT64_MAX) {
  lua_ = lua_newstate(Allocate, this);
  CHECK_MSG(lua_ != nullptr, "no memory for a Lua state");
  OpenSandbox(lua_, &globals_, &library_globals_);
  // Functions that start something are made now: to push a new one could fail, outside of a
  // protected call.
  const auto keep = [this](lua_CFunction function) {
    lua_pushcfunction(lua_, function);
    return luaL_ref(lua_, LUA_REGISTRYINDEX);
  };
  error_handler_ = keep(HandleError);
  run_ = keep(RunProtected);
  load_ = keep(LoadProtected);
  load_library_ = keep(LoadLibraryProtected);
  lua_sethook(lua_, Hook, LUA_MASKCOUNT, kHookInstructions);
  memory_limit_ = memory_limit;
  random_state = RandomSeed();
}

Machine::~Machine() { lua_close(lua_); }

Machine* Machine::Of(lua_State* lua) {
  void* machine = nullptr;
  lua_getallocf(lua, &machine);
  return static_cast<Machine*>(machine);
}

void* Machine::Allocate(void* machine, void* block, size_t old_size, size_t new_size) {
  auto* self = static_cast<Machine*>(machine);
  if (new_size == 0) {
    std::free(block);
    self->memory_bytes_ -= old_size;
    return nullptr;
  }
  // Lua relies on it that making a block smaller succeeds.
  if (new_size > old_size &&
      self->memory_bytes_ + (new_size - old_size) > std::max(self->memory_limit_, kLeastMemory)) {
    return nullptr;
  }
  void* grown = std::realloc(block, new_size);
  if (grown != nullptr) self->memory_bytes_ += new_size - old_size;
  return grown;
}

// Also runs in coroutines, which inherit it.
void Machine::Hook(lua_State* lua, lua_Debug*) {
  Machine* self = Of(lua);
  if (self->host_ == nullptr) return;
  // Lua 5.1 doesn't collect when an allocation fails: what is garbage has to go before that.
  if (self->memory_bytes_ > self->collect_above_) {
    lua_gc(lua, LUA_GCCOLLECT, 0);
    self->collect_above_ =
        std::max(self->memory_limit_ / 2, self->memory_bytes_ + self->memory_limit_ / 8);
  }
  self->Point(lua);
}

void Machine::Point(lua_State* lua) {
  if (host_ == nullptr) return;
  if (!ended_by_host_) {
    const std::string_view why = host_->Interrupt();
    if (why.empty()) return;
    ended_by_host_ = true;
    end_reason_ = why;
  }
  // From now on after each instruction, so that no pcall can go on behind the error.
  lua_sethook(lua, Hook, LUA_MASKCOUNT, 1);
  RaiseError(lua, end_reason_);
}

// ---- Compiling

std::shared_ptr<Script> Machine::Find(std::string_view sha) const {
  const auto it = compiled_.find(sha);
  return it == compiled_.end() ? nullptr : it->second.script;
}

int Machine::LoadProtected(lua_State* lua) {
  Machine* self = Of(lua);
  const std::string_view code = self->loading_;
  // Bytecode, which Lua would take, can crash it.
  if (!code.empty() && code[0] == LUA_SIGNATURE[0]) {
    lua_pushliteral(lua, "user_script:1: unexpected symbol near '<\\27>'");
    return lua_error(lua);
  }
  if (luaL_loadbuffer(lua, code.data(), code.size(), kChunkName) != 0) return lua_error(lua);
  self->loaded_ = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

std::string Machine::Load(std::string_view body, const Shebang& shebang) {
  if (memory_bytes_ > memory_limit_ / 2) lua_gc(lua_, LUA_GCCOLLECT, 0);
  loading_ = body.substr(shebang.code);
  loaded_ = LUA_NOREF;
  lua_rawgeti(lua_, LUA_REGISTRYINDEX, load_);
  const int status = lua_pcall(lua_, 0, 0, 0);
  loading_ = {};
  if (status == 0) return {};
  const char* message = lua_isstring(lua_, -1) ? lua_tostring(lua_, -1) : "not enough memory";
  std::string why = message;
  lua_pop(lua_, 1);
  return why;
}

std::string Machine::Compile(const std::shared_ptr<Script>& script) {
  if (compiled_.contains(script->sha)) return {};
  std::string wrong = Load(script->body, script->shebang);
  if (wrong.empty()) compiled_[script->sha] = {script, loaded_};
  return wrong;
}

std::string Machine::Check(std::string_view body, const Shebang& shebang) {
  std::string wrong = Load(body, shebang);
  if (wrong.empty()) luaL_unref(lua_, LUA_REGISTRYINDEX, loaded_);
  return wrong;
}

void Machine::Sweep() {
  for (auto it = compiled_.begin(); it != compiled_.end();) {
    const auto here = it++;
    if (!here->second.script->dropped.load(std::memory_order_relaxed)) continue;
    luaL_unref(lua_, LUA_REGISTRYINDEX, here->second.function);
    const std::shared_ptr<Script> alive = here->second.script;
    compiled_.erase(here);
  }
}

// ---- Libraries

int Machine::LoadLibraryProtected(lua_State* lua) {
  Machine* self = Of(lua);
  const std::string_view code = self->loading_;
  if (luaL_loadbuffer(lua, code.data(), code.size(), kLibraryChunkName) != 0) {
    return lua_error(lua);
  }
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->library_globals_);
  lua_setfenv(lua, -2);
  self->compiled_library_ = true;
  lua_call(lua, 0, 0);
  return 0;
}

const char* Machine::Register(lua_State* lua, std::string_view name,
                              const std::string_view* description, uint32_t flags) {
  CHECK(loading());
  if (!IsFunctionName(name)) return kBadFunctionName;
  for (const Registered& other : *registered_) {
    // Calls don't mind the case of names, so that only one of the two could be called.
    if (EqualsIgnoreCase(other.function.name, name))
      return "Function already exists in the library";
  }
  const int reference = luaL_ref(lua, LUA_REGISTRYINDEX);
  Registered& added = registered_->emplace_back();
  added.reference = reference;
  added.function.name = name;
  if (description != nullptr) added.function.description = *description;
  added.function.flags = flags;
  return nullptr;
}

std::string Machine::RunLibrary(std::string_view body, ScriptHost* host,
                                std::vector<Registered>* registered) {
  CHECK(!busy());
  if (memory_bytes_ > memory_limit_ / 2) lua_gc(lua_, LUA_GCCOLLECT, 0);
  collect_above_ = std::max(memory_limit_ / 2, memory_bytes_ + memory_limit_ / 8);
  host_ = host;
  ended_by_host_ = false;
  loading_ = body;
  compiled_library_ = false;
  registered_ = registered;
  lua_rawgeti(lua_, LUA_REGISTRYINDEX, load_library_);
  const int status = lua_pcall(lua_, 0, 0, 0);
  registered_ = nullptr;
  loading_ = {};
  if (ended_by_host_) lua_sethook(lua_, Hook, LUA_MASKCOUNT, kHookInstructions);
  host_ = nullptr;
  if (status == 0) {
    if (!registered->empty()) return {};
    return "No functions registered";
  }
  std::string why = "not enough memory";
  if (status != LUA_ERRMEM) {
    const bool is_table = lua_istable(lua_, -1);
    if (is_table) {
      // PushError's: to get the field allocates nothing, its name being in use.
      lua_pushliteral(lua_, "err");
      lua_rawget(lua_, -2);
    }
    why = lua_isstring(lua_, -1) ? lua_tostring(lua_, -1) : "unknown error";
    if (!is_table && compiled_library_) why = "ERR " + why;
  }
  lua_settop(lua_, 0);
  return (compiled_library_ ? "Error registering functions: " : "Error compiling function: ") + why;
}

void Machine::Release(std::vector<Registered>* registered) {
  for (const Registered& one : *registered) luaL_unref(lua_, LUA_REGISTRYINDEX, one.reference);
  registered->clear();
}

std::string Machine::LoadLibrary(const std::shared_ptr<const Library>& library, ScriptHost* host) {
  if (HasLibrary(*library)) return {};
  std::vector<Registered> registered;
  std::string wrong = RunLibrary(library->body(), host, &registered);
  CompiledLibrary compiled;
  compiled.library = library;
  for (const Function& function : library->functions) {
    if (!wrong.empty()) break;
    const auto it = std::find_if(registered.begin(), registered.end(), [&](const Registered& one) {
      return one.function.name == function.name;
    });
    // Code that depends on something that isn't the same everywhere.
    if (it == registered.end()) {
      wrong = "Function " + function.name + " was not registered";
    } else {
      compiled.functions.push_back(it->reference);
      it->reference = LUA_NOREF;
    }
  }
  if (!wrong.empty()) {
    for (const int reference : compiled.functions) {
      luaL_unref(lua_, LUA_REGISTRYINDEX, reference);
    }
  } else {
    libraries_.emplace(library.get(), std::move(compiled));
  }
  Release(&registered);
  return wrong;
}

std::string Machine::CheckLibrary(std::string_view body, ScriptHost* host,
                                  std::vector<Function>* functions) {
  std::vector<Registered> registered;
  std::string wrong = RunLibrary(body, host, &registered);
  functions->clear();
  for (const Registered& one : registered) functions->push_back(one.function);
  Release(&registered);
  return wrong;
}

void Machine::SweepLibraries(const std::function<bool(const Library&)>& keep) {
  for (auto it = libraries_.begin(); it != libraries_.end();) {
    const auto here = it++;
    if (keep(*here->first)) continue;
    for (const int reference : here->second.functions) {
      luaL_unref(lua_, LUA_REGISTRYINDEX, reference);
    }
    libraries_.erase(here);
  }
}

// ---- Running

void Machine::PushArgument(engine::Args values) {
  lua_createtable(lua_, static_cast<int>(values.size()), 0);
  for (size_t i = 0; i < values.size(); ++i) {
    lua_pushlstring(lua_, values[i].data(), values[i].size());
    lua_rawseti(lua_, -2, static_cast<int>(i + 1));
  }
}

int Machine::RunProtected(lua_State* lua) {
  Machine* self = Of(lua);
  // To functions they are parameters, and the last script's are none of their business.
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->globals_);
  if (self->is_function_) {
    lua_pushnil(lua);
    lua_pushnil(lua);
  } else {
    self->PushArgument(self->invocation_->args);
    self->PushArgument(self->invocation_->keys);
  }
  lua_setfield(lua, -3, "KEYS");
  lua_setfield(lua, -2, "ARGV");
  lua_settop(lua, 0);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->error_handler_);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->function_);
  if (self->is_function_) {
    self->PushArgument(self->invocation_->keys);
    self->PushArgument(self->invocation_->args);
  }
  const int status = lua_pcall(lua, self->is_function_ ? 2 : 0, 1, 1);
  self->error_counted_ = self->IsCountedError();
  if (status != 0) {
    self->WriteError(self->reply_);
    return 0;
  }
  const size_t begin = self->reply_->size();
  resp::Writer writer(self->reply_, self->invocation_->protocol);
  if (!WriteValue(lua, writer, self->script_protocol_, self->invocation_->max_reply_bytes)) {
    self->reply_->resize(begin);
    writer.Error("ERR the reply of the script is too large");
  }
  return 0;
}

bool Machine::IsCountedError() const {
  if (!lua_istable(lua_, -1)) return false;
  lua_pushstring(lua_, kCountedError);
  lua_rawget(lua_, -2);
  const bool counted = lua_toboolean(lua_, -1) != 0;
  lua_pop(lua_, 1);
  return counted;
}

// What ended the script is at the top of the stack: HandleError's table, or, when memory ran out in
// it or before, a text.
void Machine::WriteError(std::string* reply) {
  std::string& text = call_reply_;
  text.clear();
  if (lua_istable(lua_, -1)) {
    lua_getfield(lua_, -1, "err");
    const char* message = lua_isstring(lua_, -1) ? lua_tostring(lua_, -1) : "ERR unknown error";
    text = message;
    lua_getfield(lua_, -2, "source");
    lua_getfield(lua_, -3, "line");
    if (lua_isstring(lua_, -2) && lua_isnumber(lua_, -1)) {
      text += " script: " + name_ + ", on " + lua_tostring(lua_, -2) + ":" +
              std::to_string(lua_tointeger(lua_, -1)) + ".";
    }
  } else {
    const char* message = lua_isstring(lua_, -1) ? lua_tostring(lua_, -1) : "execution failure";
    text = "ERR Error running script " + name_ + ", " + message;
  }
  resp::Writer(reply, invocation_->protocol).Error(text);
}

void Machine::Run(const Script& script, const Invocation& invocation, ScriptHost* host,
                  std::string* reply) {
  const auto it = compiled_.find(script.sha);
  CHECK(it != compiled_.end());
  Execute(script.sha, it->second.function, /*is_function=*/false, invocation, host, reply);
}

void Machine::Call(const Library& library, size_t function, const Invocation& invocation,
                   ScriptHost* host, std::string* reply) {
  const auto it = libraries_.find(&library);
  CHECK(it != libraries_.end() && function < it->second.functions.size());
  Execute(library.functions[function].name, it->second.functions[function], /*is_function=*/true,
          invocation, host, reply);
}

void Machine::Execute(std::string_view name, int function, bool is_function,
                      const Invocation& invocation, ScriptHost* host, std::string* reply) {
  CHECK(!busy());
  host_ = host;
  name_ = name;
  function_ = function;
  is_function_ = is_function;
  error_counted_ = false;
  invocation_ = &invocation;
  reply_ = reply;
  script_protocol_ = 2;
  ended_by_host_ = false;
  if (memory_bytes_ > memory_limit_ / 2) lua_gc(lua_, LUA_GCCOLLECT, 0);
  collect_above_ = std::max(memory_limit_ / 2, memory_bytes_ + memory_limit_ / 8);
  const size_t begin = reply->size();
  lua_rawgeti(lua_, LUA_REGISTRYINDEX, run_);
  if (lua_pcall(lua_, 0, 0, 0) != 0) {
    reply->resize(begin);
    resp::Writer(reply, invocation.protocol)
        .Error("ERR Error running script " + name_ + ", not enough memory");
  }
  lua_settop(lua_, 0);
  if (ended_by_host_) lua_sethook(lua_, Hook, LUA_MASKCOUNT, kHookInstructions);
  host_ = nullptr;
  if (++runs_ % kCollectEvery == 0) lua_gc(lua_, LUA_GCSTEP, 1);
  if (call_reply_.capacity() > (size_t{1} << 20)) call_reply_ = std::string();
}

}  // namespace holdfast::script
