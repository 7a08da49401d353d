// Shared by the tests of what goes through a store: a store that is watched, short ways to make
// jobs and to look into stores. To be included last, because doctest's CHECK replaces that of
// base/check.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "data/persist.h"
#include "storage/mem_store.h"
#include "world.h"

#include <doctest/doctest.h>

namespace holdfast::data {

// Passes everything on; notes the batches, and fails the writes when told to.
class WatchedStore : public storage::Store {
 public:
  WatchedStore() : store_(disk_.Open("store").value()) {}

  Status Write(const storage::StoreBatch& batch, bool sync) override {
    ++writes;
    last_sync = sync;
    last_batch.clear();
    batch.ForEach([this](std::string_view key, const std::string_view* value) {
      last_batch.emplace_back(key, value == nullptr ? "(deleted)" : std::string(*value));
    });
    if (on_write) on_write();
    if (fail_writes) return Status::IoError("the disk is gone");
    return store_->Write(batch, sync);
  }
  Status Sync() override { return store_->Sync(); }
  Status Get(std::string_view key, std::string* value) override {
    ++gets;
    if (fail_reads) return Status::IoError("the disk is gone");
    return store_->Get(key, value);
  }
  Status Scan(std::string_view start, std::string_view end,
              absl::FunctionRef<bool(std::string_view, std::string_view)> visitor) override {
    return store_->Scan(start, end, visitor);
  }
  std::unique_ptr<storage::StoreIterator> NewIterator() override { return store_->NewIterator(); }
  uint64_t ApproximateBytes(std::string_view start, std::string_view end) override {
    return store_->ApproximateBytes(start, end);
  }
  Status CompactRange(std::string_view start, std::string_view end) override {
    if (fail_compactions) return Status::IoError("the disk is gone");
    return store_->CompactRange(start, end);
  }
  Status status() const override { return store_->status(); }

  int writes = 0;
  int gets = 0;
  bool last_sync = false;
  bool fail_writes = false;
  std::function<void()> on_write;
  bool fail_reads = false;
  bool fail_compactions = false;
  std::vector<std::pair<std::string, std::string>> last_batch;

  // Power is cut and comes back.
  void CrashAndReopen(Rng* rng) {
    disk_.Crash(rng);
    store_.reset();
    store_ = disk_.Open("store").value();
  }

 private:
  storage::MemStoreDisk disk_;
  std::unique_ptr<storage::Store> store_;
};

using Contents = std::map<std::string, std::string>;

inline Contents ReadAll(storage::Store* store) {
  Contents contents;
  REQUIRE(store
              ->Scan("", "",
                     [&contents](std::string_view key, std::string_view value) {
                       contents.emplace(key, value);
                       return true;
                     })
              .ok());
  return contents;
}

// What a new process would find.
inline State Reload(storage::Store* store, DatabaseMap* map, LoadStats* stats = nullptr) {
  ManualClock clock(1'700'000'000'000);
  Keyspace::Options options;
  options.clock = &clock;
  options.hash_seed = 1234;
  Keyspace keyspace(options);
  REQUIRE(LoadKeyspace(store, &keyspace, stats).ok());
  bool consistent;
  State state = ReadOut(keyspace, &consistent);
  CHECK(consistent);
  *map = keyspace.map();
  return state;
}

inline Effect PutOf(std::string_view key, std::string_view value, uint64_t revision,
                    uint32_t database = 0) {
  Effect effect;
  effect.kind = EffectKind::kPut;
  effect.slot = KeySlot(key);
  effect.database = database;
  effect.key = key;
  effect.value = value;
  effect.meta.version = 1;
  effect.meta.revision = effect.meta.created = revision;
  return effect;
}

inline Effect DeleteOf(std::string_view key, uint64_t revision, uint32_t database = 0) {
  Effect effect = PutOf(key, "", revision, database);
  effect.kind = EffectKind::kDelete;
  return effect;
}

inline Effect PatchOf(std::string_view key, std::string_view bytes, uint64_t offset,
                      uint64_t new_size) {
  Effect effect = PutOf(key, bytes, 50);
  effect.kind = EffectKind::kPatch;
  effect.offset = offset;
  effect.new_size = new_size;
  return effect;
}

inline Effect MetaEffectOf(std::string_view key, int64_t expire_at_ms) {
  Effect effect = PutOf(key, "", 60);
  effect.kind = EffectKind::kMeta;
  effect.meta.expire_at_ms = expire_at_ms;
  return effect;
}

// A job of one payload.
inline PersistJob JobOf(uint64_t index, const std::vector<Effect>& effects) {
  std::string payload;
  AppendPayloadHeader(&payload);
  for (const Effect& effect : effects) AppendEffect(&payload, effect);
  PersistJob job;
  job.applied_index = index;
  job.applied_term = 3;
  job.bytes = payload.size();
  job.payloads.push_back(std::make_shared<const std::string>(std::move(payload)));
  return job;
}

inline std::string RecordKey(std::string_view key, uint32_t database = 0) {
  std::string record_key;
  AppendMetaKey(&record_key, KeySlot(key), database, key);
  return record_key;
}

// The value of a stored string, without its meta.
inline std::string ValueIn(storage::Store* store, std::string_view key, Meta* meta) {
  std::string record;
  std::string_view value;
  REQUIRE(store->Get(RecordKey(key), &record).ok());
  REQUIRE(ParseMeta(record, meta, &value).ok());
  return std::string(value);
}

}  // namespace holdfast::data
