#include "resp/request_parser.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "feed.h"
#include "request_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::resp {
namespace {

using Args = std::vector<std::string>;
using Requests = std::vector<Args>;
using std::string_literals::operator""s;

// The transcript of the whole stream in one piece, after checking that byte by byte gives the same.
Transcript FeedBoth(const std::string& stream, const ParserLimits& limits = {}) {
  Transcript whole = Feed(stream, {}, limits);
  const Transcript bytes = Feed(stream, EveryByte(stream), limits);
  CHECK(whole == bytes);
  return whole;
}

// The error that `stream` ends in, after `requests` whole requests.
std::string ErrorOf(const std::string& stream, const ParserLimits& limits = {},
                    size_t requests = 0) {
  const Transcript transcript = FeedBoth(stream, limits);
  CHECK(transcript.requests.size() == requests);
  return transcript.error;
}

std::string RandomBytes(Rng* rng, size_t length) {
  std::string bytes;
  for (size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(rng->Below(256)));
  return bytes;
}

TEST_CASE("requests: arrays of bulk strings") {
  const Transcript t = FeedBoth("*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
  CHECK(t.requests == Requests{{"PING"}, {"SET", "k", ""}});
  CHECK(t.error.empty());
  CHECK(t.used == 40);
}

TEST_CASE("requests: an argument holds any bytes") {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  CHECK(FeedBoth(Encode({"SET", all, "\r\n*1\r\n$1\r\n"})).requests ==
        Requests{{"SET", all, "\r\n*1\r\n$1\r\n"}});
}

TEST_CASE("requests: empty ones are taken without an answer") {
  const Transcript t = FeedBoth("*0\r\n*-1\r\n*-77\r\n\r\n\n   \t\r\n*1\r\n$1\r\na\r\n");
  CHECK(t.requests == Requests{{}, {}, {}, {}, {}, {}, {"a"}});
}

TEST_CASE("requests: inline lines") {
  const auto split = [](const std::string& line) {
    const Transcript t = FeedBoth(line + "\n");
    CHECK(t.used == line.size() + 1);
    REQUIRE(t.requests.size() == 1);
    CHECK(FeedBoth(line + "\r\n").requests == t.requests);
    return t.requests[0];
  };
  CHECK(split("PING") == Args{"PING"});
  CHECK(split("  set \t key\vvalue  ") == Args{"set", "key\vvalue"});
  CHECK(split("\v\fping\r x") == Args{"ping", "x"});
  CHECK(split("set k \"a b\"") == Args{"set", "k", "a b"});
  CHECK(split("set k 'a \"b'") == Args{"set", "k", "a \"b"});
  CHECK(split("echo \"\"") == Args{"echo", ""});
  CHECK(split("echo ''  ''") == Args{"echo", "", ""});
  CHECK(split("echo pre\"fix ed\"") == Args{"echo", "prefix ed"});
  CHECK(split("echo pre'fix ed'\vx") == Args{"echo", "prefix ed", "x"});
  CHECK(split("\"\\x41\\x4a\\xfF\\x00\"") == Args{"AJ\xff\0"s});
  CHECK(split("\"\\n\\r\\t\\b\\a\\\\\\\"\\q\"") == Args{"\n\r\t\b\a\\\"q"});
  CHECK(split("\"\\x4\\xzz\\x\"") == Args{"x4xzzx"});
  CHECK(split("'\\n\\x41\\'\\\\ '") == Args{"\\n\\x41'\\\\ "});
  const std::string text(40, 'x');  // longer than a string's inner buffer
  CHECK(split("\"" + text + "\" a '" + text + "' b\"" + text + "\"") ==
        Args{text, "a", text, "b" + text});
  CHECK(split("$4") == Args{"$4"});
  CHECK(split("a*1") == Args{"a*1"});
  CHECK(split("\xff\x80 \"\xfe\"") == Args{"\xff\x80", "\xfe"});
}

TEST_CASE("requests: a text that fits no quoted form is refused") {
  const std::string text = "Protocol error: unbalanced quotes in request";
  for (const std::string line : {"\"abc", "'abc", "\"", "'", "\"abc\"d", "'abc'd", "\"a\"\"b\"",
                                 "\"abc\\\"", "'abc\\'", "\"abc\\", "x\"y'z", "ok \"\\x4"}) {
    INFO(line);
    CHECK(ErrorOf(line + "\r\n") == text);
    CHECK(ErrorOf(line + "\n") == text);
  }
}

TEST_CASE("requests: Redis's errors, word for word") {
  CHECK(ErrorOf("*abc\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*01\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*-0\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*1 \r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*+1\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*2147483648\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*99999999999999999999\r\n") == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*1\r\n$-1\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\n$\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\n$04\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\n$4x\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\n$536870913\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\n$9223372036854775808\r\n") == "Protocol error: invalid bulk length");
  CHECK(ErrorOf("*1\r\nx4\r\n") == "Protocol error: expected '$', got 'x'");
  CHECK(ErrorOf("*1\r\n:4\r\n") == "Protocol error: expected '$', got ':'");
  CHECK(ErrorOf("*1\r\n\xff\r\n") == "Protocol error: expected '$', got '\xff'");
  // A line end as the character in question is blanked: the error has to stay one line.
  CHECK(ErrorOf("*1\r\n\r\n") == "Protocol error: expected '$', got ' '");
  CHECK(ErrorOf("*1\r\n\n$1\r\n") == "Protocol error: expected '$', got ' '");
  CHECK(ErrorOf("*2\r\n$1\r\na\r\n+OK\r\n") == "Protocol error: expected '$', got '+'");
  CHECK(ErrorOf("PING\r\n*x\r\n", {}, 1) == "Protocol error: invalid multibulk length");
}

TEST_CASE("requests: the largest lengths are waited for") {
  for (const std::string stream : {"*2147483647\r\n", "*1\r\n$536870912\r\n", "*1048577\r\n", "*1",
                                   "*", "*1\r\n$", "*1\r\nx"}) {
    const Transcript t = FeedBoth(stream);
    CHECK(t.requests.empty());
    CHECK(t.error.empty());
    CHECK(t.most_memory <= 1024 * 16 + 100);  // not what the lengths promise
  }
}

TEST_CASE("requests: limits given by the caller") {
  ParserLimits limits;
  limits.max_args = 3;
  limits.max_bulk_bytes = 5;
  CHECK(FeedBoth(Encode({"abcde", "", "x"}), limits).requests == Requests{{"abcde", "", "x"}});
  CHECK(ErrorOf("*4\r\n", limits) == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*1\r\n$6\r\n", limits) == "Protocol error: invalid bulk length");
}

TEST_CASE("requests: limits before authentication") {
  ParserLimits limits;
  limits.authenticated = false;
  const Args ten(10, std::string(16384, 'x'));
  CHECK(Feed(Encode(ten), {}, limits).requests == Requests{ten});
  CHECK(ErrorOf("*11\r\n", limits) == "Protocol error: unauthenticated multibulk length");
  CHECK(ErrorOf("*1\r\n$16385\r\n", limits) == "Protocol error: unauthenticated bulk length");
  // What is wrong in itself is said first.
  CHECK(ErrorOf("*2147483648\r\n", limits) == "Protocol error: invalid multibulk length");
  CHECK(ErrorOf("*1\r\n$536870913\r\n", limits) == "Protocol error: invalid bulk length");
}

TEST_CASE("requests: limits may change between the requests of one read") {
  const std::string stream = Encode({"AUTH", "secret"}) + Encode(Args(11, "x"));
  ParserLimits limits;
  limits.authenticated = false;
  RequestParser parser;
  REQUIRE(parser.Next(stream, limits) == ParseOutcome::kRequest);
  const std::string_view rest = std::string_view(stream).substr(parser.consumed());
  limits.authenticated = true;
  REQUIRE(parser.Next(rest, limits) == ParseOutcome::kRequest);
  CHECK(parser.args().size() == 11);
}

TEST_CASE("requests: lines that are too long") {
  const std::string inline_text = "Protocol error: too big inline request";
  const std::string count_text = "Protocol error: too big mbulk count string";
  const std::string bulk_text = "Protocol error: too big bulk count string";
  SUBCASE("small limit") {
    ParserLimits limits;
    limits.max_inline_bytes = 40;
    const std::string digits(60, '1');
    // The limit's last byte may still be followed by the line's end.
    CHECK(FeedBoth(std::string(40, 'a') + "\n", limits).requests ==
          Requests{{std::string(40, 'a')}});
    CHECK(ErrorOf(std::string(40, 'a') + "\r\n", limits) == inline_text);
    CHECK(ErrorOf(std::string(41, 'a'), limits) == inline_text);
    CHECK(ErrorOf(std::string(41, ' ') + "PING\r\n", limits) == inline_text);
    CHECK(ErrorOf("*" + digits.substr(0, 39) + "\r\n", limits) ==
          "Protocol error: invalid multibulk length");
    CHECK(ErrorOf("*" + digits.substr(0, 40) + "\r\n", limits) == count_text);
    CHECK(ErrorOf("*" + digits, limits) == count_text);
    CHECK(ErrorOf("*1\r\n$" + digits.substr(0, 39) + "\r\n", limits) ==
          "Protocol error: invalid bulk length");
    CHECK(ErrorOf("*1\r\n$" + digits.substr(0, 40) + "\r\n", limits) == bulk_text);
    CHECK(ErrorOf("*1\r\n" + digits, limits) == bulk_text);
    // A long argument is no long line.
    CHECK(FeedBoth(Encode({std::string(100, 'a'), "b"}), limits).requests.size() == 1);
  }
  SUBCASE("Redis's limit") {
    const auto fails = [](const std::string& stream) {
      const Transcript whole = Feed(stream, {});
      for (size_t cut = 65530; cut < stream.size(); ++cut) CHECK(whole == Feed(stream, {cut}));
      CHECK(whole == Feed(stream, {1, stream.size() - 1}));
      return whole.error;
    };
    CHECK(fails(std::string(65536, 'a') + "\n") == "");
    CHECK(fails(std::string(65536, 'a')) == "");
    CHECK(fails(std::string(65537, 'a')) == inline_text);
    CHECK(fails("*" + std::string(65535, '1')) == "");
    CHECK(fails("*" + std::string(65536, '1')) == count_text);
    CHECK(fails("*1\r\n$" + std::string(65535, '1')) == "");
    CHECK(fails("*1\r\n$" + std::string(65536, '1')) == bulk_text);
  }
}

TEST_CASE("requests: bytes in the place of line ends are not looked at") {
  CHECK(FeedBoth("*1\rX$4\rYPINGZZ").requests == Requests{{"PING"}});
  CHECK(FeedBoth("*1\r\n$1\r\na\0\0*1\r\n$1\r\nb\r\n"s).requests == Requests{{"a"}, {"b"}});
}

TEST_CASE("requests: a NUL hides the end of its line") {
  for (const std::string& begin :
       {"\0PING\r\n"s, "PI\0NG\r\n"s, "*\0"s, "*1\0\r\n"s, "*1\r\n\0$1\r\n"s, "*1\r\n$1\0\r\n"s}) {
    const Transcript t = FeedBoth(begin + "PING\r\n");
    CHECK(t.requests.empty());
    CHECK(t.error.empty());
    ParserLimits limits;
    limits.max_inline_bytes = 50;
    CHECK(ErrorOf(begin + std::string(60, '\n'), limits).find("too big") != std::string::npos);
  }
  CHECK(FeedBoth("PING\r\n\0"s).requests == Requests{{"PING"}});
}

TEST_CASE("requests: every way to cut a stream in two and in three") {
  const std::vector<std::string> streams = {
      Encode({"SET", "key", "value\r\n"}) + Encode({"GET", ""}),
      "SET a \"b c\"\r\nPING\n" + Encode({"x"}),
      "*0\r\n*-1\r\n\r\n" + Encode({"x", "yy", "zzz"}),
      "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n!bad\r\n",
      Encode({"A"}) + "*1\r\n$12345678901\r\n",
      Encode({std::string(300, 'q'), "tail"}) + "echo 'x",
  };
  for (const std::string& stream : streams) {
    const Transcript whole = Feed(stream, {});
    CHECK(whole.requests.size() >= 1);
    CHECK(whole == Feed(stream, EveryByte(stream)));
    for (size_t i = 0; i <= stream.size(); ++i) {
      REQUIRE(whole == Feed(stream, {i}));
      for (size_t j = i; j <= stream.size() && stream.size() < 100; ++j) {
        REQUIRE(whole == Feed(stream, {i, j}));
      }
    }
  }
}

TEST_CASE("requests: pipelines in random pieces") {
  Rng rng(31);
  for (int round = 0; round < 300; ++round) {
    std::string stream;
    Requests expected;
    for (uint64_t n = rng.Below(20) + 1; n > 0; --n) {
      Args args;
      for (uint64_t i = rng.Below(6); i > 0; --i) {
        args.push_back(RandomBytes(&rng, rng.Chance(1, 10) ? rng.Below(3000) : rng.Below(12)));
      }
      stream += Encode(args);
      expected.push_back(std::move(args));
    }
    std::vector<size_t> ends;
    for (size_t at = 0; at < stream.size(); at += rng.Below(200) + 1) ends.push_back(at);
    const Transcript pieces = Feed(stream, ends);
    REQUIRE(pieces.requests == expected);
    REQUIRE(pieces.used == stream.size());
    REQUIRE(pieces == Feed(stream, {}));
  }
}

// What the model says of a whole stream.
Transcript ModelTranscript(const std::string& stream, const ParserLimits& limits) {
  Transcript t;
  const RequestModel model(limits);
  while (t.used < stream.size()) {
    ModelResult result = model.First(stream.substr(t.used));
    t.error = result.error;
    if (result.outcome != ParseOutcome::kRequest) break;
    t.used += result.consumed;
    t.requests.push_back(std::move(result.args));
  }
  return t;
}

// A stream that is mostly right: requests of both kinds, some damaged.
std::string RandomStream(Rng* rng) {
  static constexpr std::string_view kTelling("*$\r\n\0 \t\v\"'\\x4an-+019:_", 22);
  std::string stream;
  for (uint64_t n = rng->Below(4) + 1; n > 0; --n) {
    if (rng->Chance(1, 2)) {
      Args args;
      for (uint64_t i = rng->Below(4); i > 0; --i) args.push_back(RandomBytes(rng, rng->Below(12)));
      if (rng->Chance(1, 20)) args.resize(12, "x");
      stream += Encode(args);
    } else {
      for (uint64_t i = rng->Below(rng->Chance(1, 10) ? 60 : 15); i > 0; --i) {
        stream.push_back(kTelling[rng->Below(kTelling.size())]);
      }
      stream += rng->Chance(1, 2) ? "\r\n" : "\n";
    }
  }
  for (uint64_t n = rng->Below(4); n > 0 && !stream.empty(); --n) {
    const size_t at = rng->Below(stream.size());
    const char c = kTelling[rng->Below(kTelling.size())];
    switch (rng->Below(3)) {
      case 0:
        stream[at] = c;
        break;
      case 1:
        stream.insert(at, 1, c);
        break;
      default:
        stream.erase(at, 1);
    }
  }
  return stream;
}

TEST_CASE("requests: the same as the model on right and damaged streams") {
  Rng rng(32);
  size_t requests = 0;
  std::vector<std::string> errors;
  for (int round = 0; round < 20'000; ++round) {
    ParserLimits limits;
    limits.max_inline_bytes = rng.Chance(1, 2) ? 32 : 64 * 1024;
    limits.authenticated = rng.Chance(1, 2);
    if (rng.Chance(1, 3)) limits.max_bulk_bytes = 8;
    if (rng.Chance(1, 3)) limits.max_args = 2;
    const std::string stream = RandomStream(&rng);
    const Transcript expected = ModelTranscript(stream, limits);
    const std::vector<size_t> cut = {rng.Below(stream.size() + 1)};
    INFO(stream);
    REQUIRE(Feed(stream, {}, limits) == expected);
    REQUIRE(Feed(stream, cut, limits) == expected);
    REQUIRE(Feed(stream, EveryByte(stream), limits) == expected);
    requests += expected.requests.size();
    if (!expected.error.empty()) errors.push_back(expected.error);
  }
  CHECK(requests > 10'000);
  // The streams come by every error but the one that needs a bulk of 16 KiB.
  for (const std::string_view text :
       {"unbalanced", "too big inline", "too big mbulk", "too big bulk", "invalid multibulk",
        "invalid bulk", "expected '$'", "unauthenticated multibulk"}) {
    INFO(text);
    CHECK(std::any_of(errors.begin(), errors.end(), [&](const std::string& error) {
      return error.find(text) != std::string::npos;
    }));
  }
}

TEST_CASE("requests: what is wanted") {
  const ParserLimits limits;
  RequestParser parser;
  CHECK(parser.idle());
  CHECK(parser.Next("", limits) == ParseOutcome::kIncomplete);
  CHECK(parser.idle());
  CHECK(parser.bytes_wanted() == 1);
  const std::string stream = "*2\r\n$3\r\nGET\r\n$100000\r\n";
  CHECK(parser.Next(std::string_view(stream).substr(0, 10), limits) == ParseOutcome::kIncomplete);
  CHECK_FALSE(parser.idle());
  CHECK(parser.bytes_wanted() == 3);  // "T\r\n"
  CHECK(parser.Next(stream, limits) == ParseOutcome::kIncomplete);
  CHECK(parser.bytes_wanted() == 100'002);
  const std::string more = stream + std::string(60'000, 'v');
  CHECK(parser.Next(more, limits) == ParseOutcome::kIncomplete);
  CHECK(parser.bytes_wanted() == 40'002);
  const std::string all = more + std::string(40'000, 'v') + "\r\nPING";
  REQUIRE(parser.Next(all, limits) == ParseOutcome::kRequest);
  CHECK(parser.consumed() == all.size() - 4);
  CHECK(parser.args()[1].size() == 100'000);
  CHECK(parser.args()[1].data() == all.data() + stream.size());  // no copy
  CHECK(parser.idle());
}

TEST_CASE("requests: plain inline arguments are not copied either") {
  RequestParser parser;
  const std::string line = "SET key \"quoted\"\r\n";
  REQUIRE(parser.Next(line, {}) == ParseOutcome::kRequest);
  CHECK(parser.args()[1].data() == line.data() + 4);
  CHECK(parser.args()[2] == "quoted");
}

TEST_CASE("requests: the list of arguments is kept from request to request") {
  RequestParser parser;
  const ParserLimits limits;
  const std::string requests[] = {Encode(Args(20, "x")), Encode({"PING"}), "echo \"a b\" c\r\n",
                                  "*0\r\n"};
  for (const std::string& request : requests) {
    REQUIRE(parser.Next(request, limits) == ParseOutcome::kRequest);
    // Split as well, so that the list of offsets exists.
    REQUIRE(parser.Next(request.substr(0, request.size() - 1), limits) ==
            ParseOutcome::kIncomplete);
    REQUIRE(parser.Next(request, limits) == ParseOutcome::kRequest);
  }
  REQUIRE(parser.Next(requests[0], limits) == ParseOutcome::kRequest);
  const void* list = parser.args().data();
  const size_t bytes = parser.memory_bytes();
  for (int i = 0; i < 1000; ++i) {
    const std::string& request = requests[i % 4];
    REQUIRE(parser.Next(request, limits) == ParseOutcome::kRequest);
    CHECK(parser.memory_bytes() == bytes);
    if (i % 4 == 0) CHECK(parser.args().data() == list);
  }
}

TEST_CASE("requests: a huge request's memory is given back") {
  const ParserLimits limits;
  const std::string huge = Encode(Args(100'000, "x"));
  const std::string quoted = "echo \"" + std::string(60'000, 'x') + "\"\r\n";
  RequestParser parser;
  const auto parse = [&](std::string_view request) {
    REQUIRE(parser.Next(request.substr(0, request.size() - 1), limits) ==
            ParseOutcome::kIncomplete);
    REQUIRE(parser.Next(request, limits) == ParseOutcome::kRequest);
  };
  parse(huge);
  parse(quoted);
  CHECK(parser.memory_bytes() > 60'000);
  parse("PING\r\n");
  parse("PING\r\n");
  CHECK(parser.memory_bytes() < 40'000);
  parse(huge);
  CHECK(parser.memory_bytes() > 1'600'000);
  parser.ReleaseMemory();
  CHECK(parser.memory_bytes() < 1000);
  CHECK(parser.args().empty());
  parse("PING\r\n");
  CHECK(parser.args().size() == 1);
}

TEST_CASE("requests: memory is not given back inside a request") {
  const std::string request = Encode({"GET", "key"});
  RequestParser parser;
  REQUIRE(parser.Next(request.substr(0, 16), {}) == ParseOutcome::kIncomplete);
  parser.ReleaseMemory();
  REQUIRE(parser.Next(request, {}) == ParseOutcome::kRequest);
  CHECK(parser.args()[0] == "GET");
  CHECK(parser.args()[1] == "key");
}

// Feeds `request` in pieces that lie now in one, now in the other of two copies. A parser that
// starts over, searches again, or renews its views on each call needs minutes for these.
double SecondsInPieces(const std::string& request, size_t piece, size_t expected_args) {
  const std::string copy = request;
  ParserLimits limits;
  limits.max_inline_bytes = request.size();
  RequestParser parser;
  const auto start = std::chrono::steady_clock::now();
  ParseOutcome outcome = ParseOutcome::kIncomplete;
  size_t calls = 0;
  for (size_t end = piece; outcome == ParseOutcome::kIncomplete; end += piece) {
    const std::string& now = calls++ % 2 == 0 ? request : copy;
    outcome = parser.Next(std::string_view(now).substr(0, std::min(end, now.size())), limits);
    REQUIRE((end < request.size()) == (outcome == ParseOutcome::kIncomplete));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  REQUIRE(outcome == ParseOutcome::kRequest);
  REQUIRE(parser.consumed() == request.size());
  REQUIRE(parser.args().size() == expected_args);
  const std::string& last = calls % 2 == 1 ? request : copy;
  for (const std::string_view arg : parser.args()) {
    REQUIRE(arg.data() >= last.data());
    REQUIRE(arg.data() + arg.size() <= last.data() + last.size());
  }
  return took.count();
}

TEST_CASE("requests: the work is linear in the request's size") {
  constexpr double kSeconds = 20;  // some tens of milliseconds; a sanitizer takes longer
  Args million;
  for (int i = 0; i < 1'000'000; ++i) million.push_back(std::to_string(i));
  CHECK(SecondsInPieces(Encode(million), 16 * 1024, million.size()) < kSeconds);
  CHECK(SecondsInPieces(Encode(Args(300'000, "x")), 1, 300'000) < kSeconds);
  CHECK(SecondsInPieces(Encode({"SET", std::string(3'000'000, 'v')}), 1, 2) < kSeconds);
  std::string line;
  while (line.size() < 2'000'000) line += "word ";
  CHECK(SecondsInPieces(line + "\n", 1, line.size() / 5) < kSeconds);
}

}  // namespace
}  // namespace holdfast::resp
