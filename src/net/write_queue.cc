#include "net/write_queue.h"

#include <sys/uio.h>

#include <utility>

#include "base/check.h"

namespace holdfast::net {

void WriteQueue::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  bytes_ += bytes.size();
  // Never beyond the chunk's capacity: growing would copy what is already there.
  if (head_ < chunks_.size()) {
    std::string& last = chunks_.back();
    if (last.capacity() - last.size() >= bytes.size()) {
      last.append(bytes);
      return;
    }
  }
  std::string chunk;
  // A piece that fills a chunk by itself gets exactly its own size.
  chunk.reserve(bytes.size() < kChunkBytes / 2 && !chunks_.empty() ? kChunkBytes : bytes.size());
  chunk.append(bytes);
  chunks_.push_back(std::move(chunk));
}

void WriteQueue::AppendOwned(std::string bytes, size_t offset) {
  CHECK(offset <= bytes.size());
  if (bytes.size() - offset < kCopyBytes) {
    Append(std::string_view(bytes).substr(offset));
    return;
  }
  // An offset can be kept for the first chunk only; callers have one only with an empty queue.
  CHECK(offset == 0 || empty());
  if (empty()) head_offset_ = offset;
  bytes_ += bytes.size() - offset;
  chunks_.push_back(std::move(bytes));
}

int WriteQueue::Front(iovec* parts, int max) const {
  int n = 0;
  size_t offset = head_offset_;
  for (size_t i = head_; i < chunks_.size() && n < max; ++i, ++n) {
    parts[n].iov_base = const_cast<char*>(chunks_[i].data()) + offset;
    parts[n].iov_len = chunks_[i].size() - offset;
    offset = 0;
  }
  return n;
}

void WriteQueue::Consume(size_t n) {
  CHECK(n <= bytes_);
  bytes_ -= n;
  if (bytes_ == 0) {
    Clear();
    return;
  }
  while (n > 0) {
    const size_t rest = chunks_[head_].size() - head_offset_;
    if (n < rest) {
      head_offset_ += n;
      break;
    }
    n -= rest;
    std::string().swap(chunks_[head_++]);
    head_offset_ = 0;
  }
  // Spent entries are dropped once they are the larger part: each is moved over at most once.
  if (head_ > 64 && head_ > chunks_.size() / 2) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

void WriteQueue::Clear() {
  std::vector<std::string>().swap(chunks_);
  head_ = 0;
  head_offset_ = 0;
  bytes_ = 0;
}

}  // namespace holdfast::net
