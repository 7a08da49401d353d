#include "net/listener.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "net_test_util.h"

namespace holdfast::net {
namespace {

// Whether a client gets through to the port right now.
bool CanConnect(uint16_t port, int family = AF_INET) {
  Socket s(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage to{};
  socklen_t size;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&to);
    *v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&to);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_addr = in6addr_loopback;
    size = sizeof *v6;
  }
  return ::connect(s.fd(), reinterpret_cast<sockaddr*>(&to), size) == 0;
}

bool HasIpv6() { return PortBinding::Bind("::1", 0, 1).ok(); }

TEST_CASE("a bound port refuses clients until it listens") {
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 2);
  REQUIRE(bound.ok());
  const uint16_t port = bound.value().port();
  CHECK(port != 0);
  CHECK(!CanConnect(port));
  REQUIRE(bound.value().Listen(16).ok());
  CHECK(CanConnect(port));
}

TEST_CASE("addresses") {
  for (const std::string bad :
       {"", "localhost", "1.2.3", "1.2.3.4.5", "::g", "*", "::1%nosuch", "127.0.0.1 "}) {
    CAPTURE(bad);
    const Result<PortBinding> bound = PortBinding::Bind(bad, 0, 1);
    REQUIRE(!bound.ok());
    CHECK(bound.status().code() == Code::kInvalidArgument);
  }
  // An address of a documentation network, which no interface has.
  const Result<PortBinding> foreign = PortBinding::Bind("192.0.2.1", 0, 1);
  REQUIRE(!foreign.ok());
  CHECK(foreign.status().code() == Code::kIoError);
  CHECK(foreign.status().message().find("192.0.2.1") != std::string::npos);
}

TEST_CASE("IPv6 and IPv4 share a port number without meeting") {
  if (!HasIpv6()) return;
  Result<PortBinding> v6 = PortBinding::Bind("::", 0, 1);
  REQUIRE(v6.ok());
  const uint16_t port = v6.value().port();
  REQUIRE(v6.value().Listen(16).ok());
  CHECK(CanConnect(port, AF_INET6));
  CHECK(!CanConnect(port, AF_INET));
  Result<PortBinding> v4 = PortBinding::Bind("0.0.0.0", port, 2);
  REQUIRE(v4.ok());
  REQUIRE(v4.value().Listen(16).ok());
  CHECK(CanConnect(port, AF_INET));
}

TEST_CASE("a port on which somebody listens is refused, whatever options they use") {
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    Result<PortBinding> first = PortBinding::Bind("127.0.0.1", 0, shared ? 3 : 1);
    REQUIRE(first.ok());
    REQUIRE(first.value().Listen(16).ok());
    for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
      const Result<PortBinding> second = PortBinding::Bind(host, first.value().port(), 2);
      REQUIRE(!second.ok());
      CHECK(second.status().code() == Code::kIoError);
      CHECK(second.status().message().find("another process uses the port") != std::string::npos);
    }
  }
}

TEST_CASE("of two that bound the same port only one gets to listen") {
  // Both load their data at the same time: neither listens yet when the other binds.
  Result<PortBinding> first = PortBinding::Bind("127.0.0.1", 0, 2);
  REQUIRE(first.ok());
  Result<PortBinding> second = PortBinding::Bind("127.0.0.1", first.value().port(), 2);
  if (!second.ok()) return;  // found even earlier
  REQUIRE(first.value().Listen(16).ok());
  const Status late = second.value().Listen(16);
  REQUIRE(!late.ok());
  CHECK(late.message().find("another process uses the port") != std::string::npos);
  // The first is unharmed.
  CHECK(CanConnect(first.value().port()));
}

TEST_CASE("a port is free again at once although its connections linger") {
  uint16_t port;
  {
    Server server;
    port = server.port;
    const Server::Link link = server.Connect();
    // The side that closes first keeps TIME_WAIT: the server's.
    link.peer->connection->Close();
    REQUIRE(server.Until([&] {
      link.client->Receive();
      return link.client->eof();
    }));
    link.client->Close();
  }
  Result<PortBinding> again = PortBinding::Bind("127.0.0.1", port, 2);
  REQUIRE(again.ok());
  CHECK(again.value().Listen(16).ok());
}

TEST_CASE("all sockets of a port get connections") {
  EventLoop loop;
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 2);
  REQUIRE(bound.ok());
  REQUIRE(bound.value().Listen(128).ok());
  size_t accepted[2] = {0, 0};
  Listener first(&loop, bound.value().Take(), [&](Socket) { ++accepted[0]; });
  Listener second(&loop, bound.value().Take(), [&](Socket) { ++accepted[1]; });
  // The kernel hashes the client's port: 64 connections all on one side have odds of 2^-63.
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 64; ++i) clients.push_back(std::make_unique<Client>(bound.value().port()));
  REQUIRE(RunUntil(&loop, [&] { return accepted[0] + accepted[1] == 64; }));
  CHECK(accepted[0] > 0);
  CHECK(accepted[1] > 0);
}

TEST_CASE("accepted sockets are non-blocking and close on exec") {
  EventLoop loop;
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 1);
  REQUIRE(bound.ok());
  REQUIRE(bound.value().Listen(8).ok());
  Socket accepted;
  Listener listener(&loop, bound.value().Take(), [&](Socket s) { accepted = std::move(s); });
  Client client(bound.value().port());
  REQUIRE(RunUntil(&loop, [&] { return static_cast<bool>(accepted); }));
  CHECK((fcntl(accepted.fd(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(accepted.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(LocalAddress(accepted.fd()) == "127.0.0.1:" + std::to_string(bound.value().port()));
  CHECK(PeerAddress(accepted.fd()) == LocalAddress(client.fd()));
}

TEST_CASE("a paused listener leaves connections in the backlog") {
  Server server;
  server.listener->Pause();
  Client client(server.port);  // connects: the kernel does that
  Timer wait(&server.loop);
  bool waited = false;
  wait.Start(20, 0, [&] { waited = true; });
  REQUIRE(server.Until([&] { return waited; }));
  CHECK(server.peers.empty());
  server.listener->Resume();
  REQUIRE(server.Until([&] { return server.peers.size() == 1; }));
}

TEST_CASE("a listener may be destroyed by its own callback") {
  EventLoop loop;
  Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 1);
  REQUIRE(bound.ok());
  REQUIRE(bound.value().Listen(8).ok());
  std::unique_ptr<Listener> listener;
  auto owned = std::make_unique<int>(1);
  int accepted = 0;
  listener = std::make_unique<Listener>(&loop, bound.value().Take(),
                                        [&, owned = std::move(owned)](Socket) {
                                          listener.reset();
                                          accepted += *owned;
                                        });
  Client a(bound.value().port());
  Client b(bound.value().port());
  REQUIRE(RunUntil(&loop, [&] { return listener == nullptr; }));
  CHECK(accepted == 1);
}

TEST_CASE("running out of descriptors delays connections and loses none") {
  Server server;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<Client>(server.port));
  // UBSan needs a descriptor when it first sees a class with virtual functions: the logger's are
  // seen now.
  LogWarning("a test takes all descriptors away for a moment");
  // No new descriptor from here on: the lowest free number is at the limit.
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int lowest = ::dup(clients[0]->fd());
  REQUIRE(lowest >= 0);
  ::close(lowest);
  const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const int64_t start = SystemClock()->MonotonicMs();
  const bool retried = server.Until([&] {
    return server.listener->accept_errors() >= 2 && SystemClock()->MonotonicMs() - start > 250;
  });
  const int64_t elapsed_ms = SystemClock()->MonotonicMs() - start;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(retried);
  CHECK(server.peers.empty());
  // It rests in between: a listener that spins on what it can't accept fails thousands of times.
  CHECK(static_cast<int64_t>(server.listener->accept_errors()) <=
        elapsed_ms / static_cast<int64_t>(Listener::kRetryMs) + 1);
  REQUIRE(server.Until([&] { return server.peers.size() == 3; }));
  clients[2]->Send("hello");
  REQUIRE(server.Until([&] {
    for (const auto& peer : server.peers) {
      if (peer->handler.data == "hello") return true;
    }
    return false;
  }));
}

}  // namespace
}  // namespace holdfast::net
