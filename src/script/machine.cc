#include "script/machine.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"
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
// What building the sandbox takes is not the script's.
constexpr uint64_t kLeastMemory = uint64_t{1} << 20;

}  // namespace

Machine::Machine(uint64_t memory_limit) : memory_limit_(UINT64_MAX) {
  lua_ = lua_newstate(Allocate, this);
  CHECK_MSG(lua_ != nullptr, "no memory for a Lua state");
  OpenSandbox(lua_, &globals_);
  // Functions that start something are made now: to push a new one could fail, outside of a
  // protected call.
  const auto keep = [this](lua_CFunction function) {
    lua_pushcfunction(lua_, function);
    return luaL_ref(lua_, LUA_REGISTRYINDEX);
  };
  error_handler_ = keep(HandleError);
  run_ = keep(RunProtected);
  load_ = keep(LoadProtected);
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

// ---- Running

void Machine::SetArgument(const char* name, engine::Args values) {
  lua_createtable(lua_, static_cast<int>(values.size()), 0);
  for (size_t i = 0; i < values.size(); ++i) {
    lua_pushlstring(lua_, values[i].data(), values[i].size());
    lua_rawseti(lua_, -2, static_cast<int>(i + 1));
  }
  lua_setfield(lua_, -2, name);
}

int Machine::RunProtected(lua_State* lua) {
  Machine* self = Of(lua);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->globals_);
  self->SetArgument("KEYS", self->invocation_->keys);
  self->SetArgument("ARGV", self->invocation_->args);
  lua_settop(lua, 0);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->error_handler_);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, self->function_);
  const int status = lua_pcall(lua, 0, 1, 1);
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
      text += " script: " + script_->sha + ", on " + lua_tostring(lua_, -2) + ":" +
              std::to_string(lua_tointeger(lua_, -1)) + ".";
    }
  } else {
    const char* message = lua_isstring(lua_, -1) ? lua_tostring(lua_, -1) : "execution failure";
    text = "ERR Error running script " + script_->sha + ", " + message;
  }
  resp::Writer(reply, invocation_->protocol).Error(text);
}

void Machine::Run(const Script& script, const Invocation& invocation, ScriptHost* host,
                  std::string* reply) {
  CHECK(!busy());
  const auto it = compiled_.find(script.sha);
  CHECK(it != compiled_.end());
  host_ = host;
  script_ = &script;
  function_ = it->second.function;
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
        .Error("ERR Error running script " + script.sha + ", not enough memory");
  }
  lua_settop(lua_, 0);
  if (ended_by_host_) lua_sethook(lua_, Hook, LUA_MASKCOUNT, kHookInstructions);
  host_ = nullptr;
  if (++runs_ % kCollectEvery == 0) lua_gc(lua_, LUA_GCSTEP, 1);
  if (call_reply_.capacity() > (size_t{1} << 20)) call_reply_ = std::string();
}

}  // namespace holdfast::script
