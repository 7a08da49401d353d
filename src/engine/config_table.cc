// The table of options. The order is the order of conf/holdfast.yaml; `make conf` writes that file
// anew after a change here.
#include <string>
#include <string_view>

#include "engine/config.h"
#include "engine/config_values.h"

namespace holdfast::engine {
namespace {

constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kIntMax = 2147483647;

constexpr std::string_view kDurabilities[] = {"fsync", "os"};
constexpr std::string_view kReads[] = {"quorum", "lease", "local"};
constexpr std::string_view kTlsAuths[] = {"yes", "no", "optional"};
constexpr std::string_view kPolicies[] = {"volatile-lru",   "volatile-lfu", "volatile-random",
                                          "volatile-ttl",   "allkeys-lru",  "allkeys-lfu",
                                          "allkeys-random", "noeviction"};
constexpr std::string_view kLogLevels[] = {"debug", "verbose", "notice", "warning", "nothing"};

// --- values that follow from others or never change ---------------------------------------------

std::string GetAppendfsync(const Config& config) {
  return config.durability == Durability::kFsync ? "always" : "no";
}
std::string GetDatabases(const Config&) { return std::to_string(kDatabases); }
std::string GetYes(const Config&) { return "yes"; }
std::string GetNo(const Config&) { return "no"; }
std::string GetEmpty(const Config&) { return ""; }
std::string GetZero(const Config&) { return "0"; }

constexpr std::string_view kNetwork = "Network";
constexpr std::string_view kEncryption = "Encryption";
constexpr std::string_view kAccess = "Access control";
constexpr std::string_view kData = "Data and threads";
constexpr std::string_view kCluster = "Cluster";
constexpr std::string_view kMemory = "Memory";
constexpr std::string_view kRequests = "Requests and replies";
constexpr std::string_view kScripts = "Scripts";
constexpr std::string_view kWatching = "Watching the server";
constexpr std::string_view kRedis = "Redis's own";

// One option a paragraph: what it is called, what it means, what it may be.
// clang-format off
constexpr Option kOptions[] = {
    {.section = kNetwork, .name = "port", .type = OptionType::kInteger, .default_value = "6379",
     .meaning = "The TCP port for clients; 0: none, when there is a tls-port.",
     .flags = kRuntime | kListener, .min = 0, .max = 65535, .field = &Config::port},
    {.section = kNetwork, .name = "bind", .type = OptionType::kSpecial,
     .default_value = "127.0.0.1",
     .meaning = "The numeric IPv4 and IPv6 addresses to listen on, separated by blanks; * is "
                "every IPv4 address. Set requirepass before listening on anything but the own "
                "machine.",
     .flags = kRuntime | kListener | kList, .field = SpecialField{SetBind, GetBind}},
    {.section = kNetwork, .name = "requirepass", .type = OptionType::kString, .default_value = "",
     .meaning = "The password that clients must give by AUTH or HELLO; empty: none.",
     .flags = kRuntime | kSecret, .field = &Config::requirepass},
    {.section = kNetwork, .name = "maxclients", .type = OptionType::kInteger,
     .default_value = "10000", .unit = "connections",
     .meaning = "More are refused with an error. Lowered to what the limit of open files (ulimit -n) "
                "has room for: four fifths of it, less some hundred.",
     .flags = kRuntime, .min = 1, .max = 1000000, .field = &Config::maxclients},
    {.section = kNetwork, .name = "timeout", .type = OptionType::kInteger, .default_value = "0",
     .unit = "seconds",
     .meaning = "A client that sent nothing for so long is disconnected; 0: never.",
     .flags = kRuntime, .max = kIntMax, .field = &Config::timeout_s},
    {.section = kNetwork, .name = "tcp-keepalive", .type = OptionType::kInteger,
     .default_value = "300", .unit = "seconds",
     .meaning = "TCP probes of idle connections, so that vanished clients are noticed; 0: none.",
     .flags = kRuntime, .max = kIntMax, .field = &Config::tcp_keepalive_s},
    {.section = kNetwork, .name = "tcp-backlog", .type = OptionType::kInteger,
     .default_value = "511", .unit = "connections",
     .meaning = "How many may wait to be accepted; the kernel's net.core.somaxconn limits it too.",
     .min = 1, .max = 65535, .field = &Config::tcp_backlog},

    {.section = kEncryption, .name = "tls-port", .type = OptionType::kInteger,
     .default_value = "0",
     .meaning = "The TCP port for clients that speak TLS; 0: none.",
     .flags = kRuntime | kListener | kTls, .max = 65535, .field = &Config::tls_port},
    {.section = kEncryption, .name = "tls-cert-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The file with the node's certificate (PEM), followed by those between it and the "
                "CA's. Setting it or any other of these options, to the same value as well, and "
                "SIGHUP have all files read anew; connections that are open stay as they are.",
     .flags = kRuntime | kTls, .field = &Config::tls_cert_file},
    {.section = kEncryption, .name = "tls-key-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The file with its private key.",
     .flags = kRuntime | kTls, .field = &Config::tls_key_file},
    {.section = kEncryption, .name = "tls-key-file-pass", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The password of that file, when it is encrypted.",
     .flags = kRuntime | kTls | kSecret, .field = &Config::tls_key_file_pass},
    {.section = kEncryption, .name = "tls-ca-cert-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The file with the certificates of the CAs, one of which has to have signed those of "
                "clients and of the other nodes.",
     .flags = kRuntime | kTls, .field = &Config::tls_ca_cert_file},
    {.section = kEncryption, .name = "tls-ca-cert-dir", .type = OptionType::kString,
     .default_value = "",
     .meaning = "Or a directory of them, with names that `openssl rehash` gives.",
     .flags = kRuntime | kTls, .field = &Config::tls_ca_cert_dir},
    {.section = kEncryption, .name = "tls-auth-clients", .type = OptionType::kEnum,
     .default_value = "yes",
     .meaning = "Whether clients must show a certificate of the CA: yes, no, or optional: they may "
                "have none.",
     .flags = kRuntime | kTls, .choices = kTlsAuths, .field = &Config::tls_auth_clients},
    {.section = kEncryption, .name = "tls-cluster", .type = OptionType::kBool,
     .default_value = "no",
     .meaning = "Whether nodes talk to each other by TLS, on the same cluster-port. Each must show a "
                "certificate of the CA, whatever tls-auth-clients says, and know the "
                "cluster-secret. The same on all nodes.",
     .field = &Config::tls_cluster},
    {.section = kEncryption, .name = "tls-client-cert-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The certificate to show to nodes that this one dials; empty: tls-cert-file.",
     .flags = kRuntime | kTls, .field = &Config::tls_client_cert_file},
    {.section = kEncryption, .name = "tls-client-key-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "Its private key.",
     .flags = kRuntime | kTls, .field = &Config::tls_client_key_file},
    {.section = kEncryption, .name = "tls-client-key-file-pass", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The password of that file, when it is encrypted.",
     .flags = kRuntime | kTls | kSecret, .field = &Config::tls_client_key_file_pass},
    {.section = kEncryption, .name = "tls-protocols", .type = OptionType::kString,
     .default_value = "",
     .meaning = "Which of TLSv1.2 and TLSv1.3 are spoken, separated by blanks; empty: both.",
     .flags = kRuntime | kTls, .field = &Config::tls_protocols},
    {.section = kEncryption, .name = "tls-ciphers", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The ciphers of TLS 1.2, as `openssl ciphers` names them; empty: OpenSSL's choice.",
     .flags = kRuntime | kTls, .field = &Config::tls_ciphers},
    {.section = kEncryption, .name = "tls-ciphersuites", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The same of TLS 1.3.",
     .flags = kRuntime | kTls, .field = &Config::tls_ciphersuites},
    {.section = kEncryption, .name = "tls-prefer-server-ciphers", .type = OptionType::kBool,
     .default_value = "no",
     .meaning = "Whether this node's order of ciphers counts, not the client's.",
     .flags = kRuntime | kTls, .field = &Config::tls_prefer_server_ciphers},
    {.section = kEncryption, .name = "tls-dh-params-file", .type = OptionType::kString,
     .default_value = "",
     .meaning = "A file with parameters for Diffie-Hellman, of TLS 1.2; empty: OpenSSL's own.",
     .flags = kRuntime | kTls, .field = &Config::tls_dh_params_file},
    {.section = kEncryption, .name = "tls-session-caching", .type = OptionType::kBool,
     .default_value = "yes",
     .meaning = "Whether clients that come again may resume their session, which saves most of a "
                "handshake's work.",
     .flags = kRuntime | kTls, .field = &Config::tls_session_caching},
    {.section = kEncryption, .name = "tls-session-cache-size", .type = OptionType::kInteger,
     .default_value = "20480", .unit = "sessions",
     .meaning = "How many are kept, of TLS 1.2; 0: no limit.",
     .flags = kRuntime | kTls, .max = kIntMax, .field = &Config::tls_session_cache_size},
    {.section = kEncryption, .name = "tls-session-cache-timeout", .type = OptionType::kInteger,
     .default_value = "300", .unit = "seconds",
     .meaning = "For how long they may be resumed.",
     .flags = kRuntime | kTls, .max = kIntMax, .field = &Config::tls_session_cache_timeout_s},

    {.section = kAccess, .name = "protected-mode", .type = OptionType::kBool,
     .default_value = "yes",
     .meaning = "As long as the default user needs no password, only clients on the own machine "
                "are served.",
     .flags = kRuntime, .field = &Config::protected_mode},
    {.section = kAccess, .name = "users", .type = OptionType::kSpecial, .default_value = "",
     .meaning = "Users as ACL LIST shows them, each beginning with the word user: a list of 'user "
                "alice on >secret ~cache:* +@all'. They count until users are changed for the first "
                "time; from then on the cluster remembers them.",
     .flags = kSecret | kHidden | kList, .field = SpecialField{SetUsers, GetUsers}},
    {.section = kAccess, .name = "aclfile", .type = OptionType::kString, .default_value = "",
     .meaning = "A file of such lines instead, which ACL LOAD reads and ACL SAVE writes. At the "
                "start it counts like users.",
     .field = &Config::aclfile},
    {.section = kAccess, .name = "acl-pubsub-default", .type = OptionType::kSpecial,
     .default_value = "resetchannels",
     .meaning = "The channels of a new user: allchannels or resetchannels (none).",
     .flags = kRuntime | kShared,
     .field = SpecialField{SetAclPubsubDefault, GetAclPubsubDefault}},
    {.section = kAccess, .name = "acllog-max-len", .type = OptionType::kInteger,
     .default_value = "128", .unit = "entries",
     .meaning = "How many refusals ACL LOG remembers.",
     .flags = kRuntime, .max = 1000000, .field = &Config::acllog_max_len},

    {.section = kData, .name = "dir", .type = OptionType::kSpecial, .default_value = "./data",
     .meaning = "The data directory; created when it doesn't exist.",
     .field = SpecialField{SetDir, GetDir}},
    {.section = kData, .name = "cores", .type = OptionType::kInteger, .default_value = "0",
     .unit = "threads",
     .meaning = "Threads that execute commands; 0: one for each CPU. It may differ at every "
                "start.",
     .max = 1024, .field = &Config::cores},
    {.section = kData, .name = "partitions", .type = OptionType::kInteger, .default_value = "1",
     .meaning = "Into how many parts the slots are divided. Fixed when the data directory is "
                "created: another number later is refused at the start.",
     .min = 1, .max = 1024, .field = &Config::partitions},
    {.section = kData, .name = "durability", .type = OptionType::kEnum, .default_value = "fsync",
     .meaning = "When a write is acknowledged: fsync: once it is on disk; os: once the operating "
                "system has it, so that a power loss loses the last writes.",
     .choices = kDurabilities, .field = &Config::durability},
    {.section = kData, .name = "flush-interval-ms", .type = OptionType::kInteger,
     .default_value = "5000", .unit = "milliseconds",
     .meaning = "How long changes may wait before they are written from the log to LevelDB. They "
                "are durable before that: this is work saved (a key that changes often is written "
                "once) against time at the next start.",
     .min = 1, .max = 3600000, .field = &Config::flush_interval_ms},
    {.section = kData, .name = "flush-max-bytes", .type = OptionType::kMemory,
     .default_value = "64mb", .unit = "bytes",
     .meaning = "Changes of this size are written to LevelDB before the interval is over.",
     .min = 64 * 1024, .max = 1024 * kMiB, .field = &Config::flush_max_bytes},
    {.section = kData, .name = "persist-queue-limit", .type = OptionType::kMemory,
     .default_value = "256mb", .unit = "bytes",
     .meaning = "Changes of a core that LevelDB hasn't taken yet; when there are more, writes "
                "wait.",
     .min = kMiB, .max = 65536 * kMiB, .field = &Config::persist_queue_limit_bytes},
    {.section = kData, .name = "wal-segment-bytes", .type = OptionType::kMemory,
     .default_value = "64mb", .unit = "bytes",
     .meaning = "Size at which a file of the write-ahead log is finished and the next one begun.",
     .min = 64 * 1024, .max = 1024 * kMiB, .field = &Config::wal_segment_bytes},
    {.section = kData, .name = "disk-reserve-bytes", .type = OptionType::kMemory,
     .default_value = "256mb", .unit = "bytes",
     .meaning = "With less free space on the disk writes are refused, before the log would fail.",
     .field = &Config::disk_reserve_bytes},
    {.section = kData, .name = "shutdown-timeout", .type = OptionType::kInteger,
     .default_value = "10", .unit = "seconds",
     .meaning = "How long SIGTERM and SHUTDOWN wait for clients to take their last replies.",
     .flags = kRuntime, .max = kIntMax, .field = &Config::shutdown_timeout_s},

    {.section = kCluster, .name = "cluster-port", .type = OptionType::kInteger,
     .default_value = "0",
     .meaning = "The TCP port for the other nodes of the cluster, on the first address of bind; "
                "0: this node is alone.",
     .max = 65535, .field = &Config::cluster_port},
    {.section = kCluster, .name = "cluster-secret", .type = OptionType::kString,
     .default_value = "",
     .meaning = "What the nodes of a cluster must share to talk to each other. It is never sent.",
     .flags = kSecret, .field = &Config::cluster_secret},
    {.section = kCluster, .name = "cluster-announce", .type = OptionType::kSpecial,
     .default_value = "",
     .meaning = "The numeric address and port at which other nodes reach this one, where that is "
                "not the first address of bind with cluster-port.",
     .field = SpecialField{SetClusterAnnounce, GetClusterAnnounce}},
    {.section = kCluster, .name = "bootstrap", .type = OptionType::kBool, .default_value = "no",
     .meaning = "Found a new cluster of this one node, with the data that it has. Ignored once the "
                "node belongs to a cluster.",
     .field = &Config::bootstrap},
    {.section = kCluster, .name = "join", .type = OptionType::kSpecial, .default_value = "",
     .meaning = "Cluster addresses (10.0.0.1:16379) of nodes whose cluster this one joins, "
                "separated by blanks; any one that answers will do. Ignored once the node belongs "
                "to a cluster.",
     .flags = kList, .field = SpecialField{SetJoin, GetJoin}},
    {.section = kCluster, .name = "cluster-snapshot-rate", .type = OptionType::kMemory,
     .default_value = "128mb", .unit = "bytes",
     .meaning = "How much of its data a core sends in a second, at most, to nodes that the log "
                "can't help any more.",
     .flags = kRuntime, .min = kMiB, .max = 65536 * kMiB, .field = &Config::cluster_snapshot_rate},
    {.section = kCluster, .name = "cluster-election-timeout", .type = OptionType::kInteger,
     .default_value = "400", .unit = "milliseconds",
     .meaning = "A node that hears nothing from a leader for this long, up to twice as long, asks "
                "to become the leader. The same on all nodes.",
     .min = 50, .max = 60000, .field = &Config::election_timeout_ms},
    {.section = kCluster, .name = "cluster-heartbeat-interval", .type = OptionType::kInteger,
     .default_value = "60", .unit = "milliseconds",
     .meaning = "How often a leader shows the other nodes that it is there; at most half of "
                "cluster-election-timeout.",
     .min = 5, .max = 30000, .field = &Config::heartbeat_interval_ms},
    {.section = kCluster, .name = "cluster-retry-timeout", .type = OptionType::kInteger,
     .default_value = "2000", .unit = "milliseconds",
     .meaning = "How long a request waits for a leader of its keys while there is none that can be "
                "reached, as during an election; then it is answered with TRYAGAIN or CLUSTERDOWN, "
                "and has had no effect. Below the timeout of the clients, so that they learn that. "
                "0: it doesn't wait.",
     .flags = kRuntime, .max = 3600000, .field = &Config::cluster_retry_timeout_ms},
    {.section = kCluster, .name = "reads", .type = OptionType::kEnum, .default_value = "quorum",
     .meaning = "How a node makes sure that a read sees every write acknowledged before it: quorum: "
                "a majority confirms, after the read has arrived, that the leader still leads; "
                "lease: the leader answers by itself while a majority has promised to elect nobody "
                "else, which is as safe as the nodes' monotonic clocks run alike (within a tenth "
                "of cluster-election-timeout) and don't stand still while a machine is paused; "
                "local: not at all. The node that the client is connected to answers from what it "
                "has, which may be old: even a client's own write may be missing.",
     .choices = kReads, .field = &Config::reads},

    {.section = kMemory, .name = "maxmemory", .type = OptionType::kMemory, .default_value = "0",
     .unit = "bytes",
     .meaning = "When the keys of the node and the buffers of its clients take more, maxmemory-policy "
                "decides; 0: no limit.",
     .flags = kRuntime | kShared, .field = &Config::maxmemory_bytes},
    {.section = kMemory, .name = "maxmemory-policy", .type = OptionType::kEnum,
     .default_value = "noeviction",
     .meaning = "At maxmemory: noeviction refuses commands that need memory, the others delete "
                "keys: the least recently used (lru), the least often used (lfu), those that expire "
                "soonest (ttl), or random ones; of all keys or only of those with an expiry "
                "(volatile).",
     .flags = kRuntime | kShared, .choices = kPolicies, .field = &Config::maxmemory_policy},
    {.section = kMemory, .name = "maxmemory-samples", .type = OptionType::kInteger,
     .default_value = "5", .unit = "keys",
     .meaning = "How many keys are compared to choose one to delete.",
     .flags = kRuntime | kShared, .min = 1, .max = 1000, .field = &Config::maxmemory_samples},
    {.section = kMemory, .name = "resident-memory", .type = OptionType::kMemory,
     .default_value = "0", .unit = "bytes",
     .meaning = "When the keys of the node take more, values that weren't used for long leave "
                "memory, once they are in the store, and are read again when they are asked for; "
                "names, expiry times and revisions stay. 0: everything stays. Unlike maxmemory it "
                "deletes nothing; it is to be the smaller one when both are set.",
     .flags = kRuntime | kShared, .field = &Config::resident_memory_bytes},
    {.section = kMemory, .name = "lfu-log-factor", .type = OptionType::kInteger,
     .default_value = "10",
     .meaning = "With an lfu policy a key's uses are counted up to 255, each with a chance of 1 in "
                "(counter - 5) times this, plus 1.",
     .flags = kRuntime | kShared, .min = 0, .max = kIntMax, .field = &Config::lfu_log_factor},
    {.section = kMemory, .name = "lfu-decay-time", .type = OptionType::kInteger,
     .default_value = "1", .unit = "minutes",
     .meaning = "And the counter loses one each time that this has passed; 0: never.",
     .flags = kRuntime | kShared, .min = 0, .max = kIntMax, .field = &Config::lfu_decay_time_min},
    {.section = kMemory, .name = "hash-max-listpack-entries", .alias = "hash-max-ziplist-entries",
     .type = OptionType::kInteger, .default_value = "512", .unit = "fields",
     .meaning = "A hash of more fields becomes a hash table: more memory, and as quick at any size.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::hash_max_listpack_entries},
    {.section = kMemory, .name = "hash-max-listpack-value", .alias = "hash-max-ziplist-value",
     .type = OptionType::kInteger, .default_value = "64", .unit = "bytes",
     .meaning = "So does one with a longer field or value.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::hash_max_listpack_value},
    {.section = kMemory, .name = "set-max-intset-entries", .type = OptionType::kInteger,
     .default_value = "512", .unit = "members",
     .meaning = "A set of more integers becomes a hash table, as does one of other members.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::set_max_intset_entries},
    {.section = kMemory, .name = "zset-max-listpack-entries", .alias = "zset-max-ziplist-entries",
     .type = OptionType::kInteger, .default_value = "128", .unit = "members",
     .meaning = "A sorted set of more members becomes a table and a tree.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::zset_max_listpack_entries},
    {.section = kMemory, .name = "zset-max-listpack-value", .alias = "zset-max-ziplist-value",
     .type = OptionType::kInteger, .default_value = "64", .unit = "bytes",
     .meaning = "So does one with a longer member.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::zset_max_listpack_value},
    {.section = kMemory, .name = "hll-sparse-max-bytes", .type = OptionType::kMemory,
     .default_value = "3000", .unit = "bytes",
     .meaning = "A HyperLogLog whose runs of registers take more is kept as plain registers, 12 KB.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::hll_sparse_max_bytes},
    {.section = kMemory, .name = "stream-node-max-bytes", .type = OptionType::kMemory,
     .default_value = "4096", .unit = "bytes",
     .meaning = "A stream keeps its entries together in nodes of at most this size. 0: no limit.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::stream_node_max_bytes},
    {.section = kMemory, .name = "stream-node-max-entries", .type = OptionType::kInteger,
     .default_value = "100", .unit = "entries",
     .meaning = "And of at most so many entries. MAXLEN ~ and MINID ~ take whole nodes away. 0: no "
                "limit.",
     .flags = kRuntime | kShared, .min = 0, .field = &Config::stream_node_max_entries},
    {.section = kMemory, .name = "maxmemory-clients", .type = OptionType::kMemoryOrPercent,
     .default_value = "0", .unit = "bytes, or percent of maxmemory",
     .meaning = "When the buffers of all clients take more, the largest clients are disconnected; "
                "0: no limit.",
     .flags = kRuntime | kShared, .min = -100, .field = &Config::maxmemory_clients},
    {.section = kMemory, .name = "tracking-table-max-keys", .type = OptionType::kInteger,
     .default_value = "1000000", .unit = "keys",
     .meaning = "Keys that clients of CLIENT TRACKING have read and are to hear of; beyond it some "
                "are told as changed and forgotten. 0: no limit.",
     .flags = kRuntime, .max = INT64_MAX, .field = &Config::tracking_table_max_keys},
    {.section = kMemory, .name = "hz", .type = OptionType::kInteger, .default_value = "10",
     .unit = "times a second",
     .meaning = "How often each core looks for expired keys.",
     .flags = kRuntime, .min = 1, .max = 500, .field = &Config::hz},
    {.section = kMemory, .name = "active-expire-effort", .type = OptionType::kInteger,
     .default_value = "1",
     .meaning = "How many expired keys that nobody reads are deleted at once: 500 times this.",
     .flags = kRuntime | kShared, .min = 1, .max = 10, .field = &Config::active_expire_effort},

    {.section = kRequests, .name = "proto-max-bulk-len", .type = OptionType::kMemory,
     .default_value = "512mb", .unit = "bytes",
     .meaning = "The largest value of a key and argument of a command.",
     .flags = kRuntime | kShared, .min = kMiB, .max = 512 * kMiB, .field = &Config::max_bulk_bytes},
    {.section = kRequests, .name = "client-query-buffer-limit", .type = OptionType::kMemory,
     .default_value = "1gb", .unit = "bytes",
     .meaning = "A client whose unfinished request is larger is disconnected.",
     .flags = kRuntime, .min = kMiB, .field = &Config::query_buffer_limit_bytes},
    {.section = kRequests, .name = "client-output-buffer-limit", .type = OptionType::kSpecial,
     .default_value = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
     .unit = "class, bytes, bytes, seconds",
     .meaning = "For each class (normal, slave, pubsub): a client with more bytes of replies "
                "waiting than the first number is disconnected, also one above the second for the "
                "given seconds. 0: no own limit; every buffer ends at 1gb nevertheless.",
     .flags = kRuntime | kShared | kList, .field = SpecialField{SetOutputLimits, GetOutputLimits}},

    {.section = kScripts, .name = "busy-reply-threshold", .alias = "lua-time-limit",
     .type = OptionType::kInteger, .default_value = "5000", .unit = "milliseconds",
     .meaning = "While a script runs, other requests to its partition wait; when it has run for so "
                "long, they are answered BUSY, and SCRIPT KILL can end it.",
     .flags = kRuntime | kShared, .min = 1, .max = kIntMax, .field = &Config::busy_reply_threshold_ms},
    {.section = kScripts, .name = "lua-memory-limit", .type = OptionType::kMemory,
     .default_value = "256mb", .unit = "bytes",
     .meaning = "What the scripts of one core may hold in Lua; one that needs more ends with an "
                "error.",
     .flags = kRuntime, .min = 4 * kMiB, .field = &Config::script_memory_bytes},
    {.section = kScripts, .name = "script-cache-size", .type = OptionType::kMemory,
     .default_value = "64mb", .unit = "bytes",
     .meaning = "Scripts that this node keeps for EVALSHA; those that were used longest ago are "
                "forgotten beyond that.",
     .flags = kRuntime, .min = kMiB, .field = &Config::script_cache_bytes},

    {.section = kWatching, .name = "log-level", .alias = "loglevel", .type = OptionType::kEnum,
     .default_value = "notice",
     .meaning = "The least important messages to log: debug, verbose, notice, warning or nothing.",
     .flags = kRuntime, .choices = kLogLevels, .field = &Config::log_level},
    {.section = kWatching, .name = "log-file", .alias = "logfile", .type = OptionType::kString,
     .default_value = "",
     .meaning = "The file to log to, appended; empty: standard output.",
     .field = &Config::log_file},
    {.section = kWatching, .name = "pidfile", .type = OptionType::kString, .default_value = "",
     .meaning = "A file for the process id, removed at the end; empty: none.",
     .field = &Config::pidfile},
    {.section = kWatching, .name = "slowlog-log-slower-than", .type = OptionType::kInteger,
     .default_value = "10000", .unit = "microseconds",
     .meaning = "Commands that execute for longer are kept for SLOWLOG GET; 0: all, -1: none.",
     .flags = kRuntime, .min = -1, .field = &Config::slowlog_slower_than_us},
    {.section = kWatching, .name = "slowlog-max-len", .type = OptionType::kInteger,
     .default_value = "128", .unit = "commands",
     .meaning = "How many of them are kept.",
     .flags = kRuntime, .max = 1000000, .field = &Config::slowlog_max_len},
    {.section = kWatching, .name = "latency-monitor-threshold", .type = OptionType::kInteger,
     .default_value = "0", .unit = "milliseconds",
     .meaning = "Events that take so long are kept for LATENCY LATEST and HISTORY; 0: none.",
     .flags = kRuntime, .field = &Config::latency_monitor_threshold_ms},
    {.section = kWatching, .name = "notify-keyspace-events", .type = OptionType::kSpecial,
     .default_value = "", .unit = "letters",
     .meaning = "The events of keys that clients may subscribe to, on __keyspace@<db>__:<key> (K) "
                "and __keyevent@<db>__:<event> (E): g of any type, $ strings, l lists, s sets, h "
                "hashes, z sorted sets, t streams, x expired, e evicted; A for all these; n new "
                "keys, m reads of missing ones. Empty: none.",
     .flags = kRuntime | kShared, .field = SpecialField{SetKeyEvents, GetKeyEvents}},
    {.section = kWatching, .name = "latency-tracking", .type = OptionType::kBool,
     .default_value = "yes",
     .meaning = "Whether execution times of each command are counted for INFO latencystats.",
     .flags = kRuntime, .field = &Config::latency_tracking},
    {.section = kWatching, .name = "latency-tracking-info-percentiles",
     .type = OptionType::kSpecial, .default_value = "50 99 99.9", .unit = "percent",
     .meaning = "The percentiles that INFO latencystats shows, separated by blanks.",
     .flags = kRuntime | kList, .field = SpecialField{SetPercentiles, GetPercentiles}},

    {.section = kRedis, .name = "databases", .type = OptionType::kSpecial, .default_value = "16",
     .meaning = "Always 16.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetDatabases}},
    {.section = kRedis, .name = "appendonly", .type = OptionType::kSpecial, .default_value = "yes",
     .meaning = "Always yes: every write goes to the log.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetYes}},
    {.section = kRedis, .name = "appendfsync", .type = OptionType::kSpecial,
     .default_value = "always",
     .meaning = "Shows durability: fsync is always, os is no.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetAppendfsync}},
    {.section = kRedis, .name = "save", .type = OptionType::kSpecial, .default_value = "",
     .meaning = "Kept for tools that set it. It starts nothing, because there is nothing left to "
                "save: a write is durable before it is acknowledged.",
     .flags = kRedisOnly | kRuntime | kInert | kList, .field = SpecialField{SetSave, GetSave}},
    {.section = kRedis, .name = "aof-use-rdb-preamble", .type = OptionType::kSpecial,
     .default_value = "no",
     .meaning = "Always no: the log holds entries and nothing else.",
     .flags = kRedisOnly | kHidden, .field = SpecialField{nullptr, GetNo}},
    {.section = kRedis, .name = "daemonize", .type = OptionType::kSpecial, .default_value = "no",
     .meaning = "Always no: the service manager does that.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetNo}},
    {.section = kRedis, .name = "replicaof", .alias = "slaveof", .type = OptionType::kSpecial,
     .default_value = "",
     .meaning = "Always empty: replication isn't set up node by node here.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetEmpty}},
    {.section = kRedis, .name = "replica-read-only", .alias = "slave-read-only",
     .type = OptionType::kSpecial, .default_value = "yes",
     .meaning = "Always yes: only the log changes a follower.",
     .flags = kRedisOnly, .field = SpecialField{nullptr, GetYes}},
    {.section = kRedis, .name = "repl-backlog-size", .type = OptionType::kMemory,
     .default_value = "1mb", .unit = "bytes",
     .meaning = "Kept for tools that set it. There is no backlog beside the log itself.",
     .flags = kRedisOnly | kRuntime | kInert, .min = 1, .field = &Config::repl_backlog_bytes},
    {.section = kRedis, .name = "repl-ping-replica-period", .alias = "repl-ping-slave-period",
     .type = OptionType::kInteger, .default_value = "10", .unit = "s",
     .meaning = "Kept for tools that set it. Nodes hear from each other at every heartbeat.",
     .flags = kRedisOnly | kRuntime | kInert, .min = 1, .max = INT32_MAX,
     .field = &Config::repl_ping_replica_period},
    {.section = kRedis, .name = "list-max-listpack-size", .alias = "list-max-ziplist-size",
     .type = OptionType::kInteger, .default_value = "-2",
     .meaning = "Kept for tools that set it. Items of a list lie together by 128, whatever it says.",
     .flags = kRedisOnly | kRuntime | kInert, .min = INT32_MIN, .max = INT32_MAX,
     .field = &Config::list_max_listpack_size},
    {.section = kRedis, .name = "list-compress-depth", .type = OptionType::kInteger,
     .default_value = "0",
     .meaning = "Kept for tools that set it. Items of a list aren't compressed.",
     .flags = kRedisOnly | kRuntime | kInert, .min = 0, .max = INT32_MAX,
     .field = &Config::list_compress_depth},
    {.section = kRedis, .name = "key-load-delay", .type = OptionType::kSpecial,
     .default_value = "0",
     .meaning = "Always 0: Redis's own tests slow down loading by it.",
     .flags = kRedisOnly | kHidden, .field = SpecialField{nullptr, GetZero}},
};
// clang-format on

}  // namespace

std::span<const Option> Options() { return kOptions; }

}  // namespace holdfast::engine
