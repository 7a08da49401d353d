// What INFO, LATENCY HISTOGRAM and MEMORY STATS read from the cores.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/record.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/rates.h"
#include "engine/stats.h"
#include "raft/raft.h"

namespace holdfast::commands {

struct DatabaseReport {
  uint64_t keys = 0;
  uint64_t cold_keys = 0;  // of these, whose values are not in memory
  uint64_t expires = 0;
  int64_t ttl_ms_sum = 0;  // of a sample of the keys with an expiry time
  uint64_t ttl_samples = 0;
  uint64_t object_bytes = 0;
  uint64_t table_bytes = 0;
};

struct PartitionReport {
  uint32_t number = 0;
  uint32_t core = 0;
  uint16_t first_slot = 0;
  uint16_t last_slot = 0;
  bool leads = false;
  raft::Role role = raft::Role::kFollower;
  uint64_t leader = 0;  // node id, 0 = unknown
  uint64_t term = 0;
  uint64_t last_index = 0;
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  uint64_t log_bytes = 0;      // of entries in memory
  uint64_t elections_won = 0;  // since the start
  raft::Membership members;
  // Of the other members, where this node leads.
  std::vector<std::pair<uint64_t, raft::PeerStatus>> peers;
  uint64_t stored_index = 0;  // the last entry that LevelDB holds
  engine::Snapshots::Last snapshots;
  uint64_t keys = 0;
  uint64_t memory_bytes = 0;
  uint64_t revision = 0;  // the largest
};

// Of one core, or of several together.
struct CoreReport {
  engine::CoreStats stats;
  engine::RateMeter::Totals rates;
  std::array<DatabaseReport, data::kLogicalDatabases> databases{};
  std::vector<PartitionReport> partitions;

  uint64_t max_input_bytes = 0;  // of the client with the most
  uint64_t max_output_bytes = 0;
  uint64_t client_memory_bytes = 0;
  uint64_t watched_keys = 0;
  uint64_t blocking_keys = 0;
  uint64_t blocked_with_deadline = 0;
  uint64_t watching_clients = 0;
  uint64_t subscribed_clients = 0;
  uint64_t tracking_clients = 0;
  uint64_t tracked_keys = 0;
  uint64_t tracked_items = 0;
  uint64_t tracked_prefixes = 0;
  // Hashes of the names that are listened to, by kind: a name may be on several cores.
  std::array<std::vector<uint64_t>, engine::kSubscriptionKinds> listened;

  uint64_t log_pending_bytes = 0;  // submitted and not durable
  uint64_t log_segment_bytes = 0;
  uint64_t log_frames = 0;
  uint64_t free_disk_bytes = UINT64_MAX;
  uint64_t persister_pending_bytes = 0;
  uint64_t keys_to_free = 0;  // on the persister thread
  uint64_t keys_freed = 0;    // there, since CONFIG RESETSTAT
  data::PersistStats persisted;
  // By core: the longest turn since CONFIG RESETSTAT, in nanoseconds.
  std::vector<uint64_t> max_turn_ns;

  void Merge(CoreReport&& other);
  // How many different names of a kind clients listen to.
  size_t Listened(engine::SubscriptionKind kind) const {
    return listened[static_cast<size_t>(kind)].size();
  }
};

// Reads this core. `with_commands`: also the statistics of every command, which take more to copy.
// Loop thread of the core.
CoreReport ReadCore(engine::Core& core, bool with_commands);

// All cores' reports as one. REQUIRES: not empty.
CoreReport MergeReports(std::vector<CoreReport>& reports);

// Another node of the cluster that can be reached, as Redis shows a replica.
struct ReplicaReport {
  std::string host;
  std::string port;
  uint64_t held = 0;  // of the committed entries of the partitions that are led here
};
// As of this core. Loop thread of the core.
std::vector<ReplicaReport> ReadReplicas(engine::Core& core, const CoreReport& report);
// Committed entries of all partitions: grows with every write, and only then.
uint64_t CommittedEntries(const CoreReport& report);

}  // namespace holdfast::commands
