// MEMORY without USAGE, which looks at a key.
#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "commands/deferred.h"
#include "commands/info_report.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::SessionContext;
using resp::Writer;

// A map whose number of fields is counted as they are written.
class MapWriter {
 public:
  explicit MapWriter(Writer& reply) : reply_(reply), mark_(reply.Mark()) {}
  void Integer(std::string_view name, uint64_t value) {
    Name(name);
    reply_.Integer(static_cast<int64_t>(value));
  }
  void Double(std::string_view name, double value) {
    Name(name);
    reply_.Double(value);
  }
  void Name(std::string_view name) {
    reply_.Bulk(name);
    ++fields_;
  }
  void End() { reply_.MapAt(mark_, fields_); }

 private:
  Writer& reply_;
  const size_t mark_;
  size_t fields_ = 0;
};

struct MemoryNumbers {
  uint64_t used = 0;
  uint64_t rss = 0;
  uint64_t peak = 0;
  uint64_t startup = 0;
  AllocatorStats allocator;
  uint64_t keys = 0;
  uint64_t objects = 0;
  uint64_t tables = 0;
};

MemoryNumbers ReadMemory(const engine::Engine& engine, const CoreReport& report) {
  MemoryNumbers numbers;
  numbers.used = AllocatedBytes();
  numbers.rss = ResidentBytes();
  numbers.peak = std::max(numbers.used, engine.peak_memory.load());
  numbers.startup = engine.startup_memory;
  numbers.allocator = ReadAllocatorStats();
  for (const DatabaseReport& database : report.databases) {
    numbers.keys += database.keys;
    numbers.objects += database.object_bytes;
    numbers.tables += database.table_bytes;
  }
  return numbers;
}

void WriteDatabases(const CoreReport& report, MapWriter* map, Writer& reply) {
  for (size_t db = 0; db < report.databases.size(); ++db) {
    const DatabaseReport& database = report.databases[db];
    if (database.keys == 0) continue;
    map->Name("db." + std::to_string(db));
    reply.Map(3);
    reply.Bulk("overhead.hashtable.main");
    reply.Integer(static_cast<int64_t>(database.table_bytes));
    reply.Bulk("overhead.hashtable.expires");
    reply.Integer(static_cast<int64_t>(database.expires * sizeof(data::DeadlineHeap::Item)));
    reply.Bulk("overhead.hashtable.slot-to-keys");
    reply.Integer(0);
  }
}

void WriteStatsMap(const engine::Engine& engine, const CoreReport& report, Writer& reply) {
  const MemoryNumbers n = ReadMemory(engine, report);
  const uint64_t dataset = std::min(n.objects, n.used);
  const uint64_t net = n.used > n.startup ? n.used - n.startup : 1;
  MapWriter map(reply);
  map.Integer("peak.allocated", n.peak);
  map.Integer("total.allocated", n.used);
  map.Integer("startup.allocated", n.startup);
  map.Integer("replication.backlog", 0);
  map.Integer("clients.slaves", 0);
  map.Integer("clients.normal", report.client_memory_bytes);
  map.Integer("cluster.links", 0);
  map.Integer("aof.buffer", report.log_pending_bytes);
  map.Integer("lua.caches", 0);
  map.Integer("functions.caches", 0);
  WriteDatabases(report, &map, reply);
  map.Integer("overhead.total", n.used - dataset);
  map.Integer("keys.count", n.keys);
  map.Integer("keys.bytes-per-key", n.keys == 0 ? 0 : net / n.keys);
  map.Integer("dataset.bytes", dataset);
  map.Double("dataset.percentage", std::min(100.0, 100 * Ratio(dataset, net)));
  map.Double("peak.percentage", 100 * Ratio(n.used, n.peak));
  map.Integer("allocator.allocated", n.allocator.allocated);
  map.Integer("allocator.active", n.allocator.active);
  map.Integer("allocator.resident", n.allocator.resident);
  map.Double("allocator-fragmentation.ratio", Ratio(n.allocator.active, n.allocator.allocated));
  map.Integer("allocator-fragmentation.bytes", n.allocator.active - n.allocator.allocated);
  map.Double("allocator-rss.ratio", Ratio(n.allocator.resident, n.allocator.active));
  map.Integer("allocator-rss.bytes", n.allocator.resident - n.allocator.active);
  map.Double("rss-overhead.ratio", Ratio(n.rss, n.allocator.resident));
  map.Integer("rss-overhead.bytes", n.rss - n.allocator.resident);
  map.Double("fragmentation", Ratio(n.rss, n.used));
  map.Integer("fragmentation.bytes", n.rss - n.used);
  map.End();
}

std::string Diagnose(const engine::Engine& engine, const engine::Config& config,
                     const CoreReport& report) {
  constexpr uint64_t kSmall = 5 << 20;
  const MemoryNumbers n = ReadMemory(engine, report);
  if (n.used < kSmall) {
    return "This node holds next to nothing, so its numbers say little. Ask again under load.\n";
  }
  std::string findings;
  if (Ratio(n.peak, n.used) > 1.5) {
    findings += fmt::format(
        "- Peak: {} bytes were in use once, now {}. The allocator may keep the difference; MEMORY "
        "PURGE returns what it can.\n",
        n.peak, n.used);
  }
  if (n.allocator.allocated > 0 && Ratio(n.allocator.active, n.allocator.allocated) > 1.4) {
    findings += fmt::format(
        "- Fragmentation: the allocator's pages are filled to {:.0f} % only. Many values of "
        "changing size were deleted; a restart packs them anew.\n",
        100 * Ratio(n.allocator.allocated, n.allocator.active));
  }
  if (report.client_memory_bytes > n.used / 4) {
    findings += fmt::format(
        "- Clients: their buffers take {} bytes. CLIENT LIST shows who (tot-mem); "
        "client-output-buffer-limit and client-query-buffer-limit bound them.\n",
        report.client_memory_bytes);
  }
  if (report.persister_pending_bytes > n.used / 4) {
    findings += fmt::format(
        "- Write-behind: {} bytes wait for LevelDB. The disk is slower than the writes.\n",
        report.persister_pending_bytes);
  }
  if (config.maxmemory_bytes > 0 && n.used > config.maxmemory_bytes / 10 * 9) {
    findings += "- Limit: more than 90 % of maxmemory are in use.\n";
  }
  return findings.empty() ? "Nothing about this node's memory looks unusual.\n"
                          : "What looks unusual about this node's memory:\n\n" + findings;
}

}  // namespace

void MemoryStats(SessionContext& ctx) {
  engine::Engine* engine = &ctx.core.engine();
  GatherReply<CoreReport>(
      ctx, [](Core& core) { return ReadCore(core, false); },
      [engine](std::vector<CoreReport>& reports, Writer& reply) {
        WriteStatsMap(*engine, MergeReports(reports), reply);
      });
}

void MemoryDoctor(SessionContext& ctx) {
  Core* home = &ctx.core;
  GatherReply<CoreReport>(
      ctx, [](Core& core) { return ReadCore(core, false); },
      [home](std::vector<CoreReport>& reports, Writer& reply) {
        reply.Verbatim("txt", Diagnose(home->engine(), home->config(), MergeReports(reports)));
      });
}

void MemoryMallocStats(SessionContext& ctx) {
  const std::string report = AllocatorReport();
  ctx.reply.Verbatim("txt",
                     report.empty() ? "Stats not supported for the current allocator" : report);
}

void MemoryPurge(SessionContext& ctx) {
  if (PurgeAllocator()) {
    ctx.reply.Ok();
  } else {
    ctx.Error("ERR Error purging dirty pages");
  }
}

}  // namespace holdfast::commands
