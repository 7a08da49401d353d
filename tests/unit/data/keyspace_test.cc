#include "data/keyspace.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "world.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

Keyspace::Options WithClock(const Clock* clock) {
  Keyspace::Options options;
  options.clock = clock;
  options.hash_seed = 99;
  return options;
}

// Applies as a leader does: with the object it has looked up already.
Object* ApplyAsLeader(Keyspace* keyspace, Effect effect) {
  if (effect.kind == EffectKind::kDatabases) return keyspace->Apply(effect, nullptr);
  const HashedKey key = keyspace->Hash(effect.key);
  effect.hash = key.hash;
  return keyspace->Apply(effect, keyspace->Physical(effect.database)->table.Find(key));
}

Effect PutOf(std::string_view key, std::string_view value, uint64_t revision, uint32_t database = 0,
             ObjectType type = ObjectType::kString) {
  Effect effect;
  effect.kind = EffectKind::kPut;
  effect.slot = KeySlot(key);
  effect.database = database;
  effect.key = key;
  effect.value = value;
  effect.meta.type = type;
  effect.meta.version = 1;
  effect.meta.revision = effect.meta.created = revision;
  return effect;
}

std::string PayloadOf(const std::vector<Effect>& effects) {
  std::string payload;
  AppendPayloadHeader(&payload);
  for (const Effect& effect : effects) AppendEffect(&payload, effect);
  return payload;
}

Object* Get(const Keyspace& keyspace, std::string_view key, uint32_t logical = 0) {
  return keyspace.Logical(logical)->table.Find(keyspace.Hash(key));
}

const DeadlineHeap& HeapOf(const Keyspace& keyspace) { return keyspace.leases(); }

std::vector<std::pair<std::string, int64_t>> Leases(const Keyspace& keyspace) {
  std::vector<std::pair<std::string, int64_t>> all;
  for (size_t i = 0; i < keyspace.leases().size(); ++i) {
    const auto& item = keyspace.leases().at(i);
    all.emplace_back(std::to_string(keyspace.DatabaseOfLease(item.object)->physical) + " " +
                         std::string(item.object->key()),
                     item.deadline_ms);
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST_CASE("leader, follower and a dumb model agree after every entry") {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    ManualClock clock(1'700'000'000'000);
    Keyspace leader(WithClock(&clock));
    Keyspace follower(WithClock(&clock));
    World world(seed);
    uint64_t last_revision = 0;
    for (int entry = 0; entry < 120; ++entry) {
      std::string payload;
      AppendPayloadHeader(&payload);
      for (uint64_t n = world.rng()->Below(25); n > 0; --n) {
        const Effect& effect = world.Next();
        AppendEffect(&payload, effect);
        Object* after = ApplyAsLeader(&leader, effect);
        last_revision = effect.meta.revision;
        if (effect.kind == EffectKind::kDatabases || effect.kind == EffectKind::kDelete ||
            effect.kind == EffectKind::kRemove) {
          REQUIRE(after == nullptr);
        } else {
          REQUIRE(after != nullptr);
          REQUIRE(after->key() == effect.key);
          REQUIRE(leader.Physical(effect.database)->table.Find(leader.Hash(effect.key)) == after);
        }
      }
      REQUIRE(follower.ApplyPayload(payload).ok());
      clock.AdvanceMs(static_cast<int64_t>(world.rng()->Below(50)));
      bool leader_consistent;
      bool follower_consistent;
      REQUIRE(ReadOut(leader, &leader_consistent) == world.state());
      REQUIRE(ReadOut(follower, &follower_consistent) == world.state());
      REQUIRE(leader_consistent);
      REQUIRE(follower_consistent);
      REQUIRE(leader.map() == world.map());
      REQUIRE(follower.map() == world.map());
      REQUIRE(leader.max_revision() == last_revision);
      REQUIRE(follower.max_revision() == last_revision);
      std::set<std::string> locks;
      for (const auto& [key, seen] : world.state()) {
        if (seen.meta.type == ObjectType::kLock) {
          locks.insert(std::to_string(key.first) + " " + key.second);
        }
      }
      const auto leases = Leases(leader);
      REQUIRE(leases == Leases(follower));
      REQUIRE(leases.size() == locks.size());
      for (const auto& lease : leases) REQUIRE(locks.contains(lease.first));
    }
  }
}

TEST_CASE("the account of memory is zero when everything was deleted") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  CHECK(keyspace.MemoryBytes() == 0);
  World world(5, 500);
  world.flush_chance = 0;
  for (int i = 0; i < 20'000; ++i) ApplyAsLeader(&keyspace, world.Next());
  CHECK(keyspace.MemoryBytes() > 1'000'000);
  for (const auto& item : world.state()) {
    Effect effect;
    effect.kind = EffectKind::kDelete;
    effect.key = item.first.second;
    effect.slot = KeySlot(effect.key);
    effect.database = item.first.first;
    ApplyAsLeader(&keyspace, effect);
  }
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) {
    CHECK(keyspace.Logical(i)->object_bytes == 0);
    CHECK(keyspace.Logical(i)->expiries.empty());
    CHECK(keyspace.Logical(i)->table.size() == 0);
  }
  CHECK(HeapOf(keyspace).empty());
  // What is left are the arrays of slots of the four databases that were used.
  CHECK(keyspace.MemoryBytes() == 4 * (kSlots * 24 + kSlots / 128 * 8));
}

TEST_CASE("a value that grows by appends is not copied each time, and gives room back") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  ApplyAsLeader(&keyspace, PutOf("k", "", 1));
  const std::string piece(100, 'p');
  int moves = 0;
  const char* at = nullptr;
  Effect effect = PutOf("k", piece, 2);
  effect.kind = EffectKind::kPatch;
  for (int i = 0; i < 10'000; ++i) {
    effect.offset = static_cast<uint64_t>(i) * 100;
    effect.new_size = effect.offset + 100;
    ++effect.meta.revision;
    const Object* object = ApplyAsLeader(&keyspace, effect);
    if (object->value().data() != at) ++moves;
    at = object->value().data();
  }
  CHECK(Get(keyspace, "k")->value_size() == 1'000'000);
  CHECK(moves < 40);
  CHECK(keyspace.Logical(0)->object_bytes < 2'200'000);
  effect.value = "";
  effect.offset = effect.new_size = 10;
  ApplyAsLeader(&keyspace, effect);
  CHECK(Get(keyspace, "k")->value() == "pppppppppp");
  CHECK(keyspace.Logical(0)->object_bytes < 200);
}

TEST_CASE("expiry times are seen and dropped; locks have none") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  const Database& database = *keyspace.Logical(0);
  Effect put = PutOf("k", "v", 1);
  put.meta.expire_at_ms = 5000;
  ApplyAsLeader(&keyspace, put);
  CHECK(Keyspace::ExpireAt(database, Get(keyspace, "k")) == 5000);
  CHECK(database.expiries.top().object == Get(keyspace, "k"));

  Effect meta = put;
  meta.kind = EffectKind::kMeta;
  meta.meta.expire_at_ms = 0;
  ApplyAsLeader(&keyspace, meta);
  CHECK(Keyspace::ExpireAt(database, Get(keyspace, "k")) == 0);
  CHECK(database.expiries.empty());
  CHECK(Get(keyspace, "k")->value() == "v");

  ApplyAsLeader(&keyspace, put);
  const std::string lock = EncodeLock({700, "me"});
  ApplyAsLeader(&keyspace, PutOf("k", lock, 2, 0, ObjectType::kLock));
  CHECK(database.expiries.empty());
  CHECK(Keyspace::ExpireAt(database, Get(keyspace, "k")) == 0);
  CHECK(HeapOf(keyspace).size() == 1);
  ApplyAsLeader(&keyspace, put);
  CHECK(HeapOf(keyspace).empty());
  CHECK(database.expiries.size() == 1);
}

TEST_CASE("P33 leases run on the monotonic clock and restart at full length") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  const std::string lock = EncodeLock({700, "me"});
  const int64_t start = clock.MonotonicMs();
  ApplyAsLeader(&keyspace, PutOf("lock", lock, 1, 3, ObjectType::kLock));
  Object* object = Get(keyspace, "lock", 3);
  CHECK(HeapOf(keyspace).DeadlineOf(object) == start + 700);
  clock.JumpWallMs(1'000'000);
  CHECK(HeapOf(keyspace).DeadlineOf(object) == start + 700);
  CHECK(keyspace.DatabaseOfLease(object) == keyspace.Logical(3));

  clock.AdvanceMs(600);
  keyspace.RestartLeases();
  CHECK(HeapOf(keyspace).DeadlineOf(object) == start + 600 + 700);

  // A lease in a loaded store starts in full, too.
  clock.AdvanceMs(100);
  std::string record_key;
  std::string record;
  AppendMetaKey(&record_key, KeySlot("lock"), 3, "lock");
  AppendMeta(&record, Keyspace::MetaOf(*keyspace.Logical(3), object));
  record.append(lock);
  Keyspace loaded(WithClock(&clock));
  REQUIRE(loaded.Load(record_key, record).ok());
  CHECK(HeapOf(loaded).top().deadline_ms == start + 700 + 700);
}

TEST_CASE("flush, swap and what happens to leases and retired databases") {
  ManualClock clock(1000);
  std::vector<std::unique_ptr<Database>> retired;
  Keyspace::Options options = WithClock(&clock);
  options.retire = [&retired](std::unique_ptr<Database> d) { retired.push_back(std::move(d)); };
  Keyspace keyspace(options);
  const std::string lock = EncodeLock({700, "me"});
  for (uint32_t database : {0u, 1u, 2u}) {
    ApplyAsLeader(&keyspace, PutOf("k", "in " + std::to_string(database), 1, database));
    ApplyAsLeader(&keyspace, PutOf("lock", lock, 2, database, ObjectType::kLock));
  }
  Object* lock_of_1 = Get(keyspace, "lock", 1);

  const auto remap = [&](const DatabaseMap& map) {
    std::string bytes;
    AppendDatabaseMap(&bytes, map);
    Effect effect;
    effect.kind = EffectKind::kDatabases;
    effect.value = bytes;
    effect.meta.revision = 10;
    ApplyAsLeader(&keyspace, effect);
    CHECK(keyspace.map() == map);
  };

  DatabaseMap map = keyspace.map();
  std::swap(map.physical[0], map.physical[1]);
  remap(map);
  CHECK(Get(keyspace, "k", 0)->value() == "in 1");
  CHECK(Get(keyspace, "k", 1)->value() == "in 0");
  CHECK(keyspace.LogicalOf(1) == 0);
  CHECK(HeapOf(keyspace).size() == 3);
  CHECK(keyspace.DatabaseOfLease(lock_of_1) == keyspace.Logical(0));
  CHECK(retired.empty());
  CHECK(!keyspace.found_dead_records());

  map.physical[1] = map.next++;  // what was database 0
  remap(map);
  CHECK(Get(keyspace, "k", 1) == nullptr);
  CHECK(keyspace.Physical(0) == nullptr);
  CHECK(keyspace.found_dead_records());
  REQUIRE(retired.size() == 1);
  CHECK(retired[0]->physical == 0);
  CHECK(retired[0]->table.size() == 2);
  CHECK(HeapOf(keyspace).size() == 2);
  CHECK(keyspace.DatabaseOfLease(lock_of_1) == keyspace.Logical(0));

  for (uint32_t& physical : map.physical) physical = map.next++;
  remap(map);
  CHECK(retired.size() == 3);  // empty ones aren't worth handing over
  CHECK(HeapOf(keyspace).empty());
  CHECK(keyspace.max_revision() == 10);
}

TEST_CASE("a payload that contradicts the state is refused") {
  ManualClock clock(1000);
  Keyspace::Options options = WithClock(&clock);
  options.first_slot = KeySlot("k");
  options.last_slot = KeySlot("k");
  Keyspace keyspace(options);
  const auto refused = [&keyspace](const Effect& effect) {
    const bool before = Get(keyspace, "k") != nullptr;
    const Status status = keyspace.ApplyPayload(PayloadOf({effect}));
    CHECK((Get(keyspace, "k") != nullptr) == before);
    return status.code() == Code::kCorruption;
  };
  Effect patch = PutOf("k", "v", 1);
  patch.kind = EffectKind::kPatch;
  patch.new_size = 1;
  CHECK(refused(patch));  // no such key
  patch.kind = EffectKind::kMeta;
  CHECK(refused(patch));
  CHECK(refused(PutOf("k", "v", 1, 16)));  // no such database
  CHECK(refused(PutOf("another slot", "v", 1)));
  Effect put = PutOf("not k", "v", 1);
  put.slot = KeySlot("k");
  CHECK(refused(put));  // not the key's slot
  CHECK(refused(PutOf("k", "\xff", 1, 0, ObjectType::kLock)));
  CHECK(refused(PutOf("k", EncodeLock({kMaxLeaseMs + 1, "me"}), 1, 0, ObjectType::kLock)));
  CHECK(refused(PutOf("k", "short", 1, 0, ObjectType::kSequence)));

  CHECK(keyspace.ApplyPayload(PayloadOf({PutOf("k", "v", 1)})).ok());
  Effect meta = PutOf("k", "", 2, 0, ObjectType::kSequence);
  meta.kind = EffectKind::kMeta;
  CHECK(refused(meta));  // another type for the same value
  meta = PutOf("k", "", 2);
  meta.kind = EffectKind::kMeta;
  meta.meta.created = 2;
  CHECK(refused(meta));  // another key of this name
  const std::string lock = EncodeLock({5, "me"});
  CHECK(keyspace.ApplyPayload(PayloadOf({PutOf("k", lock, 3, 0, ObjectType::kLock)})).ok());
  patch = PutOf("k", "\xff", 4, 0, ObjectType::kLock);
  patch.kind = EffectKind::kPatch;
  patch.new_size = 1;
  CHECK(refused(patch));  // only strings change in part
  CHECK(HeapOf(keyspace).size() == 1);
  CHECK(keyspace.ApplyPayload("").code() == Code::kCorruption);
  CHECK(keyspace.ApplyPayload("\x02").code() == Code::kUnsupported);
}

TEST_CASE("a copy of what isn't there, or over what is, is refused") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  ElementChanges changes;
  changes.Put("field", "value");
  const std::string head = EncodeCount(1);
  Effect source = PutOf("source", head, 1, 0, ObjectType::kHash);
  source.kind = EffectKind::kElements;
  source.changes = changes.bytes();
  REQUIRE(keyspace.ApplyPayload(PayloadOf({source, PutOf("string", "v", 2)})).ok());
  const auto key_of = [](std::string_view key) {
    std::string record_key;
    AppendMetaKey(&record_key, KeySlot(key), 0, key);
    return record_key;
  };
  const std::string from = key_of("source");
  Effect good = PutOf("copy", head, 3, 0, ObjectType::kHash);
  good.kind = EffectKind::kCopy;
  good.source = from;
  good.generation = 1;
  const auto refused = [&keyspace](const Effect& effect) {
    return keyspace.ApplyPayload(PayloadOf({effect})).code() == Code::kCorruption &&
           Get(keyspace, "copy") == nullptr;
  };
  Effect bad = good;
  bad.generation = 2;
  CHECK(refused(bad));
  bad = good;
  bad.meta.type = ObjectType::kSet;
  CHECK(refused(bad));
  const std::string two = EncodeCount(2);
  bad = good;
  bad.value = two;
  CHECK(refused(bad));
  for (const std::string& other :
       {key_of("string"), key_of("none"), std::string("m"), from + "x"}) {
    bad = good;
    bad.source = other;
    CHECK(refused(bad));
  }
  bad = good;
  bad.key = "string";
  bad.slot = KeySlot("string");
  CHECK(refused(bad));

  CHECK(keyspace.ApplyPayload(PayloadOf({good})).ok());
  CHECK(Get(keyspace, "copy")->cold());
  CHECK(Get(keyspace, "source")->collection()->size() == 1);
  good.key = "moved";
  good.slot = KeySlot("moved");
  good.moves = true;
  CHECK(keyspace.ApplyPayload(PayloadOf({good})).ok());
  CHECK(Get(keyspace, "moved")->collection()->size() == 1);
  CHECK(Get(keyspace, "source")->cold());
  CHECK(keyspace.cold_keys() == 2);
}

TEST_CASE("a database that was flushed does not come back") {
  ManualClock clock(1000);
  Keyspace keyspace(WithClock(&clock));
  std::string bytes;
  const auto apply = [&](const DatabaseMap& map) {
    Effect effect;
    effect.kind = EffectKind::kDatabases;
    bytes.clear();
    AppendDatabaseMap(&bytes, map);
    effect.value = bytes;
    return keyspace.ApplyPayload(PayloadOf({effect})).code();
  };
  DatabaseMap map = keyspace.map();
  map.physical[1] = map.next++;
  std::swap(map.physical[1], map.physical[2]);
  CHECK(apply(map) == Code::kOk);
  CHECK(apply(map) == Code::kOk);

  DatabaseMap earlier = map;
  earlier.physical[2] = 1;
  CHECK(apply(earlier) == Code::kCorruption);
  CHECK(apply(DatabaseMap::Initial()) == Code::kCorruption);
  CHECK(keyspace.map() == map);
}

TEST_CASE("damaged and foreign records are refused when loading") {
  ManualClock clock(1000);
  Keyspace::Options options = WithClock(&clock);
  options.first_slot = options.last_slot = KeySlot("k");
  Keyspace keyspace(options);
  const auto load = [&keyspace](std::string_view key, std::string_view value, uint16_t slot,
                                uint32_t database, ObjectType type, bool* dead = nullptr) {
    std::string record_key;
    std::string record;
    AppendMetaKey(&record_key, slot, database, key);
    Meta meta;
    meta.type = type;
    meta.version = 1;
    AppendMeta(&record, meta);
    record.append(value);
    return keyspace.Load(record_key, record, dead).code();
  };
  const uint16_t slot = KeySlot("k");
  bool dead = false;
  CHECK(keyspace.Load("x", "").code() == Code::kCorruption);
  CHECK(keyspace.Load(std::string_view("m\0\0\0\0\0\0k", 8), "").code() == Code::kCorruption);
  CHECK(load("k", "v", static_cast<uint16_t>(slot + 1), 0, ObjectType::kString) ==
        Code::kCorruption);
  CHECK(load("kk", "v", slot, 0, ObjectType::kString) == Code::kCorruption);
  CHECK(load("k", "\xff", slot, 0, ObjectType::kLock) == Code::kCorruption);
  CHECK(load("k", "\xff", slot, 0, ObjectType::kSequence) == Code::kCorruption);
  CHECK(load("k", "v", slot, 77, ObjectType::kString, &dead) == Code::kOk);
  CHECK(dead);
  CHECK(keyspace.found_dead_records());
  CHECK(Get(keyspace, "k") == nullptr);
  CHECK(load("k", "v", slot, 2, ObjectType::kString, &dead) == Code::kOk);
  CHECK(!dead);
  CHECK(Get(keyspace, "k", 2)->value() == "v");
  CHECK(keyspace.LoadDatabases("").code() == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::data
