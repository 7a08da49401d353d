// Simulated hosts around real raft groups: disks that complete writes when told to and forget the
// rest in a crash, a network that delivers, loses, repeats and reorders when told to. It does a
// caller's duties (raft.h) and nothing else, and watches what raft promises.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/raft.h"

namespace holdfast::raft::testing {

// What a machine keeps when its process ends.
struct Disk {
  HardState hard_state;
  LogPosition applied;  // of the durable state machine
  LogPosition base;     // the entry before entries.front(); removed with its log segment
  std::vector<Entry> entries;
  Membership membership;  // as of `applied`
  LogPosition installed;  // the last snapshot that was switched in

  bool Contains(LogPosition position) const;
};

// A write that was handed to the disk.
struct Request {
  Ticket ticket;
  std::optional<HardState> hard_state;
  std::optional<LogPosition> reset;
  std::vector<Entry> append;
};

struct Node {
  GroupConfig config;
  Disk disk;
  // From here on: gone in a crash.
  std::unique_ptr<Group> group;
  std::deque<Request> requests;
  uint64_t durable_sequence = 0;
  std::vector<Outgoing> held;   // messages whose `after` is not durable
  std::vector<Ticket> tickets;  // all that were given out since the start
  uint64_t now_ms = 0;
  // Reads under way: the commit index that was known anywhere when the round started.
  std::map<uint64_t, uint64_t> reads;
};

using Link = std::pair<NodeId, NodeId>;  // from, to

// A durable state machine as it goes to another node.
struct Snapshot {
  LogPosition last;
  Membership membership;
  uint64_t term = 0;
  NodeId leader = kNoNode;
};

class World {
 public:
  // The node starts with `disk`. An error when raft refuses it.
  Status AddNode(const GroupConfig& config, Disk disk);
  Status Start(NodeId id);
  // The machine loses power: what was not durable is gone, and so are messages not sent yet.
  void Crash(NodeId id);

  bool Exists(NodeId id) const { return nodes_.count(id) > 0; }
  bool Runs(NodeId id) const { return Exists(id) && nodes_.at(id).group != nullptr; }
  Node& At(NodeId id) { return nodes_.at(id); }
  const std::map<NodeId, Node>& nodes() const { return nodes_; }

  // Feeds one event to a running node and carries out the update, which stays valid until the next
  // call.
  const Update& Step(NodeId id, const Event& event);
  // Makes the oldest `n` requests durable and reports the last of them. REQUIRES: there are n > 0.
  const Update& CompleteWrites(NodeId id, size_t n);
  // The durable state machine now contains everything up to `index`.
  void Flush(NodeId id, uint64_t index);
  // Removes the log up to `index` from memory and disk. REQUIRES: it was flushed.
  const Update& CompactLog(NodeId id, uint64_t index);

  // The snapshot that a running node would send now.
  Snapshot TakeSnapshot(NodeId from);
  // Replaces the durable state machine of a running node, unless it does not want that: false. Its
  // group is to be told by Step(InstallSnapshot) next, or to crash.
  [[nodiscard]] bool SwitchIn(NodeId to, const Snapshot& snapshot);

  // Messages on their way, oldest first.
  std::deque<Message>& Queue(NodeId from, NodeId to) { return network_[{from, to}]; }
  std::map<Link, std::deque<Message>>& network() { return network_; }

  // Delivers everything and completes every write until nothing moves. False when that does not
  // end.
  [[nodiscard]] bool Settle();

  // Sees every update.
  void set_observer(std::function<void(NodeId, const Update&)> observer) {
    observer_ = std::move(observer);
  }

  // Broken promises, in words; empty as long as all is well.
  const std::vector<std::string>& violations() const { return violations_; }
  // The last index that any node ever knew as committed.
  uint64_t known_committed() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  uint64_t confirmed_reads() const { return confirmed_reads_; }

 private:
  void CarryOut(NodeId id, const Update& update);
  void Release(Node* node);
  void Watch(NodeId id, const Update& update);
  void WatchCommit(NodeId id, uint64_t index);
  void WatchDurability(NodeId id, LogPosition committed);
  void WatchMembership(NodeId id);
  void Violation(const std::string& what);

  std::map<NodeId, Node> nodes_;
  std::map<Link, std::deque<Message>> network_;
  Update update_;
  std::function<void(NodeId, const Update&)> observer_;

  std::optional<Membership> founding_;
  std::map<uint64_t, Entry> committed_;  // by index
  std::map<uint64_t, NodeId> leaders_;   // by term
  std::map<NodeId, uint64_t> watched_;   // commit index up to which a node was checked
  uint64_t confirmed_reads_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace holdfast::raft::testing
