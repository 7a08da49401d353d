#include "raft/read_queue.h"

#include <deque>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

TEST_CASE("raft read queue: it is a bounded queue") {
  Rng rng(3);
  ReadQueue queue(5);
  std::deque<uint64_t> model;
  uint64_t round = 0;
  for (int i = 0; i < 10000; ++i) {
    if (rng.Chance(1, 2) && model.size() < 5) {
      round += 1 + rng.Below(3);
      queue.Push(round);
      model.push_back(round);
    } else if (!model.empty()) {
      CHECK(queue.Pop() == model.front());
      model.pop_front();
    }
    REQUIRE(queue.empty() == model.empty());
    REQUIRE(queue.full() == (model.size() == 5));
    if (!model.empty()) {
      REQUIRE(queue.front() == model.front());
      REQUIRE(queue.back() == model.back());
    }
  }
}

}  // namespace
}  // namespace holdfast::raft
