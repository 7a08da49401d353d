#include "data/sorted_set_object.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

using Scores = std::map<std::string, double>;
using Ordered = std::vector<std::pair<double, std::string>>;

// In the order of a sorted set.
Ordered InOrder(const Scores& scores) {
  Ordered ordered;
  for (const auto& [member, score] : scores) ordered.emplace_back(score, member);
  std::sort(ordered.begin(), ordered.end());
  return ordered;
}

Ordered ReadOut(const SortedSetObject& set, uint64_t rank, bool backwards) {
  Ordered found;
  set.Walk(rank, backwards, [&found](const SortedSetObject::Member& member) {
    found.emplace_back(member.score, member.name);
    return true;
  });
  return found;
}

void CompareRanks(const SortedSetObject& set, const Scores& model, Rng* rng) {
  const Ordered ordered = InOrder(model);
  REQUIRE(ReadOut(set, 0, false) == ordered);
  if (ordered.empty()) return;
  const size_t rank = rng->Below(ordered.size());
  const auto split = ordered.begin() + static_cast<ptrdiff_t>(rank);
  REQUIRE(ReadOut(set, rank, false) == Ordered(split, ordered.end()));
  Ordered backwards(ordered.begin(), split + 1);
  std::reverse(backwards.begin(), backwards.end());
  REQUIRE(ReadOut(set, rank, true) == backwards);
  REQUIRE(set.Rank(split->second) == rank);
  const double bound = split->first;
  const uint64_t below = set.CountBefore(
      [bound](const SortedSetObject::Member& member) { return member.score < bound; });
  REQUIRE(below == static_cast<uint64_t>(std::lower_bound(ordered.begin(), ordered.end(),
                                                          std::pair(bound, std::string())) -
                                         ordered.begin()));
  REQUIRE(model.contains(std::string(set.Random(rng).name)));
}

TEST_CASE("a sorted set behaves like a map in the order of its values, small and large") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    EncodingLimits limits;
    limits.sorted_set_entries = 20;
    limits.sorted_set_bytes = 16;
    SortedSetObject set({seed, &limits});
    Scores model;
    bool large = false;
    for (int step = 0; step < 3000; ++step) {
      const std::string member = rng.Chance(1, 100)   ? std::string()
                                 : rng.Chance(1, 800) ? std::string(100, 'x')
                                                      : "m" + std::to_string(rng.Below(30 * seed));
      if (rng.Chance(2, 5)) {
        REQUIRE(set.Delete(member) == (model.erase(member) == 1));
      } else {
        const double score = rng.Chance(1, 2) ? static_cast<double>(rng.Below(10)) - 5
                                              : static_cast<double>(rng.Below(1000)) / 7;
        set.Put(member, SortedSetObject::EncodeScore(score));
        model[member] = score;
        large |= model.size() > 20 || member.size() > 16;
      }
      REQUIRE(set.size() == model.size());
      REQUIRE(set.encoding() == (large ? "skiplist" : "listpack"));
      const std::optional<double> score = set.Score(member);
      REQUIRE(score.has_value() == model.contains(member));
      REQUIRE(set.Rank(member).has_value() == model.contains(member));
      if (score.has_value()) REQUIRE(*score == model[member]);
      if (step % 100 == 0) CompareRanks(set, model, &rng);
    }
    uint64_t size;
    REQUIRE(DecodeCount(set.Head(), &size));
    REQUIRE(size == model.size());
    while (!model.empty()) {
      REQUIRE(set.Delete(model.begin()->first));
      model.erase(model.begin());
      if (model.size() % 16 == 0) CompareRanks(set, model, &rng);
    }
    REQUIRE(set.size() == 0);
  }
}

TEST_CASE("scores keep every bit, small and large") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> scores = {0,
                                      -0.0,
                                      1,
                                      -1,
                                      63,
                                      -64,
                                      4503599627370495,
                                      4503599627370496,
                                      4503599627370497,
                                      -4503599627370496,
                                      9007199254740994,
                                      1e17,
                                      0.1,
                                      -0.1,
                                      1e-310,
                                      1.7e308,
                                      infinity,
                                      -infinity};
  for (const size_t entries : {size_t{100}, size_t{0}}) {
    EncodingLimits limits;
    limits.sorted_set_entries = entries;
    SortedSetObject set({1, &limits});
    for (size_t i = 0; i < scores.size(); ++i) {
      set.Put("m" + std::to_string(i), SortedSetObject::EncodeScore(scores[i]));
    }
    for (size_t i = 0; i < scores.size(); ++i) {
      const std::optional<double> score = set.Score("m" + std::to_string(i));
      REQUIRE(score.has_value());
      CHECK(*score == scores[i]);
      CHECK(std::signbit(*score) == std::signbit(scores[i]));
    }
  }
}

TEST_CASE("a record without a score is no member of a sorted set") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto check = [](std::string_view score) {
    return CheckElement(ObjectType::kSortedSet, "member", score).ok();
  };
  CHECK(check(SortedSetObject::EncodeScore(1.5)));
  CHECK(check(SortedSetObject::EncodeScore(-std::numeric_limits<double>::infinity())));
  CHECK_FALSE(check(SortedSetObject::EncodeScore(nan)));
  CHECK_FALSE(check(SortedSetObject::EncodeScore(-nan)));
  CHECK_FALSE(check(""));
  CHECK_FALSE(check("1.5"));
  CHECK_FALSE(check(SortedSetObject::EncodeScore(1) + "x"));
}

TEST_CASE("a scan of a large sorted set returns what is there all along") {
  SortedSetObject set({77, nullptr});
  const auto put = [&set](const std::string& member, double score) {
    set.Put(member, SortedSetObject::EncodeScore(score));
  };
  for (int i = 0; i < 5000; ++i) put("stays:" + std::to_string(i), i);
  Rng rng(3);
  std::set<std::string> seen;
  uint64_t cursor = 0;
  int n = 0;
  do {
    cursor = set.Scan(
        cursor, 10, [&seen](const SortedSetObject::Member& member) { seen.emplace(member.name); });
    for (int i = 0; i < 20; ++i) put("comes:" + std::to_string(n++), i);
    for (int i = 0; i < 19; ++i) set.Delete("comes:" + std::to_string(rng.Below(n)));
  } while (cursor != 0);
  for (int i = 0; i < 5000; ++i) REQUIRE(seen.contains("stays:" + std::to_string(i)));
}

}  // namespace
}  // namespace holdfast::data
