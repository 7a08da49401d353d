#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>

#include "raft/membership.h"
#include "raft/raft.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

GroupConfig Config() { return {.self = 1}; }

Restored Fresh() {
  Restored restored;
  restored.membership.voters = {1};
  return restored;
}

std::unique_ptr<Group> MustCreate(const GroupConfig& config, const Restored& restored) {
  auto group = Group::Create(config, restored);
  REQUIRE_MESSAGE(group.ok(), group.status().message());
  return std::move(group).value();
}

Payload Bytes(size_t n) { return std::make_shared<const std::string>(n, 'x'); }

// Whether `body` ends the process by a failed CHECK.
bool Dies(const std::function<void()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // The test framework must not report the end that is asked for.
    signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    body();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// Ticks once and completes every request at once until nothing is left to do.
void Lead(Group* group, Update* update) {
  group->Step(Tick{.now_ms = 0}, update);
  while (update->ticket.has_value()) group->Step(Persisted{*update->ticket}, update);
  REQUIRE(group->ready());
}

TEST_CASE("raft group: a senseless configuration is refused") {
  const auto refused = [](const GroupConfig& config) {
    auto group = Group::Create(config, Fresh());
    return !group.ok() && group.status().code() == Code::kInvalidArgument;
  };
  CHECK_FALSE(refused(Config()));
  GroupConfig config = Config();
  config.self = kNoNode;
  CHECK(refused(config));
  config = Config();
  config.heartbeat_interval_ms = 0;
  CHECK(refused(config));
  config = Config();
  config.heartbeat_interval_ms = config.election_timeout_ms / 2 + 1;
  CHECK(refused(config));
  for (auto set : {+[](GroupConfig* c) { c->max_append_bytes = 0; },
                   +[](GroupConfig* c) { c->max_inflight_appends = 0; },
                   +[](GroupConfig* c) { c->max_inflight_bytes = 0; },
                   +[](GroupConfig* c) { c->max_uncommitted_bytes = 0; },
                   +[](GroupConfig* c) { c->max_pending_reads = 0; }}) {
    config = Config();
    set(&config);
    CHECK(refused(config));
  }
  // Nothing would be left for a lease.
  config = Config();
  config.lease_drift_ms = config.election_timeout_ms - config.heartbeat_interval_ms;
  CHECK_FALSE(refused(config));
  config.lease_promises = true;
  config.lease_reads = true;
  CHECK(refused(config));
  --config.lease_drift_ms;
  CHECK_FALSE(refused(config));
  config.lease_promises = false;
  CHECK(refused(config));
}

TEST_CASE("raft group: a disk that contradicts itself is refused") {
  const auto code_of = [](const std::function<void(Restored*)>& damage) {
    Restored restored = Fresh();
    restored.hard_state = {.term = 5, .voted_for = 1};
    restored.applied = {.index = 10, .term = 4};
    for (uint64_t i = 8; i <= 14; ++i) {
      restored.entries.push_back({.term = i <= 12 ? uint64_t{4} : uint64_t{5},
                                  .index = i,
                                  .kind = EntryKind::kData,
                                  .payload = Bytes(3)});
    }
    damage(&restored);
    auto group = Group::Create(Config(), restored);
    return group.ok() ? Code::kOk : group.status().code();
  };
  CHECK(code_of([](Restored*) {}) == Code::kOk);
  CHECK(code_of([](Restored* r) { r->entries.clear(); }) == Code::kOk);
  CHECK(code_of([](Restored* r) { r->hard_state.term = 4; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->applied.term = 0; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->applied.index = 0; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->applied.term = 3; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->applied = {.index = 6, .term = 4}; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->applied = {.index = 15, .term = 5}; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->entries.erase(r->entries.begin() + 2); }) ==
        Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->entries[5].term = 3; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->entries[0].term = 0; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->entries[3].kind = static_cast<EntryKind>(77); }) ==
        Code::kUnsupported);
  const auto configuration = [](std::string bytes) {
    return [bytes](Restored* r) {
      r->entries[4].kind = EntryKind::kConfiguration;
      r->entries[4].payload = std::make_shared<const std::string>(bytes);
    };
  };
  const std::string good = EncodeMembership({.voters = {2}, .outgoing = {1}, .learners = {}});
  CHECK(code_of(configuration(good)) == Code::kOk);
  CHECK(code_of(configuration(good + "x")) == Code::kCorruption);
  CHECK(code_of(configuration("\7")) == Code::kUnsupported);
  CHECK(code_of([](Restored* r) {
          r->entries[4].kind = EntryKind::kConfiguration;
          r->entries[4].payload = nullptr;
        }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->membership.voters.clear(); }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->membership.voters = {1, 1}; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->membership.voters = {0}; }) == Code::kCorruption);
  CHECK(code_of([](Restored* r) { r->membership.learners = {1}; }) == Code::kCorruption);
}

TEST_CASE("raft group: entries at and below the applied index are kept behind the first") {
  Restored restored = Fresh();
  restored.hard_state = {.term = 2, .voted_for = 1};
  restored.applied = {.index = 5, .term = 2};
  for (uint64_t i = 3; i <= 6; ++i) {
    restored.entries.push_back({.term = 2, .index = i, .kind = EntryKind::kData, .payload = {}});
  }
  const auto group = MustCreate(Config(), restored);
  CHECK(group->first_index() == 4);
  CHECK(group->last_index() == 6);
  CHECK(group->TermAt(3) == 2);
  CHECK(group->commit_index() == 5);
  CHECK(group->applied_index() == 5);
  CHECK(group->durable_index() == 6);
}

TEST_CASE("P15 raft group: only an installed snapshot excuses a log that contradicts it") {
  Restored restored = Fresh();
  restored.hard_state = {.term = 2, .voted_for = 1};
  restored.applied = {.index = 5, .term = 3};
  for (uint64_t i = 3; i <= 6; ++i) {
    restored.entries.push_back({.term = 2, .index = i, .kind = EntryKind::kData, .payload = {}});
  }
  CHECK(Group::Create(Config(), restored).status().code() == Code::kCorruption);
  restored.installed = true;
  auto group = MustCreate(Config(), restored);
  CHECK(group->last_index() == 5);
  CHECK(group->term() == 3);
  Update update;
  group->Step(Tick{0}, &update);
  REQUIRE(update.reset.has_value());
  CHECK(*update.reset == LogPosition{5, 3});
  REQUIRE(update.hard_state.has_value());
  CHECK(update.ticket->last == LogPosition{5, 3});
  // One that agrees is kept.
  for (Entry& entry : restored.entries) entry.term = entry.index < 5 ? 2 : 3;
  restored.hard_state.term = 3;
  group = MustCreate(Config(), restored);
  CHECK(group->last_index() == 6);
  group->Step(Tick{0}, &update);
  CHECK_FALSE(update.reset.has_value());
}

TEST_CASE("P12 raft group: a configuration above the applied index is in force after a restart") {
  Restored restored = Fresh();
  restored.hard_state = {.term = 2, .voted_for = 1};
  restored.applied = {.index = 1, .term = 2};
  const auto configuration = [](uint64_t index, const Membership& membership) {
    return Entry{.term = 2,
                 .index = index,
                 .kind = EntryKind::kConfiguration,
                 .payload = std::make_shared<const std::string>(EncodeMembership(membership))};
  };
  const Membership joint{.voters = {2}, .outgoing = {1}, .learners = {3}};
  // Below what is applied it is contained in Restored::membership, or not any more.
  restored.entries = {configuration(1, {.voters = {9}, .outgoing = {}, .learners = {}})};
  CHECK(MustCreate(Config(), restored)->membership().voters == std::vector<NodeId>{1});
  CHECK_FALSE(MustCreate(Config(), restored)->changing());
  restored.entries.push_back(configuration(2, joint));
  CHECK(MustCreate(Config(), restored)->membership() == joint);
  CHECK(MustCreate(Config(), restored)->changing());
}

TEST_CASE("raft group: what a leader knows of the others") {
  Update update;
  Restored restored = Fresh();
  restored.membership.learners = {2};
  const auto group = MustCreate(Config(), restored);
  CHECK_FALSE(group->StatusOf(2).has_value());
  Lead(group.get(), &update);
  CHECK_FALSE(group->StatusOf(1).has_value());
  CHECK_FALSE(group->StatusOf(3).has_value());
  REQUIRE(group->StatusOf(2).has_value());
  CHECK(group->StatusOf(2)->match == 0);
  CHECK(group->StatusOf(2)->lag_bytes == 64);
  CHECK_FALSE(group->StatusOf(2)->promotable);
  CHECK(group->CompactionIndex(1) == 0);  // kept for the learner
  Message reply;
  reply.kind = MessageKind::kAppendReply;
  reply.from = 2;
  reply.to = 1;
  reply.term = 1;
  reply.position.index = 1;
  group->Step(reply, &update);
  CHECK(group->StatusOf(2)->match == 1);
  CHECK(group->StatusOf(2)->lag_bytes == 0);
  CHECK(group->StatusOf(2)->active);
  CHECK(group->StatusOf(2)->promotable);
  CHECK_FALSE(group->StatusOf(2)->snapshot);
  CHECK(group->CompactionIndex(1) == 1);
}

TEST_CASE("raft group: a caller that breaks its duties ends the process") {
  Update update;
  const auto group = MustCreate(Config(), Fresh());
  Lead(group.get(), &update);
  CHECK_FALSE(Dies([&] { group->Step(Tick{.now_ms = 5}, &update); }));
  CHECK_FALSE(Dies([&] { group->Step(ReadIndex{.round = 1}, &update); }));

  CHECK(Dies([&] {
    group->Step(Persisted{Ticket{.sequence = 99, .hard_state = {}, .last = {}}}, &update);
  }));
  CHECK(Dies([&] {
    group->Step(Tick{.now_ms = 5}, &update);
    group->Step(Tick{.now_ms = 4}, &update);
  }));
  CHECK(Dies([&] {
    group->Step(ReadIndex{.round = 2}, &update);
    group->Step(ReadIndex{.round = 2}, &update);
  }));
  CHECK(Dies([&] { group->Step(Compact{.index = 2}, &update); }));
  CHECK(Dies([&] { group->Step(ReadIndex{.round = 2, .now_ms = 5}, &update); }) == false);
  CHECK(Dies([&] {
    group->Step(Tick{.now_ms = 50}, &update);
    group->Step(ReadIndex{.round = 2, .now_ms = 5}, &update);
  }));
  CHECK(Dies([&] { (void)group->CompactionIndex(2); }));
  CHECK(Dies([&] {
    group->Step(InstallSnapshot{.last = {5, 1}, .membership = {}, .term = 1, .leader = 2}, &update);
  }));
  CHECK(Dies([&] { (void)group->EntryAt(2); }));
  CHECK(Dies([&] { (void)group->TermAt(2); }));
}

TEST_CASE("raft group: uncommitted bytes are bounded, and freed by commits") {
  GroupConfig config = Config();
  config.max_uncommitted_bytes = 1000;
  const auto group = MustCreate(config, Fresh());
  Update update;
  Lead(group.get(), &update);
  CHECK(group->uncommitted_bytes() == 0);

  // Larger than the whole limit, but nothing else is under way.
  group->Step(Propose{Bytes(5000)}, &update);
  REQUIRE(update.proposal->accepted());
  const Ticket large = *update.ticket;
  CHECK(group->uncommitted_bytes() == 5064);
  group->Step(Propose{Bytes(1)}, &update);
  CHECK(update.proposal->refusal == Refusal::kUncommitted);
  CHECK_FALSE(update.ticket.has_value());
  CHECK(group->last_index() == 2);

  group->Step(Persisted{large}, &update);
  CHECK(update.commit_index == 2);
  CHECK(group->uncommitted_bytes() == 0);
  // Empty payloads are bounded, too.
  int accepted = 0;
  for (int i = 0; i < 100; ++i) {
    group->Step(Propose{nullptr}, &update);
    accepted += update.proposal->accepted() ? 1 : 0;
  }
  CHECK(accepted == 1000 / 64);
}

TEST_CASE("raft group: reads that wait are bounded") {
  GroupConfig config = Config();
  config.max_pending_reads = 3;
  const auto group = MustCreate(config, Fresh());
  Update update;
  group->Step(Tick{.now_ms = 0}, &update);
  group->Step(Persisted{*update.ticket}, &update);
  REQUIRE(group->role() == Role::kLeader);
  const Ticket noop = *update.ticket;
  for (uint64_t round = 1; round <= 3; ++round) {
    group->Step(ReadIndex{round}, &update);
    CHECK(update.reads.empty());
  }
  group->Step(ReadIndex{4}, &update);
  REQUIRE(update.reads.size() == 1);
  CHECK(update.reads[0].round == 4);
  CHECK(update.reads[0].refusal == Refusal::kTooMany);
  group->Step(Persisted{noop}, &update);
  REQUIRE(update.reads.size() == 3);
  for (uint64_t round = 1; round <= 3; ++round) {
    CHECK(update.reads[round - 1].round == round);
    CHECK(update.reads[round - 1].confirmed());
    CHECK(update.reads[round - 1].term == 1);
    CHECK(update.reads[round - 1].index == 1);
  }
}

TEST_CASE("P22 raft group: a proposal is known by term and index, not by index") {
  Update update;
  const auto group = MustCreate(Config(), Fresh());
  Lead(group.get(), &update);
  group->Step(Propose{Bytes(1)}, &update);
  REQUIRE(update.proposal->accepted());
  const Proposal proposal = *update.proposal;
  CHECK(proposal.term == 1);
  CHECK(proposal.index == 2);
  CHECK(group->FateOf(proposal.term, proposal.index) == Fate::kPending);
  CHECK(group->FateOf(proposal.term + 1, proposal.index) == Fate::kLost);
  group->Step(Persisted{*update.ticket}, &update);
  CHECK(group->FateOf(proposal.term, proposal.index) == Fate::kCommitted);
  CHECK(group->FateOf(proposal.term + 1, proposal.index) == Fate::kLost);
  CHECK(group->FateOf(proposal.term, proposal.index + 1) == Fate::kLost);
}

// Hundreds of groups start together with their node.
TEST_CASE("P20 raft group: election timeouts are spread over a whole timeout") {
  GroupConfig config = Config();
  config.election_timeout_ms = 300;
  config.heartbeat_interval_ms = 10;
  Restored restored = Fresh();
  restored.membership.voters = {1, 2, 3};
  std::map<uint64_t, int> groups_at;  // by time of the first pre-vote
  Update update;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    config.seed = seed;
    const auto group = MustCreate(config, restored);
    uint64_t now_ms = 1000;
    group->Step(Tick{now_ms}, &update);
    while (update.messages.empty()) {
      now_ms += 10;
      group->Step(Tick{now_ms}, &update);
      REQUIRE(now_ms <= 1000 + 2 * 300);
    }
    ++groups_at[now_ms - 1000];
  }
  CHECK(groups_at.begin()->first >= 300);
  CHECK(groups_at.size() >= 29);                                     // of 31 possible ticks
  for (const auto& [at_ms, groups] : groups_at) CHECK(groups < 60);  // 20 on average
}

TEST_CASE("raft group: needs ticks unless it is a lone leader without followers") {
  Update update;
  Restored restored = Fresh();
  auto group = MustCreate(Config(), restored);
  CHECK(group->needs_ticks());
  Lead(group.get(), &update);
  CHECK_FALSE(group->needs_ticks());
  restored.membership.learners = {2};
  group = MustCreate(Config(), restored);
  Lead(group.get(), &update);
  CHECK(group->needs_ticks());
}

TEST_CASE("raft group: an outbox keeps the memory of its messages and shows none of it") {
  Outbox outbox;
  Outgoing& first = outbox.Add();
  first.after = 7;
  first.message.term = 3;
  first.message.rejected = true;
  first.message.entries.resize(100);
  const Entry* const memory = first.message.entries.data();
  outbox.Clear();
  CHECK(outbox.empty());
  const Outgoing& again = outbox.Add();
  CHECK(outbox.size() == 1);
  CHECK(again.after == 0);
  CHECK(again.message.term == 0);
  CHECK_FALSE(again.message.rejected);
  CHECK(again.message.entries.empty());
  CHECK(again.message.entries.capacity() >= 100);
  CHECK(again.message.entries.data() == memory);
}

}  // namespace
}  // namespace holdfast::raft
