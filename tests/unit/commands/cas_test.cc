#include <string>

#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

int64_t RevisionOf(Bench* bench, std::string_view key) {
  return bench->Ask({"GETREV", key}).elements[1].integer;
}

TEST_CASE("GETREV: every change has a higher revision and the next version") {
  Bench bench;
  CHECK(bench.Do("GETREV k") == "nil");
  CHECK(bench.Do("SET k a") == "OK");
  const resp::Reply first = bench.Ask({"GETREV", "k"});
  CHECK(first.elements[0].string == "a");
  CHECK(first.elements[2].integer == 1);
  CHECK(bench.Do("APPEND k b") == "2");
  const resp::Reply second = bench.Ask({"GETREV", "k"});
  CHECK(second.elements[0].string == "ab");
  CHECK(second.elements[1].integer > first.elements[1].integer);
  CHECK(second.elements[2].integer == 2);
  CHECK(bench.Do("GET k") == "\"ab\"");
  CHECK(bench.Run({"GETREV", "k"}) == second.ToText());
  CHECK(bench.Do("DEL k") == "1");
  CHECK(bench.Do("SET k c") == "OK");
  CHECK(bench.Ask({"GETREV", "k"}).elements[2].integer == 1);
  CHECK(RevisionOf(&bench, "k") > second.elements[1].integer);
  CHECK(bench.Do("GETREV k REV 1") == "(error) ERR history is not kept for this key");
  CHECK(bench.Do("GETREV k ASOF 1") == "(error) ERR history is not kept for this key");
  CHECK(bench.Do("GETREV k REV x") == "(error) ERR value is not an integer or out of range");
  CHECK(bench.Do("GETREV k LAST 1") == "(error) ERR syntax error");
}

TEST_CASE("CAS") {
  Bench bench;
  CHECK(bench.Do("CAS k a b") == "[0, 0]");
  CHECK(bench.Run({"CAS", "k", "", "b"}) == "[0, 0]");
  CHECK(bench.Do("SET k a EX 100") == "OK");
  const int64_t revision = RevisionOf(&bench, "k");
  CHECK(bench.Do("CAS k x b") == "[0, " + std::to_string(revision) + "]");
  const resp::Reply swapped = bench.Ask({"CAS", "k", "a", "b", "KEEPTTL"});
  CHECK(swapped.elements[0].integer == 1);
  CHECK(swapped.elements[1].integer > revision);
  CHECK(swapped.elements[1].integer == RevisionOf(&bench, "k"));
  CHECK(bench.Do("TTL k") == "100");
  CHECK(bench.Ask({"CAS", "k", "b", "c"}).elements[0].integer == 1);
  CHECK(bench.Do("TTL k") == "-1");
  CHECK(bench.Ask({"CAS", "k", "c", "d", "PX", "500"}).elements[0].integer == 1);
  CHECK(bench.Do("PTTL k") == "500");
  CHECK(bench.Do("CAS k d e NX") == "(error) ERR syntax error");
  CHECK(bench.Do("CAS k d e EX 0") == "(error) ERR invalid expire time in 'cas' command");
  CHECK(bench.Do("GET k") == "\"d\"");
  CHECK(bench.Ask({"CAS", "k", "d", "e", "PXAT", "1"}).elements[0].integer == 1);
  CHECK(bench.Do("EXISTS k") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("CASREV: 0 means that the key must not exist") {
  Bench bench;
  const resp::Reply made = bench.Ask({"CASREV", "k", "0", "a"});
  CHECK(made.elements[0].integer == 1);
  const std::string revision = std::to_string(made.elements[1].integer);
  CHECK(bench.Do("CASREV k 0 b") == "[0, " + revision + "]");
  CHECK(bench.Do("CASREV k 1 b") == "[0, " + revision + "]");
  CHECK(bench.Do("CASREV other 1 b") == "[0, 0]");
  CHECK(bench.Ask({"CASREV", "k", revision, "b", "EX", "9"}).elements[0].integer == 1);
  CHECK(bench.Do("TTL k") == "9");
  CHECK(bench.Ask({"CASREV", "k", revision, "c"}).elements[0].integer == 0);
  // A value that comes back is still a change.
  CHECK(bench.Do("SET k a") == "OK");
  CHECK(bench.Ask({"CASREV", "k", revision, "c"}).elements[0].integer == 0);
  for (const char* bad : {"-1", "x", "1.5", ""}) {
    CHECK(bench.Run({"CASREV", "k", bad, "v"}) ==
          "(error) ERR revision is not an integer or out of range");
  }
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("SET's conditions by value, digest and revision") {
  Bench bench;
  CHECK(bench.Do("SET k a IFEQ a") == "nil");
  CHECK(bench.Do("SET k a IFDEQ 0000000000000000") == "nil");
  CHECK(bench.Do("SET k a IFREV 1") == "nil");
  CHECK(bench.Do("EXISTS k") == "0");
  CHECK(bench.Do("SET k a IFNE a") == "OK");
  CHECK(bench.Do("SET k b IFNE a") == "nil");
  CHECK(bench.Do("SET k b IFEQ a") == "OK");
  CHECK(bench.Do("SET k c IFEQ a GET") == "\"b\"");
  CHECK(bench.Do("SET k c IFEQ b GET") == "\"b\"");
  const std::string digest = bench.Ask({"DIGEST", "k"}).string;
  CHECK(bench.Run({"SET", "k", "d", "IFDNE", digest}) == "nil");
  CHECK(bench.Run({"SET", "k", "d", "IFDEQ", ToUpper(digest)}) == "OK");
  CHECK(bench.Run({"SET", "k", "e", "IFDEQ", digest}) == "nil");
  CHECK(bench.Run({"SET", "k", "e", "IFDNE", digest}) == "OK");
  CHECK(bench.Run({"SET", "n", "e", "IFDNE", digest}) == "OK");
  const std::string revision = std::to_string(RevisionOf(&bench, "k"));
  CHECK(bench.Do("SET k f IFREV 0") == "nil");
  CHECK(bench.Run({"SET", "k", "f", "IFREV", revision}) == "OK");
  CHECK(bench.Run({"SET", "k", "g", "IFREV", revision}) == "nil");
  CHECK(bench.Do("SET fresh f IFREV 0") == "OK");
  for (const char* bad : {"123", "g000000000000000", "00000000000000000", "-000000000000001"}) {
    CHECK(bench.Run({"SET", "k", "v", "IFDEQ", bad}) ==
          "(error) ERR digest must be exactly 16 hexadecimal characters");
  }
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("DIGEST is XXH3 in 16 digits") {
  Bench bench;
  CHECK(bench.Do("DIGEST missing") == "nil");
  CHECK(bench.Run({"SET", "k", "Hello world"}) == "OK");
  CHECK(bench.Do("DIGEST k") == "\"b6acb9d84a38ff74\"");
}

TEST_CASE("DELEX and DELIFEQ") {
  Bench bench;
  CHECK(bench.Do("DELEX k") == "0");
  CHECK(bench.Do("DELEX k IFNE a") == "0");
  CHECK(bench.Do("SET k a") == "OK");
  CHECK(bench.Do("DELEX k IFEQ b") == "0");
  CHECK(bench.Do("DELEX k IFNE a") == "0");
  CHECK(bench.Do("DELEX k IFREV 1") == "0");
  CHECK(bench.Do("DELEX k IFREV 0") == "0");
  CHECK(bench.Do("DELEX k IFDEQ 0000000000000000") == "0");
  CHECK(bench.Do("DELEX k IFEQ a IFNE b") == "(error) ERR syntax error");
  CHECK(bench.Do("DELEX k NX") == "(error) ERR syntax error");
  CHECK(bench.Do("DELIFEQ k b") == "0");
  CHECK(bench.Do("DELIFEQ k a") == "1");
  CHECK(bench.Do("DELIFEQ k a") == "0");
  CHECK(bench.Do("SET k a") == "OK");
  CHECK(bench.Run({"DELEX", "k", "IFREV", std::to_string(RevisionOf(&bench, "k"))}) == "1");
  CHECK(bench.Do("LOCK l me 1000") != "nil");
  CHECK(bench.Do("DELEX l") == "1");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("MSETEX is all or nothing") {
  Bench bench;
  CHECK(bench.Do("MSETEX 2 a 1 b 2 EX 100 NX") == "1");
  CHECK(bench.Do("TTL a") == "100");
  CHECK(bench.Do("TTL b") == "100");
  CHECK(bench.Do("MSETEX 2 c 1 b 3 NX") == "0");
  CHECK(bench.Do("MSETEX 2 a 1 c 3 XX") == "0");
  CHECK(bench.Do("EXISTS c") == "0");
  CHECK(bench.Do("MSETEX 2 a 5 b 6 XX KEEPTTL") == "1");
  CHECK(bench.Do("TTL b") == "100");
  CHECK(bench.Do("MSETEX 1 a 7") == "1");
  CHECK(bench.Do("TTL a") == "-1");
  CHECK(bench.Do("MSETEX 2 a 1 a 2") == "1");
  CHECK(bench.Do("GET a") == "\"2\"");
  CHECK(bench.Do("MSETEX 2 a 1 b 2 PXAT 1") == "1");
  CHECK(bench.Do("EXISTS a b") == "0");
  CHECK(bench.Do("MSETEX 0 a 1") == "(error) ERR invalid numkeys value");
  CHECK(bench.Do("MSETEX x a 1") == "(error) ERR invalid numkeys value");
  CHECK(bench.Do("MSETEX 2 a 1 b") == "(error) ERR wrong number of key-value pairs");
  CHECK(bench.Do("MSETEX 1 a 1 b 2") == "(error) ERR syntax error");
  CHECK(bench.Do("MSETEX 1 a 1 IFEQ 2") == "(error) ERR syntax error");
  CHECK(bench.Do("MSETEX 1 a 1 NX XX") == "(error) ERR syntax error");
  CHECK(bench.Do("EXISTS a b") == "0");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("EXTEND sets the time to live and leaves the revision") {
  Bench bench;
  CHECK(bench.Do("EXTEND k 1000") == "[0, 0]");
  CHECK(bench.Do("SET k v PX 100") == "OK");
  const std::string before = bench.Do("GETREV k");
  const std::string revision = std::to_string(RevisionOf(&bench, "k"));
  CHECK(bench.Do("EXTEND k 5000") == "[1, " + revision + "]");
  CHECK(bench.Do("PTTL k") == "5000");
  CHECK(bench.Do("GETREV k") == before);
  CHECK(bench.Do("EXTEND k 5000 OWNER me") ==
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
  CHECK(bench.Do("EXTEND k 0") == "(error) ERR invalid expire time in 'extend' command");
  CHECK(bench.Do("EXTEND k 9223372036854775807") ==
        "(error) ERR invalid expire time in 'extend' command");
  CHECK(bench.Do("EXTEND k x") == "(error) ERR value is not an integer or out of range");
  CHECK(bench.Do("EXTEND k 1 OWNER") == "(error) ERR syntax error");
  CHECK(bench.FollowerAgrees());
}

}  // namespace
}  // namespace holdfast::commands
