#include "replica/replay.h"

#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

storage::WalRecord Entry(uint32_t partition, uint64_t term, uint64_t index,
                         std::string_view payload = "p") {
  storage::WalRecord record;
  record.kind = storage::WalKind::kData;
  record.partition = partition;
  record.term = term;
  record.index = index;
  record.payload = payload;
  return record;
}

TEST_CASE("entries above the applied index are kept, the others skipped") {
  LogReplay replay(7, {{2, 1}, {0, 0}});
  for (uint64_t index = 1; index <= 4; ++index) {
    CHECK(replay.Take(Entry(0, 1, index)).ok());
  }
  CHECK(replay.Take(Entry(1, 1, 1)).ok());
  const auto groups = replay.Finish({{0, {5, 7}}});
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].applied.index == 2);
  REQUIRE(groups[0].entries.size() == 2);
  CHECK(groups[0].entries[0].index == 3);
  CHECK(*groups[0].entries[0].payload == "p");
  CHECK(groups[0].hard_state.term == 5);
  CHECK(groups[0].hard_state.voted_for == 7);
  CHECK(groups[0].membership.voters == std::vector<raft::NodeId>{7});
  CHECK(groups[1].entries.size() == 1);
  CHECK(groups[1].hard_state.term == 0);
}

TEST_CASE("an entry replaces everything at and behind its index") {
  LogReplay replay(7, {{0, 0}});
  for (uint64_t index = 1; index <= 5; ++index) CHECK(replay.Take(Entry(0, 1, index)).ok());
  CHECK(replay.Take(Entry(0, 2, 3, "new")).ok());
  const auto groups = replay.Finish({});
  REQUIRE(groups[0].entries.size() == 3);
  CHECK(groups[0].entries[2].term == 2);
  CHECK(*groups[0].entries[2].payload == "new");
}

TEST_CASE("a gap, an unknown partition and a reset beyond the store are refused") {
  LogReplay gap(7, {{3, 1}});
  CHECK_FALSE(gap.Take(Entry(0, 1, 5)).ok());
  LogReplay unknown(7, {{0, 0}});
  CHECK_FALSE(unknown.Take(Entry(1, 1, 1)).ok());
  LogReplay reset(7, {{3, 1}});
  storage::WalRecord record;
  record.kind = storage::WalKind::kReset;
  record.term = 1;
  record.index = 4;
  CHECK_FALSE(reset.Take(record).ok());
  record.index = 3;
  CHECK(reset.Take(record).ok());
  CHECK(reset.Take(Entry(0, 1, 4)).ok());
}

}  // namespace
}  // namespace holdfast::replica
