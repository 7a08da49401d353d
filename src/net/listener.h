// Listening on a TCP port with several cores.
//
// A port is bound early (so that a port that is taken is found before data is loaded), listened on
// late (so that nobody can connect before there is something to serve), and accepted from by one
// Listener a core:
//
//     main thread:  PortBinding::Bind -> load -> Listen -> one Take() a core
//     each core:    Listener(loop, socket, callback)
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/event_loop.h"
#include "net/socket.h"

struct uv_poll_s;

namespace holdfast::net {

// The sockets of one address and port, one for each core; the kernel spreads connections over
// them (SO_REUSEPORT). SO_REUSEPORT alone would let a second process of the same user share the
// port silently, so the first socket gets the option only once it listens: until then the kernel
// itself guarantees that it is alone. Any one thread at a time.
class PortBinding {
 public:
  // `host` is a numeric IPv4 or IPv6 address ("0.0.0.0", "::", "127.0.0.1"); "::" doesn't include
  // IPv4. `port` 0 takes a free one. `sockets` >= 1.
  // Errors: kInvalidArgument for a host that isn't an address, kIoError when another process
  // listens on the port or it can't be bound.
  static Result<PortBinding> Bind(const std::string& host, uint16_t port, size_t sockets);

  // Lets clients connect; they wait until a Listener accepts them. `backlog` >= 1 connections may
  // wait on each socket. kIoError when another process began to listen on the port since Bind.
  // Once only, before Take.
  Status Listen(int backlog);
  // One of the sockets. REQUIRES: called at most `sockets` times.
  Socket Take();

  const std::string& host() const { return host_; }
  uint16_t port() const { return port_; }

 private:
  PortBinding(std::string host, uint16_t port) : host_(std::move(host)), port_(port) {}

  std::string host_;
  uint16_t port_;
  std::vector<Socket> sockets_;
  size_t taken_ = 0;
};

// Accepts connections on a listening socket. Loop thread only. May be destroyed at any time, also
// inside its callback; connections that were not accepted yet are reset then.
class Listener {
 public:
  // Gets each accepted connection: non-blocking, close-on-exec. It may be handed to another core.
  using AcceptCallback = absl::AnyInvocable<void(Socket)>;

  // `socket` listens already. At most kAcceptsPerTurn connections are accepted a turn.
  Listener(EventLoop* loop, Socket socket, AcceptCallback callback);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Stops accepting for a while (connections wait in the backlog) and goes on. Either may be
  // called in any state.
  void Pause();
  void Resume();

  // Failed accepts, as when descriptors ran out: accepting rests for kRetryMs then.
  uint64_t accept_errors() const { return accept_errors_; }

  static constexpr int kAcceptsPerTurn = 64;
  static constexpr uint64_t kRetryMs = 100;

 private:
  void OnReadable();
  void Watch();
  void AcceptFailed(int error);

  EventLoop* const loop_;
  Socket socket_;
  std::shared_ptr<AcceptCallback> callback_;  // shared with the call that runs it
  uv_poll_s* poll_;                           // freed by libuv's close callback
  Timer retry_;
  bool paused_ = false;
  bool resting_ = false;  // until retry_
  bool failing_ = false;  // no accept has succeeded since one failed
  uint64_t accept_errors_ = 0;
};

}  // namespace holdfast::net
