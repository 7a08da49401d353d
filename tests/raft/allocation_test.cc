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
#include <new>

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

}  // namespace
}  // namespace holdfast::raft

#endif  // HOLDFAST_HAS_OWN_OPERATORS
