// INFO server, clients, memory, cpu and modules.
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/memory.h"
#include "base/numbers.h"
#include "commands/info_sections.h"
#include "engine/version.h"
#include "script/scripting.h"

namespace holdfast::commands {
namespace {

std::string ExecutablePath() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

std::string OperatingSystem() {
  utsname name{};
  if (::uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

uint64_t SystemMemory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string_view PolicyName(const engine::Config& config, std::string* buffer) {
  *buffer = engine::GetOption(config, *engine::FindOption("maxmemory-policy"));
  return *buffer;
}

// Both as "name:n" and "name_human:short".
void AddSize(std::string* out, std::string_view name, uint64_t bytes) {
  Add(out, "{}:{}", name, bytes);
  Add(out, "{}_human:{}", name, HumanBytes(bytes));
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void AddUsage(std::string* out, std::string_view suffix, int who) {
  rusage usage{};
  if (::getrusage(who, &usage) != 0) return;
  Add(out, "used_cpu_sys{}:{:.6f}", suffix, Seconds(usage.ru_stime));
  Add(out, "used_cpu_user{}:{:.6f}", suffix, Seconds(usage.ru_utime));
}

}  // namespace

void WriteServer(const InfoContext& info, std::string* out) {
  const int64_t now_us = info.core.clock().WallUs();
  const int64_t uptime_s =
      (info.core.clock().MonotonicMs() - info.engine.start_monotonic_ms()) / 1000;
  Add(out, "# Server");
  Add(out, "redis_version:{}", engine::kRedisVersion);
  Add(out, "redis_git_sha1:00000000");
  Add(out, "redis_git_dirty:0");
  Add(out, "redis_build_id:0");
  Add(out, "redis_mode:standalone");
  Add(out, "holdfast_version:{}", engine::kVersion);
  Add(out, "os:{}", OperatingSystem());
  Add(out, "arch_bits:{}", sizeof(void*) * CHAR_BIT);
  Add(out, "monotonic_clock:POSIX clock_gettime");
  Add(out, "multiplexing_api:epoll");
  Add(out, "atomicvar_api:c11-builtin");
  Add(out, "gcc_version:{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
  Add(out, "process_id:{}", ::getpid());
  Add(out, "process_supervised:no");
  Add(out, "run_id:{}", RunId(info.engine));
  Add(out, "tcp_port:{}", info.config.port != 0 ? info.config.port : info.config.tls_port);
  Add(out, "server_time_usec:{}", now_us);
  Add(out, "uptime_in_seconds:{}", uptime_s);
  Add(out, "uptime_in_days:{}", uptime_s / 86400);
  Add(out, "hz:{}", info.config.hz);
  Add(out, "configured_hz:{}", info.config.hz);
  // Seconds, in the 24 bits that Redis's objects have for it.
  Add(out, "lru_clock:{}", (now_us / 1'000'000) & 0xffffff);
  Add(out, "executable:{}", ExecutablePath());
  Add(out, "config_file:{}", info.engine.config_file);
  Add(out, "io_threads_active:0");
  size_t listener = 0;
  const auto add_listeners = [&](std::string_view name, int64_t port) {
    if (port == 0) return;
    for (const std::string& host : info.config.bind) {
      Add(out, "listener{}:name={},bind={},port={}", listener++, name, host, port);
    }
  };
  add_listeners("tcp", info.config.port);
  add_listeners("tls", info.config.tls_port);
}

void WriteClients(const InfoContext& info, std::string* out) {
  Add(out, "# Clients");
  Add(out, "connected_clients:{}", info.engine.clients());
  Add(out, "cluster_connections:0");
  Add(out, "maxclients:{}", info.config.maxclients);
  Add(out, "client_recent_max_input_buffer:{}", info.report.max_input_bytes);
  Add(out, "client_recent_max_output_buffer:{}", info.report.max_output_bytes);
  Add(out, "blocked_clients:{}", info.engine.blocked_clients.load());
  Add(out, "tracking_clients:{}", info.report.tracking_clients);
  Add(out, "clients_in_timeout_table:{}", info.report.blocked_with_deadline);
  Add(out, "pubsub_clients:{}", info.report.subscribed_clients);
  Add(out, "watching_clients:{}", info.report.watching_clients);
  Add(out, "total_watched_keys:{}", info.report.watched_keys);
  Add(out, "total_blocking_keys:{}", info.report.blocking_keys);
}

namespace {

void WriteScriptMemory(const script::Scripting& scripting, std::string* out) {
  const uint64_t lua = scripting.lua_bytes();
  const uint64_t scripts = scripting.cache().bytes();
  Add(out, "used_memory_lua:{}", lua);
  Add(out, "used_memory_vm_eval:{}", lua);
  Add(out, "used_memory_lua_human:{}", HumanBytes(lua));
  Add(out, "used_memory_scripts_eval:{}", scripts);
  Add(out, "number_of_cached_scripts:{}", scripting.cache().scripts());
  Add(out, "number_of_functions:{}", scripting.libraries().functions());
  Add(out, "number_of_libraries:{}", scripting.libraries().count());
  Add(out, "used_memory_vm_functions:0");
  Add(out, "used_memory_vm_total:{}", lua);
  Add(out, "used_memory_vm_total_human:{}", HumanBytes(lua));
  const uint64_t functions = scripting.libraries().bytes();
  Add(out, "used_memory_functions:{}", functions);
  Add(out, "used_memory_scripts:{}", scripts + functions);
  Add(out, "used_memory_scripts_human:{}", HumanBytes(scripts + functions));
}

}  // namespace

void WriteMemory(const InfoContext& info, std::string* out) {
  const uint64_t counted = info.engine.UsedMemory(info.core);
  const uint64_t used = counted;  // what maxmemory is compared with
  const uint64_t rss = ResidentBytes();
  const uint64_t peak = std::max(used, info.engine.peak_memory.load());
  const uint64_t startup = info.engine.startup_memory;
  const AllocatorStats allocator = ReadAllocatorStats();
  uint64_t dataset = 0;
  uint64_t cold_keys = 0;
  for (const DatabaseReport& database : info.report.databases) {
    dataset += database.object_bytes;
    cold_keys += database.cold_keys;
  }
  dataset = std::min(dataset, used);
  const uint64_t net = used > startup ? used - startup : 1;
  std::string policy;
  Add(out, "# Memory");
  AddSize(out, "used_memory", used);
  AddSize(out, "used_memory_rss", rss);
  AddSize(out, "used_memory_peak", peak);
  Add(out, "used_memory_peak_perc:{:.2f}%", 100 * Ratio(used, peak));
  Add(out, "used_memory_overhead:{}", used - dataset);
  Add(out, "used_memory_startup:{}", startup);
  Add(out, "used_memory_dataset:{}", dataset);
  Add(out, "used_memory_dataset_perc:{:.2f}%", std::min(100.0, 100 * Ratio(dataset, net)));
  Add(out, "allocator_allocated:{}", allocator.allocated);
  Add(out, "allocator_active:{}", allocator.active);
  Add(out, "allocator_resident:{}", allocator.resident);
  AddSize(out, "total_system_memory", SystemMemory());
  WriteScriptMemory(*info.engine.scripting, out);
  AddSize(out, "maxmemory", info.config.maxmemory_bytes);
  Add(out, "maxmemory_policy:{}", PolicyName(info.config, &policy));
  AddSize(out, "resident_memory", info.config.resident_memory_bytes);
  Add(out, "cold_keys:{}", cold_keys);
  Add(out, "allocator_frag_ratio:{:.2f}", Ratio(allocator.active, allocator.allocated));
  Add(out, "allocator_frag_bytes:{}", allocator.active - allocator.allocated);
  Add(out, "allocator_rss_ratio:{:.2f}", Ratio(allocator.resident, allocator.active));
  Add(out, "allocator_rss_bytes:{}",
      static_cast<int64_t>(allocator.resident) - static_cast<int64_t>(allocator.active));
  Add(out, "rss_overhead_ratio:{:.2f}", Ratio(rss, allocator.resident));
  Add(out, "rss_overhead_bytes:{}",
      static_cast<int64_t>(rss) - static_cast<int64_t>(allocator.resident));
  Add(out, "mem_fragmentation_ratio:{:.2f}", Ratio(rss, used));
  Add(out, "mem_fragmentation_bytes:{}", static_cast<int64_t>(rss) - static_cast<int64_t>(used));
  Add(out, "mem_not_counted_for_evict:{}", used > counted ? used - counted : 0);
  Add(out, "mem_replication_backlog:0");
  Add(out, "mem_total_replication_buffers:0");
  Add(out, "mem_clients_slaves:0");
  Add(out, "mem_clients_normal:{}", info.report.client_memory_bytes);
  Add(out, "mem_cluster_links:0");
  Add(out, "mem_aof_buffer:{}", info.report.log_pending_bytes);
  Add(out, "mem_allocator:{}", AllocatorName());
  Add(out, "active_defrag_running:0");
  Add(out, "lazyfree_pending_objects:{}", info.report.keys_to_free);
  Add(out, "lazyfreed_objects:{}", info.report.keys_freed);
}

void WriteCpu(const InfoContext&, std::string* out) {
  Add(out, "# CPU");
  AddUsage(out, "", RUSAGE_SELF);
  AddUsage(out, "_children", RUSAGE_CHILDREN);
  // Of the core that answers: there is no main thread that does all the work.
  AddUsage(out, "_main_thread", RUSAGE_THREAD);
}

void WriteModules(const InfoContext&, std::string* out) { Add(out, "# Modules"); }

}  // namespace holdfast::commands
