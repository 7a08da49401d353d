#include "script/error_value.h"

namespace holdfast::script {

void PushError(lua_State* lua, std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  bool has_code = false;
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    has_code = text.find(' ') != std::string_view::npos;
  }
  luaL_checkstack(lua, 4, "error");
  lua_createtable(lua, 0, 3);
  if (!has_code) lua_pushliteral(lua, "ERR ");
  lua_pushlstring(lua, text.data(), text.size());
  if (!has_code) lua_concat(lua, 2);
  lua_setfield(lua, -2, "err");
}

int RaiseError(lua_State* lua, std::string_view text) {
  PushError(lua, text);
  return lua_error(lua);
}

int HandleError(lua_State* lua) {
  lua_settop(lua, 1);
  lua_Debug where;
  bool found = lua_getstack(lua, 1, &where) != 0;
  if (found) lua_getinfo(lua, "Sl", &where);
  // What a function of the library raises, or one that it calls, is blamed on its caller.
  for (int level = 2; found && *where.what == 'C' && level <= 3; ++level) {
    found = lua_getstack(lua, level, &where) != 0;
    if (found) lua_getinfo(lua, "Sl", &where);
  }
  if (!lua_istable(lua, 1)) {
    lua_createtable(lua, 0, 3);
    lua_pushliteral(lua, "ERR ");
    switch (lua_type(lua, 1)) {
      case LUA_TSTRING:
      case LUA_TNUMBER:
        lua_pushvalue(lua, 1);
        break;
      case LUA_TBOOLEAN:
        lua_pushstring(lua, lua_toboolean(lua, 1) != 0 ? "true" : "false");
        break;
      default:
        lua_pushstring(lua, luaL_typename(lua, 1));
    }
    lua_concat(lua, 2);
    lua_setfield(lua, -2, "err");
    lua_replace(lua, 1);
  }
  if (found && where.currentline > 0) {
    lua_pushstring(lua, where.source);
    lua_setfield(lua, 1, "source");
    lua_pushinteger(lua, where.currentline);
    lua_setfield(lua, 1, "line");
  }
  return 1;
}

}  // namespace holdfast::script
