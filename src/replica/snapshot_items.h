// What nodes say to each other while a partition's state moves to one that the log can't help.
//
//   leader                                        follower
//   begin {term, position, membership} ─────────▶ makes room beside its own state
//   chunk 1 … chunk n, end n + 1       ─────────▶ writes, loads, switches in
//          ◀───────────────────────────────────── ack {answer, next}
//
//   item: u8 type, u32 partition, u64 transfer, u64 sequence, body, u64 XXH3 of all before
//   ack:  u8 answer, u32 partition, u64 transfer, u64 next
//
// (partition, transfer) names a transfer among those of one sender. Links lose items when they go
// down: the sender keeps what was not acknowledged, and repeats `begin` to ask where it stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace holdfast::replica {

// The numbers are sent to peers; never renumber.
enum class SnapshotItemType : uint8_t {
  kBegin = 1,  // body: u64 term, u64 index, u64 term of the position, length-prefixed membership
  kChunk = 2,  // body: records (data/snapshot.h)
  kEnd = 3,    // body: u64 number of records in all chunks
};

struct SnapshotItem {
  SnapshotItemType type = SnapshotItemType::kBegin;
  uint32_t partition = 0;
  uint64_t transfer = 0;
  uint64_t sequence = 0;  // of `begin` 0, of the rest 1, 2, 3, …

  uint64_t term = 0;            // kBegin: in which the sender leads
  raft::LogPosition position;   // kBegin: the last entry that the snapshot contains
  raft::Membership membership;  // kBegin: as of `position`
  std::string records;          // kChunk
  uint64_t record_count = 0;    // kEnd
};

enum class SnapshotAnswer : uint8_t {
  kGoOn = 0,    // `next` is the first item that is not written; also said while it works
  kDone = 1,    // the state contains the snapshot's position
  kBusy = 2,    // begin again later
  kFailed = 3,  // nothing will come of this transfer
};

struct SnapshotAck {
  SnapshotAnswer answer = SnapshotAnswer::kGoOn;
  uint32_t partition = 0;
  uint64_t transfer = 0;
  uint64_t next = 0;
  bool operator==(const SnapshotAck&) const = default;
};

std::string EncodeSnapshotItem(const SnapshotItem& item);
// Corruption: anything that EncodeSnapshotItem does not write.
Status DecodeSnapshotItem(std::string_view bytes, SnapshotItem* item);

std::string EncodeSnapshotAck(const SnapshotAck& ack);
Status DecodeSnapshotAck(std::string_view bytes, SnapshotAck* ack);

}  // namespace holdfast::replica
