// What DeadRecordCollector takes and what it leaves.
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/collect.h"
#include "data/persist.h"

// Last, because of doctest.
#include "stores.h"

namespace holdfast::data {
namespace {

TEST_CASE("P35 a collector takes dead databases, in bounded steps, and nothing else") {
  WatchedStore store;
  std::vector<Effect> effects;
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back("key:" + std::to_string(i % 100));
  for (size_t i = 0; i < keys.size(); ++i) {
    // 0 and 2 will be dead, 1 alive, 16 alive, 17 made after the pass began.
    static constexpr uint32_t kDatabases[] = {0, 1, 2, 16, 17};
    effects.push_back(PutOf(keys[i], "v", 1, kDatabases[i / 100]));
  }
  REQUIRE(PersistEntries(&store, JobOf(1, effects), false, nullptr).ok());
  DatabaseMap live = DatabaseMap::Initial();
  live.physical[0] = live.next++;
  live.physical[2] = 15;
  live.physical[15] = 14;
  live.physical[14] = 13;
  DeadRecordCollector collector(0, kSlots - 1, live);
  int steps = 0;
  while (true) {
    const uint64_t before = collector.deleted();
    const Result<bool> done = collector.Step(&store, 10);
    REQUIRE(done.ok());
    CHECK(collector.deleted() - before <= 10);
    CHECK(!store.last_sync);
    ++steps;
    if (done.value()) break;
  }
  CHECK(steps >= 40);  // 200 deletions and at least 200 skipped runs, 10 a step
  CHECK(steps <= 60);
  CHECK(collector.deleted() == 200);
  std::map<uint32_t, int> left;
  for (const auto& item : ReadAll(&store)) {
    uint16_t slot;
    uint32_t database;
    std::string_view key;
    if (ParseMetaKey(item.first, &slot, &database, &key)) ++left[database];
  }
  CHECK(left == std::map<uint32_t, int>{{1, 100}, {16, 100}, {17, 100}});

  // A failed write deletes nothing and says so.
  DatabaseMap none = DatabaseMap::Initial();
  for (uint32_t& physical : none.physical) physical = none.next++;
  DeadRecordCollector failing(0, kSlots - 1, none);
  store.fail_writes = true;
  CHECK(failing.Step(&store, 1000).status().code() == Code::kIoError);
  CHECK(failing.deleted() == 0);
}

// A directory that is gone at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-persist-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  uint64_t Bytes() const {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      std::error_code ignored;  // LevelDB deletes files meanwhile
      if (entry.is_regular_file(ignored)) bytes += entry.file_size(ignored);
    }
    return bytes;
  }

 private:
  std::string path_;
};

TEST_CASE("P35 disk use returns after FLUSHALL") {
  const TemporaryDirectory directory;
  storage::LevelStoreOptions options;
  options.write_buffer_bytes = 1 << 20;
  const std::unique_ptr<storage::Store> store =
      storage::OpenLevelStore(storage::PosixFileSystem(), directory.path() + "/store", options)
          .value();
  Rng rng(9);
  uint64_t index = 0;
  for (int job = 0; job < 20; ++job) {
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (int i = 0; i < 400; ++i) {
      keys.push_back("key:" + std::to_string(job * 400 + i));
      values.emplace_back();
      // Random, so that compression doesn't do the collector's work.
      for (int n = 0; n < 1000; ++n) values.back().push_back(static_cast<char>(rng.Next()));
    }
    std::vector<Effect> effects;
    for (size_t i = 0; i < keys.size(); ++i) {
      effects.push_back(PutOf(keys[i], values[i], 1, static_cast<uint32_t>(i % 3)));
    }
    REQUIRE(PersistEntries(store.get(), JobOf(++index, effects), false, nullptr).ok());
  }
  REQUIRE(store->Sync().ok());
  CHECK(directory.Bytes() > 8'000'000);

  DatabaseMap map = DatabaseMap::Initial();
  for (uint32_t& physical : map.physical) physical = map.next++;
  std::string bytes;
  AppendDatabaseMap(&bytes, map);
  Effect flush;
  flush.kind = EffectKind::kDatabases;
  flush.value = bytes;
  REQUIRE(PersistEntries(store.get(), JobOf(++index, {flush}), true, nullptr).ok());
  LoadStats load;
  DatabaseMap loaded;
  CHECK(Reload(store.get(), &loaded, &load).empty());
  CHECK(loaded == map);
  CHECK(load.dead_records == 8000);

  DeadRecordCollector collector(0, kSlots - 1, map);
  while (true) {
    const Result<bool> done = collector.Step(store.get(), 500);
    REQUIRE(done.ok());
    if (done.value()) break;
  }
  CHECK(collector.deleted() == 8000);
  REQUIRE(store->CompactRange("m", "n").ok());
  CHECK(store->ApproximateBytes("m", "n") < 100'000);
  CHECK(directory.Bytes() < 1'000'000);
  load = {};
  CHECK(Reload(store.get(), &loaded, &load).empty());
  CHECK(load.records == 0);
  CHECK(ReadApplied(store.get()).value().index == index);
}

std::string RandomValue(Rng* rng) {
  std::string value;
  while (value.size() < 1000) value.push_back(static_cast<char>(rng->Next()));
  return value;
}

// LevelDB's own CompactRange doesn't touch its lowest level, where values and their deletions may
// lie side by side: both were in the buffer, and nothing kept their file from going all the way
// down.
void CheckCompactor(size_t write_buffer_bytes, uint64_t max_piece_bytes, int min_pieces,
                    uint64_t min_bytes_before) {
  const TemporaryDirectory directory;
  storage::LevelStoreOptions options;
  options.write_buffer_bytes = write_buffer_bytes;
  const std::unique_ptr<storage::Store> store =
      storage::OpenLevelStore(storage::PosixFileSystem(), directory.path() + "/store", options)
          .value();
  Rng rng(7);
  std::vector<std::string> keys;
  for (int i = 0; i < 8000; ++i) keys.push_back("key:" + std::to_string(i));
  uint64_t index = 0;
  for (const std::string& key : keys) {
    const std::string value = RandomValue(&rng);
    REQUIRE(
        PersistEntries(store.get(), JobOf(++index, {PutOf(key, value, 1)}), false, nullptr).ok());
  }
  // Every tenth stays.
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i % 10 == 0) continue;
    REQUIRE(
        PersistEntries(store.get(), JobOf(++index, {DeleteOf(keys[i], 2)}), false, nullptr).ok());
  }
  REQUIRE(store->Sync().ok());
  CHECK(directory.Bytes() >= min_bytes_before);
  const Contents before = ReadAll(store.get());
  CHECK(before.size() == 802);  // and applied index and revision

  StoreCompactor compactor(0, kSlots - 1);
  int pieces = 0;
  bool done = false;
  while (!done) {
    const Result<bool> step = compactor.Step(store.get(), max_piece_bytes);
    REQUIRE(step.ok());
    done = step.value();
    ++pieces;
  }
  CHECK(pieces >= min_pieces);
  CHECK(pieces < 200);
  CHECK(directory.Bytes() < 1'500'000);
  CHECK(ReadAll(store.get()) == before);
}

TEST_CASE("P35 a compactor gives back what was deleted, in pieces, wherever it lies") {
  SUBCASE("all of it still in LevelDB's buffer") {
    CheckCompactor(size_t{64} << 20, 1 << 20, 1, 8'000'000);
  }
  // How much LevelDB's own thread has merged by then, is a matter of its speed.
  SUBCASE("in files, of several levels") { CheckCompactor(size_t{256} << 10, 1 << 18, 2, 0); }
  SUBCASE("a piece is at least one slot") { CheckCompactor(size_t{1} << 20, 100'000, 5, 0); }
}

TEST_CASE("a compactor stops at the first error") {
  WatchedStore store;
  StoreCompactor compactor(4000, 9000);
  CHECK(!compactor.Step(&store, 1000).value());  // elements
  CHECK(compactor.Step(&store, 1000).value());   // keys
  StoreCompactor failing(4000, 9000);
  store.fail_compactions = true;
  CHECK(failing.Step(&store, 1000).status().code() == Code::kIoError);
}

TEST_CASE("a collector stays inside its partition's slots") {
  WatchedStore store;
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(std::to_string(i));
  std::vector<Effect> effects;
  size_t inside = 0;
  for (const std::string& key : keys) {
    effects.push_back(PutOf(key, "v", 1, 0));
    inside += KeySlot(key) >= 4000 && KeySlot(key) <= 9000;
  }
  REQUIRE(PersistEntries(&store, JobOf(1, effects), false, nullptr).ok());
  DatabaseMap live = DatabaseMap::Initial();
  for (uint32_t& physical : live.physical) physical = live.next++;
  DeadRecordCollector collector(4000, 9000, live);
  CHECK(collector.Step(&store, 100'000).value());
  CHECK(inside > 50);
  CHECK(collector.deleted() == inside);
  CHECK(ReadAll(&store).size() == keys.size() - inside + 2);  // and applied index, revision
}

// A flush that memory has seen and the store has not: until it is persisted, replaying the log from
// the applied index still needs the records.
TEST_CASE("P35 the mapping of a pass is the store's, not the memory's") {
  WatchedStore store;
  CHECK(ReadDatabases(&store).value() == DatabaseMap::Initial());
  REQUIRE(PersistEntries(&store, JobOf(1, {PutOf("k", "v", 1)}), false, nullptr).ok());
  DatabaseMap flushed = DatabaseMap::Initial();
  flushed.physical[0] = flushed.next++;
  std::string bytes;
  AppendDatabaseMap(&bytes, flushed);
  Effect flush;
  flush.kind = EffectKind::kDatabases;
  flush.value = bytes;

  DeadRecordCollector before(0, kSlots - 1, ReadDatabases(&store).value());
  CHECK(before.Step(&store, 100).value());
  CHECK(before.deleted() == 0);
  // What comes before the flush in the log may still change a part of the record.
  REQUIRE(PersistEntries(&store, JobOf(2, {PatchOf("k", "w", 0, 1)}), false, nullptr).ok());
  REQUIRE(PersistEntries(&store, JobOf(3, {flush}), false, nullptr).ok());
  CHECK(ReadDatabases(&store).value() == flushed);
  DeadRecordCollector after(0, kSlots - 1, ReadDatabases(&store).value());
  CHECK(after.Step(&store, 100).value());
  CHECK(after.deleted() == 1);

  storage::StoreBatch batch;
  batch.Put(kDatabasesRecord, "damaged");
  REQUIRE(store.Write(batch, false).ok());
  CHECK(!ReadDatabases(&store).ok());
}

}  // namespace
}  // namespace holdfast::data
