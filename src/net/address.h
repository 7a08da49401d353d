// Numeric addresses. Names aren't resolved: a lookup blocks, and libuv's would use its process-wide
// thread pool (PITFALLS P45). Any thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/status.h"

namespace holdfast::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
};

// "10.0.0.1", "::1", "fe80::1%eth0"; the port is 0. InvalidArgument for everything else.
Result<Address> ParseHost(const std::string& host);
// "10.0.0.1:7379", "[::1]:7379". InvalidArgument for everything else, port 0 included.
Result<Address> ParseAddress(const std::string& address);

}  // namespace holdfast::net
