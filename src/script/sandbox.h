// What scripts find: Lua's own functions as far as they are harmless, redis.*, cjson, cmsgpack,
// struct and bit, all of them read-only.
#pragma once

#include "script/lua.h"

namespace holdfast::script {

// Fills a new state. `globals`: where the registry keeps the real table of globals, into which
// KEYS and ARGV go.
void OpenSandbox(lua_State* lua, int* globals);

// Each pushes a new table with the functions of a library.
void PushRedisApi(lua_State* lua);  // redis_api.cc
void PushCmsgpack(lua_State* lua);  // cmsgpack.cc
void PushStruct(lua_State* lua);    // struct_pack.cc
// Into the table at the top: string.find and what else takes patterns.
void SetPatternFunctions(lua_State* lua);  // patterns.cc

}  // namespace holdfast::script
