// A TCP connection on one loop.
//
// In steady state a batch of requests costs one read and one write: reading is never switched off
// and on around a request, and a write goes to the kernel at once. Output that the kernel doesn't
// take is queued without a limit; whoever writes watches pending_bytes() and closes.
//
// With a TlsStream everything is encrypted. Its handshake is made first: until it is over nothing
// is read, what is written waits in the queue, and the handler hears of nothing but the end.
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
#include "net/tls.h"
#include "net/write_queue.h"

struct iovec;
struct uv_poll_s;

namespace holdfast::net {

enum class CloseReason : uint8_t {
  kPeer,      // the peer closed or half-closed: like Redis, EOF means that the client is gone
  kError,     // reset, timed out, …: see close_error()
  kLocal,     // Close() or the end of CloseAfterWrite()
  kDeadline,  // CloseAfterWrite()'s time ran out with output pending, or the TLS handshake's
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
  // The TLS handshake is over; bytes may follow.
  virtual void OnEncrypted() {}
  // The connection is closed; the last call, exactly once for a connection that isn't destroyed or
  // released before.
  virtual void OnClosed(CloseReason reason) = 0;
};

// Loop thread only.
class Connection {
 public:
  // Takes over a connected, non-blocking socket; calls to `handler` begin in the next turn. The
  // handler must outlive the connection or OnClosed. TCP_NODELAY is switched on. `tls` may be null;
  // its handshake may be over already.
  Connection(EventLoop* loop, Socket socket, ConnectionHandler* handler,
             std::unique_ptr<TlsStream> tls = nullptr);
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
  // errno of a connection closed with kError, else 0; EPROTO when TLS failed.
  int close_error() const { return close_error_; }
  // Why the connection ended, for a log: the reasons of TLS, too.
  std::string CloseText() const;
  // Takes the socket out of this loop, to be adopted by a Connection of another core; unread bytes
  // stay in the kernel, or go along with the TLS stream. No call to the handler follows. REQUIRES:
  // !closing(), no pending bytes; `tls` isn't null when the connection is encrypted.
  Socket Release(std::unique_ptr<TlsStream>* tls = nullptr);

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

  // Null for plain text.
  const TlsStream* tls() const { return tls_ == nullptr ? nullptr : tls_->stream.get(); }

  void set_handler(ConnectionHandler* handler) { handler_ = handler; }
  ConnectionHandler* handler() const { return handler_; }

  // A read into the handler's own buffer takes at most this much at once, so that one connection
  // can't keep the others waiting.
  static constexpr size_t kLargeReadBytes = 1024 * 1024;
  // A handshake that takes longer is given up: whoever connects and says nothing, or says it a
  // byte at a time, keeps a descriptor no longer than this.
  static constexpr uint64_t kHandshakeDeadlineMs = 10'000;

 private:
  // What an encrypted connection has besides.
  struct Tls {
    Tls(Connection* connection, std::unique_ptr<TlsStream> the_stream);
    std::unique_ptr<TlsStream> stream;
    // Reads what has arrived in the stream, of which no event tells.
    NextTurn again;
    // While the handshake lasts:
    std::unique_ptr<Timer> deadline;
    bool speaks_first = false;  // and hasn't yet
  };

  // All bytes pass through these two. One system call, unless encrypted.
  IoResult Receive(std::span<char> into);
  IoResult Send(const iovec* parts, int count);
  void BeginTls(std::unique_ptr<TlsStream> stream);
  // One step, at an event.
  void HandleHandshake();
  // After input was read or reading was resumed.
  void ReadAgainIfTlsHasMore();
  bool InHandshake() const { return tls_ != nullptr && tls_->deadline != nullptr; }

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
  std::unique_ptr<Tls> tls_;         // null: plain text
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
