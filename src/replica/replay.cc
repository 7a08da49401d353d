#include "replica/replay.h"

#include <memory>
#include <string>
#include <utility>

namespace holdfast::replica {
namespace {

raft::EntryKind EntryKindOf(storage::WalKind kind) {
  switch (kind) {
    case storage::WalKind::kNoop:
      return raft::EntryKind::kNoop;
    case storage::WalKind::kConfiguration:
      return raft::EntryKind::kConfiguration;
    default:
      return raft::EntryKind::kData;
  }
}

std::string Name(uint32_t partition) { return "the log of partition " + std::to_string(partition); }

}  // namespace

LogReplay::LogReplay(std::vector<Stored> stored) {
  for (Stored& store : stored) {
    Group group;
    group.partition = store.partition;
    group.restored.applied = store.applied;
    group.restored.membership = std::move(store.membership);
    groups_.push_back(std::move(group));
  }
}

LogReplay::Group* LogReplay::Find(uint32_t partition) {
  for (Group& group : groups_) {
    if (group.partition == partition) return &group;
  }
  return nullptr;
}

Status LogReplay::Take(const storage::WalRecord& record) {
  Group* group = Find(record.partition);
  if (group == nullptr) {
    return Status::Corruption(Name(record.partition) + " is there, but not the partition");
  }
  if (record.kind == storage::WalKind::kHardState) return Status::Ok();
  std::vector<raft::Entry>& tail = group->restored.entries;
  const raft::LogPosition& applied = group->restored.applied;
  if (record.kind == storage::WalKind::kReset) {
    tail.clear();
    group->missing = 0;
    group->term_at_applied = record.index == applied.index ? record.term : 0;
    if (record.index <= applied.index) return Status::Ok();
    return Status::Corruption(Name(record.partition) + " begins behind what its store contains");
  }
  // An entry replaces whatever stood at its index and behind it.
  while (!tail.empty() && tail.back().index >= record.index) tail.pop_back();
  group->missing = 0;
  if (record.index <= applied.index) {
    group->term_at_applied = record.index == applied.index ? record.term : 0;
    return Status::Ok();
  }
  const uint64_t expected = tail.empty() ? applied.index + 1 : tail.back().index + 1;
  if (record.index == expected) {
    TakeEntry(record, &tail);
  } else {
    group->missing = expected;
  }
  return Status::Ok();
}

void LogReplay::TakeEntry(const storage::WalRecord& record, std::vector<raft::Entry>* tail) {
  raft::Entry entry;
  entry.term = record.term;
  entry.index = record.index;
  entry.kind = EntryKindOf(record.kind);
  if (entry.kind != raft::EntryKind::kNoop) {
    entry.payload = std::make_shared<const std::string>(record.payload);
  }
  tail->push_back(std::move(entry));
}

// A snapshot is switched in before the log is reset (PITFALLS P15). A crash between the two leaves
// a log whose entry at the snapshot's place, if it reaches that far, may be of another history:
// then everything behind it is, too. A log that does have the snapshot's entry goes on behind it.
// A group that may have such a log resets it before it writes anything else (Restored::installed):
// what it appends would be taken for that other history at the next start.
Result<std::vector<raft::Restored>> LogReplay::Finish(const storage::HardStates& hard_states) {
  std::vector<raft::Restored> restored;
  for (Group& group : groups_) {
    if (const auto it = hard_states.find(group.partition); it != hard_states.end()) {
      group.restored.hard_state = {it->second.term, it->second.vote};
    }
    if (group.term_at_applied != 0 && group.term_at_applied != group.restored.applied.term) {
      group.restored.entries.clear();
      group.missing = 0;
    }
    if (group.missing != 0) {
      return Status::Corruption(Name(group.partition) + " lacks entries from index " +
                                std::to_string(group.missing) + " on");
    }
    group.restored.installed = group.restored.applied.index > 0 && group.restored.entries.empty() &&
                               group.term_at_applied != group.restored.applied.term;
    restored.push_back(std::move(group.restored));
  }
  return restored;
}

}  // namespace holdfast::replica
