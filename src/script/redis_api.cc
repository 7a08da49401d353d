// redis.*: what scripts call.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/sha1.h"
#include "script/error_value.h"
#include "script/machine.h"
#include "script/resp_values.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

constexpr int kReplNone = 0;
constexpr int kReplAof = 1;
constexpr int kReplReplica = 2;
// The Redis whose scripting this is.
constexpr const char* kRedisVersion = "7.0.15";
constexpr int kRedisVersionNumber = 0x0007000f;
// As many arguments as one command may have.
constexpr int kMaxCallArgs = 1024 * 1024;

std::string_view TextAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(lua, index, &size);
  return {text, size};
}

// Takes the arguments of redis.call into machine->call_args(). What is wrong; empty: nothing.
// Raises no error: nothing here allocates in Lua.
std::string_view TakeArgs(lua_State* lua, Machine* machine) {
  const int count = lua_gettop(lua);
  if (count == 0) return "Please specify at least one argument for this redis lib call";
  if (count > kMaxCallArgs) return "too many arguments for a command";
  std::vector<std::string_view>& args = machine->call_args();
  std::vector<std::string>& numbers = machine->number_texts();
  args.clear();
  size_t used = 0;
  // First the texts, since the vector of them moves when it grows.
  for (int i = 1; i <= count; ++i) {
    if (lua_type(lua, i) != LUA_TNUMBER) continue;
    char text[32];
    const int size = std::snprintf(text, sizeof(text), "%.17g", lua_tonumber(lua, i));
    if (used == numbers.size()) numbers.emplace_back();
    numbers[used++].assign(text, static_cast<size_t>(size));
  }
  used = 0;
  for (int i = 1; i <= count; ++i) {
    switch (lua_type(lua, i)) {
      case LUA_TSTRING:
        args.push_back(TextAt(lua, i));
        break;
      case LUA_TNUMBER:
        args.push_back(numbers[used++]);
        break;
      default:
        return "Lua redis lib command arguments must be strings or integers";
    }
  }
  return {};
}

// Pushes the reply, or an error as a table; true for an error.
bool CallCommand(lua_State* lua) {
  Machine* machine = Machine::Of(lua);
  std::string_view refusal = TakeArgs(lua, machine);
  std::string& reply = machine->call_reply();
  reply.clear();
  const bool asked = refusal.empty();
  if (asked) {
    refusal = machine->host()->Call(machine->call_args(), machine->script_protocol(), &reply);
  }
  // The arguments may have taken all the stack that a function may have.
  lua_settop(lua, 0);
  std::string_view rest = reply;
  if (!refusal.empty()) {
    PushError(lua, refusal);
  } else {
    PushReply(lua, &rest);
    if (!reply.starts_with('-')) return false;
  }
  if (!asked) return true;
  lua_pushboolean(lua, 1);
  lua_setfield(lua, -2, kCountedError);
  return true;
}

int Call(lua_State* lua) { return CallCommand(lua) ? lua_error(lua) : 1; }

int Pcall(lua_State* lua) {
  CallCommand(lua);
  return 1;
}

bool IsOneString(lua_State* lua) { return lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING; }

int ErrorReply(lua_State* lua) {
  if (!IsOneString(lua)) {
    PushError(lua, "wrong number or type of arguments");
    return 1;
  }
  std::string_view text = TextAt(lua, 1);
  if (text.starts_with('-')) text.remove_prefix(1);
  // As PushError does it with a dash in front, but without building that text.
  const bool has_code = text.find(' ') != std::string_view::npos;
  lua_createtable(lua, 0, 1);
  if (!has_code) lua_pushliteral(lua, "ERR ");
  lua_pushlstring(lua, text.data(), text.size());
  if (!has_code) lua_concat(lua, 2);
  lua_setfield(lua, -2, "err");
  return 1;
}

int StatusReply(lua_State* lua) {
  if (!IsOneString(lua)) {
    PushError(lua, "wrong number or type of arguments");
    return 1;
  }
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, 1);
  lua_setfield(lua, -2, "ok");
  return 1;
}

int Sha1(lua_State* lua) {
  if (lua_gettop(lua) != 1) return RaiseError(lua, "wrong number of arguments");
  std::array<char, kSha1HexDigits> digits;
  {
    const std::string hex = Sha1Hex(TextAt(lua, 1));
    std::copy(hex.begin(), hex.end(), digits.begin());
  }
  lua_pushlstring(lua, digits.data(), digits.size());
  return 1;
}

int LogLine(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count < 2) return RaiseError(lua, "redis.log() requires two arguments or more.");
  if (lua_type(lua, 1) != LUA_TNUMBER) {
    return RaiseError(lua, "First argument must be a number (log level).");
  }
  const int64_t level = ToInteger(lua_tonumber(lua, 1));
  if (level < 0 || level > 3) return RaiseError(lua, "Invalid debug level.");
  // Lua puts the words together: what is built here may be left by an error.
  lua_pushliteral(lua, "");
  for (int i = 2; i <= count; ++i) {
    if (lua_isstring(lua, i) == 0) continue;
    if (lua_objlen(lua, -1) > 0) {
      lua_pushliteral(lua, " ");
      lua_pushvalue(lua, i);
      lua_concat(lua, 3);
    } else {
      lua_pop(lua, 1);
      lua_pushvalue(lua, i);
    }
  }
  const std::string_view line = TextAt(lua, -1);
  switch (level) {
    case 0:
      LogDebug("script: {}", line);
      break;
    case 1:
      LogVerbose("script: {}", line);
      break;
    case 2:
      LogNotice("script: {}", line);
      break;
    default:
      LogWarning("script: {}", line);
  }
  return 0;
}

int SetResp(lua_State* lua) {
  if (lua_gettop(lua) != 1) return RaiseError(lua, "redis.setresp() requires one argument.");
  const int64_t protocol = ToInteger(lua_tonumber(lua, 1));
  if (protocol != 2 && protocol != 3) return RaiseError(lua, "RESP version must be 2 or 3.");
  Machine::Of(lua)->set_script_protocol(static_cast<int>(protocol));
  return 0;
}

// What a script changes is always replicated, as one entry: these only check what they are given.
int SetRepl(lua_State* lua) {
  if (lua_gettop(lua) != 1) return RaiseError(lua, "redis.set_repl() requires one argument.");
  const int64_t flags = ToInteger(lua_tonumber(lua, 1));
  if ((flags & ~int64_t{kReplAof | kReplReplica}) != 0) {
    return RaiseError(lua,
                      "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or "
                      "REPL_NONE.");
  }
  return 0;
}

int ReplicateCommands(lua_State* lua) {
  lua_pushboolean(lua, 1);
  return 1;
}

// There is no debugger.
int Breakpoint(lua_State* lua) {
  lua_pushboolean(lua, 0);
  return 1;
}

int Debug(lua_State*) { return 0; }

int AclCheckCommand(lua_State* lua) {
  Machine* machine = Machine::Of(lua);
  std::string_view wrong = TakeArgs(lua, machine);
  if (lua_gettop(lua) == 0) {
    wrong = "Please specify at least one argument for this redis.acl_check_cmd() call";
  }
  if (!wrong.empty()) return RaiseError(lua, wrong);
  if (!machine->host()->Knows(machine->call_args())) {
    return RaiseError(lua, "Invalid command passed to redis.acl_check_cmd()");
  }
  lua_pushboolean(lua, machine->host()->Permits(machine->call_args()) ? 1 : 0);
  return 1;
}

constexpr luaL_Reg kRedisFunctions[] = {
    {"call", Call},
    {"pcall", Pcall},
    {"error_reply", ErrorReply},
    {"status_reply", StatusReply},
    {"sha1hex", Sha1},
    {"log", LogLine},
    {"setresp", SetResp},
    {"set_repl", SetRepl},
    {"replicate_commands", ReplicateCommands},
    {"breakpoint", Breakpoint},
    {"debug", Debug},
    {"acl_check_cmd", AclCheckCommand},
};

struct NamedNumber {
  const char* name;
  int value;
};

constexpr NamedNumber kLogNumbers[] = {
    {"LOG_DEBUG", 0}, {"LOG_VERBOSE", 1}, {"LOG_NOTICE", 2}, {"LOG_WARNING", 3}};
constexpr NamedNumber kReplNumbers[] = {{"REPL_NONE", kReplNone},
                                        {"REPL_AOF", kReplAof},
                                        {"REPL_SLAVE", kReplReplica},
                                        {"REPL_REPLICA", kReplReplica},
                                        {"REPL_ALL", kReplAof | kReplReplica}};

void SetFunction(lua_State* lua, const char* name, lua_CFunction function) {
  lua_pushcfunction(lua, function);
  lua_setfield(lua, -2, name);
}

// Into the table at the top.
void SetVersion(lua_State* lua) {
  lua_pushstring(lua, kRedisVersion);
  lua_setfield(lua, -2, "REDIS_VERSION");
  lua_pushinteger(lua, kRedisVersionNumber);
  lua_setfield(lua, -2, "REDIS_VERSION_NUM");
}

template <size_t N>
void SetNumbers(lua_State* lua, const NamedNumber (&numbers)[N]) {
  for (const NamedNumber& number : numbers) {
    lua_pushinteger(lua, number.value);
    lua_setfield(lua, -2, number.name);
  }
}

}  // namespace

void PushRedisApi(lua_State* lua) {
  lua_createtable(lua, 0, 24);
  for (const luaL_Reg& function : kRedisFunctions) SetFunction(lua, function.name, function.func);
  SetNumbers(lua, kLogNumbers);
  SetNumbers(lua, kReplNumbers);
  SetVersion(lua);
}

void PushLibraryApi(lua_State* lua) {
  lua_createtable(lua, 0, 8);
  SetFunction(lua, "register_function", RegisterFunction);
  SetFunction(lua, "log", LogLine);
  SetNumbers(lua, kLogNumbers);
  SetVersion(lua);
}

}  // namespace holdfast::script
