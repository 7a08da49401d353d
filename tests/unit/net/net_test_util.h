// What the tests of net share: running a loop until something is true, and a plain blocking-style
// client on a loopback socket that the test drives between turns of the loop.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/connection.h"
#include "net/event_loop.h"
#include "net/listener.h"

// Last: its CHECK replaces base's.
#include <doctest/doctest.h>

namespace holdfast::net {

constexpr int kDeadlineMs = 20'000;  // far beyond what any step takes; only a failure waits for it

// Turns the loop on this thread until `done`; false when the deadline passed first.
inline bool RunUntil(EventLoop* loop, const std::function<bool()>& done) {
  if (done()) return true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
  bool ok = false;
  Timer poll(loop);
  poll.Start(0, 1, [&] {
    ok = done();
    if (ok || std::chrono::steady_clock::now() > end) loop->Stop();
  });
  loop->Run();
  return ok;
}

// Waits for what another thread does.
inline bool WaitUntil(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// A loop on a thread of its own.
class LoopThread {
 public:
  EventLoop loop;
  void Start() {
    thread_ = std::thread([this] { loop.Run(); });
  }
  // After this the test's thread may touch what lives on the loop.
  void Join() {
    if (!thread_.joinable()) return;
    loop.Stop();
    thread_.join();
  }
  ~LoopThread() { Join(); }

 private:
  std::thread thread_;
};

// The other end: a non-blocking socket.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0) {
    socket_ = Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(socket_);
    if (receive_buffer > 0) {
      setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }

  int fd() const { return socket_.fd(); }
  // Sends what the kernel takes; the number of bytes.
  size_t Send(std::string_view bytes) {
    const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? 0 : static_cast<size_t>(n);
  }
  // Adds what has arrived to received(), at most `max` bytes.
  void Receive(size_t max = SIZE_MAX) {
    char buffer[64 * 1024];
    while (max > 0) {
      const ssize_t n = ::recv(fd(), buffer, std::min(max, sizeof buffer), MSG_DONTWAIT);
      if (n > 0) {
        received_.append(buffer, static_cast<size_t>(n));
        max -= static_cast<size_t>(n);
        continue;
      }
      if (n == 0) eof_ = true;
      if (n < 0 && errno != EAGAIN) error_ = errno;
      return;
    }
  }
  std::string& received() { return received_; }
  bool eof() const { return eof_; }
  int error() const { return error_; }
  void ShutdownWrite() { ::shutdown(fd(), SHUT_WR); }
  void Close() { socket_.Close(); }
  // Closes with RST instead of FIN.
  void Reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }

 private:
  Socket socket_;
  std::string received_;
  bool eof_ = false;
  int error_ = 0;
};

// A handler that notes what happens and lets the test add to it.
struct Recorder : ConnectionHandler {
  std::string data;
  int data_calls = 0;
  int drained = 0;
  int encrypted = 0;
  int closed = 0;
  CloseReason reason{};
  std::function<void(std::string_view)> on_data;
  std::function<std::span<char>()> on_read_buffer;
  std::function<void()> on_drained;
  std::function<void()> on_closed;

  void OnData(std::string_view bytes) override {
    ++data_calls;
    data.append(bytes);
    if (on_data) on_data(bytes);
  }
  std::span<char> OnReadBuffer() override {
    return on_read_buffer ? on_read_buffer() : std::span<char>();
  }
  void OnDrained() override {
    ++drained;
    if (on_drained) on_drained();
  }
  void OnEncrypted() override { ++encrypted; }
  void OnClosed(CloseReason why) override {
    ++closed;
    reason = why;
    if (on_closed) on_closed();
  }
};

// A loop with one listener on a free loopback port, and one accepted connection a client.
struct Server {
  struct Peer {
    Recorder handler;
    std::unique_ptr<Connection> connection;
  };

  EventLoop loop;
  std::vector<std::unique_ptr<Peer>> peers;
  std::unique_ptr<Listener> listener;
  uint16_t port = 0;
  // What accepted connections are encrypted with; empty: nothing.
  std::function<std::unique_ptr<TlsStream>()> encrypt;

  Server() {
    Result<PortBinding> bound = PortBinding::Bind("127.0.0.1", 0, 1);
    REQUIRE(bound.ok());
    REQUIRE(bound.value().Listen(128).ok());
    port = bound.value().port();
    listener = std::make_unique<Listener>(&loop, bound.value().Take(), [this](Socket s) {
      auto& peer = *peers.emplace_back(std::make_unique<Peer>());
      peer.connection = std::make_unique<Connection>(&loop, std::move(s), &peer.handler,
                                                     encrypt ? encrypt() : nullptr);
    });
  }

  bool Until(const std::function<bool()>& done) { return RunUntil(&loop, done); }
  struct Link {
    std::unique_ptr<Client> client;
    Peer* peer;  // the accepted end
  };
  Link Connect(int client_receive_buffer = 0) {
    const size_t before = peers.size();
    auto client = std::make_unique<Client>(port, client_receive_buffer);
    REQUIRE(Until([&] { return peers.size() > before; }));
    return {std::move(client), peers.back().get()};
  }
};

}  // namespace holdfast::net
