#include "engine/stats.h"

#include <algorithm>
#include <bit>

namespace holdfast::engine {
namespace {

constexpr size_t kMaxErrorPrefixes = 128;

}  // namespace

size_t LatencyHistogram::BucketOf(uint64_t ns) {
  if (ns < 16) return ns;
  const auto exponent = static_cast<size_t>(63 - std::countl_zero(ns));
  return (exponent - 3) * 16 + ((ns >> (exponent - 4)) & 15);
}

uint64_t LatencyHistogram::UpperBound(size_t bucket) {
  if (bucket < 16) return bucket;
  const size_t exponent = bucket / 16 + 3;
  return ((16 + bucket % 16 + 1) << (exponent - 4)) - 1;
}

void LatencyHistogram::Add(uint64_t ns) {
  if (buckets_.empty()) buckets_.resize(kBuckets);
  ++buckets_[BucketOf(ns)];
  ++count_;
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  if (other.buckets_.empty()) return;
  if (buckets_.empty()) buckets_.resize(kBuckets);
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

uint64_t LatencyHistogram::Percentile(double percentile) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<uint64_t>(percentile / 100.0 * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= std::max<uint64_t>(rank, 1)) return UpperBound(i);
  }
  return UpperBound(kBuckets - 1);
}

uint64_t LatencyHistogram::CountUpTo(uint64_t ns) const {
  if (buckets_.empty()) return 0;
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets && UpperBound(i) <= ns; ++i) seen += buckets_[i];
  return seen;
}

void CoreStats::CountError(std::string_view text) {
  const std::string_view prefix = text.substr(0, text.find(' '));
  const auto it = errors.find(prefix);
  if (it != errors.end()) {
    ++it->second;
  } else if (errors.size() < kMaxErrorPrefixes) {
    errors.emplace(prefix, 1);
  }
}

void CoreStats::Merge(const CoreStats& other) {
  if (commands.size() < other.commands.size()) commands.resize(other.commands.size());
  for (size_t i = 0; i < other.commands.size(); ++i) {
    commands[i].calls += other.commands[i].calls;
    commands[i].ns += other.commands[i].ns;
    commands[i].rejected += other.commands[i].rejected;
    commands[i].failed += other.commands[i].failed;
    commands[i].latency.Merge(other.commands[i].latency);
  }
  for (const auto& [prefix, count] : other.errors) errors[prefix] += count;
  connections_received += other.connections_received;
  connections_rejected += other.connections_rejected;
  tls_connections += other.tls_connections;
  tls_handshake_failures += other.tls_handshake_failures;
  commands_processed += other.commands_processed;
  values_dropped += other.values_dropped;
  values_loaded += other.values_loaded;
  input_bytes += other.input_bytes;
  output_bytes += other.output_bytes;
  keyspace_hits += other.keyspace_hits;
  keyspace_misses += other.keyspace_misses;
  expired_keys += other.expired_keys;
  evicted_keys += other.evicted_keys;
  evicted_clients += other.evicted_clients;
  effects += other.effects;
  effects_at_save += other.effects_at_save;
  reads += other.reads;
  writes += other.writes;
  query_buffer_limit_disconnections += other.query_buffer_limit_disconnections;
  output_buffer_limit_disconnections += other.output_buffer_limit_disconnections;
  unexpected_errors += other.unexpected_errors;
  forwarded_sent += other.forwarded_sent;
  forwarded_received += other.forwarded_received;
  forwarded_refused += other.forwarded_refused;
  forwarded_in_doubt += other.forwarded_in_doubt;
  follower_reads += other.follower_reads;
  publications_sent += other.publications_sent;
  publications_received += other.publications_received;
  publications_dropped += other.publications_dropped;
  forwarded_waiting += other.forwarded_waiting;
  max_turn_ns = std::max(max_turn_ns, other.max_turn_ns);
}

void CoreStats::Reset() {
  CoreStats fresh;
  fresh.commands.resize(commands.size());
  // No statistics but positions: what was changed since the last save stays known.
  fresh.effects = effects;
  fresh.effects_at_save = effects_at_save;
  fresh.forwarded_waiting = forwarded_waiting;
  *this = std::move(fresh);
}

}  // namespace holdfast::engine
