#include "data/score_tree.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

// A tree and a sorted set of the same entries, whose elements it owns.
class Pair {
 public:
  struct Before {
    bool operator()(const ScoreTree::Entry& a, const ScoreTree::Entry& b) const {
      return ScoreTree::Less(a, b);
    }
  };

  ~Pair() {
    for (const ScoreTree::Entry& entry : model) Free(entry);
  }

  void Insert(double score, const std::string& member) {
    const ScoreTree::Entry entry{score, Element::Create(member, {})};
    if (model.insert(entry).second) {
      tree.Insert(entry);
    } else {
      Free(entry);
    }
  }
  void EraseAt(size_t rank) {
    const auto it = std::next(model.begin(), static_cast<ptrdiff_t>(rank));
    tree.Erase(*it);
    Free(*it);
    model.erase(it);
  }
  // Every entry by rank, its rank by search, and both directions.
  void Compare() const {
    REQUIRE(tree.size() == model.size());
    const std::vector<ScoreTree::Entry> expected(model.begin(), model.end());
    size_t at = 0;
    tree.Walk(0, false, [&](const ScoreTree::Entry& entry) {
      REQUIRE(at < expected.size());
      REQUIRE(entry.element == expected[at++].element);
      return true;
    });
    REQUIRE(at == expected.size());
    if (!expected.empty()) {
      tree.Walk(expected.size() - 1, true, [&](const ScoreTree::Entry& entry) {
        REQUIRE(at > 0);
        REQUIRE(entry.element == expected[--at].element);
        return true;
      });
    }
    REQUIRE(at == 0);
    for (size_t i = 0; i < expected.size(); ++i) {
      REQUIRE(tree.At(i).element == expected[i].element);
      const uint64_t rank = tree.CountBefore(
          [&](const ScoreTree::Entry& entry) { return ScoreTree::Less(entry, expected[i]); });
      REQUIRE(rank == i);
    }
  }

  ScoreTree tree;
  std::set<ScoreTree::Entry, Before> model;

 private:
  static void Free(const ScoreTree::Entry& entry) {
    Element::Free(const_cast<Element*>(entry.element));
  }
};

TEST_CASE("a score tree behaves like a sorted set, growing, changing and shrinking") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Pair pair;
    const uint64_t scores = seed % 3 == 0 ? 4 : 100'000;
    const size_t most = seed % 2 == 0 ? 6000 : 400;
    for (int phase = 0; phase < 3; ++phase) {
      while (pair.model.size() < most) {
        pair.Insert(static_cast<double>(rng.Below(scores)), std::to_string(rng.Below(1'000'000)));
      }
      pair.Compare();
      for (size_t step = 0; step < most; ++step) {
        pair.EraseAt(rng.Below(pair.model.size()));
        pair.Insert(static_cast<double>(rng.Below(scores)), std::to_string(rng.Below(1'000'000)));
      }
      pair.Compare();
      // From the front, from the back, or anywhere.
      while (pair.model.size() > (phase == 2 ? 0 : most / 10)) {
        const size_t last = pair.model.size() - 1;
        pair.EraseAt(phase == 0 ? 0 : phase == 1 ? last : rng.Below(last + 1));
        if (pair.model.size() % 997 == 0) pair.Compare();
      }
      pair.Compare();
    }
  }
}

TEST_CASE("scores that only rise or fall, and a tree that is emptied leaf by leaf") {
  for (const bool rising : {true, false}) {
    Pair pair;
    const int n = static_cast<int>(ScoreTree::kLeafEntries * ScoreTree::kChildren * 3);
    for (int i = 0; i < n; ++i) pair.Insert(rising ? i : -i, "m");
    pair.Compare();
    // An entry takes 16 bytes; rising scores leave full leaves.
    if (rising) CHECK(pair.tree.MemoryBytes() < static_cast<size_t>(n) * 18);
    CHECK(pair.tree.MemoryBytes() < static_cast<size_t>(n) * 40);
    // Holes of a few leaves each.
    for (int hole = 0; hole < 20; ++hole) {
      for (size_t i = 0; i < ScoreTree::kLeafEntries * 4; ++i) {
        pair.EraseAt(static_cast<size_t>(hole) * 13);
      }
      pair.Compare();
    }
    while (!pair.model.empty()) pair.EraseAt(pair.model.size() / 2);
    pair.Compare();
    // All nodes but one are given back.
    CHECK(pair.tree.MemoryBytes() <= 2048);
  }
}

TEST_CASE("infinities, and zeros of both signs, have their places") {
  Pair pair;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double score : {infinity, -infinity, 0.0, 1e-300, -1e-300, 1e300}) {
    pair.Insert(score, "a");
  }
  pair.Insert(-0.0, "b");
  pair.Compare();
  CHECK(pair.tree.At(0).score == -infinity);
  CHECK(pair.tree.At(2).member() == "a");
  CHECK(pair.tree.At(3).member() == "b");
  CHECK(pair.tree.At(6).score == infinity);
}

}  // namespace
}  // namespace holdfast::data
