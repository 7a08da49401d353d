// The disk matrix of the WAL: a workload of several boots in which the Nth call fails, for every N,
// and every boot ends with a crash. What was acknowledged must be there, what was replaced must
// not, and no crash may be taken for corruption.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "storage/wal.h"
#include "test_files.h"
#include "wal_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

constexpr uint32_t kPartitions = 5;

enum class End { kCrash, kLoseAll, kKill };

class Workload {
 public:
  Workload(uint64_t seed, End end) : rng_(seed), end_(end) {
    REQUIRE(fs_.CreateDirectory("/data").ok());
    REQUIRE(fs_.SyncDirectory("/").ok());
  }

  // Runs `boots` starts. The fault hits in the first of them or later. Returns whether it hit.
  bool Run(int boots, uint64_t nth, Fault fault) {
    if (nth != 0) fs_.FailNth(nth, fault);
    for (int i = 0; i < boots; ++i) {
      Boot();
      PowerCut();
    }
    const bool hit = fs_.fault_happened();
    fs_.ClearFaults();
    REQUIRE(Start());
    return hit;
  }

  uint64_t removed() const { return removed_; }
  uint64_t torn() const { return torn_; }

 private:
  void PowerCut() {
    writers_.clear();
    old_.reset();
    if (end_ == End::kKill) {
      fs_.KillProcess();
    } else if (end_ == End::kLoseAll) {
      fs_.CrashLosingAll();
    } else {
      fs_.Crash(&rng_);
    }
  }

  // Recovers and compares. False when an injected fault stopped it.
  bool Start() {
    ++boot_;
    Model found;
    auto recovery = Recover(&fs_, boot_, &found);
    if (!recovery.ok()) {
      // An error is an error of the disk, never "corruption".
      REQUIRE_MESSAGE(fs_.fault_happened(), recovery.status().message());
      REQUIRE_MESSAGE(recovery.status().code() != Code::kCorruption, recovery.status().message());
      return false;
    }
    Compare(found);
    for (const auto& [partition, state] : recovery.value().hard_states) {
      CHECK(found[partition].hard_state == state);
    }
    torn_ += recovery.value().torn_tails;
    recovered_hard_states_ = recovery.value().hard_states;
    old_ = recovery.value().old_segments;
    return true;
  }

  // Every partition is as acknowledged, or with the frame in flight of its core, for all of the
  // core's partitions alike.
  void Compare(const Model& found) {
    std::vector<std::vector<WalRecord>> flights = std::move(in_flight_);
    in_flight_.clear();
    std::vector<bool> with(flights.size());
    for (size_t i = 0; i < flights.size(); ++i) {
      Model after = acknowledged_;
      for (const WalRecord& record : flights[i]) after[record.partition].Add(record);
      with[i] = true;
      for (const WalRecord& record : flights[i]) {
        const uint32_t p = record.partition;
        with[i] = with[i] && Above(found, p) == Above(after, p);
      }
      if (with[i]) {
        for (const WalRecord& record : flights[i]) acknowledged_[record.partition].Add(record);
      }
    }
    for (uint32_t p = 0; p < kPartitions; ++p) {
      CHECK_MESSAGE(Above(found, p) == Above(acknowledged_, p), "partition " << p);
    }
    // The frame is durable now: recovery showed it.
    for (auto& [p, state] : acknowledged_) state = Above(acknowledged_, p);
    payloads_.clear();
    for (auto& [p, state] : acknowledged_) last_[p] = std::max(state.last(), applied_[p]);
  }

  ModelPartition Above(const Model& model, uint32_t partition) {
    const auto state = model.find(partition);
    return state == model.end() ? ModelPartition() : state->second.Above(applied_[partition]);
  }

  void Boot() {
    if (!Start()) return;
    const auto cores = static_cast<uint32_t>(1 + rng_.Below(3));
    for (uint32_t core = 0; core < cores; ++core) {
      HardStates mine;
      for (const auto& [partition, state] : recovered_hard_states_) {
        if (partition % cores == core) mine[partition] = state;
      }
      WalOptions options;
      options.segment_bytes = 600;
      options.old_segments = old_;
      auto writer = NewWriter(&fs_, boot_, core, options, mine);
      if (!writer.ok()) {
        REQUIRE(fs_.fault_happened());
        return;
      }
      writers_.push_back(std::move(writer).value());
    }
    for (int turn = 0; turn < 12; ++turn) {
      for (auto& writer : writers_) {
        const auto core = static_cast<uint32_t>(&writer - writers_.data());
        if (!Turn(writer.get(), core, cores)) return;
      }
    }
  }

  // One frame, perhaps a removal. False when the writer failed: the process ends then.
  bool Turn(WalWriter* writer, uint32_t core, uint32_t cores) {
    std::vector<WalRecord> records;
    WalBatch batch;
    for (uint32_t p = core; p < kPartitions; p += cores) {
      for (uint64_t n = rng_.Below(3); n > 0; --n) {
        records.push_back(NextRecord(p));
        AddTo(records.back(), &batch);
      }
    }
    if (!writer->Append(batch).ok()) {
      in_flight_.push_back(records);
      return false;
    }
    for (const WalRecord& record : records) acknowledged_[record.partition].Add(record);
    if (rng_.Chance(1, 2)) return true;
    // The stores of this core got further, durably, before the log hears of it.
    AppliedIndexes applied;
    for (uint32_t p = core; p < kPartitions; p += cores) {
      if (last_[p] > applied_[p] && rng_.Chance(3, 4)) {
        applied_[p] += 1 + rng_.Below(last_[p] - applied_[p]);
      }
      applied[p] = applied_[p];
    }
    const size_t before = writer->segments() + old_->segments();
    const bool good = writer->RemoveObsolete(applied).ok();
    removed_ += before - writer->segments() - old_->segments();
    return good;
  }

  WalRecord NextRecord(uint32_t p) {
    WalRecord record;
    record.partition = p;
    record.term = ++term_;
    const uint64_t choice = rng_.Below(10);
    if (choice == 0) {
      record.kind = WalKind::kHardState;
      record.vote = rng_.Next();
      return record;
    }
    if (choice == 1) {
      // A snapshot was installed: its store is durable before the log is reset.
      record.kind = WalKind::kReset;
      record.index = applied_[p] + rng_.Below(4);
      applied_[p] = last_[p] = record.index;
      return record;
    }
    // Uncommitted entries may be replaced, applied ones never.
    if (choice == 2 && last_[p] > applied_[p]) last_[p] -= rng_.Below(last_[p] - applied_[p] + 1);
    record.kind = choice == 3 ? WalKind::kNoop : WalKind::kData;
    record.index = ++last_[p];
    payloads_.push_back(std::make_unique<std::string>(rng_.Below(120), static_cast<char>(term_)));
    record.payload = *payloads_.back();
    return record;
  }

  SimFileSystem fs_;
  Rng rng_;
  const End end_;
  uint64_t boot_ = 0;
  uint64_t term_ = 0;
  uint64_t removed_ = 0;
  uint64_t torn_ = 0;
  Model acknowledged_;
  std::map<uint32_t, uint64_t> applied_;
  std::map<uint32_t, uint64_t> last_;
  std::vector<std::vector<WalRecord>> in_flight_;
  std::vector<std::unique_ptr<std::string>> payloads_;  // of the records in flight
  HardStates recovered_hard_states_;
  std::shared_ptr<OldSegments> old_;
  std::vector<std::unique_ptr<WalWriter>> writers_;
};

TEST_CASE("P40 P41 P42 disk matrix: every call fails once, in every way, before every crash") {
  uint64_t removed = 0;
  uint64_t torn = 0;
  uint64_t runs = 0;
  for (const End end : {End::kCrash, End::kLoseAll, End::kKill}) {
    for (const Fault fault : {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite}) {
      bool hit = true;
      for (uint64_t nth = 1; hit; ++nth) {
        CAPTURE(nth);
        CAPTURE(static_cast<int>(end));
        CAPTURE(static_cast<int>(fault));
        Workload workload(nth % 7, end);
        hit = workload.Run(4, nth, fault);
        removed += workload.removed();
        torn += workload.torn();
        ++runs;
      }
    }
  }
  // The matrix was really walked, and the interesting things happened.
  CHECK(runs > 1500);
  CHECK(removed > 1000);
  CHECK(torn > 50);
}

TEST_CASE("P41 P42 random crashes without faults lose nothing") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Workload workload(seed, seed % 3 == 0 ? End::kLoseAll : End::kCrash);
    workload.Run(6, 0, Fault::kNone);
  }
}

TEST_CASE("P43 a full disk kills the log and nothing else: what was acknowledged is there") {
  for (uint64_t room = 0; room < 200'000; room += 1711) {
    SimFileSystem fs;
    REQUIRE(fs.CreateDirectory("/data").ok());
    REQUIRE(fs.SyncDirectory("/").ok());
    fs.SetCapacity(room);
    uint64_t acknowledged = 0;
    WalOptions options;
    options.segment_bytes = 100'000;
    if (auto writer = NewWriter(&fs, 1, 0, options); writer.ok()) {
      Status status;
      while (
          (status = writer.value()->Append(Entry(1, 1, acknowledged + 1, std::string(5000, 'x'))))
              .ok()) {
        ++acknowledged;
      }
      CHECK(status.code() == Code::kNoSpace);
    }
    fs.CrashLosingAll();
    fs.SetCapacity(UINT64_MAX);
    Model model;
    REQUIRE(Recover(&fs, 2, &model).ok());
    CHECK(model[1].last() >= acknowledged);
    CHECK(model[1].last() <= acknowledged + 1);
  }
}

}  // namespace
}  // namespace holdfast::storage
