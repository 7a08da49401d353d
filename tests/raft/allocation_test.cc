// Step is called for every partition in every turn of a core's loop: in the steady state it must
// not allocate. This binary counts the allocations of the whole process; not under TSan, whose
// runtime has these operators itself.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDFAST_HAS_OWN_OPERATORS
#endif
#endif

#ifndef HOLDFAST_HAS_OWN_OPERATORS
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "raft/raft.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace holdfast::raft {
namespace {

TEST_CASE("raft group: a turn of a lone voter allocates nothing once everything has its size") {
  GroupConfig config;
  config.self = 1;
  Restored restored;
  restored.membership.voters = {1};
  auto created = Group::Create(config, std::move(restored));
  REQUIRE(created.ok());
  Group& group = *created.value();
  Update update;
  group.Step(Tick{.now_ms = 0}, &update);
  while (update.ticket.has_value()) group.Step(Persisted{*update.ticket}, &update);
  REQUIRE(group.ready());

  const Payload payload = std::make_shared<const std::string>(100, 'x');
  uint64_t round = 0;
  // Eight proposals are under way, the log keeps a hundred entries behind them.
  const auto turn = [&] {
    Ticket ticket;
    for (int i = 0; i < 8; ++i) {
      group.Step(Propose{payload}, &update);
      if (update.ticket.has_value()) ticket = *update.ticket;
    }
    group.Step(Tick{.now_ms = round}, &update);
    group.Step(ReadIndex{.round = ++round}, &update);
    group.Step(Persisted{ticket}, &update);
    if (group.applied_index() > 100) {
      group.Step(Compact{.index = group.applied_index() - 100}, &update);
    }
  };
  for (int i = 0; i < 100; ++i) turn();
  const uint64_t before = allocations.load();
  for (int i = 0; i < 10000; ++i) turn();
  const uint64_t after = allocations.load();
  CHECK(after - before == 0);
  CHECK(group.commit_index() == 1 + 8 * 10100);

  // The counter itself counts.
  CHECK(std::make_unique<std::string>(100, 'x') != nullptr);
  CHECK(allocations.load() > after);
}

GroupConfig ConfigOf(NodeId id) {
  GroupConfig config;
  config.self = id;
  config.seed = id;
  config.lease_promises = true;
  config.lease_reads = true;
  return config;
}

std::unique_ptr<Group> OneOfThree(NodeId id) {
  Restored restored;
  restored.membership.voters = {1, 2, 3};
  auto created = Group::Create(ConfigOf(id), std::move(restored));
  REQUIRE(created.ok());
  return std::move(created).value();
}

// An event that is a message, to be changed in place.
Event MessageEvent(MessageKind kind, NodeId from, NodeId to, uint64_t term) {
  Message message;
  message.kind = kind;
  message.from = from;
  message.to = to;
  message.term = term;
  return message;
}

TEST_CASE("raft group: a turn of a leader with followers and reads allocates nothing") {
  const auto group = OneOfThree(1);
  Update update;
  uint64_t now_ms = 0;
  while (group->role() == Role::kFollower) group->Step(Tick{now_ms += 50}, &update);
  group->Step(MessageEvent(MessageKind::kPreVoteReply, 2, 1, 1), &update);
  group->Step(Persisted{update.ticket.value()}, &update);
  group->Step(MessageEvent(MessageKind::kVoteReply, 2, 1, 1), &update);
  REQUIRE(group->role() == Role::kLeader);
  group->Step(Persisted{update.ticket.value()}, &update);

  const Payload payload = std::make_shared<const std::string>(100, 'x');
  std::vector<Event> answers(2, MessageEvent(MessageKind::kAppendReply, 2, 1, 1));
  Event heartbeat_reply = MessageEvent(MessageKind::kHeartbeatReply, 2, 1, 1);
  Event question = MessageEvent(MessageKind::kReadIndex, 3, 1, 1);
  uint64_t round = 0;
  uint64_t confirmed = 0;
  const auto turn = [&] {
    group->Step(Tick{now_ms += 50}, &update);
    auto& reply = std::get<Message>(heartbeat_reply);
    reply.sent_ms = now_ms;
    reply.promise_ms = 250;
    group->Step(heartbeat_reply, &update);
    Ticket ticket;
    for (int i = 0; i < 8; ++i) {
      group->Step(Propose{payload}, &update);
      ticket = update.ticket.value();
    }
    group->Step(Persisted{ticket}, &update);
    for (NodeId node = 2; node <= 3; ++node) {
      auto& answer = std::get<Message>(answers[node - 2]);
      answer.from = node;
      answer.position.index = ticket.last.index;
      group->Step(answers[node - 2], &update);
    }
    group->Step(ReadIndex{.round = ++round, .now_ms = now_ms + 1}, &update);  // by the lease
    confirmed += update.reads.size();
    group->Step(ReadIndex{.round = ++round}, &update);  // by asking
    ++std::get<Message>(question).round;
    group->Step(question, &update);
    reply.round += 3;  // one by the lease, one asked, one of the follower
    group->Step(heartbeat_reply, &update);
    confirmed += update.reads.size();
    if (group->applied_index() > 100) {
      group->Step(Compact{.index = group->applied_index() - 100}, &update);
    }
  };
  for (int i = 0; i < 300; ++i) turn();
  const uint64_t before = allocations.load();
  for (int i = 0; i < 3000; ++i) turn();
  CHECK(allocations.load() - before == 0);
  CHECK(group->commit_index() == 1 + 8 * 3300);
  CHECK(confirmed == 2 * 3300);
}

TEST_CASE("raft group: a turn of a follower that forwards reads allocates nothing") {
  const auto group = OneOfThree(2);
  Update update;
  uint64_t now_ms = 0;
  Event append = MessageEvent(MessageKind::kAppend, 1, 2, 1);
  std::get<Message>(append).entries.resize(
      8, Entry{.term = 1,
               .index = 0,
               .kind = EntryKind::kData,
               .payload = std::make_shared<const std::string>(100, 'x')});
  Event heartbeat = MessageEvent(MessageKind::kHeartbeat, 1, 2, 1);
  Event answer = MessageEvent(MessageKind::kReadIndexReply, 1, 2, 1);
  uint64_t round = 0;
  uint64_t confirmed = 0;
  const auto turn = [&] {
    group->Step(Tick{now_ms += 50}, &update);
    auto& message = std::get<Message>(append);
    message.commit = group->last_index();
    message.position = {group->last_index(), group->last_index() == 0 ? uint64_t{0} : 1};
    uint64_t index = group->last_index();
    for (Entry& entry : message.entries) entry.index = ++index;
    group->Step(append, &update);
    group->Step(Persisted{update.ticket.value()}, &update);
    std::get<Message>(heartbeat).commit = index;
    group->Step(heartbeat, &update);
    group->Step(ReadIndex{.round = ++round, .now_ms = 0, .forward = true}, &update);
    std::get<Message>(answer).round = round;
    group->Step(answer, &update);
    confirmed += update.reads.size();
    if (group->applied_index() > 100) {
      group->Step(Compact{.index = group->applied_index() - 100}, &update);
    }
  };
  for (int i = 0; i < 300; ++i) turn();
  const uint64_t before = allocations.load();
  for (int i = 0; i < 3000; ++i) turn();
  CHECK(allocations.load() - before == 0);
  CHECK(group->applied_index() == 8 * 3300);
  CHECK(confirmed == 3300);
}

}  // namespace
}  // namespace holdfast::raft

#endif  // HOLDFAST_HAS_OWN_OPERATORS
