// What a persist job does to the store, each record once (data/persist.h). Persister thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "data/effect.h"
#include "data/persist.h"

namespace holdfast::data {

// A record that was changed in part: its final meta, and its value, which stays where it was read
// from until a patch changes its bytes.
struct Merged {
  Meta meta;
  std::string_view kept;  // the value while !owned; points into a payload
  std::string value;      // the value when owned
  bool owned = false;

  std::string_view bytes() const { return owned ? std::string_view(value) : kept; }
};

// What one job does to one record.
struct Pending {
  std::string_view record_key;
  std::string_view record;  // the whole record's value; unused when merged is set
  std::unique_ptr<Merged> merged;
  uint32_t database = 0;
  bool deleted = false;
};

// Where each record's Pending stands, by the record's key. Lookups take the hash and the list apart
// from each other, so that the memory for several of them can be asked for before it is needed: a
// job has far more keys than a cache, and waiting for memory was most of the persister's work.
class PlaceByKey {
 public:
  // `seed` is something that clients can't know.
  explicit PlaceByKey(uint64_t seed) : seed_(seed), cells_(kMinCells) {}

  uint32_t Hash(std::string_view key) const { return static_cast<uint32_t>(Hash64(key, seed_)); }
  void Prefetch(uint32_t hash) const { __builtin_prefetch(&cells_[hash & (cells_.size() - 1)]); }
  // The place that is likely the key's; kNone when it has none.
  size_t Guess(uint32_t hash) const {
    const Cell& cell = cells_[hash & (cells_.size() - 1)];
    return cell.place_and_1 != 0 && cell.hash == hash ? cell.place_and_1 - 1 : kNone;
  }
  // The key's place; records->size() becomes its place when it has none yet.
  size_t Place(uint32_t hash, std::string_view key, const std::vector<Pending>& records);
  void Clear() { cells_.assign(kMinCells, Cell()); }

  static constexpr size_t kNone = SIZE_MAX;

 private:
  static constexpr size_t kMinCells = 1024;
  struct Cell {
    uint32_t hash = 0;
    uint32_t place_and_1 = 0;  // 0 = free
  };

  void Grow();

  uint64_t seed_;
  std::vector<Cell> cells_;  // open addressing, at most half full
};

// Collects the effects of a job. The views of payloads stay valid as long as the job.
class Coalescer {
 public:
  explicit Coalescer(storage::Store* store)
      : store_(store), places_(reinterpret_cast<uint64_t>(store)) {}

  Status Add(const Effect& effect);
  // Writes the outcome and the position in one batch, and starts over. Records go in the order of
  // their keys: the same job gives the same batches everywhere.
  // `membership`: the encoded membership from this position on; nullptr when it didn't change.
  Status Write(const AppliedState& position, const std::string* membership, bool sync);

  // Roughly the memory that the batch takes: records, their order, and values that were read or
  // rebuilt.
  size_t memory_bytes() const { return memory_bytes_; }
  const PersistStats& stats() const { return stats_; }

 private:
  // A whole record, or its deletion, that waits until the memory it needs is in the cache.
  struct Change {
    std::string_view record_key;
    std::string_view record;
    uint32_t database;
    uint32_t hash;
    bool deleted;
  };
  // A record and its key in the order of keys: its first sixteen bytes, as numbers, settle nearly
  // every comparison without touching the key.
  struct Ordered {
    uint64_t head;
    uint64_t next;
    const Pending* pending;
  };
  // Of a record, besides its key and value: what is kept of it here, and its place.
  static constexpr size_t kRecordBytes = sizeof(Pending) + sizeof(Ordered) + 24;

  void Settle();
  void Add(std::string_view record_key, std::string_view record, uint32_t database, bool deleted);
  Status AddElements(const Effect& effect);
  void AddRemoved(const Effect& effect);
  Status AddCopied(const Effect& effect);
  // A copy that lives as long as the batch that is being made.
  std::string_view Keep(std::string bytes);
  Pending* Touch(uint32_t hash, std::string_view record_key, uint32_t database, bool* fresh);
  Status Merge(const Effect& effect, Pending* pending, bool fresh);
  Status ReadBase(Pending* pending, Merged* merged);
  void Build(storage::StoreBatch* batch);
  std::vector<Ordered> InKeyOrder() const;
  // Where the elements of a generation are in records_. `prefix`: of their record keys.
  const std::vector<uint32_t>& ElementsOf(const std::string& prefix);

  storage::Store* store_;
  std::vector<Pending> records_;
  PlaceByKey places_;
  std::array<Change, 16> waiting_{};
  size_t waiting_count_ = 0;
  // ElementsOf, for the first so many of records_; made when a copy asks.
  absl::flat_hash_map<std::string, std::vector<uint32_t>> elements_;
  size_t listed_ = 0;
  // Keys and values that no payload contains as they are.
  std::deque<std::string> kept_;
  std::string_view databases_;  // the last "databases" effect's map; empty without one
  uint64_t revision_ = 0;       // the largest of any effect
  size_t memory_bytes_ = 0;
  PersistStats stats_;
};

}  // namespace holdfast::data
