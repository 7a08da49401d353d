#include <string>

#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

constexpr char kWrongTypeText[] =
    "(error) WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_CASE("LOCK gives a token that rises, to one owner at a time") {
  Bench bench;
  const int64_t first = bench.Number("LOCK l a 1000");
  CHECK(first > 0);
  CHECK(bench.Do("LOCK l b 1000") == "nil");
  CHECK(bench.Do("UNLOCK l b") == "0");
  CHECK(bench.Do("UNLOCK l a") == "1");
  CHECK(bench.Do("UNLOCK l a") == "0");
  const int64_t second = bench.Number("LOCK l b 1000");
  CHECK(second > first);
  // The clock was cut to milliseconds when the lease began: it lasts through the whole last one.
  bench.AdvanceUnnoticed(1000);
  CHECK(bench.Do("LOCK l c 1000") == "nil");
  bench.AdvanceUnnoticed(1);
  CHECK(bench.Do("UNLOCK l b") == "0");
  CHECK(bench.Number("LOCK l c 1000") > second);
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a retried LOCK has the same token and at least the lease that it asks for") {
  Bench bench;
  const int64_t token = bench.Number("LOCK l a 1000");
  const uint64_t effects = bench.effects();
  bench.AdvanceUnnoticed(600);
  // Less than is left: nothing becomes shorter.
  CHECK(bench.Number("LOCK l a 100") == token);
  CHECK(bench.Do("PTTL l") == "400");
  // More than is left, not more than is recorded: nothing to log.
  CHECK(bench.Number("LOCK l a 1000") == token);
  CHECK(bench.Do("PTTL l") == "1000");
  CHECK(bench.effects() == effects);
  // More than is recorded: a new leader has to know it.
  CHECK(bench.Number("LOCK l a 5000") == token);
  CHECK(bench.Do("PTTL l") == "5000");
  CHECK(bench.effects() == effects + 1);
  CHECK(bench.FollowerAgrees());
  bench.partition().keyspace().RestartLeases();
  CHECK(bench.Do("PTTL l") == "5000");
}

TEST_CASE("P33 a lease restarts at its full length under a new leader") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 1000") != "nil");
  bench.AdvanceUnnoticed(900);
  CHECK(bench.Number("LOCK l a 500") > 0);
  CHECK(bench.Do("PTTL l") == "500");
  bench.partition().keyspace().RestartLeases();
  CHECK(bench.Do("PTTL l") == "1000");
}

TEST_CASE("a lease is counted on the monotonic clock") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 1000") != "nil");
  bench.manual_clock().JumpWallMs(3'600'000);
  CHECK(bench.Do("PTTL l") == "1000");
  CHECK(bench.Do("LOCK l b 1000") == "nil");
  bench.manual_clock().JumpWallMs(-7'200'000);
  bench.AdvanceUnnoticed(1001);
  CHECK(bench.Do("EXISTS l") == "0");
}

TEST_CASE("waiters are served in the order of their arrival") {
  Bench bench;
  const int64_t token = bench.Number("LOCK l a 10000");
  CHECK(bench.Do("LOCK l b 1000 WAIT 5000") == "(blocked)");
  const auto b = bench.last_address();
  CHECK(bench.Do("LOCK l c 1000 WAIT 5000") == "(blocked)");
  const auto c = bench.last_address();
  CHECK(bench.Do("LOCKINFO l") == "[\"owner\", \"a\", \"token\", " + std::to_string(token) +
                                      ", \"remaining-ms\", 10000, \"waiters\", 2]");
  CHECK(bench.Do("UNLOCK l a") == "1");
  int64_t token_b = 0;
  CHECK(ParseInt64(bench.Delivered(b), &token_b));
  CHECK(token_b > token);
  CHECK(bench.Delivered(c).empty());
  // It runs out while nobody looks; the timer gives it to the next.
  bench.Advance(1001);
  int64_t token_c = 0;
  CHECK(ParseInt64(bench.Delivered(c), &token_c));
  CHECK(token_c > token_b);
  CHECK(bench.Do("UNLOCK l b") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a newcomer does not overtake those in line for a lock that has just expired") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 1000") != "nil");
  CHECK(bench.Do("LOCK l b 1000 WAIT 5000") == "(blocked)");
  const auto b = bench.last_address();
  bench.AdvanceUnnoticed(1001);
  CHECK(bench.Do("LOCK l c 1000") == "nil");
  CHECK(bench.Delivered(b) != "");
  CHECK(bench.Delivered(b) != "nil");
  CHECK(bench.Do("LOCK l d 1000 WAIT 3000") == "(blocked)");
  const auto d = bench.last_address();
  bench.AdvanceUnnoticed(1001);
  CHECK(bench.Do("LOCK l e 1000 WAIT 3000") == "(blocked)");
  CHECK(bench.Delivered(d) != "");
  CHECK(bench.Delivered(bench.last_address()).empty());
}

TEST_CASE("a wait ends with nil when its time is up") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 10000") != "nil");
  CHECK(bench.Do("LOCK l b 1000 WAIT 500") == "(blocked)");
  const auto b = bench.last_address();
  bench.Advance(499);
  CHECK(bench.Delivered(b).empty());
  bench.Advance(1);
  CHECK(bench.Delivered(b) == "nil");
  CHECK(bench.Do("LOCK l b 1000 WAIT 0") == "nil");
  CHECK(bench.Do("UNLOCK l a") == "1");
  CHECK(bench.Do("LOCKINFO l") == "nil");
}

// Found by the simulation of groups: a leader of the past told the lock's owner that another held
// it.
TEST_CASE("P03 that a wait was in vain is told behind a confirmed round") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 10000") != "nil");
  CHECK(bench.Do("LOCK l b 1000 WAIT 500") == "(blocked)");
  const auto b = bench.last_address();
  bench.AdvanceUnnoticed(500);
  bench.partition().Tick();
  CHECK(bench.Delivered(b).empty());
  bench.Advance(0);
  CHECK(bench.Delivered(b) == "nil");
}

TEST_CASE("whatever frees the name serves the line") {
  for (const char* freeing : {"DEL l", "UNLINK l", "FLUSHDB", "FLUSHALL", "DELEX l"}) {
    CAPTURE(freeing);
    Bench bench;
    CHECK(bench.Do("LOCK l a 10000") != "nil");
    CHECK(bench.Do("LOCK l b 1000 WAIT 5000") == "(blocked)");
    bench.Do(freeing);
    int64_t token = 0;
    CHECK(ParseInt64(bench.Delivered({0, 1, bench.last_address().slot - 1}), &token));
    CHECK(bench.Do("UNLOCK l b") == "1");
    CHECK(bench.FollowerAgrees());
  }
}

TEST_CASE("inside a transaction LOCK never waits") {
  Bench bench;
  CHECK(bench.Do("LOCK l a 10000") != "nil");
  const auto replies = bench.Transaction({{"LOCK", "l", "b", "1000", "WAIT", "500"},
                                          {"UNLOCK", "l", "a"},
                                          {"LOCK", "l", "b", "1000"}});
  CHECK(replies[0] == "nil");
  CHECK(replies[1] == "1");
  CHECK(replies[2] != "nil");
  CHECK(bench.Do("UNLOCK l b") == "1");
}

TEST_CASE("EXTEND of a lock is for its owner") {
  Bench bench;
  const int64_t token = bench.Number("LOCK l a 1000");
  const std::string done = "[1, " + std::to_string(token) + "]";
  CHECK(bench.Do("EXTEND l 500 OWNER b") == "(error) NOTOWNER the lock is held by another owner");
  CHECK(bench.Do("EXTEND l 500").starts_with("(error) ERR a lock is extended by its owner only"));
  CHECK(bench.Do("PTTL l") == "1000");
  CHECK(bench.Do("EXTEND l 500 OWNER a") == done);
  CHECK(bench.Do("PTTL l") == "500");
  CHECK(bench.Do("EXTEND l 7000 OWNER a") == done);
  CHECK(bench.Do("PTTL l") == "7000");
  CHECK(bench.FollowerAgrees());
  bench.partition().keyspace().RestartLeases();
  CHECK(bench.Do("PTTL l") == "7000");
  CHECK(bench.Number("LOCK l a 100") == token);
  CHECK(bench.Do("EXTEND gone 500 OWNER a") == "[0, 0]");
}

TEST_CASE("what LOCK refuses") {
  Bench bench;
  CHECK(bench.Do("SET s v") == "OK");
  CHECK(bench.Do("LOCK s a 1000") == kWrongTypeText);
  CHECK(bench.Do("UNLOCK s a") == kWrongTypeText);
  CHECK(bench.Do("LOCKINFO s") == kWrongTypeText);
  CHECK(bench.Do("LOCK l a x") == "(error) ERR value is not an integer or out of range");
  for (const char* ms : {"0", "-1", "315360000001", "9223372036854775807"}) {
    CHECK(bench.Run({"LOCK", "l", "a", ms}) ==
          "(error) ERR lease must be 1 to 315360000000 milliseconds");
  }
  CHECK(bench.Do("LOCK l a 1 WAIT -1") ==
        "(error) ERR WAIT must be 0 to 315360000000 milliseconds");
  CHECK(bench.Do("LOCK l a 1 WAIT") == "(error) ERR syntax error");
  CHECK(bench.Do("LOCK l a 1 HOLD 1") == "(error) ERR syntax error");
  static constexpr char kOwner[] = "(error) ERR owner must be 1 to 65536 bytes long";
  CHECK(bench.Run({"LOCK", "l", "", "1"}) == kOwner);
  CHECK(bench.Run({"LOCK", "l", std::string(65537, 'x'), "1"}) == kOwner);
  CHECK(bench.Do("EXISTS l") == "0");
  CHECK(bench.Run({"LOCK", "l", std::string(65536, 'x'), "315360000000"}) != kOwner);
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("LOCKINFO is a map in RESP3") {
  Bench bench;
  bench.protocol = 3;
  CHECK(bench.Do("LOCKINFO l") == "nil");
  const std::string token = bench.Do("LOCK l a 1000");
  CHECK(bench.Do("LOCKINFO l") ==
        "{\"owner\": \"a\", \"token\": " + token + ", \"remaining-ms\": 1000, \"waiters\": 0}");
}

TEST_CASE("sequences give out every number once") {
  Bench bench;
  CHECK(bench.Do("SEQINFO s") == "nil");
  CHECK(bench.Do("SEQNEXT s") == "1");
  CHECK(bench.Do("SEQNEXT s COUNT 10") == "[2, 11]");
  CHECK(bench.Do("SEQNEXT s") == "12");
  CHECK(bench.Do("SEQINFO s") == "[\"next\", 13, \"increment\", 1, \"max\", 9223372036854775807]");
  CHECK(bench.Do("SEQCREATE s") == "(error) ERR sequence already exists");
  CHECK(bench.Do("SEQCREATE t START 10 INCREMENT 5 MAX 30") == "OK");
  CHECK(bench.Do("SEQNEXT t COUNT 2") == "[10, 15]");
  CHECK(bench.Do("SEQNEXT t COUNT 4") == "(error) ERR sequence is exhausted");
  CHECK(bench.Do("SEQNEXT t COUNT 3") == "[20, 30]");
  CHECK(bench.Do("SEQNEXT t") == "(error) ERR sequence is exhausted");
  CHECK(bench.Do("EXPIRE s 100") == "1");
  CHECK(bench.Do("SEQNEXT s") == "13");
  CHECK(bench.Do("TTL s") == "100");
  CHECK(bench.Do("TYPE s") == "sequence");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a sequence ends without overflow") {
  Bench bench;
  CHECK(bench.Do("SEQCREATE s START 9223372036854775805") == "OK");
  CHECK(bench.Do("SEQNEXT s COUNT 9223372036854775807") == "(error) ERR sequence is exhausted");
  CHECK(bench.Do("SEQNEXT s") == "9223372036854775805");
  CHECK(bench.Do("SEQNEXT s") == "9223372036854775806");
  CHECK(bench.Do("SEQNEXT s") == "(error) ERR sequence is exhausted");
  CHECK(bench.Do("SEQCREATE n START -5 MAX -3") == "OK");
  CHECK(bench.Do("SEQNEXT n COUNT 3") == "[-5, -3]");
  CHECK(bench.Do("SEQNEXT n") == "(error) ERR sequence is exhausted");
  CHECK(bench.Do("SEQCREATE b START 2 MAX 1") == "(error) ERR START is above MAX");
  CHECK(bench.Do("SEQCREATE b INCREMENT 0") == "(error) ERR INCREMENT must be positive");
  CHECK(bench.Do("SEQCREATE b STEP 1") == "(error) ERR syntax error");
  CHECK(bench.Do("SEQCREATE b MAX") == "(error) ERR syntax error");
  CHECK(bench.Do("SEQNEXT b COUNT 0") == "(error) ERR COUNT must be positive");
  CHECK(bench.Do("SEQNEXT b COUNT") == "(error) ERR syntax error");
  CHECK(bench.Do("EXISTS b") == "0");
  CHECK(bench.Do("SET k v") == "OK");
  CHECK(bench.Do("SEQNEXT k") == kWrongTypeText);
  CHECK(bench.Do("SEQCREATE k") == kWrongTypeText);
  CHECK(bench.Do("SEQINFO k") == kWrongTypeText);
}

}  // namespace
}  // namespace holdfast::commands
