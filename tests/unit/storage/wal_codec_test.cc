#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "storage/wal.h"
#include "storage/wal_format.h"
#include "test_files.h"
#include "wal_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

using wal_internal::FrameHeader;
using wal_internal::HeaderState;
using wal_internal::SegmentId;

uint64_t RandomNumber(Rng* rng) { return rng->Next() >> rng->Below(64); }

WalRecord RandomRecord(Rng* rng, std::string* payload) {
  WalRecord record;
  record.kind = static_cast<WalKind>(1 + rng->Below(5));
  record.partition = static_cast<uint32_t>(RandomNumber(rng));
  record.term = RandomNumber(rng);
  if (record.kind == WalKind::kHardState) {
    record.vote = RandomNumber(rng);
    return record;
  }
  record.index = 1 + RandomNumber(rng) / 2;
  if (record.kind == WalKind::kReset) return record;
  payload->assign(rng->Below(300), static_cast<char>(rng->Next()));
  record.payload = *payload;
  return record;
}

bool Same(const WalRecord& a, const WalRecord& b) {
  return a.kind == b.kind && a.partition == b.partition && a.term == b.term && a.index == b.index &&
         a.vote == b.vote && a.payload == b.payload;
}

TEST_CASE("records come back as they were added") {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    WalBatch batch;
    std::vector<std::string> payloads(20);
    std::vector<WalRecord> records;
    for (std::string& payload : payloads) {
      records.push_back(RandomRecord(&rng, &payload));
      AddTo(records.back(), &batch);
    }
    std::string_view rest = batch.encoded();
    CHECK(rest.size() == batch.bytes());
    for (const WalRecord& record : records) {
      WalRecord found;
      REQUIRE(DecodeWalRecord(&rest, &found).ok());
      CHECK(Same(found, record));
    }
    CHECK(rest.empty());
  }
}

TEST_CASE("a cut record is refused at every byte, an unknown kind as a newer format") {
  Rng rng(2);
  for (int round = 0; round < 100; ++round) {
    WalBatch batch;
    std::string payload;
    AddTo(RandomRecord(&rng, &payload), &batch);
    for (size_t n = 0; n < batch.bytes(); ++n) {
      std::string_view cut = batch.encoded().substr(0, n);
      WalRecord record;
      CHECK(DecodeWalRecord(&cut, &record).code() == Code::kCorruption);
      CHECK(cut.size() == n);
    }
    for (const int kind : {0, 6, 7, 255}) {
      std::string changed(batch.encoded());
      changed[0] = static_cast<char>(kind);
      std::string_view bytes = changed;
      WalRecord record;
      const Status status = DecodeWalRecord(&bytes, &record);
      CHECK(status.code() == Code::kUnsupported);
      CHECK(Mentions(status, "unknown kind " + std::to_string(kind)));
    }
  }
}

TEST_CASE("runs say the same about indexes as the records do") {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    WalBatch batch;
    std::map<uint32_t, std::set<uint64_t>> live;
    std::map<uint32_t, uint64_t> next;
    for (int i = 0; i < 30; ++i) {
      const auto partition = static_cast<uint32_t>(rng.Below(3));
      uint64_t& index = next.try_emplace(partition, 100).first->second;
      if (rng.Chance(1, 6)) index -= rng.Below(10);
      std::set<uint64_t>& indexes = live[partition];
      indexes.erase(indexes.lower_bound(index), indexes.end());
      indexes.insert(index);
      batch.AddEntry(WalKind::kData, partition, 1, index, "x");
      ++index;
    }
    WalSegment segment;
    std::map<uint32_t, uint64_t> highest;
    for (const WalBatch::Run& run : batch.runs()) {
      CHECK(run.first <= run.last);
      wal_internal::AddRun(&segment, run);
      highest[run.partition] = std::max(highest[run.partition], run.last);
    }
    for (const auto& [partition, indexes] : live) {
      CHECK(segment.ranges[partition].live == *indexes.rbegin());
      CHECK(segment.ranges[partition].highest == highest[partition]);
    }
  }
}

TEST_CASE("a batch is reusable and gives a huge buffer back") {
  WalBatch batch = Entry(1, 1, 1, std::string(5000, 'x'));
  batch.AddHardState(1, 2, 3);
  batch.Clear();
  CHECK(batch.empty());
  CHECK(batch.runs().empty());
  CHECK(batch.hard_states().empty());
  CHECK(batch.encoded().empty());
  batch.AddEntry(WalKind::kNoop, 1, 1, 2, "");
  CHECK(batch.runs().size() == 1);
}

TEST_CASE("segment names") {
  CHECK(wal_internal::SegmentName(0x12, 3, 0xabcdef) ==
        "0000000000000012-0003-0000000000abcdef.wal");
  SegmentId id;
  REQUIRE(wal_internal::ParseSegmentName("0000000000000012-0003-0000000000abcdef.wal", &id));
  CHECK(id.boot == 0x12);
  CHECK(id.core == 3);
  CHECK(id.seq == 0xabcdef);
  for (const char* bad :
       {"", "x.wal", "0000000000000012-0003-0000000000ABCDEF.wal",
        "0000000000000012-0003-0000000000abcdef.wal2", "0000000000000012_0003-0000000000abcdef.wal",
        "000000000000001-00003-0000000000abcdef.wal",
        "0000000000000012-0003-0000000000abcdef.bak"}) {
    CHECK_FALSE(wal_internal::ParseSegmentName(bad, &id));
  }
}

TEST_CASE("a segment header fits its own segment only") {
  const SegmentId id{7, 8, 9, 10};
  const std::string header = wal_internal::EncodeSegmentHeader(id, 12345);
  uint64_t previous_end = 0;
  REQUIRE(wal_internal::DecodeSegmentHeader(header, id, &previous_end) == HeaderState::kValid);
  CHECK(previous_end == 12345);
  const auto decode = [&](const std::string& bytes, const SegmentId& as) {
    return wal_internal::DecodeSegmentHeader(bytes, as, &previous_end);
  };
  CHECK(decode(header, {1, 8, 9, 10}) == HeaderState::kOtherNode);
  CHECK(decode(header, {7, 1, 9, 10}) == HeaderState::kMisnamed);
  CHECK(decode(header, {7, 8, 1, 10}) == HeaderState::kMisnamed);
  CHECK(decode(header, {7, 8, 9, 1}) == HeaderState::kMisnamed);
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    std::string damaged = header;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    CHECK(decode(damaged, id) == HeaderState::kInvalid);
  }
}

TEST_CASE("a frame is valid at its own place in its own segment only") {
  const SegmentId id{7, 8, 9, 10};
  const uint64_t seed = wal_internal::SegmentSeed(id);
  const std::string_view records = "some records";
  FrameHeader header;
  header.length = static_cast<uint32_t>(records.size());
  header.synced_offset = 64;
  header.checksum = wal_internal::ChecksumRecords(seed, 128, {&records, 1});
  const std::string bytes = wal_internal::EncodeFrameHeader(seed, 128, header);
  FrameHeader found;
  REQUIRE(wal_internal::DecodeFrameHeader(seed, 128, bytes, &found));
  CHECK(found.length == header.length);
  CHECK(found.synced_offset == 64);
  CHECK(found.checksum == header.checksum);
  CHECK_FALSE(wal_internal::DecodeFrameHeader(seed, 136, bytes, &found));
  for (const SegmentId& other : {SegmentId{1, 8, 9, 10}, SegmentId{7, 1, 9, 10},
                                 SegmentId{7, 8, 1, 10}, SegmentId{7, 8, 9, 1}}) {
    const uint64_t other_seed = wal_internal::SegmentSeed(other);
    CHECK_FALSE(wal_internal::DecodeFrameHeader(other_seed, 128, bytes, &found));
    CHECK(wal_internal::ChecksumRecords(other_seed, 128, {&records, 1}) != header.checksum);
  }
  CHECK(wal_internal::ChecksumRecords(seed, 136, {&records, 1}) != header.checksum);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    CHECK_FALSE(wal_internal::DecodeFrameHeader(seed, 128, damaged, &found));
  }
}

TEST_CASE("the checksum of parts is that of the whole") {
  Rng rng(4);
  for (int round = 0; round < 50; ++round) {
    std::string whole(rng.Below(5000), '\0');
    for (char& c : whole) c = static_cast<char>(rng.Next());
    std::vector<std::string_view> parts;
    for (size_t at = 0; at < whole.size();) {
      parts.push_back(std::string_view(whole).substr(at, 1 + rng.Below(600)));
      at += parts.back().size();
    }
    const std::string_view view = whole;
    CHECK(wal_internal::ChecksumRecords(5, 8, parts) ==
          wal_internal::ChecksumRecords(5, 8, {&view, 1}));
  }
}

}  // namespace
}  // namespace holdfast::storage
