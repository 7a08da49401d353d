#include "net/connector.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/address.h"
#include "net_test_util.h"

namespace holdfast::net {
namespace {

std::string Loopback(uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

// One attempt, and its outcome.
struct Attempt {
  std::optional<Result<Socket>> outcome;
  int calls = 0;
  Connector connector;

  Attempt(EventLoop* loop, const std::string& address, uint64_t timeout_ms = 5000)
      : connector(loop, address, timeout_ms, [this](Result<Socket> result) {
          ++calls;
          outcome.emplace(std::move(result));
        }) {}
  bool done() const { return outcome.has_value(); }
  std::string error() const { return outcome->status().message(); }
};

// A port of this machine that nobody listens on.
uint16_t FreePort() {
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 1);
  REQUIRE(bound.ok());
  return bound.value().port();
}

TEST_CASE("addresses are numeric and have a port") {
  struct Good {
    const char* text;
    const char* shown;
  };
  for (const Good& good : {Good{"10.0.0.1:7379", "10.0.0.1:7379"}, Good{"[::1]:1", "[::1]:1"},
                           Good{"[2001:db8::7]:65535", "[2001:db8::7]:65535"}}) {
    Result<Address> parsed = ParseAddress(good.text);
    REQUIRE(parsed.ok());
    CHECK(FormatAddress(parsed.value().get()) == good.shown);
  }
  for (const std::string bad :
       {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:+1",
        "10.0.0.1:7379 ", "localhost:7379", "node-1.example:7379", "::1:7379", "[::1]", "[]:1",
        "[10.0.0.1]:7379", "1.2.3:7379", "[::1:7379", "10.0.0.1:99999999999999999999"}) {
    CAPTURE(bad);
    const Result<Address> parsed = ParseAddress(bad);
    REQUIRE(!parsed.ok());
    CHECK(parsed.status().code() == Code::kInvalidArgument);
    CHECK(parsed.status().message().find("'" + bad + "'") != std::string::npos);
  }
  CHECK(!ParseHost(std::string("127.0.0.1\0x", 11)).ok());
  CHECK(ParseHost("127.0.0.1").value().port() == 0);
}

TEST_CASE("connects, and the socket serves a connection") {
  Server server;
  Attempt attempt(&server.loop, Loopback(server.port));
  CHECK(!attempt.done());
  REQUIRE(server.Until([&] { return attempt.done() && !server.peers.empty(); }));
  REQUIRE(attempt.outcome->ok());
  const int fd = attempt.outcome->value().fd();
  CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  Recorder handler;
  Connection connection(&server.loop, std::move(*attempt.outcome).value(), &handler);
  CHECK(connection.peer_address() == Loopback(server.port));
  connection.Write("hello");
  REQUIRE(server.Until([&] { return server.peers[0]->handler.data == "hello"; }));
  server.peers[0]->connection->Write("there");
  REQUIRE(server.Until([&] { return handler.data == "there"; }));
  CHECK(attempt.calls == 1);
}

TEST_CASE("IPv6") {
  Result<PortBinding> bound = PortBinding::Bind("::1", 0, 1);
  if (!bound.ok()) return;  // a machine without it
  REQUIRE(bound.value().Listen(8).ok());
  EventLoop loop;
  Attempt attempt(&loop, "[::1]:" + std::to_string(bound.value().port()));
  REQUIRE(RunUntil(&loop, [&] { return attempt.done(); }));
  CHECK(attempt.outcome->ok());
}

TEST_CASE("what can't be reached says why") {
  EventLoop loop;
  const uint16_t port = FreePort();
  Attempt refused(&loop, Loopback(port));
  Attempt name(&loop, "localhost:7379");
  CHECK(!refused.done());
  CHECK(!name.done());
  REQUIRE(RunUntil(&loop, [&] { return refused.done() && name.done(); }));
  CHECK(refused.outcome->status().code() == Code::kIoError);
  CHECK(refused.error() == "connect to " + Loopback(port) + ": Connection refused");
  CHECK(name.outcome->status().code() == Code::kInvalidArgument);
  CHECK(name.error().find("'localhost:7379' is not a numeric address") == 0);
}

TEST_CASE("a port that doesn't answer times out") {
  // A full backlog: Linux drops the handshake's packets then.
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 1);
  REQUIRE(bound.ok());
  REQUIRE(bound.value().Listen(1).ok());
  EventLoop loop;
  const std::string address = Loopback(bound.value().port());
  std::vector<std::unique_ptr<Attempt>> attempts;
  const int64_t start = SystemClock()->MonotonicMs();
  for (int i = 0; i < 8; ++i) attempts.push_back(std::make_unique<Attempt>(&loop, address, 200));
  REQUIRE(RunUntil(&loop, [&] {
    for (const auto& attempt : attempts) {
      if (!attempt->done()) return false;
    }
    return true;
  }));
  const Result<Socket>& last = *attempts.back()->outcome;
  REQUIRE(!last.ok());
  CHECK(last.status().message() == "connect to " + address + ": no answer in 200 ms");
  CHECK(SystemClock()->MonotonicMs() - start >= 200);
}

TEST_CASE("an attempt may be given up, also inside its callback") {
  Server server;
  { Attempt given_up(&server.loop, Loopback(server.port)); }
  { Attempt malformed(&server.loop, "x"); }
  std::unique_ptr<Connector> connector;
  int calls = 0;
  connector = std::make_unique<Connector>(&server.loop, Loopback(server.port), 5000,
                                          [&](Result<Socket> result) {
                                            CHECK(result.ok());
                                            ++calls;
                                            connector.reset();
                                          });
  REQUIRE(server.Until([&] { return calls == 1; }));
  connector = std::make_unique<Connector>(&server.loop, "x", 5000, [&](Result<Socket> result) {
    CHECK(!result.ok());
    ++calls;
    connector.reset();
  });
  REQUIRE(server.Until([&] { return calls == 2; }));
}

}  // namespace
}  // namespace holdfast::net
