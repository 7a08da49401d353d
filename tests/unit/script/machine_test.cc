// Scripts in a machine of their own, with a host that answers what the test says.
#include "script/machine.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/sha1.h"
#include "script/shebang.h"

namespace holdfast::script {
namespace {

class FakeHost final : public ScriptHost {
 public:
  std::string_view Call(engine::Args args, int protocol, std::string* reply) override {
    calls.emplace_back();
    for (const std::string_view arg : args) calls.back().emplace_back(arg);
    last_protocol = protocol;
    reply->append(answer);
    return refusal;
  }
  bool Knows(engine::Args args) override { return args[0] == "get"; }
  std::string_view Interrupt() override {
    return ++points > points_allowed ? std::string_view("enough") : std::string_view();
  }

  std::string answer = "+OK\r\n";
  std::string refusal;
  int last_protocol = 0;
  int points = 0;
  int points_allowed = 1'000'000;
  std::vector<std::vector<std::string>> calls;
};

class Fixture {
 public:
  explicit Fixture(uint64_t memory = uint64_t{64} << 20) : machine(memory) {}

  std::string Run(const std::string& body, std::vector<std::string_view> keys = {},
                  std::vector<std::string_view> args = {}, int protocol = 2) {
    Shebang shebang;
    std::string wrong = ParseShebang(body, &shebang);
    if (!wrong.empty()) return wrong;
    auto script = std::make_shared<Script>(Sha1Hex(body), body, shebang);
    wrong = machine.Compile(script);
    if (!wrong.empty()) return wrong;
    Invocation invocation;
    invocation.keys = keys;
    invocation.args = args;
    invocation.protocol = protocol;
    invocation.max_reply_bytes = max_reply_bytes;
    std::string reply;
    machine.Run(*script, invocation, &host, &reply);
    CHECK_FALSE(machine.busy());
    return reply;
  }

  // The error's text without "script: …".
  std::string Error(const std::string& body) {
    const std::string reply = Run(body);
    REQUIRE(reply.starts_with("-"));
    return reply.substr(1, reply.find(" script: ") - 1);
  }

  FakeHost host;
  Machine machine;
  size_t max_reply_bytes = SIZE_MAX;
};

TEST_CASE("what scripts return becomes a reply") {
  Fixture f;
  CHECK(f.Run("return 7") == ":7\r\n");
  CHECK(f.Run("return 3.99") == ":3\r\n");
  CHECK(f.Run("return 1e300") == ":-9223372036854775808\r\n");
  CHECK(f.Run("return 'a\\0b'") == std::string("$3\r\na\0b\r\n", 9));
  CHECK(f.Run("return true") == ":1\r\n");
  CHECK(f.Run("return false") == "$-1\r\n");
  CHECK(f.Run("return nil", {}, {}, 3) == "_\r\n");
  CHECK(f.Run("return {1, {2, 'x'}, nil, 4}") == "*2\r\n:1\r\n*2\r\n:2\r\n$1\r\nx\r\n");
  CHECK(f.Run("return {ok = 'fine'}") == "+fine\r\n");
  CHECK(f.Run("return {err = 'My text'}") == "-My text\r\n");
  CHECK(f.Run("return redis.error_reply('text')") == "-ERR text\r\n");
  CHECK(f.Run("return redis.error_reply('-CODE text')") == "-CODE text\r\n");
  CHECK(f.Run("return {double = 0.5}", {}, {}, 3) == ",0.5\r\n");
  CHECK(f.Run("return {big_number = '1\\r\\n:2'}", {}, {}, 3) == "(1  :2\r\n");
  CHECK(f.Run("return {big_number = '1\\r\\n:2'}") == "$5\r\n1  :2\r\n");
  CHECK(f.Run("return {map = {a = 1}}", {}, {}, 3) == "%1\r\n$1\r\na\r\n:1\r\n");
  CHECK(f.Run("return {map = {a = 1}}") == "*2\r\n$1\r\na\r\n:1\r\n");
  CHECK(f.Run("return {set = {a = true}}", {}, {}, 3) == "~1\r\n$1\r\na\r\n");
  CHECK(f.Run("return {big_number = '12'}", {}, {}, 3) == "(12\r\n");
  CHECK(f.Run("return {verbatim_string = {format = 'txt', string = 'ab'}}", {}, {}, 3) ==
        "=6\r\ntxt:ab\r\n");
  CHECK(f.Run("redis.setresp(3) return true", {}, {}, 3) == "#t\r\n");
  CHECK(f.Run("return {KEYS[1], ARGV[2], #ARGV}", {"k"}, {"a", "b"}) ==
        "*3\r\n$1\r\nk\r\n$1\r\nb\r\n:2\r\n");
}

TEST_CASE("replies become values") {
  Fixture f;
  const auto after = [&f](std::string answer, const std::string& body) {
    f.host.answer = std::move(answer);
    return f.Run(body);
  };
  CHECK(after(":5\r\n", "return redis.call('x') + 1") == ":6\r\n");
  CHECK(after("$-1\r\n", "return tostring(redis.call('x'))") == "$5\r\nfalse\r\n");
  CHECK(after("*-1\r\n", "return tostring(redis.call('x'))") == "$5\r\nfalse\r\n");
  CHECK(after("*2\r\n$1\r\na\r\n*1\r\n:9\r\n", "return redis.call('x')[2][1]") == ":9\r\n");
  CHECK(after("+PONG\r\n", "return redis.call('x').ok") == "$4\r\nPONG\r\n");
  CHECK(after("-WRONG no\r\n", "return redis.pcall('x').err") == "$8\r\nWRONG no\r\n");
  CHECK(after("%1\r\n$1\r\na\r\n:3\r\n", "redis.setresp(3) return redis.call('x').map.a") ==
        ":3\r\n");
  CHECK(f.host.last_protocol == 3);
  CHECK(after("~1\r\n$1\r\na\r\n", "return tostring(redis.call('x').set.a)") == "$4\r\ntrue\r\n");
  CHECK(f.host.last_protocol == 2);
  CHECK(after(",1.5\r\n", "return redis.call('x').double * 2") == ":3\r\n");
  CHECK(after("_\r\n", "return tostring(redis.call('x'))") == "$3\r\nnil\r\n");
  CHECK(after("#f\r\n", "return tostring(redis.call('x'))") == "$5\r\nfalse\r\n");
  CHECK(after("(99\r\n", "return redis.call('x').big_number") == "$2\r\n99\r\n");
  CHECK(after("=6\r\ntxt:ab\r\n", "return redis.call('x').verbatim_string.string") ==
        "$2\r\nab\r\n");
}

TEST_CASE("arguments of redis.call") {
  Fixture f;
  f.Run("redis.call('set', 'k', 3.0, 1e15, 0.1)");
  CHECK(f.host.calls.back() ==
        std::vector<std::string>{"set", "k", "3", "1000000000000000", "0.10000000000000001"});
  CHECK(f.Error("redis.call()") ==
        "ERR Please specify at least one argument for this redis lib call");
  CHECK(f.Error("redis.call({})") ==
        "ERR Lua redis lib command arguments must be strings or integers");
  f.host.refusal = "no such thing";
  CHECK(f.Error("redis.call('x')") == "ERR no such thing");
  f.host.refusal.clear();
  // Nearly all that Lua's stack takes.
  f.host.answer = ":1\r\n";
  CHECK(f.Run("local a = {} for i = 1, 7990 do a[i] = i end return redis.call('x', unpack(a))") ==
        ":1\r\n");
  CHECK(f.host.calls.back().size() == 7991);
}

TEST_CASE("errors say where") {
  Fixture f;
  const std::string body = "\nlocal a = nil\nreturn a.b";
  CHECK(f.Run(body) == "-ERR user_script:3: attempt to index local 'a' (a nil value) script: " +
                           Sha1Hex(body) + ", on @user_script:3.\r\n");
  f.host.answer = "-ERR value is wrong\r\n";
  const std::string call = "redis.call('x')";
  CHECK(f.Run(call) == "-ERR value is wrong script: " + Sha1Hex(call) + ", on @user_script:1.\r\n");
  CHECK(f.Error("error({err = 'CODE mine'})") == "CODE mine");
  CHECK(f.Error("error({})").starts_with("ERR"));
  CHECK(f.Run("xx yy") == "user_script:1: '=' expected near 'yy'");
  CHECK(f.Error("local function f() return 1 + f() end f()") ==
        "ERR user_script:1: stack overflow");
}

TEST_CASE("nothing global can be changed") {
  Fixture f;
  const std::string refused = "ERR user_script:1: Attempt to modify a readonly table";
  for (const char* body :
       {"x = 1", "_G.x = 1", "_G = {}", "redis = 1", "redis.call = 1", "string.x = 1",
        "cjson.encode = 1", "getmetatable('').__index = 1", "getmetatable(_G).__index = {}",
        "getmetatable(getmetatable(_G)).__index = 1", "KEYS = 1"}) {
    CAPTURE(body);
    CHECK(f.Error(body) == refused);
  }
  for (const char* body :
       {"rawset(_G, 'x', 1)", "setmetatable(_G, {})", "table.insert(_G, 1)", "table.sort(math)",
        "setmetatable(redis, nil)", "table.remove(string)", "rawset(getmetatable(_G), 'a', 1)"}) {
    CAPTURE(body);
    CHECK(f.Error(body) == "ERR Attempt to modify a readonly table");
  }
  CHECK(f.Error("return foo") ==
        "ERR user_script:1: Script attempted to access nonexistent global variable 'foo'");
  for (const char* name : {"print", "dofile", "loadfile", "require", "io", "debug", "getfenv",
                           "setfenv", "newproxy", "module", "package"}) {
    CAPTURE(name);
    CHECK(f.Error(std::string("return ") + name)
              .ends_with("nonexistent global variable '" + std::string(name) + "'"));
  }
  CHECK(f.Run("return type(os.clock()) .. type(os.time)") == "$9\r\nnumbernil\r\n");
  // They can be looked at.
  CHECK(f.Run("local n = 0 for k, v in pairs(redis) do n = n + 1 end return n > 20") == ":1\r\n");
  CHECK(f.Run("return type(next(_G)) .. type(rawget(math, 'pi'))") == "$12\r\nstringnumber\r\n");
  // What a script has of its own it can change.
  CHECK(f.Run("local t = setmetatable({}, {__index = {a = 5}}) table.insert(t, 1) return t.a") ==
        ":5\r\n");
}

TEST_CASE("bytecode is not loaded") {
  Fixture f;
  CHECK(f.Run("return type(loadstring(string.dump(function() return 1 end)))") == "$3\r\nnil\r\n");
  CHECK(f.Run("local sent = false return type(load(function() if sent then return nil end "
              "sent = true return '\\27Lua' end))") == "$3\r\nnil\r\n");
  CHECK(f.Run("\x1bLuaQ").starts_with("user_script:1: unexpected symbol"));
  CHECK(f.Run("return loadstring('return 1 + 1')()") == ":2\r\n");
  CHECK(f.Error("loadstring('y = 1')()").ends_with("Attempt to modify a readonly table"));
}

TEST_CASE("the host can end every script") {
  for (const char* body :
       {"while true do end", "while true do pcall(function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "string.gsub('aaa', 'a', function() while true do end end)",
        "while true do redis.pcall('x') end",
        "string.find(string.rep('a', 30), string.rep('a?', 30) .. string.rep('a', 31))",
        "string.gsub(string.rep('a', 100), '.-.-.-.-.-.-.-.-b', '')"}) {
    CAPTURE(body);
    Fixture f;
    f.host.points_allowed = 3;
    CHECK(f.Error(body) == "ERR enough");
    // It leaves nothing behind.
    f.host.points_allowed = 1'000'000;
    CHECK(f.Run("local n = 0 for i = 1, 10000 do n = n + 1 end return n") == ":10000\r\n");
  }
}

TEST_CASE("patterns") {
  Fixture f;
  const auto text = [&f](const std::string& expression) {
    const std::string reply = f.Run("local r = {" + expression +
                                    "} for i = 1, 9 do r[i] = tostring(r[i]) end "
                                    "return table.concat(r, ',', 1, 4)");
    return reply[0] == '$'
               ? reply.substr(reply.find('\n') + 1, reply.rfind('\r') - reply.find('\n') - 1)
               : reply.substr(0, reply.find(" script: "));
  };
  CHECK(text("string.find('hello world', 'o w')") == "5,7,nil,nil");
  CHECK(text("string.find('a.b', '.', 1, true)") == "2,2,nil,nil");
  CHECK(text("string.find('a\\0b', 'b')") == "3,3,nil,nil");
  CHECK(text("string.find('abc', '', 10)") == "4,3,nil,nil");
  CHECK(text("string.find('abc', 'b', -1)") == "nil,nil,nil,nil");
  CHECK(text("string.find('key = value', '(%w+)%s*=%s*(%w+)')") == "1,11,key,value");
  CHECK(text("string.match('  trim  ', '^%s*(.-)%s*$')") == "trim,nil,nil,nil");
  CHECK(text("string.match('2024-05-06', '(%d+)-(%d+)-(%d+)')") == "2024,05,06,nil");
  CHECK(text("string.match('abc', '()b()')") == "2,3,nil,nil");
  CHECK(text("string.match('f(a(b)c)d', '%b()')") == "(a(b)c),nil,nil,nil");
  CHECK(text("string.match('THE (quick) fox', '%f[%a]%a+', 5)") == "quick,nil,nil,nil");
  CHECK(text("string.match('say \"hi\"', '([\"x])(.-)%1')") == "\",hi,nil,nil");
  CHECK(text("string.match('x]y-z', '[]]')") == "],nil,nil,nil");
  CHECK(text("string.match('x^y-z', '[a%-^]+')") == "^,nil,nil,nil");
  CHECK(text("string.match('a-z', '[^%a]')") == "-,nil,nil,nil");
  CHECK(text("string.match('aaa', 'a-$')") == "aaa,nil,nil,nil");
  CHECK(text("string.match('colour', 'colou?r')") == "colour,nil,nil,nil");
  CHECK(text("string.gsub('hello world', 'o', '0')") == "hell0 w0rld,2,nil,nil");
  CHECK(text("string.gsub('hello', '', '-')") == "-h-e-l-l-o-,6,nil,nil");
  CHECK(text("string.gsub('abc', '%w', '%0%0', 2)") == "aabbc,2,nil,nil");
  CHECK(text("string.gsub('a b', '(%w) (%w)', '%2 %1')") == "b a,1,nil,nil");
  CHECK(text("string.gsub('$x $y', '%$(%w)', {x = 'one'})") == "one $y,2,nil,nil");
  CHECK(text("string.gsub('abc', '^a', function(c) return c .. '!' end)") == "a!bc,1,nil,nil");
  CHECK(text("(function() local r = {} for k, v in string.gmatch('a=1,b=2', '(%w)=(%w)') do "
             "r[#r + 1] = k .. v end return table.concat(r, ' ') end)()") == "a1 b2,nil,nil,nil");
  CHECK(text("(function() local n = 0 for w in ('one two'):gmatch('%a*') do n = n + 1 end "
             "return n end)()") == "4,nil,nil,nil");
  CHECK(text("pcall(string.find, 'a', '[a')") == "false,malformed pattern (missing ']'),nil,nil");
  CHECK(text("pcall(string.find, 'a', '%')") == "false,malformed pattern (ends with '%'),nil,nil");
  CHECK(text("pcall(string.find, 'a', '(a')") == "false,unfinished capture,nil,nil");
  CHECK(text("pcall(string.match, 'a', 'a)')") == "false,invalid pattern capture,nil,nil");
  CHECK(text("pcall(string.rep, 'a', 1e10)").starts_with("false,"));
  CHECK(text("pcall(string.find, string.rep('a', 300000), string.rep('a?', 300000))") ==
        "false,pattern too complex,nil,nil");
  CHECK(text("string.find(string.rep('a', 300000), string.rep('a', 300000) .. '$')") ==
        "1,300000,nil,nil");
  CHECK(text("pcall(table.insert, {}, -2147483647, 1)").starts_with("false,"));
}

TEST_CASE("memory is limited") {
  Fixture f(uint64_t{8} << 20);
  CHECK(f.Run("local t = {} for i = 1, 1e7 do t[i] = 'x' .. i end").find("not enough memory") !=
        std::string::npos);
  CHECK(f.Run("return string.rep('x', 100000000)").find("not enough memory") != std::string::npos);
  // Garbage doesn't count.
  CHECK(f.Run("local s for i = 1, 200000 do s = string.rep('x', 1000) .. i end return 1") ==
        ":1\r\n");
  f.max_reply_bytes = 1000;
  CHECK(f.Run("local t = {} for i = 1, 100000 do t[i] = 'x' end return t") ==
        "-ERR the reply of the script is too large\r\n");
}

TEST_CASE("tables that contain themselves") {
  Fixture f;
  const std::string reply = f.Run("local a = {} local b = {a} a[1] = b return a");
  CHECK(reply.starts_with("*1\r\n*1\r\n"));
  CHECK(reply.ends_with("-ERR reached lua stack limit\r\n"));
}

TEST_CASE("redis.*") {
  Fixture f;
  CHECK(f.Run("return redis.sha1hex('')") == "$40\r\n" + Sha1Hex("") + "\r\n");
  CHECK(f.Error("redis.sha1hex()") == "ERR wrong number of arguments");
  CHECK(f.Error("redis.log(1)") == "ERR redis.log() requires two arguments or more.");
  CHECK(f.Error("redis.setresp(4)") == "ERR RESP version must be 2 or 3.");
  CHECK(f.Run("return redis.acl_check_cmd('get', 'a')") == ":1\r\n");
  CHECK(f.Error("redis.acl_check_cmd('foo')") ==
        "ERR Invalid command passed to redis.acl_check_cmd()");
  CHECK(f.Run("return redis.breakpoint()") == "$-1\r\n");
  CHECK(f.Run("return redis.replicate_commands()") == ":1\r\n");
  CHECK(f.Run("return redis.REDIS_VERSION_NUM") == ":458767\r\n");
}

TEST_CASE("random numbers go on, unless they are seeded") {
  Fixture f;
  const std::string body = "return tostring(math.random())";
  CHECK(f.Run(body) != f.Run(body));
  const std::string seeded = "math.randomseed(7) return tostring(math.random(1000000))";
  CHECK(f.Run(seeded) == f.Run(seeded));
  CHECK(f.Run("for i = 1, 1000 do local r = math.random(5, 9) if r < 5 or r > 9 then return 0 end "
              "end return 1") == ":1\r\n");
}

TEST_CASE("cjson, bit") {
  Fixture f;
  CHECK(f.Run("return cjson.encode({1, 2, {a = 'x'}})") == "$15\r\n[1,2,{\"a\":\"x\"}]\r\n");
  CHECK(f.Run("return cjson.decode('{\"a\":[1,2]}').a[2]") == ":2\r\n");
  CHECK(f.Run("return bit.band(12, 10)") == ":8\r\n");
}

TEST_CASE("what cjson writes is within the limit of memory, too") {
  Fixture f(uint64_t{16} << 20);
  // A few bytes of Lua's, and 2 GB of text.
  const std::string many = "local s, t = string.rep('x', 1e6), {} for i = 1, 2000 do t[i] = s end ";
  CHECK(f.Error(many + "return #cjson.encode(t)") == "ERR user_script:1: not enough memory");
  CHECK(f.Error(many + "return #cjson.new().encode(t)") == "ERR user_script:1: not enough memory");
  CHECK(f.Error("cjson.encode_sparse_array(false, 0) return #cjson.encode({[1e9] = 1})") ==
        "ERR user_script:1: not enough memory");
  CHECK(f.Run("cjson.encode_sparse_array(true, 2, 10) return cjson.encode({[1e9] = 1})") ==
        "$16\r\n{\"1000000000\":1}\r\n");
  CHECK(f.Run("return #cjson.encode({string.rep('x', 1e6)})") == ":1000004\r\n");
  CHECK(f.Error("cjson.encode()") ==
        "ERR user_script:1: bad argument #1 to 'encode' (expected 1 "
        "argument)");
}

TEST_CASE("sorting can be interrupted, and sorts") {
  Fixture f;
  const std::string sort =
      "local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 20011 end table.sort(t) ";
  CHECK(f.Run(sort + "for i = 2, #t do if t[i - 1] > t[i] then return 0 end end return #t") ==
        ":20000\r\n");
  CHECK(f.Run("local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t") ==
        "*3\r\n:3\r\n:2\r\n:1\r\n");
  CHECK(f.Error("local t = {1, 'x'} table.sort(t)").starts_with("ERR attempt to compare"));
  CHECK(f.Error("table.sort(string)") == "ERR Attempt to modify a readonly table");
  f.host.points = 0;
  const std::string fill =
      "local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 20011 end return 1";
  CHECK(f.Run(fill) == ":1\r\n");
  // Enough to fill the table, not to sort it.
  f.host.points_allowed = f.host.points + 50;
  f.host.points = 0;
  CHECK(f.Error(sort) == "ERR enough");
}

TEST_CASE("first lines") {
  Shebang shebang;
  CHECK(ParseShebang("return 1", &shebang).empty());
  CHECK(shebang.flags == kNoShebang);
  CHECK(ParseShebang("#!lua\nreturn 1", &shebang).empty());
  CHECK(shebang.flags == 0);
  CHECK(shebang.code == 5);
  CHECK(ParseShebang("#!lua flags=no-writes,allow-stale\n", &shebang).empty());
  CHECK(shebang.flags == (kNoWrites | kAllowStale));
  CHECK(ParseShebang("#!lua", &shebang) == "Invalid script shebang");
  CHECK(ParseShebang("#!foo\n", &shebang) == "Unexpected engine in script shebang: #!foo");
  CHECK(ParseShebang("#!lua a=b\n", &shebang) == "Unknown lua shebang option: a=b");
  CHECK(ParseShebang("#!lua flags=x\n", &shebang) == "Unexpected flag in script shebang: x");
}

}  // namespace
}  // namespace holdfast::script
