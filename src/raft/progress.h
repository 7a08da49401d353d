// What a leader knows about one follower's log, and what it may send to it: a small state machine.
//
//               an append is accepted
//      probe ──────────────────────────> pipeline
//        ^                                  │
//      │ ^└──────────────────────────────────┘
//      │ │      an append is rejected           ^
//      │ │ the sending ended                    │ the follower tells by itself that it
//      v │                                      │ has what was compacted
//     snapshot ─────────────────────────────────┘
//
// probe: where the logs agree is a guess. One append at a time, answered or asked again after a
// heartbeat's answer, each rejection moving the guess down (PITFALLS P18).
// pipeline: the logs agree up to `match`; appends are sent ahead of their answers, up to the
// limits.
// snapshot: the follower needs what is compacted. Nothing is sent, the caller moves a snapshot.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/types.h"

namespace holdfast::raft {

// Loop thread of the owning core only.
class Progress {
 public:
  enum class State : uint8_t { kProbe, kPipeline, kSnapshot };

  // A follower of which nothing is known, guessed to hold everything before `next`.
  Progress(uint64_t next, uint32_t max_inflight_appends, uint64_t max_inflight_bytes);

  State state() const { return state_; }
  // The last entry known to be durable on the follower and equal to the leader's.
  uint64_t match() const { return match_; }
  // The next entry to send; match() < next().
  uint64_t next() const { return next_; }
  uint32_t inflight_appends() const { return static_cast<uint32_t>(count_); }
  uint64_t inflight_bytes() const { return inflight_bytes_; }

  // Whether another append with entries may leave now.
  bool CanSend() const;
  // An append with the entries [next(), last] of `bytes` left. REQUIRES: CanSend(), last >= next().
  void Sent(uint64_t last, uint64_t bytes);
  // An append without entries left, to find out whether next() - 1 agrees.
  void SentEmpty() { probe_is_out_ = state_ == State::kProbe; }

  // The follower holds the leader's entries up to `index`, durably. True when match() moved.
  bool Accepted(uint64_t index);
  // The follower does not have the entry at `refused`; the logs can agree up to `agree` < refused
  // at best. False when the answer is old and nothing changed.
  bool Rejected(uint64_t refused, uint64_t agree);
  // What is before `next` can't be sent any more: the follower is asked whether it has it.
  // REQUIRES: next > next().
  void GuessAgain(uint64_t next) { BecomeProbe(next); }
  // Only a snapshot helps, because everything up to `compacted` is gone. REQUIRES: next() <=
  // compacted.
  void BecomeSnapshot(uint64_t compacted);
  // The snapshot has arrived and ends at `index`; 0: it has not. Does nothing in other states.
  void SnapshotEnded(uint64_t index);
  // The last entry that need not be kept for this follower.
  uint64_t dispensable() const { return state_ == State::kSnapshot ? compacted_ : match_; }
  // The follower is there, so an unanswered probe was lost: it may be sent again.
  void Alive() { probe_is_out_ = false; }

 private:
  struct Inflight {
    uint64_t last = 0;
    uint64_t bytes = 0;
  };

  void BecomeProbe(uint64_t next);
  void BecomePipeline();
  void FreeInflightThrough(uint64_t index);

  State state_ = State::kProbe;
  uint64_t match_ = 0;
  uint64_t next_;
  bool probe_is_out_ = false;
  uint64_t compacted_ = 0;  // as the snapshot was asked for

  // Appends of the pipeline that are not answered, oldest first: a ring of fixed size.
  std::vector<Inflight> inflight_;
  uint64_t max_inflight_bytes_;
  size_t head_ = 0;
  size_t count_ = 0;
  uint64_t inflight_bytes_ = 0;
};

}  // namespace holdfast::raft
