#include "raft/membership.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"

namespace holdfast::raft {

namespace {

constexpr uint8_t kFormatVersion = 1;

bool Has(const std::vector<NodeId>& list, NodeId node) {
  return std::find(list.begin(), list.end(), node) != list.end();
}

void AppendList(std::string* out, const std::vector<NodeId>& list) {
  AppendVarint(out, list.size());
  for (const NodeId node : list) AppendVarint(out, node);
}

bool ReadList(ByteReader* reader, std::vector<NodeId>* list) {
  uint64_t count = 0;
  // A node takes at least a byte, so that a damaged count reserves nothing.
  if (!reader->ReadVarint(&count) || count > reader->rest().size()) return false;
  for (; count > 0; --count) {
    uint64_t node = 0;
    if (!reader->ReadVarint(&node)) return false;
    list->push_back(node);
  }
  return true;
}

}  // namespace

bool IsVoterOf(const Membership& membership, NodeId node) {
  return Has(membership.voters, node) || Has(membership.outgoing, node);
}

bool IsMemberOf(const Membership& membership, NodeId node) {
  return IsVoterOf(membership, node) || Has(membership.learners, node);
}

Status ValidateMembership(const Membership& membership) {
  const std::vector<NodeId>* lists[] = {&membership.voters, &membership.outgoing,
                                        &membership.learners};
  for (const auto* list : lists) {
    std::vector<NodeId> sorted = *list;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() ||
        (!sorted.empty() && sorted.front() == kNoNode)) {
      return Status::Corruption("raft: the membership lists a node twice or without an id");
    }
  }
  if (membership.voters.empty()) return Status::Corruption("raft: the membership has no voter");
  for (const NodeId learner : membership.learners) {
    if (Has(membership.voters, learner)) {
      return Status::Corruption("raft: a node is a voter and a learner");
    }
  }
  return Status::Ok();
}

std::string EncodeMembership(const Membership& membership) {
  std::string bytes(1, static_cast<char>(kFormatVersion));
  AppendList(&bytes, membership.voters);
  AppendList(&bytes, membership.outgoing);
  AppendList(&bytes, membership.learners);
  return bytes;
}

Result<Membership> DecodeMembership(std::string_view bytes) {
  ByteReader reader(bytes);
  uint8_t version = 0;
  if (!reader.ReadByte(&version)) return Status::Corruption("raft: an empty membership");
  if (version != kFormatVersion) {
    return Status::Unsupported("raft: a membership of an unknown format version");
  }
  Membership membership;
  if (!ReadList(&reader, &membership.voters) || !ReadList(&reader, &membership.outgoing) ||
      !ReadList(&reader, &membership.learners) || !reader.empty()) {
    return Status::Corruption("raft: a damaged membership");
  }
  RETURN_IF_ERROR(ValidateMembership(membership));
  return membership;
}

}  // namespace holdfast::raft
