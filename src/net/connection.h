// A TCP connection on one loop.
//
// In steady state a batch of requests costs one read and one write: reading is never switched off
// and on around a request, and a write goes to the kernel at once. Output that the kernel doesn't
// take is queued without a limit; whoever writes watches pending_bytes() and closes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/event_loop.h"
#include "net/socket.h"
#include "net/write_queue.h"

struct iovec;
struct uv_poll_s;

namespace holdfast::net {

enum class CloseReason : uint8_t {
  kPeer,      // the peer closed or half-closed: like Redis, EOF means that the client is gone
  kError,     // reset, timed out, …: see close_error()
  kLocal,     // Close() or the end of CloseAfterWrite()
  kDeadline,  // CloseAfterWrite()'s time ran out with output pending
};

// What a connection tells its owner. All calls come from the loop, never from inside a call to the
// connection (so Write or Close can't re-enter the owner), on the loop thread. Every callback may
// call any method of the connection, and may destroy it.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;

  // Bytes have arrived, at least one. They are valid during the call only, unless they are in the
  // buffer that OnReadBuffer offered.
  virtual void OnData(std::string_view bytes) = 0;
  // Where to put the next bytes; empty: into the loop's shared buffer. The handler of a huge
  // argument offers the argument's own rest, which is then read without a copy. OnData follows with
  // a view of what was filled, from the front of the offer, or nothing follows (no bytes yet). The
  // one callback that may not touch the connection.
  virtual std::span<char> OnReadBuffer() { return {}; }
  // All output that had to be queued was handed to the kernel.
  virtual void OnDrained() {}
  // The connection is closed; the last call, exactly once for a connection that isn't destroyed or
  // released before.
  virtual void OnClosed(CloseReason reason) = 0;
};

// Loop thread only.
class Connection {
 public:
  // Takes over a connected, non-blocking socket; calls to `handler` begin in the next turn. The
  // handler must outlive the connection or OnClosed. TCP_NODELAY is switched on.
  Connection(EventLoop* loop, Socket socket, ConnectionHandler* handler);
  // Closes silently: without OnClosed, dropping pending output.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // ---- Output. In order of the calls; ignored when closed. Failures come as OnClosed(kError).

  // Hands the bytes to the kernel, or queues a copy of what it doesn't take.
  void Write(std::string_view bytes);
  // As Write, queueing the string itself instead of a copy.
  void WriteOwned(std::string bytes);
  // As Write of all parts one after the other, with one system call.
  void WriteV(std::span<const std::string_view> parts);
  // Bytes that wait for the peer to read.
  size_t pending_bytes() const { return queue_.bytes(); }

  // ---- Input. Both may be called in any state and cost nothing until input arrives meanwhile.
  // While paused, a peer's leaving is still noticed once it has left no unread bytes.

  void PauseReading();
  void ResumeReading();
  bool reading_paused() const { return paused_; }

  // ---- The end.

  // Closes at once, dropping pending output. OnClosed(kLocal) follows later in this turn.
  void Close();
  // Reads nothing more and closes when pending output was written, at the latest in `deadline_ms`.
  void CloseAfterWrite(uint64_t deadline_ms);
  // Closed, or waiting to be closed by CloseAfterWrite.
  bool closing() const { return closed_ || close_after_write_; }
  bool closed() const { return closed_; }
  // errno of a connection closed with kError, else 0.
  int close_error() const { return close_error_; }
  // Takes the socket out of this loop, to be adopted by a Connection of another core; unread bytes
  // stay in the kernel. No call to the handler follows. REQUIRES: !closing(), no pending bytes.
  Socket Release();

  // ---- The socket.

  // The kernel probes a silent peer after `seconds` and closes after about twice that; 0 switches
  // it off. As Redis's tcp-keepalive.
  Status SetKeepAlive(int seconds);
  Status SetNoDelay(bool on);
  // "10.0.0.1:6379", "[::1]:6379". The peer's is known also after closing.
  const std::string& peer_address() const { return peer_address_; }
  std::string local_address() const { return LocalAddress(socket_.fd()); }
  // -1 when closed.
  int fd() const { return socket_.fd(); }

  void set_handler(ConnectionHandler* handler) { handler_ = handler; }
  ConnectionHandler* handler() const { return handler_; }

  // A read into the handler's own buffer takes at most this much at once, so that one connection
  // can't keep the others waiting.
  static constexpr size_t kLargeReadBytes = 1024 * 1024;

 private:
  // The outcome of one system call: bytes moved, or why none were.
  struct IoResult {
    size_t bytes = 0;
    int error = 0;     // errno; 0 also at EOF
    bool eof = false;  // reading only
    bool would_block() const;
  };
  // All bytes pass through these two: the place for TLS.
  IoResult Receive(std::span<char> into);
  IoResult Send(const iovec* parts, int count);

  void OnPoll(int status, int events);
  void HandleReadable();
  void HandleWritable();
  void HandleDisconnect();
  void HandleSocketError();
  // Brings what the loop watches in line with the state; no system call when it is already.
  void UpdateWatch();
  void FinishCloseAfterWrite();
  void CloseWith(CloseReason reason, int error);
  // For output that needn't queue behind other: how many bytes the kernel took. Closes on error.
  size_t SendNow(const iovec* parts, int count);
  void CloseHandle();

  EventLoop* const loop_;
  ConnectionHandler* handler_;
  Socket socket_;
  uv_poll_s* poll_;  // freed by libuv's close callback
  WriteQueue queue_;
  std::unique_ptr<Timer> deadline_;  // of CloseAfterWrite
  std::string peer_address_;
  int watched_ = 0;  // libuv's event bits
  int close_error_ = 0;
  CloseReason close_reason_ = CloseReason::kLocal;
  bool paused_ = false;
  bool peer_left_ = false;  // seen while paused, with bytes still unread
  bool close_after_write_ = false;
  bool closed_ = false;
};

}  // namespace holdfast::net
