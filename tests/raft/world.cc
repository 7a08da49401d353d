#include "world.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "raft/membership.h"

namespace holdfast::raft::testing {

namespace {

std::string Text(LogPosition position) {
  return std::to_string(position.index) + "@" + std::to_string(position.term);
}

bool SamePayload(const Entry& a, const Entry& b) {
  const auto bytes = [](const Entry& entry) {
    return entry.payload == nullptr ? std::string_view() : std::string_view(*entry.payload);
  };
  return a.kind == b.kind && bytes(a) == bytes(b);
}

void WriteTo(Disk* disk, const Request& request) {
  if (request.hard_state.has_value()) disk->hard_state = *request.hard_state;
  if (request.reset.has_value()) {
    disk->base = *request.reset;
    disk->entries.clear();
  }
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
  if (nodes_.size() == 1 && node.disk.applied.index == 0) founding_ = node.disk.membership;
  if (founding_ != node.disk.membership) founding_.reset();  // several groups, or one under way
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
  restored.installed = restored.applied.index > 0 && restored.applied == node.disk.installed;
  auto group = Group::Create(node.config, std::move(restored));
  if (!group.ok()) return group.status();
  node.group = std::move(group).value();
  watched_[id] = node.group->commit_index();
  WatchMembership(id);
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
    node.requests.push_back({*update.ticket, update.hard_state, update.reset, update.append});
  }
  for (const Outgoing& outgoing : update.messages) node.held.push_back(outgoing);
  Release(&node);
  Watch(id, update);
  if (observer_ != nullptr) observer_(id, update);
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
  for (uint64_t i = node.disk.applied.index + 1; i <= index; ++i) {
    const Entry& entry = node.group->EntryAt(i);
    node.disk.applied = {i, entry.term};
    if (entry.kind != EntryKind::kConfiguration) continue;
    node.disk.membership = DecodeMembership(*entry.payload).value();
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

Snapshot World::TakeSnapshot(NodeId from) {
  const Node& node = nodes_.at(from);
  return {.last = node.disk.applied,
          .membership = node.disk.membership,
          .term = node.group->term(),
          .leader = node.group->leader()};
}

bool World::SwitchIn(NodeId to, const Snapshot& snapshot) {
  Node& node = nodes_.at(to);
  if (!node.group->WantsSnapshot(snapshot.last)) return false;
  node.disk.applied = snapshot.last;
  node.disk.membership = snapshot.membership;
  node.disk.installed = snapshot.last;
  return true;
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
  if (update.installed.has_value()) {
    const auto committed = committed_.find(update.installed->index);
    if (committed != committed_.end() && committed->second.term != update.installed->term) {
      Violation("a snapshot ends at another entry than was committed there");
    }
  }
  if (update.membership_changed || update.installed.has_value() || !update.append.empty()) {
    WatchMembership(id);
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
  if (it->second.term != entry.term || !SamePayload(it->second, entry)) {
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

// The membership in force is that of the last configuration in the log, whoever knows it as
// committed or not; what is no longer in memory was committed. A leader has one change of its own
// in flight.
void World::WatchMembership(NodeId id) {
  const Group& group = *nodes_.at(id).group;
  size_t in_flight = 0;
  const Entry* last = nullptr;
  for (uint64_t i = group.first_index(); i <= group.last_index(); ++i) {
    const Entry& entry = group.EntryAt(i);
    if (entry.kind != EntryKind::kConfiguration) continue;
    last = &entry;
    in_flight += i > group.commit_index() && entry.term == group.term() ? 1 : 0;
  }
  if (group.role() == Role::kLeader && in_flight > 1)
    Violation("two changes of membership at once");
  for (auto it = committed_.upper_bound(group.first_index() - 1);
       last == nullptr && it != committed_.begin();) {
    --it;
    if (it->second.kind == EntryKind::kConfiguration) last = &it->second;
  }
  if (last == nullptr && !founding_.has_value()) return;  // a scenario that begins in the middle
  const Membership expected =
      last == nullptr ? *founding_ : DecodeMembership(*last->payload).value();
  if (expected != group.membership()) {
    Violation("node " + std::to_string(id) + " goes by a membership that is not in its log");
  }
}

void World::Violation(const std::string& what) { violations_.push_back(what); }

}  // namespace holdfast::raft::testing
