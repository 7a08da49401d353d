// Keys whose values are in the store only: what leaves memory comes back as if it had never left.
#include "base/clock.h"
#include "base/rng.h"
#include "data/keyspace.h"
#include "data/persist.h"
#include "storage/mem_store.h"
#include "world.h"

#include <memory>
#include <string>
#include <vector>

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

// A follower whose values leave memory at random, with the store that its entries go to.
class Forgetful {
 public:
  Forgetful(const Clock* clock, uint64_t seed) : rng_(seed) {
    options_.clock = clock;
    options_.hash_seed = 99;
    keyspace = std::make_unique<Keyspace>(options_);
  }

  void Apply(std::string payload) {
    REQUIRE(keyspace->ApplyPayload(payload).ok());
    job_.payloads.push_back(std::make_shared<const std::string>(std::move(payload)));
    ++job_.applied_index;
  }

  void Persist() {
    PersistStats stats;
    REQUIRE(PersistEntries(store_.get(), job_, false, &stats).ok());
    job_.payloads.clear();
    stored_ = std::max(stored_, stats.max_revision);
  }

  // Drops some of what the store has.
  void Drop() {
    for (uint32_t db = 0; db < kLogicalDatabases; ++db) {
      Database* database = keyspace->Logical(db);
      std::vector<Object*> objects;
      uint64_t cursor = 0;
      do {
        cursor = database->table.Scan(cursor, 100, [&](Object* object) {
          const bool stored = object->revision() <= stored_;
          if (MayBeCold(object->type()) && !object->cold() && stored && rng_.Chance(1, 2)) {
            objects.push_back(object);
          }
        });
      } while (cursor != 0);
      for (Object* object : objects) {
        const Object* cold = keyspace->Drop(database, object);
        REQUIRE(cold->cold());
        REQUIRE(cold->collection() == nullptr);
      }
    }
  }

  // Brings everything back. REQUIRES: the store has everything.
  void Fill() {
    std::vector<std::string> keys;
    std::vector<uint64_t> created;
    for (uint32_t db = 0; db < kLogicalDatabases; ++db) {
      const Database* database = keyspace->Logical(db);
      uint64_t cursor = 0;
      do {
        cursor = database->table.Scan(cursor, 100, [&](const Object* object) {
          if (!object->cold()) return;
          AppendMetaKey(&keys.emplace_back(), KeySlot(object->key()), database->physical,
                        object->key());
          created.push_back(object->created());
        });
      } while (cursor != 0);
    }
    REQUIRE(keys.size() == keyspace->cold_keys());
    std::vector<StoredRecord> records;
    REQUIRE(ReadRecords(store_.get(), keys, keyspace->collection_options(), &records).ok());
    for (size_t i = 0; i < records.size(); ++i) {
      REQUIRE(keyspace
                  ->Fill(records[i].key, created[i],
                         records[i].value.has_value() ? &*records[i].value : nullptr,
                         std::move(records[i].collection))
                  .ok());
    }
    REQUIRE_FALSE(keyspace->has_cold());
  }

  // As at a start, with room for so much.
  void Load(size_t resident_bytes) {
    options_.resident_bytes = resident_bytes;
    keyspace = std::make_unique<Keyspace>(options_);
    REQUIRE(LoadKeyspace(store_.get(), keyspace.get(), nullptr).ok());
  }

  std::unique_ptr<Keyspace> keyspace;

 private:
  Rng rng_;
  Keyspace::Options options_;
  storage::MemStoreDisk disk_;
  std::unique_ptr<storage::Store> store_ = disk_.Open("store").value();
  PersistJob job_;
  uint64_t stored_ = 0;
};

TEST_CASE("values that leave memory at random come back as they would be") {
  uint64_t cold = 0;
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    CAPTURE(seed);
    ManualClock clock(1'700'000'000'000);
    Forgetful follower(&clock, seed);
    World world(seed);
    for (int entry = 0; entry < 120; ++entry) {
      std::string payload;
      AppendPayloadHeader(&payload);
      for (uint64_t n = world.rng()->Below(25); n > 0; --n) AppendEffect(&payload, world.Next());
      follower.Apply(std::move(payload));
      if (world.rng()->Chance(1, 3)) follower.Persist();
      if (world.rng()->Chance(1, 2)) follower.Drop();
      cold += follower.keyspace->cold_keys();
      if (!world.rng()->Chance(1, 8)) continue;
      follower.Persist();
      follower.Fill();
      bool consistent;
      REQUIRE(ReadOut(*follower.keyspace, &consistent) == world.state());
      REQUIRE(consistent);
    }
    // A start that leaves most of it in the store, and one that leaves nothing.
    for (const size_t bytes : {size_t{1}, size_t{3000}, size_t{0}}) {
      follower.Persist();
      follower.Load(bytes);
      CHECK(follower.keyspace->has_cold() == (bytes != 0));
      if (bytes != 0) continue;
      bool consistent;
      REQUIRE(ReadOut(*follower.keyspace, &consistent) == world.state());
    }
    follower.Load(1);
    follower.Fill();
    bool consistent;
    REQUIRE(ReadOut(*follower.keyspace, &consistent) == world.state());
    REQUIRE(consistent);
  }
  CHECK(cold > 1000);
}

TEST_CASE("a value comes back only where it belongs") {
  ManualClock clock(1'700'000'000'000);
  Keyspace::Options options;
  options.clock = &clock;
  Keyspace keyspace(options);
  const HashedKey key = keyspace.Hash("k");
  Database* database = keyspace.Logical(0);
  Effect effect;
  effect.slot = key.slot;
  effect.database = database->physical;
  effect.key = "k";
  effect.hash = key.hash;
  effect.value = "value";
  effect.meta.revision = effect.meta.created = 5;
  effect.meta.version = 1;
  const auto find = [&] { return database->table.Find(key); };
  keyspace.Apply(effect, nullptr);
  std::string record_key;
  AppendMetaKey(&record_key, key.slot, database->physical, "k");
  std::string record;
  AppendMeta(&record, effect.meta);
  record += "value";

  // Nothing is cold.
  CHECK(keyspace.Fill(record_key, 5, &record, nullptr).ok());
  CHECK(find()->value() == "value");
  find()->accessed = 77;
  keyspace.Drop(database, find());
  CHECK(keyspace.cold_keys() == 1);
  CHECK(find()->value().empty());
  CHECK(find()->accessed == 77);
  // Another generation is none of its business; that of the store has to be the same.
  CHECK(keyspace.Fill(record_key, 4, &record, nullptr).ok());
  CHECK(find()->cold());
  CHECK_FALSE(keyspace.Fill(record_key, 5, nullptr, nullptr).ok());
  std::string other;
  effect.meta.created = 4;
  AppendMeta(&other, effect.meta);
  CHECK_FALSE(keyspace.Fill(record_key, 5, &other, nullptr).ok());
  CHECK(keyspace.Fill(record_key, 5, &record, nullptr).ok());
  CHECK(find()->value() == "value");
  CHECK(keyspace.cold_keys() == 0);

  // Replacing and deleting need no value; a flush forgets cold keys.
  keyspace.Drop(database, find());
  effect.meta.created = 5;
  effect.meta.revision = 6;
  effect.value = "v2";
  keyspace.Apply(effect, find());
  CHECK(find()->value() == "v2");
  CHECK(keyspace.cold_keys() == 0);
  keyspace.Drop(database, find());
  effect.kind = EffectKind::kDelete;
  keyspace.Apply(effect, find());
  CHECK(find() == nullptr);
  CHECK(keyspace.cold_keys() == 0);
  CHECK(database->object_bytes == 0);
}

}  // namespace
}  // namespace holdfast::data
