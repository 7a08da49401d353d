// redis.register_function: what the code of a library calls for each of its functions.
#include <cstdint>
#include <string_view>

#include "base/numbers.h"
#include "script/error_value.h"
#include "script/machine.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

// Where the arguments are kept on the stack, whatever their form.
enum Place : int { kName = 2, kCallback = 3, kDescription = 4, kTop = 4 };

// The text of the value at `index`, which becomes a string if it is a number.
std::string_view ArgumentText(lua_State* lua, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(lua, index, &size);
  return {text, size};
}

// The flags in the table at the top.
bool ReadFlags(lua_State* lua, uint32_t* flags) {
  *flags = 0;
  for (int i = 1;; ++i) {
    lua_pushinteger(lua, i);
    lua_gettable(lua, -2);
    if (lua_isnil(lua, -1)) {
      lua_pop(lua, 1);
      return true;
    }
    const uint32_t flag = lua_isstring(lua, -1) != 0 ? FlagByName(ArgumentText(lua, -1)) : 0;
    lua_pop(lua, 1);
    if (flag == 0) return false;
    *flags |= flag;
  }
}

// Takes one named argument, whose key and value are at the top, to its place. What is wrong with
// it; nullptr when nothing is.
const char* TakeNamed(lua_State* lua, uint32_t* flags) {
  const std::string_view key = ArgumentText(lua, -2);
  if (EqualsIgnoreCase(key, "function_name")) {
    if (lua_isstring(lua, -1) == 0) {
      return "function_name argument given to redis.register_function must be a string";
    }
    lua_pushvalue(lua, -1);
    lua_replace(lua, kName);
  } else if (EqualsIgnoreCase(key, "description")) {
    if (lua_isstring(lua, -1) == 0) {
      return "description argument given to redis.register_function must be a string";
    }
    lua_pushvalue(lua, -1);
    lua_replace(lua, kDescription);
  } else if (EqualsIgnoreCase(key, "callback")) {
    if (!lua_isfunction(lua, -1)) {
      return "callback argument given to redis.register_function must be a function";
    }
    lua_pushvalue(lua, -1);
    lua_replace(lua, kCallback);
  } else if (EqualsIgnoreCase(key, "flags")) {
    if (!lua_istable(lua, -1)) {
      return "flags argument to redis.register_function must be a table representing function "
             "flags";
    }
    if (!ReadFlags(lua, flags)) return "unknown flag given";
  } else {
    return "unknown argument given to redis.register_function";
  }
  return nullptr;
}

const char* TakeNamedArguments(lua_State* lua, uint32_t* flags) {
  if (!lua_istable(lua, 1)) {
    return "calling redis.register_function with a single argument is only applicable to Lua table "
           "(representing named arguments).";
  }
  lua_settop(lua, kTop);
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    // A number as the key would have to become a string, which disturbs lua_next.
    if (lua_type(lua, -2) == LUA_TNUMBER) {
      return "unknown argument given to redis.register_function";
    }
    if (lua_type(lua, -2) != LUA_TSTRING) {
      return "named argument key given to redis.register_function is not a string";
    }
    if (const char* wrong = TakeNamed(lua, flags)) return wrong;
    lua_pop(lua, 1);
  }
  if (lua_isnil(lua, kName)) return "redis.register_function must get a function name argument";
  if (lua_isnil(lua, kCallback)) return "redis.register_function must get a callback argument";
  return nullptr;
}

const char* TakePositionalArguments(lua_State* lua) {
  if (lua_isstring(lua, 1) == 0) {
    return "first argument to redis.register_function must be a string";
  }
  if (!lua_isfunction(lua, 2)) {
    return "second argument to redis.register_function must be a function";
  }
  lua_settop(lua, kTop);
  lua_pushvalue(lua, 2);
  lua_replace(lua, kCallback);
  lua_pushvalue(lua, 1);
  lua_replace(lua, kName);
  return nullptr;
}

}  // namespace

int RegisterFunction(lua_State* lua) {
  Machine* machine = Machine::Of(lua);
  if (!machine->loading()) {
    return RaiseError(lua, "redis.register_function can only be called on FUNCTION LOAD command");
  }
  const int count = lua_gettop(lua);
  if (count != 1 && count != 2) {
    return RaiseError(lua, "wrong number of arguments to redis.register_function");
  }
  uint32_t flags = 0;
  const char* wrong = count == 1 ? TakeNamedArguments(lua, &flags) : TakePositionalArguments(lua);
  if (wrong == nullptr) {
    const std::string_view name = ArgumentText(lua, kName);
    const bool described = !lua_isnil(lua, kDescription);
    const std::string_view description =
        described ? ArgumentText(lua, kDescription) : std::string_view();
    lua_pushvalue(lua, kCallback);
    wrong = machine->Register(lua, name, described ? &description : nullptr, flags);
  }
  return wrong == nullptr ? 0 : RaiseError(lua, wrong);
}

}  // namespace holdfast::script
