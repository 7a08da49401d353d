// A partition's state on its way to another node, as the records of its store.
//
// A snapshot is a view of the store at one moment, so its records, its "applied" record and its
// membership belong together (PITFALLS P15, P30). Everything travels but the identity record, which
// is each node's own.
//
//   chunk: records in key order, each a length-prefixed key and a length-prefixed value
//
// Everything here blocks on the disk: an I/O thread, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/persist.h"
#include "storage/store.h"

namespace holdfast::data {

class SnapshotReader {
 public:
  // Holds the store as it is now, for as long as this lives. Corruption: it doesn't say what it
  // contains, or who its members are.
  static Result<std::unique_ptr<SnapshotReader>> Open(std::shared_ptr<storage::Store> store);

  const AppliedState& applied() const { return applied_; }
  // Encoded; of the last configuration entry up to applied().
  const std::string& membership() const { return membership_; }
  // Records given out so far.
  uint64_t records() const { return records_; }

  // Appends the next records to `chunk` until it has `max_bytes`, but at least one. False when
  // there was none left.
  Result<bool> Next(size_t max_bytes, std::string* chunk);

 private:
  explicit SnapshotReader(std::shared_ptr<storage::Store> store);
  Result<std::string> System(std::string_view key);

  const std::shared_ptr<storage::Store> store_;
  const std::unique_ptr<storage::StoreIterator> iterator_;  // goes before the store
  AppliedState applied_;
  std::string membership_;
  uint64_t records_ = 0;
};

// Writes a snapshot into a store of its own.
class SnapshotWriter {
 public:
  // The store is made at `path`; `factory` outlives this. The rest goes into its identity.
  SnapshotWriter(storage::StoreFactory* factory, std::string path, uint64_t node_id,
                 uint32_t partition);

  // Begins anew, whatever is there.
  Status Open();
  Status Add(std::string_view chunk);
  // Makes it durable. Corruption: it isn't the whole of the snapshot that was announced.
  Status Finish(const AppliedState& applied, std::string_view membership, uint64_t records);

  // Null unless open.
  storage::Store* store() { return store_.get(); }
  void Close() { store_.reset(); }
  // Closes and removes it.
  Status Discard();

 private:
  storage::StoreFactory* const factory_;
  const std::string path_;
  const uint64_t node_id_;
  const uint32_t partition_;
  std::unique_ptr<storage::Store> store_;
  uint64_t records_ = 0;
};

}  // namespace holdfast::data
