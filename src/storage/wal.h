// The write-ahead log: what a core's partitions have promised to remember. It is the durability
// truth (DESIGN §2.6); everything in the stores can be made again from a store and this log.
//
// # Files
//
// `<dir>/wal/<boot>-<core>-<seq>.wal`, numbers in hexadecimal with leading zeros (16, 4 and 16
// digits). The segments of one boot and core, ordered by seq, are a stream. A stream is written by
// one WalWriter in one run of the process; later runs use higher boots. Old segments are never
// appended to. A partition lives on one core for the length of a boot, so its records in order of
// (boot, seq, offset) are its history. All integers are little-endian.
//
// Segment header, 64 bytes:
//
//     u64 magic "HFWALSEG" | u32 format version | u32 core | u64 node id | u64 boot | u64 seq
//     | u64 end of the segment before (0 for seq 0) | u64 0 | u64 XXH3 of everything before
//
// Then frames, each starting at a multiple of 8, with zeros up to the next multiple of 8. A frame
// is one group commit: everything handed over for one write + fdatasync.
//
//     u32 length of the records in bytes, > 0 | u32 header check | u64 synced offset
//     | u64 XXH3 of the records | records | zeros to a multiple of 8
//
// Both checksums are seeded with the segment's identity (node, boot, core, seq) and the frame's
// offset, so a frame is valid at its own place only: neither leftovers nor displaced blocks pass.
// The header check (low half of XXH3 over length, synced offset and record checksum) makes the
// search for later valid frames cheap and independent of a damaged length. The synced offset says
// up to where this segment was known to be durable when the frame was written. One frame at most is
// being written at any time. Zeros up to the end of the file are the end of the log: the writer
// fills ahead with zeros, because overwriting is cheaper than growing (see kFillBytes in wal.cc).
//
// Record: u8 kind, then varints: partition, term, and
//
//     1 no-op, 2 data, 3 configuration:  index, payload length, payload bytes
//     4 hard state:                      vote (node id, 0 = none)
//     5 reset:                           index. The log of the partition starts behind (term,
//                                        index); every earlier entry record of it is void. Written
//                                        after a snapshot that replaces the log was installed.
//
// An entry record replaces every earlier entry of its partition with the same or a higher index.
// An unknown kind stops recovery with kUnsupported: skipping it could lose a promise.
//
// # Torn tail or corruption (PITFALLS P42)
//
// A crash may leave any part of the one frame that was being written. So the first invalid frame of
// a segment (or an invalid header) is a torn tail iff all of these hold:
//  1. the segment belongs to the newest boot. When a boot's segments exist, the recovery before it
//     had ended, and had cut every older tail durably;
//  2. it is the last of its stream. A segment is created only when the one before is durable;
//  3. no valid frame header stands behind it whose synced offset is greater than the invalid
//     offset. Such a header proves that the damaged place had been durable.
// A torn tail is cut off durably; a segment with a torn header is replaced by an empty one. What
// stays of the last frame is written and synced once more, because after `kill -9` or a failed
// fdatasync it may be readable without being on disk. Anything else is kCorruption and names file
// and offset. A crash during recovery is harmless: cutting is idempotent, and no segment of a newer
// boot exists before recovery has returned OK.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/functional/function_ref.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "storage/file_system.h"

namespace holdfast::storage {

inline constexpr uint32_t kWalFormatVersion = 1;

// The numbers are stored; never change one.
enum class WalKind : uint8_t {
  kNoop = 1,
  kData = 2,
  kConfiguration = 3,
  kHardState = 4,
  kReset = 5,
};

// What a voter must not forget.
struct HardState {
  uint64_t term = 0;
  uint64_t vote = 0;  // node id, 0 = none in this term

  bool operator==(const HardState&) const = default;
};

using HardStates = std::map<uint32_t, HardState>;  // by partition

// For each partition the highest index whose effects are in its store and synced there.
using AppliedIndexes = absl::flat_hash_map<uint32_t, uint64_t>;

// Records on their way to the log, encoded as they are added. One thread at a time.
class WalBatch {
 public:
  WalBatch() = default;
  WalBatch(WalBatch&&) noexcept = default;
  WalBatch& operator=(WalBatch&&) noexcept = default;

  // REQUIRES: `kind` is kNoop, kData or kConfiguration; index > 0; the payload is below 2 GiB.
  void AddEntry(WalKind kind, uint32_t partition, uint64_t term, uint64_t index,
                std::string_view payload);
  void AddHardState(uint32_t partition, uint64_t term, uint64_t vote);
  void AddReset(uint32_t partition, uint64_t term, uint64_t index);

  // Encoded size.
  size_t bytes() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  std::string_view encoded() const { return bytes_; }

  // Forgets the records but keeps a buffer of reasonable size.
  void Clear();

  // Consecutive entries of one partition: what removal has to know. Also stands for a reset.
  struct Run {
    uint32_t partition;
    uint64_t first;  // replaces every earlier entry with this index or above
    uint64_t last;
  };
  const std::vector<Run>& runs() const { return runs_; }
  const std::vector<std::pair<uint32_t, HardState>>& hard_states() const { return hard_states_; }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  std::vector<std::pair<uint32_t, HardState>> hard_states_;
};

struct WalIdentity {
  uint64_t node_id = 0;
  uint64_t boot = 0;
  uint32_t core = 0;  // < 65536
};

// Which entries a segment holds, in terms that survive overwriting.
//
// Removing a segment must never bring back an entry that it had replaced. Example: segment 1 holds
// index 10 to 12 of term 1, segment 2 replaces 10 by one of term 2, and 10 is applied. Were segment
// 2 removed while segment 1 stays, replay would find 11 and 12 of term 1. So a segment goes only if
// no older segment that stays holds entries of the same partitions above the applied index.
//
// What stays may begin with entries that nothing leads up to. Example: segment 1 ends with index 30
// of term 1, segment 2 holds 31 of term 1 and then 29 of term 2, and 28 is applied. All that
// segment 1 has is applied or replaced, so it goes, and 31 is void: what comes later replaces it.
struct WalIndexRange {
  uint64_t highest = 0;  // as written
  uint64_t live = 0;     // highest that no later record has replaced
};

// A segment that is complete.
struct WalSegment {
  std::string path;
  uint64_t boot = 0;
  uint32_t core = 0;
  uint64_t seq = 0;
  uint64_t bytes = 0;
  absl::flat_hash_map<uint32_t, WalIndexRange> ranges;
};

// The segments of older boots, until everything in them is in the stores. Shared by the writers of
// all cores. Any thread.
class OldSegments {
 public:
  OldSegments(FileSystem* fs, std::string directory, std::vector<WalSegment> segments,
              const HardStates& hard_states);

  // Removes the segments that nobody needs any more, durably, with what all calls so far have said
  // about applied indexes. UINT64_MAX stands for a partition that this node no longer keeps.
  // Removes nothing before the hard states of all partitions have been taken over by writers: they
  // exist nowhere else.
  Status RemoveObsolete(const AppliedIndexes& applied);

  // For WalWriter: the partition's hard state is durable in a newer boot.
  void TakeOver(const HardStates& hard_states);
  // For WalWriter: a durable record of a newer boot replaces the partition's entries from `first`.
  void Replace(uint32_t partition, uint64_t first);
  // The highest index of the partition in what is left, 0 when nothing is left.
  uint64_t Highest(uint32_t partition) const;

  size_t segments() const;
  uint64_t bytes() const;

 private:
  FileSystem* const fs_;
  const std::string directory_;
  mutable std::mutex mutex_;
  std::vector<WalSegment> segments_;  // in order of replay
  AppliedIndexes applied_;
  absl::flat_hash_set<uint32_t> waiting_;  // partitions whose hard state nobody has taken over
};

struct WalOptions {
  uint64_t segment_bytes = uint64_t{64} << 20;  // a new segment when a frame would exceed it
  bool sync = true;  // false: fdatasync only when a segment ends; a crash loses acknowledged frames
  // What recovery returned; null when there were no older segments.
  std::shared_ptr<OldSegments> old_segments;
};

// Writes one stream. One thread (the core's log thread). After any failure the writer is dead:
// every later call returns the first error and touches no file (PITFALLS P40).
class WalWriter {
 public:
  // Creates the directory when missing, and the stream's first segment with `hard_states`: those
  // that recovery returned for the partitions of this core. Every recovered hard state must go to
  // one writer. Durable at return. REQUIRES: recovery of this directory has returned OK in this
  // boot; node_id and boot are not 0.
  static Result<std::unique_ptr<WalWriter>> Create(FileSystem* fs, const std::string& directory,
                                                   const WalIdentity& identity,
                                                   const WalOptions& options,
                                                   const HardStates& hard_states);
  ~WalWriter();
  WalWriter(const WalWriter&) = delete;
  WalWriter& operator=(const WalWriter&) = delete;

  // Writes the batches as one frame and makes it durable unless sync is off. Empty batches are
  // skipped. kInvalidArgument, without killing the writer, when they exceed 4 GiB - 1 together.
  Status Append(std::span<const WalBatch> batches);
  Status Append(const WalBatch& batch) { return Append({&batch, 1}); }

  // Removes old segments and complete segments of this stream that nobody needs. `applied` as in
  // OldSegments; partitions that it does not name count as applied up to what earlier calls said.
  Status RemoveObsolete(const AppliedIndexes& applied);

  // OK while the writer is alive.
  const Status& status() const { return status_; }
  // Bytes of this stream's segments on disk, the active one included.
  uint64_t bytes() const;
  size_t segments() const { return complete_.size() + 1; }
  uint64_t syncs() const { return syncs_; }

 private:
  WalWriter(FileSystem* fs, std::string directory, const WalIdentity& identity,
            const WalOptions& options);
  Status StartSegment();
  Status FinishSegment();
  Status WriteFrame(std::span<const std::string_view> records, size_t bytes);
  Status AppendFrame(std::span<const WalBatch> batches, size_t bytes);
  void Remember(std::span<const WalBatch> batches);
  Status Die(Status status);

  FileSystem* const fs_;
  const std::string directory_;
  const WalIdentity identity_;
  const WalOptions options_;

  Status status_;
  std::unique_ptr<WritableFile> file_;
  WalSegment active_;
  uint64_t seed_ = 0;          // of the active segment's checksums
  uint64_t end_ = 0;           // where the next frame goes
  uint64_t synced_ = 0;        // bytes of the active segment known to be durable
  uint64_t filled_ = 0;        // the file's size: zeros from end_ up to here
  uint64_t previous_end_ = 0;  // of the segment before
  uint64_t next_seq_ = 0;
  bool has_frames_ = false;  // the active segment holds more than hard states
  uint64_t syncs_ = 0;

  std::vector<WalSegment> complete_;                    // in order of seq
  HardStates hard_states_;                              // latest of every partition
  absl::flat_hash_map<uint32_t, uint64_t> last_index_;  // of every partition seen
  AppliedIndexes applied_;
};

// One record as recovery shows it. The payload is valid during the call.
struct WalRecord {
  WalKind kind = WalKind::kNoop;
  uint32_t partition = 0;
  uint64_t term = 0;
  uint64_t index = 0;  // entries and reset
  uint64_t vote = 0;   // hard state
  std::string_view payload;
};

// Decodes the record at the front of `*bytes` and removes it from there. kCorruption, or
// kUnsupported for an unknown kind.
Status DecodeWalRecord(std::string_view* bytes, WalRecord* record);

struct WalRecovery {
  HardStates hard_states;  // the latest of every partition
  std::shared_ptr<OldSegments> old_segments;

  uint64_t segments = 0;
  uint64_t frames = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;       // of valid frames
  uint64_t torn_tails = 0;  // cut off now
  uint64_t torn_bytes = 0;
};

// Reads everything that older boots left in `directory` and hands it to `visitor` in order (boot,
// core, seq, offset); cuts torn tails. An error of `visitor` ends recovery and is returned.
// `boot` is the number of this start. Run it before the first WalWriter of this boot is created.
//  - kCorruption: damage that no crash explains.
//  - kUnsupported: a newer format, another node's segment, or a segment whose boot is not below
//    `boot` (the identity file was restored from an old copy).
Result<WalRecovery> RecoverWal(FileSystem* fs, const std::string& directory, uint64_t node_id,
                               uint64_t boot, absl::FunctionRef<Status(const WalRecord&)> visitor);

}  // namespace holdfast::storage
