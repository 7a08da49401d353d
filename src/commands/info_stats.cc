// INFO stats, commandstats, errorstats and latencystats.
#include "commands/info_sections.h"

namespace holdfast::commands {
namespace {

using engine::SubscriptionKind;

double Kbps(uint64_t bytes) { return static_cast<double>(bytes) / 1024; }

}  // namespace

void WriteStats(const InfoContext& info, std::string* out) {
  const engine::CoreStats& stats = info.report.stats;
  uint64_t errors = 0;
  for (const auto& [prefix, count] : stats.errors) errors += count;
  Add(out, "# Stats");
  Add(out, "total_connections_received:{}", stats.connections_received);
  Add(out, "total_commands_processed:{}", stats.commands_processed);
  Add(out, "instantaneous_ops_per_sec:{}", info.report.rates.commands);
  Add(out, "total_net_input_bytes:{}", stats.input_bytes);
  Add(out, "total_net_output_bytes:{}", stats.output_bytes);
  Add(out, "total_net_repl_input_bytes:0");
  Add(out, "total_net_repl_output_bytes:0");
  Add(out, "instantaneous_input_kbps:{:.2f}", Kbps(info.report.rates.input_bytes));
  Add(out, "instantaneous_output_kbps:{:.2f}", Kbps(info.report.rates.output_bytes));
  Add(out, "instantaneous_input_repl_kbps:0.00");
  Add(out, "instantaneous_output_repl_kbps:0.00");
  Add(out, "rejected_connections:{}", stats.connections_rejected);
  Add(out, "tls_connections:{}", stats.tls_connections);
  Add(out, "tls_handshake_failures:{}", stats.tls_handshake_failures);
  Add(out, "sync_full:0");
  Add(out, "sync_partial_ok:0");
  Add(out, "sync_partial_err:0");
  Add(out, "expired_keys:{}", stats.expired_keys);
  Add(out, "evicted_keys:{}", stats.evicted_keys);
  Add(out, "evicted_clients:{}", stats.evicted_clients);
  Add(out, "values_dropped:{}", stats.values_dropped);
  Add(out, "values_loaded:{}", stats.values_loaded);
  Add(out, "keyspace_hits:{}", stats.keyspace_hits);
  Add(out, "keyspace_misses:{}", stats.keyspace_misses);
  Add(out, "pubsub_channels:{}", info.report.Listened(SubscriptionKind::kChannel));
  Add(out, "pubsub_patterns:{}", info.report.Listened(SubscriptionKind::kPattern));
  Add(out, "pubsubshard_channels:{}", info.report.Listened(SubscriptionKind::kShardChannel));
  Add(out, "latest_fork_usec:0");
  Add(out, "total_forks:0");
  Add(out, "migrate_cached_sockets:0");
  Add(out, "slave_expires_tracked_keys:0");
  Add(out, "active_defrag_hits:0");
  Add(out, "active_defrag_misses:0");
  Add(out, "active_defrag_key_hits:0");
  Add(out, "active_defrag_key_misses:0");
  Add(out, "total_active_defrag_time:0");
  Add(out, "current_active_defrag_time:0");
  Add(out, "tracking_total_keys:{}", info.report.tracked_keys);
  Add(out, "tracking_total_items:{}", info.report.tracked_items);
  Add(out, "tracking_total_prefixes:{}", info.report.tracked_prefixes);
  Add(out, "forwarded_requests_sent:{}", stats.forwarded_sent);
  Add(out, "forwarded_requests_received:{}", stats.forwarded_received);
  Add(out, "forwarded_requests_refused:{}", stats.forwarded_refused);
  Add(out, "forwarded_requests_in_doubt:{}", stats.forwarded_in_doubt);
  Add(out, "forwarded_requests_waiting:{}", stats.forwarded_waiting);
  Add(out, "follower_reads:{}", stats.follower_reads);
  Add(out, "publications_sent:{}", stats.publications_sent);
  Add(out, "publications_received:{}", stats.publications_received);
  Add(out, "publications_dropped:{}", stats.publications_dropped);
  Add(out, "unexpected_error_replies:{}", stats.unexpected_errors);
  Add(out, "total_error_replies:{}", errors);
  Add(out, "dump_payload_sanitizations:0");
  Add(out, "total_reads_processed:{}", stats.reads);
  Add(out, "total_writes_processed:{}", stats.writes);
  Add(out, "io_threaded_reads_processed:0");
  Add(out, "io_threaded_writes_processed:0");
  Add(out, "client_query_buffer_limit_disconnections:{}", stats.query_buffer_limit_disconnections);
  Add(out, "client_output_buffer_limit_disconnections:{}",
      stats.output_buffer_limit_disconnections);
}

void WriteCommandstats(const InfoContext& info, std::string* out) {
  Add(out, "# Commandstats");
  const engine::CommandTable& table = info.engine.commands();
  for (uint32_t id = 0; id < info.report.stats.commands.size(); ++id) {
    const engine::CommandStats& stats = info.report.stats.commands[id];
    if (stats.calls == 0 && stats.rejected == 0 && stats.failed == 0) continue;
    const uint64_t usec = stats.ns / 1000;
    const double per_call =
        stats.calls == 0 ? 0.0
                         : static_cast<double>(stats.ns) / 1000 / static_cast<double>(stats.calls);
    Add(out, "cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}",
        FullName(table.ById(id)), stats.calls, usec, per_call, stats.rejected, stats.failed);
  }
}

void WriteErrorstats(const InfoContext& info, std::string* out) {
  Add(out, "# Errorstats");
  for (const auto& [prefix, count] : info.report.stats.errors) {
    Add(out, "errorstat_{}:count={}", prefix, count);
  }
}

void WriteLatencystats(const InfoContext& info, std::string* out) {
  Add(out, "# Latencystats");
  if (!info.config.latency_tracking) return;
  const engine::CommandTable& table = info.engine.commands();
  for (uint32_t id = 0; id < info.report.stats.commands.size(); ++id) {
    const engine::LatencyHistogram& latency = info.report.stats.commands[id].latency;
    if (latency.count() == 0) continue;
    std::string line;
    for (const double percentile : info.config.latency_percentiles) {
      if (!line.empty()) line += ',';
      line += fmt::format("p{}={:.3f}", ShortPercentile(percentile),
                          static_cast<double>(latency.Percentile(percentile)) / 1000);
    }
    Add(out, "latency_percentiles_usec_{}:{}", FullName(table.ById(id)), line);
  }
}

}  // namespace holdfast::commands
