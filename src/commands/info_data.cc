// INFO persistence, replication, cluster, keyspace and holdfast.
#include <algorithm>

#include "commands/info_sections.h"

namespace holdfast::commands {
void WritePersistence(const InfoContext& info, std::string* out) {
  const CoreReport& report = info.report;
  Add(out, "# Persistence");
  Add(out, "loading:0");
  Add(out, "async_loading:0");
  Add(out, "current_cow_peak:0");
  Add(out, "current_cow_size:0");
  Add(out, "current_cow_size_age:0");
  Add(out, "current_fork_perc:0.00");
  Add(out, "current_save_keys_processed:0");
  Add(out, "current_save_keys_total:0");
  // Since the last SAVE or BGSAVE. All of them are durable; the stores get them by themselves too.
  Add(out, "rdb_changes_since_last_save:{}",
      report.stats.effects - std::min(report.stats.effects, report.stats.effects_at_save));
  const bool saving = info.engine.saving.load();
  const int64_t began_ms = info.engine.save_begin_ms.load();
  const int64_t now_ms = info.core.clock().MonotonicMs();
  Add(out, "rdb_bgsave_in_progress:{}", saving ? 1 : 0);
  Add(out, "rdb_last_save_time:{}", LastSaveSeconds(info.core));
  Add(out, "rdb_last_bgsave_status:ok");
  const int64_t took_ms = info.engine.last_save_took_ms.load();
  Add(out, "rdb_last_bgsave_time_sec:{}", took_ms < 0 ? -1 : took_ms / 1000);
  Add(out, "rdb_current_bgsave_time_sec:{}", saving ? (now_ms - began_ms) / 1000 : -1);
  Add(out, "rdb_saves:{}", info.engine.saves.load());
  Add(out, "rdb_last_cow_size:0");
  Add(out, "rdb_last_load_keys_expired:0");
  Add(out, "rdb_last_load_keys_loaded:0");
  // The log stands for Redis's append-only file. Its failure ends the process.
  Add(out, "aof_enabled:1");
  Add(out, "aof_rewrite_in_progress:0");
  Add(out, "aof_rewrite_scheduled:0");
  Add(out, "aof_last_rewrite_time_sec:-1");
  Add(out, "aof_current_rewrite_time_sec:-1");
  Add(out, "aof_last_bgrewrite_status:ok");
  Add(out, "aof_rewrites:0");
  Add(out, "aof_rewrites_consecutive_failures:0");
  Add(out, "aof_last_write_status:ok");
  Add(out, "aof_last_cow_size:0");
  Add(out, "module_fork_in_progress:0");
  Add(out, "module_fork_last_cow_size:0");
  Add(out, "aof_current_size:{}", report.log_segment_bytes);
  Add(out, "aof_base_size:0");
  Add(out, "aof_pending_rewrite:0");
  Add(out, "aof_buffer_length:{}", report.log_pending_bytes);
  Add(out, "aof_pending_bio_fsync:0");
  Add(out, "aof_delayed_fsync:0");
}

void WriteReplication(const InfoContext& info, std::string* out) {
  const std::vector<ReplicaReport> replicas = ReadReplicas(info.core, info.report);
  Add(out, "# Replication");
  // Every node takes every command.
  Add(out, "role:master");
  // What WAIT may answer at most.
  Add(out, "connected_slaves:{}", replicas.size());
  for (size_t i = 0; i < replicas.size(); ++i) {
    Add(out, "slave{}:ip={},port={},state=online,offset={},lag=0", i, replicas[i].host,
        replicas[i].port, replicas[i].held);
  }
  Add(out, "master_failover_state:no-failover");
  Add(out, "master_replid:{}", RunId(info.engine));
  Add(out, "master_replid2:{:040}", 0);
  Add(out, "master_repl_offset:{}", CommittedEntries(info.report));
  Add(out, "second_repl_offset:-1");
  Add(out, "repl_backlog_active:0");
  Add(out, "repl_backlog_size:{}", info.config.repl_backlog_bytes);
  Add(out, "repl_backlog_first_byte_offset:0");
  Add(out, "repl_backlog_histlen:0");
}

// Redis Cluster is another protocol: a client that believes in it would ask for slots and follow
// MOVED, which no node here sends on this port.
void WriteCluster(const InfoContext&, std::string* out) {
  Add(out, "# Cluster");
  Add(out, "cluster_enabled:0");
}

namespace {

std::string_view NameOf(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "follower";
    case raft::Role::kPreCandidate:
      return "pre-candidate";
    case raft::Role::kCandidate:
      return "candidate";
    case raft::Role::kLeader:
      return "leader";
  }
  return "";
}

// What follows `prefix` is the partition's number; the meta group's has none.
std::string NameOf(const InfoContext& info, std::string_view prefix, uint32_t partition) {
  if (partition >= info.engine.partitions()) return "meta";
  return std::string(prefix) + std::to_string(partition);
}

}  // namespace

// One line for each partition, and one for each other member of those that this node leads.
void WriteRaft(const InfoContext& info, std::string* out) {
  Add(out, "# Raft");
  Add(out, "node_id:{:016x}", info.engine.identity().node_id);
  Add(out, "cluster_id:{:016x}", info.engine.identity().cluster_id);
  for (const PartitionReport& partition : info.report.partitions) {
    const std::string name = NameOf(info, "partition_", partition.number);
    Add(out,
        "{}:role={},leader={:016x},term={},commit={},applied={},last={},stored={},log_bytes={},"
        "elections={},voters={},learners={}",
        name, NameOf(partition.role), partition.leader, partition.term, partition.commit_index,
        partition.applied_index, partition.last_index, partition.stored_index, partition.log_bytes,
        partition.elections_won, partition.members.voters.size(),
        partition.members.learners.size());
    for (const auto& [id, peer] : partition.peers) {
      Add(out, "{}_peer_{:016x}:match={},lag={},lag_bytes={},active={},snapshot={}", name, id,
          peer.match, partition.last_index - std::min(partition.last_index, peer.match),
          peer.lag_bytes, peer.active ? 1 : 0, peer.snapshot ? 1 : 0);
    }
  }
}

void WriteKeyspace(const InfoContext& info, std::string* out) {
  Add(out, "# Keyspace");
  for (size_t db = 0; db < info.report.databases.size(); ++db) {
    const DatabaseReport& database = info.report.databases[db];
    if (database.keys == 0) continue;
    const int64_t average_ms =
        database.ttl_samples == 0
            ? 0
            : database.ttl_ms_sum / static_cast<int64_t>(database.ttl_samples);
    Add(out, "db{}:keys={},expires={},avg_ttl={}", db, database.keys, database.expires, average_ms);
  }
}

void WriteHoldfast(const InfoContext& info, std::string* out) {
  const CoreReport& report = info.report;
  const storage::Identity& identity = info.engine.identity();
  Add(out, "# Holdfast");
  Add(out, "node_id:{:016x}", identity.node_id);
  Add(out, "boot:{}", identity.boot);
  Add(out, "cores:{}", info.engine.cores());
  Add(out, "partitions:{}", info.engine.partitions());
  Add(out, "durability:{}", info.config.durability == engine::Durability::kFsync ? "fsync" : "os");
  Add(out, "wal_pending_bytes:{}", report.log_pending_bytes);
  Add(out, "wal_segment_bytes:{}", report.log_segment_bytes);
  // Each frame is one write and, with durability fsync, one fdatasync.
  Add(out, "wal_frames:{}", report.log_frames);
  Add(out, "disk_free_bytes:{}", report.free_disk_bytes);
  Add(out, "persister_pending_bytes:{}", report.persister_pending_bytes);
  Add(out, "persister_jobs:{}", report.persisted.jobs);
  Add(out, "persister_effects:{}", report.persisted.effects);
  Add(out, "persister_records_written:{}", report.persisted.records_written);
  Add(out, "persister_records_deleted:{}", report.persisted.records_deleted);
  Add(out, "persister_bytes_written:{}", report.persisted.bytes_written);
  Add(out, "effects:{}", report.stats.effects);
  for (size_t core = 0; core < report.max_turn_ns.size(); ++core) {
    Add(out, "core{}:max_turn_us={}", core, report.max_turn_ns[core] / 1000);
  }
  for (const PartitionReport& p : report.partitions) {
    Add(out,
        "{}:role={},core={},slots={}-{},term={},last={},committed={},stored={},keys={},bytes={},"
        "revision={},snapshot_sent={},snapshot_installed={}",
        NameOf(info, "partition", p.number), p.leads ? "leader" : "follower", p.core, p.first_slot,
        p.last_slot, p.term, p.last_index, p.commit_index, p.stored_index, p.keys, p.memory_bytes,
        p.revision, p.snapshots.sent_index, p.snapshots.installed_index);
  }
}

}  // namespace holdfast::commands
