// Majorities: what a set of voters agrees on. During a joint change both sets have to agree
// (Raft dissertation, section 4.3).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "raft/types.h"

namespace holdfast::raft {

// The smallest number of `voters` nodes that is a majority.
inline size_t MajorityOf(size_t voters) { return voters / 2 + 1; }

// The largest value that a majority of `voters` has reached; `value_of(node)` only grows.
// No voters ask for nothing: the maximum. `scratch` is reused memory.
template <typename ValueOf>
uint64_t ReachedByMajority(const std::vector<NodeId>& voters, const ValueOf& value_of,
                           std::vector<uint64_t>* scratch) {
  if (voters.empty()) return std::numeric_limits<uint64_t>::max();
  scratch->clear();
  for (const NodeId node : voters) scratch->push_back(value_of(node));
  // In ascending order, the value at n - majority is reached by it and by all behind it.
  const auto nth =
      scratch->begin() + static_cast<std::ptrdiff_t>(scratch->size() - MajorityOf(scratch->size()));
  std::nth_element(scratch->begin(), nth, scratch->end());
  return *nth;
}

// The largest value that a quorum of `membership` has reached.
template <typename ValueOf>
uint64_t ReachedByQuorum(const Membership& membership, const ValueOf& value_of,
                         std::vector<uint64_t>* scratch) {
  return std::min(ReachedByMajority(membership.voters, value_of, scratch),
                  ReachedByMajority(membership.outgoing, value_of, scratch));
}

enum class Vote : uint8_t { kMissing, kGranted, kRejected };
enum class Tally : uint8_t { kPending, kWon, kLost };

// How an election among `voters` stands; `vote_of(node)` is the node's vote. Nobody to ask: won.
template <typename VoteOf>
Tally TallyOfMajority(const std::vector<NodeId>& voters, const VoteOf& vote_of) {
  if (voters.empty()) return Tally::kWon;
  size_t granted = 0;
  size_t rejected = 0;
  for (const NodeId node : voters) {
    const Vote vote = vote_of(node);
    granted += vote == Vote::kGranted ? 1 : 0;
    rejected += vote == Vote::kRejected ? 1 : 0;
  }
  const size_t majority = MajorityOf(voters.size());
  if (granted >= majority) return Tally::kWon;
  return voters.size() - rejected >= majority ? Tally::kPending : Tally::kLost;
}

template <typename VoteOf>
Tally TallyOfQuorum(const Membership& membership, const VoteOf& vote_of) {
  const Tally incoming = TallyOfMajority(membership.voters, vote_of);
  const Tally outgoing = TallyOfMajority(membership.outgoing, vote_of);
  if (incoming == outgoing) return incoming;
  if (incoming == Tally::kLost || outgoing == Tally::kLost) return Tally::kLost;
  return Tally::kPending;
}

}  // namespace holdfast::raft
