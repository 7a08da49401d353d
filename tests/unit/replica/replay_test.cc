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
  LogReplay replay(std::vector<LogReplay::Stored>{{0, {2, 1}, {{7}, {}, {}}}, {1, {0, 0}, {}}});
  for (uint64_t index = 1; index <= 4; ++index) {
    CHECK(replay.Take(Entry(0, 1, index)).ok());
  }
  CHECK(replay.Take(Entry(1, 1, 1)).ok());
  const auto groups = replay.Finish({{0, {5, 7}}}).value();
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
  LogReplay replay(std::vector<LogReplay::Stored>{{0, {0, 0}, {}}});
  for (uint64_t index = 1; index <= 5; ++index) CHECK(replay.Take(Entry(0, 1, index)).ok());
  CHECK(replay.Take(Entry(0, 2, 3, "new")).ok());
  const auto groups = replay.Finish({}).value();
  REQUIRE(groups[0].entries.size() == 3);
  CHECK(groups[0].entries[2].term == 2);
  CHECK(*groups[0].entries[2].payload == "new");
}

TEST_CASE("a gap, an unknown partition and a reset beyond the store are refused") {
  LogReplay gap(std::vector<LogReplay::Stored>{{0, {3, 1}, {}}});
  CHECK(gap.Take(Entry(0, 1, 5)).ok());
  CHECK(gap.Finish({}).status().code() == Code::kCorruption);
  LogReplay hole(std::vector<LogReplay::Stored>{{0, {3, 1}, {}}});
  for (const uint64_t index : {4, 6, 7}) CHECK(hole.Take(Entry(0, 1, index)).ok());
  CHECK(hole.Finish({}).status().code() == Code::kCorruption);
  LogReplay unknown(std::vector<LogReplay::Stored>{{0, {0, 0}, {}}});
  CHECK_FALSE(unknown.Take(Entry(1, 1, 1)).ok());
  LogReplay reset(std::vector<LogReplay::Stored>{{0, {3, 1}, {}}});
  storage::WalRecord record;
  record.kind = storage::WalKind::kReset;
  record.term = 1;
  record.index = 4;
  CHECK_FALSE(reset.Take(record).ok());
  record.index = 3;
  CHECK(reset.Take(record).ok());
  CHECK(reset.Take(Entry(0, 1, 4)).ok());
}

// Found by the simulation of groups: a node did not start any more. The segment with the entries
// before 31 was removed, because all of them were applied or replaced.
TEST_CASE("P42 entries that nothing leads up to are void when later ones replace them") {
  LogReplay replay(std::vector<LogReplay::Stored>{{0, {28, 2}, {}}});
  CHECK(replay.Take(Entry(0, 2, 31)).ok());
  CHECK(replay.Take(Entry(0, 2, 32)).ok());
  CHECK(replay.Take(Entry(0, 3, 29, "new")).ok());
  const auto groups = replay.Finish({}).value();
  REQUIRE(groups[0].entries.size() == 1);
  CHECK(groups[0].entries[0].index == 29);
  CHECK(*groups[0].entries[0].payload == "new");

  LogReplay applied(std::vector<LogReplay::Stored>{{0, {29, 3}, {}}});
  CHECK(applied.Take(Entry(0, 2, 31)).ok());
  CHECK(applied.Take(Entry(0, 3, 29)).ok());
  CHECK(applied.Finish({}).value()[0].entries.empty());
}

TEST_CASE(
    "P15 a log that a snapshot has replaced counts only if it has the snapshot's last entry") {
  // Stored up to entry 3 of term 2; the log was to be reset to that, but the node crashed before.
  LogReplay other(std::vector<LogReplay::Stored>{{0, {3, 2}, {}}});
  for (uint64_t index = 1; index <= 5; ++index) CHECK(other.Take(Entry(0, 1, index)).ok());
  CHECK(other.Finish({}).value()[0].entries.empty());

  LogReplay same(std::vector<LogReplay::Stored>{{0, {3, 2}, {}}});
  for (uint64_t index = 1; index <= 2; ++index) CHECK(same.Take(Entry(0, 1, index)).ok());
  for (uint64_t index = 3; index <= 5; ++index) CHECK(same.Take(Entry(0, 2, index)).ok());
  CHECK(same.Finish({}).value()[0].entries.size() == 2);

  LogReplay shorter(std::vector<LogReplay::Stored>{{0, {3, 2}, {}}});
  CHECK(shorter.Take(Entry(0, 1, 1)).ok());
  CHECK(shorter.Take(Entry(0, 2, 4)).ok());
  CHECK(shorter.Finish({}).value()[0].entries.size() == 1);
}

}  // namespace
}  // namespace holdfast::replica
