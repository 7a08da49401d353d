#include "resp/writer.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "base/rng.h"
#include "resp/reply_parser.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::resp {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::string Written(int protocol, const std::function<void(Writer*)>& write) {
  std::string out = "before";
  Writer writer(&out, protocol);
  write(&writer);
  REQUIRE(out.starts_with("before"));
  return out.substr(6);
}

// The same call's bytes in both protocols.
void Expect(const std::string& resp2, const std::string& resp3,
            const std::function<void(Writer*)>& write) {
  CHECK(Written(2, write) == resp2);
  CHECK(Written(3, write) == resp3);
}

void ExpectBoth(const std::string& bytes, const std::function<void(Writer*)>& write) {
  Expect(bytes, bytes, write);
}

TEST_CASE("writer: the protocol is RESP2 unless told otherwise") {
  std::string out;
  CHECK(Writer(&out).protocol() == 2);
  CHECK_FALSE(Writer(&out).resp3());
  CHECK(Writer(&out, 3).protocol() == 3);
  CHECK(Writer(&out, 3).resp3());
  CHECK(Writer(&out).out() == &out);
}

TEST_CASE("writer: what both protocols write alike") {
  ExpectBoth("+OK\r\n", [](Writer* w) { w->Ok(); });
  ExpectBoth("+PONG\r\n", [](Writer* w) { w->Simple("PONG"); });
  ExpectBoth("-ERR syntax error\r\n", [](Writer* w) { w->Error("ERR syntax error"); });
  ExpectBoth("*0\r\n", [](Writer* w) { w->Array(0); });
  ExpectBoth("*3\r\n", [](Writer* w) { w->Array(3); });
  ExpectBoth("*1234567\r\n", [](Writer* w) { w->Array(1234567); });
  ExpectBoth(":1\r\n*0\r\n", [](Writer* w) { w->Raw(":1\r\n*0\r\n"); });
}

TEST_CASE("writer: integers") {
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{9}, int64_t{10},
                          int64_t{-10}, int64_t{12345}, INT64_MAX, INT64_MIN}) {
    const std::string text = std::to_string(n);
    ExpectBoth(":" + text + "\r\n", [n](Writer* w) { w->Integer(n); });
    ExpectBoth("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n",
               [n](Writer* w) { w->BulkInteger(n); });
  }
}

TEST_CASE("writer: bulk strings of every size") {
  for (const size_t size : {0, 1, 9, 10, 11, 95, 96, 97, 98, 120, 1000, 100'000}) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 31));
    const std::string expected = "$" + std::to_string(size) + "\r\n" + bytes + "\r\n";
    ExpectBoth(expected, [&](Writer* w) { w->Bulk(bytes); });
    ExpectBoth(expected, [&](Writer* w) {
      w->BulkBegin(size);
      w->out()->append(bytes, 0, size / 2);
      w->out()->append(bytes, size / 2);
      w->BulkEnd();
    });
  }
}

TEST_CASE("writer: a line end in a line would be a reply of its own") {
  ExpectBoth("-ERR unknown command 'a  +OK  '\r\n",
             [](Writer* w) { w->Error("ERR unknown command 'a\r\n+OK\r\n'"); });
  ExpectBoth("-ERR x\r\n", [](Writer* w) { w->Error("ERR x\r\n"); });
  ExpectBoth("-ERR x\r\n", [](Writer* w) { w->Error("\n\rERR x\n\n"); });
  ExpectBoth("-\r\n", [](Writer* w) { w->Error("\r\n"); });
  ExpectBoth("+a b c\r\n", [](Writer* w) { w->Simple("a\rb\nc"); });
}

TEST_CASE("writer: nulls") {
  Expect("$-1\r\n", "_\r\n", [](Writer* w) { w->Null(); });
  Expect("*-1\r\n", "_\r\n", [](Writer* w) { w->NullArray(); });
}

TEST_CASE("writer: aggregates of RESP3 are arrays in RESP2") {
  Expect("*0\r\n", "%0\r\n", [](Writer* w) { w->Map(0); });
  Expect("*14\r\n", "%7\r\n", [](Writer* w) { w->Map(7); });
  Expect("*7\r\n", "~7\r\n", [](Writer* w) { w->Set(7); });
  Expect("*3\r\n", ">3\r\n", [](Writer* w) { w->Push(3); });
}

TEST_CASE("writer: lengths that are known afterwards") {
  Expect("*1\r\n*4\r\n:1\r\n:2\r\n:3\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n:9\r\n",
         "*1\r\n%2\r\n:1\r\n:2\r\n:3\r\n~2\r\n$1\r\na\r\n$1\r\nb\r\n:9\r\n", [](Writer* w) {
           const size_t outer = w->Mark();
           const size_t map = w->Mark();
           w->Integer(1);
           w->Integer(2);
           w->Integer(3);
           const size_t set = w->Mark();
           w->Bulk("a");
           w->Bulk("b");
           w->SetAt(set, 2);
           w->MapAt(map, 2);
           w->ArrayAt(outer, 1);
           w->Integer(9);
         });
  ExpectBoth("*0\r\n", [](Writer* w) { w->ArrayAt(w->Mark(), 0); });
}

TEST_CASE("writer: doubles") {
  const auto expect = [](const std::string& text, double value) {
    Expect("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n", "," + text + "\r\n",
           [value](Writer* w) { w->Double(value); });
  };
  expect("3", 3);
  expect("-17", -17);
  expect("0.10000000000000001", 0.1);
  expect("1.5", 1.5);
  expect("-0", -0.0);
  expect("1e+17", 1e17);
  expect("-2.2250738585072014e-308", -2.2250738585072014e-308);
  expect("inf", kInf);
  expect("-inf", -kInf);
  expect("nan", std::nan(""));
}

TEST_CASE("writer: long doubles for people") {
  Expect("$4\r\n10.6\r\n", ",10.6\r\n", [](Writer* w) { w->HumanDouble(10.6L); });
  Expect("$3\r\ninf\r\n", ",inf\r\n", [](Writer* w) { w->HumanDouble(kInf); });
  Expect("$21\r\n100000000000000000000\r\n", ",100000000000000000000\r\n",
         [](Writer* w) { w->HumanDouble(1e20L); });
}

TEST_CASE("writer: the other types of RESP3") {
  Expect(":1\r\n", "#t\r\n", [](Writer* w) { w->Bool(true); });
  Expect(":0\r\n", "#f\r\n", [](Writer* w) { w->Bool(false); });
  Expect("$25\r\n1234567999999999999999999\r\n", "(1234567999999999999999999\r\n",
         [](Writer* w) { w->BigNumber("1234567999999999999999999"); });
  Expect("$5\r\na\r\nbc\r\n", "=9\r\ntxt:a\r\nbc\r\n",
         [](Writer* w) { w->Verbatim("txt", "a\r\nbc"); });
  Expect("$0\r\n\r\n", "=4\r\nmd :\r\n", [](Writer* w) { w->Verbatim("md", ""); });
  Expect("$1\r\nx\r\n", "=5\r\nlon:x\r\n", [](Writer* w) { w->Verbatim("longer", "x"); });
}

// ---- Round trips: a random tree is written, and the reply parser must read it back.

std::string RandomBytes(Rng* rng, uint64_t max_length) {
  std::string bytes;
  for (uint64_t n = rng->Below(max_length + 1); n > 0; --n) {
    bytes.push_back(static_cast<char>(rng->Below(256)));
  }
  return bytes;
}

std::string RandomLine(Rng* rng) {
  std::string line;
  for (uint64_t n = rng->Below(20); n > 0; --n) {
    line.push_back(static_cast<char>(' ' + rng->Below(95)));
  }
  return line;
}

class Tree {
 public:
  Tree(uint64_t seed, int protocol) : rng_(seed), writer_(&bytes_, protocol) {}

  // Writes a random reply and returns what a client should read.
  Reply Random(int depth) {
    const bool resp3 = writer_.resp3();
    Reply reply;
    switch (rng_.Below(depth > 0 ? 15 : 10)) {
      case 0:
        reply.type = ReplyType::kSimple;
        reply.string = RandomLine(&rng_);
        writer_.Simple(reply.string);
        return reply;
      case 1:
        reply.type = ReplyType::kError;
        reply.string = RandomLine(&rng_);
        writer_.Error(reply.string);
        return reply;
      case 2:
        reply.type = ReplyType::kInteger;
        reply.integer = static_cast<int64_t>(rng_.Next()) >> rng_.Below(64);
        writer_.Integer(reply.integer);
        return reply;
      case 3:
        reply.string = RandomBytes(&rng_, rng_.Chance(1, 5) ? 400 : 10);
        reply.type = ReplyType::kBulk;
        writer_.Bulk(reply.string);
        return reply;
      case 4:
        writer_.Null();
        return reply;
      case 5:
        if (!resp3) reply.type = ReplyType::kNullArray;
        writer_.NullArray();
        return reply;
      case 6: {
        const double value = static_cast<double>(rng_.Next()) / 1e6;
        writer_.Double(value);
        reply.string = FormatDouble(value);
        reply.type = resp3 ? ReplyType::kDouble : ReplyType::kBulk;
        reply.number = resp3 ? value : 0;
        return reply;
      }
      case 7:
        reply.integer = static_cast<int64_t>(rng_.Below(2));
        reply.type = resp3 ? ReplyType::kBool : ReplyType::kInteger;
        writer_.Bool(reply.integer != 0);
        return reply;
      case 8:
        reply.string = "-" + std::to_string(rng_.Next()) + std::to_string(rng_.Next());
        reply.type = resp3 ? ReplyType::kBigNumber : ReplyType::kBulk;
        writer_.BigNumber(reply.string);
        return reply;
      case 9:
        reply.string = RandomBytes(&rng_, 10);
        reply.type = resp3 ? ReplyType::kVerbatim : ReplyType::kBulk;
        if (resp3) reply.format = "mkd";
        writer_.Verbatim("mkd", reply.string);
        return reply;
      default:
        return RandomAggregate(depth);
    }
  }

  const std::string& bytes() const { return bytes_; }

 private:
  Reply RandomAggregate(int depth) {
    const bool resp3 = writer_.resp3();
    Reply reply;
    reply.type = ReplyType::kArray;
    size_t n = rng_.Below(5);
    const bool deferred = rng_.Chance(1, 3);
    const size_t mark = writer_.Mark();
    const uint64_t kind = rng_.Below(3);
    size_t elements = n;
    if (kind == 0) {
      if (!deferred) writer_.Array(n);
    } else if (kind == 1) {
      if (resp3) reply.type = ReplyType::kSet;
      if (!deferred) writer_.Set(n);
    } else {
      if (resp3) reply.type = ReplyType::kMap;
      elements = 2 * n;
      if (!deferred) writer_.Map(n);
    }
    for (size_t i = 0; i < elements; ++i) reply.elements.push_back(Random(depth - 1));
    if (deferred && kind == 0) writer_.ArrayAt(mark, n);
    if (deferred && kind == 1) writer_.SetAt(mark, n);
    if (deferred && kind == 2) writer_.MapAt(mark, n);
    return reply;
  }

  Rng rng_;
  std::string bytes_;
  Writer writer_;
};

TEST_CASE("writer: a client reads what was written") {
  for (const int protocol : {2, 3}) {
    for (uint64_t seed = 0; seed < 5000; ++seed) {
      Tree tree(seed, protocol);
      const Reply expected = tree.Random(4);
      ReplyParser parser;
      INFO(tree.bytes());
      REQUIRE(parser.Next(tree.bytes()) == ParseOutcome::kRequest);
      REQUIRE(parser.consumed() == tree.bytes().size());
      REQUIRE(parser.reply().ToText() == expected.ToText());
      REQUIRE(parser.reply() == expected);
    }
  }
}

}  // namespace
}  // namespace holdfast::resp
