// An owned socket descriptor that belongs to no loop, so that it can be handed to any thread.
#pragma once

#include <string>
#include <utility>

struct sockaddr;

namespace holdfast::net {

// Closes the descriptor unless it was released. Any one thread at a time.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { Close(); }
  Socket(Socket&& other) noexcept : fd_(other.Release()) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

// "10.0.0.1:6379" or "[::1]:6379"; "?:0" for an address of another family.
std::string FormatAddress(const sockaddr* address);
// The two ends of a socket in that form; "?:0" when the kernel has none.
std::string PeerAddress(int fd);
std::string LocalAddress(int fd);

}  // namespace holdfast::net
