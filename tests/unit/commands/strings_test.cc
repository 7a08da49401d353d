#include <limits>
#include <string>

#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

TEST_CASE("SET's options are those of Redis") {
  Bench bench;
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("SET k w NX") == "nil");
  CHECK(bench.Do("SET k w XX GET") == "\"v\"");
  CHECK(bench.Do("SET new w XX") == "nil");
  CHECK(bench.Do("SET new w NX GET") == "nil");
  CHECK(bench.Do("GET new") == "\"w\"");
  CHECK(bench.Do("SET k v EX 10") == "OK");
  CHECK(bench.Do("TTL k") == "10");
  CHECK(bench.Do("SET k v KEEPTTL") == "OK");
  CHECK(bench.Do("TTL k") == "10");
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("TTL k") == "-1");
  CHECK(bench.Do("SET k v EX 1 EX 20") == "OK");
  CHECK(bench.Do("TTL k") == "20");
  for (const char* bad :
       {"SET k v NX XX", "SET k v EX", "SET k v EX 1 PX 1", "SET k v KEEPTTL EX 1",
        "SET k v PERSIST", "SET k v zz", "SET k v IFEQ", "SET k v IFEQ a NX",
        "SET k v IFEQ a IFEQ a", "SET k v FENCE", "SET k v FENCE 1 FENCE 2"}) {
    CAPTURE(bad);
    CHECK(bench.Do(bad) == "(error) ERR syntax error");
  }
  CHECK(bench.Do("SET k v EX x") == "(error) ERR value is not an integer or out of range");
  for (const char* bad : {"SET k v EX 0", "SET k v PX -1", "SET k v EX 9223372036854776",
                          "SET k v PX 9223372036854775807", "SET k v EXAT -5"}) {
    CAPTURE(bad);
    CHECK(bench.Do(bad) == "(error) ERR invalid expire time in 'set' command");
  }
  CHECK(bench.Do("PSETEX k 0 v") == "(error) ERR invalid expire time in 'psetex' command");
  CHECK(bench.Do("TTL k") == "20");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a time in the past deletes") {
  Bench bench;
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("SET k w PXAT 1") == "OK");
  CHECK(bench.Do("EXISTS k") == "0");
  CHECK(bench.Do("SET k w PXAT 1") == "OK");
  CHECK(bench.Do("DBSIZE") == "0");
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("GETEX k EXAT 1") == "\"v\"");
  CHECK(bench.Do("DBSIZE") == "0");
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("EXPIRE k -1") == "1");
  CHECK(bench.Do("DBSIZE") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("an expired key is gone for whoever looks, and its deletion is in the log") {
  Bench bench;
  CHECK(bench.Do("SET k v PX 100") == "OK");
  bench.AdvanceUnnoticed(99);
  CHECK(bench.Do("GET k") == "\"v\"");
  bench.AdvanceUnnoticed(1);
  const uint64_t effects = bench.effects();
  CHECK(bench.Do("GET k") == "nil");
  CHECK(bench.effects() == effects + 1);
  CHECK(bench.FollowerAgrees());
  CHECK(bench.Do("SETNX k w") == "1");
  CHECK(bench.Do("TTL k") == "-1");
}

TEST_CASE("APPEND and SETRANGE on a large value log what they write") {
  Bench bench;
  const std::string large(1 << 20, 'x');
  CHECK(bench.Run({"SET", "k", large}) == "OK");
  const uint64_t before = bench.log_bytes();
  CHECK(bench.Do("APPEND k tail") == std::to_string(large.size() + 4));
  CHECK(bench.Do("SETRANGE k 1000 middle") == std::to_string(large.size() + 4));
  CHECK(bench.Do("SETBIT k 8000001 1") == "1");
  CHECK(bench.Do("SETBIT k 8000001 0") == "1");
  CHECK(bench.Do("BITFIELD k SET u8 #5000 7") == "[120]");
  CHECK(bench.Do("SETRANGE far 500000000 x") == "500000001");
  CHECK(bench.log_bytes() - before < 1000);
  CHECK(bench.Do("GETRANGE k 998 1007") == "\"xxmiddlexx\"");
  CHECK(bench.Do("GETRANGE k -5 -1") == "\"xtail\"");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("the limit of a string's length") {
  Bench bench;
  static constexpr char kTooLong[] =
      "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)";
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("SETRANGE k 536870912 x") == kTooLong);
  CHECK(bench.Do("SETRANGE k 9223372036854775807 x") == kTooLong);
  CHECK(bench.Do("SETRANGE missing 9223372036854775807 x") == kTooLong);
  CHECK(bench.Do("SETRANGE missing -1 x") == "(error) ERR offset is out of range");
  CHECK(bench.Run({"SETRANGE", "missing", "1", ""}) == "0");
  CHECK(bench.Do("EXISTS missing") == "0");
  bench.mutable_config().max_bulk_bytes = 8;
  CHECK(bench.Do("APPEND k 1234567") == "8");
  CHECK(bench.Do("APPEND k 8") == kTooLong);
  CHECK(bench.Do("STRLEN k") == "8");
}

TEST_CASE("counters") {
  Bench bench;
  CHECK(bench.Do("INCR n") == "1");
  CHECK(bench.Do("DECRBY n 11") == "-10");
  CHECK(bench.Do("EXPIRE n 100") == "1");
  CHECK(bench.Do("INCRBY n 20") == "10");
  CHECK(bench.Do("TTL n") == "100");
  CHECK(bench.Do("SET n 9223372036854775807") == "OK");
  CHECK(bench.Do("INCR n") == "(error) ERR increment or decrement would overflow");
  CHECK(bench.Do("DECRBY n -9223372036854775808") == "(error) ERR decrement would overflow");
  CHECK(bench.Do("GET n") == "\"9223372036854775807\"");
  for (const char* text : {"", " 1", "1 ", "01", "+1", "1.0", "9223372036854775808"}) {
    CHECK(bench.Run({"SET", "n", text}) == "OK");
    CHECK(bench.Do("INCR n") == "(error) ERR value is not an integer or out of range");
  }
  CHECK(bench.Do("SET f 3.0e3") == "OK");
  CHECK(bench.Do("INCRBYFLOAT f 200") == "\"3200\"");
  CHECK(bench.Do("INCRBYFLOAT f -3200") == "\"0\"");
  CHECK(bench.Do("INCRBYFLOAT f 0.1") == "\"0.1\"");
  CHECK(bench.Do("INCRBYFLOAT f +inf") == "(error) ERR increment would produce NaN or Infinity");
  CHECK(bench.Do("INCRBYFLOAT f x") == "(error) ERR value is not a valid float");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("GETRANGE at every border, against substr") {
  Bench bench;
  const std::string value = "0123456789";
  CHECK(bench.Run({"SET", "k", value}) == "OK");
  for (int64_t start = -13; start <= 13; ++start) {
    for (int64_t end = -13; end <= 13; ++end) {
      std::string expected;
      const int64_t first = std::max<int64_t>(start < 0 ? 10 + start : start, 0);
      const int64_t last = std::min<int64_t>(end < 0 ? std::max<int64_t>(10 + end, 0) : end, 9);
      const bool backwards = start < 0 && end < 0 && start > end;
      if (first <= last && !backwards) {
        expected = value.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1));
      }
      CHECK(bench.Run({"GETRANGE", "k", std::to_string(start), std::to_string(end)}) ==
            "\"" + expected + "\"");
    }
  }
  CHECK(bench.Do("GETRANGE k -9223372036854775808 9223372036854775807") == "\"0123456789\"");
  CHECK(bench.Do("SUBSTR k 8 -1") == "\"89\"");
}

TEST_CASE("several keys at once") {
  Bench bench;
  CHECK(bench.Do("MSET a 1 b 2 a 3") == "OK");
  CHECK(bench.Do("MGET a b c a") == "[\"3\", \"2\", nil, \"3\"]");
  CHECK(bench.Do("MSETNX c 1 b 2") == "0");
  CHECK(bench.Do("EXISTS c") == "0");
  CHECK(bench.Do("MSETNX c 1 d 2 c 5") == "1");
  CHECK(bench.Do("GET c") == "\"5\"");
  CHECK(bench.Do("MSET a") == "(error) ERR wrong number of arguments for 'mset' command");
  CHECK(bench.Do("MSET a 1 b") == "(error) ERR wrong number of arguments for 'mset' command");
  CHECK(bench.Do("MSETNX a 1 b") == "(error) ERR wrong number of arguments for 'msetnx' command");
}

TEST_CASE("no string command touches a lock or a sequence") {
  Bench bench;
  CHECK(bench.Do("SEQNEXT seq") == "1");
  const int64_t token = bench.Number("LOCK lock me 60000");
  CHECK(token > 0);
  CHECK(bench.Do("SET other v") == "OK");
  for (const std::string name : {"lock", "seq"}) {
    for (const std::string line : {"GET @",
                                   "SET @ v",
                                   "SET @ v GET",
                                   "SET @ v NX",
                                   "SETNX @ v",
                                   "SETEX @ 1 v",
                                   "PSETEX @ 1 v",
                                   "GETSET @ v",
                                   "GETDEL @",
                                   "GETEX @",
                                   "MSET other 1 @ 2",
                                   "MSETNX other 1 @ 2",
                                   "APPEND @ v",
                                   "STRLEN @",
                                   "GETRANGE @ 0 1",
                                   "SETRANGE @ 0 v",
                                   "INCR @",
                                   "INCRBYFLOAT @ 1",
                                   "SETBIT @ 0 1",
                                   "GETBIT @ 0",
                                   "BITCOUNT @",
                                   "BITPOS @ 1",
                                   "BITOP OR @ other",
                                   "BITOP OR other @",
                                   "BITFIELD @ SET u8 0 1",
                                   "BITFIELD_RO @ GET u8 0",
                                   "CAS @ a b",
                                   "CASREV @ 0 v",
                                   "DELIFEQ @ v",
                                   "DELEX @ IFEQ v",
                                   "DIGEST @",
                                   "GETREV @",
                                   "MSETEX 2 other 1 @ 2"}) {
      std::string request = line;
      request.replace(request.find('@'), 1, name);
      CAPTURE(request);
      CHECK(bench.Do(request) ==
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
    }
  }
  CHECK(bench.Do("MGET lock seq other") == "[nil, nil, \"v\"]");
  CHECK(bench.Number("LOCK lock me 60000") == token);
  CHECK(bench.Do("SEQNEXT seq") == "2");
}

TEST_CASE("a fencing token that was overtaken writes nothing") {
  Bench bench;
  static constexpr char kFenced[] = "(error) FENCED a higher fencing token has written this key";
  CHECK(bench.Do("SET k a FENCE 10") == "OK");
  CHECK(bench.Do("SET k b FENCE 10") == "OK");
  CHECK(bench.Do("SET k c FENCE 9") == kFenced);
  CHECK(bench.Do("SET k c FENCE 9 GET") == kFenced);
  CHECK(bench.Do("SET k c FENCE 9 NX") == kFenced);
  CHECK(bench.Do("GET k") == "\"b\"");
  CHECK(bench.Do("SET k c FENCE 11 XX") == "OK");
  CHECK(bench.Do("SET k d") == "OK");
  CHECK(bench.Do("APPEND k e") == "2");
  CHECK(bench.Do("SET k f FENCE 10") == kFenced);
  CHECK(bench.Do("RENAME k moved") == "OK");
  CHECK(bench.Do("SET moved f FENCE 10") == kFenced);
  for (const char* bad : {"0", "-1", "x", "9223372036854775808"}) {
    CHECK(bench.Run({"SET", "k", "v", "FENCE", bad}) ==
          "(error) ERR fencing token must be a positive integer");
  }
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("LCS") {
  Bench bench;
  CHECK(bench.Do("MSET a ohmytext b mynewtext") == "OK");
  CHECK(bench.Do("LCS a b") == "\"mytext\"");
  CHECK(bench.Do("LCS a b LEN") == "6");
  CHECK(bench.Do("LCS a b IDX") ==
        "[\"matches\", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], \"len\", 6]");
  CHECK(bench.Do("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN") ==
        "[\"matches\", [[[4, 7], [5, 8], 4]], \"len\", 6]");
  bench.protocol = 3;
  CHECK(bench.Do("LCS a b IDX MINMATCHLEN 5") == "{\"matches\": [], \"len\": 6}");
  bench.protocol = 2;
  CHECK(bench.Do("LCS a missing") == "\"\"");
  CHECK(bench.Do("LCS a b LEN IDX") ==
        "(error) ERR If you want both the length and indexes, please just use IDX.");
  CHECK(bench.Do("SEQNEXT s") == "1");
  CHECK(bench.Do("LCS a s") == "(error) ERR The specified keys must contain string values");
  bench.mutable_config().max_bulk_bytes = 300;
  CHECK(bench.Do("LCS a b") ==
        "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}

}  // namespace
}  // namespace holdfast::commands
