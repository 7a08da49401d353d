#include "raft/membership.h"

#include <set>
#include <string>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

std::vector<NodeId> RandomNodes(Rng* rng, size_t most) {
  std::set<NodeId> nodes;
  for (size_t n = rng->Below(most + 1); n > 0; --n) nodes.insert(rng->Next() >> rng->Below(63));
  nodes.erase(kNoNode);
  return {nodes.begin(), nodes.end()};
}

TEST_CASE("raft membership: what is written is read back, and nothing else is accepted") {
  Rng rng(5);
  int valid = 0;
  for (int i = 0; i < 5000; ++i) {
    const Membership membership{.voters = RandomNodes(&rng, 6),
                                .outgoing = RandomNodes(&rng, 6),
                                .learners = RandomNodes(&rng, 3)};
    const std::string bytes = EncodeMembership(membership);
    const auto decoded = DecodeMembership(bytes);
    REQUIRE(decoded.ok() == ValidateMembership(membership).ok());
    if (!decoded.ok()) continue;
    ++valid;
    REQUIRE(decoded.value() == membership);
    // Every prefix and every longer string is refused, and no damage goes beyond the bytes.
    for (size_t n = 0; n < bytes.size(); ++n)
      REQUIRE_FALSE(DecodeMembership(bytes.substr(0, n)).ok());
    REQUIRE_FALSE(DecodeMembership(bytes + '\0').ok());
    std::string damaged = bytes;
    damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Below(256));
    const auto other = DecodeMembership(damaged);
    if (other.ok()) REQUIRE(EncodeMembership(other.value()) == damaged);
  }
  CHECK(valid > 1000);
}

TEST_CASE("raft membership: the format is version 1, three lists") {
  const Membership membership{.voters = {1, 2}, .outgoing = {3}, .learners = {300}};
  CHECK(EncodeMembership(membership) == std::string("\1\2\1\2\1\3\1\xac\2", 9));
  CHECK(DecodeMembership(std::string("\2\1\1\0\0", 5)).status().code() == Code::kUnsupported);
  CHECK(DecodeMembership("").status().code() == Code::kCorruption);
  CHECK(DecodeMembership("\1\xff\xff\xff\xff\x0f").status().code() == Code::kCorruption);
}

TEST_CASE("raft membership: who is what") {
  const Membership membership{.voters = {1, 2}, .outgoing = {2, 3}, .learners = {3, 4}};
  CHECK(ValidateMembership(membership).ok());  // 3 is on its way from voter to learner
  CHECK(IsJoint(membership));
  for (const NodeId voter : {1, 2, 3}) CHECK(IsVoterOf(membership, voter));
  CHECK_FALSE(IsVoterOf(membership, 4));
  CHECK(IsMemberOf(membership, 4));
  CHECK_FALSE(IsMemberOf(membership, 5));
}

}  // namespace
}  // namespace holdfast::raft
