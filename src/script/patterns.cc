// string.find, match, gmatch and gsub, with the patterns of Lua 5.1's manual (5.4.1).
//
// Lua's own can't be used: a pattern of many items takes as much of the thread's stack as it likes
// and so ends the process, and one that tries very many ways runs where no hook does, for ever.
// Here the depth is limited, and the machine is asked every now and then whether to go on.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "script/lua.h"
#include "script/machine.h"
#include "script/sandbox.h"

namespace holdfast::script {
namespace {

constexpr int kMaxMatchDepth = 200;
constexpr uint32_t kStepsPerPoint = 10'000;
constexpr int kMaxCaptures = 32;
constexpr ptrdiff_t kUnfinished = -1;
constexpr ptrdiff_t kPosition = -2;
constexpr const char* kSpecials = "^$*+?.([%-";

bool IsInClass(int c, int name) {
  bool in;
  switch (std::tolower(name)) {
    case 'a':
      in = std::isalpha(c) != 0;
      break;
    case 'c':
      in = std::iscntrl(c) != 0;
      break;
    case 'd':
      in = std::isdigit(c) != 0;
      break;
    case 'l':
      in = std::islower(c) != 0;
      break;
    case 'p':
      in = std::ispunct(c) != 0;
      break;
    case 's':
      in = std::isspace(c) != 0;
      break;
    case 'u':
      in = std::isupper(c) != 0;
      break;
    case 'w':
      in = std::isalnum(c) != 0;
      break;
    case 'x':
      in = std::isxdigit(c) != 0;
      break;
    case 'z':
      in = c == 0;
      break;
    default:
      return name == c;
  }
  return std::isupper(name) != 0 ? !in : in;
}

int Byte(const char* at) { return static_cast<unsigned char>(*at); }

// Matches one pattern against one subject. Trivial to destroy: errors jump out of it.
class Matcher {
 public:
  // The pattern ends at its first zero byte, as in Lua 5.1.
  Matcher(lua_State* lua, std::string_view subject, const char* pattern)
      : lua_(lua),
        begin_(subject.data()),
        end_(subject.data() + subject.size()),
        pattern_end_(pattern + std::strlen(pattern)) {}

  // Where the match of `p` that begins at `s` ends; nullptr when there is none.
  const char* Match(const char* s, const char* p) {
    level_ = 0;
    depth_ = 0;
    return Try(s, p);
  }

  // Pushes the captures, or the whole match when there are none and `s` isn't null.
  int PushCaptures(const char* s, const char* e) {
    const int count = level_ == 0 && s != nullptr ? 1 : level_;
    luaL_checkstack(lua_, count, "too many captures");
    for (int i = 0; i < count; ++i) PushCapture(i, s, e);
    return count;
  }

  void PushCapture(int i, const char* s, const char* e) {
    if (i >= level_) {
      if (i != 0) luaL_error(lua_, "invalid capture index");
      lua_pushlstring(lua_, s, static_cast<size_t>(e - s));
      return;
    }
    const Capture& capture = captures_[i];
    if (capture.length == kUnfinished) luaL_error(lua_, "unfinished capture");
    if (capture.length == kPosition) {
      lua_pushinteger(lua_, capture.begin - begin_ + 1);
    } else {
      lua_pushlstring(lua_, capture.begin, static_cast<size_t>(capture.length));
    }
  }

 private:
  struct Capture {
    const char* begin;
    ptrdiff_t length;
  };

  void Step() {
    if (++steps_ % kStepsPerPoint == 0) Machine::Of(lua_)->Point(lua_);
  }

  const char* Try(const char* s, const char* p) {
    if (++depth_ > kMaxMatchDepth) luaL_error(lua_, "pattern too complex");
    const char* result = TryItems(s, p);
    --depth_;
    return result;
  }

  // Items that can match in one way only are taken one after the other, without recursion.
  const char* TryItems(const char* s, const char* p) {
    for (;;) {
      Step();
      if (p == pattern_end_) return s;
      if (*p == '(') return p[1] == ')' ? Open(s, p + 2, kPosition) : Open(s, p + 1, kUnfinished);
      if (*p == ')') return Close(s, p + 1);
      if (*p == '$' && p + 1 == pattern_end_) return s == end_ ? s : nullptr;
      if (*p == '%' && p[1] == 'b') {
        s = Balance(s, p + 2);
        if (s == nullptr) return nullptr;
        p += 4;
        continue;
      }
      if (*p == '%' && p[1] == 'f') {
        p += 2;
        if (!Frontier(s, &p)) return nullptr;
        continue;
      }
      if (*p == '%' && std::isdigit(Byte(p + 1)) != 0) {
        s = BackReference(s, Byte(p + 1));
        if (s == nullptr) return nullptr;
        p += 2;
        continue;
      }
      const char* next = ItemEnd(p);
      switch (next == pattern_end_ ? '\0' : *next) {
        case '?':
          if (Fits(s, p, next)) {
            const char* result = Try(s + 1, next + 1);
            if (result != nullptr) return result;
          }
          p = next + 1;
          continue;
        case '*':
          return Longest(s, p, next, 0);
        case '+':
          return Longest(s, p, next, 1);
        case '-':
          return Shortest(s, p, next);
        default:
          if (!Fits(s, p, next)) return nullptr;
          ++s;
          p = next;
      }
    }
  }

  // Behind the single-character item at `p`.
  const char* ItemEnd(const char* p) {
    const char c = *p++;
    if (c == '%') {
      if (p == pattern_end_) luaL_error(lua_, "malformed pattern (ends with '%%')");
      return p + 1;
    }
    if (c != '[') return p;
    if (p != pattern_end_ && *p == '^') ++p;
    do {
      if (p == pattern_end_) luaL_error(lua_, "malformed pattern (missing ']')");
      const char inside = *p++;
      if (inside == '%' && p != pattern_end_) ++p;
    } while (p == pattern_end_ || *p != ']');
    return p + 1;
  }

  // `set` is at '[', `last` at its ']'.
  static bool IsInSet(int c, const char* set, const char* last) {
    bool in = true;
    if (set[1] == '^') {
      in = false;
      ++set;
    }
    while (++set < last) {
      if (*set == '%') {
        ++set;
        if (IsInClass(c, Byte(set))) return in;
      } else if (set[1] == '-' && set + 2 < last) {
        set += 2;
        if (Byte(set - 2) <= c && c <= Byte(set)) return in;
      } else if (Byte(set) == c) {
        return in;
      }
    }
    return !in;
  }

  // Whether the byte at `s` fits the single-character item from `p` to `next`.
  bool Fits(const char* s, const char* p, const char* next) const {
    if (s >= end_) return false;
    const int c = Byte(s);
    switch (*p) {
      case '.':
        return true;
      case '%':
        return IsInClass(c, Byte(p + 1));
      case '[':
        return IsInSet(c, p, next - 1);
      default:
        return Byte(p) == c;
    }
  }

  const char* Longest(const char* s, const char* p, const char* next, ptrdiff_t least) {
    ptrdiff_t count = 0;
    while (Fits(s + count, p, next)) {
      ++count;
      Step();
    }
    for (; count >= least; --count) {
      const char* result = Try(s + count, next + 1);
      if (result != nullptr) return result;
    }
    return nullptr;
  }

  const char* Shortest(const char* s, const char* p, const char* next) {
    for (;;) {
      const char* result = Try(s, next + 1);
      if (result != nullptr) return result;
      if (!Fits(s, p, next)) return nullptr;
      ++s;
    }
  }

  const char* Open(const char* s, const char* p, ptrdiff_t what) {
    if (level_ >= kMaxCaptures) luaL_error(lua_, "too many captures");
    captures_[level_++] = {s, what};
    const char* result = Try(s, p);
    if (result == nullptr) --level_;
    return result;
  }

  const char* Close(const char* s, const char* p) {
    int open = level_ - 1;
    while (open >= 0 && captures_[open].length != kUnfinished) --open;
    if (open < 0) luaL_error(lua_, "invalid pattern capture");
    captures_[open].length = s - captures_[open].begin;
    const char* result = Try(s, p);
    if (result == nullptr) captures_[open].length = kUnfinished;
    return result;
  }

  const char* Balance(const char* s, const char* p) {
    if (p + 1 >= pattern_end_) luaL_error(lua_, "unbalanced pattern");
    if (s >= end_ || *s != *p) return nullptr;
    const char opening = p[0];
    const char closing = p[1];
    int open = 1;
    while (++s < end_) {
      Step();
      if (*s == closing) {
        if (--open == 0) return s + 1;
      } else if (*s == opening) {
        ++open;
      }
    }
    return nullptr;
  }

  // Moves *p behind the set.
  bool Frontier(const char* s, const char** p) {
    if (**p != '[') luaL_error(lua_, "missing '[' after '%%f' in pattern");
    const char* set = *p;
    const char* next = ItemEnd(set);
    *p = next;
    const int before = s == begin_ ? 0 : Byte(s - 1);
    const int here = s < end_ ? Byte(s) : 0;
    return !IsInSet(before, set, next - 1) && IsInSet(here, set, next - 1);
  }

  const char* BackReference(const char* s, int digit) {
    const int i = digit - '1';
    if (i < 0 || i >= level_ || captures_[i].length == kUnfinished) {
      luaL_error(lua_, "invalid capture index");
    }
    // That of a position has no text that could be found again.
    if (captures_[i].length < 0) return nullptr;
    const auto length = static_cast<size_t>(captures_[i].length);
    if (static_cast<size_t>(end_ - s) < length || std::memcmp(captures_[i].begin, s, length) != 0) {
      return nullptr;
    }
    return s + length;
  }

  lua_State* const lua_;
  const char* const begin_;
  const char* const end_;
  const char* const pattern_end_;
  int level_ = 0;
  int depth_ = 0;
  uint32_t steps_ = 0;
  Capture captures_[kMaxCaptures] = {};
};

std::string_view StringArg(lua_State* lua, int index) {
  size_t size;
  const char* bytes = luaL_checklstring(lua, index, &size);
  return {bytes, size};
}

// The argument `init` as an offset into the subject.
size_t StartArg(lua_State* lua, int index, size_t size) {
  lua_Integer init = luaL_optinteger(lua, index, 1);
  if (init < 0) init += static_cast<lua_Integer>(size) + 1;
  if (init < 1) return 0;
  return static_cast<size_t>(init - 1) > size ? size : static_cast<size_t>(init - 1);
}

int FindOrMatch(lua_State* lua, bool find) {
  const std::string_view subject = StringArg(lua, 1);
  const std::string_view pattern = StringArg(lua, 2);
  const size_t start = StartArg(lua, 3, subject.size());
  const char* begin = subject.data();
  const char* end = begin + subject.size();
  const char* s = begin + start;
  if (find && (lua_toboolean(lua, 4) != 0 || std::strpbrk(pattern.data(), kSpecials) == nullptr)) {
    const void* at = pattern.empty()
                         ? s
                         : memmem(s, static_cast<size_t>(end - s), pattern.data(), pattern.size());
    if (at == nullptr) {
      lua_pushnil(lua);
      return 1;
    }
    const ptrdiff_t offset = static_cast<const char*>(at) - begin;
    lua_pushinteger(lua, offset + 1);
    lua_pushinteger(lua, offset + static_cast<ptrdiff_t>(pattern.size()));
    return 2;
  }
  const char* p = pattern.data();
  const bool anchored = *p == '^';
  if (anchored) ++p;
  Matcher matcher(lua, subject, p);
  do {
    const char* e = matcher.Match(s, p);
    if (e == nullptr) continue;
    if (!find) return matcher.PushCaptures(s, e);
    lua_pushinteger(lua, s - begin + 1);
    lua_pushinteger(lua, e - begin);
    return matcher.PushCaptures(nullptr, nullptr) + 2;
  } while (s++ < end && !anchored);
  lua_pushnil(lua);
  return 1;
}

int Find(lua_State* lua) { return FindOrMatch(lua, true); }

int MatchFirst(lua_State* lua) { return FindOrMatch(lua, false); }

// Upvalues: subject, pattern, offset of the next try.
int NextMatch(lua_State* lua) {
  const std::string_view subject = StringArg(lua, lua_upvalueindex(1));
  const char* p = lua_tostring(lua, lua_upvalueindex(2));
  const auto start = static_cast<size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  Matcher matcher(lua, subject, p);
  const char* end = subject.data() + subject.size();
  for (size_t at = start; at <= subject.size(); ++at) {
    const char* s = subject.data() + at;
    const char* e = matcher.Match(s, p);
    if (e == nullptr) continue;
    // An empty match must not be found again.
    const ptrdiff_t next = (e == s ? e + 1 : e) - subject.data();
    lua_pushinteger(lua, next);
    lua_replace(lua, lua_upvalueindex(3));
    return matcher.PushCaptures(s, e <= end ? e : end);
  }
  return 0;
}

int MatchAll(lua_State* lua) {
  luaL_checkstring(lua, 1);
  luaL_checkstring(lua, 2);
  lua_settop(lua, 2);
  lua_pushinteger(lua, 0);
  lua_pushcclosure(lua, NextMatch, 3);
  return 1;
}

// The text that takes the place of a match, with %0 to %9 in it.
void AddText(lua_State* lua, Matcher* matcher, luaL_Buffer* out, const char* s, const char* e) {
  size_t size;
  const char* text = lua_tolstring(lua, 3, &size);
  for (size_t i = 0; i < size; ++i) {
    if (text[i] != '%') {
      luaL_addchar(out, text[i]);
      continue;
    }
    const char c = ++i < size ? text[i] : '\0';
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      luaL_addchar(out, c);
    } else if (c == '0') {
      luaL_addlstring(out, s, static_cast<size_t>(e - s));
    } else {
      matcher->PushCapture(c - '1', s, e);
      luaL_addvalue(out);
    }
  }
}

void AddReplacement(lua_State* lua, Matcher* matcher, luaL_Buffer* out, const char* s,
                    const char* e) {
  switch (lua_type(lua, 3)) {
    case LUA_TFUNCTION: {
      lua_pushvalue(lua, 3);
      const int count = matcher->PushCaptures(s, e);
      lua_call(lua, count, 1);
      break;
    }
    case LUA_TTABLE:
      matcher->PushCapture(0, s, e);
      lua_gettable(lua, 3);
      break;
    default:
      AddText(lua, matcher, out, s, e);
      return;
  }
  if (lua_toboolean(lua, -1) == 0) {
    lua_pop(lua, 1);
    lua_pushlstring(lua, s, static_cast<size_t>(e - s));
  } else if (lua_isstring(lua, -1) == 0) {
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  }
  luaL_addvalue(out);
}

int ReplaceAll(lua_State* lua) {
  const std::string_view subject = StringArg(lua, 1);
  const char* p = luaL_checkstring(lua, 2);
  const int type = lua_type(lua, 3);
  luaL_argcheck(
      lua,
      type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
      "string/function/table expected");
  const bool limited = !lua_isnoneornil(lua, 4);
  const lua_Integer most = luaL_optinteger(lua, 4, 0);
  const bool anchored = *p == '^';
  if (anchored) ++p;
  const char* s = subject.data();
  const char* end = s + subject.size();
  Matcher matcher(lua, subject, p);
  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  lua_Integer count = 0;
  while (!limited || count < most) {
    const char* e = matcher.Match(s, p);
    if (e != nullptr) {
      ++count;
      AddReplacement(lua, &matcher, &out, s, e);
    }
    if (e != nullptr && e > s) {
      s = e;
    } else if (s < end) {
      luaL_addchar(&out, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&out, s, static_cast<size_t>(end - s));
  luaL_pushresult(&out);
  lua_pushinteger(lua, count);
  return 2;
}

constexpr luaL_Reg kPatternFunctions[] = {
    {"find", Find},      {"match", MatchFirst}, {"gmatch", MatchAll},
    {"gfind", MatchAll}, {"gsub", ReplaceAll},
};

}  // namespace

void SetPatternFunctions(lua_State* lua) {
  for (const luaL_Reg& function : kPatternFunctions) {
    lua_pushcfunction(lua, function.func);
    lua_setfield(lua, -2, function.name);
  }
}

}  // namespace holdfast::script
