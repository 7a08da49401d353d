#include "checker.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "base/check.h"

namespace holdfast::linear {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLinesShown = 20;
constexpr int kShrinkSearches = 300;

struct KeyHistory {
  ModelKind model;
  std::string key;
  Operations operations;  // by start, none that failed
  Operations failed;
};

struct Result {
  Verdict verdict;
  uint64_t configurations;
  const Operation* blocked = nullptr;
  std::string state;
  Operations path;
};

template <typename Model>
Result RunSearch(const Operations& operations, const Budget& budget) {
  Search<Model> search(operations);
  Result result{search.Run(budget), search.configurations(), nullptr, {}, {}};
  if (result.verdict != Verdict::kViolation) return result;
  result.blocked = search.blocked();
  result.state = search.stuck_state();
  result.path = search.stuck_path();
  return result;
}

Result RunSearch(ModelKind model, const Operations& operations, const Budget& budget) {
  switch (model) {
    case ModelKind::kRegister:
      return RunSearch<RegisterModel>(operations, budget);
    case ModelKind::kCounter:
      return RunSearch<CounterModel>(operations, budget);
    case ModelKind::kLock:
      return RunSearch<LockModel>(operations, budget);
    case ModelKind::kAppend:
      return RunSearch<AppendModel>(operations, budget);
  }
  CHECK_MSG(false, "an unknown model");
  return {};
}

// A violation made smaller, each step of which leaves one: the history ends where no linearization
// gets on, what had not ended by then is in doubt, and operations that only observe are left out
// while the rest still contradicts itself. Writes stay, as without them right reads would be wrong.
class Shrinker {
 public:
  Shrinker(const KeyHistory& history, const Result& result, const Budget& budget)
      : model_(history.model), budget_(budget), result_(result) {
    budget_.configurations = std::max<uint64_t>(4 * result.configurations, 10'000);
    const int64_t end = result.blocked->end;
    for (const Operation* op : history.operations) {
      if (op->start > end) continue;
      copies_.push_back(*op);
      if (op->end > end) {
        copies_.back().outcome = Outcome::kInDoubt;
        copies_.back().end = kNever;
      }
    }
    for (const Operation& op : copies_) {
      if (op.outcome == Outcome::kOk || !IsObserver(op)) operations_.push_back(&op);
    }
  }

  void Run() {
    if (!IsViolation(operations_)) return;
    for (size_t chunk = std::max<size_t>(operations_.size() / 2, 1);; chunk /= 2) {
      for (size_t at = 0; at < operations_.size();) {
        const Operations fewer = Without(at, at + chunk);
        if (fewer.size() < operations_.size() && IsViolation(fewer)) {
          operations_ = fewer;
        } else {
          at += chunk;
        }
      }
      if (chunk == 1) return;
    }
  }

  const Operations& operations() const { return operations_; }
  const Result& result() const { return result_; }

 private:
  Operations Without(size_t from, size_t to) const {
    Operations rest;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (i < from || i >= to || !IsObserver(*operations_[i])) rest.push_back(operations_[i]);
    }
    return rest;
  }

  bool IsViolation(const Operations& operations) {
    if (--searches_left_ < 0 || Clock::now() > budget_.deadline) return false;
    Result result = RunSearch(model_, operations, budget_);
    if (result.verdict != Verdict::kViolation) return false;
    result_ = std::move(result);
    return true;
  }

  const ModelKind model_;
  Budget budget_;
  Result result_;
  std::vector<Operation> copies_;
  Operations operations_;
  int searches_left_ = kShrinkSearches;
};

std::string Lines(const Operations& operations, size_t from) {
  std::string text;
  for (size_t i = from; i < operations.size(); ++i) text += "    " + Format(*operations[i]) + '\n';
  return text;
}

std::string Explain(const KeyHistory& history, const Result& found, const Budget& budget) {
  Shrinker shrinker(history, found, budget);
  shrinker.Run();
  const Result& result = shrinker.result();
  Operations operations = shrinker.operations();
  std::stable_sort(operations.begin(), operations.end(),
                   [](const Operation* a, const Operation* b) {
                     return std::pair(a->end, a->start) < std::pair(b->end, b->start);
                   });
  const auto first_doubtful =
      std::find_if(operations.begin(), operations.end(),
                   [](const Operation* op) { return op->outcome == Outcome::kInDoubt; });
  const Operations doubtful(first_doubtful, operations.end());
  operations.erase(first_doubtful, operations.end());
  const size_t skipped = operations.size() - std::min(operations.size(), kLinesShown);
  std::string text = "  no order of the operations explains this one:\n    " +
                     Format(*result.blocked) + "\n  the history up to it, by END";
  if (skipped > 0) text += ", without " + std::to_string(skipped) + " earlier ones";
  text += ":\n" + Lines(operations, skipped);
  if (!doubtful.empty()) {
    const size_t hidden = doubtful.size() - std::min(doubtful.size(), kLinesShown);
    text += "  in doubt or not yet answered then (" + std::to_string(doubtful.size()) + "):\n" +
            Lines(doubtful, hidden);
  }
  text += "  the furthest order ends with\n" + Lines(result.path, 0) +
          "  and the state is: " + result.state + '\n';
  for (const Operation* op : history.failed) {
    if (op->value.empty() || op->value != result.blocked->seen) continue;
    text += "  that value was written by one that failed:\n    " + Format(*op) + '\n';
  }
  return text;
}

std::vector<KeyHistory> Split(const std::vector<Operation>& history) {
  std::map<std::pair<ModelKind, std::string>, KeyHistory> keys;
  for (const Operation& op : history) {
    KeyHistory& key = keys[{op.model, op.key}];
    key.model = op.model;
    key.key = op.key;
    (op.outcome == Outcome::kFailed ? key.failed : key.operations).push_back(&op);
  }
  std::vector<KeyHistory> result;
  for (auto& [name, key] : keys) {
    std::stable_sort(key.operations.begin(), key.operations.end(),
                     [](const Operation* a, const Operation* b) { return a->start < b->start; });
    result.push_back(std::move(key));
  }
  return result;
}

KeyReport CheckKey(const KeyHistory& key, const Budget& budget, bool explain) {
  const Result result = RunSearch(key.model, key.operations, budget);
  KeyReport report{key.key, key.model, result.verdict, result.configurations, {}};
  if (result.verdict == Verdict::kUndecided) {
    report.explanation = "  undecided after " + std::to_string(result.configurations) +
                         " configurations of " + std::to_string(key.operations.size()) +
                         " operations\n";
  } else if (result.verdict == Verdict::kViolation && explain) {
    report.explanation = Explain(key, result, budget);
  }
  return report;
}

}  // namespace

size_t Report::Count(Verdict verdict) const {
  return static_cast<size_t>(
      std::count_if(faults.begin(), faults.end(),
                    [verdict](const KeyReport& fault) { return fault.verdict == verdict; }));
}

Report CheckHistory(const std::vector<Operation>& history, const Options& options) {
  Budget budget;
  budget.configurations = options.configurations;
  budget.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                       std::chrono::duration<double>(options.seconds));
  const std::vector<KeyHistory> keys = Split(history);
  std::vector<KeyReport> reports(keys.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < keys.size(); i = next++) {
      reports[i] = CheckKey(keys[i], budget, options.explain);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < options.threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  Report report;
  report.keys = keys.size();
  for (const KeyHistory& key : keys) report.operations += key.operations.size();
  for (const Operation& op : history) report.in_doubt += op.outcome == Outcome::kInDoubt ? 1 : 0;
  for (KeyReport& key : reports) {
    report.configurations += key.configurations;
    if (key.verdict != Verdict::kLinearizable) report.faults.push_back(std::move(key));
  }
  return report;
}

Verdict CheckVerdict(const std::vector<Operation>& history) {
  Options options;
  options.explain = false;
  const Report report = CheckHistory(history, options);
  if (report.Count(Verdict::kViolation) > 0) return Verdict::kViolation;
  return report.passed() ? Verdict::kLinearizable : Verdict::kUndecided;
}

}  // namespace holdfast::linear
