#include "data/snapshot.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "data/record.h"

namespace holdfast::data {

SnapshotReader::SnapshotReader(std::shared_ptr<storage::Store> store)
    : store_(std::move(store)), iterator_(store_->NewIterator()) {}

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(
    std::shared_ptr<storage::Store> store) {
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader(std::move(store)));
  Result<std::string> applied = reader->System(kAppliedRecord);
  if (!applied.ok()) return applied.status();
  RETURN_IF_ERROR(DecodeApplied(applied.value(), &reader->applied_));
  Result<std::string> membership = reader->System(kMembershipRecord);
  if (!membership.ok()) return membership.status();
  reader->membership_ = std::move(membership).value();
  reader->iterator_->Seek("");
  return reader;
}

// Through the iterator, which sees one state throughout.
Result<std::string> SnapshotReader::System(std::string_view key) {
  iterator_->Seek(key);
  RETURN_IF_ERROR(iterator_->status());
  if (!iterator_->Valid() || iterator_->key() != key) {
    return Status::Corruption("the store lacks its record " + std::string(key));
  }
  return std::string(iterator_->value());
}

Result<bool> SnapshotReader::Next(size_t max_bytes, std::string* chunk) {
  const size_t begin = chunk->size();
  for (; iterator_->Valid() && chunk->size() - begin < max_bytes; iterator_->Next()) {
    const std::string_view key = iterator_->key();
    if (key == kIdentityRecord) continue;
    const std::string_view value = iterator_->value();
    // Not much larger than asked for, unless one record is.
    if (chunk->size() > begin && chunk->size() - begin + key.size() + value.size() > max_bytes) {
      break;
    }
    AppendLengthPrefixed(chunk, key);
    AppendLengthPrefixed(chunk, value);
    ++records_;
  }
  RETURN_IF_ERROR(iterator_->status());
  return chunk->size() > begin;
}

SnapshotWriter::SnapshotWriter(storage::StoreFactory* factory, std::string path, uint64_t node_id,
                               uint32_t partition)
    : factory_(factory), path_(std::move(path)), node_id_(node_id), partition_(partition) {}

Status SnapshotWriter::Open() {
  CHECK(store_ == nullptr);
  RETURN_IF_ERROR(factory_->Destroy(path_));
  Result<std::unique_ptr<storage::Store>> store = factory_->Open(path_);
  if (!store.ok()) return store.status();
  store_ = std::move(store).value();
  return CheckOrWriteIdentity(store_.get(), node_id_, partition_);
}

Status SnapshotWriter::Add(std::string_view chunk) {
  CHECK(store_ != nullptr);
  storage::StoreBatch batch;
  ByteReader reader(chunk);
  while (!reader.empty()) {
    std::string_view key;
    std::string_view value;
    if (!reader.ReadLengthPrefixed(&key) || !reader.ReadLengthPrefixed(&value)) {
      return Status::Corruption("a record of a snapshot ends early");
    }
    if (key.empty() || key == kIdentityRecord) {
      return Status::Corruption("a snapshot has a record that is not for it to have");
    }
    batch.Put(key, value);
    ++records_;
  }
  return store_->Write(batch, /*sync=*/false);
}

Status SnapshotWriter::Finish(const AppliedState& applied, std::string_view membership,
                              uint64_t records) {
  CHECK(store_ != nullptr);
  if (records_ != records) return Status::Corruption("a snapshot lacks records");
  Result<AppliedState> stored = ReadApplied(store_.get());
  if (!stored.ok()) return stored.status();
  Result<std::string> members = ReadMembership(store_.get());
  if (!members.ok()) return members.status();
  if (stored.value() != applied || members.value() != membership) {
    return Status::Corruption("a snapshot is another one than was announced");
  }
  return store_->Sync();
}

Status SnapshotWriter::Discard() {
  Close();
  return factory_->Destroy(path_);
}

}  // namespace holdfast::data
