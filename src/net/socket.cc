#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::net {

void Socket::Close() {
  // Not repeated after EINTR: Linux has released the descriptor by then.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string FormatAddress(const sockaddr* address) {
  char host[INET6_ADDRSTRLEN];
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  return "?:0";
}

namespace {

std::string AddressOf(int fd, int (*which)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (which(fd, generic, &size) != 0) return "?:0";
  return FormatAddress(generic);
}

}  // namespace

std::string PeerAddress(int fd) { return AddressOf(fd, ::getpeername); }
std::string LocalAddress(int fd) { return AddressOf(fd, ::getsockname); }

}  // namespace holdfast::net
