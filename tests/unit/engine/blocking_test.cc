#include "engine/blocking.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

BlockedRequest Request(uint64_t client, const char* key, int64_t deadline_ms = 0) {
  BlockedRequest request;
  request.address = {0, client, 1};
  request.key = key;
  request.deadline_ms = deadline_ms;
  return request;
}

TEST_CASE("requests wait in the order of their arrival, by key") {
  BlockedRequests blocked;
  blocked.Add(Request(1, "a"));
  blocked.Add(Request(2, "b"));
  blocked.Add(Request(3, "a"));
  CHECK(blocked.Waiting(0, "a") == 2);
  CHECK(blocked.Waiting(1, "a") == 0);
  CHECK(blocked.Front(0, "a")->address.client == 1);
  CHECK(blocked.PopFront(0, "a").address.client == 1);
  CHECK(blocked.PopFront(0, "a").address.client == 3);
  CHECK(blocked.Front(0, "a") == nullptr);
  CHECK(blocked.size() == 1);
}

TEST_CASE("a request that leaves the line takes its deadline with it") {
  BlockedRequests blocked;
  blocked.Add(Request(1, "a", 100));
  blocked.Add(Request(2, "a", 100));
  blocked.Add(Request(3, "a", 50));
  CHECK(blocked.next_deadline_ms() == 50);
  CHECK(blocked.Remove({0, 3, 1}).has_value());
  CHECK_FALSE(blocked.Remove({0, 3, 1}).has_value());
  CHECK(blocked.next_deadline_ms() == 100);
  CHECK_FALSE(blocked.PopExpired(99).has_value());
  CHECK(blocked.PopExpired(100)->address.client == 1);
  CHECK(blocked.PopExpired(100)->address.client == 2);
  CHECK_FALSE(blocked.PopExpired(100).has_value());
  CHECK(blocked.empty());
  CHECK(blocked.next_deadline_ms() == 0);
}

}  // namespace
}  // namespace holdfast::engine
