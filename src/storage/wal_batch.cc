// Records: encoding, decoding.
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "storage/wal.h"

namespace holdfast::storage {
namespace {

// A buffer that once grew for a large value goes back to the allocator.
constexpr size_t kKeepBytes = size_t{1} << 20;

void AppendHead(std::string* out, WalKind kind, uint32_t partition, uint64_t term) {
  out->push_back(static_cast<char>(kind));
  AppendVarint(out, partition);
  AppendVarint(out, term);
}

}  // namespace

void WalBatch::AddEntry(WalKind kind, uint32_t partition, uint64_t term, uint64_t index,
                        std::string_view payload) {
  CHECK(kind == WalKind::kNoop || kind == WalKind::kData || kind == WalKind::kConfiguration);
  CHECK(index > 0);
  CHECK(payload.size() < uint64_t{1} << 31);
  AppendHead(&bytes_, kind, partition, term);
  AppendVarint(&bytes_, index);
  AppendLengthPrefixed(&bytes_, payload);
  if (!runs_.empty() && runs_.back().partition == partition && runs_.back().last + 1 == index) {
    runs_.back().last = index;
  } else {
    runs_.push_back({partition, index, index});
  }
}

void WalBatch::AddHardState(uint32_t partition, uint64_t term, uint64_t vote) {
  AppendHead(&bytes_, WalKind::kHardState, partition, term);
  AppendVarint(&bytes_, vote);
  hard_states_.push_back({partition, {term, vote}});
}

void WalBatch::AddReset(uint32_t partition, uint64_t term, uint64_t index) {
  CHECK(index < UINT64_MAX);
  AppendHead(&bytes_, WalKind::kReset, partition, term);
  AppendVarint(&bytes_, index);
  // Entries up to `index` stay what they are until the snapshot is known as applied; what lies
  // above is void.
  runs_.push_back({partition, index + 1, index});
}

void WalBatch::Clear() {
  if (bytes_.capacity() > kKeepBytes) {
    bytes_ = std::string();
  } else {
    bytes_.clear();
  }
  runs_.clear();
  hard_states_.clear();
}

Status DecodeWalRecord(std::string_view* bytes, WalRecord* record) {
  ByteReader reader(*bytes);
  *record = WalRecord();
  uint8_t kind;
  if (!reader.ReadByte(&kind)) return Status::Corruption("a record is cut off");
  if (kind < static_cast<uint8_t>(WalKind::kNoop) || kind > static_cast<uint8_t>(WalKind::kReset)) {
    return Status::Unsupported("record of unknown kind " + std::to_string(kind) +
                               "; written by a newer Holdfast?");
  }
  record->kind = static_cast<WalKind>(kind);
  uint64_t partition;
  bool good =
      reader.ReadVarint(&partition) && partition <= UINT32_MAX && reader.ReadVarint(&record->term);
  switch (record->kind) {
    case WalKind::kNoop:
    case WalKind::kData:
    case WalKind::kConfiguration:
      good = good && reader.ReadVarint(&record->index) && record->index > 0 &&
             reader.ReadLengthPrefixed(&record->payload);
      break;
    case WalKind::kHardState:
      good = good && reader.ReadVarint(&record->vote);
      break;
    case WalKind::kReset:
      good = good && reader.ReadVarint(&record->index) && record->index < UINT64_MAX;
      break;
  }
  if (!good) return Status::Corruption("a record is cut off");
  record->partition = static_cast<uint32_t>(partition);
  *bytes = reader.rest();
  return Status::Ok();
}

}  // namespace holdfast::storage
