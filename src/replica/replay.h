// From the records of the write-ahead log to what each Raft group starts with. Start-up only, one
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "raft/types.h"
#include "storage/wal.h"

namespace holdfast::replica {

class LogReplay {
 public:
  // `applied[p]`: the last entry that the store of partition p contains; entries up to there are
  // skipped. `node` is the only voter of every group that has no other membership.
  LogReplay(uint64_t node, const std::vector<raft::LogPosition>& applied);

  // Takes the next record, in the order of recovery. Corruption when the log contradicts the
  // stores or itself: a gap, a partition that doesn't exist.
  Status Take(const storage::WalRecord& record);

  // What the groups start with, by partition. Ends the replay.
  std::vector<raft::Restored> Finish(const storage::HardStates& hard_states);

 private:
  std::vector<raft::Restored> groups_;
};

}  // namespace holdfast::replica
