#include "engine/gate.h"

#include <algorithm>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("a gate queue opens exactly what is open, against a list") {
  Rng rng(11);
  GateQueue queue;
  struct Entry {
    Gate gate;
    uint64_t client;
  };
  std::vector<Entry> model;
  uint64_t commit = 0;
  uint64_t round = 0;
  uint64_t next_client = 1;
  for (int step = 0; step < 50'000; ++step) {
    if (rng.Chance(2, 3)) {
      Gate gate{rng.Chance(1, 2) ? commit + rng.Below(20) : 0,
                rng.Chance(1, 2) ? round + rng.Below(5) : 0};
      if (gate.index <= commit && gate.round <= round) continue;
      GateQueue::Item item;
      item.gate = gate;
      item.client = next_client;
      queue.Add(std::move(item), commit, round);
      model.push_back({gate, next_client++});
      continue;
    }
    commit += rng.Below(4);
    round += rng.Below(2);
    std::vector<GateQueue::Item> open;
    queue.TakeOpen(commit, round, &open);
    for (const GateQueue::Item& item : open) {
      const auto it = std::find_if(model.begin(), model.end(),
                                   [&](const Entry& e) { return e.client == item.client; });
      REQUIRE(it != model.end());
      REQUIRE(it->gate.index <= commit);
      REQUIRE(it->gate.round <= round);
      model.erase(it);
    }
    for (const Entry& entry : model) {
      REQUIRE((entry.gate.index > commit || entry.gate.round > round));
    }
    REQUIRE(queue.size() == model.size());
  }
  std::vector<GateQueue::Item> rest;
  queue.TakeAll(&rest);
  CHECK(rest.size() == model.size());
  CHECK(queue.size() == 0);
}

}  // namespace
}  // namespace holdfast::engine
