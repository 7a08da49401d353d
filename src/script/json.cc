// cjson writes into buffers of its own, which no limit of memory knows. How long a text will be can
// be told before: a value that is in a table a thousand times is written a thousand times.
#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "script/machine.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

// Of a number at most, and of true, false and null with what stands between two values.
constexpr size_t kScalarBytes = 32;
// A byte may become \u00ff.
constexpr size_t kEscapedBytes = 6;
constexpr size_t kNullBytes = 5;
// Tables inside each other. cjson's own limit may be set higher, but not what Lua's stack allows.
constexpr int kMaxJsonDepth = 2000;
constexpr size_t kPointEvery = 1000;

class Meter {
 public:
  // `ratio` and `safe` as of encode_sparse_array.
  Meter(lua_State* lua, double ratio, double safe) : lua_(lua), ratio_(ratio), safe_(safe) {}

  // Counts the value at the top of the stack. May raise errors; there is nothing to destroy.
  void Count(int depth) {
    if (++values_ % kPointEvery == 0) Machine::Of(lua_)->Point(lua_);
    bytes_ += kScalarBytes;
    if (lua_type(lua_, -1) == LUA_TSTRING) {
      bytes_ += kEscapedBytes * lua_objlen(lua_, -1);
    } else if (lua_istable(lua_, -1) && depth < kMaxJsonDepth) {
      CountTable(depth);
    }
    if (!Machine::Of(lua_)->HasRoomFor(bytes_)) luaL_error(lua_, "not enough memory");
  }

 private:
  void CountTable(int depth) {
    luaL_checkstack(lua_, 4, "cjson");
    double last = 0;
    double items = 0;
    bool is_array = true;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      ++items;
      if (lua_type(lua_, -2) == LUA_TNUMBER) {
        last = std::max(last, lua_tonumber(lua_, -2));
      } else {
        is_array = false;
        if (lua_type(lua_, -2) == LUA_TSTRING) bytes_ += kEscapedBytes * lua_objlen(lua_, -2);
      }
      bytes_ += kScalarBytes;
      Count(depth + 1);
      lua_pop(lua_, 1);
    }
    // What an array lacks becomes null, unless it lacks too much of it: then it is an object, or an
    // error.
    const bool excessive = ratio_ > 0 && last > items * ratio_ && last > safe_;
    if (is_array && !excessive && last > items) {
      const double gaps = std::min(last - items, 1e15);
      bytes_ += kNullBytes * static_cast<size_t>(gaps);
    }
  }

  lua_State* const lua_;
  const double ratio_;
  const double safe_;
  size_t bytes_ = 0;
  size_t values_ = 0;
};

// The upvalues: cjson's settings, as its own functions have them there, its encode, and its
// encode_sparse_array, which says how arrays with gaps are written.
int JsonEncode(lua_State* lua) {
  if (lua_gettop(lua) == 1) {
    lua_pushvalue(lua, lua_upvalueindex(3));
    lua_call(lua, 0, 3);
    Meter meter(lua, lua_tonumber(lua, -2), lua_tonumber(lua, -1));
    lua_settop(lua, 1);
    meter.Count(0);
    lua_settop(lua, 1);
  }
  return lua_tocfunction(lua, lua_upvalueindex(2))(lua);
}

// The upvalue is cjson's own.
int JsonNew(lua_State* lua) {
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_call(lua, 0, 1);
  GuardJson(lua);
  return 1;
}

}  // namespace

void GuardJson(lua_State* lua) {
  lua_getfield(lua, -1, "encode");
  CHECK(lua_iscfunction(lua, -1) && lua_getupvalue(lua, -1, 1) != nullptr);
  lua_insert(lua, -2);
  lua_getfield(lua, -3, "encode_sparse_array");
  CHECK(lua_iscfunction(lua, -1));
  lua_pushcclosure(lua, JsonEncode, 3);
  lua_setfield(lua, -2, "encode");
  lua_getfield(lua, -1, "new");
  lua_pushcclosure(lua, JsonNew, 1);
  lua_setfield(lua, -2, "new");
}

}  // namespace holdfast::script
