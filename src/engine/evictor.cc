#include "engine/evictor.h"

#include <algorithm>

#include "base/check.h"
#include "engine/core.h"
#include "engine/engine.h"

namespace holdfast::engine {
namespace {

// Keys that a core evicts at most for one request of another: as many as that one may have been
// sent writes in a turn (net::Mailbox::kTasksPerTurn), and some more, so that it keeps up.
constexpr size_t kMaxEvictedPerRequest = 5000;
constexpr size_t kMaxEvictedPerTick = 500;

bool OverMaxmemory(const Core& core) {
  const uint64_t limit = core.config().maxmemory_bytes;
  return limit != 0 && core.UsedMemory() > limit;
}

}  // namespace

void EvictionHelper::Answered(bool exhausted, uint64_t keyspace_bytes) {
  CHECK(asked_);
  asked_ = false;
  exhausted_ = exhausted;
  exhausted_bytes_ = keyspace_bytes;
}

bool Evictor::EvictElsewhere(const Partition* asking, size_t max_keys) {
  const size_t evicted = EvictHere(asking, max_keys);
  if (evicted == max_keys || !OverMaxmemory(*core_)) return true;
  return AskOthers();
}

bool Evictor::Tick() {
  // As in Redis, not while clients are paused.
  if (core_->pause().until_ms != 0) return false;
  return EvictHere(nullptr, kMaxEvictedPerTick) == kMaxEvictedPerTick;
}

size_t Evictor::EvictHere(const Partition* except, size_t max_keys) {
  const auto& partitions = core_->partitions();
  size_t evicted = 0;
  for (size_t i = 0; i < partitions.size() && evicted < max_keys; ++i) {
    if (!OverMaxmemory(*core_)) break;
    // The next time it is another one's turn, so that none is emptied for the others' sake.
    next_ = (next_ + 1) % partitions.size();
    Partition* const partition = partitions[next_].get();
    // The cluster's own records are nobody's cache.
    if (partition == except || partition->number() == core_->engine().meta_partition()) continue;
    evicted += partition->Evict(max_keys - evicted);
  }
  return evicted;
}

bool Evictor::AskOthers() {
  Engine& engine = core_->engine();
  helpers_.resize(engine.cores());
  bool hope = false;
  for (uint32_t i = 0; i < std::min(engine.cores(), engine.partitions()); ++i) {
    if (i == core_->number()) continue;
    if (!helpers_[i].asked()) Ask(i);
    hope |= helpers_[i].MayHelp(engine.core(i).keyspace_bytes());
  }
  on_credit_ = hope;
  return hope;
}

void Evictor::Ask(uint32_t number) {
  helpers_[number].Ask();
  ++outstanding_;
  Core* const home = core_;
  Core* const other = &core_->engine().core(number);
  core_->Post(number, [home, other] {
    const size_t evicted = other->evictor().EvictHere(nullptr, kMaxEvictedPerRequest);
    const bool exhausted = evicted == 0 && OverMaxmemory(*other);
    other->Post(home->number(),
                [home, number = other->number(), exhausted, bytes = other->KeyspaceBytesNow()] {
                  home->evictor().Answered(number, exhausted, bytes);
                });
  });
}

void Evictor::Answered(uint32_t number, bool exhausted, uint64_t keyspace_bytes) {
  helpers_[number].Answered(exhausted, keyspace_bytes);
  CHECK(outstanding_ > 0);
  if (--outstanding_ == 0) on_credit_ = false;
}

void Evictor::ConfigChanged() {
  for (EvictionHelper& helper : helpers_) helper.Forget();
}

}  // namespace holdfast::engine
