// Reads that wait at a partition which follows: for connections that asked for that (READONLY).
//
//     Add ──▶ its round ──Confirm──▶ the index that the leader named ──TakeServable──▶ execute here
//
// Or somebody who reads nothing, and only wants this node to know by then what has changed
// (tracking.h).
//
// The leader has confirmed after the round had started, and so after the read had arrived, that it
// leads and that everything up to the index was committed by then. A state that contains all of
// that shows the read every write that was acknowledged before it (DESIGN.md §2 rule 3).
//
// In the order of arrival. Loop thread of the partition's core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/blocking.h"

namespace holdfast::engine {

struct FollowerRead {
  BlockedRequest request;
  absl::AnyInvocable<void()> then;  // instead of a request when set: called
};

class FollowerReads {
 public:
  static constexpr size_t kMaxReads = 8192;
  static constexpr size_t kMaxBytes = size_t{8} << 20;

  bool empty() const { return waiting_.empty(); }
  bool full() const { return waiting_.size() >= kMaxReads || bytes_ >= kMaxBytes; }

  // REQUIRES: `round` is not smaller than those before, and larger than every confirmed one.
  void Add(uint64_t round, FollowerRead read);
  // Reads of `round` and of those before wait for nothing but a state that ends at `index` or
  // behind it.
  void Confirm(uint64_t round, uint64_t index);
  // The next read that a state with all entries up to `applied` may answer.
  std::optional<FollowerRead> TakeServable(uint64_t applied);
  // Takes out what this client still waits for.
  std::vector<BlockedRequest> TakeAllOf(const ReplyAddress& client);
  std::vector<FollowerRead> TakeAll();

 private:
  struct Waiting {
    uint64_t round = 0;
    std::optional<uint64_t> index;
    FollowerRead read;
  };
  std::deque<Waiting> waiting_;
  size_t bytes_ = 0;  // of arguments
};

}  // namespace holdfast::engine
