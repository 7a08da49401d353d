// Histories made by hand, most of which have to be rejected.
#include <sstream>

#include "checker.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::linear {
namespace {

std::vector<Operation> Read(const std::string& text) {
  std::istringstream in(text);
  std::vector<Operation> history;
  const Status status = ReadHistory(in, "history", &history);
  INFO(status.message());
  REQUIRE(status.ok());
  return history;
}

// Lines `CLIENT START END OUTCOME OPERATION…` of one key of the model.
Verdict Check(const std::string& model, const std::string& lines) {
  std::istringstream in(lines);
  std::string text, line;
  while (std::getline(in, line)) {
    const size_t at = line.find_first_not_of(' ');
    if (at != std::string::npos) text += model + " key " + line.substr(at) + '\n';
  }
  return CheckVerdict(Read(text));
}

#define ACCEPTS(model, lines) CHECK(Check(model, lines) == Verdict::kLinearizable)
#define REJECTS(model, lines) CHECK(Check(model, lines) == Verdict::kViolation)

TEST_CASE("register: reads and writes") {
  ACCEPTS("register", "a 1 2 ok write x\n b 3 4 ok read = x\n");
  ACCEPTS("register", "a 1 2 ok read = ~\n");
  // A read that overlaps a write may see it, or not yet.
  ACCEPTS("register", "a 1 5 ok write x\n b 2 3 ok read = ~\n b 4 6 ok read = x\n");
  ACCEPTS("register", "a 1 5 ok write x\n b 2 3 ok read = x\n");
  // Touching calls overlap.
  ACCEPTS("register", "a 1 2 ok write x\n b 2 3 ok read = ~\n");
  // Stale.
  REJECTS("register", "a 1 2 ok write x\n b 3 4 ok read = ~\n");
  REJECTS("register", "a 1 2 ok write x\n a 3 4 ok write y\n b 5 6 ok read = x\n");
  // Seen by one client, then unseen by another.
  REJECTS("register", "a 1 9 ok write x\n b 2 3 ok read = x\n c 4 5 ok read = ~\n");
  // Two readers see two overlapping writes in different orders.
  REJECTS("register",
          "a 1 9 ok write x\n b 1 9 ok write y\n c 10 11 ok read = x\n d 12 13 ok read = y\n");
  // Lost, and never written.
  REJECTS("register", "a 1 2 ok write x\n a 3 4 ok delete = 1\n b 5 6 ok read = x\n");
  REJECTS("register", "b 5 6 ok read = x\n");
  REJECTS("register", "a 5 6 ok write x\n b 1 2 ok read = x\n");
}

TEST_CASE("register: in doubt and failed") {
  ACCEPTS("register", "a 1 - doubt write x\n b 3 4 ok read = x\n");
  ACCEPTS("register", "a 1 - doubt write x\n b 3 4 ok read = ~\n b 5 6 ok read = x\n");
  ACCEPTS("register", "a 1 - doubt write x\n b 3 4 ok read = ~\n");
  ACCEPTS("register",
          "a 1 - doubt write x\n a 2 3 ok write y\n b 4 5 ok read = y\n b 6 7 ok read = x\n");
  // Once there, it doesn't go again, and it comes once only.
  REJECTS("register", "a 1 - doubt write x\n b 3 4 ok read = x\n b 5 6 ok read = ~\n");
  REJECTS("register",
          "a 1 - doubt write x\n a 2 3 ok write y\n b 4 5 ok read = x\n b 6 7 ok read = y\n b 8 9 "
          "ok read = x\n");
  // Not before it was asked for.
  REJECTS("register", "b 1 2 ok read = x\n a 3 - doubt write x\n");
  // A failed one never.
  REJECTS("register", "a 1 2 failed write x\n b 3 4 ok read = x\n");
  ACCEPTS("register", "a 1 2 failed write x\n b 3 4 ok read = ~\n");
  // A deletion in doubt.
  ACCEPTS("register", "a 1 2 ok write x\n b 3 - doubt delete\n c 4 5 ok read = ~\n");
  REJECTS("register",
          "a 1 2 ok write x\n b 3 - doubt delete\n c 4 5 ok read = ~\n c 6 7 ok read = x\n");
  // A value that nobody reads explains a refusal.
  ACCEPTS("register", "a 1 2 ok write x\n b 3 - doubt write z\n c 4 5 ok cas x y = 0\n");
  REJECTS("register", "a 1 2 ok write x\n c 4 5 ok cas x y = 0\n");
  ACCEPTS("register", "b 3 - doubt write z\n c 4 5 ok setnx y = 0\n");
}

TEST_CASE("register: compare and set") {
  ACCEPTS("register", "a 1 2 ok write x\n b 3 4 ok cas x y = 1\n b 5 6 ok read = y\n");
  ACCEPTS("register", "a 1 2 ok write x\n b 3 4 ok cas z y = 0\n b 5 6 ok read = x\n");
  ACCEPTS("register", "a 1 2 ok cas x y = 0 0\n");
  REJECTS("register", "a 1 2 ok cas ~ y = 1\n");
  // Two winners.
  REJECTS("register", "a 1 2 ok write x\n b 3 9 ok cas x y = 1\n c 3 9 ok cas x z = 1\n");
  REJECTS("register", "b 3 9 ok setnx y = 1\n c 3 9 ok setnx z = 1\n");
  REJECTS("register", "b 1 2 ok setnx y = 0\n");
  REJECTS("register", "a 1 2 ok write x\n b 3 4 ok delete = 0\n");
  // No winner: one has to win.
  REJECTS("register", "a 1 2 ok write x\n b 3 9 ok cas x y = 0\n c 3 9 ok cas x z = 0\n");
  // Refused, and yet applied.
  REJECTS("register", "a 1 2 ok write x\n b 3 4 ok cas w y = 0\n b 5 6 ok read = y\n");
  // In doubt: only from what it expects.
  REJECTS("register", "a 1 2 ok write x\n b 3 - doubt cas w y\n b 5 6 ok read = y\n");
  ACCEPTS("register", "a 1 2 ok write x\n b 3 - doubt cas x y\n b 5 6 ok read = y\n");
}

TEST_CASE("register: revisions") {
  ACCEPTS("register", "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n b 5 6 ok readrev = x 7\n");
  REJECTS("register", "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n b 5 6 ok readrev = x 8\n");
  // The same value again has a higher revision.
  ACCEPTS(
      "register",
      "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n a 5 6 ok write x\n b 7 8 ok readrev = x 9\n");
  REJECTS(
      "register",
      "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n a 5 6 ok write x\n b 7 8 ok readrev = x 7\n");
  REJECTS(
      "register",
      "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n a 5 6 ok write y\n b 7 8 ok readrev = y 5\n");
  // Also behind a deletion.
  REJECTS("register",
          "a 1 2 ok write x\n b 3 4 ok readrev = x 7\n a 5 6 ok delete = 1\n"
          "a 7 8 ok write y\n b 9 10 ok readrev = y 6\n");
  ACCEPTS("register",
          "a 1 2 ok casrev 0 x = 1 3\n a 3 4 ok casrev 3 y = 1 4\n a 5 6 ok casrev 3 z = 0 4\n");
  REJECTS("register",
          "a 1 2 ok casrev 0 x = 1 3\n a 3 4 ok casrev 3 y = 1 4\n a 5 6 ok casrev 3 z = 1 5\n");
  REJECTS("register", "a 1 2 ok casrev 0 x = 1 3\n a 3 4 ok casrev 3 y = 0 3\n");
  REJECTS("register", "a 1 2 ok casrev 0 x = 1 3\n a 3 4 ok casrev 0 y = 1 4\n");
  REJECTS("register", "a 1 2 ok casrev 5 x = 1 6\n");
  ACCEPTS("register", "a 1 2 ok casrev 5 x = 0 0\n");
  // ABA: the value is back, the revision isn't.
  REJECTS("register",
          "a 1 2 ok cas ~ x = 0 0\n a 3 4 ok write x\n a 5 6 ok readrev = x 3\n b 7 8 ok write y\n"
          "b 9 10 ok write x\n a 11 12 ok casrev 3 z = 1 9\n");
}

TEST_CASE("counter") {
  ACCEPTS("counter", "a 1 2 ok incr 1 = 1\n b 3 4 ok incr 5 = 6\n c 5 6 ok read = 6\n");
  ACCEPTS("counter", "a 1 9 ok incr 1 = 2\n b 1 9 ok incr 1 = 1\n");
  REJECTS("counter", "a 1 2 ok incr 1 = 2\n b 3 4 ok incr 1 = 1\n");
  // Lost, twice, the same number for two.
  REJECTS("counter", "a 1 2 ok incr 1 = 1\n b 3 4 ok read = 0\n");
  REJECTS("counter", "a 1 2 ok incr 1 = 1\n b 3 4 ok read = 2\n");
  REJECTS("counter", "a 1 9 ok incr 1 = 1\n b 1 9 ok incr 1 = 1\n");
  REJECTS("counter", "a 1 2 failed incr 1\n b 3 4 ok read = 1\n");
  // In doubt: once at most, and not back.
  ACCEPTS("counter", "a 1 - doubt incr 1\n b 3 4 ok read = 0\n b 5 6 ok read = 1\n");
  REJECTS("counter", "a 1 - doubt incr 1\n b 3 4 ok read = 2\n");
  REJECTS("counter", "a 1 - doubt incr 1\n b 3 4 ok read = 1\n b 5 6 ok read = 0\n");
  ACCEPTS("counter",
          "a 1 - doubt incr 1\n a 2 - doubt incr 1\n a 3 - doubt incr 1\n b 5 6 ok read = 2\n");
  REJECTS("counter", "a 1 - doubt incr 1\n a 2 - doubt incr 1\n b 3 4 ok read = 3\n");
  ACCEPTS("counter", "a 1 2 ok incr -3 = -3\n b 3 4 ok incr 3 = 0\n");
}

TEST_CASE("lock: owners and tokens") {
  ACCEPTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 1\n b 5 6 ok lock b 1000 = 8\n");
  ACCEPTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 4 ok lock b 1000 = ~\n b 5 6 ok info = a 7\n");
  ACCEPTS("lock",
          "a 1 2 ok lock a 1000 = 7\n a 3 4 ok lock a 1000 = 7\n a 5 6 ok extend a 5 = 1 7\n");
  ACCEPTS("lock",
          "a 1 2 ok lock a 1000 = 7\n b 3 4 ok unlock b = 0\n b 5 6 ok extend b 5 = notowner\n");
  // A waiter gets it as soon as it is given back.
  ACCEPTS("lock",
          "a 1 2 ok lock a 1000 = 7\n b 3 9 ok lock b 1000 = 8\n a 4 5 ok unlock a = 1\n c 6 7 ok "
          "lock c 9 = ~\n");
  // Two holders.
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 4 ok lock b 1000 = 8\n");
  REJECTS("lock", "a 1 9 ok lock a 1000 = 7\n b 1 9 ok lock b 1000 = 8\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 4 ok info = b 8\n");
  // A token that goes back, stays, or changes while held.
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 1\n b 5 6 ok lock b 1000 = 6\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 1\n b 5 6 ok lock b 1000 = 7\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok lock a 1000 = 8\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 5 6 ok info = a 8\n");
  // Refused though free; given back by another, twice, or in vain.
  REJECTS("lock", "b 3 4 ok lock b 1000 = ~\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 4 ok unlock b = 1\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 1\n a 5 6 ok unlock a = 1\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 0\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 4 ok extend a 1000 = 0\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 4 ok info = ~\n");
}

TEST_CASE("lock: in doubt") {
  ACCEPTS("lock", "a 1 - doubt lock a 1000\n b 3 4 ok lock b 1000 = ~\n b 5 6 ok info = a 7\n");
  ACCEPTS("lock", "a 1 - doubt lock a 1000\n b 3 4 ok lock b 1000 = 7\n");
  ACCEPTS("lock", "a 1 - doubt lock a 1000\n a 3 4 ok lock a 1000 = 9\n");
  REJECTS("lock",
          "a 1 - doubt lock a 1000\n b 3 4 ok lock b 1000 = ~\n c 5 6 ok lock c 1000 = 7\n");
  ACCEPTS("lock", "a 1 2 ok lock a 1000 = 7\n a 3 - doubt unlock a\n b 5 6 ok lock b 1000 = 8\n");
  REJECTS("lock", "a 1 2 ok lock a 1000 = 7\n b 3 - doubt unlock b\n b 5 6 ok lock b 1000 = 8\n");
  // The unlock in doubt is used up.
  REJECTS("lock",
          "a 1 2 ok lock a 1000 = 7\n a 3 - doubt unlock a\n b 5 6 ok lock b 1000 = 8\n c 7 8 ok "
          "lock c 1000 = 9\n");
  // The token of a grant in doubt is above those before, and those behind are above it.
  REJECTS("lock",
          "a 1 2 ok lock a 1000 = 7\n a 3 4 ok unlock a = 1\n b 5 - doubt lock b 1000\n c 7 8 ok "
          "info = b 6\n");
}

TEST_CASE("lock: a lease ends late, never early, counted from the start of the call") {
  // 1000 ms from 100 ms to 1100 ms.
  const std::string granted = "a 100000000 300000000 ok lock a 1000 = 7\n";
  ACCEPTS("lock", granted + "b 1050000000 1100000000 ok lock b 1000 = 8\n");
  REJECTS("lock", granted + "b 1050000000 1099999999 ok lock b 1000 = 8\n");
  ACCEPTS("lock", granted + "b 9000000000 9000000001 ok lock b 1000 = ~\n");  // late
  ACCEPTS("lock", granted + "b 1050000000 1100000000 ok info = ~\n");
  REJECTS("lock", granted + "b 1050000000 1099999999 ok info = ~\n");
  ACCEPTS("lock", granted + "a 1050000000 1100000000 ok unlock a = 0\n");
  ACCEPTS("lock", granted + "a 1050000000 1100000000 ok lock a 1000 = 8\n");
  REJECTS("lock", granted + "a 1050000000 1099999999 ok lock a 1000 = 8\n");
  // It was free behind the end of another call: the grant, and so the lease, is later than its
  // START.
  const std::string later =
      "a 1 2 ok lock a 60000 = 7\n b 3 2000000000 ok lock b 1000 = 8\n"
      "a 1000000000 1000000001 ok unlock a = 1\n";
  ACCEPTS("lock", later + "c 2000000001 2000000002 ok lock c 1000 = 9\n");
  REJECTS("lock", later + "c 1500000000 1999999999 ok lock c 1000 = 9\n");
  // Made longer, made shorter, and by another call of the owner at least as long as before.
  const std::string longer = granted + "a 400000000 500000000 ok extend a 2000 = 1 7\n";
  REJECTS("lock", longer + "b 2300000000 2399999999 ok lock b 1000 = 8\n");
  ACCEPTS("lock", longer + "b 2300000000 2400000000 ok lock b 1000 = 8\n");
  ACCEPTS(
      "lock",
      granted +
          "a 400000000 500000000 ok extend a 5 = 1 7\n b 500000001 500000002 ok lock b 1 = 8\n");
  REJECTS(
      "lock",
      granted + "a 400000000 500000000 ok lock a 5 = 7\n b 500000001 500000002 ok lock b 1 = 8\n");
  // An extension in doubt may not have happened, and may have made the lease shorter.
  ACCEPTS(
      "lock",
      granted + "a 400000000 - doubt extend a 2000\n b 1100000000 1100000001 ok lock b 1 = 8\n");
  ACCEPTS("lock",
          granted + "a 400000000 - doubt extend a 5\n b 405000000 500000002 ok lock b 1 = 8\n");
}

TEST_CASE("append") {
  ACCEPTS("append", "a 1 2 ok append a1; = 3\n b 3 4 ok append b1; = 6\n c 5 6 ok read = a1;b1;\n");
  ACCEPTS("append",
          "a 1 9 ok append a1; = 6\n b 1 9 ok append b1; = 3\n c 10 11 ok read = b1;a1;\n");
  ACCEPTS("append", "c 1 2 ok read = ~\n a 3 4 ok append a1; = 3\n");
  REJECTS("append", "a 1 2 ok append a1; = 3\n b 3 4 ok append b1; = 6\n c 5 6 ok read = b1;a1;\n");
  // Lost, twice, not a beginning of what was read before.
  REJECTS("append", "a 1 2 ok append a1; = 3\n c 5 6 ok read = ~\n");
  REJECTS("append", "a 1 2 ok append a1; = 3\n b 3 4 ok append b1; = 6\n c 5 6 ok read = a1;\n");
  REJECTS("append", "a 1 2 ok append a1; = 3\n c 5 6 ok read = a1;a1;\n");
  REJECTS("append",
          "a 1 9 ok append a1; = 3\n b 1 9 ok append b1; = 6\n c 2 3 ok read = b1;\n d 10 11 ok "
          "read = a1;b1;\n");
  REJECTS("append", "a 1 2 ok append a1; = 6\n");
  REJECTS("append", "a 1 2 failed append a1;\n c 5 6 ok read = a1;\n");
  REJECTS("append", "c 5 6 ok read = x1;\n");
  // In doubt.
  ACCEPTS("append", "a 1 - doubt append a1;\n b 3 4 ok append b1; = 3\n c 5 6 ok read = b1;a1;\n");
  ACCEPTS("append", "a 1 - doubt append a1;\n b 3 4 ok append b1; = 6\n");
  REJECTS("append", "a 1 - doubt append a1;\n c 3 4 ok read = a1;\n c 5 6 ok read = ~\n");
  REJECTS("append", "a 1 - doubt append a1;\n c 3 4 ok read = a1;a1;\n");
}

TEST_CASE("keys are checked one by one, and all of them") {
  const std::string good = "register x a 1 2 ok write 1\nregister x b 3 4 ok read = 1\n";
  const std::string bad = "register y a 1 2 ok write 1\nregister y b 3 4 ok read = ~\n";
  CHECK(CheckVerdict(Read(good)) == Verdict::kLinearizable);
  const Report report = CheckHistory(Read(good + bad), {});
  CHECK(report.keys == 2);
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].key == "y");
  CHECK(report.faults[0].explanation.find("register y b 3 4 ok read = ~") != std::string::npos);
}

TEST_CASE("an explanation leaves out what isn't needed for it") {
  std::string text;
  for (int i = 0; i < 50; ++i) {
    const std::string at = std::to_string(100 * i + 10) + ' ' + std::to_string(100 * i + 20);
    const std::string later = std::to_string(100 * i + 30) + ' ' + std::to_string(100 * i + 40);
    text += "register y a " + at + " ok write v" + std::to_string(i) + '\n';
    text += "register y b " + later + " ok read = v" + std::to_string(i == 40 ? 39 : i) + '\n';
  }
  const Report report = CheckHistory(Read(text), {});
  REQUIRE(report.faults.size() == 1);
  const std::string& explanation = report.faults[0].explanation;
  CHECK(explanation.find("read = v39") != std::string::npos);
  CHECK(explanation.find("4030 4040") != std::string::npos);
  CHECK(explanation.find("read = v30") == std::string::npos);
  CHECK(explanation.find("v41") == std::string::npos);
}

TEST_CASE("running out of the budget is undecided, which is no pass") {
  // Many writes at a time, in doubt, and a read of something else.
  std::string text;
  for (int i = 0; i < 14; ++i) {
    text += "register y a 1 1000 ok write v" + std::to_string(i) + '\n';
    text += "register y a 2000 2001 ok cas v" + std::to_string(i) + " w = 0\n";
  }
  text += "register y a 3000 3001 ok read = ~\n";
  Options options;
  options.configurations = 100;
  const Report report = CheckHistory(Read(text), options);
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].verdict == Verdict::kUndecided);
  CHECK(!report.passed());
  CHECK(CheckVerdict(Read(text)) == Verdict::kViolation);
  options.configurations = 1'000'000'000;
  options.seconds = 0;
  const Report late = CheckHistory(Read(text), options);
  CHECK(late.Count(Verdict::kUndecided) == 1);
}

TEST_CASE("what is no history is refused") {
  for (const char* line :
       {"string k a 1 2 ok read = x", "register k a x 2 ok read = x",
        "register k a 1 x ok read = x", "register k a 1 2 fine read = x",
        "register k a 1 2 ok incr 1 = 1", "register k a 1 2 ok read", "register k a 1 2 ok read x",
        "register k a 1 2 ok read = x y", "register k a 2 1 ok read = x",
        "register k a 1 - ok read = x", "register k a 1 2 ok write", "register k a 1 2 ok write ~",
        "counter k a 1 2 ok incr x = 1", "lock k a 1 2 ok lock a = 7",
        "lock k a 1 2 ok unlock a = 2", "register k a 1 2 ok write x = 1", "register"}) {
    INFO(line);
    CHECK(!ParseOperation(line).ok());
  }
  std::istringstream in("# a comment\n\nregister k a 1 2 ok write x\nnonsense\n");
  std::vector<Operation> history;
  const Status status = ReadHistory(in, "file", &history);
  CHECK(status.message().starts_with("file:4: "));
}

}  // namespace
}  // namespace holdfast::linear
