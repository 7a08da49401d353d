// Simulation from seeds: of nodes that are alone (single.h) and of whole groups (group.h).
//
//   sim --seed N             one seed of both kinds; with --seeds or --seconds the first of them
//   sim --seeds N            N seeds of each kind
//   sim --seconds N          seeds for about N seconds, a fifth of it for nodes that are alone
//   sim --single | --groups  one kind only
//   sim --mutant NAME        builds something wrong; success is to find out within the seeds
//   sim --no-mutants         the simulator itself is not on trial
//   sim --jobs N             so many seeds at a time
//
// Every twentieth seed runs twice and has to do the same both times.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "group.h"
#include "mutants.h"
#include "report.h"
#include "single.h"

namespace holdfast::sim {
namespace {

using Clock = std::chrono::steady_clock;

struct Kind {
  const char* name;
  Report (*run)(uint64_t seed, Mutant mutant);
};
constexpr Kind kSingle = {"single", RunSingle};
constexpr Kind kGroups = {"groups", RunGroup};

struct Options {
  uint64_t first = 1;
  uint64_t seeds = 0;
  uint64_t seconds = 0;
  uint64_t jobs = 1;
  bool one_seed = false;
  bool single = true;
  bool groups = true;
  bool mutants = true;
  std::string mutant;
};

// How many seeds may be needed to catch a mutant, and how many run unless it is said.
constexpr uint64_t kMutantSeeds = 1500;
constexpr uint64_t kSeeds = 200;

struct MutantRow {
  const Kind* kind;
  const char* name;
  Mutant mutant;
};
constexpr MutantRow kMutants[] = {
    {&kSingle, "ack-before-durable", Mutant::kAckBeforeDurable},
    {&kSingle, "no-sync", Mutant::kNoSync},
    {&kSingle, "truncate-too-far", Mutant::kTruncateTooFar},
    {&kSingle, "store-not-synced", Mutant::kStoreNotSynced},
    {&kSingle, "applied-apart", Mutant::kAppliedApart},
    {&kSingle, "collect-by-memory", Mutant::kCollectByMemory},
    {&kGroups, "ack-before-durable", Mutant::kAckBeforeDurable},
    {&kGroups, "no-sync", Mutant::kNoSync},
    {&kGroups, "truncate-too-far", Mutant::kTruncateTooFar},
    {&kGroups, "store-not-synced", Mutant::kStoreNotSynced},
    {&kGroups, "applied-apart", Mutant::kAppliedApart},
    {&kGroups, "vote-lost", Mutant::kVoteLost},
    {&kGroups, "term-lost", Mutant::kTermLost},
    {&kGroups, "tail-lost", Mutant::kTailLost},
    {&kGroups, "disk-wiped", Mutant::kDiskWiped},
    {&kGroups, "membership-forgotten", Mutant::kMembershipForgotten},
    {&kGroups, "learners-vote", Mutant::kLearnersVote},
    {&kGroups, "gates-at-propose", Mutant::kGatesAtPropose},
    {&kGroups, "reads-not-confirmed", Mutant::kReadsNotConfirmed},
    {&kGroups, "round-reused", Mutant::kRoundReused},
    {&kGroups, "reads-uncommitted", Mutant::kReadsUncommitted},
    {&kGroups, "followers-read", Mutant::kFollowersRead},
    {&kGroups, "memory-kept", Mutant::kMemoryKept},
    {&kGroups, "rebuilt-too-early", Mutant::kRebuiltTooEarly},
    {&kGroups, "doubt-as-try-again", Mutant::kDoubtAsTryAgain},
    {&kGroups, "membership-not-stored", Mutant::kMembershipNotStored},
    {&kGroups, "revision-not-stored", Mutant::kRevisionNotStored},
    {&kGroups, "loaded-too-early", Mutant::kLoadedTooEarly},
    {&kGroups, "entry-skipped", Mutant::kEntrySkipped},
    {&kGroups, "lease-short", Mutant::kLeaseShort},
    {&kGroups, "snapshot-of-members", Mutant::kSnapshotOfMembers},
    {&kGroups, "snapshot-ahead", Mutant::kSnapshotAhead},
    {&kGroups, "switch-forgets-memory", Mutant::kSwitchForgetsMemory},
    {&kGroups, "commit-ahead", Mutant::kCommitAhead},
    {&kGroups, "entry-term-wrong", Mutant::kEntryTermWrong},
    {&kGroups, "entry-lost", Mutant::kEntryLost},
    {&kGroups, "confirmed-unread", Mutant::kConfirmedUnread},
    {&kGroups, "rejection-turned", Mutant::kRejectionTurned},
    {&kGroups, "vote-twice", Mutant::kVoteTwice},
    {&kGroups, "joint-skipped", Mutant::kJointSkipped},
    {&kGroups, "doubt-retried", Mutant::kDoubtRetried},
    {&kGroups, "doubt-as-done", Mutant::kDoubtAsDone},
    {&kGroups, "requests-twice", Mutant::kRequestsTwice},
};

// ---- One seed

// In a child process, so that a failed CHECK or a Fatal is a finding about this seed.
struct Child {
  uint64_t seed = 0;
  pid_t process = 0;
  int end = -1;
  std::string bytes;
};

[[noreturn]] void RunChild(const Kind& kind, uint64_t seed, Mutant mutant, int end) {
  Report report = kind.run(seed, mutant);
  if (report.violation.empty() && seed % 20 == 0) {
    const Report again = kind.run(seed, mutant);
    if (again.digest != report.digest || again.counts != report.counts) {
      report.violation = "two runs of the seed differ";
    }
  }
  std::string bytes(reinterpret_cast<const char*>(report.counts.data()), sizeof report.counts);
  bytes += report.violation;
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = write(end, bytes.data() + written, bytes.size() - written);
    if (n <= 0) _exit(1);
    written += static_cast<size_t>(n);
  }
  FlushLog();
  _exit(0);
}

Child StartChild(const Kind& kind, uint64_t seed, Mutant mutant) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  Child child;
  child.seed = seed;
  child.process = fork();
  CHECK(child.process >= 0);
  if (child.process == 0) {
    close(ends[0]);
    RunChild(kind, seed, mutant, ends[1]);
  }
  close(ends[1]);
  child.end = ends[0];
  return child;
}

Report EndChild(Child* child) {
  close(child->end);
  int status = 0;
  CHECK(waitpid(child->process, &status, 0) == child->process);
  Report report;
  if (status != 0 || child->bytes.size() < sizeof report.counts) {
    report.violation = "the process ended itself";
    return report;
  }
  std::memcpy(report.counts.data(), child->bytes.data(), sizeof report.counts);
  report.violation = child->bytes.substr(sizeof report.counts);
  return report;
}

// Waits until a child has said everything, and takes it out of the list.
Child TakeFinished(std::vector<Child>* children) {
  for (;;) {
    std::vector<pollfd> polled;
    for (const Child& child : *children) polled.push_back({child.end, POLLIN, 0});
    CHECK(poll(polled.data(), polled.size(), -1) > 0);
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = read((*children)[i].end, buffer, sizeof buffer);
      if (n > 0) {
        (*children)[i].bytes.append(buffer, static_cast<size_t>(n));
        continue;
      }
      Child child = std::move((*children)[i]);
      children->erase(children->begin() + static_cast<std::ptrdiff_t>(i));
      return child;
    }
  }
}

// ---- Many seeds

struct Total {
  Report report;
  uint64_t seeds = 0;
  uint64_t failed = 0;  // the lowest seed that failed; 0: none
};

// Runs seeds until one fails or all are done.
Total RunSeeds(const Kind& kind, const Options& options, Mutant mutant, double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Total total;
  std::vector<Child> children;
  uint64_t next = options.first;
  for (;;) {
    const bool more =
        options.seconds > 0 ? Clock::now() < end : next < options.first + options.seeds;
    if (more && total.failed == 0 && children.size() < options.jobs) {
      children.push_back(StartChild(kind, next++, mutant));
      continue;
    }
    if (children.empty()) return total;
    Child child = TakeFinished(&children);
    const Report report = EndChild(&child);
    ++total.seeds;
    total.report.Add(report);
    if (report.violation.empty() || (total.failed != 0 && total.failed < child.seed)) continue;
    total.failed = child.seed;
    total.report.violation = report.violation;
  }
}

void Print(const Kind& kind, const Total& total, double seconds) {
  constexpr const char* kNames[] = {
      "events",
      "commands",
      "entries",
      "process crashes",
      "machine crashes",
      "disk faults",
      "terms",
      "messages",
      "lost",
      "repeated",
      "replayed",
      "cuts",
      "pauses",
      "clock jumps",
      "transfers",
      "changes of membership",
      "snapshots sent",
      "snapshots installed",
      "switches interrupted",
      "step-downs",
      "operations answered",
      "failed",
      "in doubt",
      "histories",
      "states compared",
  };
  static_assert(std::size(kNames) == static_cast<size_t>(Count::kCount));
  std::printf("%s: seeds %llu in %.1f s", kind.name, static_cast<unsigned long long>(total.seeds),
              seconds);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (total.report.counts[i] == 0) continue;
    std::printf(", %s %llu", kNames[i], static_cast<unsigned long long>(total.report.counts[i]));
  }
  std::printf("\n");
  if (total.failed != 0) {
    std::printf("%s: seed %llu: %s\n", kind.name, static_cast<unsigned long long>(total.failed),
                total.report.violation.c_str());
  }
  std::fflush(stdout);
}

bool RunAndPrint(const Kind& kind, const Options& options, Mutant mutant, double seconds) {
  const auto begin = Clock::now();
  const Total total = RunSeeds(kind, options, mutant, seconds);
  Print(kind, total, std::chrono::duration<double>(Clock::now() - begin).count());
  return total.failed == 0;
}

bool KillMutants(const Options& given) {
  size_t tried = 0, killed = 0;
  for (const MutantRow& row : kMutants) {
    if (row.kind == &kSingle ? !given.single : !given.groups) continue;
    Options options = given;
    options.first = 1;
    options.seeds = kMutantSeeds;
    options.seconds = 0;
    const Total total = RunSeeds(*row.kind, options, row.mutant, 0);
    ++tried;
    killed += total.failed == 0 ? 0 : 1;
    const std::string first_line =
        total.report.violation.substr(0, total.report.violation.find('\n'));
    if (total.failed == 0) {
      std::printf("%s: mutant %s SURVIVED %llu seeds\n", row.kind->name, row.name,
                  static_cast<unsigned long long>(total.seeds));
    } else {
      std::printf("%s: mutant %s caught by seed %llu: %s\n", row.kind->name, row.name,
                  static_cast<unsigned long long>(total.failed), first_line.c_str());
    }
    std::fflush(stdout);
  }
  std::printf("mutants killed: %zu of %zu\n", killed, tried);
  return killed == tried;
}

// ---- Options

bool ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--single") {
      options->groups = false;
    } else if (flag == "--groups") {
      options->single = false;
    } else if (flag == "--no-mutants") {
      options->mutants = false;
    } else if (i + 1 == argc) {
      return false;
    } else if (flag == "--mutant") {
      options->mutant = argv[++i];
    } else {
      const uint64_t value = std::strtoull(argv[++i], nullptr, 10);
      if (flag == "--seed") {
        options->first = value;
        options->one_seed = true;
      } else if (flag == "--seeds") {
        options->seeds = value;
      } else if (flag == "--seconds") {
        options->seconds = value;
      } else if (flag == "--jobs") {
        options->jobs = std::max<uint64_t>(1, value);
      } else {
        return false;
      }
    }
  }
  if (!options->single && !options->groups) return false;
  if (options->seeds > 0 || options->seconds > 0) {
    options->one_seed = false;  // --seed names the first one then
  } else {
    options->seeds = options->one_seed ? 1 : kSeeds;
  }
  return true;
}

// The row of a mutant by its name, of the first kind that is asked for.
const MutantRow* FindMutant(const Options& options) {
  for (const MutantRow& row : kMutants) {
    if (row.kind == &kSingle ? !options.single : !options.groups) continue;
    if (options.mutant == row.name) return &row;
  }
  return nullptr;
}

int Main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: sim [--seed N] [--seeds N | --seconds N] [--single | --groups] [--jobs N] "
                 "[--mutant NAME | --no-mutants]\n");
    return 2;
  }
  SetLogLevel(std::getenv("SIM_LOG") == nullptr ? LogLevel::kNothing : LogLevel::kVerbose);
  const auto seconds = static_cast<double>(options.seconds);
  if (!options.mutant.empty()) {
    const MutantRow* const row = FindMutant(options);
    if (row == nullptr) {
      std::fprintf(stderr, "sim: no such mutant\n");
      return 2;
    }
    return RunAndPrint(*row->kind, options, row->mutant, seconds) ? 0 : 1;
  }
  bool passed = true;
  if (options.single) {
    passed &= RunAndPrint(kSingle, options, Mutant::kNone, options.groups ? seconds / 5 : seconds);
  }
  if (options.groups) {
    passed &=
        RunAndPrint(kGroups, options, Mutant::kNone, options.single ? seconds * 4 / 5 : seconds);
  }
  // The simulator itself is on trial, too, unless one seed was asked for.
  if (!passed || options.one_seed || !options.mutants) return passed ? 0 : 1;
  return KillMutants(options) ? 0 : 1;
}

}  // namespace
}  // namespace holdfast::sim

int main(int argc, char** argv) { return holdfast::sim::Main(argc, argv); }
