// Counters of one core, for INFO. Each core counts on its own; readers add them up.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::engine {

// How long the calls of one command took: a histogram with power-of-two buckets in nanoseconds,
// each split into 16, so that percentiles are right within about 6 %.
class LatencyHistogram {
 public:
  void Add(uint64_t ns);
  void Merge(const LatencyHistogram& other);
  uint64_t count() const { return count_; }
  // The value below which `percentile` (0..100) of the calls lie, in nanoseconds.
  uint64_t Percentile(double percentile) const;
  // Calls of at most `ns` nanoseconds.
  uint64_t CountUpTo(uint64_t ns) const;

 private:
  static constexpr size_t kBuckets = 64 * 16;
  static size_t BucketOf(uint64_t ns);
  static uint64_t UpperBound(size_t bucket);

  uint64_t count_ = 0;
  std::vector<uint32_t> buckets_;  // allocated by the first call
};

struct CommandStats {
  uint64_t calls = 0;
  uint64_t ns = 0;
  uint64_t rejected = 0;  // refused before it ran: arity, OOM, …
  uint64_t failed = 0;    // ran and answered an error
  LatencyHistogram latency;
};

struct CoreStats {
  std::vector<CommandStats> commands;                   // by Command::id
  std::map<std::string, uint64_t, std::less<>> errors;  // replies by error prefix

  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t tls_connections = 0;         // whose handshake succeeded
  uint64_t tls_handshake_failures = 0;  // the others
  uint64_t commands_processed = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t expired_keys = 0;
  uint64_t evicted_keys = 0;
  uint64_t evicted_clients = 0;
  uint64_t values_dropped = 0;   // from memory, by resident-memory
  uint64_t values_loaded = 0;    // back from the store
  uint64_t effects = 0;          // modifications since the start
  uint64_t effects_at_save = 0;  // of these, how many the last SAVE or BGSAVE has covered
  uint64_t reads = 0;            // read system calls
  uint64_t writes = 0;           // write system calls
  uint64_t query_buffer_limit_disconnections = 0;
  uint64_t output_buffer_limit_disconnections = 0;
  uint64_t unexpected_errors = 0;
  uint64_t forwarded_sent = 0;         // requests to other nodes
  uint64_t forwarded_received = 0;     // requests of other nodes
  uint64_t forwarded_refused = 0;      // own requests that came back, to be sent elsewhere
  uint64_t forwarded_in_doubt = 0;     // own writes whose answer was lost
  uint64_t publications_sent = 0;      // own messages for the other nodes
  uint64_t publications_received = 0;  // other nodes' messages
  // Missed by a node that was gone or behind, each time, or by other cores when too much was on its
  // way, and events that were not even queued.
  uint64_t publications_dropped = 0;
  uint64_t follower_reads = 0;     // answered here although another node leads
  uint64_t forwarded_waiting = 0;  // own requests that are held or not answered, at present
  uint64_t max_turn_ns = 0;        // longest turn of the loop since CONFIG RESETSTAT

  // Counts an error reply by the word it begins with; at most 128 different words are kept.
  void CountError(std::string_view text);
  void Merge(const CoreStats& other);
  // CONFIG RESETSTAT.
  void Reset();
};

}  // namespace holdfast::engine
