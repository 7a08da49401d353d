// Arbitrary bytes as segments of the log: recovery never crashes, shows the longest valid prefix
// and nothing else, and finds the same again after it has cut a tail.
//
// The first byte says what the rest becomes:
//   0  the whole segment, as it is
//   1  the frames' records, cut into frames at 0xff bytes: checksums are right, contents are not
//   2  edits of a good segment: offset, byte, offset, byte, …
//   3  what stands behind a good segment
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "storage/sim_file_system.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

namespace holdfast::storage {
namespace {

using wal_internal::AlignUp;
using wal_internal::FrameHeader;
using wal_internal::SegmentId;

constexpr SegmentId kId{0x77, 1, 0, 0};
const char* const kDirectory = "/wal";

// What recovery says about a segment, in a form that can be compared.
struct Outcome {
  Status status;
  std::string records;
  uint64_t torn = 0;
};

Outcome RecoverSegment(SimFileSystem* fs, uint64_t boot) {
  Outcome outcome;
  auto recovery =
      RecoverWal(fs, kDirectory, kId.node_id, boot, [&outcome](const WalRecord& record) {
        outcome.records += std::to_string(static_cast<int>(record.kind)) + " " +
                           std::to_string(record.partition) + " " + std::to_string(record.term) +
                           " " + std::to_string(record.index) + " " + std::to_string(record.vote) +
                           " " + std::string(record.payload) + "\n";
        return Status::Ok();
      });
  outcome.status = recovery.status();
  if (recovery.ok()) outcome.torn = recovery.value().torn_tails;
  return outcome;
}

// A segment with these records, one frame each, all checksums right.
std::string Segment(const std::vector<std::string_view>& frames) {
  const uint64_t seed = wal_internal::SegmentSeed(kId);
  std::string bytes = wal_internal::EncodeSegmentHeader(kId, 0);
  for (const std::string_view records : frames) {
    FrameHeader header;
    header.length = static_cast<uint32_t>(records.size());
    header.synced_offset = bytes.size();
    header.checksum = wal_internal::ChecksumRecords(seed, bytes.size(), {&records, 1});
    bytes += wal_internal::EncodeFrameHeader(seed, bytes.size(), header);
    bytes += records;
    bytes.resize(AlignUp(bytes.size()), '\0');
  }
  return bytes;
}

std::string GoodSegment() {
  std::vector<WalBatch> batches(5);
  for (uint64_t i = 0; i < batches.size(); ++i) {
    batches[i].AddEntry(WalKind::kData, 1, 1, i + 1, std::string(20 * i, 'p'));
    batches[i].AddHardState(1, i, 7);
  }
  std::vector<std::string_view> frames;
  for (const WalBatch& batch : batches) frames.push_back(batch.encoded());
  return Segment(frames);
}

std::string Edited(std::string bytes, std::string_view edits) {
  for (size_t i = 0; i + 3 <= edits.size(); i += 3) {
    const auto at = static_cast<size_t>(LoadFixed16BE(edits.data() + i)) % bytes.size();
    bytes[at] = edits[i + 2];
  }
  return bytes;
}

std::vector<std::string_view> Split(std::string_view bytes) {
  std::vector<std::string_view> parts;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\xff'), bytes.size());
    if (end > 0) parts.push_back(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return parts;
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const int mode = input[0] & 3;
  input.remove_prefix(1);
  const std::string good = GoodSegment();
  std::string bytes;
  if (mode == 0) bytes = std::string(input);
  if (mode == 1) bytes = Segment(Split(input));
  if (mode == 2) bytes = Edited(good, input);
  if (mode == 3) bytes = good + std::string(input);

  SimFileSystem fs;
  const std::string path =
      std::string(kDirectory) + "/" + wal_internal::SegmentName(kId.boot, kId.core, kId.seq);
  fs.SetContents(path, good);
  const Outcome whole = RecoverSegment(&fs, 2);
  CHECK(whole.status.ok());

  fs.SetContents(path, bytes);
  const Outcome first = RecoverSegment(&fs, 2);
  if (mode >= 2) {
    // Only records that were written, in their order, from the first on.
    CHECK(whole.records.starts_with(first.records));
    if (mode == 3) CHECK(first.status.ok() && first.records == whole.records);
  }
  if (!first.status.ok()) {
    const Code code = first.status.code();
    CHECK(code == Code::kCorruption || code == Code::kUnsupported);
    CHECK(fs.Contents(path) == bytes);  // a refusal changes nothing
    return;
  }
  fs.CrashLosingAll();
  const Outcome second = RecoverSegment(&fs, 3);
  CHECK(second.status.ok());
  CHECK(second.records == first.records);
  CHECK(second.torn == 0);
}

}  // namespace
}  // namespace holdfast::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::storage::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
