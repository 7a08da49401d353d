#include "storage/log_thread.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/sim_file_system.h"
#include "test_files.h"
#include "wal_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

// A file system whose syncs wait at a gate, so that a test knows what the log thread is doing.
class GatedFiles {
 public:
  void Close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = false;
  }
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    change_.notify_all();
  }
  void Pass() {
    std::unique_lock<std::mutex> lock(mutex_);
    ++waiting_;
    change_.notify_all();
    change_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  void AwaitWaiter() {
    std::unique_lock<std::mutex> lock(mutex_);
    change_.wait(lock, [this] { return waiting_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  bool open_ = true;
  int waiting_ = 0;
};

// Passes everything to a simulated file system, through the gate.
class GatedFileSystem final : public FileSystem {
 public:
  SimFileSystem files;
  GatedFiles gate;

  class File final : public WritableFile {
   public:
    File(std::unique_ptr<WritableFile> file, GatedFiles* gate)
        : file_(std::move(file)), gate_(gate) {}
    Status WriteAt(uint64_t offset, std::span<const std::string_view> parts) override {
      return file_->WriteAt(offset, parts);
    }
    Status Sync() override {
      gate_->Pass();
      return file_->Sync();
    }
    Status Close() override { return file_->Close(); }

   private:
    std::unique_ptr<WritableFile> file_;
    GatedFiles* gate_;
  };

  Result<std::unique_ptr<WritableFile>> OpenForWriting(const std::string& path,
                                                       OpenMode mode) override {
    auto file = files.OpenForWriting(path, mode);
    if (!file.ok()) return file.status();
    return std::unique_ptr<WritableFile>(new File(std::move(file).value(), &gate));
  }
  Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path) override {
    return files.OpenForReading(path);
  }
  Result<std::vector<std::string>> List(const std::string& d) override { return files.List(d); }
  Result<uint64_t> FileSize(const std::string& path) override { return files.FileSize(path); }
  Result<bool> Exists(const std::string& path) override { return files.Exists(path); }
  Status Remove(const std::string& path) override { return files.Remove(path); }
  Status Rename(const std::string& a, const std::string& b) override { return files.Rename(a, b); }
  Status Truncate(const std::string& p, uint64_t n) override { return files.Truncate(p, n); }
  Status CreateDirectory(const std::string& p) override { return files.CreateDirectory(p); }
  Status RemoveDirectory(const std::string& p) override { return files.RemoveDirectory(p); }
  Status SyncDirectory(const std::string& p) override { return files.SyncDirectory(p); }
  Result<std::unique_ptr<FileLock>> Lock(const std::string& p) override { return files.Lock(p); }
  Result<uint64_t> FreeBytes(const std::string& p) override { return files.FreeBytes(p); }
};

// Counts calls from the log thread and lets the test wait for them.
class Bell {
 public:
  void Ring() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++rings_;
    change_.notify_all();
  }
  template <typename Condition>
  void Await(Condition condition) {
    std::unique_lock<std::mutex> lock(mutex_);
    change_.wait(lock, condition);
  }
  int rings() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return rings_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  int rings_ = 0;
};

struct Rig {
  GatedFileSystem fs;
  Bell durable;
  Bell failures;
  Status failure;
  std::unique_ptr<LogThread> log;

  explicit Rig(uint64_t max_pending = 1 << 20, uint64_t segment_bytes = 1 << 20) {
    REQUIRE(fs.CreateDirectory("/data").ok());
    REQUIRE(fs.SyncDirectory("/").ok());
    WalOptions wal_options;
    wal_options.segment_bytes = segment_bytes;
    auto writer = NewWriter(&fs, 1, 0, wal_options);
    REQUIRE(writer.ok());
    LogOptions options;
    options.max_pending_bytes = max_pending;
    options.on_durable = [this] { durable.Ring(); };
    options.on_failure = [this](const Status& status) {
      failure = status;
      failures.Ring();
    };
    log = std::make_unique<LogThread>("log-0", &fs, kTestWal, std::move(writer).value(), options);
  }

  uint64_t Submit(uint64_t index, size_t bytes = 10) {
    WalBatch batch = Entry(1, 1, index, std::string(bytes, 'x'));
    const uint64_t ticket = log->Submit(std::move(batch));
    CHECK(batch.empty());  // NOLINT: Submit promises it
    return ticket;
  }
  void Await(uint64_t ticket) {
    durable.Await([&] { return log->durable_ticket() >= ticket; });
  }
};

TEST_CASE("tickets become durable in order, and the loop is told") {
  Rig rig;
  for (uint64_t i = 1; i <= 200; ++i) {
    CHECK(rig.Submit(i) == i);
    if (i % 3 == 0) rig.Await(i);
  }
  rig.log->Stop();
  CHECK(rig.log->durable_ticket() == 200);
  CHECK(rig.log->pending_bytes() == 0);
  CHECK(rig.durable.rings() == static_cast<int>(rig.log->frames()));
  rig.fs.files.CrashLosingAll();
  Model model;
  REQUIRE(Recover(&rig.fs, 2, &model).ok());
  CHECK(model[1].entries.size() == 200);
}

TEST_CASE("P44 what is submitted while a frame is being written shares the next one") {
  Rig rig;
  rig.fs.gate.Close();
  rig.Submit(1);
  rig.fs.gate.AwaitWaiter();
  for (uint64_t i = 2; i <= 50; ++i) rig.Submit(i);
  CHECK(rig.log->durable_ticket() == 0);
  CHECK(rig.log->pending_bytes() > 50 * 10);
  rig.fs.gate.Open();
  rig.Await(50);
  CHECK(rig.log->frames() == 2);
  CHECK(rig.durable.rings() >= 1);
}

TEST_CASE("the queue is bounded: saturated at the limit, blocking at twice the limit") {
  Rig rig(1000);
  rig.fs.gate.Close();
  rig.Submit(1, 400);
  rig.fs.gate.AwaitWaiter();
  CHECK_FALSE(rig.log->saturated());
  rig.Submit(2, 700);
  CHECK(rig.log->saturated());
  rig.Submit(3, 1000);
  CHECK(rig.log->pending_bytes() > 2000);
  std::atomic<bool> returned{false};
  std::thread late([&] {
    rig.Submit(4);
    returned = true;
  });
  // Not a proof, but it would fail now and then if Submit did not wait.
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  CHECK_FALSE(returned.load());
  rig.fs.gate.Open();
  late.join();
  rig.Await(4);
  CHECK_FALSE(rig.log->saturated());
}

TEST_CASE("P40 a failure is reported once, and nothing becomes durable after it") {
  for (const FileCall call : {FileCall::kWrite, FileCall::kSync}) {
    Rig rig(100);
    rig.Submit(1);
    rig.Await(1);
    rig.fs.files.FailNth(call, 1, Fault::kIoError);
    rig.Submit(2);
    rig.failures.Await([&] { return rig.failure.code() == Code::kIoError; });
    for (uint64_t i = 3; i < 30; ++i) rig.Submit(i);  // does not block either
    rig.log->RemoveObsolete({{1, 3}});
    rig.log->Stop();
    CHECK(rig.failures.rings() == 1);
    CHECK(rig.log->durable_ticket() == 1);
    CHECK(rig.log->frames() == 1);
  }
}

TEST_CASE("stopping writes what was submitted") {
  for (uint64_t n = 1; n < 40; ++n) {
    Rig rig;
    for (uint64_t i = 1; i <= n; ++i) rig.Submit(i);
    rig.log->Stop();
    CHECK(rig.log->durable_ticket() == n);
    Model model;
    rig.fs.files.CrashLosingAll();
    REQUIRE(Recover(&rig.fs, 2, &model).ok());
    CHECK(model[1].entries.size() == n);
  }
}

TEST_CASE("segments are removed on the log thread") {
  Rig rig(1 << 20, 1000);
  for (uint64_t i = 1; i <= 30; ++i) {
    rig.Submit(i, 300);
    rig.Await(i);
  }
  CHECK(SegmentFiles(rig.fs.files).size() > 5);
  rig.log->RemoveObsolete({{1, 20}});
  rig.log->RemoveObsolete({{1, 10}});  // of two requests the higher index counts
  rig.log->Stop();
  CHECK(SegmentFiles(rig.fs.files).size() < 7);
  CHECK(rig.log->segment_bytes() == rig.fs.files.UsedBytes());
  rig.fs.files.CrashLosingAll();
  Model model;
  REQUIRE(Recover(&rig.fs, 2, &model).ok());
  CHECK(model[1].last() == 30);
  CHECK(model[1].entries.begin()->first <= 21);
}

TEST_CASE(
    "P43 the free space of the disk is looked at while the log is used, and while it is not") {
  Rig rig;
  rig.fs.files.SetCapacity(10'000'000);
  // The idle look comes after a second at most.
  const auto changed = [&] { return rig.log->free_bytes() < 10'000'001; };
  for (int i = 0; i < 5000 && !changed(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(changed());
}

TEST_CASE("ManualLog writes when told to") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/data").ok());
  int durable = 0;
  int failures = 0;
  LogOptions options;
  options.max_pending_bytes = 100;
  options.on_durable = [&] { ++durable; };
  options.on_failure = [&](const Status&) { ++failures; };
  WalOptions wal_options;
  wal_options.segment_bytes = 600;
  ManualLog log(&fs, kTestWal, NewWriter(&fs, 1, 0, wal_options).value(), options);
  CHECK_FALSE(log.has_work());
  CHECK(log.Submit(Entry(1, 1, 1, std::string(200, 'x'))) == 1);
  CHECK(log.Submit(Entry(1, 1, 2, std::string(200, 'x'))) == 2);
  CHECK(log.saturated());
  CHECK(log.has_work());
  CHECK(log.durable_ticket() == 0);
  CHECK(log.Step().ok());
  CHECK(log.durable_ticket() == 2);
  CHECK(log.pending_bytes() == 0);
  CHECK(durable == 1);
  CHECK(log.Submit(Entry(1, 1, 3, std::string(300, 'x'))) == 3);
  log.RemoveObsolete({{1, 2}});
  CHECK(log.Step().ok());
  CHECK(SegmentFiles(fs).size() == 1);
  CHECK(log.free_bytes() > 0);
  fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
  log.Submit(Entry(1, 1, 4, "x"));
  CHECK_FALSE(log.Step().ok());
  CHECK_FALSE(log.Step().ok());
  CHECK(failures == 1);
  CHECK(log.durable_ticket() == 3);
}

}  // namespace
}  // namespace holdfast::storage
