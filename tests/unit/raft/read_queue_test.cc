#include "raft/read_queue.h"

#include <deque>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

TEST_CASE("raft read queue: it is a bounded queue") {
  Rng rng(3);
  ReadQueue queue(40);
  std::deque<uint64_t> model;
  uint64_t round = 0;
  for (int i = 0; i < 10000; ++i) {
    if (rng.Chance(i / 100 % 2 == 0 ? 3 : 1, 4) && model.size() < 40) {
      round += 1 + rng.Below(3);
      queue.Push({.round = round, .asker = round + 1, .asked = round + 2});
      model.push_back(round);
    } else if (!model.empty()) {
      const WaitingRead read = queue.Pop();
      CHECK(read.round == model.front());
      CHECK(read.asker == read.round + 1);
      CHECK(read.asked == read.round + 2);
      model.pop_front();
    }
    REQUIRE(queue.empty() == model.empty());
    REQUIRE(queue.full() == (model.size() == 40));
    if (!model.empty()) {
      REQUIRE(queue.front().round == model.front());
      REQUIRE(queue.back().round == model.back());
    }
  }
}

}  // namespace
}  // namespace holdfast::raft
