// cmsgpack: MessagePack (msgpack.org's specification) for scripts.
//
//   pack(value, …) → bytes of all values, back to back
//   unpack(bytes) → all values; unpack_one(bytes [, offset]) → offset of the next or -1, value;
//   unpack_limit(bytes, n [, offset]) → offset of the next or -1, at most n values
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "script/lua.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

// Tables inside each other; what is deeper is packed as nil, as in Redis's library.
constexpr int kMaxPackDepth = 16;
// Aggregates inside each other that are read: more would take Lua's and the thread's stack.
constexpr int kMaxUnpackDepth = 128;

// ---- Packing

void Append(luaL_Buffer* out, uint8_t tag, uint64_t value, size_t bytes) {
  char encoded[9];
  encoded[0] = static_cast<char>(tag);
  for (size_t i = 0; i < bytes; ++i) {
    encoded[1 + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
  }
  luaL_addlstring(out, encoded, 1 + bytes);
}

void PackInteger(luaL_Buffer* out, int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  if (value >= 0) {
    if (value < 128) {
      Append(out, static_cast<uint8_t>(value), 0, 0);
    } else if (value <= 0xff) {
      Append(out, 0xcc, bits, 1);
    } else if (value <= 0xffff) {
      Append(out, 0xcd, bits, 2);
    } else if (value <= 0xffffffffLL) {
      Append(out, 0xce, bits, 4);
    } else {
      Append(out, 0xcf, bits, 8);
    }
  } else if (value >= -32) {
    Append(out, static_cast<uint8_t>(value), 0, 0);
  } else if (value >= INT8_MIN) {
    Append(out, 0xd0, bits, 1);
  } else if (value >= INT16_MIN) {
    Append(out, 0xd1, bits, 2);
  } else if (value >= INT32_MIN) {
    Append(out, 0xd2, bits, 4);
  } else {
    Append(out, 0xd3, bits, 8);
  }
}

void PackNumber(luaL_Buffer* out, double value) {
  if (value >= -9223372036854775808.0 && value < 9223372036854775808.0 &&
      std::floor(value) == value) {
    PackInteger(out, static_cast<int64_t>(value));
  } else if (static_cast<double>(static_cast<float>(value)) == value) {
    Append(out, 0xca, std::bit_cast<uint32_t>(static_cast<float>(value)), 4);
  } else {
    Append(out, 0xcb, std::bit_cast<uint64_t>(value), 8);
  }
}

void PackString(luaL_Buffer* out, std::string_view bytes) {
  const size_t size = bytes.size();
  if (size < 32) {
    Append(out, static_cast<uint8_t>(0xa0 | size), 0, 0);
  } else if (size <= 0xff) {
    Append(out, 0xd9, size, 1);
  } else if (size <= 0xffff) {
    Append(out, 0xda, size, 2);
  } else {
    Append(out, 0xdb, size, 4);
  }
  luaL_addlstring(out, bytes.data(), size);
}

void PackHeader(luaL_Buffer* out, size_t count, uint8_t fix, uint8_t tag16) {
  if (count < 16) {
    Append(out, static_cast<uint8_t>(fix | count), 0, 0);
  } else if (count <= 0xffff) {
    Append(out, tag16, count, 2);
  } else {
    Append(out, static_cast<uint8_t>(tag16 + 1), count, 4);
  }
}

// Whether the keys of the table at `index` are 1…n, for n = *count of them all.
bool IsArray(lua_State* lua, int index, size_t* count) {
  size_t keys = 0;
  double largest = 0;
  bool positions = true;
  lua_pushnil(lua);
  while (lua_next(lua, index) != 0) {
    lua_pop(lua, 1);
    ++keys;
    if (!positions || lua_type(lua, -1) != LUA_TNUMBER) {
      positions = false;
      continue;
    }
    const double key = lua_tonumber(lua, -1);
    positions = key >= 1 && std::floor(key) == key;
    if (key > largest) largest = key;
  }
  *count = keys;
  return positions && largest == static_cast<double>(keys);
}

// Packs the value at `index` (absolute) as a string that it pushes. A buffer of Lua's may use the
// stack, so that each level has its own and its bytes are put together as Lua strings.
void Pack(lua_State* lua, int index, int depth);

void PackScalar(lua_State* lua, int index) {
  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  switch (lua_type(lua, index)) {
    case LUA_TSTRING: {
      size_t size;
      const char* bytes = lua_tolstring(lua, index, &size);
      PackString(&out, {bytes, size});
      break;
    }
    case LUA_TNUMBER:
      PackNumber(&out, lua_tonumber(lua, index));
      break;
    case LUA_TBOOLEAN:
      Append(&out, lua_toboolean(lua, index) != 0 ? 0xc3 : 0xc2, 0, 0);
      break;
    default:
      Append(&out, 0xc0, 0, 0);
  }
  luaL_pushresult(&out);
}

// Collects the parts in a table, which is joined at the end: linear in the bytes of each level.
void PackTable(lua_State* lua, int index, int depth) {
  size_t count = 0;
  const bool array = IsArray(lua, index, &count);
  lua_createtable(lua, static_cast<int>(count) + 1, 0);
  const int parts = lua_gettop(lua);
  int next = 1;
  luaL_Buffer header;
  luaL_buffinit(lua, &header);
  if (array) {
    PackHeader(&header, count, 0x90, 0xdc);
  } else {
    PackHeader(&header, count, 0x80, 0xde);
  }
  luaL_pushresult(&header);
  lua_rawseti(lua, parts, next++);
  if (array) {
    for (size_t i = 1; i <= count; ++i) {
      lua_rawgeti(lua, index, static_cast<int>(i));
      Pack(lua, lua_gettop(lua), depth + 1);
      lua_rawseti(lua, parts, next++);
      lua_pop(lua, 1);
    }
  } else {
    lua_pushnil(lua);
    while (lua_next(lua, index) != 0) {
      const int value = lua_gettop(lua);
      Pack(lua, value - 1, depth + 1);
      lua_rawseti(lua, parts, next++);
      Pack(lua, value, depth + 1);
      lua_rawseti(lua, parts, next++);
      lua_pop(lua, 1);
    }
  }
  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  for (int i = 1; i < next; ++i) {
    lua_rawgeti(lua, parts, i);
    luaL_addvalue(&out);
  }
  luaL_pushresult(&out);
  lua_replace(lua, parts);
}

void Pack(lua_State* lua, int index, int depth) {
  luaL_checkstack(lua, LUA_MINSTACK, "cmsgpack.pack");
  if (lua_istable(lua, index)) {
    if (depth < kMaxPackDepth) {
      PackTable(lua, index, depth);
      return;
    }
    lua_pushlstring(lua, "\xc0", 1);
    return;
  }
  PackScalar(lua, index);
}

int CmsgpackPack(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count == 0) return luaL_argerror(lua, 0, "MessagePack pack needs input.");
  luaL_checkstack(lua, LUA_MINSTACK + 2, "cmsgpack.pack");
  lua_pushliteral(lua, "");
  for (int i = 1; i <= count; ++i) {
    Pack(lua, i, 0);
    lua_concat(lua, 2);
  }
  return 1;
}

// ---- Unpacking

enum class Fault : uint8_t { kNone, kMissing, kBad };

struct Input {
  const uint8_t* bytes;
  size_t size;
  size_t at = 0;
  Fault fault = Fault::kNone;

  bool Has(uint64_t count) {
    if (count <= size - at) return true;
    fault = Fault::kMissing;
    return false;
  }
  uint64_t Take(size_t count) {
    if (!Has(count)) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[at++];
    return value;
  }
};

bool Unpack(lua_State* lua, Input* in, int depth);

bool PushBytes(lua_State* lua, Input* in, uint64_t count) {
  if (in->fault != Fault::kNone || !in->Has(count)) return false;
  lua_pushlstring(lua, reinterpret_cast<const char*>(in->bytes + in->at), count);
  in->at += count;
  return true;
}

// Each element takes at least a byte, so a count that can't be true is found before anything is
// allocated.
bool PushTable(lua_State* lua, Input* in, uint64_t count, bool map, int depth) {
  if (in->fault != Fault::kNone || !in->Has(map ? count * 2 : count)) return false;
  lua_createtable(lua, 0, 0);
  for (uint64_t i = 1; i <= count; ++i) {
    if (map) {
      if (!Unpack(lua, in, depth + 1)) return false;
      const bool usable = !lua_isnil(lua, -1) &&
                          !(lua_type(lua, -1) == LUA_TNUMBER && std::isnan(lua_tonumber(lua, -1)));
      if (!usable) {
        in->fault = Fault::kBad;
        return false;
      }
      if (!Unpack(lua, in, depth + 1)) return false;
      lua_rawset(lua, -3);
    } else {
      if (!Unpack(lua, in, depth + 1)) return false;
      lua_rawseti(lua, -2, static_cast<int>(i));
    }
  }
  return true;
}

bool PushNumber(lua_State* lua, const Input& in, double value) {
  if (in.fault != Fault::kNone) return false;
  lua_pushnumber(lua, value);
  return true;
}

// Tags from 0xc0 to 0xdf.
bool UnpackTagged(lua_State* lua, Input* in, uint8_t tag, int depth) {
  switch (tag) {
    case 0xc0:
      lua_pushnil(lua);
      return true;
    case 0xc2:
    case 0xc3:
      lua_pushboolean(lua, tag == 0xc3);
      return true;
    case 0xc4:
    case 0xd9:
      return PushBytes(lua, in, in->Take(1));
    case 0xc5:
    case 0xda:
      return PushBytes(lua, in, in->Take(2));
    case 0xc6:
    case 0xdb:
      return PushBytes(lua, in, in->Take(4));
    case 0xca: {
      const auto bits = static_cast<uint32_t>(in->Take(4));
      return PushNumber(lua, *in, static_cast<double>(std::bit_cast<float>(bits)));
    }
    case 0xcb: {
      const uint64_t bits = in->Take(8);
      return PushNumber(lua, *in, std::bit_cast<double>(bits));
    }
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: {
      const uint64_t value = in->Take(size_t{1} << (tag - 0xcc));
      return PushNumber(lua, *in, static_cast<double>(value));
    }
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: {
      const size_t bytes = size_t{1} << (tag - 0xd0);
      const size_t unused = 64 - 8 * bytes;
      const auto value = static_cast<int64_t>(in->Take(bytes) << unused) >> unused;
      return PushNumber(lua, *in, static_cast<double>(value));
    }
    case 0xdc:
    case 0xdd:
      return PushTable(lua, in, in->Take(tag == 0xdc ? 2 : 4), false, depth);
    case 0xde:
    case 0xdf:
      return PushTable(lua, in, in->Take(tag == 0xde ? 2 : 4), true, depth);
    default:
      in->fault = Fault::kBad;
      return false;
  }
}

// Pushes the next value; false with in->fault set when there is none.
bool Unpack(lua_State* lua, Input* in, int depth) {
  if (depth > kMaxUnpackDepth) {
    in->fault = Fault::kBad;
    return false;
  }
  luaL_checkstack(lua, 4, "cmsgpack.unpack");
  if (!in->Has(1)) return false;
  const uint8_t tag = in->bytes[in->at++];
  if (tag < 0x80) {
    lua_pushnumber(lua, tag);
    return true;
  }
  if (tag >= 0xe0) {
    lua_pushnumber(lua, static_cast<int8_t>(tag));
    return true;
  }
  if (tag < 0x90) return PushTable(lua, in, tag & 15, true, depth);
  if (tag < 0xa0) return PushTable(lua, in, tag & 15, false, depth);
  if (tag < 0xc0) return PushBytes(lua, in, tag & 31);
  return UnpackTagged(lua, in, tag, depth);
}

int UnpackFrom(lua_State* lua, lua_Integer limit, lua_Integer offset) {
  size_t size;
  const char* bytes = luaL_checklstring(lua, 1, &size);
  if (offset < 0 || limit < 0) {
    return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.",
                      static_cast<int>(offset), static_cast<int>(limit));
  }
  if (static_cast<size_t>(offset) > size) {
    return luaL_error(lua, "Start offset %d greater than input length %d.",
                      static_cast<int>(offset), static_cast<int>(size));
  }
  const bool all = limit == 0 && offset == 0;
  Input in{reinterpret_cast<const uint8_t*>(bytes), size, static_cast<size_t>(offset)};
  int values = 0;
  while (in.at < in.size && (all || values < limit)) {
    luaL_checkstack(lua, 1, "in function mp_unpack");
    if (!Unpack(lua, &in, 0)) {
      return luaL_error(lua, in.fault == Fault::kMissing ? "Missing bytes in input."
                                                         : "Bad data format in input.");
    }
    ++values;
  }
  if (all) return values;
  lua_pushnumber(lua, in.at < in.size ? static_cast<double>(in.at) : -1);
  lua_insert(lua, -(values + 1));
  return values + 1;
}

int CmsgpackUnpack(lua_State* lua) { return UnpackFrom(lua, 0, 0); }

int CmsgpackUnpackOne(lua_State* lua) { return UnpackFrom(lua, 1, luaL_optinteger(lua, 2, 0)); }

int CmsgpackUnpackLimit(lua_State* lua) {
  const lua_Integer limit = luaL_checkinteger(lua, 2);
  return UnpackFrom(lua, limit, luaL_optinteger(lua, 3, 0));
}

constexpr luaL_Reg kCmsgpackFunctions[] = {
    {"pack", CmsgpackPack},
    {"unpack", CmsgpackUnpack},
    {"unpack_one", CmsgpackUnpackOne},
    {"unpack_limit", CmsgpackUnpackLimit},
};

}  // namespace

void PushCmsgpack(lua_State* lua) {
  lua_createtable(lua, 0, 8);
  for (const luaL_Reg& function : kCmsgpackFunctions) {
    lua_pushcfunction(lua, function.func);
    lua_setfield(lua, -2, function.name);
  }
  lua_pushliteral(lua, "cmsgpack");
  lua_setfield(lua, -2, "_NAME");
  lua_pushliteral(lua, "holdfast");
  lua_setfield(lua, -2, "_VERSION");
}

}  // namespace holdfast::script
