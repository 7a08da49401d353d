#include "net/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace holdfast::net {
namespace {

// How many pieces one system call writes.
constexpr int kMaxParts = 64;
// What a closing connection still takes from the kernel and throws away, and what it still reads
// after an error: bounds, hardly ever reached.
constexpr size_t kMaxDiscardBytes = 256 * 1024;
constexpr int kMaxReadsAfterError = 64;

// uv_poll_t, or, when the kernel refuses to poll the socket, a timer that never runs: libuv's
// close callback is then the way to report it.
union Handle {
  uv_handle_t any;
  uv_poll_t poll;
  uv_timer_t timer;
};

Status SetOption(int fd, int level, int option, int value, const char* name) {
  if (setsockopt(fd, level, option, &value, sizeof value) != 0) {
    return Status::FromErrno(name, errno);
  }
  return Status::Ok();
}

iovec Part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

Connection::Connection(EventLoop* loop, Socket socket, ConnectionHandler* handler,
                       std::unique_ptr<TlsStream> tls)
    : loop_(loop),
      handler_(handler),
      socket_(std::move(socket)),
      poll_(&(new Handle)->poll),
      peer_address_(PeerAddress(socket_.fd())) {
  CHECK(loop_->InLoopThread() && handler_ != nullptr && socket_);
  // Replies are written whole, so waiting for more to send never helps. Sockets that aren't TCP
  // refuse the option, which is all right.
  (void)SetNoDelay(true);
  const int error = uv_poll_init(loop_->uv(), poll_, socket_.fd());
  if (error != 0) {
    uv_timer_init(loop_->uv(), &reinterpret_cast<Handle*>(poll_)->timer);
  }
  poll_->data = this;
  if (error != 0) {
    CloseWith(CloseReason::kError, -error);
    return;
  }
  if (tls != nullptr) BeginTls(std::move(tls));
  UpdateWatch();
}

Connection::~Connection() {
  if (poll_ == nullptr) return;
  poll_->data = nullptr;
  if (closed_) return;
  if (tls_ != nullptr) tls_->stream->Shutdown();
  CloseHandle();
}

void Connection::CloseHandle() {
  // Takes the socket out of the poll set, so it must come before the socket is closed or handed on.
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) {
    auto* connection = static_cast<Connection*>(handle->data);
    delete reinterpret_cast<Handle*>(handle);
    if (connection == nullptr) return;
    connection->poll_ = nullptr;
    connection->loop_->EnterTurn();
    connection->handler_->OnClosed(connection->close_reason_);
  });
}

// ---- Events

void Connection::OnPoll(int status, int events) {
  loop_->EnterTurn();
  // The handler may destroy this object in every call. The handle lives until libuv's close
  // callback, which is never made from inside this function, and no longer points here then.
  uv_poll_t* const handle = poll_;
  if (status < 0) {
    // libuv has stopped watching already.
    watched_ = 0;
    HandleSocketError();
  } else if (InHandshake()) {
    HandleHandshake();
  } else {
    if ((events & UV_WRITABLE) != 0) HandleWritable();
    if (handle->data == nullptr) return;
    if (tls_ != nullptr) ReadAgainIfTlsHasMore();
    if ((events & UV_READABLE) != 0 && !closing()) HandleReadable();
    if (handle->data == nullptr) return;
    if ((events & UV_DISCONNECT) != 0 && !closing()) HandleDisconnect();
  }
  if (handle->data != nullptr) UpdateWatch();
}

void Connection::HandleReadable() {
  // Paused since the loop began to wait; OnPoll's UpdateWatch now tells the kernel.
  if (paused_) return;
  // One read an event, so that a busy connection can't keep the others waiting: what it leaves in
  // the kernel makes the next turn's event.
  std::span<char> into = handler_->OnReadBuffer();
  if (into.empty()) into = loop_->read_buffer();
  into = into.first(std::min(into.size(), kLargeReadBytes));
  const IoResult got = Receive(into);
  if (got.bytes > 0) {
    if (tls_ != nullptr) ReadAgainIfTlsHasMore();
    handler_->OnData({into.data(), got.bytes});  // may have destroyed this object
  } else if (got.eof) {
    CloseWith(CloseReason::kPeer, 0);
  } else if (!got.would_block()) {
    CloseWith(CloseReason::kError, got.error);
  }
}

void Connection::HandleWritable() {
  if (queue_.empty()) {
    const int error = tls_ == nullptr ? 0 : tls_->stream->Flush();
    if (error != 0) CloseWith(CloseReason::kError, error);
    return;
  }
  iovec parts[kMaxParts];
  const IoResult put = Send(parts, queue_.Front(parts, kMaxParts));
  if (put.error != 0) {
    if (!put.would_block()) CloseWith(CloseReason::kError, put.error);
    return;
  }
  queue_.Consume(put.bytes);
  if (!queue_.empty()) return;
  if (close_after_write_) {
    FinishCloseAfterWrite();
  } else {
    handler_->OnDrained();
  }
}

void Connection::HandleDisconnect() {
  // Only while reading is paused. What the peer sent before it left is still to be read; without
  // any, its end is the next thing in the stream.
  if (!paused_) return;
  int unread = tls_ != nullptr && tls_->stream->input_waits() ? 1 : 0;
  if (unread == 0 && ioctl(socket_.fd(), FIONREAD, &unread) == 0 && unread == 0) {
    CloseWith(CloseReason::kPeer, 0);
  } else {
    peer_left_ = true;
  }
}

void Connection::HandleSocketError() {
  uv_poll_t* const handle = poll_;
  // Requests that arrived before the reset are served, as from a peer that closed in good order.
  for (int i = 0; i < kMaxReadsAfterError && !paused_ && !closing() && !InHandshake(); ++i) {
    HandleReadable();
    if (handle->data == nullptr) return;
  }
  if (closed_) return;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  CloseWith(CloseReason::kError, error != 0 ? error : ECONNRESET);
}

void Connection::UpdateWatch() {
  if (closed_) return;
  int wanted = queue_.empty() ? 0 : UV_WRITABLE;
  if (tls_ != nullptr && tls_->stream->wants_write()) wanted = UV_WRITABLE;
  if (InHandshake()) {
    const int writes = tls_->stream->wants_write() ? UV_WRITABLE : 0;
    wanted = tls_->speaks_first ? UV_WRITABLE : UV_READABLE | writes;
  } else if (tls_ != nullptr && tls_->stream->congested()) {
    // Nothing is read before something of that was sent.
  } else if (!close_after_write_) {
    if (!paused_) {
      wanted |= UV_READABLE;
    } else if (!peer_left_) {
      wanted |= UV_DISCONNECT;
    }
  }
  if (wanted == watched_) return;
  watched_ = wanted;
  if (wanted == 0) {
    uv_poll_stop(poll_);
    return;
  }
  const int error = uv_poll_start(poll_, wanted, [](uv_poll_t* handle, int status, int events) {
    static_cast<Connection*>(handle->data)->OnPoll(status, events);
  });
  CHECK(error == 0);
}

// ---- TLS

Connection::Tls::Tls(Connection* connection, std::unique_ptr<TlsStream> the_stream)
    : stream(std::move(the_stream)), again(connection->loop_, [connection] {
        // As an event of the socket.
        connection->OnPoll(0, UV_READABLE);
      }) {}

void Connection::BeginTls(std::unique_ptr<TlsStream> stream) {
  stream->Attach(socket_.fd());
  tls_ = std::make_unique<Tls>(this, std::move(stream));
  if (tls_->stream->handshake_done()) {
    ReadAgainIfTlsHasMore();
    return;
  }
  tls_->deadline = std::make_unique<Timer>(loop_);
  tls_->deadline->Start(kHandshakeDeadlineMs, 0, [this] { CloseWith(CloseReason::kDeadline, 0); });
  tls_->speaks_first = !tls_->stream->accepts();
}

void Connection::HandleHandshake() {
  // The event comes again with the next turn.
  if (!loop_->MayHandshake()) return;
  tls_->speaks_first = false;
  if (const int error = tls_->stream->Flush(); error != 0) {
    CloseWith(CloseReason::kError, error);
    return;
  }
  const int64_t begin_ns = SystemClock()->MonotonicNs();
  const TlsStream::Step step = tls_->stream->Handshake();
  loop_->NoteHandshake(SystemClock()->MonotonicNs() - begin_ns);
  switch (step) {
    case TlsStream::Step::kWantRead:
      return;
    case TlsStream::Step::kClosed:
      CloseWith(CloseReason::kPeer, 0);
      return;
    case TlsStream::Step::kFailed:
      CloseWith(CloseReason::kError, EPROTO);
      return;
    case TlsStream::Step::kDone:
      break;
  }
  tls_->deadline.reset();
  ReadAgainIfTlsHasMore();
  handler_->OnEncrypted();  // may have destroyed this object
}

void Connection::ReadAgainIfTlsHasMore() {
  if (tls_->stream->input_waits() && !paused_ && !closing()) tls_->again.Schedule();
}

std::string Connection::CloseText() const {
  if (InHandshake()) {
    if (close_reason_ == CloseReason::kPeer) return "it left during the TLS handshake";
    if (close_reason_ == CloseReason::kDeadline) {
      return "the TLS handshake took longer than " + std::to_string(kHandshakeDeadlineMs) + " ms";
    }
  }
  if (tls_ != nullptr && !tls_->stream->error().empty()) {
    return "TLS: " + tls_->stream->error();
  }
  if (close_error_ != 0) return Status::FromErrno("connection lost", close_error_).message();
  return close_reason_ == CloseReason::kPeer ? "the peer closed the connection"
                                             : "the connection was closed";
}

// ---- Input and output

IoResult Connection::Receive(std::span<char> into) {
  if (tls_ != nullptr) return tls_->stream->Read(into);
  for (;;) {
    const ssize_t n = ::recv(socket_.fd(), into.data(), into.size(), 0);
    if (n > 0) return {.bytes = static_cast<size_t>(n)};
    if (n == 0) return {.eof = true};
    if (errno != EINTR) return {.error = errno};
  }
}

IoResult Connection::Send(const iovec* parts, int count) {
  if (tls_ != nullptr) {
    if (InHandshake()) return {.error = EAGAIN};
    return tls_->stream->Write(parts, count, loop_->write_buffer());
  }
  for (;;) {
    ssize_t n;
    if (count == 1) {
      n = ::send(socket_.fd(), parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(parts);
      message.msg_iovlen = static_cast<size_t>(count);
      n = ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL);
    }
    if (n >= 0) return {.bytes = static_cast<size_t>(n)};
    if (errno != EINTR) return {.error = errno};
  }
}

size_t Connection::SendNow(const iovec* parts, int count) {
  const IoResult put = Send(parts, count);
  if (put.error != 0 && !put.would_block()) CloseWith(CloseReason::kError, put.error);
  return put.bytes;
}

void Connection::Write(std::string_view bytes) {
  if (closing() || bytes.empty()) return;
  size_t sent = 0;
  if (queue_.empty()) {
    const iovec part = Part(bytes);
    sent = SendNow(&part, 1);
    if (closed_ || sent == bytes.size()) return;
  }
  queue_.Append(bytes.substr(sent));
  UpdateWatch();
}

void Connection::WriteOwned(std::string bytes) {
  if (closing() || bytes.empty()) return;
  size_t sent = 0;
  if (queue_.empty()) {
    const iovec part = Part(bytes);
    sent = SendNow(&part, 1);
    if (closed_ || sent == bytes.size()) return;
  }
  queue_.AppendOwned(std::move(bytes), sent);
  UpdateWatch();
}

void Connection::WriteV(std::span<const std::string_view> parts) {
  if (closing()) return;
  size_t i = 0;       // the first part that isn't written wholly
  size_t offset = 0;  // what is written of it
  while (queue_.empty() && i < parts.size()) {
    iovec batch[kMaxParts];
    int count = 0;
    size_t total = 0;
    for (size_t j = i; j < parts.size() && count < kMaxParts; ++j) {
      batch[count++] = Part(parts[j]);
      total += parts[j].size();
    }
    if (total == 0) {
      i += static_cast<size_t>(count);
      continue;
    }
    size_t sent = SendNow(batch, count);
    if (closed_) return;
    const bool all = sent == total;
    while (i < parts.size() && sent >= parts[i].size() && count-- > 0) sent -= parts[i++].size();
    offset = sent;
    if (!all) break;
  }
  for (; i < parts.size(); ++i, offset = 0) queue_.Append(parts[i].substr(offset));
  UpdateWatch();
}

void Connection::PauseReading() {
  // The loop goes on watching: most pauses end before anything arrives.
  paused_ = true;
}

void Connection::ResumeReading() {
  paused_ = false;
  peer_left_ = false;
  if (tls_ != nullptr) ReadAgainIfTlsHasMore();
  UpdateWatch();
}

// ---- The end

void Connection::Close() { CloseWith(CloseReason::kLocal, 0); }

void Connection::CloseAfterWrite(uint64_t deadline_ms) {
  if (closing()) return;
  close_after_write_ = true;
  if (queue_.empty()) {
    FinishCloseAfterWrite();
    return;
  }
  deadline_ = std::make_unique<Timer>(loop_);
  deadline_->Start(deadline_ms, 0, [this] { CloseWith(CloseReason::kDeadline, 0); });
  UpdateWatch();
}

void Connection::FinishCloseAfterWrite() {
  // Closing a socket with unread input resets it, and the reset may overtake the last reply: what
  // the client has sent so far is thrown away first.
  if (tls_ != nullptr) tls_->stream->Shutdown();
  ::shutdown(socket_.fd(), SHUT_WR);
  // With MSG_TRUNC the kernel drops the bytes without copying them.
  ::recv(socket_.fd(), nullptr, kMaxDiscardBytes, MSG_TRUNC);
  CloseWith(CloseReason::kLocal, 0);
}

void Connection::CloseWith(CloseReason reason, int error) {
  if (closed_) return;
  closed_ = true;
  close_reason_ = reason;
  close_error_ = error;
  queue_.Clear();
  deadline_.reset();
  if (tls_ != nullptr) {
    // The deadline stays: it says that the handshake wasn't over.
    if (tls_->deadline != nullptr) tls_->deadline->Stop();
    tls_->again.Cancel();
    if (reason != CloseReason::kError) tls_->stream->Shutdown();
  }
  CloseHandle();
  socket_.Close();
}

Socket Connection::Release(std::unique_ptr<TlsStream>* tls) {
  CHECK(!closing() && queue_.empty() && !InHandshake() && (tls_ == nullptr || tls != nullptr));
  closed_ = true;
  if (tls_ != nullptr) *tls = std::move(tls_->stream);
  tls_.reset();
  poll_->data = nullptr;
  CloseHandle();
  poll_ = nullptr;
  return std::move(socket_);
}

Status Connection::SetKeepAlive(int seconds) {
  const int on = seconds > 0 ? 1 : 0;
  RETURN_IF_ERROR(SetOption(fd(), SOL_SOCKET, SO_KEEPALIVE, on, "SO_KEEPALIVE"));
  if (on == 0) return Status::Ok();
  // As Redis: three probes, a third of the time apart.
  RETURN_IF_ERROR(SetOption(fd(), IPPROTO_TCP, TCP_KEEPIDLE, seconds, "TCP_KEEPIDLE"));
  const int interval = std::max(1, seconds / 3);
  RETURN_IF_ERROR(SetOption(fd(), IPPROTO_TCP, TCP_KEEPINTVL, interval, "TCP_KEEPINTVL"));
  return SetOption(fd(), IPPROTO_TCP, TCP_KEEPCNT, 3, "TCP_KEEPCNT");
}

Status Connection::SetNoDelay(bool on) {
  return SetOption(fd(), IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0, "TCP_NODELAY");
}

}  // namespace holdfast::net
