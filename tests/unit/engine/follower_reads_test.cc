#include "engine/follower_reads.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::engine {
namespace {

FollowerRead Read(uint64_t client, uint64_t slot) {
  FollowerRead read;
  read.request.address = {0, client, slot};
  return read;
}

uint64_t SlotOf(const std::optional<FollowerRead>& read) {
  return read.has_value() ? read->request.address.slot : 0;
}

TEST_CASE("a follower's read waits for its round, and for what the leader had committed") {
  FollowerReads reads;
  CHECK(SlotOf(reads.TakeServable(UINT64_MAX)) == 0);
  reads.Add(10, Read(1, 1));
  reads.Add(10, Read(2, 2));
  reads.Add(11, Read(1, 3));
  CHECK(SlotOf(reads.TakeServable(UINT64_MAX)) == 0);
  reads.Confirm(9, 5);
  CHECK(SlotOf(reads.TakeServable(UINT64_MAX)) == 0);
  reads.Confirm(10, 7);
  CHECK(SlotOf(reads.TakeServable(6)) == 0);
  CHECK(SlotOf(reads.TakeServable(7)) == 1);
  CHECK(SlotOf(reads.TakeServable(7)) == 2);
  CHECK(SlotOf(reads.TakeServable(UINT64_MAX)) == 0);
  // A later round stands for those before it; what was confirmed before keeps its index.
  reads.Add(12, Read(1, 4));
  reads.Confirm(11, 8);
  reads.Add(13, Read(1, 5));
  reads.Confirm(13, 9);
  CHECK(SlotOf(reads.TakeServable(8)) == 3);
  CHECK(SlotOf(reads.TakeServable(8)) == 0);
  CHECK(SlotOf(reads.TakeServable(9)) == 4);
  CHECK(SlotOf(reads.TakeServable(9)) == 5);
  CHECK(reads.empty());
}

TEST_CASE("reads are taken out in their order, a client's or all") {
  FollowerReads reads;
  reads.Add(1, Read(1, 1));
  reads.Add(1, Read(2, 2));
  reads.Add(2, Read(1, 3));
  reads.Confirm(1, 1);
  const std::vector<BlockedRequest> of_first = reads.TakeAllOf({0, 1, 77});
  REQUIRE(of_first.size() == 2);
  CHECK(of_first[0].address.slot == 1);
  CHECK(of_first[1].address.slot == 3);
  CHECK(reads.TakeAllOf({1, 2, 2}).empty());  // another core's client
  reads.Add(3, Read(3, 4));
  CHECK(SlotOf(reads.TakeServable(1)) == 2);
  CHECK(reads.TakeAll().size() == 1);
  CHECK(reads.empty());
}

TEST_CASE("who only wants to be told waits among the reads, and is nobody's request") {
  FollowerReads reads;
  int told = 0;
  reads.Add(1, Read(1, 1));
  reads.Add(1, {{}, [&told] { ++told; }});
  reads.Add(2, {{}, [&told] { ++told; }});
  CHECK(reads.TakeAllOf({}).empty());
  CHECK(reads.TakeAllOf({0, 1, 0}).size() == 1);
  reads.Confirm(1, 4);
  CHECK_FALSE(reads.TakeServable(3).has_value());
  std::optional<FollowerRead> read = reads.TakeServable(4);
  REQUIRE(read.has_value());
  read->then();
  CHECK_FALSE(reads.TakeServable(UINT64_MAX).has_value());
  for (FollowerRead& other : reads.TakeAll()) other.then();
  CHECK(told == 2);
  CHECK(reads.empty());
}

TEST_CASE("the reads that wait are bounded, by number and by bytes") {
  FollowerReads reads;
  for (size_t i = 0; i < FollowerReads::kMaxReads; ++i) {
    REQUIRE_FALSE(reads.full());
    reads.Add(1, Read(1, i));
  }
  CHECK(reads.full());
  reads.Confirm(1, 1);
  CHECK(reads.TakeServable(1).has_value());
  CHECK_FALSE(reads.full());
  reads.TakeAll();

  const std::string key(FollowerReads::kMaxBytes / 2, 'k');
  const std::vector<std::string_view> args = {"get", key};
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 1; i <= 2; ++i) {
      REQUIRE_FALSE(reads.full());
      FollowerRead large = Read(i, i);
      large.request.args = OwnedArgs(args);
      reads.Add(1, std::move(large));
    }
    CHECK(reads.full());
    // Every way out gives the room back.
    if (round == 0) reads.TakeAll();
    if (round == 1) reads.TakeAllOf({0, 1, 1});
    if (round == 1) reads.TakeAllOf({0, 2, 2});
    if (round == 2) reads.Confirm(1, 1);
    if (round == 2) CHECK(reads.TakeServable(1).has_value());
    CHECK_FALSE(reads.full());
  }
}

}  // namespace
}  // namespace holdfast::engine
