// P50 to P53 on the real LevelDB: what it does by itself, and what it does behind the guards. Each
// case must show the loss without guards, or it would prove nothing about them.
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/write_batch.h>

#include <future>
#include <map>
#include <memory>
#include <string>

#include "storage/io_thread.h"
#include "storage/level_env.h"
#include "storage/sim_file_system.h"
#include "storage/store.h"
#include "test_files.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

constexpr size_t kValueBytes = 1500;
constexpr int kFillsBuffer = 46;  // writes after which LevelDB starts the next log

// LevelDB on simulated files with its compactions held back, as on a busy machine.
class Rig {
 public:
  explicit Rig(LevelGuards guards, bool paranoid = true) : guards_(guards), paranoid_(paranoid) {
    REQUIRE(fs.CreateDirectory("/d").ok());
    REQUIRE(fs.SyncDirectory("/").ok());
    REQUIRE(fs.CreateDirectory("/d/s").ok());
    REQUIRE(fs.SyncDirectory("/d").ok());
    REQUIRE(Open().ok());
    // LevelDB renames CURRENT into place without syncing the directory.
    REQUIRE(fs.SyncDirectory("/d/s").ok());
  }
  ~Rig() { CloseDb(); }

  leveldb::Status Open() {
    background_ = std::make_unique<IoThread>("compactions", 100);
    env_ = NewLevelEnv(&fs, background_.get(), guards_);
    leveldb::Options options;
    options.create_if_missing = true;
    options.paranoid_checks = paranoid_;
    options.env = env_->env();
    options.write_buffer_size = 64 << 10;
    leveldb::DB* db = nullptr;
    const leveldb::Status status = leveldb::DB::Open(options, "/d/s", &db);
    db_.reset(db);
    return status;
  }

  // Compactions wait from here to the crash.
  void HoldCompactions() {
    release_ = std::promise<void>();
    REQUIRE(background_->TryPost([this] { release_.get_future().wait(); }));
    held_ = true;
  }

  // Power loss, everything unsynced is gone; then a new start.
  leveldb::Status CrashAndOpen() {
    fs.CrashLosingAll();
    CloseDb();
    return Open();
  }

  // The process dies, the machine lives.
  leveldb::Status KillAndOpen() {
    fs.KillProcess();
    CloseDb();
    return Open();
  }

  leveldb::Status Put(int i, bool sync) {
    leveldb::WriteOptions options;
    options.sync = sync;
    leveldb::Status status =
        db_->Put(options, "key" + std::to_string(i), std::string(kValueBytes, 'v'));
    // As LevelStore does.
    if (guards_ == LevelGuards::kOn && status.ok() && !env_->failure().ok()) {
      status = leveldb::Status::IOError(env_->failure().message());
    }
    return status;
  }

  bool Has(int i) {
    std::string value;
    return db_->Get(leveldb::ReadOptions(), "key" + std::to_string(i), &value).ok();
  }
  int Count(int from, int to) {
    int found = 0;
    for (int i = from; i <= to; ++i) found += Has(i) ? 1 : 0;
    return found;
  }

  std::string LogFile() {
    std::string last;
    for (const std::string& path : fs.AllFiles()) {
      if (path.ends_with(".log")) last = path;
    }
    return last;
  }

  SimFileSystem fs;

 private:
  void CloseDb() {
    if (held_) release_.set_value();
    held_ = false;
    db_.reset();
    env_.reset();
    background_.reset();
  }

  const LevelGuards guards_;
  const bool paranoid_;
  std::unique_ptr<IoThread> background_;
  std::unique_ptr<LevelEnv> env_;
  std::unique_ptr<leveldb::DB> db_;
  std::promise<void> release_;
  bool held_ = false;
};

TEST_CASE(
    "P50 a synced write behind a log rotation: without guards the writes before it are lost") {
  for (const LevelGuards guards : {LevelGuards::kOff, LevelGuards::kOn}) {
    Rig rig(guards);
    REQUIRE(rig.Put(0, true).ok());
    rig.HoldCompactions();
    const std::string first_log = rig.LogFile();
    int last = 0;
    while (rig.LogFile() == first_log) {
      REQUIRE(last < 2 * kFillsBuffer);
      REQUIRE(rig.Put(++last, false).ok());
    }
    REQUIRE(rig.fs.SyncDirectory("/d/s").ok());  // P41 is another case
    REQUIRE(rig.Put(++last, true).ok());
    REQUIRE(rig.CrashAndOpen().ok());  // also with paranoid checks, in both cases
    CHECK(rig.Has(last));
    if (guards == LevelGuards::kOff) {
      CHECK(rig.Count(1, last - 2) == 0);
    } else {
      CHECK(rig.Count(0, last) == last + 1);
    }
  }
}

TEST_CASE("P50 the closing sync of a log fails: the write is refused, the instance is dead") {
  Rig rig(LevelGuards::kOn);
  REQUIRE(rig.Put(0, true).ok());
  rig.HoldCompactions();
  rig.fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
  int last = 0;
  while (rig.Put(++last, false).ok()) REQUIRE(last < 2 * kFillsBuffer);
  CHECK(rig.fs.fault_happened());
  CHECK_FALSE(rig.Put(++last, true).ok());
  REQUIRE(rig.CrashAndOpen().ok());
  CHECK(rig.Has(0));
  CHECK_FALSE(rig.Has(last));
}

TEST_CASE("P41 a new log's name is durable with the first synced write in it") {
  for (const LevelGuards guards : {LevelGuards::kOff, LevelGuards::kOn}) {
    Rig rig(guards);
    rig.HoldCompactions();
    const std::string first_log = rig.LogFile();
    int last = 0;
    while (rig.LogFile() == first_log) REQUIRE(rig.Put(++last, true).ok());
    REQUIRE(rig.Put(++last, true).ok());
    REQUIRE(rig.CrashAndOpen().ok());
    // Acknowledged with sync, and gone without the guard.
    CHECK(rig.Has(last) == (guards == LevelGuards::kOn));
  }
}

TEST_CASE("P51 damage in the middle of a log: silently skipped, or refused") {
  SUBCASE("LevelDB without paranoid checks opens and misses records") {
    Rig rig(LevelGuards::kOff, false);
    for (int i = 0; i < 40; ++i) REQUIRE(rig.Put(i, true).ok());
    const std::string log = rig.LogFile();
    rig.fs.KillProcess();
    for (uint64_t at = 5000; at < 5004; ++at) rig.fs.FlipBit(log, at, 3);
    REQUIRE(rig.KillAndOpen().ok());
    CHECK(rig.Count(0, 39) < 40);
    CHECK(rig.Has(39));
  }
  SUBCASE("with them it refuses") {
    Rig rig(LevelGuards::kOff, true);
    for (int i = 0; i < 40; ++i) REQUIRE(rig.Put(i, true).ok());
    const std::string log = rig.LogFile();
    rig.fs.KillProcess();
    rig.fs.FlipBit(log, 5000, 3);
    CHECK(rig.KillAndOpen().IsCorruption());
  }
  SUBCASE("the store refuses, wherever the damage is before the last frame") {
    SimFileSystem fs;
    REQUIRE(fs.CreateDirectory("/d").ok());
    uint64_t refused = 0;
    std::string log;
    std::string good;
    {
      auto store = OpenLevelStore(&fs, "/d/s", {});
      REQUIRE(store.ok());
      for (int i = 0; i < 20; ++i) {
        StoreBatch batch;
        batch.Put("key" + std::to_string(i), std::string(200, 'v'));
        REQUIRE(store.value()->Write(batch, true).ok());
      }
      fs.KillProcess();
    }
    for (const std::string& path : fs.AllFiles()) {
      if (path.ends_with(".log")) log = path;
    }
    good = fs.Contents(log);
    for (uint64_t at = 0; at + 300 < good.size(); at += 11) {
      fs.SetContents(log, good);
      fs.FlipBit(log, at, 5);
      const auto store = OpenLevelStore(&fs, "/d/s", {});
      REQUIRE(store.status().code() == Code::kCorruption);
      CHECK(Mentions(store.status(), log));
      ++refused;
    }
    CHECK(refused > 300);
    fs.SetContents(log, good);
    CHECK(OpenLevelStore(&fs, "/d/s", {}).ok());
  }
}

TEST_CASE("P51 damage at the end of a log behind which another one was written is refused") {
  Rig rig(LevelGuards::kOn);
  rig.HoldCompactions();
  const std::string first_log = rig.LogFile();
  int last = 0;
  while (rig.LogFile() == first_log) REQUIRE(rig.Put(++last, true).ok());
  REQUIRE(rig.Put(++last, true).ok());
  REQUIRE(rig.LogFile() != first_log);
  rig.fs.KillProcess();
  const uint64_t size = rig.fs.Contents(first_log).size();
  rig.fs.FlipBit(first_log, size - 100, 1);
  CHECK(rig.KillAndOpen().IsCorruption());
  rig.fs.FlipBit(first_log, size - 100, 1);
  REQUIRE(rig.KillAndOpen().ok());
  CHECK(rig.Count(1, last) == last);
}

TEST_CASE("P51 a torn tail: LevelDB's paranoid checks refuse it, the store passes over it") {
  // The write that a power loss interrupted, with its first sectors missing.
  Rig rig(LevelGuards::kOff, true);
  for (int i = 0; i < 10; ++i) REQUIRE(rig.Put(i, true).ok());
  const std::string log = rig.LogFile();
  std::string bytes = rig.fs.Contents(log);
  rig.fs.KillProcess();
  for (size_t i = bytes.size() - 1000; i < bytes.size() - 500; ++i) bytes[i] = '\0';
  rig.fs.SetContents(log, bytes);
  CHECK(rig.KillAndOpen().IsCorruption());

  Rig guarded(LevelGuards::kOn, true);
  for (int i = 0; i < 10; ++i) REQUIRE(guarded.Put(i, true).ok());
  const std::string guarded_log = guarded.LogFile();
  bytes = guarded.fs.Contents(guarded_log);
  guarded.fs.KillProcess();
  for (size_t i = bytes.size() - 1000; i < bytes.size() - 500; ++i) bytes[i] = '\0';
  guarded.fs.SetContents(guarded_log, bytes);
  REQUIRE(guarded.KillAndOpen().ok());
  CHECK(guarded.Count(0, 8) == 9);
}

TEST_CASE("P52 one short append: LevelDB goes on acknowledging what is lost, the store stops") {
  {
    Rig rig(LevelGuards::kOff, false);
    for (int i = 0; i < 10; ++i) REQUIRE(rig.Put(i, true).ok());
    rig.fs.FailNth(FileCall::kWrite, 1, Fault::kShortWrite);
    CHECK_FALSE(rig.Put(10, true).ok());
    int acknowledged = 0;
    for (int i = 11; i < 40; ++i) acknowledged += rig.Put(i, true).ok() ? 1 : 0;
    CHECK(acknowledged > 20);
    REQUIRE(rig.CrashAndOpen().ok());
    CHECK(rig.Count(0, 9) == 10);
    CHECK(rig.Count(11, 39) < acknowledged);
  }
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/d").ok());
  REQUIRE(fs.SyncDirectory("/").ok());
  const auto put = [](Store* store, int i) {
    StoreBatch batch;
    batch.Put("key" + std::to_string(i), std::string(kValueBytes, 'v'));
    return store->Write(batch, true);
  };
  {
    auto store = OpenLevelStore(&fs, "/d/s", {});
    REQUIRE(store.ok());
    for (int i = 0; i < 10; ++i) REQUIRE(put(store.value().get(), i).ok());
    fs.FailNth(FileCall::kWrite, 1, Fault::kShortWrite);
    const Status failed = put(store.value().get(), 10);
    CHECK(failed.code() == Code::kNoSpace);
    for (int i = 11; i < 40; ++i) {
      CHECK(put(store.value().get(), i).message() == failed.message());
    }
    std::string value;
    CHECK(store.value()->Get("key1", &value).message() == failed.message());
    CHECK_FALSE(store.value()->Sync().ok());
    fs.CrashLosingAll();
  }
  auto store = OpenLevelStore(&fs, "/d/s", {});
  REQUIRE(store.ok());
  std::string value;
  for (int i = 0; i < 10; ++i) CHECK(store.value()->Get("key" + std::to_string(i), &value).ok());
}

TEST_CASE("P53 a write whose fsync failed is there after reopening, so the instance is dead") {
  {
    Rig rig(LevelGuards::kOff);
    REQUIRE(rig.Put(0, true).ok());
    rig.fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
    CHECK_FALSE(rig.Put(1, true).ok());
    REQUIRE(rig.KillAndOpen().ok());
    CHECK(rig.Has(1));  // reported as failed
  }
  Rig rig(LevelGuards::kOn);
  REQUIRE(rig.Put(0, true).ok());
  rig.fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
  CHECK_FALSE(rig.Put(1, true).ok());
  CHECK_FALSE(rig.Put(2, true).ok());
  CHECK_FALSE(rig.Put(2, false).ok());
  REQUIRE(rig.KillAndOpen().ok());
  CHECK(rig.Has(0));
  CHECK_FALSE(rig.Has(2));
}

TEST_CASE("a manifest that is damaged is refused, one with a torn tail is not") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/d").ok());
  {
    auto store = OpenLevelStore(&fs, "/d/s", {});
    REQUIRE(store.ok());
    for (int i = 0; i < 5; ++i) {
      StoreBatch batch;
      batch.Put("key" + std::to_string(i), "v");
      REQUIRE(store.value()->Write(batch, true).ok());
      REQUIRE(store.value()->CompactRange({}, {}).ok());  // one manifest record each, at least
    }
    fs.KillProcess();
  }
  std::string manifest;
  for (const std::string& path : fs.AllFiles()) {
    if (path.find("MANIFEST") != std::string::npos) manifest = path;
  }
  const std::string good = fs.Contents(manifest);
  fs.FlipBit(manifest, 30, 1);
  CHECK(OpenLevelStore(&fs, "/d/s", {}).status().code() == Code::kCorruption);
  fs.SetContents(manifest, good + "half a frame");
  auto store = OpenLevelStore(&fs, "/d/s", {});
  REQUIRE(store.status().message() == "");
  std::string value;
  CHECK(store.value()->Get("key4", &value).ok());
}

}  // namespace
}  // namespace holdfast::storage
