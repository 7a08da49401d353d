// The read rounds of a leader that wait for their confirmation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace holdfast::raft {

// Rounds in ascending order; the oldest leave first. A ring of fixed size, so that it is bounded
// and allocates once.
class ReadQueue {
 public:
  explicit ReadQueue(size_t max_rounds) : max_rounds_(max_rounds) { CHECK(max_rounds > 0); }

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == max_rounds_; }
  // REQUIRES: !empty()
  uint64_t front() const {
    CHECK(!empty());
    return rounds_[head_];
  }
  uint64_t back() const {
    CHECK(!empty());
    return rounds_[(head_ + count_ - 1) % max_rounds_];
  }

  // REQUIRES: !full(), `round` larger than all that wait.
  void Push(uint64_t round) {
    CHECK(!full());
    CHECK(empty() || round > back());
    if (rounds_.empty()) rounds_.resize(max_rounds_);
    rounds_[(head_ + count_) % max_rounds_] = round;
    ++count_;
  }
  // REQUIRES: !empty()
  uint64_t Pop() {
    const uint64_t round = front();
    head_ = (head_ + 1) % max_rounds_;
    --count_;
    return round;
  }

 private:
  const size_t max_rounds_;
  std::vector<uint64_t> rounds_;  // empty until the first round has to wait
  size_t head_ = 0;
  size_t count_ = 0;
};

}  // namespace holdfast::raft
