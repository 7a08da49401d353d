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
  // What the store of one partition says.
  struct Stored {
    uint32_t partition = 0;
    raft::LogPosition applied;  // the last entry that it contains; entries up to there are skipped
    raft::Membership membership;
  };
  explicit LogReplay(std::vector<Stored> stored);

  // Takes the next record, in the order of recovery. Corruption when the log contradicts the
  // stores: a partition that doesn't exist, a log that begins behind what its store contains.
  Status Take(const storage::WalRecord& record);

  // What the groups start with, in the order of `stored`. Ends the replay. Corruption when entries
  // are missing.
  Result<std::vector<raft::Restored>> Finish(const storage::HardStates& hard_states);

 private:
  struct Group {
    uint32_t partition = 0;
    raft::Restored restored;
    // The log's term at the applied index; 0 when the log doesn't have that entry (any more).
    uint64_t term_at_applied = 0;
    // The first entry that is missing before the last one seen; 0: none is. What stands behind it
    // is void, and a later record has to replace it: a segment whose entries were all replaced or
    // applied is removed, and the next one may begin with what followed those.
    uint64_t missing = 0;
  };
  Group* Find(uint32_t partition);
  static void TakeEntry(const storage::WalRecord& record, std::vector<raft::Entry>* tail);

  std::vector<Group> groups_;
};

}  // namespace holdfast::replica
