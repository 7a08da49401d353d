// What the nodes of a group must never contradict: each other, what they have said, and what the
// committed entries make.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "data/keyspace.h"
#include "node.h"
#include "raft/types.h"
#include "report.h"

namespace holdfast::sim {

class Truth {
 public:
  Truth(uint32_t partitions, raft::Membership founding, Report* report);

  // The node has recovered: what it found is compared with what it had promised.
  void Booted(const Node& node);
  // After every step of a running node.
  void Watch(const Node& node);
  // A message leaves the node: what it says, the node may not forget.
  void Sent(uint32_t partition, const raft::Message& message);
  // The memory of a node that follows, or of an idle leader, is what the entries make.
  void CompareState(const Node& node);

  uint64_t committed(uint32_t partition) const { return groups_[partition].entries.size(); }
  uint64_t terms() const;

 private:
  struct Group {
    std::vector<raft::Entry> entries;  // committed; entry i is at i - 1
    std::vector<uint64_t> states;      // hash of the state behind entry i, at i; 0: the first
    std::map<uint64_t, raft::Membership> memberships;  // by the index of their entry; 0: founding
    std::map<uint64_t, raft::NodeId> leaders;          // by term
    std::unique_ptr<data::Keyspace> keyspace;          // the state behind the last entry
    uint64_t revision = 0;                             // the last one given out
    std::map<std::string, uint64_t> revisions;         // by record key
  };
  // Of one node in one group.
  struct Known {
    uint64_t watched = 0;                    // its commit index as far as it was compared
    uint64_t durable = 0;                    // what its group called durable
    uint64_t stored = 0;                     // the last entry in its store
    bool frozen = false;                     // while a snapshot was switched in
    uint64_t term = 0;                       // the highest that it has named
    std::map<uint64_t, raft::NodeId> votes;  // by term
  };

  void WatchCommit(uint32_t partition, const Node& node, uint64_t index);
  void Append(uint32_t partition, const raft::Entry& entry);
  void CheckRevisions(uint32_t partition, const raft::Entry& entry);
  void Violation(uint32_t partition, raft::NodeId node, const std::string& what);

  Report* const report_;
  ManualClock clock_;
  std::vector<Group> groups_;
  std::map<std::pair<raft::NodeId, uint32_t>, Known> known_;
};

}  // namespace holdfast::sim
