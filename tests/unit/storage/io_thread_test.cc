#include "storage/io_thread.h"

#include <pthread.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

TEST_CASE("P45 tasks run in order on one thread with its own name") {
  std::vector<int> order;
  std::string name(16, '\0');
  {
    IoThread thread("hf-test-io", 1000);
    for (int i = 0; i < 500; ++i) {
      REQUIRE(thread.TryPost([&order, i] { order.push_back(i); }));
    }
    REQUIRE(
        thread.TryPost([&name] { pthread_getname_np(pthread_self(), name.data(), name.size()); }));
  }  // drains
  REQUIRE(order.size() == 500);
  for (int i = 0; i < 500; ++i) CHECK(order[static_cast<size_t>(i)] == i);
  CHECK(std::string(name.c_str()) == "hf-test-io");
}

TEST_CASE("P54 the queue is bounded, and a refused task may be posted again") {
  IoThread thread("io", 2);
  std::promise<void> started;
  std::promise<void> release;
  REQUIRE(thread.TryPost([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  int ran = 0;
  REQUIRE(thread.TryPost([&] { ++ran; }));
  REQUIRE(thread.TryPost([&] { ++ran; }));
  // Move-only, and still whole after the refusal.
  auto value = std::make_unique<int>(40);
  IoThread::Task task = [&ran, value = std::move(value)] { ran += *value; };
  CHECK_FALSE(thread.TryPost(std::move(task)));
  CHECK(thread.pending() == 3);
  release.set_value();
  while (!thread.TryPost(std::move(task))) {
  }
  thread.Stop();
  CHECK(ran == 42);
  CHECK(thread.pending() == 0);
  CHECK_FALSE(thread.TryPost([] {}));
  thread.Stop();
}

TEST_CASE("a task is destroyed before it stops counting") {
  IoThread thread("io", 10);
  auto shared = std::make_shared<int>(1);
  REQUIRE(thread.TryPost([copy = shared] {}));
  while (thread.pending() > 0) {
  }
  CHECK(shared.use_count() == 1);
}

}  // namespace
}  // namespace holdfast::storage
