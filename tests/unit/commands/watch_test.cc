// What WATCH makes of a key's history, on its partition.
#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

TEST_CASE("WATCH of a missing key tells one time of its absence from another") {
  Bench bench;
  engine::Partition& partition = bench.partition();
  const uint64_t missing = partition.Watch(0, "k");
  CHECK(partition.Watch(0, "k") == missing);
  partition.Unwatch(0, "k");
  partition.Unwatch(0, "k");
  CHECK(partition.Watch(0, "k") == missing);  // nothing has happened
  partition.Unwatch(0, "k");
  // Nobody watches while it comes and goes, as after a change of the leader.
  CHECK(bench.Do("set k v") == "OK");
  const uint64_t present = partition.Watch(0, "k");
  CHECK(present != missing);
  partition.Unwatch(0, "k");
  CHECK(bench.Do("del k") == "1");
  const uint64_t again = partition.Watch(0, "k");
  CHECK(again != missing);
  CHECK(again != present);
}

}  // namespace
}  // namespace holdfast::commands
