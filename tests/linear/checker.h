// Whether histories are linearizable: each operation that was answered took effect at one moment
// between its start and its end, each one in doubt at some moment behind its start or never, each
// one that failed never, and all replies are those of that order. A history is linearizable when
// its part on each key is (Herlihy and Wing 1990, locality), so keys are checked one by one.
//
//   std::vector<Operation> history;              // history.h: the format
//   ReadHistory(file, "name", &history);
//   Report report = CheckHistory(history, {});   // models.h: the objects; search.h: the algorithm
//
// A search that uses up its budget is undecided, and that is no pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "history.h"
#include "search.h"

namespace holdfast::linear {

struct Options {
  uint64_t configurations = 20'000'000;  // per key
  double seconds = 300;                  // for all keys together
  unsigned threads = 1;
  bool explain = true;  // fill KeyReport::explanation
};

struct KeyReport {
  std::string key;
  ModelKind model;
  Verdict verdict;
  uint64_t configurations;
  // Readable, of several lines: where it fails and what can't be fitted in there.
  std::string explanation;
};

struct Report {
  std::vector<KeyReport> faults;  // keys that are not linearizable or undecided
  size_t keys = 0;
  size_t operations = 0;  // without those that failed
  size_t in_doubt = 0;
  uint64_t configurations = 0;

  bool passed() const { return faults.empty(); }
  size_t Count(Verdict verdict) const;
};

// Any thread; uses options.threads of its own.
Report CheckHistory(const std::vector<Operation>& history, const Options& options);

// The verdict on all keys: a violation anywhere is one, else undecided anywhere is undecided.
Verdict CheckVerdict(const std::vector<Operation>& history);

}  // namespace holdfast::linear
