// Between a partition's keyspace and its store: committed entries become records, and records
// become the keyspace again at the next start (DESIGN.md §2 rule 6).
//
// The store holds the state exactly as of the entry that its "applied" record names, because data
// and applied index travel in one batch (PITFALLS P30). Replaying the log from there gives the
// present state; replaying an entry twice would not (a patch needs the value it was made for).
//
// Everything here blocks on the disk: the persister thread of the owning core, or start-up. Nothing
// here reads a clock, draws a random number or depends on the order of a hash table, so that a
// simulation can drive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/keyspace.h"
#include "data/record.h"
#include "storage/store.h"

namespace holdfast::data {

// An entry of the log, and so the state after it; 0, 0 before the first.
struct AppliedState {
  uint64_t index = 0;
  uint64_t term = 0;
  bool operator==(const AppliedState&) const = default;
};

// What is handed to the persister thread at once.
struct PersistJob {
  // Payloads of committed data entries, in log order: all of those above the index that the store
  // has applied, up to and including applied_index. Entries without effects are left out.
  std::vector<std::shared_ptr<const std::string>> payloads;
  uint64_t applied_index = 0;
  uint64_t applied_term = 0;
  size_t bytes = 0;  // of all payloads, for whoever bounds the queue
  // The payload of the last configuration entry up to applied_index, if one is among them. It is
  // stored with every applied index of the job (P30): with an earlier one it is ahead of its time,
  // but committed all the same.
  std::shared_ptr<const std::string> membership;
  // Which entry each payload belongs to. May be left empty; with it, a job that needs more than
  // kMaxBatchBytes of memory is written in several batches.
  std::vector<AppliedState> positions;
};

// How much memory PersistEntries takes, roughly, before it writes what it has collected, when the
// job says which entries that belongs to. A small EXPIRE may rewrite a large value, an element's
// record is several times its effect, and the store takes a batch as a whole, however small its
// buffer is.
inline constexpr size_t kMaxBatchBytes = size_t{16} << 20;

// Added to by each PersistEntries that succeeds.
struct PersistStats {
  uint64_t jobs = 0;
  uint64_t batches = 0;
  uint64_t effects = 0;
  uint64_t records_written = 0;
  uint64_t records_deleted = 0;
  uint64_t records_skipped = 0;  // of databases that were flushed later in the same job
  uint64_t removed = 0;          // collections whose elements are garbage now
  uint64_t base_reads = 0;       // records read because only a part of them changed
  uint64_t bytes_written = 0;    // keys and values
  uint64_t max_revision = 0;     // of any effect
};

// Adds what follows `job` immediately.
void AppendJob(PersistJob* job, PersistJob next);

// Writes the outcome of a job, each record at most once, and the applied index as one batch (or
// several such batches, see PersistJob::positions); with `sync` it is durable when OK is returned.
// `stats` may be null. On failure nothing (or only whole earlier batches) was written, or the store
// is dead and its outcome unknown (store.h):
//  - Corruption: a payload can't be read, or changes a part of a record that isn't there.
//  - Unsupported: a payload of a newer format.
//  - what Store::Write and Store::Get return.
Status PersistEntries(storage::Store* store, const PersistJob& job, bool sync, PersistStats* stats);

// The largest revision of any effect that a store has got; 0 in a new store. Corruption,
// Unsupported or what Store::Get returns.
Result<uint64_t> ReadRevision(storage::Store* store);
// The last entry whose effects a store holds; 0, 0 in a new store.
Result<AppliedState> ReadApplied(storage::Store* store);

// The encoded membership that the store holds, as of its applied entry; empty when it holds none.
Result<std::string> ReadMembership(storage::Store* store);

// The mapping of SELECT's numbers that the store holds; the initial one in a new store. Records of
// any other physical database below its `next` are dead.
Result<DatabaseMap> ReadDatabases(storage::Store* store);

// The "applied" record's value: format(1) index(u64 LE) term(u64 LE). For snapshots and tests.
std::string EncodeApplied(const AppliedState& applied);
Status DecodeApplied(std::string_view bytes, AppliedState* applied);

// Makes sure that the store belongs to this node and partition (P14): writes the identity record,
// durably, into an empty store and compares it in any other.
//  - Unsupported: another node's or partition's data, or a newer format.
//  - Corruption: a damaged identity record, or data without one.
Status CheckOrWriteIdentity(storage::Store* store, uint64_t node_id, uint32_t partition);

// The identity record's value: format(1) node id(u64 LE) partition(u32 LE).
std::string EncodeStoreIdentity(uint64_t node_id, uint32_t partition);
Status DecodeStoreIdentity(std::string_view bytes, uint64_t* node_id, uint32_t* partition);

struct LoadStats {
  uint64_t records = 0;       // read, dead ones included
  uint64_t dead_records = 0;  // of databases that were flushed; see collect.h
  uint64_t bytes = 0;         // keys and values
};

// Fills a new keyspace from the store. On failure the keyspace is of no use. `stats` may be null.
// The keyspace's owner must not use it meanwhile.
Status LoadKeyspace(storage::Store* store, Keyspace* keyspace, LoadStats* stats);

// A meta record as the store holds it, or that there is none; with its elements when it is that of
// a collection.
struct StoredRecord {
  std::string key;
  std::optional<std::string> value;
  std::unique_ptr<Collection> collection;
  Status status;  // Corruption when the collection lacks elements: the key's database may be dead
};

// Looks the keys up, in order. Whatever Store::Get returns, except that a missing record is an
// answer.
Status ReadRecords(storage::Store* store, const std::vector<std::string>& keys,
                   const CollectionOptions& options, std::vector<StoredRecord>* records);

}  // namespace holdfast::data
