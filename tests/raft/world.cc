#include "world.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::raft::testing {

namespace {

std::string Text(LogPosition position) {
  return std::to_string(position.index) + "@" + std::to_string(position.term);
}

void WriteTo(Disk* disk, const Request& request) {
  if (request.hard_state.has_value()) disk->hard_state = *request.hard_state;
  for (const Entry& entry : request.append) {
    CHECK(entry.index > disk->base.index);
    const size_t keep = entry.index - disk->base.index - 1;
    CHECK_MSG(keep <= disk->entries.size(), "a gap in the log on disk");
    disk->entries.resize(keep);
    disk->entries.push_back(entry);
  }
}

}  // namespace

bool Disk::Contains(LogPosition position) const {
  if (position.index <= applied.index) return true;  // in the state machine
  if (position.index <= base.index) return position == base;
  const size_t i = position.index - base.index - 1;
  return i < entries.size() && entries[i].term == position.term;
}

Status World::AddNode(const GroupConfig& config, Disk disk) {
  CHECK(!Exists(config.self));
  Node& node = nodes_[config.self];
  node.config = config;
  node.disk = std::move(disk);
  return Start(config.self);
}

Status World::Start(NodeId id) {
  Node& node = nodes_.at(id);
  CHECK(node.group == nullptr);
  Restored restored;
  restored.hard_state = node.disk.hard_state;
  restored.applied = node.disk.applied;
  restored.entries = node.disk.entries;
  restored.membership = node.disk.membership;
  auto group = Group::Create(node.config, std::move(restored));
  if (!group.ok()) return group.status();
  node.group = std::move(group).value();
  watched_[id] = node.group->commit_index();
  return Status::Ok();
}

void World::Crash(NodeId id) {
  Node& node = nodes_.at(id);
  Node empty;
  empty.config = node.config;
  empty.disk = std::move(node.disk);
  node = std::move(empty);
}

const Update& World::Step(NodeId id, const Event& event) {
  Node& node = nodes_.at(id);
  CHECK(node.group != nullptr);
  if (const auto* read = std::get_if<ReadIndex>(&event)) {
    node.reads[read->round] = known_committed();
  }
  node.group->Step(event, &update_);
  CarryOut(id, update_);
  return update_;
}

void World::CarryOut(NodeId id, const Update& update) {
  Node& node = nodes_.at(id);
  if (update.ticket.has_value()) {
    node.tickets.push_back(*update.ticket);
    node.requests.push_back({*update.ticket, update.hard_state, update.append});
  }
  for (const Outgoing& outgoing : update.messages) node.held.push_back(outgoing);
  Release(&node);
  Watch(id, update);
}

void World::Release(Node* node) {
  std::vector<Outgoing> still_held;
  for (Outgoing& outgoing : node->held) {
    if (outgoing.after > node->durable_sequence) {
      still_held.push_back(std::move(outgoing));
    } else {
      Queue(outgoing.message.from, outgoing.message.to).push_back(std::move(outgoing.message));
    }
  }
  node->held = std::move(still_held);
}

const Update& World::CompleteWrites(NodeId id, size_t n) {
  Node& node = nodes_.at(id);
  CHECK(n > 0 && n <= node.requests.size());
  Ticket newest;
  for (; n > 0; --n) {
    WriteTo(&node.disk, node.requests.front());
    newest = node.requests.front().ticket;
    node.requests.pop_front();
  }
  node.durable_sequence = newest.sequence;
  Release(&node);
  return Step(id, Persisted{newest});
}

void World::Flush(NodeId id, uint64_t index) {
  Node& node = nodes_.at(id);
  CHECK(index <= node.group->applied_index());
  if (index > node.disk.applied.index) {
    node.disk.applied = {index, node.group->TermAt(index)};
  }
}

const Update& World::CompactLog(NodeId id, uint64_t index) {
  Disk& disk = nodes_.at(id).disk;
  CHECK(index <= disk.applied.index);
  while (!disk.entries.empty() && disk.entries.front().index <= index) {
    disk.base = {disk.entries.front().index, disk.entries.front().term};
    disk.entries.erase(disk.entries.begin());
  }
  return Step(id, Compact{index});
}

bool World::Settle() {
  for (int round = 0; round < 10000; ++round) {
    bool moved = false;
    for (auto& [id, node] : nodes_) {
      if (node.group == nullptr || node.requests.empty()) continue;
      CompleteWrites(id, node.requests.size());
      moved = true;
    }
    for (auto& [link, queue] : network_) {
      while (!queue.empty()) {
        const Message message = std::move(queue.front());
        queue.pop_front();
        if (Runs(link.second)) Step(link.second, message);
        moved = true;
      }
    }
    if (!moved) return true;
  }
  return false;
}

void World::Watch(NodeId id, const Update& update) {
  Node& node = nodes_.at(id);
  const Group& group = *node.group;
  if (update.commit_index != group.commit_index()) Violation("the update's commit index is wrong");
  if (group.role() == Role::kLeader) {
    const auto [it, fresh] = leaders_.emplace(group.term(), id);
    if (!fresh && it->second != id) {
      Violation("two leaders in term " + std::to_string(group.term()));
    }
  }
  uint64_t& watched = watched_[id];
  if (update.commit_index < watched) Violation("the commit index went back");
  for (; watched < update.commit_index; ++watched) WatchCommit(id, watched + 1);
  for (uint64_t i = update.apply_first; i <= update.apply_last; ++i) {
    if (!node.disk.Contains({i, group.TermAt(i)})) {
      Violation("entry " + std::to_string(i) + " is applied before it is on disk");
    }
  }
  for (const ReadAnswer& answer : update.reads) {
    const auto read = node.reads.find(answer.round);
    if (read == node.reads.end()) {
      Violation("an answer to a read that was not asked");
      continue;
    }
    if (answer.confirmed()) {
      ++confirmed_reads_;
      if (answer.index < read->second) {
        Violation("a read at index " + std::to_string(answer.index) + " misses commit " +
                  std::to_string(read->second));
      }
    }
    node.reads.erase(read);
  }
}

void World::WatchCommit(NodeId id, uint64_t index) {
  const Group& group = *nodes_.at(id).group;
  if (index < group.first_index()) return;
  const Entry& entry = group.EntryAt(index);
  const auto [it, fresh] = committed_.emplace(index, entry);
  if (it->second.term != entry.term || it->second.payload != entry.payload) {
    Violation("node " + std::to_string(id) + " commits " + Text({index, entry.term}) +
              ", but committed was " + Text({index, it->second.term}));
  }
  if (fresh) WatchDurability(id, {index, entry.term});
}

// Whoever is the first to call an entry committed: it is on the disks of a quorum at that moment.
void World::WatchDurability(NodeId id, LogPosition committed) {
  const Membership& membership = nodes_.at(id).group->membership();
  for (const auto* voters : {&membership.voters, &membership.outgoing}) {
    size_t holders = 0;
    for (const NodeId voter : *voters) {
      if (!Exists(voter)) return;  // a scenario of one node with messages made by hand
      holders += nodes_.at(voter).disk.Contains(committed) ? 1 : 0;
    }
    if (2 * holders <= voters->size() && !voters->empty()) {
      Violation("entry " + Text(committed) + " is committed without a quorum of disks");
    }
  }
}

void World::Violation(const std::string& what) { violations_.push_back(what); }

}  // namespace holdfast::raft::testing
