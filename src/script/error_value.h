// Errors as scripts see them: tables with a field `err`. Both may raise errors of memory.
#pragma once

#include <string_view>

#include "script/lua.h"

namespace holdfast::script {

// The field of an error that is in the statistics already, as Redis calls it.
inline constexpr const char* kCountedError = "ignore_error_stats_update";

// Pushes {err = …}. "-CODE text" as in a reply becomes "CODE text", "-text" without a blank and
// any text without the dash get the code ERR.
void PushError(lua_State* lua, std::string_view text);

// The same, raised. Doesn't return.
int RaiseError(lua_State* lua, std::string_view text);

// The message handler of a script: makes whatever was raised a table with `err`, and adds `source`
// and `line` of the Lua code that raised it.
int HandleError(lua_State* lua);

}  // namespace holdfast::script
