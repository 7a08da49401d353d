#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "net/address.h"

namespace holdfast::net {
namespace {

Status SetFlag(int fd, int level, int option) {
  const int on = 1;
  if (setsockopt(fd, level, option, &on, sizeof on) != 0) {
    return Status::FromErrno("setsockopt", errno);
  }
  return Status::Ok();
}

Status Failed(std::string_view what, const std::string& where, int error) {
  if (error == EADDRINUSE) {
    return Status::IoError("can't listen on " + where + ": another process uses the port");
  }
  return Status::FromErrno(std::string(what) + " " + where, error);
}

}  // namespace

Result<PortBinding> PortBinding::Bind(const std::string& host, uint16_t port, size_t sockets) {
  CHECK(sockets >= 1);
  Result<Address> parsed = ParseHost(host);
  if (!parsed.ok()) return parsed.status();
  Address address = parsed.value();
  PortBinding binding(host, port);
  for (size_t i = 0; i < sockets; ++i) {
    address.set_port(binding.port_);
    Socket s(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!s) return Status::FromErrno("socket", errno);
    // Connections of a previous run that linger in TIME_WAIT must not keep the port.
    RETURN_IF_ERROR(SetFlag(s.fd(), SOL_SOCKET, SO_REUSEADDR));
    if (i > 0) RETURN_IF_ERROR(SetFlag(s.fd(), SOL_SOCKET, SO_REUSEPORT));
    if (address.storage.ss_family == AF_INET6) {
      RETURN_IF_ERROR(SetFlag(s.fd(), IPPROTO_IPV6, IPV6_V6ONLY));
    }
    if (::bind(s.fd(), address.get(), address.size) != 0) {
      return Failed("bind", FormatAddress(address.get()), errno);
    }
    if (binding.port_ == 0) {
      Address bound;
      bound.size = sizeof bound.storage;
      if (getsockname(s.fd(), bound.get(), &bound.size) != 0) {
        return Status::FromErrno("getsockname", errno);
      }
      binding.port_ = bound.port();
    }
    binding.sockets_.push_back(std::move(s));
  }
  return binding;
}

Status PortBinding::Listen(int backlog) {
  CHECK(backlog >= 1 && taken_ == 0);
  for (size_t i = 0; i < sockets_.size(); ++i) {
    const int fd = sockets_[i].fd();
    if (::listen(fd, backlog) != 0) {
      return Failed("listen", LocalAddress(fd), errno);
    }
    // The first listens alone by now; the others may join it.
    if (i == 0 && sockets_.size() > 1) {
      RETURN_IF_ERROR(SetFlag(fd, SOL_SOCKET, SO_REUSEPORT));
    }
  }
  return Status::Ok();
}

Socket PortBinding::Take() {
  CHECK(taken_ < sockets_.size());
  return std::move(sockets_[taken_++]);
}

Listener::Listener(EventLoop* loop, Socket socket, AcceptCallback callback)
    : loop_(loop),
      socket_(std::move(socket)),
      callback_(std::make_shared<AcceptCallback>(std::move(callback))),
      poll_(new uv_poll_t),
      retry_(loop) {
  CHECK(loop_->InLoopThread() && socket_);
  CHECK(uv_poll_init(loop_->uv(), poll_, socket_.fd()) == 0);
  poll_->data = this;
  Watch();
}

Listener::~Listener() {
  poll_->data = nullptr;
  // Before the descriptor is closed: libuv takes it out of the poll set here.
  uv_close(reinterpret_cast<uv_handle_t*>(poll_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
}

void Listener::Pause() {
  paused_ = true;
  Watch();
}

void Listener::Resume() {
  paused_ = false;
  Watch();
}

void Listener::Watch() {
  if (paused_ || resting_) {
    uv_poll_stop(poll_);
    return;
  }
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    // An error condition is reported by accept itself.
    static_cast<Listener*>(handle->data)->OnReadable();
  });
}

void Listener::OnReadable() {
  loop_->EnterTurn();
  // The callback may destroy this object, and with it callback_. The handle lives until libuv's
  // close callback and no longer points here then.
  const std::shared_ptr<AcceptCallback> callback = callback_;
  const uv_poll_t* const handle = poll_;
  for (int i = 0; i < kAcceptsPerTurn && !paused_ && !resting_; ++i) {
    Socket accepted(::accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted) {
      failing_ = false;
      (*callback)(std::move(accepted));
      if (handle->data == nullptr) return;
      continue;
    }
    const int error = errno;
    if (error == EAGAIN) break;
    AcceptFailed(error);
  }
}

void Listener::AcceptFailed(int error) {
  switch (error) {
    // Linux passes on what happened to the connection that was to be accepted: the next one may
    // be fine.
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
      return;
    default:
      break;
  }
  // Descriptors or memory ran out. The connection stays in the backlog, so polling on would spin.
  ++accept_errors_;
  if (!std::exchange(failing_, true)) {
    LogWarning("accepting connections fails: {}; trying again every {} ms", std::strerror(error),
               kRetryMs);
  }
  resting_ = true;
  Watch();
  retry_.Start(kRetryMs, 0, [this] {
    resting_ = false;
    Watch();
  });
}

}  // namespace holdfast::net
