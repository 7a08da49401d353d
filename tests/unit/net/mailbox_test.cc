#include "net/mailbox.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "net_test_util.h"

namespace holdfast::net {
namespace {

TEST_CASE("tasks run on the target's loop, in order, after the flush") {
  LoopThread target;
  Mailbox mailbox(&target.loop);
  Outbox outbox(&mailbox);
  std::vector<int> order;  // touched by the target's thread only, until it has ended
  std::atomic<int> ran{0};
  target.Start();
  for (int i = 0; i < 100; ++i) {
    outbox.Post([&, i] {
      CHECK(target.loop.InLoopThread());
      order.push_back(i);
      ++ran;
    });
  }
  CHECK(outbox.size() == 100);
  CHECK(mailbox.pending() == 0);
  CHECK(ran.load() == 0);
  outbox.Flush();
  CHECK(outbox.size() == 0);
  REQUIRE(WaitUntil([&] { return ran.load() == 100; }));
  target.Join();
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<size_t>(i)] == i);
  CHECK(mailbox.pending() == 0);
}

TEST_CASE("tasks may own what can't be copied, and release it once they have run") {
  EventLoop loop;
  Mailbox mailbox(&loop);
  auto counted = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = counted;
  auto unique = std::make_unique<int>(35);
  int sum = 0;
  mailbox.PostFromAnyThread(
      [&, counted = std::move(counted), unique = std::move(unique)] { sum = *counted + *unique; });
  CHECK(!watch.expired());
  REQUIRE(RunUntil(&loop, [&] { return sum != 0; }));
  CHECK(sum == 42);
  CHECK(watch.expired());
}

TEST_CASE("each sender's tasks run in its order while many send") {
  constexpr int kSenders = 4;
  constexpr int kTasks = 20'000;
  LoopThread target;
  Mailbox mailbox(&target.loop, 1'000'000);
  std::vector<int> last(kSenders, -1);
  std::atomic<int> wrong{0};
  std::atomic<int> ran{0};
  target.Start();
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&, s] {
      Outbox outbox(&mailbox);
      for (int i = 0; i < kTasks; ++i) {
        auto task = [&, s, i] {
          if (last[static_cast<size_t>(s)] != i - 1) ++wrong;
          last[static_cast<size_t>(s)] = i;
          ran.fetch_add(1, std::memory_order_relaxed);
        };
        if (s == 0) {
          mailbox.PostFromAnyThread(task);
        } else {
          outbox.Post(task);
          // Turns of different lengths, so that splices meet in every state.
          if (i % (s * 7) == 0) outbox.Flush();
        }
      }
      outbox.Flush();
    });
  }
  for (auto& sender : senders) sender.join();
  REQUIRE(WaitUntil([&] { return ran.load() == kSenders * kTasks; }));
  target.Join();
  CHECK(wrong.load() == 0);
  CHECK(mailbox.pending() == 0);
}

TEST_CASE("two cores answer each other") {
  // Every hop needs a wake-up of the other side: a lost one stops the game.
  constexpr int kHops = 20'000;
  LoopThread a;
  LoopThread b;
  Mailbox to_a(&a.loop);
  Mailbox to_b(&b.loop);
  Outbox from_a(&to_b);
  Outbox from_b(&to_a);
  a.loop.OnTurnEnd([&] {
    from_a.Flush();
    return false;
  });
  b.loop.OnTurnEnd([&] {
    from_b.Flush();
    return false;
  });
  std::atomic<int> hops{0};
  std::function<void(bool)> hop = [&](bool on_a) {
    if (++hops >= kHops) return;
    (on_a ? from_a : from_b).Post([&, on_a] { hop(!on_a); });
  };
  a.Start();
  b.Start();
  to_a.PostFromAnyThread([&] { hop(true); });
  to_b.PostFromAnyThread([&] { hop(false); });
  REQUIRE(WaitUntil([&] { return hops.load() >= kHops; }));
  a.Join();
  b.Join();
  a.loop.OnTurnEnd({});
  b.loop.OnTurnEnd({});
}

TEST_CASE("a turn runs a bounded number of tasks, the next turn goes on") {
  EventLoop loop;
  constexpr size_t kTotal = Mailbox::kTasksPerTurn * 3 + 5;
  Mailbox mailbox(&loop, kTotal);
  size_t ran = 0;
  size_t ran_before = 0;
  size_t most = 0;
  loop.OnTurnEnd([&] {
    most = std::max(most, ran - ran_before);
    ran_before = ran;
    // Notifications in between must not lengthen a turn.
    if (ran < kTotal) mailbox.PostFromAnyThread([] {});
    return false;
  });
  for (size_t i = 0; i < kTotal; ++i) mailbox.PostFromAnyThread([&] { ++ran; });
  REQUIRE(RunUntil(&loop, [&] { return ran == kTotal; }));
  CHECK(most == Mailbox::kTasksPerTurn);
  loop.OnTurnEnd({});
}

TEST_CASE("tasks that post tasks to their own mailbox don't starve the loop") {
  EventLoop loop;
  Mailbox mailbox(&loop);
  bool go_on = true;
  std::function<void()> again = [&] {
    if (go_on) mailbox.PostFromAnyThread([&] { again(); });
  };
  mailbox.PostFromAnyThread([&] { again(); });
  Timer timer(&loop);
  timer.Start(5, 0, [&] { go_on = false; });  // never comes if a turn doesn't end
  REQUIRE(RunUntil(&loop, [&] { return !go_on && mailbox.pending() == 0; }));
}

TEST_CASE("congestion is seen by senders and ends when the target has caught up") {
  EventLoop loop;
  Mailbox mailbox(&loop, 10);
  Outbox outbox(&mailbox);
  int ran = 0;
  for (int i = 0; i < 10; ++i) outbox.Post([&] { ++ran; });
  CHECK(!outbox.congested());
  outbox.Post([&] { ++ran; });
  CHECK(outbox.congested());  // what is not flushed yet counts for its own sender
  CHECK(!mailbox.congested());
  outbox.Flush();
  CHECK(mailbox.congested());
  CHECK(mailbox.pending() == 11);
  // Nothing is refused or dropped beyond the limit.
  outbox.Post([&] { ++ran; });
  outbox.Flush();
  REQUIRE(RunUntil(&loop, [&] { return ran == 12; }));
  CHECK(!mailbox.congested());
  CHECK(!outbox.congested());
}

TEST_CASE("tasks that never ran are released with the mailbox") {
  EventLoop loop;
  auto held = std::make_shared<int>(1);
  {
    Mailbox mailbox(&loop);
    mailbox.PostFromAnyThread([held] { FAIL("the loop never ran"); });
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
}

}  // namespace
}  // namespace holdfast::net
