#include "replica/replica.h"

#include <string>
#include <utility>

#include "storage/sim_file_system.h"

#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

// Notes what it is told.
class Machine : public StateMachine {
 public:
  void OnCommit(uint64_t commit_index, uint64_t first, uint64_t last) override {
    commit = commit_index;
    for (uint64_t i = first; i <= last; ++i) applied.push_back(i);
  }
  void OnReads(const raft::ReadAnswer& answer) override {
    if (answer.confirmed()) confirmed = answer.round;
  }
  void OnStanding(const raft::Standing& standing) override { ready = standing.ready; }
  void BeforeOwnEntry() override {}
  void OnSnapshotWanted(raft::NodeId peer) override { wanted.push_back(peer); }

  uint64_t commit = 0;
  std::vector<uint64_t> applied;
  std::vector<raft::NodeId> wanted;
  uint64_t confirmed = 0;
  bool ready = false;
};

class Fixture {
 public:
  Fixture() : clock(1'800'000'000'000) {
    auto recovered = storage::RecoverWal(&files, "wal", 9, 1,
                                         [](const storage::WalRecord&) { return Status::Ok(); });
    REQUIRE(recovered.ok());
    storage::WalOptions options;
    auto writer = storage::WalWriter::Create(&files, "wal", {9, 1, 0}, options, {});
    REQUIRE(writer.ok());
    log = std::make_unique<storage::ManualLog>(&files, "wal", std::move(writer).value(),
                                               storage::LogOptions());
    host = std::make_unique<Host>(log.get(), &clock);
  }

  Replica* Add(uint32_t partition, Machine* machine) {
    raft::GroupConfig config;
    config.self = 9;
    raft::Restored restored;
    restored.membership.voters = {9};
    Result<Replica*> replica = host->Add(partition, config, std::move(restored), machine);
    REQUIRE(replica.ok());
    return replica.value();
  }

  void Elect() {
    host->Tick();
    for (int i = 0; i < 5; ++i) Turn();
  }

  void Turn() {
    host->EndTurn();
    REQUIRE(log->Step().ok());
    host->OnDurable();
  }

  storage::SimFileSystem files;
  ManualClock clock;
  std::unique_ptr<storage::ManualLog> log;
  std::unique_ptr<Host> host;
};

raft::Payload Bytes(const char* text) { return std::make_shared<const std::string>(text); }

TEST_CASE("P05 nothing is committed before the log says that it is durable") {
  Fixture fixture;
  Machine machine;
  Replica* replica = fixture.Add(0, &machine);
  fixture.Elect();
  REQUIRE(machine.ready);
  const raft::Proposal proposal = replica->Propose(Bytes("x"));
  REQUIRE(proposal.accepted());
  fixture.host->EndTurn();
  fixture.host->OnDurable();
  CHECK(machine.commit < proposal.index);
  REQUIRE(fixture.log->Step().ok());
  CHECK(machine.commit < proposal.index);  // durable, but the loop has not heard of it
  fixture.host->OnDurable();
  CHECK(machine.commit == proposal.index);
  CHECK(machine.applied.back() == proposal.index);
}

TEST_CASE("a turn of several groups is one batch, and each hears of its own entries") {
  Fixture fixture;
  Machine first;
  Machine second;
  Replica* a = fixture.Add(0, &first);
  Replica* b = fixture.Add(1, &second);
  fixture.Elect();
  REQUIRE((first.ready && second.ready));
  const uint64_t before = fixture.log->durable_ticket();
  a->Propose(Bytes("a1"));
  b->Propose(Bytes("b1"));
  const raft::Proposal last = a->Propose(Bytes("a2"));
  fixture.Turn();
  CHECK(fixture.log->durable_ticket() == before + 1);
  CHECK(first.commit == last.index);
  CHECK(*b->EntryAt(second.commit).payload == "b1");
  CHECK_FALSE(fixture.host->EndTurn());  // nothing is left
}

TEST_CASE("a read round of a lone leader is confirmed at once, after its first commit") {
  Fixture fixture;
  Machine machine;
  Replica* replica = fixture.Add(0, &machine);
  fixture.Elect();
  replica->ReadRound(1);
  CHECK(machine.confirmed == 1);
  replica->ReadRound(5);
  CHECK(machine.confirmed == 5);
}

TEST_CASE("what is compacted leaves memory") {
  Fixture fixture;
  Machine machine;
  Replica* replica = fixture.Add(0, &machine);
  fixture.Elect();
  for (int i = 0; i < 10; ++i) {
    replica->Propose(Bytes("x"));
    fixture.Turn();
  }
  replica->Compact(machine.commit - 2);
  CHECK(replica->group().first_index() == machine.commit - 1);
  CHECK(fixture.host->uncommitted_bytes() == 0);
}

}  // namespace
}  // namespace holdfast::replica
