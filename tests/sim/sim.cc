// Simulation of one node: WAL, raft core, partitions and stores, with crashes of process and
// machine and failing disks, from a seed.
//
//   sim --seed N             one seed; with --seeds or --seconds the first of them
//   sim --seeds N            N seeds
//   sim --seconds N          seeds for about N seconds
//   sim --mutant NAME        builds the node wrong; success is to find out within the seeds
//
// After every crash the recovered state has to be exactly what the entries up to the last recovered
// one make, and none that was acknowledged may be missing. Every twentieth seed runs twice and has
// to do the same both times.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "commands/table.h"
#include "node.h"

namespace holdfast::sim {
namespace {

struct Counts {
  uint64_t steps = 0;
  uint64_t commands = 0;
  uint64_t entries = 0;
  uint64_t process_crashes = 0;
  uint64_t machine_crashes = 0;
  uint64_t disk_faults = 0;
};

struct Report {
  Counts counts;
  uint64_t digest = 0;  // of everything that happened, to compare two runs
  std::string violation;

  void Add(const Report& other) {
    counts.steps += other.counts.steps;
    counts.commands += other.counts.commands;
    counts.entries += other.counts.entries;
    counts.process_crashes += other.counts.process_crashes;
    counts.machine_crashes += other.counts.machine_crashes;
    counts.disk_faults += other.counts.disk_faults;
  }
};

class Run {
 public:
  Run(uint64_t seed, Mutant mutant)
      : rng_(seed),
        mutant_(mutant),
        seed_(seed),
        clock_(kRevisionEpochMs + 1'000'000'000),
        partitions_(rng_.Chance(1, 2) ? 1 : 1 + static_cast<uint32_t>(rng_.Below(4))),
        journals_(partitions_) {}

  Report Go() {
    const uint64_t lives = 3 + rng_.Below(12);
    for (uint64_t life = 0; life < lives && report_.violation.empty(); ++life) Live();
    for (const Journal& journal : journals_) report_.counts.entries += journal.entries.size();
    return report_;
  }

 private:
  // From one start of the node to its crash.
  void Live() {
    Node node(&disks_, partitions_, seed_ + 1000 * disks_.boot, &clock_, mutant_, &journals_);
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
      ++report_.counts.process_crashes;
      disks_.files.KillProcess();
      disks_.stores.KillProcess();
    } else {
      ++report_.counts.machine_crashes;
      disks_.files.Crash(&rng_);
      disks_.stores.Crash(&rng_);
    }
  }

  void BreakDisk() {
    ++report_.counts.disk_faults;
    constexpr storage::Fault kFaults[] = {storage::Fault::kIoError, storage::Fault::kNoSpace,
                                          storage::Fault::kShortWrite};
    if (rng_.Chance(1, 4)) {
      disks_.stores.FailNth(1 + rng_.Below(40), Status::IoError("simulated"));
    } else {
      disks_.files.FailNth(1 + rng_.Below(200), kFaults[rng_.Below(3)]);
    }
  }

  void Step(Node* node) {
    ++report_.counts.steps;
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
        for (uint64_t n = rng_.Below(8); n > 0; --n) Command(node);
        break;
    }
    report_.digest = report_.digest * 31 + disks_.files.changing_calls();
  }

  std::string Key(uint32_t partition) {
    // A key of that partition: the tag is tried until its slot fits.
    for (uint64_t n = rng_.Below(6);; n += 7) {
      std::string key = "{" + std::to_string(n) + "}";
      if (static_cast<uint64_t>(KeySlot(key)) * partitions_ / kSlots == partition) return key;
    }
  }

  std::vector<std::string> RandomCommand(uint32_t partition) {
    const std::string key = Key(partition);
    const std::string other = Key(partition);
    const std::string number = std::to_string(rng_.Below(100));
    switch (rng_.Below(18)) {
      case 0:
        return {"set", key, std::string(rng_.Below(300), 'v')};
      case 1:
        return {"set", key, number, "px", std::to_string(1 + rng_.Below(2000))};
      case 2:
        return {"append", key, number};
      case 3:
        return {"setrange", key, std::to_string(rng_.Below(2000)), number};
      case 4:
        return {"incrby", key, number};
      case 5:
        return {"del", key};
      case 6:
        return {"pexpire", key, std::to_string(1 + rng_.Below(2000))};
      case 7:
        return {"persist", key};
      case 8:
        return {"rename", key, other};
      case 9:
        return {"copy", key, other, "db", std::to_string(rng_.Below(3)), "replace"};
      case 10:
        return {"lock", "l" + key, "owner" + number, std::to_string(1 + rng_.Below(3000))};
      case 11:
        return {"unlock", "l" + key, "owner" + number};
      case 12:
        return {"seqnext", "s" + key};
      case 13:
        return {"setbit", key, std::to_string(rng_.Below(4000)), "1"};
      case 14:
        return rng_.Chance(1, 10) ? std::vector<std::string>{"flushdb"}
                                  : std::vector<std::string>{"get", key};
      case 15:
        return rng_.Chance(1, 4) ? std::vector<std::string>{"swapdb", "0", "1"}
                                 : std::vector<std::string>{"getdel", key};
      case 16:
        return {"move", key, "1"};
      default:
        return {"set", key, number, "fence", std::to_string(1 + rng_.Below(1000))};
    }
  }

  void Command(Node* node) {
    const auto number = static_cast<uint32_t>(rng_.Below(partitions_));
    engine::Partition* partition = node->partition(number);
    const size_t count = rng_.Chance(1, 6) ? 1 + rng_.Below(5) : 1;
    std::vector<std::vector<std::string>> texts;
    for (size_t i = 0; i < count; ++i) texts.push_back(RandomCommand(number));
    std::vector<std::vector<std::string_view>> views;
    std::vector<engine::Request> requests;
    const auto db = static_cast<uint32_t>(rng_.Below(2));
    for (const auto& text : texts) views.emplace_back(text.begin(), text.end());
    for (const auto& view : views) {
      requests.push_back({commands::Table().Find(view[0]), view, db});
    }
    report_.counts.commands += count;
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
      data::Keyspace::Options options;
      options.first_slot = partition->first_slot();
      options.last_slot = partition->last_slot();
      options.hash_seed = 12345;
      options.clock = &clock_;
      data::Keyspace expected(std::move(options));
      for (const auto& [index, payload] : journal.entries) {
        const Status status = expected.ApplyPayload(*payload);
        if (!status.ok()) {
          report_.violation = "entry " + std::to_string(index) + ": " + status.message();
          return;
        }
      }
      if (Node::Dump(expected) != Node::Dump(partition->keyspace())) {
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

struct Options {
  uint64_t first = 1;
  uint64_t seeds = 0;
  uint64_t seconds = 0;
  bool single = false;
  Mutant mutant = Mutant::kNone;
  const char* mutant_name = nullptr;
};

constexpr struct {
  const char* name;
  Mutant mutant;
} kMutants[] = {
    {"ack-before-durable", Mutant::kAckBeforeDurable},
    {"no-sync", Mutant::kNoSync},
    {"truncate-too-far", Mutant::kTruncateTooFar},
    {"store-not-synced", Mutant::kStoreNotSynced},
    {"applied-apart", Mutant::kAppliedApart},
    {"collect-by-memory", Mutant::kCollectByMemory},
};

// Runs one seed in a child process, so that a failed CHECK or a Fatal is a finding about this seed.
Report RunIsolated(uint64_t seed, Mutant mutant) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    Report report = Run(seed, mutant).Go();
    if (report.violation.empty() && seed % 20 == 0 &&
        Run(seed, mutant).Go().digest != report.digest) {
      report.violation = "two runs of the seed differ";
    }
    std::string bytes(reinterpret_cast<const char*>(&report.counts), sizeof report.counts);
    bytes += report.violation;
    const bool written =
        write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string bytes;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    bytes.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  Report report;
  if (status != 0 || bytes.size() < sizeof report.counts) {
    report.violation = "the process ended itself";
    return report;
  }
  std::memcpy(&report.counts, bytes.data(), sizeof report.counts);
  report.violation = bytes.substr(sizeof report.counts);
  return report;
}

// Runs seeds until one fails or all are done. Returns the failing seed, 0 when none failed.
uint64_t RunSeeds(const Options& options, Report* total, uint64_t* seeds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  for (uint64_t seed = options.first;; ++seed) {
    if (options.seconds > 0 ? std::chrono::steady_clock::now() >= end : *seeds >= options.seeds) {
      return 0;
    }
    const Report report = RunIsolated(seed, options.mutant);
    ++*seeds;
    total->Add(report);
    if (!report.violation.empty()) {
      total->violation = report.violation;
      return seed;
    }
  }
}

void Print(const Report& report, uint64_t seeds) {
  std::printf(
      "seeds %llu, steps %llu, commands %llu, entries %llu, process crashes %llu, machine crashes "
      "%llu, disk faults %llu\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(report.counts.steps),
      static_cast<unsigned long long>(report.counts.commands),
      static_cast<unsigned long long>(report.counts.entries),
      static_cast<unsigned long long>(report.counts.process_crashes),
      static_cast<unsigned long long>(report.counts.machine_crashes),
      static_cast<unsigned long long>(report.counts.disk_faults));
}

bool ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--seed") {
      options->first = std::strtoull(value, nullptr, 10);
      options->single = true;
    } else if (flag == "--seeds") {
      options->seeds = std::strtoull(value, nullptr, 10);
    } else if (flag == "--seconds") {
      options->seconds = std::strtoull(value, nullptr, 10);
    } else if (flag == "--mutant") {
      for (const auto& mutant : kMutants) {
        if (std::strcmp(mutant.name, value) == 0) {
          options->mutant = mutant.mutant;
          options->mutant_name = mutant.name;
        }
      }
      if (options->mutant_name == nullptr) return false;
    } else {
      return false;
    }
  }
  if (options->seeds > 0 || options->seconds > 0) {
    options->single = false;  // --seed names the first one then
  } else {
    options->seeds = options->single ? 1 : 200;
  }
  return argc % 2 == 1;
}

// Every mutant has to be caught within this many seeds.
constexpr uint64_t kMutantSeeds = 200;

int KillMutants() {
  int survivors = 0;
  for (const auto& mutant : kMutants) {
    Options options;
    options.seeds = kMutantSeeds;
    options.mutant = mutant.mutant;
    Report total;
    uint64_t seeds = 0;
    const uint64_t caught = RunSeeds(options, &total, &seeds);
    if (caught == 0) {
      std::printf("mutant %s SURVIVED %llu seeds\n", mutant.name,
                  static_cast<unsigned long long>(seeds));
      ++survivors;
    } else {
      std::printf("mutant %s caught by seed %llu: %s\n", mutant.name,
                  static_cast<unsigned long long>(caught), total.violation.c_str());
    }
  }
  return survivors;
}

int Main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, &options)) {
    std::fprintf(stderr, "usage: sim [--seed N] [--seeds N | --seconds N] [--mutant NAME]\n");
    return 2;
  }
  Report total;
  uint64_t seeds = 0;
  const uint64_t failed = RunSeeds(options, &total, &seeds);
  Print(total, seeds);
  if (failed != 0) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(failed),
                total.violation.c_str());
    return 1;
  }
  // The simulator itself is on trial, too, unless one seed or one mutant was asked for.
  if (options.single || options.mutant != Mutant::kNone) return 0;
  return KillMutants() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace holdfast::sim

int main(int argc, char** argv) { return holdfast::sim::Main(argc, argv); }
