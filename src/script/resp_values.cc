#include "script/resp_values.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "script/error_value.h"

namespace holdfast::script {
namespace {

// Aggregates of replies are never that deep; tables of scripts may be.
constexpr int kMaxDepth = 1000;

std::string_view TakeLine(std::string_view* reply) {
  const size_t end = reply->find("\r\n");
  CHECK(end != std::string_view::npos);
  const std::string_view line = reply->substr(0, end);
  reply->remove_prefix(end + 2);
  return line;
}

int64_t NumberOf(std::string_view line) {
  int64_t number = 0;
  std::from_chars(line.data() + 1, line.data() + line.size(), number);
  return number;
}

std::string_view TakeBulk(std::string_view line, std::string_view* reply) {
  const auto size = static_cast<size_t>(NumberOf(line));
  CHECK(reply->size() >= size + 2);
  const std::string_view bytes = reply->substr(0, size);
  reply->remove_prefix(size + 2);
  return bytes;
}

void Push(lua_State* lua, std::string_view bytes) {
  lua_pushlstring(lua, bytes.data(), bytes.size());
}

void SetField(lua_State* lua, const char* name, std::string_view bytes) {
  Push(lua, bytes);
  lua_setfield(lua, -2, name);
}

void PushAggregate(lua_State* lua, char type, int64_t count, std::string_view* reply) {
  if (type == '*' || type == '>') {
    lua_createtable(lua, static_cast<int>(count), 0);
    for (int64_t i = 1; i <= count; ++i) {
      PushReply(lua, reply);
      lua_rawseti(lua, -2, static_cast<int>(i));
    }
    return;
  }
  lua_createtable(lua, 0, 1);
  lua_createtable(lua, 0, static_cast<int>(count));
  for (int64_t i = 0; i < count; ++i) {
    PushReply(lua, reply);
    if (type == '%') {
      PushReply(lua, reply);
    } else {
      lua_pushboolean(lua, 1);
    }
    // A null can't be a key.
    if (lua_isnil(lua, -2)) {
      lua_pop(lua, 2);
    } else {
      lua_rawset(lua, -3);
    }
  }
  lua_setfield(lua, -2, type == '%' ? "map" : "set");
}

void PushDouble(lua_State* lua, std::string_view text) {
  char buffer[64];
  const size_t length = text.copy(buffer, sizeof(buffer) - 1);
  buffer[length] = '\0';
  lua_createtable(lua, 0, 1);
  lua_pushnumber(lua, std::strtod(buffer, nullptr));
  lua_setfield(lua, -2, "double");
}

void PushVerbatim(lua_State* lua, std::string_view bytes) {
  lua_createtable(lua, 0, 1);
  lua_createtable(lua, 0, 2);
  SetField(lua, "format", bytes.substr(0, 3));
  SetField(lua, "string", bytes.size() > 4 ? bytes.substr(4) : std::string_view());
  lua_setfield(lua, -2, "verbatim_string");
}

}  // namespace

void PushReply(lua_State* lua, std::string_view* reply) {
  luaL_checkstack(lua, 8, "reply");
  const std::string_view line = TakeLine(reply);
  switch (line[0]) {
    case ':':
      lua_pushnumber(lua, static_cast<lua_Number>(NumberOf(line)));
      return;
    case '$':
      if (line[1] == '-') {
        lua_pushboolean(lua, 0);
      } else {
        Push(lua, TakeBulk(line, reply));
      }
      return;
    case '+':
      lua_createtable(lua, 0, 1);
      SetField(lua, "ok", line.substr(1));
      return;
    case '-':
      PushError(lua, line);
      return;
    case '*':
      if (line[1] == '-') {
        lua_pushboolean(lua, 0);
        return;
      }
      [[fallthrough]];
    case '%':
    case '~':
    case '>':
      PushAggregate(lua, line[0], NumberOf(line), reply);
      return;
    case '|':
      // What is said about the value behind it, which scripts don't get.
      for (int64_t left = 2 * NumberOf(line); left > 0; --left) {
        PushReply(lua, reply);
        lua_pop(lua, 1);
      }
      PushReply(lua, reply);
      return;
    case '_':
      lua_pushnil(lua);
      return;
    case '#':
      lua_pushboolean(lua, line[1] == 't');
      return;
    case ',':
      PushDouble(lua, line.substr(1));
      return;
    case '(':
      lua_createtable(lua, 0, 1);
      SetField(lua, "big_number", line.substr(1));
      return;
    case '=':
      PushVerbatim(lua, TakeBulk(line, reply));
      return;
    default:
      CHECK_MSG(false, "a reply of an unknown type");
  }
}

int64_t ToInteger(double number) {
  if (!(number >= -9223372036854775808.0 && number < 9223372036854775808.0)) return INT64_MIN;
  return static_cast<int64_t>(number);
}

namespace {

// The bytes of the string or number at `index`.
std::string_view BytesAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, index, &size);
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

// Pushes the field of the table at the top when it has the type; else pushes nothing.
bool GetField(lua_State* lua, const char* name, int type) {
  lua_pushstring(lua, name);
  lua_rawget(lua, -2);
  if (lua_type(lua, -1) == type) return true;
  lua_pop(lua, 1);
  return false;
}

class ValueWriter {
 public:
  ValueWriter(lua_State* lua, resp::Writer* writer, int script_protocol, size_t max_bytes)
      : lua_(lua),
        writer_(*writer),
        script_protocol_(script_protocol),
        end_(writer->out()->size() + max_bytes) {}

  void Write(int depth) {
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        writer_.Bulk(BytesAt(lua_, -1));
        break;
      case LUA_TNUMBER:
        writer_.Integer(ToInteger(lua_tonumber(lua_, -1)));
        break;
      case LUA_TBOOLEAN:
        WriteBool(lua_toboolean(lua_, -1) != 0);
        break;
      case LUA_TTABLE:
        WriteTable(depth);
        break;
      default:
        writer_.Null();
    }
    lua_pop(lua_, 1);
  }

  bool fits() const { return writer_.out()->size() <= end_; }

 private:
  void WriteBool(bool value) {
    if (script_protocol_ == 3) {
      writer_.Bool(value);
    } else if (value) {
      writer_.Integer(1);
    } else {
      writer_.Null();
    }
  }

  // A script may say anything: a line's end in it would end the reply early.
  void WriteBigNumber(std::string_view digits) {
    writer_.BigNumber(digits);
    std::string& out = *writer_.out();
    const auto end = out.end() - 2;
    std::replace_if(
        end - static_cast<std::ptrdiff_t>(digits.size()), end,
        [](char c) { return c == '\r' || c == '\n'; }, ' ');
  }

  // Everything below leaves the table at the top.
  void WriteTable(int depth) {
    if (depth >= kMaxDepth || lua_checkstack(lua_, 8) == 0) {
      writer_.Error("ERR reached lua stack limit");
      return;
    }
    if (GetField(lua_, "err", LUA_TSTRING)) {
      writer_.Error(BytesAt(lua_, -1));
    } else if (GetField(lua_, "ok", LUA_TSTRING)) {
      writer_.Simple(BytesAt(lua_, -1));
    } else if (GetField(lua_, "double", LUA_TNUMBER)) {
      writer_.Double(lua_tonumber(lua_, -1));
    } else if (GetField(lua_, "map", LUA_TTABLE)) {
      WritePairs(depth, true);
    } else if (GetField(lua_, "set", LUA_TTABLE)) {
      WritePairs(depth, false);
    } else if (GetField(lua_, "big_number", LUA_TSTRING)) {
      WriteBigNumber(BytesAt(lua_, -1));
    } else if (GetField(lua_, "verbatim_string", LUA_TTABLE)) {
      WriteVerbatim();
    } else {
      WriteArray(depth);
      return;
    }
    lua_pop(lua_, 1);
  }

  void WriteVerbatim() {
    if (!GetField(lua_, "format", LUA_TSTRING)) {
      writer_.Null();
      return;
    }
    lua_insert(lua_, -2);
    if (GetField(lua_, "string", LUA_TSTRING)) {
      writer_.Verbatim(BytesAt(lua_, -3), BytesAt(lua_, -1));
      lua_pop(lua_, 1);
    } else {
      writer_.Null();
    }
    lua_remove(lua_, -2);
  }

  // Counted first: elements may be written only behind their number.
  void WritePairs(int depth, bool with_values) {
    size_t count = 0;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      ++count;
      lua_pop(lua_, 1);
    }
    if (with_values) {
      writer_.Map(count);
    } else {
      writer_.Set(count);
    }
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      // Key and value; the key has to stay as it is for lua_next.
      lua_pushvalue(lua_, -2);
      Write(depth + 1);
      if (with_values) {
        Write(depth + 1);
      } else {
        lua_pop(lua_, 1);
      }
      if (!fits()) {
        lua_pop(lua_, 1);
        return;
      }
    }
  }

  // Up to the first nil.
  void WriteArray(int depth) {
    int count = 0;
    for (;;) {
      lua_rawgeti(lua_, -1, count + 1);
      const bool end = lua_isnil(lua_, -1);
      lua_pop(lua_, 1);
      if (end) break;
      ++count;
    }
    writer_.Array(static_cast<size_t>(count));
    for (int i = 1; i <= count && fits(); ++i) {
      lua_rawgeti(lua_, -1, i);
      Write(depth + 1);
    }
  }

  lua_State* const lua_;
  resp::Writer& writer_;
  const int script_protocol_;
  const size_t end_;
};

}  // namespace

bool WriteValue(lua_State* lua, resp::Writer& writer, int script_protocol, size_t max_bytes) {
  ValueWriter values(lua, &writer, script_protocol, max_bytes);
  values.Write(0);
  return values.fits();
}

}  // namespace holdfast::script
