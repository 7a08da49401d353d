#include "data/persist.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "data/collect.h"
#include "storage/mem_store.h"
#include "world.h"

// Last, because of doctest.
#include "stores.h"

namespace holdfast::data {
namespace {

TEST_CASE("P30 whatever the chunks, the store holds the state as of its applied index") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.flush_chance = seed % 4 * 4;
    Rng* rng = world.rng();
    WatchedStore store;
    PersistStats stats;
    uint64_t index = 0;
    uint64_t effects = 0;
    int all_copies = 0;
    std::unique_ptr<DeadRecordCollector> collector;
    std::unique_ptr<GarbageCollector> garbage;
    for (int jobs = 1; jobs <= 40; ++jobs) {
      PersistJob job;
      int copies = 0;
      for (uint64_t entries = rng->Below(12); entries > 0; --entries) {
        std::string payload;
        AppendPayloadHeader(&payload);
        for (uint64_t n = rng->Below(1 + rng->Below(30)); n > 0; --n) {
          const Effect& effect = world.Next();
          AppendEffect(&payload, effect);
          ++effects;
          copies += effect.kind == EffectKind::kCopy ? 1 : 0;
        }
        job.payloads.push_back(std::make_shared<const std::string>(std::move(payload)));
        ++index;
      }
      index += rng->Below(2);  // entries without effects
      job.applied_index = index;
      job.applied_term = 1 + index / 50;
      const int writes = store.writes + copies;  // whose elements go ahead
      all_copies += copies;
      REQUIRE(PersistEntries(&store, job, jobs % 2 == 0, &stats).ok());
      REQUIRE(store.writes == writes + 1);
      REQUIRE(store.last_sync == (jobs % 2 == 0));
      Contents batch;
      for (const auto& change : store.last_batch) {
        REQUIRE(batch.insert(change).second);  // each record at most once
      }
      REQUIRE(batch.at(std::string(kAppliedRecord)) ==
              EncodeApplied({job.applied_index, job.applied_term}));
      REQUIRE(ReadApplied(&store).value() == AppliedState{job.applied_index, job.applied_term});

      DatabaseMap map;
      REQUIRE(Reload(&store, &map) == world.state());
      REQUIRE(map == world.map());
      // A collection beside it changes nothing that can be seen.
      if (collector == nullptr) {
        collector =
            std::make_unique<DeadRecordCollector>(0, kSlots - 1, ReadDatabases(&store).value());
      }
      const Result<bool> done = collector->Step(&store, 1 + rng->Below(60));
      REQUIRE(done.ok());
      if (done.value()) collector.reset();
      if (garbage == nullptr) garbage = std::make_unique<GarbageCollector>();
      const Result<bool> swept = garbage->Step(&store, 1 + rng->Below(60));
      REQUIRE(swept.ok());
      if (swept.value()) garbage.reset();
      REQUIRE(Reload(&store, &map) == world.state());
    }
    CHECK(stats.jobs == 40);
    CHECK(all_copies > 20);
    CHECK(stats.effects == effects);

    // A full pass leaves the records of live databases and nothing else.
    DeadRecordCollector last(0, kSlots - 1, world.map());
    while (true) {
      const Result<bool> done = last.Step(&store, 7);
      REQUIRE(done.ok());
      if (done.value()) break;
    }
    GarbageCollector rest;
    while (!rest.Step(&store, 7).value()) {
    }
    size_t elements = 0;
    for (const auto& item : world.state()) elements += item.second.elements.size();
    std::map<char, size_t> kinds;
    for (const auto& item : ReadAll(&store)) ++kinds[item.first[0]];
    CHECK(kinds['m'] == world.state().size());
    CHECK(kinds['e'] == elements);
    CHECK(kinds['g'] == 0);
    CHECK(elements > 0);
    const size_t records = kinds['m'] + kinds['e'];
    DatabaseMap map;
    LoadStats load;
    CHECK(Reload(&store, &map, &load) == world.state());
    CHECK(load.records == records);
    CHECK(load.dead_records == 0);
  }
}

// The other half of P30: whatever prefix of its writes a store keeps, replaying the log from its
// applied index gives the state that was lost.
TEST_CASE("P30 after a crash, the log above the applied index brings the state back") {
  int replayed = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    World world(seed);
    Rng* rng = world.rng();
    WatchedStore store;
    std::vector<std::shared_ptr<const std::string>> log;  // entry i is at index i + 1
    std::vector<State> states = {world.state()};          // after entry i
    uint64_t persisted = 0;
    uint64_t synced = 0;
    for (int round = 0; round < 60; ++round) {
      for (uint64_t entries = rng->Below(6); entries > 0; --entries) {
        std::string payload;
        AppendPayloadHeader(&payload);
        for (uint64_t n = rng->Below(10); n > 0; --n) AppendEffect(&payload, world.Next());
        log.push_back(std::make_shared<const std::string>(std::move(payload)));
        states.push_back(world.state());
      }
      PersistJob job;
      job.applied_index = persisted + rng->Below(log.size() - persisted + 1);
      job.applied_term = 1;
      job.payloads.assign(log.begin() + static_cast<ptrdiff_t>(persisted),
                          log.begin() + static_cast<ptrdiff_t>(job.applied_index));
      const bool sync = rng->Chance(1, 4);
      REQUIRE(PersistEntries(&store, job, sync, nullptr).ok());
      persisted = job.applied_index;
      if (sync) synced = persisted;
      if (!rng->Chance(1, 6)) continue;

      store.CrashAndReopen(rng);
      const uint64_t applied = ReadApplied(&store).value().index;
      REQUIRE(applied >= synced);
      REQUIRE(applied <= persisted);
      ManualClock clock(1'700'000'000'000);
      Keyspace::Options options;
      options.clock = &clock;
      Keyspace keyspace(options);
      REQUIRE(LoadKeyspace(&store, &keyspace, nullptr).ok());
      bool consistent;
      REQUIRE(ReadOut(keyspace, &consistent) == states[applied]);
      for (uint64_t i = applied; i < log.size(); ++i) {
        REQUIRE(keyspace.ApplyPayload(*log[i]).ok());
        ++replayed;
      }
      REQUIRE(ReadOut(keyspace, &consistent) == world.state());
      REQUIRE(consistent);
      persisted = synced = applied;
    }
  }
  CHECK(replayed > 500);
}

TEST_CASE("the same jobs give the same batches, in the same order") {
  std::vector<std::pair<std::string, std::string>> batches[2];
  for (auto& all : batches) {
    World world(77);
    WatchedStore store;
    for (uint64_t i = 1; i <= 20; ++i) {
      std::string payload;
      AppendPayloadHeader(&payload);
      for (int n = 0; n < 200; ++n) AppendEffect(&payload, world.Next());
      PersistJob job;
      job.applied_index = i;
      job.payloads.push_back(std::make_shared<const std::string>(std::move(payload)));
      REQUIRE(PersistEntries(&store, job, false, nullptr).ok());
      all.insert(all.end(), store.last_batch.begin(), store.last_batch.end());
    }
  }
  CHECK(batches[0] == batches[1]);
}

TEST_CASE("a hot key costs one write, whatever happened to it") {
  WatchedStore store;
  PersistStats stats;
  std::vector<Effect> effects;
  std::vector<std::string> values;
  for (int i = 0; i < 1000; ++i) values.push_back(std::to_string(i));
  for (const std::string& value : values) effects.push_back(PutOf("counter", value, 1));
  effects.push_back(PutOf("gone", "x", 2));
  effects.push_back(DeleteOf("gone", 3));
  effects.push_back(DeleteOf("back", 4));
  effects.push_back(PutOf("back", "again", 5));
  REQUIRE(PersistEntries(&store, JobOf(9, effects), true, &stats).ok());
  CHECK(store.gets == 1);               // of the revision
  CHECK(store.last_batch.size() == 5);  // and revision and applied index
  CHECK(stats.effects == 1004);
  CHECK(stats.records_written == 2);
  CHECK(stats.records_deleted == 1);
  CHECK(stats.base_reads == 0);
  Meta meta;
  CHECK(ValueIn(&store, "counter", &meta) == "999");
  CHECK(ValueIn(&store, "back", &meta) == "again");
  std::string value;
  CHECK(store.Get(RecordKey("gone"), &value).code() == Code::kNotFound);
}

TEST_CASE("a job of many keys writes each once, in the order of the keys") {
  WatchedStore store;
  PersistStats stats;
  constexpr size_t kKeys = 20000;
  std::vector<std::string> keys;
  for (size_t i = 0; i < kKeys; ++i) keys.push_back(std::to_string(i * 7919 % kKeys));
  std::vector<Effect> effects;
  for (const char* value : {"old", "new"}) {
    for (const std::string& key : keys) effects.push_back(PutOf(key, value, effects.size() + 1));
  }
  for (size_t i = 0; i < kKeys; i += 3) effects.push_back(DeleteOf(keys[i], effects.size() + 1));
  REQUIRE(PersistEntries(&store, JobOf(1, effects), true, &stats).ok());
  CHECK(stats.effects == effects.size());
  CHECK(stats.records_deleted == (kKeys + 2) / 3);
  CHECK(stats.records_written == kKeys - (kKeys + 2) / 3);
  REQUIRE(store.last_batch.size() == kKeys + 2);
  for (size_t i = 1; i < kKeys; ++i) {
    REQUIRE(store.last_batch[i - 1].first < store.last_batch[i].first);
  }
  for (size_t i = 0; i < kKeys; ++i) {
    std::string value;
    const Status status = store.Get(RecordKey(keys[i]), &value);
    REQUIRE(status.ok() == (i % 3 != 0));
    if (status.ok()) REQUIRE(value.ends_with("new"));
  }
}

TEST_CASE("partial changes start from what the job wrote, else from the store") {
  WatchedStore store;
  PersistStats stats;
  REQUIRE(PersistEntries(&store,
                         JobOf(1, {PutOf("a", "stored a", 1), PutOf("b", "stored b", 1),
                                   PutOf("c", "stored c", 1)}),
                         false, &stats)
              .ok());
  store.gets = 0;
  REQUIRE(PersistEntries(&store,
                         JobOf(2, {PatchOf("a", "AAA", 7, 10), PatchOf("a", "!", 0, 10),
                                   MetaEffectOf("a", 777), MetaEffectOf("b", 888),
                                   PutOf("c", "new", 2), PatchOf("c", "er", 3, 5),
                                   PutOf("d", "only meta changes", 2), MetaEffectOf("d", 999)}),
                         false, &stats)
              .ok());
  CHECK(store.gets == 3);  // and that of the revision
  CHECK(stats.base_reads == 2);
  Meta meta;
  CHECK(ValueIn(&store, "a", &meta) == "!tored AAA");
  CHECK(meta.expire_at_ms == 777);
  CHECK(ValueIn(&store, "b", &meta) == "stored b");
  CHECK(meta.expire_at_ms == 888);
  CHECK(ValueIn(&store, "c", &meta) == "newer");
  CHECK(meta.revision == 50);
  CHECK(ValueIn(&store, "d", &meta) == "only meta changes");
  CHECK(meta.expire_at_ms == 999);
}

TEST_CASE("a job that blows up is written in several batches, each a state of its own") {
  WatchedStore store;
  PersistStats stats;
  constexpr size_t kValues = 20;
  constexpr size_t kValueBytes = kMaxBatchBytes / 8 - 1000;  // nine are too much
  std::vector<std::string> keys;
  for (size_t i = 0; i < kValues; ++i) {
    keys.push_back("big" + std::to_string(i));
    const std::string value(kValueBytes, static_cast<char>('a' + i));
    REQUIRE(PersistEntries(&store, JobOf(1 + i, {PutOf(keys[i], value, 1)}), false, nullptr).ok());
  }
  PersistJob job;
  for (size_t i = 0; i < kValues; ++i) {
    const int64_t at = 1000 + static_cast<int64_t>(i);
    job.payloads.push_back(JobOf(0, {MetaEffectOf(keys[i], at)}).payloads[0]);
    job.positions.push_back({100 + i, 5});
  }
  job.applied_index = 200;
  job.applied_term = 6;
  store.writes = 0;
  std::vector<AppliedState> applied;
  std::vector<bool> syncs;
  store.on_write = [&] {
    AppliedState state;
    REQUIRE(DecodeApplied(store.last_batch.back().second, &state).ok());
    applied.push_back(state);
    syncs.push_back(store.last_sync);
    // Exactly the effects up to that entry are in the store and this batch.
    size_t changed = 0;
    for (const auto& change : store.last_batch) changed += change.first[0] == 'm';
    CHECK(changed == (applied.size() < 3 ? 9 : 2));
  };
  REQUIRE(PersistEntries(&store, job, true, &stats).ok());
  store.on_write = nullptr;
  CHECK(applied == std::vector<AppliedState>{{108, 5}, {117, 5}, {200, 6}});
  CHECK(syncs == std::vector<bool>{false, false, true});
  CHECK(stats.batches == 3);
  CHECK(stats.jobs == 1);
  for (size_t i = 0; i < kValues; ++i) {
    Meta meta;
    CHECK(ValueIn(&store, keys[i], &meta).size() == kValueBytes);
    CHECK(meta.expire_at_ms == 1000 + static_cast<int64_t>(i));
  }
  // Without positions it is one batch.
  job.positions.clear();
  REQUIRE(PersistEntries(&store, job, true, &stats).ok());
  CHECK(stats.batches == 4);
}

TEST_CASE("a job that can't be persisted changes nothing") {
  WatchedStore store;
  PersistStats stats;
  REQUIRE(PersistEntries(&store, JobOf(1, {PutOf("k", "v", 1)}), false, &stats).ok());
  const Contents before = ReadAll(&store);
  const auto code = [&](const PersistJob& job) {
    return PersistEntries(&store, job, false, &stats).code();
  };
  CHECK(code(JobOf(2, {PutOf("x", "y", 1), PatchOf("missing", "1", 0, 1)})) == Code::kCorruption);
  CHECK(code(JobOf(2, {MetaEffectOf("missing", 5)})) == Code::kCorruption);
  CHECK(code(JobOf(2, {DeleteOf("k", 2), PatchOf("k", "1", 0, 1)})) == Code::kCorruption);
  Effect lock = MetaEffectOf("k", 0);
  lock.meta.type = ObjectType::kLock;
  CHECK(code(JobOf(2, {lock})) == Code::kCorruption);
  PersistJob cut = JobOf(2, {PutOf("x", "y", 1)});
  cut.payloads.push_back(
      std::make_shared<const std::string>(cut.payloads[0]->substr(0, cut.payloads[0]->size() - 1)));
  cut.payloads.push_back(std::make_shared<const std::string>("\x01P"));
  CHECK(code(cut) == Code::kCorruption);
  cut.payloads = {std::make_shared<const std::string>("\x02")};
  CHECK(code(cut) == Code::kUnsupported);
  store.fail_reads = true;
  CHECK(code(JobOf(2, {PatchOf("k", "1", 0, 1)})) == Code::kIoError);
  store.fail_reads = false;
  CHECK(store.writes == 1);
  store.fail_writes = true;
  CHECK(code(JobOf(2, {PutOf("x", "y", 1)})) == Code::kIoError);
  CHECK(ReadAll(&store) == before);
  CHECK(stats.jobs == 1);
  CHECK(stats.effects == 1);
}

TEST_CASE("records of a database that is flushed in the same job are not written") {
  WatchedStore store;
  PersistStats stats;
  DatabaseMap map = DatabaseMap::Initial();
  map.physical[0] = map.next++;
  std::string bytes;
  AppendDatabaseMap(&bytes, map);
  Effect flush;
  flush.kind = EffectKind::kDatabases;
  flush.value = bytes;
  REQUIRE(PersistEntries(&store,
                         JobOf(1, {PutOf("old", "1", 1), PutOf("other", "2", 1, 1), flush,
                                   PutOf("new", "3", 2, 16)}),
                         false, &stats)
              .ok());
  CHECK(stats.records_skipped == 1);
  Contents expected;
  for (const auto& item : ReadAll(&store)) expected.insert(item);
  CHECK(expected.size() == 5);
  CHECK(expected.contains(RecordKey("other", 1)));
  CHECK(expected.contains(RecordKey("new", 16)));
  CHECK(expected.at(std::string(kDatabasesRecord)) == bytes);
}

TEST_CASE("an empty job records the applied index; a new store has none") {
  WatchedStore store;
  CHECK(ReadApplied(&store).value() == AppliedState{0, 0});
  PersistJob job;
  job.applied_index = 7;
  job.applied_term = 2;
  REQUIRE(PersistEntries(&store, job, true, nullptr).ok());
  CHECK(ReadApplied(&store).value() == AppliedState{7, 2});
  CHECK(store.last_batch.size() == 1);

  const std::string good = EncodeApplied({7, 2});
  AppliedState applied;
  for (size_t n = 0; n < good.size(); ++n) {
    CHECK(DecodeApplied(good.substr(0, n), &applied).code() == Code::kCorruption);
  }
  CHECK(DecodeApplied(good + "x", &applied).code() == Code::kCorruption);
  storage::StoreBatch batch;
  batch.Put(kAppliedRecord, "\x02");
  REQUIRE(store.Write(batch, false).ok());
  CHECK(ReadApplied(&store).status().code() == Code::kUnsupported);
  store.fail_reads = true;
  CHECK(ReadApplied(&store).status().code() == Code::kIoError);
}

TEST_CASE("P14 a store belongs to one node and partition") {
  WatchedStore store;
  REQUIRE(CheckOrWriteIdentity(&store, 11, 3).ok());
  CHECK(store.last_sync);
  CHECK(store.writes == 1);
  CHECK(CheckOrWriteIdentity(&store, 11, 3).ok());
  CHECK(store.writes == 1);
  const Status node = CheckOrWriteIdentity(&store, 12, 3);
  CHECK(node.code() == Code::kUnsupported);
  CHECK(node.message() == "store belongs to node 11, not to this node 12");
  const Status partition = CheckOrWriteIdentity(&store, 11, 4);
  CHECK(partition.code() == Code::kUnsupported);
  CHECK(partition.message() == "store is partition 3, not partition 4");

  const std::string good = EncodeStoreIdentity(11, 3);
  uint64_t node_id;
  uint32_t number;
  for (size_t n = 0; n < good.size(); ++n) {
    CHECK(DecodeStoreIdentity(good.substr(0, n), &node_id, &number).code() == Code::kCorruption);
  }
  storage::StoreBatch batch;
  batch.Put(kIdentityRecord, "\x02");
  REQUIRE(store.Write(batch, false).ok());
  CHECK(CheckOrWriteIdentity(&store, 11, 3).message() ==
        "store is of format 2; this holdfast reads format 1");

  WatchedStore nameless;
  REQUIRE(PersistEntries(&nameless, JobOf(1, {PutOf("k", "v", 1)}), false, nullptr).ok());
  CHECK(CheckOrWriteIdentity(&nameless, 11, 3).code() == Code::kCorruption);
}

TEST_CASE("loading refuses damaged records") {
  const auto load = [](std::string_view key, std::string_view value) {
    WatchedStore store;
    REQUIRE(PersistEntries(&store, JobOf(1, {PutOf("k", "v", 1)}), false, nullptr).ok());
    storage::StoreBatch batch;
    batch.Put(key, value);
    REQUIRE(store.Write(batch, false).ok());
    ManualClock clock(0);
    Keyspace::Options options;
    options.clock = &clock;
    Keyspace keyspace(options);
    return LoadKeyspace(&store, &keyspace, nullptr).code();
  };
  CHECK(load("other record", "is ignored") == Code::kOk);
  CHECK(load("m", "") == Code::kCorruption);
  CHECK(load(RecordKey("x"), "") == Code::kCorruption);
  CHECK(load(RecordKey("x"), "\x07") == Code::kUnsupported);
  CHECK(load(kDatabasesRecord, "") == Code::kCorruption);
  CHECK(load(kRevisionRecord, "") == Code::kCorruption);
  CHECK(load(kRevisionRecord, "\x01") == Code::kCorruption);
  CHECK(load(kRevisionRecord, "\x02") == Code::kUnsupported);
}

// Found by the simulation of groups: a node that had restarted led with a wall clock behind that of
// its predecessor, and gave a lock a smaller token than the one that was unlocked before.
TEST_CASE("P32 the revision of a deletion outlives the key") {
  WatchedStore store;
  const auto max_revision = [&store] {
    ManualClock clock(0);
    Keyspace::Options options;
    options.clock = &clock;
    Keyspace keyspace(options);
    REQUIRE(LoadKeyspace(&store, &keyspace, nullptr).ok());
    return keyspace.max_revision();
  };
  CHECK(max_revision() == 0);
  REQUIRE(PersistEntries(&store, JobOf(1, {PutOf("k", "v", 5)}), false, nullptr).ok());
  REQUIRE(PersistEntries(&store, JobOf(2, {DeleteOf("k", 9)}), false, nullptr).ok());
  CHECK(max_revision() == 9);
  // A job of effects that keep an older revision.
  REQUIRE(PersistEntries(&store, JobOf(3, {PutOf("x", "v", 7)}), false, nullptr).ok());
  CHECK(max_revision() == 9);
}

}  // namespace
}  // namespace holdfast::data
