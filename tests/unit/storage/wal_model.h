// A dumb model of what a log remembers, and shorthands for WAL tests.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/sim_file_system.h"
#include "storage/wal.h"

namespace holdfast::storage {

inline constexpr uint64_t kTestNode = 0x1234;
inline const std::string kTestWal = "/data/wal";

struct ModelEntry {
  WalKind kind;
  uint64_t term;
  std::string payload;
  bool operator==(const ModelEntry&) const = default;
};

struct ModelPartition {
  std::map<uint64_t, ModelEntry> entries;
  HardState hard_state;
  bool operator==(const ModelPartition&) const = default;

  void Add(const WalRecord& record) {
    switch (record.kind) {
      case WalKind::kHardState:
        hard_state = {record.term, record.vote};
        break;
      case WalKind::kReset:
        entries.clear();
        break;
      default:
        entries.erase(entries.lower_bound(record.index), entries.end());
        entries[record.index] = {record.kind, record.term, std::string(record.payload)};
    }
  }

  // What is left when everything up to `applied` is in the store.
  ModelPartition Above(uint64_t applied) const {
    ModelPartition result = *this;
    result.entries.erase(result.entries.begin(), result.entries.upper_bound(applied));
    return result;
  }
  uint64_t last() const { return entries.empty() ? 0 : entries.rbegin()->first; }
};

using Model = std::map<uint32_t, ModelPartition>;

inline void AddTo(const WalRecord& record, WalBatch* batch) {
  switch (record.kind) {
    case WalKind::kHardState:
      batch->AddHardState(record.partition, record.term, record.vote);
      break;
    case WalKind::kReset:
      batch->AddReset(record.partition, record.term, record.index);
      break;
    default:
      batch->AddEntry(record.kind, record.partition, record.term, record.index, record.payload);
  }
}

// Recovers the log of a test file system; `model` (may be null) gets what was found.
inline Result<WalRecovery> Recover(FileSystem* fs, uint64_t boot, Model* model,
                                   uint64_t node_id = kTestNode) {
  if (model != nullptr) model->clear();
  return RecoverWal(fs, kTestWal, node_id, boot, [&](const WalRecord& record) {
    if (model != nullptr) (*model)[record.partition].Add(record);
    return Status::Ok();
  });
}

inline Result<std::unique_ptr<WalWriter>> NewWriter(FileSystem* fs, uint64_t boot,
                                                    uint32_t core = 0,
                                                    const WalOptions& options = {},
                                                    const HardStates& hard_states = {}) {
  return WalWriter::Create(fs, kTestWal, {kTestNode, boot, core}, options, hard_states);
}

inline WalBatch Entry(uint32_t partition, uint64_t term, uint64_t index, std::string_view payload) {
  WalBatch batch;
  batch.AddEntry(WalKind::kData, partition, term, index, payload);
  return batch;
}

// The segments on disk, in order of replay.
inline std::vector<std::string> SegmentFiles(const SimFileSystem& fs) {
  std::vector<std::string> result;
  for (const std::string& path : fs.AllFiles()) {
    if (path.ends_with(".wal")) result.push_back(path);
  }
  return result;
}

}  // namespace holdfast::storage
