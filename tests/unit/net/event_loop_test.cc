#include "net/event_loop.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "net_test_util.h"

namespace holdfast::net {
namespace {

// Keeps the thread busy, as a long command would.
void SpinMs(int64_t ms) {
  for (const int64_t end = SystemClock()->MonotonicNs() + ms * 1'000'000;
       SystemClock()->MonotonicNs() < end;) {
  }
}

TEST_CASE("a timer fires once, not early") {
  EventLoop loop;
  for (const int ms : {0, 1, 5, 30}) {
    Timer timer(&loop);
    int fired = 0;
    const int64_t start = SystemClock()->MonotonicNs();
    int64_t at = 0;
    timer.Start(static_cast<uint64_t>(ms), 0, [&] {
      ++fired;
      at = SystemClock()->MonotonicNs();
    });
    CHECK(timer.active());
    REQUIRE(RunUntil(&loop, [&] { return fired > 0; }));
    CHECK(at - start >= ms * 1'000'000);
    CHECK(!timer.active());
    CHECK(fired == 1);
  }
}

TEST_CASE("a timer started late in a long turn is not early") {
  EventLoop loop;
  Timer first(&loop);
  Timer second(&loop);
  int64_t started = 0;
  int64_t fired = 0;
  first.Start(0, 0, [&] {
    SpinMs(30);
    started = SystemClock()->MonotonicNs();
    second.Start(10, 0, [&] { fired = SystemClock()->MonotonicNs(); });
  });
  REQUIRE(RunUntil(&loop, [&] { return fired != 0; }));
  CHECK(fired - started >= 10'000'000);
}

TEST_CASE("a repeating timer repeats until stopped, also inside its callback") {
  EventLoop loop;
  Timer timer(&loop);
  Timer after(&loop);
  int fired = 0;
  bool later = false;
  timer.Start(1, 1, [&] {
    if (++fired == 5) {
      timer.Stop();
      after.Start(20, 0, [&] { later = true; });
    }
  });
  REQUIRE(RunUntil(&loop, [&] { return later; }));
  CHECK(fired == 5);
}

TEST_CASE("missed repetitions are not made up for") {
  EventLoop loop;
  Timer timer(&loop);
  std::vector<int64_t> fired;
  timer.Start(1, 5, [&] {
    fired.push_back(SystemClock()->MonotonicNs());
    if (fired.size() == 1) SpinMs(52);  // ten repetitions pass meanwhile
  });
  REQUIRE(RunUntil(&loop, [&] { return fired.size() >= 4; }));
  // The second is late; the third and fourth are a whole period apart again (to the millisecond).
  CHECK(fired[3] - fired[1] >= 8'000'000);
}

TEST_CASE("a timer restarts and dies inside its own callback") {
  EventLoop loop;
  auto timer = std::make_unique<Timer>(&loop);
  // Owned by the callback, so that a callback freed while it runs is a use after free.
  auto text = std::make_unique<std::string>("restarted");
  std::string seen;
  timer->Start(0, 0, [&, text = std::move(text)] {
    timer->Start(0, 0, [&] {
      seen += " died";
      timer.reset();
    });
    seen = *text;
  });
  REQUIRE(RunUntil(&loop, [&] { return timer == nullptr; }));
  CHECK(seen == "restarted died");
}

TEST_CASE("a timer destroyed before it is due never fires") {
  EventLoop loop;
  auto doomed = std::make_unique<Timer>(&loop);
  doomed->Start(5, 0, [] { FAIL("fired after it was destroyed"); });
  Timer later(&loop);
  bool done = false;
  Timer killer(&loop);
  killer.Start(1, 0, [&] { doomed.reset(); });
  later.Start(20, 0, [&] { done = true; });
  REQUIRE(RunUntil(&loop, [&] { return done; }));
}

TEST_CASE("the turn's end runs once a turn, after the other callbacks") {
  EventLoop loop;
  std::vector<char> order;
  loop.OnTurnEnd([&] {
    order.push_back('e');
    return false;
  });
  Timer timer(&loop);
  int fired = 0;
  timer.Start(1, 1, [&] {
    order.push_back('t');
    ++fired;
  });
  REQUIRE(RunUntil(&loop, [&] { return fired >= 5; }));
  loop.OnTurnEnd({});
  // Two timer callbacks are never without an end between them.
  for (size_t i = 1; i < order.size(); ++i) CHECK(!(order[i] == 't' && order[i - 1] == 't'));
  CHECK(order.back() == 'e');
}

TEST_CASE("the turn's end may ask for turns without blocking") {
  EventLoop loop;
  int ends = 0;
  loop.OnTurnEnd([&] {
    if (++ends == 1000) loop.Stop();
    return ends < 1000;
  });
  // Nothing else is there to wake the loop: without the request it blocks for ever.
  std::atomic<bool> returned{false};
  std::thread watchdog([&] {
    if (!WaitUntil([&] { return returned.load(); })) loop.Stop();
  });
  loop.Run();
  returned = true;
  watchdog.join();
  CHECK(ends == 1000);
  const uint64_t turns = loop.turns();
  CHECK(turns >= 1000);

  // RequestTurn does the same from any callback.
  ends = 0;
  loop.OnTurnEnd([&] {
    if (++ends < 100) {
      loop.RequestTurn();
    } else {
      loop.Stop();
    }
    return false;
  });
  loop.Run();
  CHECK(ends == 100);
  loop.OnTurnEnd({});
}

TEST_CASE("an idle loop blocks") {
  EventLoop loop;
  Timer timer(&loop);
  timer.Start(100, 0, [&] { loop.Stop(); });
  const uint64_t before = loop.turns();
  loop.Run();
  // The first turn, the timer's and the last; a loop that spins makes thousands.
  CHECK(loop.turns() - before <= 5);
}

TEST_CASE("the longest turn is measured and forgotten") {
  EventLoop loop;
  bool done = false;
  Timer timer(&loop);
  timer.Start(1, 0, [&] {
    SpinMs(40);
    done = true;
  });
  REQUIRE(RunUntil(&loop, [&] { return done; }));
  CHECK(loop.TakeMaxTurnNs() >= 40'000'000);
  CHECK(loop.TakeMaxTurnNs() == 0);
  // Waiting is no part of a turn. A busy machine may stop a turn for a while, but hardly every
  // time.
  int64_t shortest_ns = INT64_MAX;
  for (int i = 0; i < 10 && shortest_ns >= 180'000'000; ++i) {
    timer.Start(200, 0, [&] { loop.Stop(); });
    loop.Run();
    shortest_ns = std::min<int64_t>(shortest_ns, loop.TakeMaxTurnNs());
  }
  CHECK(shortest_ns < 180'000'000);
}

TEST_CASE("now_ns stands still during a turn and goes on between turns") {
  EventLoop loop;
  Timer timer(&loop);
  std::vector<int64_t> seen;
  timer.Start(0, 2, [&] {
    const int64_t before = loop.now_ns();
    SpinMs(1);
    CHECK(loop.now_ns() == before);
    seen.push_back(before);
  });
  REQUIRE(RunUntil(&loop, [&] { return seen.size() >= 3; }));
  for (size_t i = 1; i < seen.size(); ++i) CHECK(seen[i] > seen[i - 1]);
}

TEST_CASE("Stop from before Run counts, and the loop can run again") {
  EventLoop loop;
  loop.Stop();
  loop.Run();  // returns
  int turns = 0;
  Timer timer(&loop);
  timer.Start(1, 0, [&] {
    ++turns;
    loop.Stop();
  });
  loop.Run();
  CHECK(turns == 1);
}

TEST_CASE("InLoopThread") {
  LoopThread t;
  CHECK(t.loop.InLoopThread());  // nobody runs it
  std::atomic<int> inside{-1};
  Notifier notifier(&t.loop, [&] { inside = t.loop.InLoopThread() ? 1 : 0; });
  t.Start();
  notifier.Notify();
  REQUIRE(WaitUntil([&] { return inside.load() != -1; }));
  CHECK(inside.load() == 1);
  CHECK(!t.loop.InLoopThread());
  t.Join();
  CHECK(t.loop.InLoopThread());
}

TEST_CASE("no notification is lost among many threads") {
  // Each thread publishes a number and notifies, then waits until the loop has seen it: one lost
  // wake-up leaves its thread waiting for ever. The loop has nothing else to wake it.
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 3000;
  LoopThread t;
  struct alignas(64) Slot {
    std::atomic<uint64_t> posted{0};
    std::atomic<uint64_t> seen{0};
  };
  Slot slots[kThreads];
  uint64_t callbacks = 0;
  std::vector<std::unique_ptr<Notifier>> notifiers;
  for (int n = 0; n < 2; ++n) {
    // Two notifiers, so that their common wake-up is contended too.
    notifiers.push_back(std::make_unique<Notifier>(&t.loop, [&, n] {
      ++callbacks;
      for (int i = n; i < kThreads; i += 2) {
        slots[i].seen.store(slots[i].posted.load(std::memory_order_relaxed));
      }
    }));
  }
  t.Start();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t round = 1; round <= kRounds; ++round) {
        // relaxed: that the callback sees it is Notify's promise
        slots[i].posted.store(round, std::memory_order_relaxed);
        notifiers[static_cast<size_t>(i % 2)]->Notify();
        if (!WaitUntil([&] { return slots[i].seen.load() >= round; })) {
          ++failed;
          return;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  t.Join();
  CHECK(failed.load() == 0);
  for (const auto& slot : slots) CHECK(slot.seen.load() == kRounds);
  CHECK(callbacks > 0);
}

TEST_CASE("notifications coalesce, and plain memory written before is visible") {
  LoopThread t;
  std::vector<int> shared(1000, 0);  // no atomics: the notification orders the accesses
  std::atomic<int> callbacks{0};
  std::atomic<int> sum{0};
  Notifier notifier(&t.loop, [&] {
    ++callbacks;
    int s = 0;
    for (const int v : shared) s += v;
    sum = s;
  });
  for (int i = 0; i < 1000; ++i) {
    shared[static_cast<size_t>(i)] = 1;
    notifier.Notify();
  }
  t.Start();
  REQUIRE(WaitUntil([&] { return sum.load() == 1000; }));
  t.Join();
  CHECK(callbacks.load() == 1);
}

TEST_CASE("a notification from the loop thread itself, also from the turn's end") {
  EventLoop loop;
  int callbacks = 0;
  std::unique_ptr<Notifier> notifier;
  notifier = std::make_unique<Notifier>(&loop, [&] {
    if (++callbacks == 10) loop.Stop();
  });
  loop.OnTurnEnd([&] {
    notifier->Notify();
    return false;
  });
  loop.Run();
  CHECK(callbacks == 10);
  loop.OnTurnEnd({});
}

TEST_CASE("a notification that comes during the callback is followed by another callback") {
  EventLoop loop;
  int callbacks = 0;
  Notifier notifier(&loop, [&] {
    // From another thread, which has finished before the callback ends.
    if (++callbacks == 1) std::thread([&] { notifier.Notify(); }).join();
  });
  notifier.Notify();
  REQUIRE(RunUntil(&loop, [&] { return callbacks >= 2; }));
  CHECK(callbacks == 2);
}

TEST_CASE("notifiers come and go while others run") {
  EventLoop loop;
  int a = 0;
  int c = 0;
  std::unique_ptr<Notifier> second;
  std::unique_ptr<Notifier> third;
  Notifier first(&loop, [&] {
    ++a;
    second.reset();
    third = std::make_unique<Notifier>(&loop, [&] { ++c; });
    third->Notify();
  });
  second = std::make_unique<Notifier>(&loop, [] { FAIL("was destroyed"); });
  second->Notify();
  first.Notify();
  REQUIRE(RunUntil(&loop, [&] { return c == 1; }));
  CHECK(a == 1);
}

TEST_CASE("NextTurn runs in the next turn, once, unless cancelled") {
  EventLoop loop;
  int runs = 0;
  uint64_t scheduled_in = 0;
  uint64_t ran_in = 0;
  NextTurn next(&loop, [&] {
    ++runs;
    ran_in = loop.turns();
  });
  NextTurn cancelled(&loop, [] { FAIL("was cancelled"); });
  Timer timer(&loop);
  timer.Start(1, 0, [&] {
    scheduled_in = loop.turns();
    next.Schedule();
    next.Schedule();
    cancelled.Schedule();
    cancelled.Cancel();
    CHECK(next.scheduled());
    CHECK(!cancelled.scheduled());
  });
  REQUIRE(RunUntil(&loop, [&] { return runs > 0; }));
  CHECK(ran_in == scheduled_in + 1);
  CHECK(!next.scheduled());
  CHECK(runs == 1);
}

TEST_CASE("NextTurn lets timers and the turn's end in between, and can die or cancel in a run") {
  EventLoop loop;
  int runs = 0;
  int ends = 0;
  loop.OnTurnEnd([&] {
    ++ends;
    return false;
  });
  auto next = std::make_unique<NextTurn>(&loop, [] {});
  auto other = std::make_unique<NextTurn>(&loop, [] { FAIL("cancelled by the one before it"); });
  auto text = std::make_unique<std::string>("alive");
  next = std::make_unique<NextTurn>(&loop, [&, text = std::move(text)] {
    if (++runs == 1) other->Cancel();
    if (runs < 50) {
      next->Schedule();
    } else {
      next.reset();
      CHECK(*text == "alive");
      loop.Stop();
    }
  });
  next->Schedule();
  other->Schedule();
  loop.Run();
  CHECK(runs == 50);
  CHECK(ends >= 50);
  loop.OnTurnEnd({});
}

TEST_CASE("a rest that is scheduled when the loop stops runs when it goes on") {
  EventLoop loop;
  int runs = 0;
  NextTurn next(&loop, [&] { ++runs; });
  loop.OnTurnEnd([&] {
    next.Schedule();
    loop.Stop();
    return false;
  });
  loop.Run();
  loop.OnTurnEnd({});
  REQUIRE(RunUntil(&loop, [&] { return runs >= 1; }));
}

TEST_CASE("signals reach their watcher until it is destroyed") {
  EventLoop loop;
  int seen = 0;
  auto watcher = std::make_unique<SignalWatcher>(&loop, SIGUSR1, [&] { ++seen; });
  kill(getpid(), SIGUSR1);
  REQUIRE(RunUntil(&loop, [&] { return seen == 1; }));
  watcher = std::make_unique<SignalWatcher>(&loop, SIGUSR1, [&] {
    seen += 10;
    watcher.reset();
  });
  kill(getpid(), SIGUSR1);
  REQUIRE(RunUntil(&loop, [&] { return watcher == nullptr; }));
  CHECK(seen == 11);
}

}  // namespace
}  // namespace holdfast::net
