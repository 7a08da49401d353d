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

LogReplay::LogReplay(uint64_t node, const std::vector<raft::LogPosition>& applied) {
  for (const raft::LogPosition& position : applied) {
    raft::Restored group;
    group.applied = position;
    group.membership.voters = {node};
    groups_.push_back(std::move(group));
  }
}

Status LogReplay::Take(const storage::WalRecord& record) {
  if (record.partition >= groups_.size()) {
    return Status::Corruption(Name(record.partition) + " is there, but not the partition");
  }
  if (record.kind == storage::WalKind::kHardState) return Status::Ok();
  raft::Restored& group = groups_[record.partition];
  std::vector<raft::Entry>& tail = group.entries;
  if (record.kind == storage::WalKind::kReset) {
    tail.clear();
    if (record.index <= group.applied.index) return Status::Ok();
    return Status::Corruption(Name(record.partition) + " begins behind what its store contains");
  }
  // An entry replaces whatever stood at its index and behind it.
  while (!tail.empty() && tail.back().index >= record.index) tail.pop_back();
  if (record.index <= group.applied.index) return Status::Ok();
  const uint64_t expected = tail.empty() ? group.applied.index + 1 : tail.back().index + 1;
  if (record.index != expected) {
    return Status::Corruption(Name(record.partition) + " lacks entries before index " +
                              std::to_string(record.index));
  }
  raft::Entry entry;
  entry.term = record.term;
  entry.index = record.index;
  entry.kind = EntryKindOf(record.kind);
  if (entry.kind != raft::EntryKind::kNoop) {
    entry.payload = std::make_shared<const std::string>(record.payload);
  }
  tail.push_back(std::move(entry));
  return Status::Ok();
}

std::vector<raft::Restored> LogReplay::Finish(const storage::HardStates& hard_states) {
  for (const auto& [partition, state] : hard_states) {
    if (partition < groups_.size()) {
      groups_[partition].hard_state = {state.term, state.vote};
    }
  }
  return std::move(groups_);
}

}  // namespace holdfast::replica
