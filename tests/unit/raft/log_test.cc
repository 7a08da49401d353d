#include "raft/log.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

Entry MakeEntry(uint64_t index, uint64_t term, size_t size) {
  return {.term = term,
          .index = index,
          .kind = EntryKind::kData,
          .payload = std::make_shared<const std::string>(size, 'x')};
}

// The same log as plain as it can be: all entries in a vector, searched from end to end.
struct Model {
  LogPosition base;
  std::vector<Entry> entries;

  uint64_t last_index() const { return base.index + entries.size(); }
  uint64_t TermAt(uint64_t index) const {
    return index == base.index ? base.term : entries[index - base.index - 1].term;
  }
  uint64_t LastAtMostTerm(uint64_t index, uint64_t term) const {
    while (index > base.index && TermAt(index) > term) --index;
    return index;
  }
  uint64_t IndexWithin(uint64_t bytes) const {
    uint64_t index = base.index;
    while (BytesAfter(index) > bytes) ++index;
    return index;
  }
  uint64_t BytesAfter(uint64_t after) const {
    uint64_t bytes = 0;
    for (const Entry& entry : entries) {
      if (entry.index > after) bytes += 64 + entry.payload->size();
    }
    return bytes;
  }
};

void Compare(const Log& log, const Model& model, Rng* rng) {
  REQUIRE(log.first_index() == model.base.index + 1);
  REQUIRE(log.last_index() == model.last_index());
  REQUIRE(log.base() == model.base);
  REQUIRE(log.last() == LogPosition{model.last_index(), model.TermAt(model.last_index())});
  REQUIRE(log.bytes() == model.BytesAfter(0));
  for (const Entry& entry : model.entries) {
    REQUIRE(log.EntryAt(entry.index).index == entry.index);
    REQUIRE(log.EntryAt(entry.index).term == entry.term);
    REQUIRE(log.EntryAt(entry.index).payload == entry.payload);
    REQUIRE(log.Contains({entry.index, entry.term}));
    REQUIRE_FALSE(log.Contains({entry.index, entry.term + 1}));
  }
  REQUIRE_FALSE(log.Contains({model.last_index() + 1, model.TermAt(model.last_index())}));
  if (model.base.index > 0) REQUIRE_FALSE(log.Contains({model.base.index - 1, model.base.term}));
  const uint64_t index = model.base.index + rng->Below(model.entries.size() + 1);
  const uint64_t term = rng->Below(model.TermAt(model.last_index()) + 2);
  REQUIRE(log.LastAtMostTerm(index, term) == model.LastAtMostTerm(index, term));
  REQUIRE(log.BytesAfter(index) == model.BytesAfter(index));
  const uint64_t bytes = rng->Below(model.BytesAfter(0) + 100);
  REQUIRE(log.IndexWithin(bytes) == model.IndexWithin(bytes));
}

TEST_CASE("raft log: random appends, truncations, compactions and resets match a plain vector") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const LogPosition base = seed % 2 == 0 ? LogPosition{0, 0} : LogPosition{100, 3};
    Log log(base);
    Model model{.base = base, .entries = {}};
    uint64_t term = base.term + 1;
    for (int step = 0; step < 400; ++step) {
      switch (rng.Below(6)) {
        case 0:
          if (!model.entries.empty()) {
            const uint64_t from = model.base.index + 1 + rng.Below(model.entries.size());
            log.TruncateFrom(from);
            model.entries.resize(from - model.base.index - 1);
          }
          break;
        case 1: {
          const uint64_t through = model.base.index + rng.Below(model.entries.size() + 1);
          log.CompactThrough(through);
          const LogPosition to{through, model.TermAt(through)};
          model.entries.erase(
              model.entries.begin(),
              model.entries.begin() + static_cast<std::ptrdiff_t>(through - model.base.index));
          model.base = to;
          break;
        }
        case 2:
          if (rng.Chance(1, 10)) {
            model = {.base = {model.last_index() + rng.Below(100), ++term}, .entries = {}};
            log.Reset(model.base);
          }
          break;
        default:
          term += rng.Below(10) == 0 ? 1 : 0;
          for (uint64_t n = rng.Below(40); n > 0; --n) {
            const Entry entry = MakeEntry(model.last_index() + 1, term, rng.Below(50));
            log.Append(entry);
            model.entries.push_back(entry);
          }
      }
      Compare(log, model, &rng);
    }
  }
}

TEST_CASE("raft log: an entry that leaves lets go of its payload") {
  Log log({0, 0});
  std::vector<std::weak_ptr<const std::string>> payloads;
  for (uint64_t i = 1; i <= 10; ++i) {
    const Entry entry = MakeEntry(i, 1, 100);
    payloads.push_back(entry.payload);
    log.Append(entry);
  }
  log.TruncateFrom(8);
  log.CompactThrough(3);
  for (uint64_t i = 1; i <= 10; ++i) {
    CHECK(payloads[i - 1].expired() == (i <= 3 || i >= 8));
  }
}

TEST_CASE("raft log: appending and compacting in step keeps the ring; a burst is given back") {
  Log log({0, 0});
  uint64_t index = 0;
  for (int i = 0; i < 100000; ++i) log.Append(MakeEntry(++index, 1, 1));
  CHECK(log.bytes() == 100000 * 65);
  log.CompactThrough(index - 1);
  // One halving per compaction; nothing is lost on the way down.
  for (int i = 0; i < 40; ++i) {
    log.Append(MakeEntry(++index, 2, 7));
    log.CompactThrough(index - 1);
    REQUIRE(log.EntryAt(index).payload->size() == 7);
  }
  CHECK(log.bytes() == 71);
}

}  // namespace
}  // namespace holdfast::raft
