// Who takes part: questions about a Membership, and its bytes in an entry.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace holdfast::raft {

// In `voters` or `outgoing`.
bool IsVoterOf(const Membership& membership, NodeId node);
// A voter or a learner.
bool IsMemberOf(const Membership& membership, NodeId node);
inline bool IsJoint(const Membership& membership) { return !membership.outgoing.empty(); }

// Corruption: a node twice in a list or without an id, no voter, a voter that is a learner.
Status ValidateMembership(const Membership& membership);

// The payload of an EntryKind::kConfiguration:
//
//     byte      format version, 1
//     3 times   voters, outgoing, learners: varint count, then as many varint node ids
//
// The same membership in the same order always gives the same bytes.
std::string EncodeMembership(const Membership& membership);
// Unsupported: a later format version. Corruption: anything else that EncodeMembership does not
// write, or a membership that is not valid.
Result<Membership> DecodeMembership(std::string_view bytes);

}  // namespace holdfast::raft
