#include <algorithm>
#include <set>
#include <string>

#include "base/rng.h"
#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

constexpr char kWrongTypeText[] =
    "(error) WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_CASE("EXPIRE's options and limits") {
  Bench bench;
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("EXPIRE k 100 XX") == "0");
  CHECK(bench.Do("EXPIRE k 100 GT") == "0");
  CHECK(bench.Do("EXPIRE k 100 LT") == "1");
  CHECK(bench.Do("EXPIRE k 50 NX") == "0");
  CHECK(bench.Do("EXPIRE k 50 GT") == "0");
  CHECK(bench.Do("EXPIRE k 200 XX GT") == "1");
  CHECK(bench.Do("TTL k") == "200");
  CHECK(bench.Do("PERSIST k") == "1");
  CHECK(bench.Do("PERSIST k") == "0");
  CHECK(bench.Do("EXPIRE k 1 NX XX") ==
        "(error) ERR NX and XX, GT or LT options at the same time are not compatible");
  CHECK(bench.Do("EXPIRE k 1 GT LT") ==
        "(error) ERR GT and LT options at the same time are not compatible");
  CHECK(bench.Do("EXPIRE k 1 AB") == "(error) ERR Unsupported option AB");
  for (const char* bad : {"EXPIRE k 9223372036854776", "EXPIRE k -9223372036854776",
                          "EXPIRE k 9223372036854775", "EXPIREAT missing 9223372036854776"}) {
    CAPTURE(bad);
    CHECK(bench.Do(bad).starts_with("(error) ERR invalid expire time in 'expire"));
  }
  CHECK(bench.Do("PEXPIREAT k 9223372036854770000") == "1");
  CHECK(bench.Do("PEXPIRETIME k") == "9223372036854770000");
  CHECK(bench.Do("EXPIRETIME k") == "9223372036854770");
  CHECK(bench.Do("EXPIRE k -1 LT") == "1");
  CHECK(bench.Do("TTL k") == "-2");
  CHECK(bench.Do("EXPIRE k 10") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("TTL rounds as Redis does, PTTL is exact") {
  Bench bench;
  CHECK(bench.Do("SET k v PX 1499") == "OK");
  CHECK(bench.Do("TTL k") == "1");
  CHECK(bench.Do("PTTL k") == "1499");
  CHECK(bench.Do("PEXPIRE k 1500") == "1");
  CHECK(bench.Do("TTL k") == "2");
  const int64_t now = bench.manual_clock().WallMs();
  CHECK(bench.Do("PEXPIRETIME k") == std::to_string(now + 1500));
}

TEST_CASE("RENAME, COPY and MOVE take expiry times along") {
  Bench bench;
  CHECK(bench.Do("SET a 1 EX 100") == "OK");
  CHECK(bench.Do("SET b 2 EX 500") == "OK");
  CHECK(bench.Do("RENAME a b") == "OK");
  CHECK(bench.Do("TTL b") == "100");
  CHECK(bench.Do("GET b") == "\"1\"");
  CHECK(bench.Do("EXISTS a") == "0");
  CHECK(bench.Do("RENAME a b") == "(error) ERR no such key");
  CHECK(bench.Do("RENAME b b") == "OK");
  CHECK(bench.Do("RENAMENX b b") == "0");
  CHECK(bench.Do("SET c 3") == "OK");
  CHECK(bench.Do("RENAME c b") == "OK");
  CHECK(bench.Do("TTL b") == "-1");
  CHECK(bench.Do("EXPIRE b 100") == "1");
  CHECK(bench.Do("COPY b d") == "1");
  CHECK(bench.Do("COPY b d") == "0");
  CHECK(bench.Do("COPY b d REPLACE") == "1");
  CHECK(bench.Do("TTL d") == "100");
  CHECK(bench.Do("COPY b b") == "(error) ERR source and destination objects are the same");
  CHECK(bench.Do("COPY b b DB 3") == "1");
  CHECK(bench.Do("COPY b d DB notanumber") ==
        "(error) ERR value is not an integer or out of range");
  CHECK(bench.Do("COPY b d DB 16") == "(error) ERR DB index is out of range");
  CHECK(bench.Do("MOVE b 3") == "0");
  CHECK(bench.Do("MOVE d 3") == "1");
  CHECK(bench.Do("MOVE d 3") == "0");
  CHECK(bench.Do("MOVE d 0") == "(error) ERR source and destination objects are the same");
  bench.db = 3;
  CHECK(bench.Do("TTL d") == "100");
  CHECK(bench.Do("GET b") == "\"3\"");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a lock is not renamed, copied, moved, dumped or given another time to live") {
  Bench bench;
  const int64_t token = bench.Number("LOCK l me 60000");
  CHECK(bench.Do("SET s v") == "OK");
  for (const char* line :
       {"RENAME l x", "RENAMENX l x", "RENAME s l", "COPY l x", "COPY s l REPLACE", "MOVE l 1",
        "DUMP l", "EXPIRE l 1", "PEXPIREAT l 1", "PERSIST l"}) {
    CAPTURE(line);
    CHECK(bench.Do(line) == kWrongTypeText);
  }
  const std::string dump = bench.Ask({"DUMP", "s"}).string;
  CHECK(bench.Run({"RESTORE", "l", "0", dump, "REPLACE"}) == kWrongTypeText);
  CHECK(bench.Do("TYPE l") == "lock");
  CHECK(bench.Do("PTTL l") == "60000");
  CHECK(bench.Do("OBJECT ENCODING l") == "\"lock\"");
  CHECK(bench.Number("LOCK l me 60000") == token);
  CHECK(bench.Do("DEL l") == "1");
  CHECK(bench.Number("LOCK l me 60000") > token);
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("SCAN returns what is there all along exactly once, whatever else happens") {
  Bench bench;
  Rng rng(9);
  std::set<std::string> steady;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "steady:" + std::to_string(i);
    steady.insert(name);
    CHECK(bench.Run({"SET", name, "v"}) == "OK");
  }
  for (int round = 0; round < 3; ++round) {
    std::map<std::string, int> seen;
    std::string cursor = "0";
    do {
      const resp::Reply reply = bench.Ask({"SCAN", cursor, "COUNT", "37"});
      cursor = reply.elements[0].string;
      for (const resp::Reply& name : reply.elements[1].elements) ++seen[name.string];
      for (int i = 0; i < 20; ++i) {
        const std::string other = "other:" + std::to_string(rng.Below(500));
        if (rng.Chance(1, 2)) {
          bench.Run({"DEL", other});
        } else {
          bench.Run({"SET", other, "v"});
        }
      }
    } while (cursor != "0");
    for (const std::string& name : steady) CHECK(seen[name] == 1);
  }
}

TEST_CASE("SCAN's options") {
  Bench bench;
  for (int i = 0; i < 30; ++i) bench.Do("SET key:" + std::to_string(i) + " v");
  bench.Do("SEQNEXT seq");
  bench.Do("SET gone v PX 10");
  bench.AdvanceUnnoticed(20);
  CHECK(bench.Ask({"SCAN", "0", "COUNT", "1000"}).elements[1].elements.size() == 31);
  CHECK(bench.Do("DBSIZE") == "31");
  CHECK(bench.Do("SCAN 0 COUNT 1000 TYPE sequence") == "[\"0\", [\"seq\"]]");
  CHECK(bench.Do("SCAN 0 COUNT 1000 TYPE list") == "[\"0\", []]");
  CHECK(bench.Ask({"SCAN", "0", "MATCH", "key:1?", "COUNT", "1000", "TYPE", "STRING"})
            .elements[1]
            .elements.size() == 10);
  CHECK(bench.Do("SCAN 0 COUNT 0") == "(error) ERR syntax error");
  CHECK(bench.Do("SCAN 0 COUNT x") == "(error) ERR value is not an integer or out of range");
  CHECK(bench.Do("SCAN 0 MATCH") == "(error) ERR syntax error");
  CHECK(bench.Do("SCAN 0 zz") == "(error) ERR syntax error");
  for (const char* bad : {"SCAN x", "SCAN -1", "SCAN 18446744073709551615"}) {
    CHECK(bench.Do(bad) == "(error) ERR invalid cursor");
  }
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("SCAN goes on in the next partition") {
  Bench first(0, 8191);
  Bench second(8192, kSlots - 1);
  // Slots 5061 and 12182.
  CHECK(first.Do("SET bar v") == "OK");
  CHECK(second.Do("SET foo v") == "OK");
  const resp::Reply reply = first.Ask({"SCAN", "0"});
  CHECK(reply.elements[1].ToText() == "[\"bar\"]");
  uint64_t cursor = 0;
  CHECK(ParseUint64(reply.elements[0].string, &cursor));
  CHECK(data::Table::CursorSlot(cursor) == 8192);
  CHECK(second.Run({"SCAN", reply.elements[0].string}) == "[\"0\", [\"foo\"]]");
}

TEST_CASE("KEYS, RANDOMKEY and DBSIZE see no expired key") {
  Bench bench;
  CHECK(bench.Do("RANDOMKEY") == "nil");
  CHECK(bench.Do("MSET a 1 b 1 abc 1") == "OK");
  CHECK(bench.Do("SET gone v PX 10") == "OK");
  CHECK(bench.Do("LOCK held me 10") != "nil");
  CHECK(bench.Do("DBSIZE") == "5");
  bench.AdvanceUnnoticed(11);
  const uint64_t effects = bench.effects();
  CHECK(bench.Ask({"KEYS", "*"}).elements.size() == 3);
  // P34: whoever is told that a key has expired waits for the deletion.
  CHECK(bench.effects() == effects + 2);
  CHECK(bench.Do("DBSIZE") == "3");
  CHECK(bench.Do("KEYS ab?") == "[\"abc\"]");
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) seen.insert(bench.Do("RANDOMKEY"));
  CHECK(seen.size() == 3);
  CHECK(bench.Do("SET a 1 PX 5") == "OK");
  CHECK(bench.Do("DEL b abc") == "2");
  bench.AdvanceUnnoticed(10);
  CHECK(bench.Do("RANDOMKEY") == "nil");
  CHECK(bench.Do("DBSIZE") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("flushing and swapping databases") {
  Bench bench;
  CHECK(bench.Do("SET a 0") == "OK");
  bench.db = 1;
  CHECK(bench.Do("SET a 1") == "OK");
  CHECK(bench.Do("LOCK l me 1000") != "nil");
  bench.db = 0;
  CHECK(bench.Do("SWAPDB 0 1") == "OK");
  CHECK(bench.Do("GET a") == "\"1\"");
  CHECK(bench.Do("PTTL l") == "1000");
  CHECK(bench.Do("SWAPDB 1 1") == "OK");
  CHECK(bench.Do("SWAPDB x 1") == "(error) ERR invalid first DB index");
  CHECK(bench.Do("SWAPDB 16 x") == "(error) ERR invalid second DB index");
  CHECK(bench.Do("SWAPDB 0 16") == "(error) ERR DB index is out of range");
  CHECK(bench.FollowerAgrees());
  CHECK(bench.Do("FLUSHDB ASYNC") == "OK");
  CHECK(bench.Do("DBSIZE") == "0");
  bench.db = 1;
  CHECK(bench.Do("DBSIZE") == "1");
  CHECK(bench.Do("FLUSHALL nope") == "(error) ERR syntax error");
  CHECK(bench.Do("FLUSHALL SYNC x") == "(error) ERR syntax error");
  CHECK(bench.Do("FLUSHALL") == "OK");
  CHECK(bench.Do("DBSIZE") == "0");
  const uint64_t effects = bench.effects();
  // With nothing there it is said in the log, for caches, and takes no new databases.
  const uint32_t next = bench.partition().keyspace().map().next;
  CHECK(bench.Do("FLUSHALL") == "OK");
  CHECK(bench.effects() == effects + 1);
  CHECK(bench.partition().keyspace().map().next == next);
  CHECK(bench.Do("SET a 2") == "OK");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("OBJECT and MEMORY USAGE") {
  Bench bench;
  CHECK(bench.Do("OBJECT ENCODING missing") == "nil");
  CHECK(bench.Do("SET k 12345") == "OK");
  CHECK(bench.Do("OBJECT ENCODING k") == "\"int\"");
  CHECK(bench.Do("APPEND k 6") == "6");
  CHECK(bench.Do("OBJECT ENCODING k") == "\"raw\"");
  CHECK(bench.Run({"SET", "k", std::string(44, 'x')}) == "OK");
  CHECK(bench.Do("OBJECT ENCODING k") == "\"embstr\"");
  CHECK(bench.Run({"SET", "k", std::string(45, 'x')}) == "OK");
  CHECK(bench.Do("OBJECT ENCODING k") == "\"raw\"");
  CHECK(bench.Do("OBJECT REFCOUNT k") == "1");
  CHECK(bench.Do("OBJECT FREQ k").starts_with("(error) ERR An LFU maxmemory policy is not"));
  CHECK(bench.Do("OBJECT IDLETIME k") == "0");
  bench.AdvanceUnnoticed(3100);
  CHECK(bench.Do("TTL k") == "-1");
  CHECK(bench.Do("TYPE k") == "string");
  CHECK(bench.Do("EXISTS k") == "1");
  CHECK(bench.Do("OBJECT IDLETIME k") == "3");
  CHECK(bench.Do("TOUCH k missing") == "1");
  CHECK(bench.Do("OBJECT IDLETIME k") == "0");
  // A key is new, not as old as the clock, when it was just made.
  CHECK(bench.Do("SET fresh v") == "OK");
  CHECK(bench.Do("OBJECT IDLETIME fresh") == "0");
}

TEST_CASE("with an LFU policy, uses are counted instead of time") {
  Bench bench;
  bench.mutable_config().maxmemory_policy = engine::MaxmemoryPolicy::kVolatileLfu;
  bench.mutable_config().lfu_log_factor = 0;
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("OBJECT FREQ k") == "5");
  CHECK(bench.Do("OBJECT FREQ missing") == "nil");
  CHECK(bench.Do("OBJECT IDLETIME k") ==
        "(error) ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that "
        "when switching between policies at runtime LRU and LFU data will take some time to "
        "adjust.");
  CHECK(bench.Do("GET k") == "\"v\"");
  CHECK(bench.Do("TTL k") == "-1");
  CHECK(bench.Do("TOUCH k") == "1");
  CHECK(bench.Do("OBJECT FREQ k") == "7");
  // Overwritten, it is the same key.
  CHECK(bench.Do("SET k w") == "OK");
  CHECK(bench.Do("OBJECT FREQ k") == "8");
  bench.AdvanceUnnoticed(3 * 60'000);
  CHECK(bench.Do("OBJECT FREQ k") == "5");
  const std::string dump = bench.Ask({"DUMP", "k"}).string;
  CHECK(bench.Run({"RESTORE", "r", "0", dump, "FREQ", "200"}) == "OK");
  CHECK(bench.Do("OBJECT FREQ r") == "200");
  CHECK(bench.Run({"RESTORE", "idle", "0", dump, "IDLETIME", "100"}) == "OK");
  CHECK(bench.Do("OBJECT FREQ idle") == "5");
  bench.mutable_config().maxmemory_policy = engine::MaxmemoryPolicy::kAllkeysLru;
  CHECK(bench.Run({"RESTORE", "r", "0", dump, "FREQ", "200", "REPLACE"}) == "OK");
  CHECK(bench.Do("OBJECT IDLETIME r") == "0");
}

TEST_CASE("DUMP and RESTORE") {
  Bench bench;
  CHECK(bench.Do("SET k hello EX 100") == "OK");
  const std::string dump = bench.Ask({"DUMP", "k"}).string;
  CHECK(bench.Do("DUMP missing") == "nil");
  CHECK(bench.Run({"RESTORE", "k", "0", dump}) ==
        "(error) BUSYKEY Target key name already exists.");
  CHECK(bench.Run({"RESTORE", "k", "0", dump, "REPLACE"}) == "OK");
  CHECK(bench.Do("TTL k") == "-1");
  CHECK(bench.Run({"RESTORE", "r", "5000", dump}) == "OK");
  CHECK(bench.Do("PTTL r") == "5000");
  CHECK(bench.Do("GET r") == "\"hello\"");
  CHECK(bench.Run({"RESTORE", "r", "1", dump, "ABSTTL", "REPLACE"}) == "OK");
  CHECK(bench.Do("EXISTS r") == "0");
  bench.AdvanceUnnoticed(60'000);
  CHECK(bench.Run({"RESTORE", "r", "0", dump, "IDLETIME", "30"}) == "OK");
  CHECK(bench.Do("OBJECT IDLETIME r") == "30");
  CHECK(bench.Run({"RESTORE", "x", "-1", dump}) == "(error) ERR Invalid TTL value, must be >= 0");
  CHECK(bench.Run({"RESTORE", "x", "0", dump, "IDLETIME", "-1"}) ==
        "(error) ERR Invalid IDLETIME value, must be >= 0");
  CHECK(bench.Run({"RESTORE", "x", "0", dump, "FREQ", "256"}) ==
        "(error) ERR Invalid FREQ value, must be >= 0 and <= 255");
  CHECK(bench.Run({"RESTORE", "x", "9223372036854775807", dump}) ==
        "(error) ERR invalid expire time in 'restore' command");
  for (size_t i = 0; i < dump.size(); ++i) {
    std::string damaged = dump;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK(bench.Run({"RESTORE", "x", "0", damaged}).starts_with("(error) ERR "));
  }
  CHECK(bench.Do("EXISTS x") == "0");
  CHECK(bench.Do("SEQNEXT seq COUNT 10") == "[1, 10]");
  const std::string sequence = bench.Ask({"DUMP", "seq"}).string;
  CHECK(bench.Run({"RESTORE", "copy", "0", sequence}) == "OK");
  CHECK(bench.Do("SEQNEXT copy") == "11");
  CHECK(bench.FollowerAgrees());
}

}  // namespace
}  // namespace holdfast::commands
