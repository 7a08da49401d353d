// All cores of a node, and what they have in common: the data directory, the command table, where
// slots live.
//
// Start-up and shutdown run on the thread that owns the engine (main). Everything that says "any
// thread" is immutable after Open or atomic.
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/command.h"
#include "engine/config.h"
#include "engine/core.h"
#include "net/tls.h"
#include "storage/file_system.h"
#include "storage/identity.h"
#include "storage/store.h"
#include "storage/wal.h"

namespace holdfast::cluster {
class Access;
class Cluster;
}  // namespace holdfast::cluster
namespace holdfast::script {
class Scripting;
}

namespace holdfast::engine {

// How a node that belongs to no cluster yet becomes part of one.
struct ClusterEntry {
  uint64_t cluster_id = 0;
  // Joining: what the cluster has, and any node that belongs to it. Until the log tells who the
  // members are, the new node takes that one for the only voter, so that it never votes.
  bool joins = false;
  uint32_t partitions = 0;
  uint64_t hash_seed = 0;
  uint64_t member = 0;
};

class Engine {
 public:
  // Asks how this node is to enter a cluster; only for a node that belongs to none. Without a
  // value it stays alone. May block.
  using EnterCluster =
      std::function<Result<std::optional<ClusterEntry>>(const storage::Identity& identity)>;

  // Opens the data directory, loads every partition and replays the log above what the stores hold.
  // Errors have one clear line; nothing was changed in the directory then, except that it was
  // created or a torn tail was cut. `table` outlives the engine. `enter` may be empty.
  static Result<std::unique_ptr<Engine>> Open(const Config& config, const CommandTable* table,
                                              EnterCluster enter = nullptr);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Starts the cores' threads and returns when every partition leads.
  void Start();
  // A core's partitions all lead. Loop threads.
  void CoreReady();
  // Lets requests in flight finish (at most `timeout_ms`), flushes the stores, ends the threads.
  // False when the timeout struck first.
  bool Shutdown(int64_t timeout_ms);
  // Asks the owner of the engine to shut down: sets what ShutdownRequested says and wakes it. Any
  // thread.
  void RequestShutdown();
  bool shutdown_requested() const { return shutdown_requested_.load(); }
  // Called on the requesting thread by RequestShutdown.
  std::function<void()> on_shutdown_requested;

  // ---- Set by the server before Start, for what only it can do. On a core's loop thread.
  // Listens on config's addresses and port instead of the present ones.
  std::function<Status(Core& core, const Config& config)> change_listeners;
  // Reads the certificates that `config` names, on a thread that may block, and hands what came of
  // it to `done` on core 0. Null: nothing is encrypted.
  using CertificatesRead = absl::AnyInvocable<void(Result<std::shared_ptr<const net::TlsContext>>)>;
  std::function<void(const Config& config, CertificatesRead done)> read_certificates;
  // What new connections of the tls-port and of other nodes are encrypted with.
  net::TlsSlot* tls = nullptr;
  // CONFIG REWRITE.
  std::function<Status(const Config& config)> rewrite_config;
  std::string config_file;  // absolute path; empty without one
  // What keeps this node in its cluster; null when it is alone.
  cluster::Cluster* cluster = nullptr;
  // What makes this node's users those of the cluster; null in tests.
  cluster::Access* access = nullptr;
  // A client as CLIENT LIST shows it, without the newline.
  std::function<std::string(const Client& client)> describe_client;
  // What runs scripts.
  script::Scripting* scripting = nullptr;

  // ---- Any thread.
  const CommandTable& commands() const { return *table_; }
  // Partitions of the keyspace.
  uint32_t partitions() const { return identity_.partitions; }
  bool in_cluster() const { return identity_.cluster_id != 0; }
  // Bytes of requests of a core's clients that partitions hold (engine/value_loads.h). Any thread.
  std::atomic<size_t>& held_bytes(uint32_t core) { return held_bytes_[core]; }
  // Has new objects, on every core, keep to the limits of this configuration. Any thread.
  void ShareOptions(const Config& config);
  // The partition of the meta group comes behind those of the keyspace. A node that is alone has
  // it, too: it keeps what belongs to no slot, and becomes the cluster's when the node founds one.
  uint32_t meta_partition() const { return identity_.partitions; }
  // With it.
  uint32_t all_partitions() const { return partitions() + 1; }
  uint32_t cores() const { return static_cast<uint32_t>(cores_.size()); }
  Core& core(uint32_t number) { return *cores_[number]; }
  const storage::Identity& identity() const { return identity_; }
  const std::string& directory() const { return directory_path_; }
  // Where the partition's store is, and what opens it.
  std::string StorePath(uint32_t partition) const;
  storage::StoreFactory& store_factory(uint32_t core) { return *factories_[core]; }
  uint32_t PartitionOfSlot(uint16_t slot) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(slot) * identity_.partitions) / kSlots);
  }
  uint16_t FirstSlotOf(uint32_t partition) const;
  uint32_t CoreOfPartition(uint32_t partition) const {
    return partition == meta_partition() ? 0 : partition % cores();
  }
  // Who leads a partition, as this node knows it: a node's id, 0 when unknown. Written by the
  // partition's core.
  uint64_t LeaderOf(uint32_t partition) const { return standings_[partition].leader.load(); }
  // This node leads it and executes commands.
  bool Leads(uint32_t partition) const { return standings_[partition].leads.load(); }
  void NoteStanding(uint32_t partition, uint64_t leader, bool leads);
  // Why a partition that is led here takes no commands: the error that says what it is busy with,
  // one of engine/errors.h; empty when it isn't. Written by the partition's core.
  std::string_view WhyBusy(uint32_t partition) const {
    const char* why = standings_[partition].busy.load();
    return why == nullptr ? std::string_view() : std::string_view(why);
  }
  // How many partitions of the keyspace are.
  uint32_t busy_partitions() const { return busy_partitions_.load(std::memory_order_relaxed); }
  // `why`: empty, or a text that is never freed and ends with a zero.
  void NoteBusy(uint32_t partition, std::string_view why);
  // This run of the node, as author of changes (data/effect.h): clients' numbers begin anew with
  // each.
  uint64_t author_node() const { return (identity_.node_id + identity_.boot * kBootStride) | 1; }
  uint64_t NextSlowId() { return next_slow_id_.fetch_add(1); }
  uint64_t NextClientId() { return next_client_id_.fetch_add(1) + 1; }
  // Connected clients of all cores; Admit counts one more, unless there are `limit` already.
  bool AdmitClient(int64_t limit);
  void ReleaseClient() { clients_.fetch_sub(1); }
  // Bytes of all clients' buffers.
  uint64_t ClientBytes() const;
  int64_t clients() const { return clients_.load(); }
  // Memory of keys and clients, with what the process had before it loaded anything: what maxmemory
  // is compared with.
  uint64_t UsedMemory(const Core& asking) const;
  int64_t start_monotonic_ms() const { return start_monotonic_ms_; }
  // Up to which revision of the meta partition this node's function libraries are what was
  // committed; see script/libraries.h.
  std::atomic<uint64_t> functions_revision{0};
  std::atomic<int64_t> monitors{0};  // clients in MONITOR, all cores
  std::atomic<int64_t> blocked_clients{0};
  std::atomic<int64_t> tracking_clients{0};  // in CLIENT TRACKING, all cores
  std::atomic<int64_t> tracked_keys{0};      // that they have read (engine/tracking.h)
  std::atomic<int64_t> last_save_s{0};       // unix time of the last flush to LevelDB
  std::atomic<bool> saving{false};           // a SAVE or BGSAVE is under way
  std::atomic<uint64_t> saves{0};            // finished ones
  std::atomic<int64_t> save_begin_ms{0};     // of the one under way or the last one; monotonic
  std::atomic<int64_t> last_save_took_ms{-1};
  std::atomic<uint64_t> peak_memory{0};
  const uint64_t startup_memory = AllocatedBytes();  // before anything was loaded

  // ---- From a core's loop thread.

  // Runs `work` on every core; when all have, `done` gets the results, by core, on core `home`.
  template <typename T>
  void Gather(Core& home, std::function<T(Core&)> work,
              absl::AnyInvocable<void(std::vector<T>)> done);

  // Notes the peak; core 0's timer.
  void SampleMemory();

 private:
  Engine(const Config& config, const CommandTable* table);
  Status Load(const EnterCluster& enter);
  Status Enter(const ClusterEntry& entry,
               const std::vector<std::unique_ptr<storage::Store>>& stores,
               std::vector<raft::Restored>* restored);
  Status LoadPartition(Core* core, uint32_t number, std::unique_ptr<storage::Store> store,
                       raft::Restored restored, uint64_t* records);
  Status OpenStores(std::vector<std::unique_ptr<storage::Store>>* stores,
                    std::vector<data::AppliedState>* applied);
  Status Replay(const std::vector<std::unique_ptr<storage::Store>>& stores,
                const std::vector<data::AppliedState>& applied,
                std::vector<raft::Restored>* restored);
  Status OpenLogs();
  Status LoadPartitions(std::vector<std::unique_ptr<storage::Store>> stores,
                        std::vector<raft::Restored> restored);

  // What clients' cores may know of a partition without asking its core.
  struct PartitionStanding {
    std::atomic<uint64_t> leader{0};
    std::atomic<bool> leads{false};
    std::atomic<const char*> busy{nullptr};
  };

  static constexpr uint64_t kBootStride = 0x9e3779b97f4a7c15;

  const Config config_;
  data::EncodingLimits encoding_limits_;
  std::atomic<size_t> resident_memory_bytes_{0};
  // By core. They end after the cores do.
  std::unique_ptr<std::atomic<size_t>[]> held_bytes_;
  const CommandTable* const table_;
  std::vector<PartitionStanding> standings_;  // by partition; made before any core runs
  std::atomic<uint32_t> busy_partitions_{0};
  storage::Identity identity_;
  std::string directory_path_;
  std::unique_ptr<storage::DataDirectory> directory_;
  storage::WalRecovery recovery_;                                  // until the logs are open
  std::vector<std::unique_ptr<storage::StoreFactory>> factories_;  // one a core
  std::vector<std::unique_ptr<Core>> cores_;
  std::vector<std::thread> threads_;
  std::atomic<uint64_t> next_client_id_{0};
  std::atomic<uint64_t> next_slow_id_{0};
  std::atomic<int64_t> clients_{0};
  std::atomic<bool> shutdown_requested_{false};
  int64_t start_monotonic_ms_ = 0;
  std::mutex state_mutex_;
  std::condition_variable state_changed_;
  uint32_t ready_cores_ = 0;    // guarded by state_mutex_
  uint32_t drained_cores_ = 0;  // guarded by state_mutex_
  bool started_ = false;
  bool stopped_ = false;
};

template <typename T>
void Engine::Gather(Core& home, std::function<T(Core&)> work,
                    absl::AnyInvocable<void(std::vector<T>)> done) {
  struct State {
    std::vector<T> results;
    uint32_t missing;
    absl::AnyInvocable<void(std::vector<T>)> done;
  };
  auto state = std::make_shared<State>();
  state->results.resize(cores());
  state->missing = cores();
  state->done = std::move(done);
  const uint32_t home_number = home.number();
  for (uint32_t i = 0; i < cores(); ++i) {
    home.Post(i, [this, i, home_number, state, work] {
      // The result travels back by value; `state` is touched on the home core only.
      core(i).Post(home_number, [state, i, result = work(core(i))]() mutable {
        state->results[i] = std::move(result);
        if (--state->missing == 0) state->done(std::move(state->results));
      });
    });
  }
}

}  // namespace holdfast::engine
