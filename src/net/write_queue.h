// Output that waits for its socket. One thread. An empty queue holds no memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

struct iovec;

namespace holdfast::net {

class WriteQueue {
 public:
  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }

  // Small pieces are gathered in chunks, so that a long queue isn't a queue of tiny strings.
  void Append(std::string_view bytes);
  // Takes the string over, from byte `offset` on.
  void AppendOwned(std::string bytes, size_t offset);
  // Describes the front of the queue in at most `max` parts; returns how many.
  int Front(iovec* parts, int max) const;
  // Drops `n` <= bytes() bytes from the front.
  void Consume(size_t n);
  void Clear();

 private:
  // A chunk is filled up to this size by appended pieces.
  static constexpr size_t kChunkBytes = 16 * 1024;
  // An owned string shorter than this is cheaper to copy into the last chunk.
  static constexpr size_t kCopyBytes = 512;

  std::vector<std::string> chunks_;  // those before head_ are spent
  size_t head_ = 0;
  size_t head_offset_ = 0;  // bytes of chunks_[head_] that are gone
  size_t bytes_ = 0;
};

}  // namespace holdfast::net
