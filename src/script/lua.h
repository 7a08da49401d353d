// The one place that includes Lua, and the rules for C++ that Lua calls.
//
// Lua is built as C: its errors are longjmps. Whatever a lua_CFunction does that may raise an error
// (nearly everything may, when memory is short) has to happen while no C++ object with a destructor
// lives in its frame. Such objects belong to the Machine instead.
#pragma once

#include <lua5.1/lua.hpp>
