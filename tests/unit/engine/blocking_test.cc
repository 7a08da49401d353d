#include "engine/blocking.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::engine {
namespace {

using Outcome = BlockedRequests::Outcome;

BlockedRequest Request(uint64_t client, std::vector<std::string> keys, int64_t deadline_ms = 0,
                       InLine in_line = InLine::kInTurn) {
  BlockedRequest request;
  request.address = {0, client, 1};
  request.keys = std::move(keys);
  request.deadline_ms = deadline_ms;
  request.in_line = in_line;
  return request;
}

// Serves the key; each client that is tried meets the outcome given for it. Returns who was tried.
std::vector<uint64_t> Serve(BlockedRequests* blocked, std::string_view key,
                            const std::map<uint64_t, Outcome>& outcomes) {
  std::vector<uint64_t> tried;
  blocked->Serve(0, key, [&](const BlockedRequest& request) {
    tried.push_back(request.address.client);
    return outcomes.at(request.address.client);
  });
  return tried;
}

TEST_CASE("requests wait in the order of their arrival, by key") {
  BlockedRequests blocked;
  blocked.Add(Request(1, {"a"}));
  blocked.Add(Request(2, {"b"}));
  blocked.Add(Request(3, {"a"}));
  CHECK(blocked.Waiting(0, "a") == 2);
  CHECK(blocked.Waiting(1, "a") == 0);
  const std::map<uint64_t, Outcome> first_only = {{1, Outcome::kDone}, {3, Outcome::kInTurn}};
  CHECK(Serve(&blocked, "a", first_only) == std::vector<uint64_t>{1, 3});
  CHECK(Serve(&blocked, "a", {{3, Outcome::kDone}}) == std::vector<uint64_t>{3});
  CHECK(blocked.Waiting(0, "a") == 0);
  CHECK(Serve(&blocked, "a", {}).empty());
  CHECK(blocked.size() == 1);
}

TEST_CASE("a request that waits for several keys leaves all lines at once") {
  BlockedRequests blocked;
  blocked.Add(Request(1, {"a", "b", "c"}));
  blocked.Add(Request(2, {"b"}));
  CHECK(Serve(&blocked, "b", {{1, Outcome::kDone}, {2, Outcome::kInTurn}}).size() == 2);
  CHECK(blocked.Waiting(0, "a") == 0);
  CHECK(blocked.Waiting(0, "b") == 1);
  CHECK(blocked.Waiting(0, "c") == 0);
  std::vector<std::string> keys;
  blocked.ForEachKey([&keys](uint32_t, std::string_view key) { keys.emplace_back(key); });
  CHECK(keys == std::vector<std::string>{"b"});
}

TEST_CASE("behind one that waits in turn only those are tried that wait together") {
  BlockedRequests blocked;
  blocked.Add(Request(1, {"a"}));
  blocked.Add(Request(2, {"a"}));
  blocked.Add(Request(3, {"a"}, 0, InLine::kTogether));
  blocked.Add(Request(4, {"a"}));
  blocked.Add(Request(5, {"a"}, 0, InLine::kTogether));
  const std::map<uint64_t, Outcome> outcomes = {
      {1, Outcome::kInTurn}, {3, Outcome::kTogether}, {5, Outcome::kDone}};
  CHECK(Serve(&blocked, "a", outcomes) == std::vector<uint64_t>{1, 3, 5});
  // One that waits in turn, but found what others may take, lets the next ones try.
  const std::map<uint64_t, Outcome> wrong_type = {
      {1, Outcome::kTogether}, {2, Outcome::kDone}, {3, Outcome::kDone}, {4, Outcome::kInTurn}};
  CHECK(Serve(&blocked, "a", wrong_type) == std::vector<uint64_t>{1, 2, 3, 4});
  CHECK(blocked.Waiting(0, "a") == 2);
}

TEST_CASE("requests that are taken back keep the order of their arrival") {
  BlockedRequests blocked;
  blocked.Add(Request(9, {"a"}));
  blocked.Add(Request(2, {"b", "a"}));
  blocked.Add(Request(5, {"b"}));
  std::vector<uint64_t> clients;
  for (const BlockedRequest& request : blocked.TakeAll()) clients.push_back(request.address.client);
  CHECK(clients == std::vector<uint64_t>{9, 2, 5});
  CHECK(blocked.empty());
}

TEST_CASE("a request that leaves the line takes its deadline with it") {
  BlockedRequests blocked;
  blocked.Add(Request(1, {"a"}, 100));
  blocked.Add(Request(2, {"a", "b"}, 100));
  blocked.Add(Request(3, {"a"}, 50));
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
