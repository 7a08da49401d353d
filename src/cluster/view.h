// What the meta group knows: the nodes of the cluster and who takes part in each partition.
//
// The meta group is a partition like any other, with a keyspace of its own that no client sees.
// Its keys are the records below, in database 0; their values are words separated by blanks, the
// first of which is the format's version:
//
//   node/<id>         1 <state> <cluster address> <client address or ->
//   partition/<n>     1 <epoch> <voters> <learners>      ids separated by commas, - for none
//
// Ids are 16 hexadecimal digits. Changes are commands of the table (CLUSTER ADDNODE …) that run on
// the partition's leader like every other command, and are replicated as its effects.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/keyspace.h"
#include "engine/partition.h"
#include "raft/types.h"

namespace holdfast::cluster {

// A node's way through the cluster. It never goes back: an id is used once (PITFALLS P14).
enum class NodeState : uint8_t {
  kJoining,  // known, not yet a voter of every partition
  kMember,
  kLeaving,  // loses its leaderships and its places
  kRemoved,  // the record stays, so that nobody comes back under this id
};

std::string_view NameOf(NodeState state);

struct NodeRecord {
  NodeState state = NodeState::kJoining;
  std::string cluster_address;  // numeric, with a port
  std::string client_address;   // empty: unknown
  bool operator==(const NodeRecord&) const = default;

  bool present() const { return state == NodeState::kJoining || state == NodeState::kMember; }
};

// Who takes part in a partition, as its leader reported it last.
struct PartitionRecord {
  uint64_t epoch = 0;  // grows with every report
  std::vector<raft::NodeId> voters;
  std::vector<raft::NodeId> learners;
  bool operator==(const PartitionRecord&) const = default;
};

bool Contains(const std::vector<raft::NodeId>& ids, raft::NodeId id);

std::string FormatId(raft::NodeId id);
std::string FormatIds(const std::vector<raft::NodeId>& ids);
// False unless `text` is what FormatId writes.
[[nodiscard]] bool ParseId(std::string_view text, raft::NodeId* id);
[[nodiscard]] bool ParseIds(std::string_view text, std::vector<raft::NodeId>* ids);

std::string NodeKey(raft::NodeId id);
std::string PartitionKey(uint32_t partition);
std::string EncodeNode(const NodeRecord& record);
std::string EncodePartition(const PartitionRecord& record);
// Corruption for anything that the encoders don't write.
Status DecodeNode(std::string_view value, NodeRecord* record);
Status DecodePartition(std::string_view value, PartitionRecord* record);

// Immutable once it is handed around; any thread.
struct View {
  std::map<raft::NodeId, NodeRecord> nodes;
  std::map<uint32_t, PartitionRecord> partitions;

  // nullptr when the node was never part of the cluster.
  const NodeRecord* Find(raft::NodeId id) const;
};

// Follows what the meta partition commits. Loop thread of the meta partition's core.
class ViewBuilder {
 public:
  // Takes in everything that the keyspace holds, in place of what was known.
  Status Reset(const data::Keyspace& keyspace);
  // Takes in the effects of a committed entry. Corruption for records that can't be read.
  Status Apply(std::string_view payload);
  const View& view() const { return view_; }

 private:
  Status Put(std::string_view key, std::string_view value);
  void Erase(std::string_view key);

  View view_;
};

}  // namespace holdfast::cluster
