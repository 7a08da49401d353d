#include "storage/wal_format.h"

#include <absl/container/flat_hash_set.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast::storage::wal_internal {
namespace {

constexpr uint64_t kMagic = 0x4745534c41574648;  // "HFWALSEG"
constexpr size_t kNameBytes = 16 + 1 + 4 + 1 + 16 + 4;

bool ParseHex(std::string_view digits, uint64_t* value) {
  *value = 0;
  for (const char c : digits) {
    uint64_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else {
      return false;
    }
    *value = *value << 4 | digit;
  }
  return true;
}

// Neighbouring offsets get seeds that have nothing in common.
uint64_t FrameSeed(uint64_t seed, uint64_t offset) { return seed ^ offset * 0x9e3779b97f4a7c15ULL; }

uint32_t HeaderCheck(uint64_t seed, uint64_t offset, std::string_view bytes) {
  // Everything but the check itself.
  char covered[kFrameHeaderBytes - 4];
  std::copy_n(bytes.data(), 4, covered);
  std::copy_n(bytes.data() + 8, kFrameHeaderBytes - 8, covered + 4);
  return static_cast<uint32_t>(Hash64({covered, sizeof covered}, FrameSeed(seed, offset)));
}

uint64_t AppliedIndex(const AppliedIndexes& applied, uint32_t partition) {
  const auto found = applied.find(partition);
  return found == applied.end() ? 0 : found->second;
}

}  // namespace

std::string SegmentName(uint64_t boot, uint32_t core, uint64_t seq) {
  char name[kNameBytes + 1];
  std::snprintf(name, sizeof name, "%016llx-%04x-%016llx.wal",
                static_cast<unsigned long long>(boot), core & 0xffff,
                static_cast<unsigned long long>(seq));
  return name;
}

bool ParseSegmentName(std::string_view name, SegmentId* id) {
  if (name.size() != kNameBytes || name[16] != '-' || name[21] != '-' || !name.ends_with(".wal")) {
    return false;
  }
  uint64_t core;
  if (!ParseHex(name.substr(0, 16), &id->boot) || !ParseHex(name.substr(17, 4), &core) ||
      !ParseHex(name.substr(22, 16), &id->seq)) {
    return false;
  }
  id->core = static_cast<uint32_t>(core);
  return true;
}

std::string EncodeSegmentHeader(const SegmentId& id, uint64_t previous_end) {
  std::string bytes;
  AppendFixed64(&bytes, kMagic);
  AppendFixed32(&bytes, kWalFormatVersion);
  AppendFixed32(&bytes, id.core);
  AppendFixed64(&bytes, id.node_id);
  AppendFixed64(&bytes, id.boot);
  AppendFixed64(&bytes, id.seq);
  AppendFixed64(&bytes, previous_end);
  AppendFixed64(&bytes, 0);
  AppendFixed64(&bytes, Hash64(bytes));
  CHECK(bytes.size() == kSegmentHeaderBytes);
  return bytes;
}

HeaderState DecodeSegmentHeader(std::string_view bytes, const SegmentId& id,
                                uint64_t* previous_end) {
  if (bytes.size() < kSegmentHeaderBytes || LoadFixed64(bytes.data()) != kMagic) {
    return HeaderState::kInvalid;
  }
  // The checksum stands at the same place in every version, so that a newer format can be told
  // from damage.
  const std::string_view covered = bytes.substr(0, kSegmentHeaderBytes - 8);
  if (LoadFixed64(bytes.data() + covered.size()) != Hash64(covered)) return HeaderState::kInvalid;
  if (LoadFixed32(bytes.data() + 8) != kWalFormatVersion) return HeaderState::kOtherVersion;
  if (LoadFixed64(bytes.data() + 16) != id.node_id) return HeaderState::kOtherNode;
  if (LoadFixed32(bytes.data() + 12) != id.core || LoadFixed64(bytes.data() + 24) != id.boot ||
      LoadFixed64(bytes.data() + 32) != id.seq) {
    return HeaderState::kMisnamed;
  }
  *previous_end = LoadFixed64(bytes.data() + 40);
  return HeaderState::kValid;
}

uint64_t SegmentSeed(const SegmentId& id) {
  std::string bytes;
  AppendFixed64(&bytes, id.node_id);
  AppendFixed64(&bytes, id.boot);
  AppendFixed32(&bytes, id.core);
  AppendFixed64(&bytes, id.seq);
  return Hash64(bytes, kMagic);
}

uint64_t ChecksumRecords(uint64_t seed, uint64_t offset,
                         std::span<const std::string_view> records) {
  const uint64_t frame_seed = FrameSeed(seed, offset);
  if (records.size() == 1) return Hash64(records[0], frame_seed);
  // Same value as for the concatenated parts. The state is too large and too strictly aligned for
  // every caller's stack, so it is made once a thread.
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  thread_local const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  CHECK(state != nullptr);
  CHECK(XXH3_64bits_reset_withSeed(state.get(), frame_seed) == XXH_OK);
  for (const std::string_view part : records) {
    CHECK(XXH3_64bits_update(state.get(), part.data(), part.size()) == XXH_OK);
  }
  return XXH3_64bits_digest(state.get());
}

std::string EncodeFrameHeader(uint64_t seed, uint64_t offset, const FrameHeader& header) {
  std::string bytes;
  AppendFixed32(&bytes, header.length);
  AppendFixed32(&bytes, 0);
  AppendFixed64(&bytes, header.synced_offset);
  AppendFixed64(&bytes, header.checksum);
  CHECK(bytes.size() == kFrameHeaderBytes);
  std::string check;
  AppendFixed32(&check, HeaderCheck(seed, offset, bytes));
  bytes.replace(4, 4, check);
  return bytes;
}

bool DecodeFrameHeader(uint64_t seed, uint64_t offset, std::string_view bytes,
                       FrameHeader* header) {
  if (bytes.size() < kFrameHeaderBytes) return false;
  header->length = LoadFixed32(bytes.data());
  header->synced_offset = LoadFixed64(bytes.data() + 8);
  header->checksum = LoadFixed64(bytes.data() + 16);
  // The cheap conditions first: recovery asks this for every place behind a damaged one.
  return header->length > 0 && header->synced_offset <= offset &&
         header->synced_offset % kAlignment == 0 &&
         LoadFixed32(bytes.data() + 4) == HeaderCheck(seed, offset, bytes);
}

void AddHardStates(const HardStates& hard_states, WalBatch* batch) {
  for (const auto& [partition, state] : hard_states) {
    batch->AddHardState(partition, state.term, state.vote);
  }
}

void ReplaceEntries(std::span<WalSegment> earlier, uint32_t partition, uint64_t first) {
  CHECK(first > 0);
  for (WalSegment& segment : earlier) {
    const auto found = segment.ranges.find(partition);
    if (found == segment.ranges.end()) continue;
    found->second.live = std::min(found->second.live, first - 1);
  }
}

void AddRun(WalSegment* segment, const WalBatch::Run& run) {
  WalIndexRange& range = segment->ranges[run.partition];
  range.highest = std::max(range.highest, run.last);
  range.live = run.last;  // what is left of earlier runs lies below run.first
}

Status RemoveSegments(FileSystem* fs, const std::string& directory,
                      std::vector<WalSegment>* segments, const AppliedIndexes& applied,
                      absl::FunctionRef<uint64_t(uint32_t partition)> kept_above) {
  // Partitions with entries above their applied index in an older segment that stays.
  absl::flat_hash_set<uint32_t> kept;
  for (auto segment = segments->begin(); segment != segments->end();) {
    const bool removable =
        std::all_of(segment->ranges.begin(), segment->ranges.end(), [&](const auto& entry) {
          const uint64_t index = AppliedIndex(applied, entry.first);
          return entry.second.live <= index && !kept.contains(entry.first) &&
                 kept_above(entry.first) <= index;
        });
    if (removable) {
      RETURN_IF_ERROR(fs->Remove(segment->path));
      RETURN_IF_ERROR(fs->SyncDirectory(directory));
      segment = segments->erase(segment);
      continue;
    }
    for (const auto& [partition, range] : segment->ranges) {
      if (range.highest > AppliedIndex(applied, partition)) kept.insert(partition);
    }
    ++segment;
  }
  return Status::Ok();
}

}  // namespace holdfast::storage::wal_internal
