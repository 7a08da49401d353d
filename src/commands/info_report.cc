#include "commands/info_report.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/hash.h"
#include "cluster/cluster.h"
#include "commands/client_list.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::Partition;

// Keys whose time to live goes into the average, per database and partition.
constexpr size_t kTtlSamples = 32;

void ReadDatabases(const Partition& partition, int64_t now_ms, CoreReport* report) {
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    const data::Database* database = partition.keyspace().Logical(db);
    if (database == nullptr) continue;
    DatabaseReport& sum = report->databases[db];
    sum.keys += database->table.size();
    sum.cold_keys += database->cold_keys;
    sum.expires += database->expiries.size();
    sum.object_bytes += database->object_bytes;
    sum.table_bytes += database->table.MemoryBytes();
    // Evenly spread over the heap, which is ordered only roughly.
    const size_t heap = database->expiries.size();
    const size_t step = std::max<size_t>(1, heap / kTtlSamples);
    for (size_t i = 0; i < heap; i += step) {
      sum.ttl_ms_sum += std::max<int64_t>(0, database->expiries.at(i).deadline_ms - now_ms);
      ++sum.ttl_samples;
    }
  }
}

PartitionReport ReadPartition(Core& core, Partition& partition) {
  PartitionReport report;
  report.number = partition.number();
  report.core = core.number();
  report.first_slot = partition.first_slot();
  report.last_slot = partition.last_slot();
  report.leads = partition.ready();
  const raft::Group& group = partition.replica()->group();
  report.role = group.role();
  report.leader = group.leader();
  report.term = group.term();
  report.last_index = group.last_index();
  report.commit_index = partition.commit_index();
  report.applied_index = partition.applied_index();
  report.log_bytes = group.log_bytes();
  report.elections_won = partition.replica()->elections_won();
  report.members = group.membership();
  for (const auto* ids :
       {&report.members.voters, &report.members.outgoing, &report.members.learners}) {
    for (const raft::NodeId id : *ids) {
      if (const auto status = group.StatusOf(id)) report.peers.emplace_back(id, *status);
    }
  }
  report.stored_index = core.persister().stored_index(&partition);
  report.snapshots = core.snapshots().LastOf(partition.number());
  report.memory_bytes = partition.keyspace().MemoryBytes();
  report.revision = partition.keyspace().max_revision();
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    const data::Database* database = partition.keyspace().Logical(db);
    if (database != nullptr) report.keys += database->table.size();
  }
  return report;
}

void ReadClients(const Core& core, CoreReport* report) {
  for (const auto& [id, client] : core.clients()) {
    report->max_input_bytes = std::max<uint64_t>(report->max_input_bytes, client->input_bytes());
    report->max_output_bytes = std::max<uint64_t>(report->max_output_bytes, client->output_bytes());
    report->client_memory_bytes += ClientMemory(*client);
    report->watched_keys += client->watched.size();
    if (!client->watched.empty()) ++report->watching_clients;
    if (client->subscribed()) ++report->subscribed_clients;
  }
  report->tracking_clients = core.tracking().clients();
  report->tracked_keys = core.tracking().keys();
  report->tracked_items = core.tracking().items();
  report->tracked_prefixes = core.tracking().prefixes();
}

void AddPersisted(const data::PersistStats& from, data::PersistStats* to) {
  to->jobs += from.jobs;
  to->effects += from.effects;
  to->records_written += from.records_written;
  to->records_deleted += from.records_deleted;
  to->records_skipped += from.records_skipped;
  to->base_reads += from.base_reads;
  to->bytes_written += from.bytes_written;
}

void ReadSubscriptions(Core& core, CoreReport* report) {
  for (size_t i = 0; i < report->listened.size(); ++i) {
    const auto kind = static_cast<engine::SubscriptionKind>(i);
    std::vector<uint64_t>& hashes = report->listened[i];
    if (core.engine().cores() == 1) {
      // Nothing to compare with: their number is enough.
      hashes.resize(core.pubsub().names(kind));
      continue;
    }
    core.pubsub().ForEachName(kind,
                              [&hashes](std::string_view name) { hashes.push_back(Hash64(name)); });
    std::sort(hashes.begin(), hashes.end());
  }
}

}  // namespace

CoreReport ReadCore(Core& core, bool with_commands) {
  CoreReport report;
  engine::CoreStats* stats = core.stats();
  if (with_commands) {
    report.stats = *stats;
  } else {
    std::vector<engine::CommandStats> aside;
    aside.swap(stats->commands);
    report.stats = *stats;
    aside.swap(stats->commands);
  }
  report.rates = core.rates().PerSecond();
  for (const auto& partition : core.partitions()) {
    // The meta group's records are in no database of SELECT's.
    if (partition->number() < core.engine().partitions()) {
      ReadDatabases(*partition, core.NowMs(), &report);
    }
    report.partitions.push_back(ReadPartition(core, *partition));
    report.blocked_with_deadline += partition->blocked().with_deadline();
    partition->blocked().ForEachKey(
        [&report](uint32_t, std::string_view) { ++report.blocking_keys; });
  }
  ReadClients(core, &report);
  ReadSubscriptions(core, &report);
  report.log_pending_bytes = core.log().pending_bytes();
  report.log_segment_bytes = core.log().segment_bytes();
  report.log_frames = core.log().frames();
  report.free_disk_bytes = core.log().free_bytes();
  report.persister_pending_bytes = core.persister().pending_bytes();
  report.keys_to_free = core.persister().keys_to_free();
  report.keys_freed = core.persister().keys_freed();
  AddPersisted(core.persister().stats(), &report.persisted);
  report.max_turn_ns.push_back(report.stats.max_turn_ns);
  return report;
}

void CoreReport::Merge(CoreReport&& other) {
  stats.Merge(other.stats);
  rates.commands += other.rates.commands;
  rates.input_bytes += other.rates.input_bytes;
  rates.output_bytes += other.rates.output_bytes;
  for (size_t db = 0; db < databases.size(); ++db) {
    DatabaseReport& to = databases[db];
    const DatabaseReport& from = other.databases[db];
    to.keys += from.keys;
    to.expires += from.expires;
    to.ttl_ms_sum += from.ttl_ms_sum;
    to.ttl_samples += from.ttl_samples;
    to.cold_keys += from.cold_keys;
    to.object_bytes += from.object_bytes;
    to.table_bytes += from.table_bytes;
  }
  partitions.insert(partitions.end(), other.partitions.begin(), other.partitions.end());
  max_input_bytes = std::max(max_input_bytes, other.max_input_bytes);
  max_output_bytes = std::max(max_output_bytes, other.max_output_bytes);
  client_memory_bytes += other.client_memory_bytes;
  watched_keys += other.watched_keys;
  blocking_keys += other.blocking_keys;
  blocked_with_deadline += other.blocked_with_deadline;
  watching_clients += other.watching_clients;
  subscribed_clients += other.subscribed_clients;
  tracking_clients += other.tracking_clients;
  tracked_keys += other.tracked_keys;
  tracked_items += other.tracked_items;
  tracked_prefixes += other.tracked_prefixes;
  for (size_t kind = 0; kind < listened.size(); ++kind) {
    std::vector<uint64_t> both;
    std::set_union(listened[kind].begin(), listened[kind].end(), other.listened[kind].begin(),
                   other.listened[kind].end(), std::back_inserter(both));
    listened[kind] = std::move(both);
  }
  log_pending_bytes += other.log_pending_bytes;
  log_segment_bytes += other.log_segment_bytes;
  log_frames += other.log_frames;
  free_disk_bytes = std::min(free_disk_bytes, other.free_disk_bytes);
  persister_pending_bytes += other.persister_pending_bytes;
  keys_to_free += other.keys_to_free;
  keys_freed += other.keys_freed;
  AddPersisted(other.persisted, &persisted);
  max_turn_ns.insert(max_turn_ns.end(), other.max_turn_ns.begin(), other.max_turn_ns.end());
}

CoreReport MergeReports(std::vector<CoreReport>& reports) {
  CoreReport all = std::move(reports[0]);
  for (size_t i = 1; i < reports.size(); ++i) all.Merge(std::move(reports[i]));
  std::sort(all.partitions.begin(), all.partitions.end(),
            [](const PartitionReport& a, const PartitionReport& b) { return a.number < b.number; });
  return all;
}

std::vector<ReplicaReport> ReadReplicas(Core& core, const CoreReport& report) {
  std::vector<ReplicaReport> replicas;
  const engine::Engine& engine = core.engine();
  if (!engine.in_cluster()) return replicas;
  for (const auto& [id, record] : engine.cluster->view(core).nodes) {
    if (!record.present() || core.transport()->Link(id) == nullptr) continue;
    const std::string& address =
        record.client_address.empty() ? record.cluster_address : record.client_address;
    const size_t colon = address.rfind(':');
    ReplicaReport replica{address.substr(0, colon), address.substr(colon + 1), 0};
    for (const PartitionReport& partition : report.partitions) {
      for (const auto& [peer, status] : partition.peers) {
        if (peer == id) replica.held += std::min(status.match, partition.commit_index);
      }
    }
    replicas.push_back(std::move(replica));
  }
  return replicas;
}

uint64_t CommittedEntries(const CoreReport& report) {
  uint64_t committed = 0;
  for (const PartitionReport& partition : report.partitions) committed += partition.commit_index;
  return committed;
}

}  // namespace holdfast::commands
