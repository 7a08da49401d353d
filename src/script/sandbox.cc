// Stock Lua has no read-only tables. So scripts get an empty table in place of each table that must
// stay as it is: reads go on to the real one by __index, writes end in __newindex, and the
// functions of the library that would go past that (rawset, setmetatable, table.insert, next …)
// look for the mark in its metatable first.
#include "script/sandbox.h"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "script/error_value.h"
#include "script/machine.h"

extern "C" {
int luaopen_cjson(lua_State* lua);
int luaopen_bit(lua_State* lua);
}

namespace holdfast::script {
namespace {

constexpr const char* kReadonly = "Attempt to modify a readonly table";

// Its address marks the metatables of read-only tables, where it leads to the real table.
char readonly_mark;

// Pushes the real table behind the read-only one at `index`; false, and nothing pushed, when that
// is an ordinary value.
bool PushReal(lua_State* lua, int index) {
  if (lua_getmetatable(lua, index) == 0) return false;
  lua_pushlightuserdata(lua, &readonly_mark);
  lua_rawget(lua, -2);
  lua_remove(lua, -2);
  if (lua_istable(lua, -1)) return true;
  lua_pop(lua, 1);
  return false;
}

// Without a position, unlike where the assignment stands in the script: as Redis words it.
int RefuseFunction(lua_State* lua) {
  lua_pushstring(lua, kReadonly);
  return lua_error(lua);
}

int RefuseAssignment(lua_State* lua) { return luaL_error(lua, kReadonly); }

// Puts a read-only table before the table at the top. The value at `metatable_index` is what
// getmetatable shows; 0: itself.
void MakeReadonly(lua_State* lua, int metatable_index) {
  lua_createtable(lua, 0, 0);
  lua_createtable(lua, 0, 4);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, RefuseAssignment);
  lua_setfield(lua, -2, "__newindex");
  lua_pushvalue(lua, metatable_index == 0 ? -2 : metatable_index);
  lua_setfield(lua, -2, "__metatable");
  lua_pushlightuserdata(lua, &readonly_mark);
  lua_pushvalue(lua, -4);
  lua_rawset(lua, -3);
  lua_setmetatable(lua, -2);
  lua_remove(lua, -2);
}

// ---- Functions that take the place of Lua's

// The original is the first upvalue; the first argument must not be read-only.
int GuardFirst(lua_State* lua) {
  if (PushReal(lua, 1)) return RefuseFunction(lua);
  return lua_tocfunction(lua, lua_upvalueindex(1))(lua);
}

// Lua moves everything from a position on, however far before the first element that is.
int GuardInsert(lua_State* lua) {
  if (lua_gettop(lua) == 3) {
    luaL_argcheck(lua, luaL_checknumber(lua, 2) >= 0, 2, "position out of bounds");
  }
  return GuardFirst(lua);
}

// How table.sort compares: as Lua does, but such that it can be interrupted.
int LessThan(lua_State* lua) {
  Machine* machine = Machine::Of(lua);
  constexpr size_t kPointAfter = 1000;
  constexpr size_t kBytesAsOne = 64;
  machine->compared += 1;
  if (lua_type(lua, 1) == LUA_TSTRING && lua_type(lua, 2) == LUA_TSTRING) {
    machine->compared += std::min(lua_objlen(lua, 1), lua_objlen(lua, 2)) / kBytesAsOne;
  }
  if (machine->compared >= kPointAfter) {
    machine->compared = 0;
    machine->Point(lua);
  }
  lua_pushboolean(lua, lua_lessthan(lua, 1, 2));
  return 1;
}

int GuardSort(lua_State* lua) {
  if (lua_isnoneornil(lua, 2)) {
    lua_settop(lua, 1);
    lua_pushcfunction(lua, LessThan);
  }
  return GuardFirst(lua);
}

// The original sees the real table.
int ReadFirst(lua_State* lua) {
  if (PushReal(lua, 1)) lua_replace(lua, 1);
  return lua_tocfunction(lua, lua_upvalueindex(1))(lua);
}

// pairs hands out the first upvalue, the guarded next, and the table as it was given.
int Pairs(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  lua_pushnil(lua);
  return 3;
}

// Lua's own, which is the upvalue, but an error that is a table with a text `err`, as those of
// redis.call are, is given as that text, as it was before Redis 7.
int PcallWithText(lua_State* lua) {
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
  if (lua_toboolean(lua, 1) == 0 && lua_istable(lua, 2)) {
    lua_getfield(lua, 2, "err");
    lua_isstring(lua, -1) != 0 ? lua_replace(lua, 2) : lua_pop(lua, 1);
  }
  return lua_gettop(lua);
}

// Lua's own calls the handler before the stack is unwound, where no hook runs: a handler that loops
// could never be ended.
int SafeXpcall(lua_State* lua) {
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  lua_insert(lua, 1);
  if (lua_pcall(lua, 0, LUA_MULTRET, 0) == 0) {
    lua_pushboolean(lua, 1);
    lua_replace(lua, 1);
    return lua_gettop(lua);
  }
  lua_call(lua, 1, 1);
  lua_pushboolean(lua, 0);
  lua_insert(lua, 1);
  return 2;
}

bool IsBytecode(std::string_view code) { return !code.empty() && code[0] == LUA_SIGNATURE[0]; }

int RefuseBytecode(lua_State* lua) {
  lua_pushnil(lua);
  lua_pushliteral(lua, "attempt to load bytecode");
  return 2;
}

int Loadstring(lua_State* lua) {
  size_t size;
  const char* code = luaL_checklstring(lua, 1, &size);
  if (IsBytecode({code, size})) return RefuseBytecode(lua);
  const char* name = luaL_optstring(lua, 2, code);
  if (luaL_loadbuffer(lua, code, size, name) == 0) return 1;
  lua_pushnil(lua);
  lua_insert(lua, -2);
  return 2;
}

// load(function): the pieces are put together first.
int Load(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  const char* name = luaL_optstring(lua, 2, "=(load)");
  lua_settop(lua, 2);
  lua_pushliteral(lua, "");
  for (;;) {
    lua_pushvalue(lua, 1);
    lua_call(lua, 0, 1);
    if (lua_isnil(lua, -1)) break;
    if (lua_type(lua, -1) != LUA_TSTRING) {
      return luaL_error(lua, "reader function must return a string");
    }
    if (lua_objlen(lua, -1) == 0) break;
    lua_concat(lua, 2);
  }
  lua_pop(lua, 1);
  size_t size;
  const char* code = lua_tolstring(lua, -1, &size);
  if (IsBytecode({code, size})) return RefuseBytecode(lua);
  if (luaL_loadbuffer(lua, code, size, name) == 0) return 1;
  lua_pushnil(lua);
  lua_insert(lua, -2);
  return 2;
}

// Scripts may look at the collector and run it, but not stop it.
int CollectGarbage(lua_State* lua) {
  const std::string_view what = luaL_optstring(lua, 1, "collect");
  if (what == "count") {
    lua_pushnumber(lua, lua_gc(lua, LUA_GCCOUNT, 0) + lua_gc(lua, LUA_GCCOUNTB, 0) / 1024.0);
    return 1;
  }
  if (what == "collect") lua_gc(lua, LUA_GCCOLLECT, 0);
  lua_pushnumber(lua, 0);
  return 1;
}

int Gcinfo(lua_State* lua) {
  lua_pushinteger(lua, lua_gc(lua, LUA_GCCOUNT, 0));
  return 1;
}

int Clock(lua_State* lua) {
  lua_pushnumber(lua, static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
  return 1;
}

// The library's loop can't be interrupted, and an empty string repeated often takes long.
int Repeat(lua_State* lua) {
  size_t size;
  const char* text = luaL_checklstring(lua, 1, &size);
  lua_Integer times = luaL_checkinteger(lua, 2);
  if (size == 0 || times <= 0) {
    lua_pushliteral(lua, "");
    return 1;
  }
  if (static_cast<uint64_t>(times) > (uint64_t{1} << 31) / size) {
    return luaL_error(lua, "resulting string too large");
  }
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  while (times-- > 0) luaL_addlstring(&buffer, text, size);
  luaL_pushresult(&buffer);
  return 1;
}

// ---- math.random, as Redis has it: lrand48 of POSIX. Its seed is random, and math.randomseed
// gives the same numbers again.

constexpr uint64_t kMask48 = (uint64_t{1} << 48) - 1;

int64_t NextRandom(Machine* machine) {
  machine->random_state = (machine->random_state * 0x5DEECE66DULL + 0xB) & kMask48;
  return static_cast<int64_t>(machine->random_state >> 17);
}

int Random(lua_State* lua) {
  const double fraction = static_cast<double>(NextRandom(Machine::Of(lua)) % INT32_MAX) / INT32_MAX;
  switch (lua_gettop(lua)) {
    case 0:
      lua_pushnumber(lua, fraction);
      return 1;
    case 1: {
      const int upper = luaL_checkint(lua, 1);
      luaL_argcheck(lua, 1 <= upper, 1, "interval is empty");
      lua_pushnumber(lua, static_cast<int64_t>(fraction * upper) + 1);
      return 1;
    }
    case 2: {
      const int64_t lower = luaL_checkint(lua, 1);
      const int64_t upper = luaL_checkint(lua, 2);
      luaL_argcheck(lua, lower <= upper, 2, "interval is empty");
      const auto width = static_cast<double>(upper - lower + 1);
      lua_pushnumber(lua, static_cast<double>(static_cast<int64_t>(fraction * width) + lower));
      return 1;
    }
    default:
      return luaL_error(lua, "wrong number of arguments");
  }
}

int RandomSeed(lua_State* lua) {
  const auto seed = static_cast<uint32_t>(luaL_checkint(lua, 1));
  Machine::Of(lua)->random_state = (uint64_t{seed} << 16) | 0x330E;
  return 0;
}

// ---- Putting it together

int MissingGlobal(lua_State* lua) {
  if (lua_isstring(lua, 2) == 0) {
    return luaL_error(lua, "Second argument to luaProtectedTableError must be a string or number");
  }
  return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'",
                    lua_tostring(lua, 2));
}

// A global of a library's code: the upvalues are the real globals of scripts and those of code that
// is being loaded.
int LibraryGlobal(lua_State* lua) {
  const int found = lua_upvalueindex(Machine::Of(lua)->loading() ? 2 : 1);
  lua_settop(lua, 2);
  lua_pushvalue(lua, 2);
  lua_rawget(lua, found);
  if (!lua_isnil(lua, -1)) return 1;
  lua_settop(lua, 2);
  return MissingGlobal(lua);
}

void OpenLibrary(lua_State* lua, const char* name, lua_CFunction open) {
  lua_pushcfunction(lua, open);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 0);
}

// Globals of Lua that scripts have. Not: print, dofile, loadfile, require, module, getfenv, setfenv
// (a compiled script is kept, and so would its changed environment be) and newproxy (its
// finalizers run where no hook does).
constexpr const char* kGlobals[] = {
    "assert", "error", "getmetatable", "ipairs",   "rawequal", "select", "string", "table",
    "math",   "bit",   "coroutine",    "tonumber", "tostring", "type",   "unpack", "_VERSION",
};

constexpr const char* kReadonlyLibraries[] = {"string", "table",    "math",   "bit",   "coroutine",
                                              "cjson",  "cmsgpack", "struct", "redis", "os"};

// In the table at the top: `name` becomes `function` with the present value as its upvalue.
void Wrap(lua_State* lua, const char* name, lua_CFunction function) {
  lua_getfield(lua, -1, name);
  lua_pushcclosure(lua, function, 1);
  lua_setfield(lua, -2, name);
}

void Set(lua_State* lua, const char* name, lua_CFunction function) {
  lua_pushcfunction(lua, function);
  lua_setfield(lua, -2, name);
}

void ChangeLibraries(lua_State* lua) {
  lua_getglobal(lua, "string");
  Set(lua, "rep", Repeat);
  SetPatternFunctions(lua);
  lua_pop(lua, 1);
  lua_getglobal(lua, "math");
  Set(lua, "random", Random);
  Set(lua, "randomseed", RandomSeed);
  lua_pop(lua, 1);
  lua_getglobal(lua, "table");
  Wrap(lua, "insert", GuardInsert);
  Wrap(lua, "sort", GuardSort);
  for (const char* name : {"remove", "setn"}) Wrap(lua, name, GuardFirst);
  for (const char* name : {"foreach", "foreachi", "maxn", "getn"}) Wrap(lua, name, ReadFirst);
  lua_pop(lua, 1);
  // A table of one's own behind getmetatable(""), instead of the one that all strings share.
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_createtable(lua, 0, 0);
  MakeReadonly(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 2);
}

// The real table of globals, at the top.
void FillGlobals(lua_State* lua) {
  for (const char* name : kGlobals) {
    lua_getglobal(lua, name);
    lua_setfield(lua, -2, name);
  }
  for (const char* name : {"rawset", "setmetatable"}) {
    lua_getglobal(lua, name);
    lua_pushcclosure(lua, GuardFirst, 1);
    lua_setfield(lua, -2, name);
  }
  for (const char* name : {"rawget", "next"}) {
    lua_getglobal(lua, name);
    lua_pushcclosure(lua, ReadFirst, 1);
    lua_setfield(lua, -2, name);
  }
  lua_getfield(lua, -1, "next");
  lua_pushcclosure(lua, Pairs, 1);
  lua_setfield(lua, -2, "pairs");
  lua_getglobal(lua, "pcall");
  lua_pushcclosure(lua, PcallWithText, 1);
  lua_setfield(lua, -2, "pcall");
  Set(lua, "xpcall", SafeXpcall);
  Set(lua, "loadstring", Loadstring);
  Set(lua, "load", Load);
  Set(lua, "collectgarbage", CollectGarbage);
  Set(lua, "gcinfo", Gcinfo);
  lua_createtable(lua, 0, 1);
  Set(lua, "clock", Clock);
  lua_setfield(lua, -2, "os");
  PushRedisApi(lua);
  lua_setfield(lua, -2, "redis");
  PushCmsgpack(lua);
  lua_setfield(lua, -2, "cmsgpack");
  PushStruct(lua);
  lua_setfield(lua, -2, "struct");
  lua_pushcfunction(lua, luaopen_cjson);
  lua_call(lua, 0, 1);
  GuardJson(lua);
  lua_setfield(lua, -2, "cjson");
}

// In the table at the top: what it lacks is an error.
void RefuseMissing(lua_State* lua) {
  lua_createtable(lua, 0, 1);
  Set(lua, "__index", MissingGlobal);
  lua_setmetatable(lua, -2);
}

// Pushes what the code of libraries has as its globals; the value at `metatable_index` as in
// MakeReadonly. The real globals of scripts are at the top.
void PushLibraryGlobals(lua_State* lua, int metatable_index) {
  const int globals = lua_gettop(lua);
  lua_createtable(lua, 0, 1);
  PushLibraryApi(lua);
  RefuseMissing(lua);
  MakeReadonly(lua, metatable_index);
  lua_setfield(lua, -2, "redis");
  const int loading = lua_gettop(lua);
  lua_createtable(lua, 0, 0);
  lua_createtable(lua, 0, 4);
  lua_pushvalue(lua, globals);
  lua_pushvalue(lua, loading);
  lua_pushcclosure(lua, LibraryGlobal, 2);
  lua_setfield(lua, -2, "__index");
  Set(lua, "__newindex", RefuseAssignment);
  lua_pushvalue(lua, metatable_index);
  lua_setfield(lua, -2, "__metatable");
  lua_pushlightuserdata(lua, &readonly_mark);
  lua_pushvalue(lua, globals);
  lua_rawset(lua, -3);
  lua_setmetatable(lua, -2);
  lua_remove(lua, loading);
}

}  // namespace

void OpenSandbox(lua_State* lua, int* globals, int* library_globals) {
  OpenLibrary(lua, "", luaopen_base);
  OpenLibrary(lua, LUA_TABLIBNAME, luaopen_table);
  OpenLibrary(lua, LUA_STRLIBNAME, luaopen_string);
  OpenLibrary(lua, LUA_MATHLIBNAME, luaopen_math);
  OpenLibrary(lua, "bit", luaopen_bit);
  ChangeLibraries(lua);
  lua_settop(lua, 0);
  // What getmetatable shows of every read-only table.
  lua_createtable(lua, 0, 0);
  MakeReadonly(lua, 0);
  lua_createtable(lua, 0, 64);
  FillGlobals(lua);
  for (const char* name : kReadonlyLibraries) {
    lua_getfield(lua, -1, name);
    MakeReadonly(lua, 1);
    lua_setfield(lua, -2, name);
  }
  RefuseMissing(lua);
  lua_pushvalue(lua, -1);
  *globals = luaL_ref(lua, LUA_REGISTRYINDEX);
  PushLibraryGlobals(lua, 1);
  *library_globals = luaL_ref(lua, LUA_REGISTRYINDEX);
  lua_pushvalue(lua, -1);
  MakeReadonly(lua, 1);
  lua_pushvalue(lua, -1);
  lua_setfield(lua, 2, "_G");
  // Chunks that are compiled from now on, by loadstring too, have this one as their globals.
  lua_replace(lua, LUA_GLOBALSINDEX);
  lua_settop(lua, 0);
  // No way back to Lua's own table of loaded libraries.
  lua_pushnil(lua);
  lua_setfield(lua, LUA_REGISTRYINDEX, "_LOADED");
}

}  // namespace holdfast::script
