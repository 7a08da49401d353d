// Stores in LevelDB.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/iterator.h>
#include <leveldb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "storage/io_thread.h"
#include "storage/level_env.h"
#include "storage/store.h"
#include "storage/store_batch.h"

namespace holdfast::storage {
namespace {

// LevelDB schedules at most one task for each open store.
constexpr size_t kMaxBackgroundTasks = 65536;

// Around all records that anybody has; see CompactRange.
constexpr std::string_view kFirstKey("\0", 1);
constexpr std::string_view kLastKey = "\xff\xff\xff\xff\xff\xff\xff\xff";

leveldb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

// LevelDB's own log lines, at the lowest level.
class DebugLogger final : public leveldb::Logger {
 public:
  void Logv(const char* format, std::va_list arguments) override {
    char line[500];
    std::vsnprintf(line, sizeof line, format, arguments);
    LogDebug("leveldb: {}", line);
  }
};

// What the stores of a factory share.
struct Shared {
  Shared(FileSystem* files, const LevelStoreOptions& wanted)
      : fs(files),
        options(wanted),
        cache(leveldb::NewLRUCache(wanted.block_cache_bytes)),
        filter(leveldb::NewBloomFilterPolicy(wanted.bloom_bits_per_key)),
        background("leveldb", kMaxBackgroundTasks) {}

  FileSystem* const fs;
  const LevelStoreOptions options;
  const std::unique_ptr<leveldb::Cache> cache;
  const std::unique_ptr<const leveldb::FilterPolicy> filter;
  DebugLogger logger;
  IoThread background;
};

class LevelStore final : public Store {
 public:
  LevelStore(std::shared_ptr<Shared> shared, std::unique_ptr<LevelEnv> env, leveldb::DB* db,
             std::string path)
      : shared_(std::move(shared)), env_(std::move(env)), db_(db), path_(std::move(path)) {}

  Status Write(const StoreBatch& batch, bool sync) override {
    RETURN_IF_ERROR(status());
    leveldb::WriteOptions options;
    options.sync = sync;
    return Judge(db_->Write(options, LevelBatch(batch)));
  }

  Status Sync() override { return Write(StoreBatch(), true); }

  Status Get(std::string_view key, std::string* value) override {
    RETURN_IF_ERROR(status());
    const leveldb::Status got = db_->Get(Reading(), ToSlice(key), value);
    // Not an error of the store, so nothing of it is judged.
    if (got.IsNotFound()) return Status::NotFound("no such record");
    return Judge(got);
  }

  Status Scan(std::string_view start, std::string_view end,
              absl::FunctionRef<bool(std::string_view, std::string_view)> visitor) override {
    RETURN_IF_ERROR(status());
    const std::unique_ptr<leveldb::Iterator> it(db_->NewIterator(Scanning()));
    for (it->Seek(ToSlice(start)); it->Valid(); it->Next()) {
      if (!end.empty() && ToView(it->key()) >= end) break;
      if (!visitor(ToView(it->key()), ToView(it->value()))) break;
    }
    return Judge(it->status());
  }

  std::unique_ptr<StoreIterator> NewIterator() override {
    return std::make_unique<Iterator>(this, db_->NewIterator(Scanning()));
  }

  uint64_t ApproximateBytes(std::string_view start, std::string_view end) override {
    const std::string last(64, '\xff');
    const leveldb::Range range(ToSlice(start), ToSlice(end.empty() ? last : end));
    uint64_t bytes = 0;
    db_->GetApproximateSizes(&range, 1, &bytes);
    return bytes;
  }

  Status CompactRange(std::string_view start, std::string_view end) override {
    RETURN_IF_ERROR(status());
    // LevelDB moves everything in the range down to the lowest level that holds some of it, and
    // drops what is deleted on the way; what is on that level already it does not touch. There, a
    // value may lie beside its own deletion: the buffer holds both, and its file goes down as far
    // as nothing is in the way. So the buffer is written out first (a range before all keys does
    // nothing else), and then two deletions of nothing span the range and pull all of it along.
    const leveldb::Slice before("", 0);
    db_->CompactRange(&before, &before);
    StoreBatch bounds;
    bounds.Delete(start.empty() ? kFirstKey : start);
    bounds.Delete(end.empty() ? kLastKey : end);
    RETURN_IF_ERROR(Write(bounds, /*sync=*/false));
    const leveldb::Slice first = ToSlice(start);
    const leveldb::Slice last = ToSlice(end);
    db_->CompactRange(start.empty() ? nullptr : &first, end.empty() ? nullptr : &last);
    return status();
  }

  Status status() const override {
    if (dead_.load(std::memory_order_acquire)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      return status_;
    }
    // The failure may have happened where LevelDB does not look: when a log file was closed, or in
    // a compaction.
    return env_->failure();
  }

 private:
  class Iterator final : public StoreIterator {
   public:
    Iterator(LevelStore* store, leveldb::Iterator* it) : store_(store), it_(it) {}
    void Seek(std::string_view key) override { it_->Seek(ToSlice(key)); }
    void Next() override {
      CHECK(it_->Valid());
      it_->Next();
    }
    bool Valid() const override { return it_->Valid(); }
    std::string_view key() const override { return ToView(it_->key()); }
    std::string_view value() const override { return ToView(it_->value()); }
    Status status() const override { return store_->Judge(it_->status()); }

   private:
    LevelStore* const store_;
    const std::unique_ptr<leveldb::Iterator> it_;
  };

  static leveldb::ReadOptions Reading() {
    leveldb::ReadOptions options;
    options.verify_checksums = true;  // of blocks that come from the disk
    return options;
  }

  // Whoever goes through the records does so once: a start loads them all, a snapshot sends them.
  static leveldb::ReadOptions Scanning() {
    leveldb::ReadOptions options = Reading();
    options.fill_cache = false;
    return options;
  }

  // Makes any error the end of this instance; also asks the environment, which knows more.
  Status Judge(const leveldb::Status& got) {
    RETURN_IF_ERROR(status());
    if (got.ok()) return Status::Ok();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.ok()) {
      const std::string message = path_ + ": " + got.ToString();
      status_ = got.IsCorruption() ? Status::Corruption(message) : Status::IoError(message);
      dead_.store(true, std::memory_order_release);
    }
    return status_;
  }

  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<LevelEnv> env_;
  const std::unique_ptr<leveldb::DB> db_;
  const std::string path_;
  std::atomic<bool> dead_{false};
  mutable std::mutex mutex_;
  Status status_;
};

class LevelStoreFactory final : public StoreFactory {
 public:
  LevelStoreFactory(FileSystem* fs, const LevelStoreOptions& options)
      : shared_(std::make_shared<Shared>(fs, options)) {}

  Result<std::unique_ptr<Store>> Open(const std::string& path) override {
    FileSystem* const fs = shared_->fs;
    RETURN_IF_ERROR(RemoveTree(fs, Doomed(path)));
    RETURN_IF_ERROR(fs->CreateDirectory(path));
    RETURN_IF_ERROR(fs->SyncDirectory(DirectoryOf(path)));
    auto is_new = IsNew(path);
    if (!is_new.ok()) return is_new.status();

    auto env = NewLevelEnv(fs, &shared_->background, LevelGuards::kOn);
    leveldb::Options options;
    options.create_if_missing = is_new.value();
    options.paranoid_checks = true;
    options.env = env->env();
    options.info_log = &shared_->logger;
    options.write_buffer_size = shared_->options.write_buffer_bytes;
    options.max_open_files = shared_->options.max_open_files;
    options.block_cache = shared_->cache.get();
    options.max_file_size = shared_->options.max_file_bytes;
    options.filter_policy = shared_->filter.get();
    options.compression =
        shared_->options.compress ? leveldb::kSnappyCompression : leveldb::kNoCompression;
    leveldb::DB* db = nullptr;
    const leveldb::Status opened = leveldb::DB::Open(options, path, &db);
    if (!opened.ok()) {
      RETURN_IF_ERROR(env->failure());
      const std::string message = path + ": " + opened.ToString();
      return opened.IsCorruption() ? Status::Corruption(message) : Status::IoError(message);
    }
    auto store = std::make_unique<LevelStore>(shared_, std::move(env), db, path);
    RETURN_IF_ERROR(store->status());
    return std::unique_ptr<Store>(std::move(store));
  }

  // Renamed first: a half removed store must not be found by Open, which would make a new one out
  // of leftover logs.
  Status Destroy(const std::string& path) override {
    FileSystem* const fs = shared_->fs;
    RETURN_IF_ERROR(RemoveTree(fs, Doomed(path)));
    auto exists = fs->Exists(path);
    if (!exists.ok()) return exists.status();
    if (!exists.value()) return Status::Ok();
    RETURN_IF_ERROR(Rename(path, Doomed(path)));
    return RemoveTree(fs, Doomed(path));
  }

  Status Rename(const std::string& from, const std::string& to) override {
    FileSystem* const fs = shared_->fs;
    auto exists = fs->Exists(to);
    if (!exists.ok()) return exists.status();
    if (exists.value()) return Status::InvalidArgument(to + " exists");
    RETURN_IF_ERROR(fs->Rename(from, to));
    RETURN_IF_ERROR(fs->SyncDirectory(DirectoryOf(to)));
    return DirectoryOf(from) == DirectoryOf(to) ? Status::Ok()
                                                : fs->SyncDirectory(DirectoryOf(from));
  }

  Result<bool> Exists(const std::string& path) override {
    return shared_->fs->Exists(path + "/CURRENT");
  }

 private:
  static std::string Doomed(const std::string& path) { return path + ".removed"; }

  // A store is made only where nothing of one is found: LevelDB itself would make an empty one
  // when CURRENT is lost.
  Result<bool> IsNew(const std::string& path) {
    auto names = shared_->fs->List(path);
    if (!names.ok()) return names.status();
    bool has_data = false;
    for (const std::string& name : names.value()) {
      if (name == "CURRENT") return false;
      has_data = has_data || name.ends_with(".ldb") || name.ends_with(".log");
    }
    if (has_data) return Status::Corruption(path + ": the file CURRENT is missing");
    return true;
  }

  const std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<StoreFactory> NewLevelStoreFactory(FileSystem* fs,
                                                   const LevelStoreOptions& options) {
  return std::make_unique<LevelStoreFactory>(fs, options);
}

Result<std::unique_ptr<Store>> OpenLevelStore(FileSystem* fs, const std::string& path,
                                              const LevelStoreOptions& options) {
  // The store keeps what it shares with its factory alive.
  return NewLevelStoreFactory(fs, options)->Open(path);
}

}  // namespace holdfast::storage
