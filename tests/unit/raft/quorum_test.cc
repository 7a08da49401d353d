#include "raft/quorum.h"

#include <map>
#include <set>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

// By the definition: try every value that occurs, count who has reached it.
uint64_t DumbReached(const std::vector<NodeId>& voters, std::map<NodeId, uint64_t>& values) {
  uint64_t best = 0;
  for (const NodeId candidate : voters) {
    size_t count = 0;
    for (const NodeId node : voters) count += values[node] >= values[candidate] ? 1 : 0;
    if (2 * count > voters.size()) best = std::max(best, values[candidate]);
  }
  return best;
}

// By the definition: won when the granted votes are a majority; lost when they can't become one
// even if everybody who has not answered yet grants.
Tally DumbTally(const std::vector<NodeId>& voters, std::map<NodeId, Vote>& votes) {
  size_t granted = 0;
  size_t missing = 0;
  for (const NodeId node : voters) {
    if (votes[node] == Vote::kGranted) ++granted;
    if (votes[node] == Vote::kMissing) ++missing;
  }
  if (2 * granted > voters.size()) return Tally::kWon;
  return 2 * (granted + missing) > voters.size() ? Tally::kPending : Tally::kLost;
}

std::vector<NodeId> RandomVoters(Rng* rng, size_t least) {
  std::set<NodeId> nodes;
  const size_t n = least + rng->Below(8 - least);
  while (nodes.size() < n) nodes.insert(1 + rng->Below(9));
  return {nodes.begin(), nodes.end()};
}

TEST_CASE("raft quorum: the committed index is what the definition says, joint or not") {
  Rng rng(7);
  std::vector<uint64_t> scratch;
  for (int round = 0; round < 20000; ++round) {
    Membership membership;
    membership.voters = RandomVoters(&rng, 1);
    const bool joint = rng.Chance(1, 2);
    if (joint) membership.outgoing = RandomVoters(&rng, 1);
    std::map<NodeId, uint64_t> values;
    for (NodeId node = 1; node <= 9; ++node) values[node] = rng.Below(12);
    uint64_t expected = DumbReached(membership.voters, values);
    if (joint) expected = std::min(expected, DumbReached(membership.outgoing, values));
    CHECK(ReachedByQuorum(
              membership, [&](NodeId node) { return values[node]; }, &scratch) == expected);
  }
}

TEST_CASE("raft quorum: an election is won or lost when the definition says, joint or not") {
  Rng rng(8);
  for (int round = 0; round < 20000; ++round) {
    Membership membership;
    membership.voters = RandomVoters(&rng, 1);
    const bool joint = rng.Chance(1, 2);
    if (joint) membership.outgoing = RandomVoters(&rng, 1);
    std::map<NodeId, Vote> votes;
    for (NodeId node = 1; node <= 9; ++node) votes[node] = static_cast<Vote>(rng.Below(3));
    Tally expected = DumbTally(membership.voters, votes);
    if (joint) {
      const Tally other = DumbTally(membership.outgoing, votes);
      if (expected == Tally::kLost || other == Tally::kLost) {
        expected = Tally::kLost;
      } else if (expected != other) {
        expected = Tally::kPending;
      }
    }
    CHECK(TallyOfQuorum(membership, [&](NodeId node) { return votes[node]; }) == expected);
  }
}

TEST_CASE("raft quorum: one voter alone, and an even number needs more than half") {
  std::vector<uint64_t> scratch;
  const auto value = [](NodeId node) { return node * 10; };
  CHECK(ReachedByQuorum({.voters = {1}, .outgoing = {}, .learners = {}}, value, &scratch) == 10);
  CHECK(ReachedByQuorum({.voters = {1, 2}, .outgoing = {}, .learners = {}}, value, &scratch) == 10);
  CHECK(ReachedByQuorum({.voters = {1, 2, 3, 4}, .outgoing = {}, .learners = {}}, value,
                        &scratch) == 20);
  // A learner adds nothing.
  CHECK(ReachedByQuorum({.voters = {1}, .outgoing = {}, .learners = {9}}, value, &scratch) == 10);
}

}  // namespace
}  // namespace holdfast::raft
