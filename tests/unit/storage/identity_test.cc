#include "storage/identity.h"

#include <set>
#include <string>

#include "base/bytes.h"
#include "base/rng.h"
#include "storage/sim_file_system.h"
#include "test_files.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

TEST_CASE("the identity is made once, and every start is counted") {
  const ScratchDirectory scratch;
  const std::string path = scratch.path() + "/data";
  Identity first;
  {
    auto directory = OpenDataDirectory(PosixFileSystem(), path, 4);
    REQUIRE(directory.status().message() == "");
    first = directory.value().identity();
    CHECK(first.node_id != 0);
    CHECK(first.boot == 1);
    CHECK(first.partitions == 4);
    CHECK(first.cluster_id == 0);
    CHECK(directory.value().wal_path() == path + "/wal");
    CHECK(directory.value().partition_path(7) == path + "/partitions/0007");
    const auto second = OpenDataDirectory(PosixFileSystem(), path, 4);
    CHECK(second.status().code() == Code::kInvalidArgument);
    CHECK(Mentions(second.status(), "another process uses data directory " + path));
    REQUIRE(directory.value().JoinCluster(77, 4, first.hash_seed).ok());
    CHECK(directory.value().JoinCluster(77, 4, first.hash_seed).ok());
    CHECK(directory.value().JoinCluster(78, 4, first.hash_seed).code() == Code::kInvalidArgument);
  }
  auto again = OpenDataDirectory(PosixFileSystem(), path, 0);
  REQUIRE(again.ok());
  CHECK(again.value().identity().node_id == first.node_id);
  CHECK(again.value().identity().hash_seed == first.hash_seed);
  CHECK(again.value().identity().cluster_id == 77);
  CHECK(again.value().identity().boot == 2);
  CHECK(again.value().identity().partitions == 4);
}

TEST_CASE("another number of partitions is refused and counts no start") {
  SimFileSystem fs;
  REQUIRE(OpenDataDirectory(&fs, "/data", 0).value().identity().partitions == 1);
  const auto other = OpenDataDirectory(&fs, "/data", 8);
  CHECK(other.status().code() == Code::kInvalidArgument);
  CHECK(Mentions(other.status(), "was created with 1 partitions, the configuration says 8"));
  CHECK(OpenDataDirectory(&fs, "/data", 1).value().identity().boot == 2);
}

TEST_CASE("P14 a directory with data but without identity is refused") {
  for (const char* inside : {"/data/wal", "/data/partitions"}) {
    SimFileSystem fs;
    REQUIRE(fs.CreateDirectory("/data").ok());
    REQUIRE(fs.CreateDirectory(inside).ok());
    const auto directory = OpenDataDirectory(&fs, "/data", 1);
    CHECK(directory.status().code() == Code::kInvalidArgument);
    CHECK(Mentions(directory.status(), "no identity file"));
    CHECK_FALSE(fs.Exists("/data/identity").value());
  }
}

TEST_CASE("every damaged byte and every cut of the identity file is refused") {
  SimFileSystem fs;
  REQUIRE(OpenDataDirectory(&fs, "/data", 2).ok());
  const std::string good = fs.Contents("/data/identity");
  for (size_t i = 0; i < good.size() * 8; ++i) {
    fs.SetContents("/data/identity", good);
    fs.FlipBit("/data/identity", i / 8, static_cast<int>(i % 8));
    const Status status = OpenDataDirectory(&fs, "/data", 2).status();
    const bool in_version = i / 8 >= 8 && i / 8 < 12;
    const bool refused =
        status.code() == Code::kCorruption || (in_version && status.code() == Code::kUnsupported);
    CHECK_MESSAGE(refused, "bit " << i << ": " << status.message());
    CHECK(Mentions(status, "/data/identity"));
  }
  for (size_t n = 0; n < good.size(); ++n) {
    fs.SetContents("/data/identity", good.substr(0, n));
    CHECK(OpenDataDirectory(&fs, "/data", 2).status().code() == Code::kCorruption);
  }
  fs.SetContents("/data/identity", good + "x");
  CHECK(OpenDataDirectory(&fs, "/data", 2).status().code() == Code::kCorruption);
  fs.SetContents("/data/identity", good);
  CHECK(OpenDataDirectory(&fs, "/data", 2).ok());
}

TEST_CASE("a newer format says so, whatever else it holds") {
  SimFileSystem fs;
  REQUIRE(OpenDataDirectory(&fs, "/data", 2).ok());
  std::string newer = fs.Contents("/data/identity").substr(0, 8);
  AppendFixed32(&newer, 2);
  newer += "something else";
  fs.SetContents("/data/identity", newer);
  const auto directory = OpenDataDirectory(&fs, "/data", 2);
  CHECK(directory.status().code() == Code::kUnsupported);
  CHECK(Mentions(directory.status(), "newer"));
}

TEST_CASE("P41 no boot number is used twice and the node stays itself, whatever call fails") {
  for (const Fault fault : {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite}) {
    bool failed = true;
    for (uint64_t nth = 1; failed; ++nth) {
      SimFileSystem fs;
      Rng rng(nth);
      std::set<uint64_t> boots;
      uint64_t node_id = 0;
      failed = false;
      for (int start = 0; start < 6; ++start) {
        if (start == 2) fs.FailNth(nth, fault);
        {
          const auto directory = OpenDataDirectory(&fs, "/data", 3);
          if (start == 2) failed = fs.fault_happened();
          fs.ClearFaults();
          if (directory.ok()) {
            const Identity& identity = directory.value().identity();
            CHECK(boots.insert(identity.boot).second);
            CHECK(identity.boot == *boots.rbegin());
            if (node_id == 0) node_id = identity.node_id;
            CHECK(identity.node_id == node_id);
          } else {
            CHECK(start == 2);
          }
        }
        fs.Crash(&rng);
      }
      CHECK(boots.size() >= 5);
    }
  }
}

}  // namespace
}  // namespace holdfast::storage
