// Names, headers and checksums of WAL segments, shared by writer and recovery. The format is
// described in wal.h. Only for the .cc files of this folder and its tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "storage/wal.h"

namespace holdfast::storage::wal_internal {

inline constexpr size_t kSegmentHeaderBytes = 64;
inline constexpr size_t kFrameHeaderBytes = 24;
inline constexpr size_t kAlignment = 8;

inline constexpr uint64_t AlignUp(uint64_t n) {
  return (n + kAlignment - 1) / kAlignment * kAlignment;
}

struct SegmentId {
  uint64_t node_id = 0;
  uint64_t boot = 0;
  uint32_t core = 0;
  uint64_t seq = 0;
};

// "0000000000000001-0000-0000000000000000.wal".
std::string SegmentName(uint64_t boot, uint32_t core, uint64_t seq);
// False when the name is not exactly what SegmentName makes. Leaves `id->node_id` alone.
[[nodiscard]] bool ParseSegmentName(std::string_view name, SegmentId* id);

std::string EncodeSegmentHeader(const SegmentId& id, uint64_t previous_end);

enum class HeaderState { kValid, kInvalid, kOtherNode, kOtherVersion, kMisnamed };
// Checks the header against what the segment's name and the node say.
HeaderState DecodeSegmentHeader(std::string_view bytes, const SegmentId& id,
                                uint64_t* previous_end);

// What makes checksums of this segment unlike those of any other.
uint64_t SegmentSeed(const SegmentId& id);

struct FrameHeader {
  uint32_t length = 0;  // of the records
  uint64_t synced_offset = 0;
  uint64_t checksum = 0;  // of the records
};

// `offset` is the frame's place in the segment.
uint64_t ChecksumRecords(uint64_t seed, uint64_t offset, std::span<const std::string_view> records);
std::string EncodeFrameHeader(uint64_t seed, uint64_t offset, const FrameHeader& header);
// False unless these bytes were written as a frame header at this very place.
[[nodiscard]] bool DecodeFrameHeader(uint64_t seed, uint64_t offset, std::string_view bytes,
                                     FrameHeader* header);

// Hard states as the first frame of a segment repeats them.
void AddHardStates(const HardStates& hard_states, WalBatch* batch);

// Notes in the segments that a later record replaces the partition's entries from `first`.
void ReplaceEntries(std::span<WalSegment> earlier, uint32_t partition, uint64_t first);
// Notes entries (or a reset) that the segment holds; see WalBatch::Run.
void AddRun(WalSegment* segment, const WalBatch::Run& run);

// Removes what nobody needs from `*segments` (in order of replay) and from the disk, syncing the
// directory after each removal: the order is part of the promise, see WalIndexRange.
// `kept_above(partition)` is the highest index of the partition in still older segments.
Status RemoveSegments(FileSystem* fs, const std::string& directory,
                      std::vector<WalSegment>* segments, const AppliedIndexes& applied,
                      absl::FunctionRef<uint64_t(uint32_t partition)> kept_above);

}  // namespace holdfast::storage::wal_internal
