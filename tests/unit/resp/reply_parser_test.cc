#include "resp/reply_parser.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::resp {
namespace {

using std::string_literals::operator""s;

struct Replies {
  std::vector<Reply> replies;
  std::string error;
  size_t used = 0;

  bool operator==(const Replies&) const = default;
};

// Feeds the stream in the given pieces, each call in a block of just its size.
Replies Feed(const std::string& stream, std::vector<size_t> ends, const ReplyLimits& limits = {}) {
  ends.push_back(stream.size());
  Replies out;
  ReplyParser parser(limits);
  for (const size_t end : ends) {
    while (true) {
      const std::vector<char> block(stream.begin() + static_cast<ptrdiff_t>(out.used),
                                    stream.begin() + static_cast<ptrdiff_t>(end));
      const std::string_view input(block.data(), block.size());
      const ParseOutcome outcome = parser.Next(input);
      if (outcome == ParseOutcome::kIncomplete) break;
      if (outcome == ParseOutcome::kError) {
        CHECK(parser.Next(input) == ParseOutcome::kError);
        out.error = parser.error();
        return out;
      }
      out.used += parser.consumed();
      out.replies.push_back(std::move(parser.reply()));
    }
  }
  return out;
}

Replies FeedBoth(const std::string& stream, const ReplyLimits& limits = {}) {
  Replies whole = Feed(stream, {}, limits);
  std::vector<size_t> every;
  for (size_t i = 1; i < stream.size(); ++i) every.push_back(i);
  CHECK(whole == Feed(stream, every, limits));
  return whole;
}

// The one reply of `stream`.
Reply One(const std::string& stream) {
  Replies r = FeedBoth(stream);
  INFO(stream, " ", r.error);
  REQUIRE(r.replies.size() == 1);
  CHECK(r.used == stream.size());
  CHECK(r.error.empty());
  return r.replies[0];
}

TEST_CASE("replies: every type") {
  CHECK(One("+OK\r\n").type == ReplyType::kSimple);
  CHECK(One("+OK\r\n").string == "OK");
  CHECK(One("+\r\n").string.empty());
  CHECK(One("-ERR no\r\n").type == ReplyType::kError);
  CHECK(One("-ERR no\r\n").string == "ERR no");
  CHECK(One("-ERR no\r\n").is_error());
  CHECK(One(":-42\r\n").type == ReplyType::kInteger);
  CHECK(One(":-42\r\n").integer == -42);
  CHECK(One(":+7\r\n").integer == 7);
  CHECK(One("$5\r\na\r\n\0b\r\n"s).string == "a\r\n\0b"s);
  CHECK(One("$0\r\n\r\n").type == ReplyType::kBulk);
  CHECK(One("$-1\r\n").type == ReplyType::kNull);
  CHECK(One("_\r\n").type == ReplyType::kNull);
  CHECK(One("*-1\r\n").type == ReplyType::kNullArray);
  CHECK(One("*-1\r\n").is_null());
  CHECK(One(",1.5e3\r\n").number == 1500);
  CHECK(One(",1.5e3\r\n").string == "1.5e3");
  CHECK(std::isinf(One(",-inf\r\n").number));
  CHECK(One(",-inf\r\n").number < 0);
  CHECK(std::isnan(One(",nan\r\n").number));
  CHECK(One("#t\r\n").integer == 1);
  CHECK(One("#f\r\n").type == ReplyType::kBool);
  CHECK(One("#f\r\n").integer == 0);
  CHECK(One("(-123456789012345678901234567890\r\n").string == "-123456789012345678901234567890");
  CHECK(One("!7\r\nERR a\nb\r\n").type == ReplyType::kBulkError);
  CHECK(One("!7\r\nERR a\nb\r\n").is_error());
  const Reply verbatim = One("=8\r\ntxt:some\r\n");
  CHECK(verbatim.type == ReplyType::kVerbatim);
  CHECK(verbatim.format == "txt");
  CHECK(verbatim.string == "some");
}

TEST_CASE("replies: aggregates") {
  const Reply array = One("*3\r\n:1\r\n*0\r\n*2\r\n$1\r\na\r\n_\r\n");
  CHECK(array.type == ReplyType::kArray);
  CHECK(array.ToText() == "[1, [], [\"a\", nil]]");
  CHECK(One("*0\r\n").elements.empty());
  const Reply map = One("%2\r\n+a\r\n:1\r\n$1\r\nb\r\n~2\r\n#t\r\n,2.5\r\n");
  CHECK(map.type == ReplyType::kMap);
  CHECK(map.elements.size() == 4);
  CHECK(map.ToText() == "{a: 1, \"b\": {true, 2.5}}");
  CHECK(One(">2\r\n+message\r\n+x\r\n").type == ReplyType::kPush);
  CHECK(One(">2\r\n+message\r\n+x\r\n").ToText() == "<message, x>");
  CHECK(One("*2\r\n-ERR \"x\"\r\n$3\r\n\"\\\x01\r\n").ToText() ==
        "[(error) ERR \"x\", \"\\\"\\\\\\x01\"]");
}

TEST_CASE("replies: looking a key up") {
  const std::string members = "+server\r\n$5\r\nredis\r\n+proto\r\n:3\r\n";
  for (const std::string& header : {"%2\r\n"s, "*4\r\n"s}) {
    const Reply reply = One(header + members);
    REQUIRE(reply.Find("proto") != nullptr);
    CHECK(reply.Find("proto")->integer == 3);
    CHECK(reply.Find("server")->string == "redis");
    CHECK(reply.Find("redis") == nullptr);  // a value, no key
    CHECK(reply.Find("") == nullptr);
  }
  CHECK(One("*1\r\n+a\r\n").Find("a") == nullptr);
}

TEST_CASE("replies: attributes stand before what they describe") {
  const Reply top = One("|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n");
  CHECK(top.string == "x");
  REQUIRE(top.attributes.size() == 2);
  CHECK(top.attributes[1].integer == 3600);
  const Reply nested = One("*3\r\n:1\r\n|1\r\n+k\r\n*1\r\n:5\r\n|1\r\n+l\r\n:6\r\n:2\r\n:3\r\n");
  CHECK(nested.ToText() == "[1, 2, 3]");
  CHECK(nested.attributes.empty());
  CHECK(nested.elements[0].attributes.empty());
  REQUIRE(nested.elements[1].attributes.size() == 4);
  CHECK(nested.elements[1].attributes[1].ToText() == "[5]");
  CHECK(nested.elements[1].attributes[3].integer == 6);
  CHECK(nested.elements[2].attributes.empty());
  const Reply array = One("|1\r\n+k\r\n:1\r\n*1\r\n:2\r\n");
  CHECK(array.attributes.size() == 2);
  CHECK(array.elements[0].attributes.empty());
  CHECK(One("|0\r\n:4\r\n").integer == 4);
}

TEST_CASE("replies: what breaks the protocol is refused") {
  for (const std::string& stream : {"x\r\n"s,
                                    "\r\n"s,
                                    "+a\rb\r\n"s,
                                    "+a\nb\r\n"s,
                                    ":\r\n"s,
                                    ":1.5\r\n"s,
                                    ":01\r\n"s,
                                    ":+-1\r\n"s,
                                    ":a\r\n"s,
                                    "$-2\r\n"s,
                                    "$x\r\n"s,
                                    "$1\r\nabc"s,
                                    "$1\r\na\rb"s,
                                    "$?\r\n"s,
                                    "*-2\r\n"s,
                                    "*?\r\n"s,
                                    "%-1\r\n"s,
                                    "~-1\r\n"s,
                                    "!-1\r\n"s,
                                    "=3\r\nabc\r\n"s,
                                    "=4\r\nabcd\r\n"s,
                                    "_x\r\n"s,
                                    "#x\r\n"s,
                                    "#\r\n"s,
                                    ",\r\n"s,
                                    ",0x10\r\n"s,
                                    ",infinity\r\n"s,
                                    ",1 \r\n"s,
                                    "(\r\n"s,
                                    "(1.0\r\n"s,
                                    "(-\r\n"s,
                                    "*1\r\n>1\r\n:1\r\n"s,
                                    "*2\r\n:1\r\nq\r\n"s,
                                    "$536870913\r\n"s,
                                    "*99999999999\r\n"s,
                                    "\0\r\n"s}) {
    const Replies r = FeedBoth(stream);
    INFO(stream);
    CHECK(r.replies.empty());
    CHECK_FALSE(r.error.empty());
  }
  CHECK(FeedBoth("+OK\r\n*2\r\n:1\r\nq\r\n").error == "unknown type at byte 8");
  CHECK(FeedBoth("+OK\r\n*2\r\n:1\r\nq\r\n").replies.size() == 1);
}

TEST_CASE("replies: limits") {
  ReplyLimits limits;
  limits.max_depth = 3;
  limits.max_line_bytes = 10;
  limits.max_bulk_bytes = 4;
  limits.max_elements = 6;
  CHECK(FeedBoth("*1\r\n*1\r\n*1\r\n:1\r\n", limits).replies.size() == 1);
  CHECK(FeedBoth("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", limits).error == "too deep at byte 12");
  CHECK(FeedBoth("|1\r\n|1\r\n|1\r\n|1\r\n", limits).error == "too deep at byte 12");
  CHECK(FeedBoth("+123456789\r\n", limits).replies.size() == 1);
  CHECK(FeedBoth("+1234567890\r\n", limits).error == "too long line at byte 0");
  CHECK(FeedBoth("+12345678901", limits).error == "too long line at byte 0");
  CHECK(FeedBoth("$4\r\nabcd\r\n", limits).replies.size() == 1);
  CHECK(FeedBoth("$5\r\n", limits).error == "bad length at byte 0");
  CHECK(FeedBoth("%3\r\n", limits).error.empty());
  CHECK(FeedBoth("%4\r\n", limits).error == "bad length at byte 0");
  CHECK(FeedBoth("*7\r\n", limits).error == "bad length at byte 0");
}

TEST_CASE("replies: incomplete ones wait") {
  for (const std::string stream : {"", "+OK", "+OK\r", "$5\r\nabcde\r", "*2\r\n:1\r\n", "*1\r\n",
                                   "|1\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n", "*2000000000\r\n"}) {
    INFO(stream);
    CHECK(FeedBoth(stream) == Replies{});
  }
}

TEST_CASE("replies: whole, split and byte by byte are the same") {
  const std::string stream =
      "+OK\r\n%2\r\n$3\r\nk\r\n\r\n*2\r\n:1\r\n_\r\n|1\r\n+a\r\n#t\r\n,1.25\r\n=7\r\ntxt:abc\r\n"
      ">2\r\n+m\r\n$0\r\n\r\n*-1\r\n~1\r\n(123\r\n!3\r\nERR\r\n$-1\r\n-ERR x\r\n";
  const Replies whole = Feed(stream, {});
  CHECK(whole.replies.size() == 8);
  CHECK(whole.error.empty());
  CHECK(whole.used == stream.size());
  CHECK(whole == FeedBoth(stream));
  for (size_t i = 0; i <= stream.size(); ++i) {
    for (size_t j = i; j <= stream.size(); ++j) REQUIRE(whole == Feed(stream, {i, j}));
  }
}

TEST_CASE("replies: damaged streams end the same way however they are cut") {
  static constexpr std::string_view kTelling = "+-:$*%~>|#,_=!(\r\n012-tx";
  Rng rng(41);
  size_t errors = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string stream;
    for (uint64_t n = rng.Below(25); n > 0; --n) {
      stream.push_back(kTelling[rng.Below(kTelling.size())]);
      if (rng.Chance(1, 3)) stream += "1\r\n";
    }
    const Replies whole = FeedBoth(stream);
    REQUIRE(whole == Feed(stream, {rng.Below(stream.size() + 1)}));
    errors += whole.error.empty() ? 0 : 1;
  }
  CHECK(errors > 10'000);
  CHECK(errors < 30'000);
}

TEST_CASE("replies: the work is linear in the reply's size") {
  std::string stream = "*300000\r\n";
  for (int i = 0; i < 300'000; ++i) stream += ":1\r\n";
  std::string bulk = "$2000000\r\n" + std::string(2'000'000, 'x') + "\r\n";
  const auto start = std::chrono::steady_clock::now();
  for (const std::string* input : {&stream, &bulk}) {
    ReplyParser parser;
    for (size_t end = 1; end < input->size(); ++end) {
      REQUIRE(parser.Next(std::string_view(*input).substr(0, end)) == ParseOutcome::kIncomplete);
    }
    REQUIRE(parser.Next(*input) == ParseOutcome::kRequest);
    CHECK(parser.consumed() == input->size());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(took.count() < 20);  // far below a second; a sanitizer takes longer
}

}  // namespace
}  // namespace holdfast::resp
