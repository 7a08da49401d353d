// Every option of the server. One table (config_table.cc) has each option's name, type, default,
// unit and meaning; the configuration file, --help, HOLDFAST_… variables, flags and CONFIG
// GET/SET/REWRITE are all made from it. To add an option: a member in Config and a row in the
// table.
//
// Everything here is plain data and pure functions: any thread, on its own Config.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/status.h"

namespace holdfast::engine {

// What an acknowledged write has behind it on this node.
enum class Durability {
  kFsync,  // fdatasync: survives power loss
  kOs,     // write(): survives a crash of the process only
};

// Who confirms that a read sees the newest state.
enum class Reads {
  kQuorum,  // a majority, asked after the read has arrived
  kLease,   // the same, or a majority's promise that is still good by the clock
  kLocal,   // nobody: the node that the client is connected to answers
};

// What `maxmemory` does when it is reached.
enum class MaxmemoryPolicy {
  kVolatileLru,
  kVolatileLfu,
  kVolatileRandom,
  kVolatileTtl,
  kAllkeysLru,
  kAllkeysLfu,
  kAllkeysRandom,
  kNoEviction,
};

// Whether clients of tls-port have to show a certificate.
enum class TlsAuthClients {
  kYes,
  kNo,
  kOptional,  // none, or a good one
};

// Connections by what their output buffer holds; the index into Config::output_limits.
enum class ClientClass { kNormal, kReplica, kPubsub };
inline constexpr size_t kClientClasses = 3;

// A limit of the bytes that wait to be sent to one client. 0 is "no limit", except that no buffer
// ever grows beyond kOutputBufferCeiling.
struct OutputLimit {
  uint64_t hard_bytes = 0;  // the connection is closed at once
  uint64_t soft_bytes = 0;  // it is closed after soft_seconds above this
  int64_t soft_seconds = 0;

  // What to enforce: `hard_bytes`, or the ceiling.
  uint64_t HardBytes() const;
};
inline constexpr uint64_t kOutputBufferCeiling = 1ULL << 30;

inline constexpr int kDatabases = 16;

// The typed values. A copy is cheap enough for every core to keep its own; a change of options
// makes a new Config, which is sent to the cores.
struct Config {
  Config();  // every option at its default

  // Network
  int64_t port = 0;               // 0: none, with a tls_port
  std::vector<std::string> bind;  // numeric IPv4 or IPv6 addresses, at least one
  int64_t tcp_backlog = 0;
  int64_t tcp_keepalive_s = 0;  // 0: off
  int64_t timeout_s = 0;        // idle clients are closed after it; 0: never
  int64_t maxclients = 0;
  std::string requirepass;  // may hold any bytes; empty: no password

  // Encryption
  int64_t tls_port = 0;      // 0: none
  bool tls_cluster = false;  // links to other nodes
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_key_file_pass;
  std::string tls_client_cert_file;
  std::string tls_client_key_file;
  std::string tls_client_key_file_pass;
  std::string tls_ca_cert_file;
  std::string tls_ca_cert_dir;
  TlsAuthClients tls_auth_clients = TlsAuthClients::kYes;
  std::string tls_protocols;
  std::string tls_ciphers;
  std::string tls_ciphersuites;
  std::string tls_dh_params_file;
  bool tls_prefer_server_ciphers = false;
  bool tls_session_caching = false;
  int64_t tls_session_cache_size = 0;
  int64_t tls_session_cache_timeout_s = 0;

  // Access control
  bool protected_mode = true;
  std::string aclfile;
  std::vector<std::string> users;  // words of "user alice on …", passwords as hashes
  bool acl_all_channels = false;   // what users begin with
  int64_t acllog_max_len = 0;

  // Data and threads
  std::string dir;
  int64_t cores = 0;  // 0: as many as the process may use CPUs
  int64_t partitions = 0;
  Durability durability = Durability::kFsync;
  int64_t flush_interval_ms = 0;
  uint64_t flush_max_bytes = 0;
  uint64_t persist_queue_limit_bytes = 0;
  uint64_t wal_segment_bytes = 0;
  uint64_t disk_reserve_bytes = 0;
  int64_t shutdown_timeout_s = 0;

  // Cluster
  int64_t cluster_port = 0;      // 0: no other nodes
  std::string cluster_secret;    // what the nodes of a cluster share
  std::string cluster_announce;  // where other nodes reach this one; empty: bind and cluster-port
  bool bootstrap = false;
  std::vector<std::string> join;       // cluster addresses of nodes to join, tried in turn
  uint64_t cluster_snapshot_rate = 0;  // bytes a second, of each core
  int64_t election_timeout_ms = 0;
  int64_t heartbeat_interval_ms = 0;
  int64_t cluster_retry_timeout_ms = 0;
  Reads reads = Reads::kQuorum;

  // Memory
  uint64_t maxmemory_bytes = 0;  // 0: no limit
  MaxmemoryPolicy maxmemory_policy = MaxmemoryPolicy::kNoEviction;
  int64_t maxmemory_samples = 0;
  uint64_t resident_memory_bytes = 0;  // 0: every value stays in memory
  int64_t lfu_log_factor = 0;
  int64_t lfu_decay_time_min = 0;  // 0: counters don't sink
  int64_t hash_max_listpack_entries = 0;
  int64_t hash_max_listpack_value = 0;
  int64_t set_max_intset_entries = 0;
  uint64_t hll_sparse_max_bytes = 0;
  int64_t zset_max_listpack_entries = 0;
  int64_t zset_max_listpack_value = 0;
  uint64_t stream_node_max_bytes = 0;   // 0: no limit
  int64_t stream_node_max_entries = 0;  // 0: no limit
  int64_t maxmemory_clients = 0;        // bytes; negative: percent of maxmemory; 0: no limit
  int64_t hz = 0;
  int64_t active_expire_effort = 0;

  // Requests and replies
  uint64_t query_buffer_limit_bytes = 0;
  std::array<OutputLimit, kClientClasses> output_limits;
  uint64_t max_bulk_bytes = 0;

  // Scripts
  int64_t busy_reply_threshold_ms = 0;  // 0: others wait for ever
  uint64_t script_memory_bytes = 0;     // of one core
  uint64_t script_cache_bytes = 0;

  // Watching the server
  LogLevel log_level = LogLevel::kNotice;
  std::string log_file;                // empty: standard output
  std::string pidfile;                 // empty: none
  int64_t slowlog_slower_than_us = 0;  // 0: every command; -1: none
  int64_t slowlog_max_len = 0;
  int64_t tracking_table_max_keys = 0;
  int64_t latency_monitor_threshold_ms = 0;  // 0: off
  uint32_t notify_key_events = 0;            // KeyEventClass, or-ed
  bool latency_tracking = false;
  std::vector<double> latency_percentiles;  // each in 0..100

  // Redis's own, without an effect here (see the table)
  std::vector<std::pair<int64_t, int64_t>> save;  // seconds, changes
  uint64_t repl_backlog_bytes = 0;
  int64_t repl_ping_replica_period = 0;
  int64_t list_max_listpack_size = 0;
  int64_t list_compress_depth = 0;

  // Something of this node is encrypted.
  bool UsesTls() const { return tls_port != 0 || tls_cluster; }
  // maxmemory_clients in bytes, with a percentage resolved; 0: no limit.
  uint64_t MaxmemoryClientsBytes() const;
};

enum class OptionType { kInteger, kMemory, kMemoryOrPercent, kBool, kEnum, kString, kSpecial };

// Properties of an option, or-ed together.
enum OptionFlags : uint32_t {
  kAtStart = 0,         // read when the process starts; CONFIG SET refuses another value
  kRuntime = 1 << 0,    // CONFIG SET may change it
  kListener = 1 << 1,   // a change needs the listening sockets to be opened anew
  kRedisOnly = 1 << 2,  // for Redis's tools: in CONFIG only, not in the file and --help
  kHidden = 1 << 3,     // CONFIG GET shows it only when it is named exactly
  kSecret = 1 << 4,     // its value belongs in no log, MONITOR or SLOWLOG
  kInert = 1 << 5,      // has no effect; its meaning says why
  kList = 1 << 6,       // several values separated by blanks
  kShared = 1 << 7,     // in a cluster CONFIG SET changes it on all nodes
  kTls = 1 << 8,        // setting it, to the same value as well, has certificates read anew
};

// How a kSpecial option is read and printed. `set` null: the value follows from other options or
// never changes, and only that value is accepted.
struct SpecialField {
  Status (*set)(Config* config, std::string_view value) = nullptr;
  std::string (*get)(const Config& config) = nullptr;
};

// One row of the table.
struct Option {
  std::string_view section;     // its heading in the file and in --help
  std::string_view name;        // lower case with dashes
  std::string_view alias = {};  // another name, as Redis spells it; may be empty
  OptionType type;
  std::string_view default_value;  // as the file has it ("512mb")
  std::string_view unit = {};      // empty: none
  std::string_view meaning;        // sentences for the file and --help
  uint32_t flags = kAtStart;
  int64_t min = 0;  // kInteger and kMemory…: inclusive bounds
  int64_t max = INT64_MAX;
  std::span<const std::string_view> choices = {};  // kEnum: in the order of the enum's values
  std::variant<bool Config::*, int64_t Config::*, uint64_t Config::*, std::string Config::*,
               Durability Config::*, MaxmemoryPolicy Config::*, LogLevel Config::*, Reads Config::*,
               TlsAuthClients Config::*, SpecialField>
      field;
};

// All rows, sections together, in the order of the file.
std::span<const Option> Options();

// The option of this name or alias, in any case; null when there is none.
const Option* FindOption(std::string_view name);

// Reads `value` in Redis's syntax ("yes", "1gb", "allkeys-lru") into its member of `config`, as at
// the start of the process: kAtStart options are set too. On failure nothing changed and the
// message is Redis's reason, without the option's name ("argument must be a memory value").
Status SetOption(Config* config, const Option& option, std::string_view value);

// The value as CONFIG GET answers it (memory in bytes).
std::string GetOption(const Config& config, const Option& option);

// The value as a person writes it in the file (memory with the largest unit that is exact).
std::string FileValue(const Config& config, const Option& option);

// CONFIG GET: names and values for the patterns, each name once, in the order of the table. An
// alias is matched and answered under its own name, as Redis does.
std::vector<std::pair<std::string, std::string>> MatchOptions(
    const Config& config, std::span<const std::string_view> patterns);

// CONFIG SET name value [name value …]: the new configuration, or a status whose message is the
// whole error reply ("ERR Unknown option …", "ERR CONFIG SET failed (possibly related to …").
// Nothing is applied yet: the caller hands the result to the cores, reopens the listeners when a
// kListener option differs, and answers with ConfigSetFailed when that doesn't succeed.
// REQUIRES: an even number of arguments.
Result<Config> ChangeOptions(const Config& now, std::span<const std::string_view> arguments);

// Whether kTls options have the same values in both.
bool SameTlsOptions(const Config& a, const Config& b);

// The error reply of a CONFIG SET that failed for `reason` on the option `name`.
std::string ConfigSetFailed(std::string_view name, std::string_view reason);

// The variable that sets an option: HOLDFAST_LOG_LEVEL.
std::string VariableName(std::string_view option_name);

// A whole configuration file with every option, its unit and meaning, and the values of `config`.
// conf/holdfast.yaml is DocumentedFile(Config()).
std::string DocumentedFile(const Config& config);

// `value` as one YAML scalar, quoted where it has to be.
std::string YamlScalar(std::string_view value);

// The option part of --help.
std::string HelpText();

}  // namespace holdfast::engine
