#include "single.h"

#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "commands.h"
#include "commands/table.h"
#include "node.h"

namespace holdfast::sim {
namespace {

class SingleRun {
 public:
  SingleRun(uint64_t seed, Mutant mutant)
      : rng_(seed),
        mutant_(mutant),
        seed_(seed),
        clock_(kRevisionEpochMs + 1'000'000'000),
        partitions_(rng_.Chance(1, 2) ? 1 : 1 + static_cast<uint32_t>(rng_.Below(4))),
        journals_(partitions_) {}

  Report Go() {
    const uint64_t lives = 3 + rng_.Below(12);
    for (uint64_t life = 0; life < lives && report_.violation.empty(); ++life) Live();
    for (const Journal& journal : journals_) report_[Count::kEntries] += journal.entries.size();
    return report_;
  }

 private:
  // From one start of the node to its crash.
  void Live() {
    NodeOptions options;
    options.partitions = partitions_;
    options.seed = seed_ + 1000 * disks_.boot;
    options.clock = &clock_;
    options.mutant = mutant_;
    options.journals = &journals_;
    Node node(&disks_, options);
    // A disk that fails while booting is a crash like any other.
    if (rng_.Chance(1, 8)) BreakDisk();
    std::vector<uint64_t> acknowledged;
    for (const Journal& journal : journals_) acknowledged.push_back(journal.acknowledged);
    const Status booted = node.Boot();
    if (booted.ok()) {
      Verify(&node, acknowledged);
      if (!report_.violation.empty()) return;
      if (rng_.Chance(1, 4)) BreakDisk();
      const uint64_t steps = rng_.Below(600);
      for (uint64_t i = 0; i < steps && !node.dead(); ++i) Step(&node);
    } else if (!disks_.files.fault_happened() && booted.code() != Code::kIoError) {
      report_.violation = "does not start: " + booted.message() + "; files:";
      for (const std::string& path : disks_.files.AllFiles()) {
        report_.violation += ' ' + path + '=' + std::to_string(disks_.files.Contents(path).size());
      }
      return;
    }
    disks_.files.ClearFaults();
    if (rng_.Chance(1, 2)) {
      ++report_[Count::kProcessCrashes];
      disks_.files.KillProcess();
      disks_.stores.KillProcess();
    } else {
      ++report_[Count::kMachineCrashes];
      disks_.files.Crash(&rng_);
      disks_.stores.Crash(&rng_);
    }
  }

  void BreakDisk() {
    ++report_[Count::kDiskFaults];
    constexpr storage::Fault kFaults[] = {storage::Fault::kIoError, storage::Fault::kNoSpace,
                                          storage::Fault::kShortWrite};
    if (rng_.Chance(1, 4)) {
      disks_.stores.FailNth(1 + rng_.Below(40), Status::IoError("simulated"));
    } else {
      disks_.files.FailNth(1 + rng_.Below(200), kFaults[rng_.Below(3)]);
    }
  }

  void Step(Node* node) {
    ++report_[Count::kEvents];
    switch (rng_.Below(10)) {
      case 0:
        clock_.AdvanceMs(static_cast<int64_t>(rng_.Below(200)));
        node->Tick();
        break;
      case 1:
        if (rng_.Chance(1, 50)) {
          clock_.JumpWallMs(static_cast<int64_t>(rng_.Below(20'000)) - 10'000);
        }
        break;
      case 2:
      case 3:
        node->LogStep();
        break;
      case 4:
        node->Completions();
        break;
      case 5:
        if (rng_.Chance(1, 3)) {
          node->CollectStep(&rng_);
        } else {
          node->PersistStep(&rng_);
        }
        break;
      case 6:
        node->TurnEnd();
        break;
      default:
        for (uint64_t n = rng_.Below(8); n > 0; --n) Ask(node);
        break;
    }
    report_.digest = report_.digest * 31 + disks_.files.changing_calls();
  }

  void Ask(Node* node) {
    const auto number = static_cast<uint32_t>(rng_.Below(partitions_));
    engine::Partition* partition = node->partition(number);
    const size_t count = rng_.Chance(1, 6) ? 1 + rng_.Below(5) : 1;
    std::vector<Command> texts;
    for (size_t i = 0; i < count; ++i) {
      texts.push_back(RandomCommand(number, partitions_, 0, &rng_));
    }
    std::vector<std::vector<std::string_view>> views;
    std::vector<engine::Request> requests;
    const auto db = static_cast<uint32_t>(rng_.Below(2));
    for (const auto& text : texts) views.emplace_back(text.begin(), text.end());
    for (const auto& view : views) {
      requests.push_back({commands::Table().Find(view[0]), view, db});
    }
    report_[Count::kCommands] += count;
    engine::Caller caller;
    caller.db = db;
    std::string reply;
    if (count == 1) {
      partition->Execute(requests[0], caller, {}, &reply);
    } else {
      std::vector<std::string> replies;
      partition->ExecuteTransaction(requests, caller, {}, &replies);
      for (const std::string& r : replies) reply += r;
    }
    report_.digest ^= Hash64(reply, report_.digest);
  }

  // `acknowledged`: per partition the last index before this start.
  void Verify(Node* node, const std::vector<uint64_t>& acknowledged) {
    for (uint32_t p = 0; p < partitions_; ++p) {
      const Journal& journal = journals_[p];
      engine::Partition* partition = node->partition(p);
      if (node->recovered_index(p) < acknowledged[p]) {
        report_.violation = "partition " + std::to_string(p) +
                            " lost entries: acknowledged up to " + std::to_string(acknowledged[p]) +
                            ", recovered up to " + std::to_string(node->recovered_index(p));
        return;
      }
      const std::unique_ptr<data::Keyspace> expected = EmptyKeyspace(p, partitions_, &clock_);
      for (const auto& [index, payload] : journal.entries) {
        const Status status = expected->ApplyPayload(*payload);
        if (!status.ok()) {
          report_.violation = "entry " + std::to_string(index) + ": " + status.message();
          return;
        }
      }
      if (Dump(*expected) != Dump(partition->keyspace())) {
        report_.violation =
            "partition " + std::to_string(p) + " recovered another state than its entries make";
        return;
      }
    }
  }

  Rng rng_;
  const Mutant mutant_;
  const uint64_t seed_;
  ManualClock clock_;
  const uint32_t partitions_;
  std::vector<Journal> journals_;
  Disks disks_;
  Report report_;
};

}  // namespace

Report RunSingle(uint64_t seed, Mutant mutant) { return SingleRun(seed, mutant).Go(); }

}  // namespace holdfast::sim
