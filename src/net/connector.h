// Connecting to another server over TCP, without blocking the loop.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <string>

#include "base/status.h"
#include "net/event_loop.h"
#include "net/socket.h"

struct uv_poll_s;

namespace holdfast::net {

// One attempt at one address. Loop thread only. May be destroyed at any time, also inside its
// callback; an attempt that is under way is then given up.
class Connector {
 public:
  // Gets the connected socket (non-blocking, close-on-exec, to be adopted by a Connection of any
  // loop), or why there is none: InvalidArgument for an address that isn't numeric
  // ("10.0.0.1:7379",
  // "[::1]:7379"), IoError with the operating system's reason or after `timeout_ms`.
  using ConnectCallback = absl::AnyInvocable<void(Result<Socket>)>;

  // The callback is made exactly once, in a later turn.
  Connector(EventLoop* loop, const std::string& address, uint64_t timeout_ms,
            ConnectCallback callback);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

 private:
  // Begins to connect; the kernel's answer is awaited by poll_.
  Status Start(const std::string& address);
  void OnWritable();
  void Finish(Result<Socket> outcome);
  void ClosePoll();

  EventLoop* const loop_;
  const std::string address_;
  ConnectCallback callback_;
  Socket socket_;
  uv_poll_s* poll_ = nullptr;  // freed by libuv's close callback
  Timer timer_;                // the timeout, or the next turn when it failed at once
};

}  // namespace holdfast::net
