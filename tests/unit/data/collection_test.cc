// Collections on their way through effects, store and memory.
#include "data/collection.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/collect.h"
#include "data/effect.h"
#include "data/hash_object.h"
#include "data/keyspace.h"
#include "data/persist.h"

// Last, because of doctest.
#include "stores.h"

namespace holdfast::data {
namespace {

Effect Elements(std::string_view key, const ElementChanges& changes, const std::string& head,
                uint64_t revision, uint64_t created) {
  Effect effect;
  effect.kind = EffectKind::kElements;
  effect.slot = KeySlot(key);
  effect.key = key;
  effect.meta.type = ObjectType::kHash;
  effect.meta.version = 1;
  effect.meta.revision = revision;
  effect.meta.created = created;
  effect.value = head;
  effect.changes = changes.bytes();
  return effect;
}

std::string PayloadOf(const Effect& effect) {
  std::string payload;
  AppendPayloadHeader(&payload);
  AppendEffect(&payload, effect);
  return payload;
}

struct Fixture {
  ManualClock clock{1'700'000'000'000};
  std::unique_ptr<Keyspace> keyspace = Make();
  std::vector<std::unique_ptr<Collection>> retired;

  std::unique_ptr<Keyspace> Make() {
    Keyspace::Options options;
    options.clock = &clock;
    options.retire_collection = [this](std::unique_ptr<Collection> collection) {
      retired.push_back(std::move(collection));
    };
    return std::make_unique<Keyspace>(options);
  }
  Object* Find(std::string_view key) {
    return keyspace->Logical(0)->table.Find(keyspace->Hash(key));
  }
};

ElementChanges OneField() {
  ElementChanges changes;
  changes.Put("field", "value");
  return changes;
}

TEST_CASE("effects that contradict what is there are corruption") {
  const auto code = [](const Effect& effect, bool with_hash) {
    Fixture fixture;
    const std::string head = EncodeCount(1);
    if (with_hash) {
      REQUIRE(
          fixture.keyspace->ApplyPayload(PayloadOf(Elements("k", OneField(), head, 5, 5))).ok());
    } else {
      REQUIRE(fixture.keyspace->ApplyPayload(PayloadOf(PutOf("k", "string", 5))).ok());
    }
    return fixture.keyspace->ApplyPayload(PayloadOf(effect)).code();
  };
  const std::string one = EncodeCount(1);
  const std::string two = EncodeCount(2);
  CHECK(code(Elements("k", OneField(), one, 6, 5), true) == Code::kOk);
  CHECK(code(Elements("k", OneField(), one, 6, 6), true) == Code::kCorruption);  // another one
  CHECK(code(Elements("k", OneField(), two, 6, 5), true) == Code::kCorruption);
  CHECK(code(Elements("k", OneField(), one, 6, 5), false) == Code::kCorruption);
  CHECK(code(Elements("other", OneField(), two, 6, 6), false) == Code::kCorruption);
  CHECK(code(PutOf("k", "v", 6), true) == Code::kCorruption);
  CHECK(code(DeleteOf("k", 6), true) == Code::kCorruption);
  Effect remove = DeleteOf("k", 6);
  remove.kind = EffectKind::kRemove;
  remove.meta.created = 5;
  CHECK(code(remove, true) == Code::kOk);
  CHECK(code(remove, false) == Code::kCorruption);
  remove.meta.created = 4;
  CHECK(code(remove, true) == Code::kCorruption);
}

TEST_CASE("damaged changes are refused before anything is applied") {
  Fixture fixture;
  const std::string head = EncodeCount(1);
  const std::string payload = PayloadOf(Elements("k", OneField(), head, 5, 5));
  for (size_t size = 2; size < payload.size(); ++size) {
    CAPTURE(size);
    CHECK(!fixture.keyspace->ApplyPayload(payload.substr(0, size)).ok());
    CHECK(fixture.Find("k") == nullptr);
  }
  const ElementChanges one = OneField();
  Effect strings = Elements("k", one, head, 5, 5);
  strings.meta.type = ObjectType::kString;
  CHECK(fixture.keyspace->ApplyPayload(PayloadOf(strings)).code() == Code::kCorruption);
  const auto nothing = [](const ElementChange&) { return Status::Ok(); };
  CHECK(ForEachChange("*\1a", nothing).code() == Code::kCorruption);
  CHECK(ForEachChange("+\1a", nothing).code() == Code::kCorruption);
  CHECK(ForEachChange("-\2a", nothing).code() == Code::kCorruption);
}

TEST_CASE("only a large collection is freed elsewhere") {
  for (const uint64_t fields : {10u, 2000u}) {
    CAPTURE(fields);
    Fixture fixture;
    ElementChanges changes;
    for (uint64_t i = 0; i < fields; ++i) changes.Put("f" + std::to_string(i), "v");
    const std::string head = EncodeCount(fields);
    REQUIRE(fixture.keyspace->ApplyPayload(PayloadOf(Elements("k", changes, head, 5, 5))).ok());
    Effect remove = DeleteOf("k", 6);
    remove.kind = EffectKind::kRemove;
    remove.meta.created = 5;
    REQUIRE(fixture.keyspace->ApplyPayload(PayloadOf(remove)).ok());
    CHECK(fixture.Find("k") == nullptr);
    CHECK(fixture.retired.size() == (fields > 1000 ? 1 : 0));
    CHECK(fixture.keyspace->Logical(0)->object_bytes == 0);
  }
}

// One field of a large hash is one record, and the whole of it one record less.
TEST_CASE("a change writes the records that it touches and no others") {
  WatchedStore store;
  ElementChanges many;
  for (int i = 0; i < 1000; ++i) many.Put("f" + std::to_string(i), "v");
  const std::string head = EncodeCount(1000);
  REQUIRE(PersistEntries(&store, JobOf(1, {Elements("k", many, head, 5, 5)}), true, nullptr).ok());
  ElementChanges one;
  one.Put("f7", "new");
  one.Delete("f8");
  const std::string less = EncodeCount(999);
  PersistStats stats;
  REQUIRE(PersistEntries(&store, JobOf(2, {Elements("k", one, less, 6, 5)}), true, &stats).ok());
  CHECK(stats.records_written == 2);  // the key and the field
  CHECK(stats.records_deleted == 1);
  Effect remove = DeleteOf("k", 7);
  remove.kind = EffectKind::kRemove;
  remove.meta.created = 5;
  stats = PersistStats();
  REQUIRE(PersistEntries(&store, JobOf(3, {remove}), true, &stats).ok());
  CHECK(stats.records_written == 1);  // that there is garbage
  CHECK(stats.records_deleted == 1);
  CHECK(stats.removed == 1);
  // Until it is collected nobody sees it, whatever happens meanwhile.
  Fixture fixture;
  REQUIRE(LoadKeyspace(&store, fixture.keyspace.get(), nullptr).ok());
  CHECK(fixture.keyspace->found_garbage());
  CHECK(fixture.Find("k") == nullptr);
  GarbageCollector collector;
  int steps = 1;
  while (!collector.Step(&store, 100).value()) ++steps;
  CHECK(steps >= 10);
  fixture.keyspace = fixture.Make();
  REQUIRE(LoadKeyspace(&store, fixture.keyspace.get(), nullptr).ok());
  CHECK(!fixture.keyspace->found_garbage());
  for (const auto& item : ReadAll(&store)) CHECK(item.first[0] == 's');
}

TEST_CASE("a collection that lacks elements is corruption, at start and when it is read again") {
  WatchedStore store;
  const std::string head = EncodeCount(1);
  REQUIRE(PersistEntries(&store, JobOf(1, {Elements("k", OneField(), head, 5, 5)}), true, nullptr)
              .ok());
  std::string key;
  AppendMetaKey(&key, KeySlot("k"), 0, "k");
  std::vector<StoredRecord> records;
  REQUIRE(ReadRecords(&store, {key}, {}, &records).ok());
  REQUIRE(records.size() == 1);
  REQUIRE(records[0].collection != nullptr);
  CHECK(records[0].collection->size() == 1);
  std::string element;
  AppendElementPrefix(&element, KeySlot("k"), 0, 5);
  storage::StoreBatch batch;
  batch.Delete(element + "field");
  REQUIRE(store.Write(batch, true).ok());
  records.clear();
  REQUIRE(ReadRecords(&store, {key}, {}, &records).ok());
  CHECK(records[0].status.code() == Code::kCorruption);
  Fixture fixture;
  CHECK(LoadKeyspace(&store, fixture.keyspace.get(), nullptr).code() == Code::kCorruption);
}

TEST_CASE("what was not committed is replaced by what the store holds, of whatever type") {
  WatchedStore store;
  const std::string head = EncodeCount(1);
  REQUIRE(PersistEntries(
              &store, JobOf(1, {Elements("hash", OneField(), head, 5, 5), PutOf("string", "v", 6)}),
              true, nullptr)
              .ok());
  std::vector<std::string> keys;
  for (const std::string_view name : {"hash", "string", "missing"}) {
    AppendMetaKey(&keys.emplace_back(), KeySlot(name), 0, name);
  }
  // Each key is now something else than in the store, in every way that is possible.
  for (int present = 0; present < 3; ++present) {
    CAPTURE(present);
    Fixture fixture;
    ElementChanges changes;
    changes.Put("a", "1");
    changes.Put("b", "2");
    const std::string two = EncodeCount(2);
    for (const std::string_view name : {"hash", "string", "missing"}) {
      if (present == 1) {
        REQUIRE(fixture.keyspace->ApplyPayload(PayloadOf(Elements(name, changes, two, 9, 9))).ok());
      } else if (present == 2) {
        REQUIRE(fixture.keyspace->ApplyPayload(PayloadOf(PutOf(name, "else", 9))).ok());
      }
    }
    std::vector<StoredRecord> records;
    REQUIRE(ReadRecords(&store, keys, fixture.keyspace->collection_options(), &records).ok());
    for (StoredRecord& record : records) {
      REQUIRE(fixture.keyspace
                  ->Restore(record.key, record.value.has_value() ? &*record.value : nullptr,
                            std::move(record.collection))
                  .ok());
    }
    bool consistent;
    const State state = ReadOut(*fixture.keyspace, &consistent);
    CHECK(consistent);
    CHECK(state.size() == 2);
    CHECK(state.at({0, "hash"}).elements == std::map<std::string, std::string>{{"field", "value"}});
    CHECK(state.at({0, "string"}).value == "v");
  }
}

}  // namespace
}  // namespace holdfast::data
