// struct: binary layouts for scripts.
//
//   pack(format, value, …) → bytes; unpack(format, bytes [, position]) → values, next position;
//   size(format) → bytes
//
// Format: < little-endian, > big-endian, = the machine's, !n alignment to at most n (default 8),
// x a zero byte, b B signed and unsigned char, h H short, l L long, T size_t, i[n] I[n] integer of
// n bytes (default 4), f float, d double, s string up to a zero byte, c[n] n bytes (default 1; c0:
// all of the string, when unpacking as many as the last value says). Blanks mean nothing.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "script/lua.h"
#include "script/resp_values.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

constexpr int kMaxIntegerBytes = 32;
constexpr size_t kNaturalAlignment = 8;

struct Format {
  const char* at;
  bool little = true;  // every machine that this runs on is
  size_t alignment = 1;
};

// One item of a format.
struct Item {
  char option = 0;
  size_t size = 0;
  size_t padding = 0;  // before it
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t TakeNumber(lua_State* lua, Format* format, size_t otherwise) {
  if (!IsDigit(*format->at)) return otherwise;
  size_t number = 0;
  while (IsDigit(*format->at)) {
    if (number > (SIZE_MAX / 4 - 9) / 10 || number > INT32_MAX / 10) {
      luaL_error(lua, "integral size overflow");
    }
    number = number * 10 + static_cast<size_t>(*format->at++ - '0');
  }
  return number;
}

size_t IntegerSize(lua_State* lua, Format* format) {
  const size_t size = TakeNumber(lua, format, sizeof(int));
  if (size < 1 || size > kMaxIntegerBytes) {
    luaL_error(lua, "integral size %d is larger than limit of %d", static_cast<int>(size),
               kMaxIntegerBytes);
  }
  return size;
}

size_t SizeOf(lua_State* lua, Format* format, char option) {
  switch (option) {
    case 'b':
    case 'B':
    case 'x':
      return 1;
    case 'h':
    case 'H':
      return sizeof(short);
    case 'l':
    case 'L':
      return sizeof(long);
    case 'T':
      return sizeof(size_t);
    case 'f':
      return sizeof(float);
    case 'd':
      return sizeof(double);
    case 'i':
    case 'I':
      return IntegerSize(lua, format);
    case 'c':
      return TakeNumber(lua, format, 1);
    default:
      return 0;
  }
}

size_t PaddingFor(const Format& format, const Item& item, size_t position) {
  if (item.size == 0 || item.option == 'c') return 0;
  const size_t alignment = item.size < format.alignment ? item.size : format.alignment;
  if (alignment <= 1) return 0;
  return (alignment - (position & (alignment - 1))) & (alignment - 1);
}

void InvalidOption(lua_State* lua, char option) {
  const char* message = lua_pushfstring(lua, "invalid format option '%c'", option);
  luaL_argerror(lua, 1, message);
}

// Takes options that only change how the others are read. False: `option` is an item.
bool TakeSetting(lua_State* lua, Format* format, char option) {
  switch (option) {
    case ' ':
      return true;
    case '<':
    case '=':
      format->little = true;
      return true;
    case '>':
      format->little = false;
      return true;
    case '!': {
      const size_t alignment = TakeNumber(lua, format, kNaturalAlignment);
      if (alignment == 0 || !std::has_single_bit(alignment)) {
        luaL_error(lua, "alignment is not a power of 2");
      }
      format->alignment = alignment;
      return true;
    }
    default:
      return false;
  }
}

// The next item that stands at `position` of the bytes; false at the end.
bool NextItem(lua_State* lua, Format* format, size_t position, Item* item) {
  while (*format->at != '\0') {
    const char option = *format->at++;
    if (TakeSetting(lua, format, option)) continue;
    if (std::strchr("xbBhHlLTiIfdsc", option) == nullptr) InvalidOption(lua, option);
    item->option = option;
    item->size = SizeOf(lua, format, option);
    item->padding = PaddingFor(*format, *item, position);
    return true;
  }
  return false;
}

bool IsInteger(char option) { return std::strchr("bBhHlLTiI", option) != nullptr; }
bool IsSigned(char option) { return std::strchr("bhli", option) != nullptr; }

// ---- Packing

void AddInteger(luaL_Buffer* out, const Format& format, uint64_t bits, bool negative, size_t size) {
  char bytes[kMaxIntegerBytes];
  for (size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<char>(i < 8 ? (bits >> (8 * i)) & 0xff : (negative ? 0xff : 0));
    bytes[format.little ? i : size - 1 - i] = byte;
  }
  luaL_addlstring(out, bytes, size);
}

uint64_t IntegerBits(double number) {
  if (number < 0) return static_cast<uint64_t>(ToInteger(number));
  if (number < 18446744073709551616.0) return static_cast<uint64_t>(number);
  return static_cast<uint64_t>(INT64_MIN);
}

// Returns how many bytes it added.
size_t AddItem(lua_State* lua, luaL_Buffer* out, const Format& format, const Item& item, int arg) {
  if (item.option == 'x') {
    luaL_addchar(out, '\0');
    return 1;
  }
  if (IsInteger(item.option)) {
    const double number = luaL_checknumber(lua, arg);
    AddInteger(out, format, IntegerBits(number), number < 0, item.size);
    return item.size;
  }
  if (item.option == 'f') {
    const auto value = static_cast<float>(luaL_checknumber(lua, arg));
    AddInteger(out, format, std::bit_cast<uint32_t>(value), false, sizeof(float));
    return item.size;
  }
  if (item.option == 'd') {
    AddInteger(out, format, std::bit_cast<uint64_t>(luaL_checknumber(lua, arg)), false,
               sizeof(double));
    return item.size;
  }
  size_t length;
  const char* bytes = luaL_checklstring(lua, arg, &length);
  const bool whole = item.option == 's' || item.size == 0;
  if (!whole) luaL_argcheck(lua, length >= item.size, arg, "string too short");
  const size_t size = whole ? length : item.size;
  luaL_addlstring(out, bytes, size);
  if (item.option != 's') return size;
  luaL_addchar(out, '\0');
  return size + 1;
}

int StructPack(lua_State* lua) {
  Format format{luaL_checkstring(lua, 1)};
  luaL_Buffer out;
  // Something between the arguments and the buffer, which may use the stack.
  lua_pushnil(lua);
  luaL_buffinit(lua, &out);
  size_t position = 0;
  int arg = 2;
  Item item;
  while (NextItem(lua, &format, position, &item)) {
    for (size_t i = 0; i < item.padding; ++i) luaL_addchar(&out, '\0');
    position += item.padding + AddItem(lua, &out, format, item, arg);
    if (item.option != 'x') ++arg;
  }
  luaL_pushresult(&out);
  return 1;
}

// ---- Unpacking

double ReadInteger(const Format& format, const unsigned char* bytes, const Item& item) {
  uint64_t bits = 0;
  // What is beyond 64 bits doesn't fit into a number anyhow.
  const size_t used = item.size < 8 ? item.size : 8;
  for (size_t i = 0; i < used; ++i) {
    const size_t at = format.little ? used - 1 - i : item.size - used + i;
    bits = bits << 8 | bytes[at];
  }
  if (!IsSigned(item.option)) return static_cast<double>(bits);
  const size_t unused = 64 - 8 * used;
  return static_cast<double>(static_cast<int64_t>(bits << unused) >> unused);
}

uint64_t ReadBits(const Format& format, const unsigned char* bytes, size_t size) {
  uint64_t bits = 0;
  for (size_t i = 0; i < size; ++i) bits = bits << 8 | bytes[format.little ? size - 1 - i : i];
  return bits;
}

struct Bytes {
  const char* data;
  size_t size;
  size_t position;
};

// As many bytes as the value that was read last says, which is then no value of its own.
size_t TakeCount(lua_State* lua, int* values) {
  if (*values == 0 || lua_isnumber(lua, -1) == 0) {
    luaL_error(lua, "format 'c0' needs a previous size");
  }
  const int64_t count = ToInteger(lua_tonumber(lua, -1));
  lua_pop(lua, 1);
  --*values;
  return count < 0 ? SIZE_MAX : static_cast<size_t>(count);
}

void PushItem(lua_State* lua, const Format& format, Item item, Bytes* from, int* values) {
  if (item.option == 'c' && item.size == 0) item.size = TakeCount(lua, values);
  const size_t left = from->size - from->position;
  if (item.padding > left || item.size > left - item.padding) {
    luaL_argerror(lua, 2, "data string too short");
  }
  from->position += item.padding;
  const char* data = from->data + from->position;
  const auto* raw = reinterpret_cast<const unsigned char*>(data);
  from->position += item.size;
  if (item.option == 'x') return;
  luaL_checkstack(lua, 2, "too many results");
  ++*values;
  if (IsInteger(item.option)) {
    lua_pushnumber(lua, ReadInteger(format, raw, item));
  } else if (item.option == 'f') {
    lua_pushnumber(lua, static_cast<double>(std::bit_cast<float>(
                            static_cast<uint32_t>(ReadBits(format, raw, sizeof(float))))));
  } else if (item.option == 'd') {
    lua_pushnumber(lua, std::bit_cast<double>(ReadBits(format, raw, sizeof(double))));
  } else if (item.option == 'c') {
    lua_pushlstring(lua, data, item.size);
  } else {
    const void* end = std::memchr(data, '\0', from->size - from->position);
    if (end == nullptr) luaL_error(lua, "unfinished string in data");
    const auto length = static_cast<size_t>(static_cast<const char*>(end) - data);
    lua_pushlstring(lua, data, length);
    from->position += length + 1;
  }
}

int StructUnpack(lua_State* lua) {
  Format format{luaL_checkstring(lua, 1)};
  Bytes from{};
  from.data = luaL_checklstring(lua, 2, &from.size);
  const lua_Integer position = luaL_optinteger(lua, 3, 1);
  luaL_argcheck(lua, position > 0, 3, "offset must be 1 or greater");
  from.position = static_cast<size_t>(position - 1);
  luaL_argcheck(lua, from.position <= from.size, 3, "offset is beyond the data");
  lua_settop(lua, 2);
  int values = 0;
  Item item;
  while (NextItem(lua, &format, from.position, &item)) {
    PushItem(lua, format, item, &from, &values);
  }
  luaL_checkstack(lua, 1, "too many results");
  lua_pushnumber(lua, static_cast<double>(from.position + 1));
  return values + 1;
}

int StructSize(lua_State* lua) {
  Format format{luaL_checkstring(lua, 1)};
  size_t position = 0;
  Item item;
  while (NextItem(lua, &format, position, &item)) {
    if (item.option == 's') luaL_argerror(lua, 1, "variable-size format in 'size'");
    if (item.option == 'c' && item.size == 0) {
      luaL_argerror(lua, 1, "variable-length format in 'size'");
    }
    position += item.padding + item.size;
  }
  lua_pushnumber(lua, static_cast<double>(position));
  return 1;
}

constexpr luaL_Reg kStructFunctions[] = {
    {"pack", StructPack},
    {"unpack", StructUnpack},
    {"size", StructSize},
};

}  // namespace

void PushStruct(lua_State* lua) {
  lua_createtable(lua, 0, 4);
  for (const luaL_Reg& function : kStructFunctions) {
    lua_pushcfunction(lua, function.func);
    lua_setfield(lua, -2, function.name);
  }
}

}  // namespace holdfast::script
