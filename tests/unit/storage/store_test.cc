#include "storage/store.h"

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "storage/mem_store.h"
#include "storage/sim_file_system.h"
#include "test_files.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

using Records = std::map<std::string, std::string>;

LevelStoreOptions SmallOptions() {
  LevelStoreOptions options;
  options.write_buffer_bytes = 64 << 10;
  options.block_cache_bytes = 1 << 20;
  return options;
}

Records Contents(Store* store, std::string_view start = {}, std::string_view end = {}) {
  Records found;
  const Status status = store->Scan(start, end, [&](std::string_view key, std::string_view value) {
    found.emplace(key, value);
    return true;
  });
  REQUIRE(status.message() == "");
  return found;
}

std::unique_ptr<Store> MustOpen(StoreFactory* factory, const std::string& path) {
  auto store = factory->Open(path);
  REQUIRE(store.status().message() == "");
  return std::move(store).value();
}

// What LevelDB on real files, LevelDB on simulated ones and the twin in memory do alike.
void ForAll(const std::function<void(StoreFactory* factory, const std::string& directory)>& test) {
  SUBCASE("LevelDB, POSIX") {
    const ScratchDirectory scratch;
    auto factory = NewLevelStoreFactory(PosixFileSystem(), SmallOptions());
    test(factory.get(), scratch.path());
  }
  SUBCASE("LevelDB, simulated files") {
    SimFileSystem fs;
    REQUIRE(fs.CreateDirectory("/d").ok());
    auto factory = NewLevelStoreFactory(&fs, SmallOptions());
    test(factory.get(), "/d");
  }
  SUBCASE("in memory") {
    MemStoreDisk disk;
    test(&disk, "/d");
  }
}

TEST_CASE("stores agree with a map through writes, scans, iterators and reopening") {
  ForAll([](StoreFactory* factory, const std::string& directory) {
    Rng rng(1);
    Records model;
    auto store = MustOpen(factory, directory + "/s");
    for (int round = 0; round < 300; ++round) {
      StoreBatch batch;
      for (uint64_t n = rng.Below(8); n > 0; --n) {
        const std::string key = "key" + std::to_string(rng.Below(200)) + std::string(1, '\0');
        if (rng.Chance(1, 3)) {
          batch.Delete(key);
          model.erase(key);
        } else {
          const std::string value(rng.Below(3000), static_cast<char>(rng.Next()));
          batch.Put(key, value);
          model[key] = value;
        }
      }
      REQUIRE(store->Write(batch, rng.Chance(1, 20)).ok());
      const std::string key = "key" + std::to_string(rng.Below(200)) + std::string(1, '\0');
      std::string value;
      const Status got = store->Get(key, &value);
      CHECK((got.code() == Code::kNotFound) == !model.contains(key));
      if (got.ok()) CHECK(value == model[key]);
      if (round % 50 == 0) {
        CHECK(Contents(store.get()) == model);
        const std::string from = "key" + std::to_string(rng.Below(200));
        const std::string to = "key" + std::to_string(rng.Below(200));
        Records range;
        for (const auto& [k, v] : model) {
          if (k >= from && k < to) range[k] = v;
        }
        CHECK(Contents(store.get(), from, to) == range);
      }
      if (round % 70 == 69) {
        store.reset();
        store = MustOpen(factory, directory + "/s");
      }
    }
    CHECK(Contents(store.get()) == model);
    REQUIRE(store->Sync().ok());
    REQUIRE(store->CompactRange({}, {}).ok());
    CHECK(Contents(store.get()) == model);
    CHECK(store->ApproximateBytes({}, {}) > 0);
    CHECK(store->status().ok());

    // An iterator sees the store as it was.
    auto it = store->NewIterator();
    StoreBatch clear;
    for (const auto& [k, v] : model) clear.Delete(k);
    REQUIRE(store->Write(clear, true).ok());
    CHECK(Contents(store.get()).empty());
    Records seen;
    for (it->Seek(""); it->Valid(); it->Next()) seen.emplace(it->key(), it->value());
    CHECK(it->status().ok());
    CHECK(seen == model);
    it->Seek("key5");
    REQUIRE(it->Valid());
    CHECK(it->key() == model.lower_bound("key5")->first);
  });
}

TEST_CASE("a scan stops when told to") {
  ForAll([](StoreFactory* factory, const std::string& directory) {
    auto store = MustOpen(factory, directory + "/s");
    StoreBatch batch;
    for (char c = 'a'; c <= 'z'; ++c) batch.Put(std::string(1, c), "v");
    REQUIRE(store->Write(batch, false).ok());
    std::string seen;
    REQUIRE(store
                ->Scan("c", {},
                       [&](std::string_view key, std::string_view) {
                         seen += key;
                         return key != "f";
                       })
                .ok());
    CHECK(seen == "cdef");
  });
}

TEST_CASE("factories rename, destroy and find stores") {
  ForAll([](StoreFactory* factory, const std::string& directory) {
    const std::string a = directory + "/a";
    const std::string b = directory + "/b";
    CHECK_FALSE(factory->Exists(a).value());
    CHECK(factory->Destroy(a).ok());
    CHECK_FALSE(factory->Rename(a, b).ok());
    {
      auto store = MustOpen(factory, a);
      StoreBatch batch;
      batch.Put("k", "v");
      REQUIRE(store->Write(batch, true).ok());
      CHECK_FALSE(factory->Open(a).ok());  // open already
    }
    CHECK(factory->Exists(a).value());
    REQUIRE(factory->Rename(a, b).ok());
    CHECK_FALSE(factory->Exists(a).value());
    CHECK(Contents(MustOpen(factory, b).get()) == Records{{"k", "v"}});
    MustOpen(factory, a).reset();
    CHECK(factory->Rename(a, b).code() == Code::kInvalidArgument);
    REQUIRE(factory->Destroy(b).ok());
    CHECK_FALSE(factory->Exists(b).value());
    CHECK(Contents(MustOpen(factory, b).get()).empty());
  });
}

TEST_CASE("a batch lists its changes in order and can be moved and cleared") {
  StoreBatch batch;
  batch.Put("a", "1");
  batch.Delete("b");
  batch.Put("a", "2");
  StoreBatch moved = std::move(batch);
  CHECK(moved.changes() == 3);
  std::string text;
  moved.ForEach([&](std::string_view key, const std::string_view* value) {
    text += std::string(key) + (value == nullptr ? "-" : "=" + std::string(*value)) + " ";
  });
  CHECK(text == "a=1 b- a=2 ");
  const size_t bytes = moved.bytes();
  moved.Put("c", std::string(2'000'000, 'x'));
  CHECK(moved.bytes() > bytes + 2'000'000);
  moved.Clear();
  CHECK(moved.changes() == 0);
  CHECK(moved.bytes() < bytes);
  batch = std::move(moved);
  batch.Put("d", "4");
  CHECK(batch.changes() == 1);
}

TEST_CASE("many stores of a factory work at once") {
  const ScratchDirectory scratch;
  auto factory = NewLevelStoreFactory(PosixFileSystem(), SmallOptions());
  std::vector<std::thread> threads;
  std::vector<int> good(4);
  for (size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&, t] {
      auto store = factory->Open(scratch.path() + "/" + std::to_string(t));
      if (!store.ok()) return;
      for (int i = 0; i < 300; ++i) {
        StoreBatch batch;
        batch.Put(std::to_string(i), std::string(1000, static_cast<char>('a' + t)));
        good[t] += store.value()->Write(batch, i % 50 == 0).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == std::vector<int>(4, 300));
}

// --- What a crash leaves ------------------------------------------------------------------------

// Write number i puts "n" = i and something else, so that the contents name the prefix they are.
StoreBatch Numbered(uint64_t i, size_t value_bytes = 300) {
  StoreBatch batch;
  batch.Put("n", std::to_string(i));
  batch.Put("k" + std::to_string(i % 37),
            std::string(value_bytes, static_cast<char>('a' + i % 26)));
  if (i % 5 == 0) batch.Delete("k" + std::to_string(i % 23));
  return batch;
}

Records AfterWrites(uint64_t n, size_t value_bytes = 300) {
  Records model;
  for (uint64_t i = 1; i <= n; ++i) {
    Numbered(i, value_bytes).ForEach([&](std::string_view key, const std::string_view* value) {
      if (value == nullptr) {
        model.erase(std::string(key));
      } else {
        model[std::string(key)] = *value;
      }
    });
  }
  return model;
}

uint64_t PrefixOf(const Records& records) {
  const auto found = records.find("n");
  return found == records.end() ? 0 : std::stoull(found->second);
}

TEST_CASE("P56 the twin in memory keeps a prefix of its writes that holds all synced ones") {
  bool lost = false;
  bool kept = false;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    MemStoreDisk disk;
    Rng rng(seed);
    uint64_t written = 0;
    uint64_t synced = 0;
    for (int boot = 0; boot < 4; ++boot) {
      auto store = MustOpen(&disk, "s");
      const Records records = Contents(store.get());
      const uint64_t prefix = PrefixOf(records);
      CHECK(records == AfterWrites(prefix));
      CHECK(prefix >= synced);
      CHECK(prefix <= written);
      lost = lost || prefix < written;
      kept = kept || prefix > synced;
      written = synced = prefix;  // visible when opened = durable
      for (uint64_t n = rng.Below(15); n > 0; --n) {
        const bool sync = rng.Chance(1, 5);
        REQUIRE(store->Write(Numbered(++written), sync).ok());
        if (sync) synced = written;
      }
      disk.Crash(&rng);
      CHECK_FALSE(store->Write(Numbered(1), true).ok());
      CHECK_FALSE(store->status().ok());
    }
  }
  CHECK(lost);
  CHECK(kept);
}

TEST_CASE("P52 P53 a failed write kills the twin in memory too, and may survive") {
  bool there = false;
  bool gone = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    MemStoreDisk disk;
    Rng rng(seed);
    auto store = MustOpen(&disk, "s");
    REQUIRE(store->Write(Numbered(1), true).ok());
    disk.FailNth(1, Status::IoError("broken"));
    CHECK_FALSE(store->Write(Numbered(2), true).ok());
    std::string value;
    CHECK(store->Get("n", &value).message() == "broken");
    CHECK(store->Write(Numbered(3), true).message() == "broken");
    CHECK_FALSE(store->NewIterator()->status().ok());
    CHECK(store->ApproximateBytes({}, {}) == 0);
    disk.Crash(&rng);
    store.reset();
    const uint64_t prefix = PrefixOf(Contents(MustOpen(&disk, "s").get()));
    CHECK((prefix == 1 || prefix == 2));
    (prefix == 1 ? gone : there) = true;
  }
  CHECK(there);
  CHECK(gone);
}

// Writes numbered batches into LevelDB until a call fails, crashes, and checks what is left.
// Returns whether the fault hit.
bool LevelRun(uint64_t nth, Fault fault, uint64_t seed, int boots) {
  SimFileSystem fs;
  Rng rng(seed);
  REQUIRE(fs.CreateDirectory("/d").ok());
  REQUIRE(fs.SyncDirectory("/").ok());
  if (nth != 0) fs.FailNth(nth, fault);
  constexpr size_t kValue = 6000;  // some ten writes fill a buffer
  uint64_t written = 0;
  uint64_t synced = 0;
  bool hit = false;
  for (int boot = 0; boot < boots; ++boot) {
    if (boot + 1 == boots) {
      hit = fs.fault_happened();
      fs.ClearFaults();
    }
    auto opened = OpenLevelStore(&fs, "/d/s", SmallOptions());
    Records records;
    Status status = opened.status();
    if (status.ok()) {
      // A compaction in the background may meet the fault before this is done.
      status = opened.value()->Scan({}, {}, [&](std::string_view key, std::string_view value) {
        records.emplace(key, value);
        return true;
      });
    }
    if (!status.ok()) {
      REQUIRE_MESSAGE(fs.fault_happened(), status.message());
      REQUIRE_MESSAGE(status.code() != Code::kCorruption, status.message());
    } else {
      Store* store = opened.value().get();
      const uint64_t prefix = PrefixOf(records);
      REQUIRE(records == AfterWrites(prefix, kValue));
      REQUIRE(prefix >= synced);
      REQUIRE(prefix <= written);
      written = synced = prefix;
      for (int i = 0; i < 30 && boot + 1 < boots; ++i) {
        const bool sync = rng.Chance(1, 6);
        if (!store->Write(Numbered(++written, kValue), sync).ok()) {
          // Dead for good.
          CHECK_FALSE(store->status().ok());
          CHECK_FALSE(store->Write(Numbered(written, kValue), true).ok());
          break;
        }
        if (sync) synced = written;
      }
    }
    // First the crash: closing would sync.
    if (boot % 2 == 0) {
      fs.Crash(&rng);
    } else {
      fs.CrashLosingAll();
    }
  }
  return hit;
}

TEST_CASE("P41 P50 P52 P53 disk matrix: every call of a LevelDB workload fails once") {
  uint64_t runs = 0;
  for (const Fault fault : {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite}) {
    bool hit = true;
    for (uint64_t nth = 1; hit; ++nth) {
      CAPTURE(nth);
      CAPTURE(static_cast<int>(fault));
      hit = LevelRun(nth, fault, nth, 4);
      ++runs;
    }
  }
  CHECK(runs > 400);
}

TEST_CASE("P50 P51 LevelDB loses nothing synced in random crashes and is never refused") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    LevelRun(0, Fault::kNone, seed, 6);
  }
}

TEST_CASE("P55 a damaged table is refused for good and repaired by nobody") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/d").ok());
  {
    auto store = OpenLevelStore(&fs, "/d/s", SmallOptions());
    REQUIRE(store.ok());
    for (uint64_t i = 1; i <= 50; ++i) REQUIRE(store.value()->Write(Numbered(i), false).ok());
    REQUIRE(store.value()->CompactRange({}, {}).ok());
  }
  std::string table;
  for (const std::string& path : fs.AllFiles()) {
    if (path.ends_with(".ldb")) table = path;
  }
  REQUIRE(table != "");
  const std::string damaged = [&] {
    fs.FlipBit(table, 20, 2);
    return fs.Contents(table);
  }();
  auto store = OpenLevelStore(&fs, "/d/s", SmallOptions());
  REQUIRE(store.ok());  // LevelDB reads data blocks when they are asked for
  const Status status = store.value()->Scan({}, {}, [](auto, auto) { return true; });
  CHECK(status.code() == Code::kCorruption);
  CHECK(store.value()->Write(Numbered(1), true).message() == status.message());
  CHECK(store.value()->status().message() == status.message());
  store = Status::NotFound("closed");
  CHECK(fs.Contents(table) == damaged);
}

TEST_CASE("a store that was half removed is not found, one without CURRENT is refused") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/d").ok());
  auto factory = NewLevelStoreFactory(&fs, SmallOptions());
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    REQUIRE(MustOpen(factory.get(), "/d/s")->Write(Numbered(7), true).ok());
    fs.FailNth(nth, Fault::kIoError);
    const Status status = factory->Destroy("/d/s");
    failed = fs.fault_happened();
    fs.ClearFaults();
    CHECK(status.ok() != failed);
    const bool exists = factory->Exists("/d/s").value();
    const uint64_t prefix = PrefixOf(Contents(MustOpen(factory.get(), "/d/s").get()));
    CHECK(prefix == (exists ? 7 : 0));
    REQUIRE(factory->Destroy("/d/s").ok());
    CHECK(fs.List("/d").value().empty());
  }
  REQUIRE(MustOpen(factory.get(), "/d/s")->Write(Numbered(7), true).ok());
  REQUIRE(fs.Remove("/d/s/CURRENT").ok());
  CHECK(factory->Open("/d/s").status().code() == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::storage
