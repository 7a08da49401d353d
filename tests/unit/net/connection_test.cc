#include "net/connection.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/mailbox.h"
#include "net_test_util.h"

namespace holdfast::net {
namespace {

// Bytes whose place in a long stream can be told.
std::string Pattern(size_t n) {
  std::string s(n, '\0');
  for (size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
  return s;
}

// Writes until the kernel takes no more, so that `pending` bytes are queued at least.
void FillKernel(Connection* c, size_t pending, std::string* sent) {
  const std::string piece = Pattern(100'000);
  while (c->pending_bytes() < pending) {
    c->Write(piece);
    sent->append(piece);
  }
}

int Unread(int fd) {
  int n = 0;
  REQUIRE(ioctl(fd, FIONREAD, &n) == 0);
  return n;
}

TEST_CASE("echo") {
  Server server;
  Server::Link link = server.Connect();
  Recorder& handler = link.peer->handler;
  Connection* c = link.peer->connection.get();
  handler.on_data = [&](std::string_view bytes) { c->Write(bytes); };
  for (const size_t size : {size_t{1}, size_t{100}, size_t{64 * 1024}, size_t{3'000'000}}) {
    const std::string bytes = Pattern(size);
    link.client->received().clear();
    size_t sent = 0;
    REQUIRE(server.Until([&] {
      sent += link.client->Send(std::string_view(bytes).substr(sent));
      link.client->Receive();
      return link.client->received().size() == size;
    }));
    CHECK(link.client->received() == bytes);
    CHECK(c->pending_bytes() == 0);
  }
  CHECK(handler.closed == 0);
}

TEST_CASE("addresses and options") {
  Server server;
  Server::Link link = server.Connect();
  Connection* c = link.peer->connection.get();
  CHECK(c->peer_address() == LocalAddress(link.client->fd()));
  CHECK(c->local_address() == "127.0.0.1:" + std::to_string(server.port));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(getsockopt(c->fd(), level, name, &value, &size) == 0);
    return value;
  };
  CHECK(option(IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(c->SetNoDelay(false).ok());
  CHECK(option(IPPROTO_TCP, TCP_NODELAY) == 0);
  CHECK(c->SetKeepAlive(300).ok());
  CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(IPPROTO_TCP, TCP_KEEPIDLE) == 300);
  CHECK(option(IPPROTO_TCP, TCP_KEEPINTVL) == 100);
  CHECK(c->SetKeepAlive(0).ok());
  CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 0);
  const std::string peer = c->peer_address();
  c->Close();
  CHECK(c->fd() == -1);
  CHECK(c->peer_address() == peer);
  CHECK(c->local_address() == "?:0");
  CHECK(!c->SetKeepAlive(300).ok());
}

TEST_CASE("one read an event: a busy connection doesn't keep another waiting") {
  Server server;
  Server::Link busy = server.Connect();
  Server::Link quiet = server.Connect();
  const std::string flood = Pattern(1'000'000);
  size_t sent = 0;
  uint64_t last_turn = 0;
  bool twice_in_a_turn = false;
  busy.peer->handler.on_data = [&](std::string_view bytes) {
    CHECK(bytes.size() <= EventLoop::kReadBufferBytes);
    twice_in_a_turn = twice_in_a_turn || last_turn == server.loop.turns();
    last_turn = server.loop.turns();
  };
  REQUIRE(server.Until([&] {
    sent += busy.client->Send(std::string_view(flood).substr(sent));
    if (sent > 500'000) quiet.client->Send("x");
    return busy.peer->handler.data.size() == flood.size();
  }));
  CHECK(!twice_in_a_turn);
  CHECK(busy.peer->handler.data == flood);
  CHECK(!quiet.peer->handler.data.empty());
}

TEST_CASE("a slow reader's output queues and drains in order") {
  Server server;
  Server::Link link = server.Connect(16 * 1024);
  Connection* c = link.peer->connection.get();
  Recorder& handler = link.peer->handler;
  std::string expected;
  FillKernel(c, 200'000, &expected);
  const size_t before = c->pending_bytes();
  // Every way of writing queues behind what is there.
  c->Write("small");
  c->WriteOwned(std::string(5000, 'o'));
  c->WriteOwned("tiny");
  const std::vector<std::string_view> parts = {"a", "", "bc", "def"};
  c->WriteV(parts);
  expected += "small" + std::string(5000, 'o') + "tiny" + "abcdef";
  CHECK(c->pending_bytes() == before + 5 + 5000 + 4 + 6);
  CHECK(handler.drained == 0);
  REQUIRE(server.Until([&] {
    link.client->Receive(50'000);
    return link.client->received().size() == expected.size();
  }));
  CHECK(link.client->received() == expected);
  REQUIRE(server.Until([&] { return handler.drained > 0; }));
  CHECK(handler.drained == 1);
  CHECK(c->pending_bytes() == 0);
  // Input still works, and direct writes do again.
  link.client->Send("ping");
  REQUIRE(server.Until([&] { return handler.data == "ping"; }));
  c->Write("direct");
  CHECK(c->pending_bytes() == 0);
  CHECK(handler.drained == 1);
}

TEST_CASE("the rest of a large owned string is queued without its front") {
  Server server;
  Server::Link link = server.Connect(16 * 1024);
  const std::string bytes = Pattern(20'000'000);
  link.peer->connection->WriteOwned(bytes);
  CHECK(link.peer->connection->pending_bytes() > 0);
  CHECK(link.peer->connection->pending_bytes() < bytes.size());
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.client->received().size() == bytes.size();
  }));
  CHECK(link.client->received() == bytes);
}

TEST_CASE("WriteV writes many parts, also more than one system call takes") {
  Server server;
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{500}}) {
    for (const size_t size : {size_t{0}, size_t{3}, size_t{30'000}}) {
      CAPTURE(count);
      CAPTURE(size);
      Server::Link link = server.Connect(16 * 1024);
      const std::string source = Pattern(size + count);
      std::vector<std::string_view> parts;
      std::string expected;
      for (size_t i = 0; i < count; ++i) {
        // Empty ones among them, and all different.
        const size_t n = i % 3 == 1 ? 0 : size;
        parts.push_back(std::string_view(source).substr(i, n));
        expected += parts.back();
      }
      link.peer->connection->WriteV(parts);
      REQUIRE(server.Until([&] {
        link.client->Receive();
        return link.client->received().size() >= expected.size();
      }));
      CHECK(link.client->received() == expected);
    }
  }
}

TEST_CASE("writing more while draining keeps order and tells once") {
  Server server;
  Server::Link link = server.Connect(16 * 1024);
  Connection* c = link.peer->connection.get();
  std::string expected;
  FillKernel(c, 100'000, &expected);
  link.peer->handler.on_drained = [&] {
    if (link.peer->handler.drained == 1) FillKernel(c, 100'000, &expected);
  };
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.peer->handler.drained == 2;
  }));
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.client->received().size() == expected.size();
  }));
  CHECK(link.client->received() == expected);
}

TEST_CASE("large-read mode puts bytes into the handler's own buffer") {
  Server server;
  Server::Link link = server.Connect();
  Recorder& handler = link.peer->handler;
  const std::string bytes = Pattern(5'000'000);
  std::string value(4'000'000, '\0');
  size_t filled = 0;
  size_t largest = 0;
  bool elsewhere = false;
  handler.on_read_buffer = [&]() -> std::span<char> {
    return std::span(value).subspan(filled);  // empty once it is full
  };
  handler.on_data = [&](std::string_view got) {
    largest = std::max(largest, got.size());
    if (filled == value.size()) return;
    elsewhere = elsewhere || got.data() != value.data() + filled;
    filled += got.size();
  };
  size_t sent = 0;
  REQUIRE(server.Until([&] {
    sent += link.client->Send(std::string_view(bytes).substr(sent));
    return handler.data.size() == bytes.size();
  }));
  CHECK(!elsewhere);
  CHECK(value == bytes.substr(0, value.size()));
  CHECK(handler.data == bytes);
  CHECK(largest > EventLoop::kReadBufferBytes);
  CHECK(largest <= Connection::kLargeReadBytes);
}

TEST_CASE("pausing holds input back in the kernel, resuming delivers it") {
  Server server;
  Server::Link link = server.Connect();
  Recorder& handler = link.peer->handler;
  Connection* c = link.peer->connection.get();
  c->PauseReading();
  CHECK(c->reading_paused());
  link.client->Send("held");
  REQUIRE(server.Until([&] { return Unread(c->fd()) == 4; }));
  const uint64_t turns = server.loop.turns();
  Timer wait(&server.loop);
  bool waited = false;
  wait.Start(30, 0, [&] { waited = true; });
  REQUIRE(server.Until([&] { return waited; }));
  CHECK(handler.data_calls == 0);
  // RunUntil's timer makes a turn a millisecond; unread input must not add a storm of its own.
  CHECK(server.loop.turns() - turns < 300);
  // Output passes meanwhile.
  c->Write("out");
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.client->received() == "out";
  }));
  c->ResumeReading();
  REQUIRE(server.Until([&] { return handler.data == "held"; }));
  // A pause and a resume inside a callback change nothing.
  handler.on_data = [&](std::string_view) {
    c->PauseReading();
    c->ResumeReading();
  };
  link.client->Send("more");
  REQUIRE(server.Until([&] { return handler.data == "heldmore"; }));
  link.client->Send("!");
  REQUIRE(server.Until([&] { return handler.data == "heldmore!"; }));
}

TEST_CASE("a paused connection drains its output") {
  Server server;
  Server::Link link = server.Connect(16 * 1024);
  Connection* c = link.peer->connection.get();
  std::string expected;
  c->PauseReading();
  FillKernel(c, 300'000, &expected);
  link.client->Send("unread");
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.peer->handler.drained == 1;
  }));
  CHECK(link.peer->handler.data_calls == 0);
  c->ResumeReading();
  REQUIRE(server.Until([&] { return link.peer->handler.data == "unread"; }));
}

TEST_CASE("a peer that leaves while reading is paused") {
  Server server;
  SUBCASE("with nothing unread: closed at once") {
    Server::Link link = server.Connect();
    link.peer->connection->PauseReading();
    link.client->Close();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kPeer);
  }
  SUBCASE("with bytes unread: they are delivered before the end") {
    Server::Link link = server.Connect();
    link.peer->connection->PauseReading();
    link.client->Send("last words");
    link.client->Close();
    Timer wait(&server.loop);
    bool waited = false;
    const uint64_t turns = server.loop.turns();
    wait.Start(30, 0, [&] { waited = true; });
    REQUIRE(server.Until([&] { return waited; }));
    CHECK(link.peer->handler.closed == 0);
    CHECK(server.loop.turns() - turns < 300);
    link.peer->connection->ResumeReading();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.data == "last words");
    CHECK(link.peer->handler.reason == CloseReason::kPeer);
  }
  SUBCASE("by a reset") {
    Server::Link link = server.Connect();
    link.peer->connection->PauseReading();
    link.client->Reset();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.data_calls == 0);
  }
}

TEST_CASE("a half-closed peer is gone, after its last bytes") {
  Server server;
  Server::Link link = server.Connect();
  link.client->Send("bye");
  link.client->ShutdownWrite();
  REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
  CHECK(link.peer->handler.data == "bye");
  CHECK(link.peer->handler.reason == CloseReason::kPeer);
  CHECK(link.peer->connection->close_error() == 0);
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.client->eof();
  }));
}

TEST_CASE("a reset is an error, after the bytes that came before it") {
  Server server;
  Server::Link link = server.Connect();
  link.client->Send("SET a b\r\n");
  link.client->Reset();
  REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
  CHECK(link.peer->handler.reason == CloseReason::kError);
  CHECK(link.peer->connection->close_error() == ECONNRESET);
  CHECK(link.peer->handler.data == "SET a b\r\n");
}

TEST_CASE("writing to a peer that is gone closes, not from inside Write") {
  Server server;
  Server::Link link = server.Connect();
  Connection* c = link.peer->connection.get();
  link.client->Reset();
  bool inside = false;
  bool reentered = false;
  link.peer->handler.on_closed = [&] { reentered = inside; };
  inside = true;
  for (int i = 0; i < 10; ++i) {
    c->Write("x");
    c->WriteOwned("x");
    c->WriteV(std::vector<std::string_view>{"x", "y"});
  }
  inside = false;
  REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
  CHECK(!reentered);
  CHECK(link.peer->handler.reason == CloseReason::kError);
  CHECK(c->pending_bytes() == 0);
}

TEST_CASE("Close drops output, ignores what follows and tells once, later") {
  Server server;
  Server::Link link = server.Connect(16 * 1024);
  Connection* c = link.peer->connection.get();
  std::string sent;
  FillKernel(c, 100'000, &sent);
  c->Close();
  CHECK(c->closed());
  CHECK(c->closing());
  CHECK(link.peer->handler.closed == 0);
  CHECK(c->pending_bytes() == 0);
  c->Write("ignored");
  c->WriteOwned("ignored");
  c->PauseReading();
  c->ResumeReading();
  c->CloseAfterWrite(10);
  c->Close();
  REQUIRE(server.Until([&] { return link.peer->handler.closed > 0; }));
  REQUIRE(server.Until([&] {
    link.client->Receive();
    return link.client->eof() || link.client->error() != 0;
  }));
  CHECK(link.peer->handler.closed == 1);
  CHECK(link.peer->handler.reason == CloseReason::kLocal);
  CHECK(link.client->received().size() < sent.size());
}

TEST_CASE("closing and destroying inside callbacks") {
  Server server;
  SUBCASE("Close in OnData") {
    Server::Link link = server.Connect();
    link.peer->handler.on_data = [&](std::string_view) { link.peer->connection->Close(); };
    link.client->Send("x");
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kLocal);
  }
  SUBCASE("destroyed in OnData: no OnClosed") {
    Server::Link link = server.Connect();
    link.peer->handler.on_data = [&](std::string_view) { link.peer->connection.reset(); };
    link.client->Send("x");
    REQUIRE(server.Until([&] {
      link.client->Receive();
      return link.client->eof() || link.client->error() != 0;
    }));
    CHECK(link.peer->handler.closed == 0);
  }
  SUBCASE("destroyed in OnData together with its handler, input and output being ready") {
    Server::Link link = server.Connect(16 * 1024);
    Server::Peer* peer = link.peer;
    std::string sent;
    FillKernel(peer->connection.get(), 100'000, &sent);
    const auto destroy = [&, peer] {
      // The whole peer, so that any access afterwards is a use after free.
      std::erase_if(server.peers, [&](const auto& p) { return p.get() == peer; });
    };
    peer->handler.on_drained = destroy;
    peer->handler.on_data = [&](std::string_view) { FAIL("destroyed before"); };
    peer->connection->PauseReading();
    link.client->Send("x");
    bool resumed = false;
    REQUIRE(server.Until([&] {
      if (!server.peers.empty() && !resumed) {
        resumed = true;
        peer->handler.on_data = [&](std::string_view) { destroy(); };
        peer->connection->ResumeReading();
      }
      link.client->Receive();
      return server.peers.empty();
    }));
  }
  SUBCASE("destroyed in OnClosed") {
    Server::Link link = server.Connect();
    link.peer->handler.on_closed = [&] { link.peer->connection.reset(); };
    link.client->Close();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->connection == nullptr);
  }
  SUBCASE("destroyed between Close and OnClosed") {
    Server::Link link = server.Connect();
    link.peer->connection->Close();
    link.peer->connection.reset();
    REQUIRE(server.Until([&] {
      link.client->Receive();
      return link.client->eof();
    }));
    CHECK(link.peer->handler.closed == 0);
  }
  SUBCASE("destroyed while the reset is handled") {
    Server::Link link = server.Connect();
    link.peer->handler.on_data = [&](std::string_view) { link.peer->connection.reset(); };
    link.client->Send("x");
    link.client->Reset();
    REQUIRE(server.Until([&] { return link.peer->connection == nullptr; }));
    CHECK(link.peer->handler.closed == 0);
  }
  SUBCASE("one connection destroys another whose event is in the same turn") {
    Server::Link a = server.Connect();
    Server::Link b = server.Connect();
    a.peer->handler.on_data = [&](std::string_view) { b.peer->connection.reset(); };
    b.peer->handler.on_data = [&](std::string_view) { a.peer->connection.reset(); };
    a.client->Send("x");
    b.client->Send("x");
    REQUIRE(server.Until([&] { return !a.peer->connection || !b.peer->connection; }));
    CHECK((a.peer->connection == nullptr) != (b.peer->connection == nullptr));
  }
}

TEST_CASE("CloseAfterWrite") {
  Server server;
  SUBCASE("with nothing queued closes now; the reply arrives although input is unread") {
    Server::Link link = server.Connect();
    Connection* c = link.peer->connection.get();
    c->PauseReading();
    link.client->Send(Pattern(100'000));
    REQUIRE(server.Until([&] { return Unread(c->fd()) > 0; }));
    c->Write("-ERR Protocol error\r\n");
    c->CloseAfterWrite(1000);
    REQUIRE(server.Until([&] {
      link.client->Receive();
      return link.client->eof() || link.client->error() != 0;
    }));
    CHECK(link.client->received() == "-ERR Protocol error\r\n");
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kLocal);
  }
  SUBCASE("inside OnData leaves the bytes alone") {
    Server::Link link = server.Connect();
    Recorder& handler = link.peer->handler;
    std::string after;
    handler.on_data = [&](std::string_view bytes) {
      link.client->Send("another request");  // unread input, to be thrown away
      link.peer->connection->CloseAfterWrite(1000);
      after = std::string(bytes);
    };
    link.client->Send("QUIT and more");
    REQUIRE(server.Until([&] { return handler.closed == 1; }));
    CHECK(after == "QUIT and more");
    CHECK(handler.data == "QUIT and more");
  }
  SUBCASE("writes everything first, reads nothing more") {
    Server::Link link = server.Connect(16 * 1024);
    Connection* c = link.peer->connection.get();
    std::string expected;
    FillKernel(c, 300'000, &expected);
    c->CloseAfterWrite(kDeadlineMs);
    CHECK(c->closing());
    CHECK(!c->closed());
    c->Write("ignored");
    link.client->Send("ignored too");
    REQUIRE(server.Until([&] {
      link.client->Receive();
      return link.client->eof() || link.client->error() != 0;
    }));
    CHECK(link.client->received() == expected);
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kLocal);
    CHECK(link.peer->handler.data_calls == 0);
    CHECK(link.peer->handler.drained == 0);
  }
  SUBCASE("gives up at the deadline") {
    Server::Link link = server.Connect(16 * 1024);
    std::string sent;
    FillKernel(link.peer->connection.get(), 300'000, &sent);
    const int64_t start = SystemClock()->MonotonicMs();
    link.peer->connection->CloseAfterWrite(30);
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kDeadline);
    CHECK(SystemClock()->MonotonicMs() - start >= 29);
  }
  SUBCASE("the peer leaves meanwhile") {
    Server::Link link = server.Connect(16 * 1024);
    std::string sent;
    FillKernel(link.peer->connection.get(), 300'000, &sent);
    link.peer->connection->CloseAfterWrite(kDeadlineMs);
    link.client->Reset();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kError);
  }
  SUBCASE("Close ends the wait") {
    Server::Link link = server.Connect(16 * 1024);
    std::string sent;
    FillKernel(link.peer->connection.get(), 300'000, &sent);
    link.peer->connection->CloseAfterWrite(kDeadlineMs);
    link.peer->connection->Close();
    REQUIRE(server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kLocal);
  }
}

TEST_CASE("a connection moves to another core without losing unread bytes") {
  Server server;
  LoopThread other;
  Mailbox mailbox(&other.loop);
  Server::Peer moved;
  Server::Link link = server.Connect();
  Socket socket;
  link.peer->handler.on_data = [&](std::string_view) {
    // What this call was given stays with the caller; the rest is still in the kernel.
    link.client->Send("second");
    socket = link.peer->connection->Release();
  };
  link.client->Send("first");
  REQUIRE(server.Until([&] { return static_cast<bool>(socket); }));
  link.peer->connection.reset();
  CHECK(link.peer->handler.data == "first");
  CHECK(link.peer->handler.closed == 0);
  moved.handler.on_data = [&](std::string_view bytes) {
    CHECK(other.loop.InLoopThread());
    moved.connection->Write(bytes);
  };
  other.Start();
  mailbox.PostFromAnyThread([&, s = std::move(socket)]() mutable {
    moved.connection = std::make_unique<Connection>(&other.loop, std::move(s), &moved.handler);
  });
  REQUIRE(WaitUntil([&] {
    link.client->Receive();
    return link.client->received() == "second";
  }));
  link.client->Send("third");
  REQUIRE(WaitUntil([&] {
    link.client->Receive();
    return link.client->received() == "secondthird";
  }));
  other.Join();
  moved.connection.reset();
  // The loop that it left goes on.
  Server::Link next = server.Connect();
  next.client->Send("hello");
  REQUIRE(server.Until([&] { return next.peer->handler.data == "hello"; }));
}

TEST_CASE("a socket that can't be polled is reported, not fatal") {
  EventLoop loop;
  Recorder handler;
  Socket file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));  // epoll refuses files
  REQUIRE(file);
  Connection c(&loop, std::move(file), &handler);
  CHECK(c.closed());
  REQUIRE(RunUntil(&loop, [&] { return handler.closed == 1; }));
  CHECK(handler.reason == CloseReason::kError);
  CHECK(c.close_error() == EPERM);
}

TEST_CASE("hundreds of connections come and go") {
  Server server;
  size_t closed = 0;
  for (int round = 0; round < 10; ++round) {
    std::vector<Server::Link> links;
    for (int i = 0; i < 50; ++i) {
      links.push_back(server.Connect());
      Server::Peer* peer = links.back().peer;
      peer->handler.on_data = [peer](std::string_view bytes) { peer->connection->Write(bytes); };
      peer->handler.on_closed = [&closed, peer] {
        peer->connection.reset();
        ++closed;
      };
      links.back().client->Send("hello");
    }
    REQUIRE(server.Until([&] {
      return std::all_of(links.begin(), links.end(), [](Server::Link& link) {
        link.client->Receive();
        return link.client->received() == "hello";
      });
    }));
    links.clear();
    REQUIRE(server.Until([&] { return closed == 50 * static_cast<size_t>(round + 1); }));
  }
}

}  // namespace
}  // namespace holdfast::net
