#include "storage/wal.h"

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"
#include "test_files.h"
#include "wal_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

void MakeDataDirectory(SimFileSystem* fs) {
  REQUIRE(fs->CreateDirectory("/data").ok());
  REQUIRE(fs->SyncDirectory("/").ok());
}

std::unique_ptr<WalWriter> MustCreate(FileSystem* fs, uint64_t boot, uint32_t core = 0,
                                      const WalOptions& options = {},
                                      const HardStates& hard_states = {}) {
  auto writer = NewWriter(fs, boot, core, options, hard_states);
  REQUIRE(writer.status().message() == "");
  return std::move(writer).value();
}

WalRecovery MustRecover(FileSystem* fs, uint64_t boot, Model* model) {
  auto recovery = Recover(fs, boot, model);
  REQUIRE(recovery.status().message() == "");
  return std::move(recovery).value();
}

WalOptions SmallSegments(std::shared_ptr<OldSegments> old = nullptr) {
  WalOptions options;
  options.segment_bytes = 1000;
  options.old_segments = std::move(old);
  return options;
}

TEST_CASE("what was appended is recovered, with the operating system's files too") {
  const ScratchDirectory scratch;
  const std::string directory = scratch.path() + "/wal";
  FileSystem* fs = PosixFileSystem();
  Rng rng(1);
  Model written;
  {
    auto writer = WalWriter::Create(fs, directory, {kTestNode, 1, 0}, {}, {});
    REQUIRE(writer.ok());
    for (uint64_t i = 1; i <= 50; ++i) {
      // Sizes around the alignment, the fill step and the read window.
      const std::string payload(rng.Below(i % 10 == 0 ? 2'000'000 : 2000), 'p');
      std::vector<WalBatch> batches(3);
      batches[0].AddEntry(WalKind::kData, 1, 5, i, payload);
      batches[2].AddHardState(1, i, 9);
      REQUIRE(writer.value()->Append(batches).ok());
      written[1].entries[i] = {WalKind::kData, 5, payload};
      written[1].hard_state = {i, 9};
    }
    CHECK(writer.value()->syncs() == 51);
    CHECK(fs->FileSize(directory + "/0000000000000001-0000-0000000000000000.wal").value() ==
          writer.value()->bytes());
  }
  Model found;
  auto recovery = RecoverWal(fs, directory, kTestNode, 2, [&](const WalRecord& record) {
    found[record.partition].Add(record);
    return Status::Ok();
  });
  REQUIRE(recovery.status().message() == "");
  CHECK(found == written);
  CHECK(recovery.value().frames == 50);
  CHECK(recovery.value().records == 100);
  CHECK(recovery.value().torn_tails == 0);
  CHECK(recovery.value().hard_states.at(1) == HardState{50, 9});
}

TEST_CASE("an empty log, a log that was never written to, an error of the visitor") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  Model model;
  CHECK(MustRecover(&fs, 1, &model).segments == 0);
  MustCreate(&fs, 1);
  CHECK(MustRecover(&fs, 2, &model).segments == 1);
  CHECK(model.empty());
  auto writer = MustCreate(&fs, 2);
  CHECK(writer->Append(std::span<const WalBatch>()).ok());
  CHECK(writer->Append(WalBatch()).ok());
  REQUIRE(writer->Append(Entry(1, 1, 1, "x")).ok());
  const auto stopped = RecoverWal(&fs, kTestWal, kTestNode, 3, [](const WalRecord&) {
    return Status::NoSpace("the visitor is full");
  });
  CHECK(stopped.status().code() == Code::kNoSpace);
}

TEST_CASE("P44 one write and one fdatasync for all partitions of a turn") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1);
  std::vector<WalBatch> batches(64);
  for (uint32_t p = 0; p < 64; ++p) batches[p].AddEntry(WalKind::kData, p, 1, 1, "x");
  const uint64_t before = fs.changing_calls();
  REQUIRE(writer->Append(batches).ok());
  CHECK(fs.changing_calls() == before + 2);
}

TEST_CASE("P41 the first frame survives the loss of everything that was not synced") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments());
  for (uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(writer->Append(Entry(1, 1, i, std::string(200, 'x'))).ok());
  }
  CHECK(writer->segments() > 3);
  fs.CrashLosingAll();
  Model model;
  CHECK(MustRecover(&fs, 2, &model).torn_tails == 0);
  CHECK(model[1].entries.size() == 20);
}

TEST_CASE("P40 after a failure the writer is dead and touches no file") {
  for (const FileCall call : {FileCall::kWrite, FileCall::kSync}) {
    SimFileSystem fs;
    MakeDataDirectory(&fs);
    auto writer = MustCreate(&fs, 1);
    REQUIRE(writer->Append(Entry(1, 1, 1, "x")).ok());
    fs.FailNth(call, 1, Fault::kIoError);
    const Status failed = writer->Append(Entry(1, 1, 2, "x"));
    CHECK(failed.code() == Code::kIoError);
    const uint64_t calls = fs.changing_calls();
    CHECK(writer->Append(Entry(1, 1, 3, "x")).message() == failed.message());
    CHECK(writer->RemoveObsolete({{1, 100}}).message() == failed.message());
    CHECK(writer->status().message() == failed.message());
    CHECK(fs.changing_calls() == calls);
  }
}

TEST_CASE("P40 a frame that recovery showed is durable, although its fdatasync had failed") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1);
  REQUIRE(writer->Append(Entry(1, 1, 1, "x")).ok());
  fs.FailNth(FileCall::kSync, 1, Fault::kIoError);
  CHECK_FALSE(writer->Append(Entry(1, 1, 2, "y")).ok());
  fs.KillProcess();
  Model model;
  MustRecover(&fs, 2, &model);
  REQUIRE(model[1].last() == 2);  // readable, because the machine went on
  fs.CrashLosingAll();
  MustRecover(&fs, 3, &model);
  CHECK(model[1].last() == 2);
}

TEST_CASE("without sync frames may be lost, but only those of the last segment") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimFileSystem fs;
    MakeDataDirectory(&fs);
    WalOptions options = SmallSegments();
    options.sync = false;
    auto writer = MustCreate(&fs, 1, 0, options);
    const uint64_t syncs = writer->syncs();
    std::vector<uint64_t> first_of_segment = {1};
    for (uint64_t i = 1; i <= 12; ++i) {
      const size_t segments = writer->segments();
      REQUIRE(writer->Append(Entry(1, 1, i, std::string(200, 'x'))).ok());
      if (writer->segments() > segments) first_of_segment.push_back(i);
    }
    CHECK(writer->syncs() - syncs == 2 * (writer->segments() - 1));
    Rng rng(seed);
    fs.Crash(&rng);
    Model model;
    MustRecover(&fs, 2, &model);
    CHECK(model[1].last() + 1 >= first_of_segment.back());
    CHECK(model[1].entries.size() == model[1].last());
  }
}

TEST_CASE("segments rotate at frame borders; a frame larger than a segment stands alone") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments());
  REQUIRE(writer->Append(Entry(1, 1, 1, std::string(5000, 'a'))).ok());
  CHECK(writer->segments() == 1);  // nothing to gain from an empty one before it
  REQUIRE(writer->Append(Entry(1, 1, 2, "b")).ok());
  CHECK(writer->segments() == 2);
  REQUIRE(writer->Append(Entry(1, 1, 3, std::string(5000, 'c'))).ok());
  CHECK(writer->segments() == 3);
  REQUIRE(writer->Append(Entry(1, 1, 4, "d")).ok());
  CHECK(writer->segments() == 4);
  CHECK(SegmentFiles(fs).size() == 4);
  uint64_t on_disk = 0;
  for (const std::string& path : SegmentFiles(fs)) on_disk += fs.Contents(path).size();
  CHECK(writer->bytes() == on_disk);
  Model model;
  CHECK(MustRecover(&fs, 2, &model).segments == 4);
  CHECK(model[1].entries.size() == 4);
}

TEST_CASE("every segment starts with the hard states, so removal loses none") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments(), {{7, {3, 4}}});
  WalBatch batch;
  batch.AddHardState(1, 10, 11);
  REQUIRE(writer->Append(batch).ok());
  for (uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(writer->Append(Entry(1, 1, i, std::string(200, 'x'))).ok());
  }
  REQUIRE(writer->RemoveObsolete({{1, 19}}).ok());
  CHECK(writer->segments() == 1);
  Model model;
  CHECK(MustRecover(&fs, 2, &model).hard_states == HardStates{{1, {10, 11}}, {7, {3, 4}}});
}

TEST_CASE("removal takes the segments whose entries are all applied, durably") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments());
  for (uint64_t i = 1; i <= 40; ++i) {
    REQUIRE(writer->Append(Entry(1, 1, i, std::string(200, 'x'))).ok());
  }
  const size_t before = writer->segments();
  REQUIRE(writer->RemoveObsolete({{1, 0}}).ok());
  REQUIRE(writer->RemoveObsolete({{2, 1000}}).ok());
  CHECK(writer->segments() == before);
  for (uint64_t applied = 1; applied <= 40; ++applied) {
    const size_t segments = writer->segments();
    REQUIRE(writer->RemoveObsolete({{1, applied}}).ok());
    CHECK(segments - writer->segments() <= 1);
    CHECK(SegmentFiles(fs).size() == writer->segments());
  }
  CHECK(writer->segments() == 1);
  fs.CrashLosingAll();
  CHECK(SegmentFiles(fs).size() == 1);
  Model model;
  MustRecover(&fs, 2, &model);
  CHECK(model[1].last() == 40);
}

TEST_CASE("a segment that replaced entries outlives the one that holds them") {
  // Segment 0: index 1 to 4 of term 1. Segment 1: index 2 of term 2 replaces 2, 3 and 4.
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments());
  for (uint64_t i = 1; i <= 4; ++i) {
    REQUIRE(writer->Append(Entry(1, 1, i, std::string(180, 'x'))).ok());
  }
  REQUIRE(writer->segments() == 1);
  const std::string filler(900, 'f');
  SUBCASE("the old one goes at once, although index 4 is never applied") {
    REQUIRE(writer->Append(Entry(1, 2, 2, filler)).ok());
    REQUIRE(writer->Append(Entry(9, 1, 1, filler)).ok());
    REQUIRE(writer->segments() == 3);
    REQUIRE(writer->RemoveObsolete({{1, 1}}).ok());
    CHECK(writer->segments() == 2);
    Model model;
    MustRecover(&fs, 2, &model);
    CHECK(model[1].last() == 2);
  }
  SUBCASE("it goes as the segment of an older boot too") {
    REQUIRE(writer->Append(Entry(1, 2, 2, filler)).ok());
    const WalRecovery recovery = MustRecover(&fs, 2, nullptr);
    REQUIRE(recovery.old_segments->segments() == 2);
    REQUIRE(recovery.old_segments->RemoveObsolete({{1, 1}}).ok());
    CHECK(recovery.old_segments->segments() == 1);
    CHECK(recovery.old_segments->Highest(1) == 2);
  }
  SUBCASE("the new one stays while another partition keeps the old one") {
    WalBatch other = Entry(5, 1, 1, std::string(1, 'k'));
    REQUIRE(writer->Append(other).ok());
    REQUIRE(writer->segments() == 1);
    REQUIRE(writer->Append(Entry(1, 2, 2, filler)).ok());
    REQUIRE(writer->Append(Entry(9, 1, 1, filler)).ok());
    REQUIRE(writer->segments() == 3);
    REQUIRE(writer->RemoveObsolete({{1, 2}, {9, 1}}).ok());
    CHECK(writer->segments() == 3);
    Model model;
    MustRecover(&fs, 2, &model);
    CHECK(model[1].last() == 2);  // and not 4 of term 1
    REQUIRE(writer->RemoveObsolete({{5, 1}}).ok());
    CHECK(writer->segments() == 1);
  }
}

TEST_CASE("a reset voids the log before it") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  auto writer = MustCreate(&fs, 1, 0, SmallSegments());
  for (uint64_t i = 1; i <= 10; ++i) {
    REQUIRE(writer->Append(Entry(1, 1, i, std::string(180, 'x'))).ok());
  }
  WalBatch batch;
  batch.AddReset(1, 7, 5);
  batch.AddEntry(WalKind::kData, 1, 8, 6, "after");
  REQUIRE(writer->Append(batch).ok());
  Model model;
  MustRecover(&fs, 2, &model);
  CHECK(model[1].entries == std::map<uint64_t, ModelEntry>{{6, {WalKind::kData, 8, "after"}}});
  // Entries 7 to 10 hold nothing back any more.
  REQUIRE(writer->RemoveObsolete({{1, 5}}).ok());
  CHECK(writer->segments() == 1);
  MustRecover(&fs, 2, &model);
  CHECK(model[1].last() == 6);
}

TEST_CASE("restarts with other numbers of cores replay in order and clean up") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  Model model;
  uint64_t index = 0;
  for (uint64_t boot = 1; boot <= 6; ++boot) {
    Model found;
    WalRecovery recovery = MustRecover(&fs, boot, &found);
    CHECK(found == model);
    CHECK(recovery.hard_states.size() == model.size());
    const auto cores = static_cast<uint32_t>((boot + 1) % 3 + 1);
    std::vector<std::unique_ptr<WalWriter>> writers;
    for (uint32_t core = 0; core < cores; ++core) {
      HardStates mine;
      for (const auto& [partition, state] : recovery.hard_states) {
        if (partition % cores == core) mine[partition] = state;
      }
      const bool last = core + 1 == cores;  // of two in the last boot
      const size_t old = recovery.old_segments->segments();
      writers.push_back(MustCreate(&fs, boot, core, SmallSegments(recovery.old_segments), mine));
      // Not before the last core has taken over its partitions' hard states.
      AppliedIndexes all;
      for (const auto& [partition, state] : model) all[partition] = index;
      if (boot == 6) {
        REQUIRE(writers.back()->RemoveObsolete(all).ok());
        CHECK(recovery.old_segments->segments() == (last ? 0 : old));
      }
    }
    ++index;
    for (uint32_t partition = 0; partition < 5; ++partition) {
      WalBatch batch = Entry(partition, boot, index, std::string(300, 'x'));
      batch.AddHardState(partition, boot, partition);
      REQUIRE(writers[partition % cores]->Append(batch).ok());
      model[partition].entries[index] = {WalKind::kData, boot, std::string(300, 'x')};
      model[partition].hard_state = {boot, partition};
    }
  }
  Model found;
  WalRecovery recovery = MustRecover(&fs, 7, &found);
  for (const std::string& path : SegmentFiles(fs)) {
    CHECK(path.find("/0000000000000006-") != std::string::npos);
  }
  for (const auto& [partition, state] : model) {
    CHECK(found[partition].hard_state == state.hard_state);
    CHECK(found[partition].Above(5) == state.Above(5));
  }
}

TEST_CASE("a new boot's replacement of old entries lets their segments go, in order") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  {
    auto writer = MustCreate(&fs, 1);
    for (uint64_t i = 1; i <= 4; ++i) REQUIRE(writer->Append(Entry(1, 1, i, "old")).ok());
    WalBatch state;
    state.AddHardState(1, 1, 1);
    REQUIRE(writer->Append(state).ok());
  }
  WalRecovery recovery = MustRecover(&fs, 2, nullptr);
  const std::shared_ptr<OldSegments> old = recovery.old_segments;
  auto writer = MustCreate(&fs, 2, 0, SmallSegments(old), recovery.hard_states);
  CHECK(old->Highest(1) == 4);
  REQUIRE(writer->Append(Entry(1, 2, 3, std::string(900, 'n'))).ok());
  REQUIRE(writer->Append(Entry(9, 2, 1, std::string(900, 'n'))).ok());
  REQUIRE(writer->segments() == 2);
  REQUIRE(writer->RemoveObsolete({{1, 1}}).ok());
  CHECK(old->segments() == 1);  // index 2 is needed
  REQUIRE(writer->RemoveObsolete({{1, 2}}).ok());
  CHECK(old->segments() == 0);
  CHECK(old->bytes() == 0);
  CHECK(writer->segments() == 2);
  REQUIRE(writer->RemoveObsolete({{1, UINT64_MAX}}).ok());
  CHECK(writer->segments() == 1);
}

TEST_CASE("a new segment stays while an old boot's one holds what it replaced") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  {
    auto writer = MustCreate(&fs, 1);
    for (uint64_t i = 1; i <= 4; ++i) REQUIRE(writer->Append(Entry(1, 1, i, "old")).ok());
    REQUIRE(writer->Append(Entry(5, 1, 1, "keeps the segment")).ok());
  }
  const std::shared_ptr<OldSegments> old = MustRecover(&fs, 2, nullptr).old_segments;
  auto writer = MustCreate(&fs, 2, 0, SmallSegments(old));
  REQUIRE(writer->Append(Entry(1, 2, 3, std::string(900, 'n'))).ok());
  REQUIRE(writer->Append(Entry(9, 2, 1, std::string(900, 'n'))).ok());
  REQUIRE(writer->RemoveObsolete({{1, 3}}).ok());
  CHECK(old->segments() == 1);
  CHECK(writer->segments() == 2);
  Model model;
  MustRecover(&fs, 3, &model);
  CHECK(model[1].last() == 3);  // and not 4 of term 1
  REQUIRE(writer->RemoveObsolete({{5, 1}}).ok());
  CHECK(old->segments() == 0);
  CHECK(writer->segments() == 1);
}

TEST_CASE("P14 another node's segment, a newer format, a newer boot are refused") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  REQUIRE(MustCreate(&fs, 3)->Append(Entry(1, 1, 1, "x")).ok());
  const auto other = Recover(&fs, 4, nullptr, 999);
  CHECK(other.status().code() == Code::kUnsupported);
  CHECK(Mentions(other.status(), "another node"));
  const auto old_identity = Recover(&fs, 3, nullptr);
  CHECK(old_identity.status().code() == Code::kUnsupported);
  CHECK(Mentions(old_identity.status(), "old copy of the identity file"));
  CHECK(Recover(&fs, 4, nullptr).ok());

  const std::string path = SegmentFiles(fs)[0];
  const std::string good = fs.Contents(path);
  std::string newer = good.substr(0, 8);
  AppendFixed32(&newer, kWalFormatVersion + 1);
  newer += good.substr(12, 44);
  AppendFixed64(&newer, Hash64(newer));
  fs.SetContents(path, newer + good.substr(64));
  const auto version = Recover(&fs, 4, nullptr);
  CHECK(version.status().code() == Code::kUnsupported);
  CHECK(Mentions(version.status(), "another version"));

  fs.SetContents(path, good);
  fs.SetContents(kTestWal + "/0000000000000002-0000-0000000000000000.wal", good);
  const auto misnamed = Recover(&fs, 4, nullptr);
  CHECK(misnamed.status().code() == Code::kCorruption);
  CHECK(Mentions(misnamed.status(), "another name"));
}

TEST_CASE("a name that is no segment's is refused, leftovers of a recovery are removed") {
  SimFileSystem fs;
  MakeDataDirectory(&fs);
  MustCreate(&fs, 1);
  fs.SetContents(kTestWal + "/0000000000000001-0000-0000000000000000.wal.tmp", "junk");
  fs.SetContents(kTestWal + "/README", "not ours");
  REQUIRE(Recover(&fs, 2, nullptr).ok());
  CHECK_FALSE(fs.Exists(kTestWal + "/0000000000000001-0000-0000000000000000.wal.tmp").value());
  CHECK(fs.Exists(kTestWal + "/README").value());
  fs.SetContents(kTestWal + "/copy-of.wal", "junk");
  CHECK(Recover(&fs, 2, nullptr).status().code() == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::storage
