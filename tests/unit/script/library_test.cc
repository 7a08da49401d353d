// Libraries of functions: their first line, their record, FUNCTION DUMP's payload, and their code
// in a machine.
#include "script/library.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "data/dump.h"
#include "script/machine.h"

namespace holdfast::script {
namespace {

class NoHost final : public ScriptHost {
 public:
  std::string_view Call(engine::Args args, int, std::string* reply) override {
    called = args[0];
    reply->append("+OK\r\n");
    return {};
  }
  bool Knows(engine::Args) override { return false; }
  std::string_view Interrupt() override {
    return ++points > points_allowed ? std::string_view("FUNCTION LOAD timeout")
                                     : std::string_view();
  }

  std::string called;
  int points = 0;
  int points_allowed = 1'000'000;
};

std::string NameOf(const std::string& code) {
  std::string name;
  const std::string wrong = ParseLibraryName(code, &name);
  return wrong.empty() ? name : "! " + wrong;
}

struct Loaded {
  explicit Loaded(const std::string& code) {
    auto made = std::make_shared<Library>();
    made->code = "#!lua name=lib\n" + code;
    made->name = "lib";
    wrong = machine.CheckLibrary(made->body(), &host, &made->functions);
    library = made;
    if (wrong.empty()) wrong = machine.LoadLibrary(library, &host);
  }

  std::string Call(size_t function, std::vector<std::string_view> keys = {},
                   std::vector<std::string_view> args = {}) {
    Invocation invocation;
    invocation.keys = keys;
    invocation.args = args;
    std::string reply;
    machine.Call(*library, function, invocation, &host, &reply);
    return reply;
  }

  NoHost host;
  Machine machine{uint64_t{64} << 20};
  std::shared_ptr<const Library> library;
  std::string wrong;
};

std::string WrongOf(const std::string& code) { return Loaded(code).wrong; }

TEST_CASE("the first line of a library") {
  CHECK(NameOf("#!lua name=mylib\n") == "mylib");
  CHECK(NameOf("#!LUA NAME=my_lib1\nreturn") == "my_lib1");
  CHECK(NameOf("#!lua name=\"foo\"\n") == "foo");
  CHECK(NameOf("#!lua name=foo\r\n") == "foo");
  CHECK(NameOf("return 1") == "! Missing library metadata");
  CHECK(NameOf("#!lua name=l") == "! Invalid library metadata");
  CHECK(NameOf("#!lua name=\"l\n") == "! Invalid library metadata");
  CHECK(NameOf(std::string("#!lua na\0me=l\n", 14)) == "! Invalid library metadata");
  CHECK(NameOf("#!lua\n") == "! Library name was not given");
  CHECK(NameOf("#!lua name=a name=b\n") ==
        "! Invalid metadata value, name argument was given multiple times");
  CHECK(NameOf("#!lua name=a foo=bar\n") == "! Invalid metadata value given: foo=bar");
  CHECK(NameOf("#!js name=a\n") == "! Engine 'js' not found");
  CHECK(NameOf("#! name=a\n") == "! Engine '' not found");
  CHECK(NameOf("#!lua name=a-b\n") == std::string("! ") + kBadFunctionName);
  CHECK(NameOf("#!lua name=\n") == std::string("! ") + kBadFunctionName);
}

TEST_CASE("a library's record gives the library back, and nothing else is one") {
  const Library library{"lib",
                        "#!lua name=lib\nredis.register_function('f', print)",
                        {{"f", std::nullopt, 0},
                         {"g", std::string("what it does\0", 13), kNoWrites | kAllowStale},
                         {"h", "", kAllowCrossSlotKeys}}};
  const std::string key = LibraryKey("lib");
  const std::string value = EncodeLibrary(library);
  Library read;
  REQUIRE(DecodeLibrary(key, value, &read).ok());
  CHECK(read == library);
  CHECK(read.body() == "\nredis.register_function('f', print)");
  for (size_t size = 0; size < value.size() - library.code.size() + 15; ++size) {
    CHECK_FALSE(DecodeLibrary(key, value.substr(0, size), &read).ok());
  }
  CHECK_FALSE(DecodeLibrary(LibraryKey("other"), value, &read).ok());
  CHECK_FALSE(DecodeLibrary("node/1", value, &read).ok());
  std::string newer = value;
  newer[0] = 2;
  CHECK(DecodeLibrary(key, newer, &read).code() == Code::kUnsupported);
  std::string unknown_flag = value;
  unknown_flag[4] = static_cast<char>(kNoShebang);
  CHECK_FALSE(DecodeLibrary(key, unknown_flag, &read).ok());
}

TEST_CASE("a payload of FUNCTION DUMP") {
  const Library one{"a", "#!lua name=a\nx", {}};
  const Library two{"b", "#!lua name=b\n" + std::string(20'000, 'y'), {}};
  const std::string payload = DumpLibraries({&one, &two});
  CHECK(payload.substr(0, 16) == "\xf5\x0e#!lua name=a\nx");
  std::vector<std::string> codes;
  REQUIRE(ReadLibraries(payload, &codes).empty());
  CHECK(codes == std::vector<std::string>{one.code, two.code});
  codes.clear();
  REQUIRE(ReadLibraries(DumpLibraries({}), &codes).empty());
  CHECK(codes.empty());
  const std::string wrong = "DUMP payload version or checksum are wrong";
  for (size_t i = 0; i < payload.size(); i += i < 40 || i + 40 > payload.size() ? 1 : 97) {
    std::string damaged = payload;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK(ReadLibraries(damaged, &codes) == wrong);
  }
  CHECK(ReadLibraries("", &codes) == wrong);
  std::string value("\x00\x01x", 3);
  data::AppendDumpFooter(&value);
  CHECK(ReadLibraries(value, &codes) == "given type is not a function");
  std::string cut("\xf5\x0e#!lua", 7);
  data::AppendDumpFooter(&cut);
  CHECK(ReadLibraries(cut, &codes) == "Failed loading library payload");
}

TEST_CASE("functions share their library's locals, and get keys and arguments as parameters") {
  Loaded l(R"(
local count = 0
local function add(n) count = count + n return count end
redis.register_function('first', function(keys, args) return {add(1), keys, args, #keys} end)
redis.register_function{function_name = 'second', callback = function() return add(10) end,
                        description = 'adds ten', flags = {'no-writes', 'ALLOW-OOM'}})");
  REQUIRE(l.wrong.empty());
  REQUIRE(l.library->functions.size() == 2);
  CHECK(l.library->functions[0] == Function{"first", std::nullopt, 0});
  CHECK(l.library->functions[1] == Function{"second", "adds ten", kNoWrites | kAllowOom});
  CHECK(l.Call(0, {"k"}, {"a", "b"}) ==
        "*4\r\n:1\r\n*1\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n");
  CHECK(l.Call(1) == ":11\r\n");
  l.machine.SweepLibraries([](const Library&) { return true; });
  CHECK(l.machine.HasLibrary(*l.library));
  l.machine.SweepLibraries([](const Library&) { return false; });
  CHECK_FALSE(l.machine.HasLibrary(*l.library));
  // Compiled again, it begins anew.
  CHECK(l.machine.LoadLibrary(l.library, &l.host).empty());
  CHECK(l.Call(1) == ":10\r\n");
}

TEST_CASE("what a function finds is what a script finds") {
  Loaded l(R"(
redis.register_function('keys', function() return KEYS end)
redis.register_function('call', function() return redis.call('get', 'k') end)
redis.register_function('set', function() x = 1 end)
redis.register_function('register', function() return redis.register_function('y', function() end) end)
local api = redis
redis.register_function('hack', function() return api.register_function('y', function() end) end)
redis.register_function('change', function() api.math = math end)
redis.register_function('math', function() return _G.math.floor(1.5) end))");
  REQUIRE(l.wrong == "");
  // Not even behind a script with keys.
  const auto script = std::make_shared<Script>("sha", "return 1", Shebang());
  REQUIRE(l.machine.Compile(script).empty());
  Invocation invocation;
  const std::vector<std::string_view> keys{"a"};
  invocation.keys = keys;
  std::string reply;
  l.machine.Run(*script, invocation, &l.host, &reply);
  CHECK(l.Call(0) ==
        "-ERR user_function:3: Script attempted to access nonexistent global variable 'KEYS' "
        "script: keys, on @user_function:3.\r\n");
  CHECK(l.Call(1) == "+OK\r\n");
  CHECK(l.host.called == "get");
  CHECK(l.Call(2).find("user_function:5: Attempt to modify a readonly table") != std::string::npos);
  CHECK(l.Call(3).find("attempt to call field 'register_function' (a nil value)") !=
        std::string::npos);
  CHECK(l.Call(4).find("redis.register_function can only be called on FUNCTION LOAD command") !=
        std::string::npos);
  CHECK(l.Call(5).find("Attempt to modify a readonly table") != std::string::npos);
  CHECK(l.Call(6) == ":1\r\n");
}

TEST_CASE("what is wrong with a library") {
  const std::string registering = "Error registering functions: ERR ";
  const std::string missing =
      registering + "user_function:2: Script attempted to access nonexistent global variable ";
  CHECK(WrongOf("") == "No functions registered");
  CHECK(WrongOf("bad script") ==
        "Error compiling function: user_function:2: '=' expected near 'script'");
  CHECK(WrongOf("return math.random()") == missing + "'math'");
  CHECK(WrongOf("redis.call('ping')") == missing + "'call'");
  CHECK(WrongOf("redis.redis.call('ping')") == missing + "'redis'");
  CHECK(WrongOf("mt = getmetatable(_G)") == missing + "'getmetatable'");
  CHECK(WrongOf("a = 1") == registering + "user_function:2: Attempt to modify a readonly table");
  CHECK(WrongOf("redis.x = 1") ==
        registering + "user_function:2: Attempt to modify a readonly table");
  const auto wrong_arguments = [&](const std::string& arguments) {
    const std::string wrong = WrongOf("redis.register_function" + arguments);
    REQUIRE(wrong.starts_with(registering));
    return wrong.substr(registering.size());
  };
  const std::string count = "wrong number of arguments to redis.register_function";
  CHECK(wrong_arguments("()") == count);
  CHECK(wrong_arguments("('f', 1, 2)") == count);
  CHECK(wrong_arguments("('f')") ==
        "calling redis.register_function with a single argument is only applicable to Lua table "
        "(representing named arguments).");
  CHECK(wrong_arguments("(nil, function() end)") ==
        "first argument to redis.register_function must be a string");
  CHECK(wrong_arguments("('f', 'g')") ==
        "second argument to redis.register_function must be a function");
  CHECK(wrong_arguments("('f-g', function() end)") == kBadFunctionName);
  CHECK(wrong_arguments("{callback = function() end}") ==
        "redis.register_function must get a function name argument");
  CHECK(wrong_arguments("{function_name = 'f'}") ==
        "redis.register_function must get a callback argument");
  CHECK(wrong_arguments("{function_name = {}}") ==
        "function_name argument given to redis.register_function must be a string");
  CHECK(wrong_arguments("{callback = 1}") ==
        "callback argument given to redis.register_function must be a function");
  CHECK(wrong_arguments("{description = {}}") ==
        "description argument given to redis.register_function must be a string");
  CHECK(wrong_arguments("{flags = 'no-writes'}") ==
        "flags argument to redis.register_function must be a table representing function flags");
  CHECK(wrong_arguments("{flags = {'no-reads'}}") == "unknown flag given");
  CHECK(wrong_arguments("{flags = {{}}}") == "unknown flag given");
  CHECK(wrong_arguments("{5}") == "unknown argument given to redis.register_function");
  CHECK(wrong_arguments("{what = 5}") == "unknown argument given to redis.register_function");
  CHECK(wrong_arguments("{[{}] = 5}") ==
        "named argument key given to redis.register_function is not a string");
  CHECK(WrongOf("redis.register_function('f', function() end)\n"
                "redis.register_function('F', function() end)") ==
        registering + "Function already exists in the library");
}

TEST_CASE("a library's code may not take long, nor all of memory") {
  Machine machine{uint64_t{16} << 20};
  NoHost host;
  host.points_allowed = 100;
  std::vector<Function> functions;
  CHECK(machine.CheckLibrary("\nwhile true do end", &host, &functions) ==
        "Error registering functions: ERR FUNCTION LOAD timeout");
  host.points_allowed = 1'000'000;
  CHECK(machine.CheckLibrary("\nlocal t = {} while true do t[#t + 1] = {t} end", &host,
                             &functions) == "Error registering functions: not enough memory");
  // It is as good as before.
  CHECK(machine.CheckLibrary("\nredis.register_function('f', function() end)", &host, &functions)
            .empty());
  CHECK(functions.size() == 1);
}

}  // namespace
}  // namespace holdfast::script
