#include "net/connector.h"

#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

#include <utility>

#include "base/check.h"
#include "net/address.h"

namespace holdfast::net {

Connector::Connector(EventLoop* loop, const std::string& address, uint64_t timeout_ms,
                     ConnectCallback callback)
    : loop_(loop), address_(address), callback_(std::move(callback)), timer_(loop) {
  CHECK(loop_->InLoopThread());
  const Status started = Start(address);
  if (started.ok()) {
    timer_.Start(timeout_ms, 0, [this, timeout_ms] {
      Finish(Status::IoError("connect to " + address_ + ": no answer in " +
                             std::to_string(timeout_ms) + " ms"));
    });
  } else {
    timer_.Start(0, 0, [this, started] { Finish(started); });
  }
}

Connector::~Connector() { ClosePoll(); }

void Connector::ClosePoll() {
  if (poll_ == nullptr) return;
  uv_poll_t* const poll = std::exchange(poll_, nullptr);
  poll->data = nullptr;
  // Takes the socket out of the poll set, so it must come before the socket is closed or handed on.
  uv_close(reinterpret_cast<uv_handle_t*>(poll),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
}

Status Connector::Start(const std::string& address) {
  Result<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  const Address& to = parsed.value();
  socket_ = Socket(::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return Status::FromErrno("socket", errno);
  // Also when it is connected at once, the loop says so: the callback comes in a later turn.
  if (::connect(socket_.fd(), to.get(), to.size) != 0 && errno != EINPROGRESS) {
    return Status::FromErrno("connect to " + address, errno);
  }
  auto* poll = new uv_poll_t;
  const int error = uv_poll_init(loop_->uv(), poll, socket_.fd());
  if (error != 0) {
    delete poll;
    return Status::FromErrno("watch a socket", -error);
  }
  poll_ = poll;
  poll_->data = this;
  uv_poll_start(poll_, UV_WRITABLE, [](uv_poll_t* handle, int, int) {
    // Whether it worked is the socket's to say.
    static_cast<Connector*>(handle->data)->OnWritable();
  });
  return Status::Ok();
}

void Connector::OnWritable() {
  loop_->EnterTurn();
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    Finish(Status::FromErrno("connect to " + address_, error));
    return;
  }
  // A port of this machine that nobody listens on may be the one that the kernel chose for this
  // very socket, which TCP then connects to itself ("simultaneous open").
  if (LocalAddress(socket_.fd()) == PeerAddress(socket_.fd())) {
    Finish(Status::FromErrno("connect to " + address_, ECONNREFUSED));
    return;
  }
  ClosePoll();
  Finish(std::move(socket_));
}

void Connector::Finish(Result<Socket> outcome) {
  timer_.Stop();
  ClosePoll();
  socket_.Close();
  // May destroy this object, and with it what is left of the callback.
  ConnectCallback callback = std::move(callback_);
  callback(std::move(outcome));
}

}  // namespace holdfast::net
