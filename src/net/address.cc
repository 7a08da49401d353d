#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::net {

uint16_t Address::port() const {
  // At the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void Address::set_port(uint16_t port) {
  CHECK(family() == AF_INET || family() == AF_INET6);
  reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
}

Result<Address> ParseHost(const std::string& host) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  const Status malformed = Status::InvalidArgument("'" + host + "' is not an IPv4 or IPv6 address");
  // The calls below would see only what stands before it.
  if (host.empty() || host.find('\0') != std::string::npos) return malformed;
  // Not getaddrinfo: it takes "1.2.3" for an address.
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    address.size = sizeof *v4;
    return address;
  }
  addrinfo hints{};
  hints.ai_family = AF_INET6;
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // Knows interface names ("fe80::1%eth0"). Numeric only, so this asks no name server and doesn't
  // block.
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return malformed;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.size = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

Result<Address> ParseAddress(const std::string& address) {
  const Status malformed = Status::InvalidArgument(
      "'" + address + "' is not a numeric address with a port (10.0.0.1:7379, [::1]:7379)");
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return malformed;
  std::string host = address.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  uint64_t port = 0;
  if (!ParseUint64(std::string_view(address).substr(colon + 1), &port) || port == 0 ||
      port > UINT16_MAX) {
    return malformed;
  }
  Result<Address> parsed = ParseHost(host);
  if (!parsed.ok() || (parsed.value().family() == AF_INET6) != bracketed) return malformed;
  parsed.value().set_port(static_cast<uint16_t>(port));
  return parsed;
}

}  // namespace holdfast::net
