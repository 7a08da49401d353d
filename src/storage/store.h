// The state of one partition: an ordered map from byte strings to byte strings on disk.
//
// Written behind the WAL, in batches, each with the applied index of its partition. What a store
// promises about a crash is weak on purpose: the writes that survive are a prefix of those made,
// and it contains everything up to the last Write(…, sync = true) that returned OK.
//
// Any failure kills the instance (PITFALLS P52, P53): every later call returns the first error. The
// process then ends and replays the WAL into a newly opened store. RepairDB is never used (P55).
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "storage/file_system.h"

namespace holdfast::storage {

// An ordered list of changes that takes effect as a whole or not at all. One thread.
class StoreBatch {
 public:
  StoreBatch();
  ~StoreBatch();
  StoreBatch(StoreBatch&&) noexcept;
  StoreBatch& operator=(StoreBatch&&) noexcept;

  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  void Clear();

  size_t changes() const { return changes_; }
  // Size of the encoded changes; a measure for bounding batches.
  size_t bytes() const;

  // Visits the changes in order; `value` is null for a deletion.
  void ForEach(
      absl::FunctionRef<void(std::string_view key, const std::string_view* value)> visitor) const;

  struct Rep;
  const Rep& rep() const { return *rep_; }  // for implementations of Store

 private:
  std::unique_ptr<Rep> rep_;
  size_t changes_ = 0;
};

// A walk over the store as it was when the iterator was made. One thread. Views stay valid until
// the next move. Must be destroyed before its store.
class StoreIterator {
 public:
  virtual ~StoreIterator() = default;
  // Goes to the first key >= `key`.
  virtual void Seek(std::string_view key) = 0;
  virtual void Next() = 0;                     // REQUIRES: Valid()
  virtual bool Valid() const = 0;              // false at the end and after an error
  virtual std::string_view key() const = 0;    // REQUIRES: Valid()
  virtual std::string_view value() const = 0;  // REQUIRES: Valid()
  virtual Status status() const = 0;           // ask when Valid() turns false
};

// Any thread, one writer at a time is fastest. Calls block on the disk: never on a core's loop
// (P54).
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // Applies the batch. With `sync`, it and every write before it are durable when OK is returned.
  virtual Status Write(const StoreBatch& batch, bool sync) = 0;
  // Makes every earlier write durable.
  virtual Status Sync() = 0;

  // kNotFound when there is none.
  virtual Status Get(std::string_view key, std::string* value) = 0;

  // Visits [start, end) in key order until `visitor` returns false; an empty `end` is the end of
  // the store. Sees one state of the store throughout.
  virtual Status Scan(
      std::string_view start, std::string_view end,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visitor) = 0;

  virtual std::unique_ptr<StoreIterator> NewIterator() = 0;

  // Roughly the bytes on disk between `start` and `end` (as in Scan); recent writes may be missing.
  virtual uint64_t ApproximateBytes(std::string_view start, std::string_view end) = 0;

  // Rewrites the files of [start, end), so that deleted bytes return to the disk. Slow; writes of
  // other threads go on. REQUIRES: neither `start` nor `end` is or will be the key of a record.
  virtual Status CompactRange(std::string_view start, std::string_view end) = 0;

  // The first error that this instance met, OK while it is alive.
  virtual Status status() const = 0;
};

// Where stores live: one factory per core, so that cores share neither LevelDB's background thread
// nor its cache. Must outlive its stores. Any thread.
class StoreFactory {
 public:
  StoreFactory() = default;
  StoreFactory(const StoreFactory&) = delete;
  StoreFactory& operator=(const StoreFactory&) = delete;
  virtual ~StoreFactory() = default;

  // Opens the store in directory `path`, whose parent exists; creates it when missing.
  // kCorruption when the files are damaged. A store is open at most once.
  virtual Result<std::unique_ptr<Store>> Open(const std::string& path) = 0;
  // Durably removes the store; OK when there is none. REQUIRES: it is not open.
  virtual Status Destroy(const std::string& path) = 0;
  // Durably renames a store that is not open; `to` must not exist.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Whether a store is there.
  virtual Result<bool> Exists(const std::string& path) = 0;
};

struct LevelStoreOptions {
  size_t write_buffer_bytes = size_t{32} << 20;  // per store; two of them may be in use
  size_t block_cache_bytes = size_t{32} << 20;   // shared by the stores of one factory
  int bloom_bits_per_key = 10;
  int max_open_files = 256;  // per store
  size_t max_file_bytes = size_t{8} << 20;
  bool compress = true;  // Snappy
};

// Stores in LevelDB on `fs`, which must outlive the factory.
std::unique_ptr<StoreFactory> NewLevelStoreFactory(FileSystem* fs,
                                                   const LevelStoreOptions& options);

// One store with a factory of its own, which it keeps alive.
Result<std::unique_ptr<Store>> OpenLevelStore(FileSystem* fs, const std::string& path,
                                              const LevelStoreOptions& options);

}  // namespace holdfast::storage
