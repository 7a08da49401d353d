// What scripts find: Lua's own functions as far as they are harmless, redis.*, cjson, cmsgpack,
// struct and bit, all of them read-only.
#pragma once

#include "script/lua.h"

namespace holdfast::script {

// Fills a new state. `globals`: where the registry keeps the real table of globals, into which
// KEYS and ARGV go. `library_globals`: where it keeps what the code of libraries has as its
// globals: redis.register_function and little more while it is loaded, and what scripts have when
// a function is called.
void OpenSandbox(lua_State* lua, int* globals, int* library_globals);

// Each pushes a new table with the functions of a library.
void PushRedisApi(lua_State* lua);  // redis_api.cc
// The `redis` of a library that is being loaded.
void PushLibraryApi(lua_State* lua);   // redis_api.cc
int RegisterFunction(lua_State* lua);  // register_function.cc
void PushCmsgpack(lua_State* lua);     // cmsgpack.cc
void PushStruct(lua_State* lua);       // struct_pack.cc
// Has cjson, the table at the top, keep to the limit of memory.
void GuardJson(lua_State* lua);  // json.cc
// Into the table at the top: string.find and what else takes patterns.
void SetPatternFunctions(lua_State* lua);  // patterns.cc

}  // namespace holdfast::script
