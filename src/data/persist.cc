#include "data/persist.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "data/coalescer.h"

namespace holdfast::data {
namespace {

// Every meta record's key is in [kMetaBegin, kMetaEnd).
constexpr std::string_view kMetaBegin = "m";
constexpr std::string_view kMetaEnd = "n";
// And those of elements and of garbage.
constexpr std::string_view kElementsBegin = "e";
constexpr std::string_view kElementsEnd = "f";
constexpr std::string_view kGarbageBegin = "g";
constexpr std::string_view kGarbageEnd = "h";

// Reads a system record into `*value`; false when there is none.
Result<bool> GetSystem(storage::Store* store, std::string_view name, std::string* value) {
  Status status = store->Get(name, value);
  if (status.ok()) return true;
  if (status.code() == Code::kNotFound) return false;
  return status;
}

}  // namespace

Result<uint64_t> ReadRevision(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kRevisionRecord, &value);
  if (!found.ok()) return found.status();
  if (!found.value()) return uint64_t{0};
  ByteReader in(value);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty revision record");
  if (format != kRecordFormat) return Status::Unsupported("revision record of a newer format");
  uint64_t revision;
  if (!in.ReadFixed64(&revision) || !in.empty()) {
    return Status::Corruption("revision record is damaged");
  }
  return revision;
}

void AppendJob(PersistJob* job, PersistJob next) {
  job->bytes += next.bytes;
  job->applied_index = next.applied_index;
  job->applied_term = next.applied_term;
  if (next.membership != nullptr) job->membership = std::move(next.membership);
  for (auto& payload : next.payloads) job->payloads.push_back(std::move(payload));
  job->positions.insert(job->positions.end(), next.positions.begin(), next.positions.end());
}

Status PersistEntries(storage::Store* store, const PersistJob& job, bool sync,
                      PersistStats* stats) {
  CHECK(job.positions.empty() || job.positions.size() == job.payloads.size());
  Coalescer coalescer(store);
  for (size_t i = 0; i < job.payloads.size(); ++i) {
    CHECK(job.payloads[i] != nullptr);
    RETURN_IF_ERROR(ForEachEffect(
        *job.payloads[i], [&coalescer](const Effect& effect) { return coalescer.Add(effect); }));
    // The last batch carries the job's own position, and the sync that covers the earlier ones.
    if (!job.positions.empty() && i + 1 < job.payloads.size() &&
        coalescer.memory_bytes() > kMaxBatchBytes) {
      RETURN_IF_ERROR(coalescer.Write(job.positions[i], job.membership.get(), /*sync=*/false));
    }
  }
  RETURN_IF_ERROR(
      coalescer.Write({job.applied_index, job.applied_term}, job.membership.get(), sync));
  if (stats != nullptr) {
    const PersistStats& added = coalescer.stats();
    ++stats->jobs;
    stats->batches += added.batches;
    stats->effects += added.effects;
    stats->records_written += added.records_written;
    stats->records_deleted += added.records_deleted;
    stats->records_skipped += added.records_skipped;
    stats->removed += added.removed;
    stats->base_reads += added.base_reads;
    stats->bytes_written += added.bytes_written;
    stats->max_revision = std::max(stats->max_revision, added.max_revision);
  }
  return Status::Ok();
}

std::string EncodeApplied(const AppliedState& applied) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, applied.index);
  AppendFixed64(&out, applied.term);
  return out;
}

Status DecodeApplied(std::string_view bytes, AppliedState* applied) {
  ByteReader in(bytes);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty applied record");
  if (format != kRecordFormat) return Status::Unsupported("applied record of a newer format");
  if (!in.ReadFixed64(&applied->index) || !in.ReadFixed64(&applied->term) || !in.empty()) {
    return Status::Corruption("applied record is damaged");
  }
  return Status::Ok();
}

Result<AppliedState> ReadApplied(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kAppliedRecord, &value);
  if (!found.ok()) return found.status();
  AppliedState applied;
  if (!found.value()) return applied;
  Status status = DecodeApplied(value, &applied);
  if (!status.ok()) return status;
  return applied;
}

Result<std::string> ReadMembership(storage::Store* store) {
  std::string value;
  Result<bool> found = GetSystem(store, kMembershipRecord, &value);
  if (!found.ok()) return found.status();
  return found.value() ? value : std::string();
}

namespace {

// The elements of the collection whose meta record this is; nothing when it is another value. The
// meta record is read again, with the elements, from one state of the store: others write to it.
Status ReadElements(storage::Store* store, const CollectionOptions& options, StoredRecord* record) {
  uint16_t slot;
  uint32_t database;
  std::string_view name;
  Meta meta;
  std::string_view head;
  if (!ParseMetaKey(record->key, &slot, &database, &name)) {
    return Status::Corruption("a record with a damaged key");
  }
  RETURN_IF_ERROR(ParseMeta(*record->value, &meta, &head));
  if (!HasElements(meta.type)) return Status::Ok();
  const std::unique_ptr<storage::StoreIterator> records = store->NewIterator();
  records->Seek(record->key);
  if (!records->Valid() || records->key() != record->key) {
    record->value.reset();
    return records->status();
  }
  record->value = records->value();
  RETURN_IF_ERROR(ParseMeta(*record->value, &meta, &head));
  if (!HasElements(meta.type)) return Status::Ok();
  RETURN_IF_ERROR(CheckHead(meta.type, head));
  std::unique_ptr<Collection> collection = NewCollection(meta.type, options);
  collection->SetHead(head);
  std::string prefix;
  AppendElementPrefix(&prefix, slot, database, meta.created);
  for (records->Seek(prefix); records->Valid() && records->key().starts_with(prefix);
       records->Next()) {
    const std::string_view element = records->key().substr(prefix.size());
    RETURN_IF_ERROR(CheckElement(meta.type, element, records->value()));
    collection->Put(element, records->value());
  }
  RETURN_IF_ERROR(records->status());
  if (collection->Head() != head) {
    return Status::Corruption("a collection's elements are not those that it had");
  }
  record->collection = std::move(collection);
  return Status::Ok();
}

}  // namespace

Status ReadRecords(storage::Store* store, const std::vector<std::string>& keys,
                   const CollectionOptions& options, std::vector<StoredRecord>* records) {
  for (const std::string& key : keys) {
    StoredRecord record{key, std::string(), nullptr, {}};
    const Status status = store->Get(key, &*record.value);
    if (status.code() == Code::kNotFound) {
      record.value.reset();
    } else if (!status.ok()) {
      return status;
    } else {
      record.status = ReadElements(store, options, &record);
    }
    records->push_back(std::move(record));
  }
  return Status::Ok();
}

std::string EncodeStoreIdentity(uint64_t node_id, uint32_t partition) {
  std::string out(1, static_cast<char>(kRecordFormat));
  AppendFixed64(&out, node_id);
  AppendFixed32(&out, partition);
  return out;
}

Status DecodeStoreIdentity(std::string_view bytes, uint64_t* node_id, uint32_t* partition) {
  ByteReader in(bytes);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("store has an empty identity record");
  if (format != kRecordFormat) {
    return Status::Unsupported("store is of format " + std::to_string(format) +
                               "; this holdfast reads format " + std::to_string(kRecordFormat));
  }
  if (!in.ReadFixed64(node_id) || !in.ReadFixed32(partition) || !in.empty()) {
    return Status::Corruption("store has a damaged identity record");
  }
  return Status::Ok();
}

Status CheckOrWriteIdentity(storage::Store* store, uint64_t node_id, uint32_t partition) {
  std::string value;
  Result<bool> found = GetSystem(store, kIdentityRecord, &value);
  if (!found.ok()) return found.status();
  if (!found.value()) {
    bool empty = true;
    RETURN_IF_ERROR(store->Scan("", "", [&empty](std::string_view, std::string_view) {
      empty = false;
      return false;
    }));
    if (!empty) return Status::Corruption("store holds records but no identity record");
    storage::StoreBatch batch;
    batch.Put(kIdentityRecord, EncodeStoreIdentity(node_id, partition));
    return store->Write(batch, /*sync=*/true);
  }
  uint64_t stored_node;
  uint32_t stored_partition;
  RETURN_IF_ERROR(DecodeStoreIdentity(value, &stored_node, &stored_partition));
  if (stored_node != node_id) {
    return Status::Unsupported("store belongs to node " + std::to_string(stored_node) +
                               ", not to this node " + std::to_string(node_id));
  }
  if (stored_partition != partition) {
    return Status::Unsupported("store is partition " + std::to_string(stored_partition) +
                               ", not partition " + std::to_string(partition));
  }
  return Status::Ok();
}

Result<DatabaseMap> ReadDatabases(storage::Store* store) {
  std::string databases;
  Result<bool> found = GetSystem(store, kDatabasesRecord, &databases);
  if (!found.ok()) return found.status();
  DatabaseMap map = DatabaseMap::Initial();
  if (found.value()) RETURN_IF_ERROR(ParseDatabaseMap(databases, &map));
  return map;
}

namespace {

Status LoadElements(storage::Store* store, Keyspace* keyspace, LoadStats* loaded) {
  Status element_status;
  RETURN_IF_ERROR(store->Scan(kElementsBegin, kElementsEnd,
                              [&](std::string_view record_key, std::string_view record_value) {
                                ++loaded->records;
                                loaded->bytes += record_key.size() + record_value.size();
                                element_status = keyspace->LoadElement(record_key, record_value);
                                return element_status.ok();
                              }));
  RETURN_IF_ERROR(element_status);
  RETURN_IF_ERROR(
      store->Scan(kGarbageBegin, kGarbageEnd, [keyspace](std::string_view, std::string_view) {
        keyspace->LoadGarbage();
        return false;
      }));
  return keyspace->FinishLoad();
}

}  // namespace

Status LoadKeyspace(storage::Store* store, Keyspace* keyspace, LoadStats* stats) {
  std::string databases;
  Result<bool> found = GetSystem(store, kDatabasesRecord, &databases);
  if (!found.ok()) return found.status();
  if (found.value()) RETURN_IF_ERROR(keyspace->LoadDatabases(databases));
  Result<uint64_t> revision = ReadRevision(store);
  if (!revision.ok()) return revision.status();
  keyspace->LoadRevision(revision.value());
  LoadStats loaded;
  Status record_status;
  RETURN_IF_ERROR(store->Scan(kMetaBegin, kMetaEnd,
                              [&](std::string_view record_key, std::string_view record_value) {
                                ++loaded.records;
                                loaded.bytes += record_key.size() + record_value.size();
                                bool dead = false;
                                record_status = keyspace->Load(record_key, record_value, &dead);
                                if (dead) ++loaded.dead_records;
                                return record_status.ok();
                              }));
  RETURN_IF_ERROR(record_status);
  RETURN_IF_ERROR(LoadElements(store, keyspace, &loaded));
  if (stats != nullptr) {
    stats->records += loaded.records;
    stats->dead_records += loaded.dead_records;
    stats->bytes += loaded.bytes;
  }
  return Status::Ok();
}

}  // namespace holdfast::data
