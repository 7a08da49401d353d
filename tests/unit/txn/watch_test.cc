#include "txn/watch.h"

#include <doctest/doctest.h>

namespace holdfast::txn {
namespace {

TEST_CASE("a watched key is unmodified until it is touched") {
  WatchTable table;
  const uint64_t revision = table.Watch(0, "k", 7);
  CHECK(revision == 7);
  CHECK(table.Unmodified(0, "k", revision));
  table.Touch(0, "other", 8);
  table.Touch(1, "k", 8);  // the same name in another database
  CHECK(table.Unmodified(0, "k", revision));
  table.Touch(0, "k", 9);
  CHECK_FALSE(table.Unmodified(0, "k", revision));
}

TEST_CASE("a missing key that came and went is modified") {
  WatchTable table;
  const uint64_t revision = table.Watch(0, "k", 0);
  table.Touch(0, "k", 5);  // created
  table.Touch(0, "k", 6);  // deleted
  CHECK_FALSE(table.Unmodified(0, "k", revision));
}

TEST_CASE("the second watcher compares with what the first one's key has become") {
  WatchTable table;
  const uint64_t first = table.Watch(0, "k", 1);
  table.Touch(0, "k", 2);
  const uint64_t second = table.Watch(0, "k", 2);
  CHECK(second == 2);
  CHECK_FALSE(table.Unmodified(0, "k", first));
  CHECK(table.Unmodified(0, "k", second));
  table.Unwatch(0, "k");
  CHECK(table.Unmodified(0, "k", second));
  table.Unwatch(0, "k");
  CHECK(table.empty());
  // A watch that this table does not know was made under another leader.
  CHECK_FALSE(table.Unmodified(0, "k", second));
  table.Unwatch(0, "k");
}

TEST_CASE("flushing touches the watched keys that exist, of that database") {
  WatchTable table;
  const uint64_t a = table.Watch(0, "a", 1);
  const uint64_t b = table.Watch(0, "b", 0);
  const uint64_t c = table.Watch(1, "a", 1);
  table.TouchAll(0, 9, [](std::string_view key) { return key == "a"; });
  CHECK_FALSE(table.Unmodified(0, "a", a));
  CHECK(table.Unmodified(0, "b", b));
  CHECK(table.Unmodified(1, "a", c));
}

}  // namespace
}  // namespace holdfast::txn
