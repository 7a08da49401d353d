// Expiry, leases and eviction: the deletions that no client asked for. All are effects.
#include <algorithm>

#include "base/check.h"
#include "engine/access.h"
#include "engine/latency_timer.h"
#include "engine/partition.h"

namespace holdfast::engine {
namespace {

// Keys that one Tick deletes at most, times active-expire-effort; what is left over is taken by the
// next turn's.
constexpr size_t kMaxExpiredPerTick = 500;
// Keys that one write evicts at most before it gives up.
constexpr size_t kMaxEvictedPerWrite = 1000;

// A lock would be given to a second owner, and a sequence would give out its numbers again.
bool MayBeEvicted(const data::Object& object) {
  return object.type() != data::ObjectType::kLock && object.type() != data::ObjectType::kSequence;
}

}  // namespace

bool Partition::ExpireKeys() {
  const LatencyTimer timer(host_, "expire-cycle");
  auto budget = kMaxExpiredPerTick * static_cast<size_t>(host_->config().active_expire_effort);
  const int64_t now_ms = host_->NowMs();
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    data::Database* database = keyspace_->Logical(db);
    while (!database->expiries.empty() && database->expiries.top().deadline_ms <= now_ms) {
      if (budget-- == 0) return true;
      EmitExpiry(db, database, database->expiries.top().object, now_ms);
    }
  }
  return false;
}

void Partition::ExpireLeases() {
  const int64_t monotonic_ms = host_->clock().MonotonicMs();
  data::DeadlineHeap* leases = keyspace_->leases();
  for (size_t i = 0; i < kMaxExpiredPerTick; ++i) {
    if (leases->empty() || leases->top().deadline_ms >= monotonic_ms) return;
    data::Object* lock = leases->top().object;
    data::Database* database = keyspace_->DatabaseOfLease(lock);
    EmitExpiry(keyspace_->LogicalOf(database->physical), database, lock, host_->NowMs());
  }
}

int64_t Partition::Tick() {
  const int64_t now_ms = host_->clock().MonotonicMs();
  bool more = DropValues();
  if (!ready()) return more ? now_ms + 1 : 0;
  if (round_refused_) {
    round_refused_ = false;
    round_used_ = true;
    host_->NeedsTurnEnd(this);
  }
  // A suspended script must find everything as it left it.
  if (script_suspended()) return 0;
  if (host_->ActiveExpireEnabled()) more |= ExpireKeys();
  ExpireLeases();
  ServeReadyKeys();
  EndOverdueRequests();
  if (more) return now_ms + 1;
  int64_t next = blocked_.next_deadline_ms();
  for (const CopyWait& wait : copy_waits_) {
    const int64_t deadline_ms = wait.request.deadline_ms;
    if (deadline_ms != 0 && (next == 0 || deadline_ms < next)) next = deadline_ms;
  }
  const data::DeadlineHeap& leases = std::as_const(*keyspace_).leases();
  // Only a lock that somebody waits for has to end on time; the others are found expired.
  if (!leases.empty() && !blocked_.empty()) {
    const int64_t end = leases.top().deadline_ms + 1;
    next = next == 0 ? end : std::min(next, end);
  }
  return next;
}

data::Object* Partition::Candidate(uint32_t logical, int64_t* score) {
  const Config& config = host_->config();
  data::Database* database = keyspace_->Logical(logical);
  const MaxmemoryPolicy policy = config.maxmemory_policy;
  const bool only_volatile =
      policy == MaxmemoryPolicy::kVolatileLru || policy == MaxmemoryPolicy::kVolatileLfu ||
      policy == MaxmemoryPolicy::kVolatileTtl || policy == MaxmemoryPolicy::kVolatileRandom;
  const size_t keys = only_volatile ? database->expiries.size() : database->table.size();
  if (keys == 0) return nullptr;
  if (policy == MaxmemoryPolicy::kVolatileTtl) {
    *score = database->expiries.top().deadline_ms;
    return database->expiries.top().object;
  }
  const bool random =
      policy == MaxmemoryPolicy::kAllkeysRandom || policy == MaxmemoryPolicy::kVolatileRandom;
  const bool lfu = IsLfu(policy);
  const int64_t now_ns = host_->clock().MonotonicNs();
  data::Object* best = nullptr;
  for (int64_t i = 0; i < config.maxmemory_samples; ++i) {
    data::Object* object = only_volatile ? database->expiries.at(rng_.Below(keys)).object
                                         : database->table.Random(&rng_);
    if (!MayBeEvicted(*object)) continue;
    if (random) {
      *score = static_cast<int64_t>(rng_.Next() >> 1);
      return object;
    }
    const int64_t kept = lfu ? LfuCounter(object->accessed, now_ns, config)
                             : -static_cast<int64_t>(LruClockAt(now_ns) - object->accessed);
    if (best != nullptr && kept >= *score) continue;
    best = object;
    *score = kept;
  }
  return best;
}

bool Partition::EvictOne() {
  data::Object* victim = nullptr;
  uint32_t victim_db = 0;
  int64_t victim_score = 0;
  for (uint32_t db = 0; db < data::kLogicalDatabases; ++db) {
    int64_t score = 0;
    data::Object* object = Candidate(db, &score);
    if (object == nullptr || !MayBeEvicted(*object)) continue;
    if (victim == nullptr || score < victim_score) {
      victim = object;
      victim_db = db;
      victim_score = score;
    }
  }
  if (victim == nullptr) return false;
  const LatencyTimer timer(host_, "eviction-del");
  Notify(kEvictedEvents, "evicted", victim_db, victim->key());
  EmitDelete(victim_db, keyspace_->Logical(victim_db), victim, host_->NowMs());
  ++host_->stats()->evicted_keys;
  return true;
}

bool Partition::OverMaxmemory() const {
  const uint64_t limit = host_->config().maxmemory_bytes;
  return limit != 0 && host_->UsedMemory() > limit;
}

size_t Partition::Evict(size_t max_keys) {
  if (!ready() || script_suspended() || !evictable_ ||
      host_->config().maxmemory_policy == MaxmemoryPolicy::kNoEviction)
    return 0;
  const LatencyTimer timer(host_, "eviction-cycle");
  size_t evicted = 0;
  while (evicted < max_keys && OverMaxmemory() && EvictOne()) ++evicted;
  return evicted;
}

bool Partition::EnsureMemory() {
  if (!OverMaxmemory()) return true;
  if (host_->config().maxmemory_policy == MaxmemoryPolicy::kNoEviction) return false;
  const size_t evicted = Evict(kMaxEvictedPerWrite);
  // Much is to be freed: this write goes through, the next ones go on evicting.
  if (evicted == kMaxEvictedPerWrite || !OverMaxmemory()) return true;
  return host_->EvictElsewhere(this, kMaxEvictedPerWrite - evicted);
}

}  // namespace holdfast::engine
