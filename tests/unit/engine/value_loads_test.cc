#include "engine/value_loads.h"

#include <functional>
#include <string>
#include <vector>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

// Requests that write down their names when they run.
class Waiting {
 public:
  void Hold(const std::string& origin, uint64_t slot, const std::vector<std::string>& keys) {
    std::vector<ColdValue> values;
    for (const std::string& key : keys) values.push_back({key, 1, 1});
    const std::string name = origin + std::to_string(slot);
    const auto run = [this, name] {
      ran += name + " ";
      const std::function<void()> more = on_run;  // which may replace itself
      if (more) more();
    };
    loads.Hold(origin, {{0, 7, slot}, run}, values, &fresh);
  }
  std::string TakeFresh() {
    std::string keys;
    for (const ColdValue& value : fresh) keys += value.record_key + " ";
    fresh.clear();
    return keys;
  }
  std::string Loaded(const std::string& key) {
    ran.clear();
    loads.Loaded(key);
    loads.Run();
    return ran;
  }

  ValueLoads loads;
  std::vector<ColdValue> fresh;
  std::string ran;
  std::function<void()> on_run;
};

TEST_CASE("who waits for a value waits on when it is wanted anew before its turn") {
  Waiting waiting;
  waiting.Hold("a", 1, {"x"});
  waiting.Hold("b", 2, {"x"});
  waiting.Hold("c", 3, {"x"});
  waiting.TakeFresh();
  // What a1 does replaces the key by another one that isn't in memory.
  waiting.on_run = [&waiting] {
    waiting.on_run = nullptr;
    CHECK(waiting.loads.Want({"x", 2, 2}, nullptr));
  };
  CHECK(waiting.Loaded("x") == "a1 ");
  CHECK(waiting.loads.CreatedOf("x") == 2);
  CHECK(waiting.Loaded("x") == "b2 c3 ");
  CHECK(waiting.loads.empty());
}

TEST_CASE("a value is asked for once, and everybody who waits for it runs") {
  Waiting waiting;
  waiting.Hold("a", 1, {"x", "y"});
  waiting.Hold("b", 2, {"y"});
  CHECK(waiting.TakeFresh() == "x y ");
  CHECK(waiting.loads.held() == 2);
  CHECK(waiting.Loaded("y") == "b2 ");
  CHECK(waiting.loads.Pins("y"));  // the other one has not run yet
  CHECK(waiting.Loaded("x") == "a1 ");
  CHECK(waiting.loads.empty());
  CHECK_FALSE(waiting.loads.Pins("y"));
}

TEST_CASE("requests of one origin run in their order, those of others don't wait for them") {
  Waiting waiting;
  waiting.Hold("a", 1, {"x"});
  CHECK(waiting.loads.Waits("a"));
  CHECK_FALSE(waiting.loads.Waits("b"));
  waiting.Hold("a", 2, {});
  waiting.Hold("a", 3, {"y"});
  waiting.Hold("b", 4, {"z"});
  CHECK(waiting.Loaded("z") == "b4 ");
  CHECK(waiting.Loaded("y").empty());
  CHECK(waiting.Loaded("x") == "a1 a2 a3 ");
  CHECK(waiting.loads.empty());
}

TEST_CASE("one that has to wait again stays in front") {
  ValueLoads loads;
  std::vector<ColdValue> fresh;
  std::string ran;
  bool again = true;
  std::function<void()> first = [&] {
    ran += "1 ";
    CHECK_FALSE(loads.Waits("a"));
    if (std::exchange(again, false)) loads.Hold("a", {{0, 1, 1}, first}, {{"y", 1, 1}}, &fresh);
  };
  loads.Hold("a", {{0, 1, 1}, first}, {{"x", 1, 1}}, &fresh);
  loads.Hold("a", {{0, 1, 2}, [&] { ran += "2 "; }}, {}, &fresh);
  loads.Loaded("x");
  loads.Run();
  CHECK(ran == "1 ");
  CHECK(loads.held() == 2);
  loads.Loaded("y");
  loads.Run();
  CHECK(ran == "1 1 2 ");
  CHECK(loads.empty());
}

TEST_CASE("whoever is gone is taken out, and what is behind it runs") {
  Waiting waiting;
  waiting.Hold("a", 1, {"x"});
  waiting.Hold("a", 2, {});
  CHECK_FALSE(waiting.loads.Cancel({0, 7, 3}));
  CHECK_FALSE(waiting.loads.Cancel({1, 7, 1}));
  CHECK(waiting.loads.Cancel({0, 7, 1}));
  CHECK(waiting.ran == "a2 ");
  waiting.Hold("b", 4, {"x", "y"});
  waiting.loads.CancelAllOf(7);
  CHECK(waiting.ran == "a2 ");
  CHECK(waiting.loads.held() == 0);
  // What is on its way still comes.
  CHECK(waiting.Loaded("x").empty());
  CHECK(waiting.Loaded("y").empty());
  CHECK(waiting.loads.empty());
}

TEST_CASE("when nothing is loaded any more everything runs, in order") {
  Waiting waiting;
  waiting.Hold("b", 1, {"x"});
  waiting.Hold("a", 2, {"y"});
  waiting.Hold("b", 3, {});
  waiting.loads.RunAll();
  CHECK(waiting.ran == "a2 b1 b3 ");
  CHECK(waiting.loads.empty());
  CHECK(waiting.Loaded("x").empty());
}

TEST_CASE("a value of a later generation is asked for anew") {
  ValueLoads loads;
  std::vector<ColdValue> fresh;
  CHECK(loads.Want({"x", 1, 1}, nullptr));
  CHECK_FALSE(loads.Want({"x", 1, 1}, nullptr));
  CHECK(loads.Want({"x", 2, 2}, nullptr));
  CHECK(loads.CreatedOf("x") == 2);
  CHECK(loads.CreatedOf("y") == 0);
  CHECK(loads.IsLoading("x"));
  const ValueLoads::WaitedKey key{3, "name"};
  CHECK_FALSE(loads.Want({"x", 2, 2}, &key));
  loads.Loaded("x");
  CHECK(loads.TakeWaited() == std::vector<ValueLoads::WaitedKey>{key});
  CHECK(loads.TakeWaited().empty());
  CHECK(loads.empty());
}

}  // namespace
}  // namespace holdfast::engine
