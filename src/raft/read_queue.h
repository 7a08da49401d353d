// The read rounds that wait for their confirmation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "raft/types.h"

namespace holdfast::raft {

// A leader's round, or one that a follower has asked its leader for.
struct WaitingRead {
  uint64_t round = 0;        // on the way between leader and followers
  NodeId asker = kNoNode;    // the follower that is waiting; kNoNode: the caller
  uint64_t asked = 0;        // its name for the asker
  uint64_t given_up_ms = 0;  // a follower's: when it gives up, of the time that it lived through
};

// Rounds in ascending order; the oldest leave first. A ring that grows up to its limit, so that it
// is bounded, and allocates nothing once it has its size.
class ReadQueue {
 public:
  explicit ReadQueue(size_t max_rounds) : max_rounds_(max_rounds) { CHECK(max_rounds > 0); }

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == max_rounds_; }
  // REQUIRES: !empty()
  const WaitingRead& front() const {
    CHECK(!empty());
    return ring_[head_];
  }
  const WaitingRead& back() const {
    CHECK(!empty());
    return ring_[(head_ + count_ - 1) % ring_.size()];
  }

  // REQUIRES: !full(), `read.round` larger than all that wait.
  void Push(const WaitingRead& read) {
    CHECK(!full());
    CHECK(empty() || read.round > back().round);
    if (count_ == ring_.size()) Grow();
    ring_[(head_ + count_) % ring_.size()] = read;
    ++count_;
  }
  // REQUIRES: !empty()
  WaitingRead Pop() {
    const WaitingRead read = front();
    head_ = (head_ + 1) % ring_.size();
    --count_;
    return read;
  }

 private:
  static constexpr size_t kMinCapacity = 16;

  void Grow() {
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(head_), ring_.end());
    head_ = 0;
    ring_.resize(std::min(max_rounds_, std::max(kMinCapacity, 2 * ring_.size())));
  }

  const size_t max_rounds_;
  std::vector<WaitingRead> ring_;
  size_t head_ = 0;
  size_t count_ = 0;
};

}  // namespace holdfast::raft
