// Checks histories for linearizability, key by key; history.h describes the format.
//
//   linear [--states N] [--seconds N] [--threads N] [--quiet] FILE…      `-` is the standard input
//
// All files make one history. The last line is a summary; the exit code is 0 when every key is
// linearizable, 1 when one is not, 2 when one is undecided within the budget (--states: visited
// configurations per key, --seconds: all together), 3 when the input can't be used.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/numbers.h"
#include "checker.h"

namespace holdfast::linear {
namespace {

constexpr int kBadInput = 3;

struct CommandLine {
  Options options;
  bool quiet = false;
  std::vector<std::string> files;
};

bool Parse(int argc, char** argv, CommandLine* line) {
  line->options.threads = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    uint64_t number = 0;
    if (word == "--quiet") {
      line->quiet = true;
    } else if (word == "--states" || word == "--seconds" || word == "--threads") {
      if (++i == argc || !ParseUint64(argv[i], &number) || number == 0) return false;
      if (word == "--states") line->options.configurations = number;
      if (word == "--seconds") line->options.seconds = static_cast<double>(number);
      if (word == "--threads") line->options.threads = static_cast<unsigned>(number);
    } else if (word.starts_with("--")) {
      return false;
    } else {
      line->files.emplace_back(word);
    }
  }
  return !line->files.empty();
}

Status Read(const std::vector<std::string>& files, std::vector<Operation>* history) {
  for (const std::string& name : files) {
    if (name == "-") {
      RETURN_IF_ERROR(ReadHistory(std::cin, name, history));
      continue;
    }
    std::ifstream in(name);
    if (!in) return Status::NotFound(name + ": can't be opened");
    RETURN_IF_ERROR(ReadHistory(in, name, history));
  }
  return Status::Ok();
}

int Main(int argc, char** argv) {
  CommandLine line;
  if (!Parse(argc, argv, &line)) {
    std::fputs("usage: linear [--states N] [--seconds N] [--threads N] [--quiet] FILE...\n",
               stderr);
    return kBadInput;
  }
  std::vector<Operation> history;
  if (const Status status = Read(line.files, &history); !status.ok()) {
    std::fprintf(stderr, "linear: %s\n", status.message().c_str());
    return kBadInput;
  }
  const auto started = std::chrono::steady_clock::now();
  line.options.explain = !line.quiet;
  const Report report = CheckHistory(history, line.options);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  for (const KeyReport& fault : report.faults) {
    std::printf("%s: %s\n%s", fault.key.c_str(),
                fault.verdict == Verdict::kViolation ? "NOT LINEARIZABLE" : "UNDECIDED",
                fault.explanation.c_str());
  }
  const size_t violations = report.Count(Verdict::kViolation);
  const size_t undecided = report.Count(Verdict::kUndecided);
  std::printf(
      "%zu keys, %zu operations, %zu in doubt, %llu configurations, %.1f s: %zu not "
      "linearizable, %zu undecided\n",
      report.keys, report.operations, report.in_doubt,
      static_cast<unsigned long long>(report.configurations), seconds.count(), violations,
      undecided);
  return violations > 0 ? 1 : undecided > 0 ? 2 : 0;
}

}  // namespace
}  // namespace holdfast::linear

int main(int argc, char** argv) { return holdfast::linear::Main(argc, argv); }
