#include "raft/progress.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::raft {

Progress::Progress(uint64_t next, uint32_t max_inflight_appends, uint64_t max_inflight_bytes)
    : next_(next), inflight_(max_inflight_appends), max_inflight_bytes_(max_inflight_bytes) {
  CHECK(next > 0 && max_inflight_appends > 0);
}

bool Progress::CanSend() const {
  if (state_ == State::kSnapshot) return false;
  if (state_ == State::kProbe) return !probe_is_out_;
  // The bytes may be exceeded by the one append that reaches the limit, so that an entry larger
  // than the limit can be sent at all.
  return count_ < inflight_.size() && inflight_bytes_ < max_inflight_bytes_;
}

void Progress::Sent(uint64_t last, uint64_t bytes) {
  CHECK(CanSend() && last >= next_);
  if (state_ == State::kProbe) {
    // next_ stays: the guess is what the answer is about.
    probe_is_out_ = true;
    return;
  }
  inflight_[(head_ + count_) % inflight_.size()] = {.last = last, .bytes = bytes};
  ++count_;
  inflight_bytes_ += bytes;
  next_ = last + 1;
}

bool Progress::Accepted(uint64_t index) {
  const bool moved = index > match_;
  match_ = std::max(match_, index);
  next_ = std::max(next_, match_ + 1);
  if (state_ == State::kPipeline) {
    FreeInflightThrough(index);
  } else if (state_ == State::kSnapshot) {
    if (match_ >= compacted_) BecomePipeline();
  } else if (index + 1 >= next_) {
    // It answers the probe under way, or tells more than that.
    BecomePipeline();
  }
  return moved;
}

bool Progress::Rejected(uint64_t refused, uint64_t agree) {
  CHECK(agree < refused);
  if (state_ == State::kSnapshot) return false;
  if (state_ == State::kPipeline) {
    // What is known to match can't be refused by an answer that is newer than that knowledge.
    if (refused <= match_) return false;
  } else if (refused != next_ - 1) {
    return false;  // an answer to an earlier guess
  }
  BecomeProbe(std::max(agree, match_) + 1);
  return true;
}

void Progress::BecomeSnapshot(uint64_t compacted) {
  CHECK(next_ <= compacted);
  BecomeProbe(match_ + 1);
  state_ = State::kSnapshot;
  compacted_ = compacted;
}

void Progress::SnapshotEnded(uint64_t index) {
  if (state_ == State::kSnapshot) BecomeProbe(std::max(index, match_) + 1);
}

void Progress::BecomeProbe(uint64_t next) {
  CHECK(next > match_);
  state_ = State::kProbe;
  next_ = next;
  probe_is_out_ = false;
  head_ = 0;
  count_ = 0;
  inflight_bytes_ = 0;
}

void Progress::BecomePipeline() {
  state_ = State::kPipeline;
  probe_is_out_ = false;
}

void Progress::FreeInflightThrough(uint64_t index) {
  while (count_ > 0 && inflight_[head_].last <= index) {
    inflight_bytes_ -= inflight_[head_].bytes;
    head_ = (head_ + 1) % inflight_.size();
    --count_;
  }
}

}  // namespace holdfast::raft
