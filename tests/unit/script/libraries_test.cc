// cmsgpack and struct, against bytes that their formats' documents give.
#include "script/machine.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "base/sha1.h"
#include "script/cache.h"

namespace holdfast::script {
namespace {

class NoHost final : public ScriptHost {
 public:
  std::string_view Call(engine::Args, int, std::string*) override { return "none"; }
  bool Knows(engine::Args) override { return false; }
  std::string_view Interrupt() override { return {}; }
};

// The string that a script returns, or its error.
std::string Result(const std::string& body) {
  static Machine machine(uint64_t{64} << 20);
  auto script = std::make_shared<Script>(Sha1Hex(body), body, Shebang());
  REQUIRE(machine.Compile(script).empty());
  NoHost host;
  std::string reply;
  machine.Run(*script, Invocation(), &host, &reply);
  if (reply[0] != '$') return reply.substr(0, reply.find(" script: "));
  const size_t begin = reply.find("\r\n") + 2;
  return reply.substr(begin, reply.size() - begin - 2);
}

std::string Hex(const std::string& expression) {
  return Result("local s = " + expression +
                " return (string.gsub(s, '.', function(c) return string.format('%02x', "
                "string.byte(c)) end))");
}

TEST_CASE("cmsgpack writes the shortest form") {
  CHECK(Hex("cmsgpack.pack(0, 127, 128, 256, 65536, 4294967296)") ==
        "007fcc80cd0100ce00010000cf0000000100000000");
  CHECK(Hex("cmsgpack.pack(-1, -32, -33, -129, -32769, -2147483649)") ==
        "ffe0d0dfd1ff7fd2ffff7fffd3ffffffff7fffffff");
  CHECK(Hex("cmsgpack.pack(0.5, 0.1)") == "ca3f000000cb3fb999999999999a");
  CHECK(Hex("cmsgpack.pack(true, false, nil, 'ab')") == "c3c2c0a26162");
  CHECK(Hex("cmsgpack.pack({1, 2}, {}, {a = 1})") ==
        "92010290"
        "81a16101");
  CHECK(Hex("string.sub(cmsgpack.pack(string.rep('x', 32)), 1, 2)") == "d920");
  CHECK(Hex("string.sub(cmsgpack.pack(string.rep('x', 256)), 1, 3)") == "da0100");
  CHECK(Hex("string.sub(cmsgpack.pack(string.rep('x', 65536)), 1, 5)") == "db00010000");
}

TEST_CASE("cmsgpack reads what it wrote") {
  CHECK(Result("local v = cmsgpack.unpack(cmsgpack.pack({1, 'two', {x = {3.5, true}}, -77777})) "
               "return v[1] .. v[2] .. v[3].x[1] .. tostring(v[3].x[2]) .. v[4]") ==
        "1two3.5true-77777");
  CHECK(Result("local t = {} for i = 1, 70000 do t[i] = i end "
               "local u = cmsgpack.unpack(cmsgpack.pack(t)) return #u .. '/' .. u[70000]") ==
        "70000/70000");
  CHECK(Result("local a, b = cmsgpack.unpack_one(cmsgpack.pack(5, 6)) return a .. '/' .. b") ==
        "1/5");
  CHECK(Result("local a, b = cmsgpack.unpack_one(cmsgpack.pack(5, 6), 1) return a .. '/' .. b") ==
        "-1/6");
  CHECK(Result("local o, a, b = cmsgpack.unpack_limit(cmsgpack.pack(5, 6, 7), 2) "
               "return o .. '/' .. a .. b") == "2/56");
  // Deeper than that is nil.
  CHECK(Result("local a = {} a.x = a local s = cmsgpack.pack(a) return tostring(#s)") == "49");
}

TEST_CASE("cmsgpack refuses what is no MessagePack") {
  CHECK(Result("return cmsgpack.unpack('\\129')") == "-ERR user_script:1: Missing bytes in input.");
  CHECK(Result("return cmsgpack.unpack('\\193')") ==
        "-ERR user_script:1: Bad data format in input.");
  CHECK(Result("return cmsgpack.unpack('\\221\\255\\255\\255\\255')") ==
        "-ERR user_script:1: Missing bytes in input.");
  CHECK(Result("return cmsgpack.unpack(string.rep('\\145', 100000))") ==
        "-ERR user_script:1: Bad data format in input.");
  CHECK(Result("return cmsgpack.unpack('\\129\\192\\1')") ==
        "-ERR user_script:1: Bad data format in input.");
}

TEST_CASE("struct") {
  CHECK(Hex("struct.pack('>HI4', 1, 2)") == "000100000002");
  CHECK(Hex("struct.pack('<Hi2', 1, -2)") == "0100feff");
  CHECK(Hex("struct.pack('>bBx', -1, 255)") == "ffff00");
  CHECK(Hex("struct.pack('>i16', -2)") == "fffffffffffffffffffffffffffffffe");
  CHECK(Hex("struct.pack('s', 'ab')") == "616200");
  CHECK(Hex("struct.pack('>I2c0', 3, 'abc')") == "0003616263");
  CHECK(Hex("struct.pack('<d', 1)") == "000000000000f03f");
  CHECK(Hex("struct.pack('>f', 1)") == "3f800000");
  CHECK(Hex("struct.pack('!4bi4', 1, 2)") == "0100000002000000");
  CHECK(Result("local a, b, p = struct.unpack('>HI4', struct.pack('>HI4', 1, 70000)) "
               "return a .. '/' .. b .. '/' .. p") == "1/70000/7");
  CHECK(Result("local s, p = struct.unpack('>I2c0', '\\0\\3abcde') return s .. p") == "abc6");
  CHECK(Result("local a, p = struct.unpack('>i2', '\\255\\254', 1) return a .. '/' .. p") ==
        "-2/3");
  CHECK(Result("return tostring(struct.size('>HI4d'))") == "14");
  CHECK(Result("return struct.pack('z', 1)") ==
        "-ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'z')");
  CHECK(Result("return struct.unpack('>I4', 'ab')").find("data string too short") !=
        std::string::npos);
  CHECK(Result("return struct.unpack('>c0', 'ab')").find("needs a previous size") !=
        std::string::npos);
  CHECK(Result("return struct.pack('i33', 1)").find("limit of 32") != std::string::npos);
  CHECK(Result("return struct.unpack('>I4', 'abcd', 9)").find("offset is beyond") !=
        std::string::npos);
}

}  // namespace
}  // namespace holdfast::script
