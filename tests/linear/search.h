// The search for a linearization of the operations on one key: Wing and Gong's algorithm with
// Lowe's memory of visited configurations (G. Lowe, "Testing for linearizability", 2017). An
// operation may be linearized next when it began before any other that is still missing has ended;
// a configuration is the set of operations linearized so far and the state.
//
// Four things keep it short. None loses a linearization:
//
//   - An answered operation that fits and leaves the state as it is, is linearized at once:
//   whatever
//     linearization has it later is as good with it here.
//   - Operations in doubt are tried last, and of those that ask the same only the one that began
//   first:
//     they have no end and no reply, so exchanging them changes nothing.
//   - Behind an operation in doubt nothing that overwrites its effect: leaving the first one out is
//   as
//     good, and leaves more choices.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "models.h"

namespace holdfast::linear {

enum class Verdict { kLinearizable, kViolation, kUndecided };

// What a search may cost.
struct Budget {
  uint64_t configurations = 20'000'000;  // of one key; some 20 to 70 bytes each
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

template <typename Model>
class Search {
 public:
  using State = typename Model::State;

  // REQUIRES: the operations outlive the search, none of them has failed.
  explicit Search(const Operations& operations)
      : operations_(operations), model_(operations), is_done_(operations.size()) {
    BuildEvents();
    BuildDoubtful();
  }

  Verdict Run(const Budget& budget) {
    frames_.push_back(Frame{State(), {}, kRoot});
    Remember(frames_.back().state, {});
    while (!frames_.empty()) {
      if (next_[0] == tail()) return Verdict::kLinearizable;
      if (configurations_ > budget.configurations || IsLate(budget)) return Verdict::kUndecided;
      if (!Advance()) {
        NoteDeadEnd();
        Retreat();
      }
    }
    return Verdict::kViolation;
  }

  uint64_t configurations() const { return configurations_; }
  // Behind kViolation: no linearization gets past the end of this operation.
  const Operation* blocked() const { return operations_[events_[best_].operation]; }
  // A state in which it was stuck, and what was linearized last to get there.
  std::string stuck_state() const { return model_.Describe(best_state_); }
  const std::vector<const Operation*>& stuck_path() const { return best_path_; }

 private:
  using Hash = std::pair<uint64_t, uint64_t>;
  static constexpr bool kHasCosts = requires(const State& state) { state.costs(); };
  using Visited = std::conditional_t<kHasCosts, absl::flat_hash_map<Hash, std::vector<Costs>>,
                                     absl::flat_hash_set<Hash>>;
  static constexpr int32_t kRoot = -1;
  static constexpr int32_t kExpiry = -2;
  static constexpr size_t kPathShown = 12;

  struct Event {
    int64_t time;
    bool is_end;
    uint32_t operation;
  };

  enum class Phase { kFresh, kAnswered, kExpiry, kDoubtful, kOver };

  struct Frame {
    State state;
    Hash set;           // of the operations linearized
    int32_t operation;  // that led here
    Phase phase = Phase::kFresh;
    uint32_t cursor = 0;  // the next event or operation in doubt to try
  };

  uint32_t tail() const { return static_cast<uint32_t>(events_.size()) - 1; }

  // Starts and ends of what was answered, by time; starts first, so that touching calls overlap.
  void BuildEvents() {
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      CHECK(operations_[i]->outcome != Outcome::kFailed);
      if (operations_[i]->outcome != Outcome::kOk) continue;
      events_.push_back({operations_[i]->start, false, i});
      events_.push_back({operations_[i]->end, true, i});
    }
    std::sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) {
      return std::tuple(a.time, a.is_end, a.operation) < std::tuple(b.time, b.is_end, b.operation);
    });
    events_.insert(events_.begin(), Event{0, false, 0});
    events_.push_back({kNever, true, 0});
    starts_.resize(operations_.size());
    ends_.resize(operations_.size());
    for (uint32_t i = 0; i < events_.size(); ++i) {
      next_.push_back(i + 1);
      previous_.push_back(i - 1);
      if (i > 0 && i < tail()) (events_[i].is_end ? ends_ : starts_)[events_[i].operation] = i;
    }
  }

  void BuildDoubtful() {
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i]->outcome == Outcome::kInDoubt && !IsObserver(*operations_[i])) {
        doubtful_.push_back(i);
      }
    }
    std::stable_sort(doubtful_.begin(), doubtful_.end(), [this](uint32_t a, uint32_t b) {
      return operations_[a]->start < operations_[b]->start;
    });
    std::unordered_map<std::string, uint32_t> last;
    for (const uint32_t i : doubtful_) {
      const auto [it, is_first] = last.emplace(model_.Class(i), i);
      before_in_class_.push_back(is_first ? i : std::exchange(it->second, i));
    }
  }

  // Tries the next choice of the newest frame; false when there is none left.
  bool Advance() {
    const size_t level = frames_.size() - 1;
    if (frames_[level].phase == Phase::kFresh) {
      const int found = TakeUnchanging(level);
      if (found >= 0) return found == 1;
    }
    if (frames_[level].phase == Phase::kAnswered && TryAnswered(level)) return true;
    if (frames_[level].phase == Phase::kExpiry) {
      frames_[level].phase = Phase::kDoubtful;
      frames_[level].cursor = 0;
      State next;
      if (!IsDoubtfulLock(frames_[level]) &&
          model_.Expire(frames_[level].state, FirstEnd(), &next) &&
          Remember(next, frames_[level].set)) {
        frames_.push_back(Frame{next, frames_[level].set, kExpiry});
        return true;
      }
    }
    return frames_[level].phase == Phase::kDoubtful && TryDoubtful(level);
  }

  // 1: an operation that changes nothing was linearized. 0: it was, long ago, in vain. -1: none.
  int TakeUnchanging(size_t level) {
    Frame& frame = frames_[level];
    frame.phase = Phase::kAnswered;
    frame.cursor = next_[0];
    State next;
    for (uint32_t at = next_[0]; !events_[at].is_end; at = next_[at]) {
      if (model_.Apply(events_[at].operation, frame.state, &next) != Step::kSame) continue;
      frame.phase = Phase::kOver;
      const State state = frame.state;
      return Push(level, events_[at].operation, state) ? 1 : 0;
    }
    return -1;
  }

  bool TryAnswered(size_t level) {
    State next;
    while (!events_[frames_[level].cursor].is_end) {
      const uint32_t operation = events_[frames_[level].cursor].operation;
      frames_[level].cursor = next_[frames_[level].cursor];
      if (IsPointless(frames_[level], operation)) continue;
      if (model_.Apply(operation, frames_[level].state, &next) == Step::kNo) continue;
      if (Push(level, operation, next)) return true;
    }
    frames_[level].phase = Phase::kExpiry;
    return false;
  }

  bool TryDoubtful(size_t level) {
    State next;
    const int64_t end = FirstEnd();
    while (frames_[level].cursor < doubtful_.size()) {
      const uint32_t place = frames_[level].cursor++;
      const uint32_t operation = doubtful_[place];
      if (operations_[operation]->start > end) break;
      const uint32_t before = before_in_class_[place];
      if (is_done_[operation] || (before != operation && !is_done_[before])) continue;
      if (IsPointless(frames_[level], operation)) continue;
      if (model_.Apply(operation, frames_[level].state, &next) != Step::kChanged) continue;
      if (Push(level, operation, next)) return true;
    }
    frames_[level].phase = Phase::kOver;
    return false;
  }

  bool IsPointless(const Frame& frame, uint32_t operation) const {
    return frame.operation >= 0 &&
           operations_[static_cast<uint32_t>(frame.operation)]->outcome == Outcome::kInDoubt &&
           Overwrites(*operations_[operation]);
  }

  bool IsDoubtfulLock(const Frame& frame) const {
    if (frame.operation < 0) return false;
    const Operation& op = *operations_[static_cast<size_t>(frame.operation)];
    return op.outcome == Outcome::kInDoubt && op.kind == Kind::kLock;
  }

  int64_t FirstEnd() const { return events_[FirstEndEvent()].time; }
  uint32_t FirstEndEvent() const {
    uint32_t at = next_[0];
    while (!events_[at].is_end) at = next_[at];
    return at;
  }

  // False when the configuration was visited before.
  bool Push(size_t level, uint32_t operation, const State& state) {
    const Hash set = {frames_[level].set.first ^ Mix(2 * operation),
                      frames_[level].set.second ^ Mix(2 * operation + 1)};
    if (!Remember(state, set)) return false;
    is_done_[operation] = true;
    if (operations_[operation]->outcome == Outcome::kOk) {
      Unlink(starts_[operation]);
      Unlink(ends_[operation]);
    }
    frames_.push_back(Frame{state, set, static_cast<int32_t>(operation)});
    return true;
  }

  void Retreat() {
    const int32_t index = frames_.back().operation;
    frames_.pop_back();
    if (index < 0) return;
    const auto operation = static_cast<uint32_t>(index);
    is_done_[operation] = false;
    if (operations_[operation]->outcome == Outcome::kOk) {
      Link(ends_[operation]);
      Link(starts_[operation]);
    }
  }

  void Unlink(uint32_t event) {
    next_[previous_[event]] = next_[event];
    previous_[next_[event]] = previous_[event];
  }
  void Link(uint32_t event) {
    next_[previous_[event]] = event;
    previous_[next_[event]] = event;
  }

  // Two configurations of one 128-bit hash would only make the search miss a linearization, at odds
  // of 2^-80 with as many configurations as fit into memory.
  bool Remember(const State& state, const Hash& set) {
    struct {
      Words words;
      Hash set;
    } all = {state.words(), set};
    static_assert(sizeof all == sizeof(Words) + 16);
    const XXH128_hash_t hash = XXH3_128bits(&all, sizeof all);
    const Hash key = {hash.low64, hash.high64};
    if constexpr (kHasCosts) {
      std::vector<Costs>& known = visited_[key];
      const Costs costs = state.costs();
      for (const Costs& other : known) {
        if (other[0] <= costs[0] && other[1] <= costs[1]) return false;
      }
      known.push_back(costs);
      ++configurations_;
      return true;
    } else {
      if (!visited_.insert(key).second) return false;
      ++configurations_;
      return true;
    }
  }

  static uint64_t Mix(uint64_t value) { return XXH3_64bits(&value, sizeof value); }

  bool IsLate(const Budget& budget) {
    return ++steps_ % 1024 == 0 && std::chrono::steady_clock::now() > budget.deadline;
  }

  void NoteDeadEnd() {
    const uint32_t event = FirstEndEvent();
    if (event <= best_) return;
    best_ = event;
    best_state_ = frames_.back().state;
    best_path_.clear();
    for (size_t i = frames_.size(); i-- > 1 && best_path_.size() < kPathShown;) {
      const int32_t index = frames_[i].operation;
      if (index >= 0) best_path_.push_back(operations_[static_cast<size_t>(index)]);
    }
    std::reverse(best_path_.begin(), best_path_.end());
  }

  const Operations operations_;
  const Model model_;
  std::vector<Event> events_;  // between two that stand for the beginning and the end of time
  std::vector<uint32_t> next_, previous_;  // the list of the events that are not linearized
  std::vector<uint32_t> starts_, ends_;    // an operation's events
  std::vector<uint32_t> doubtful_;         // operations, by start
  std::vector<uint32_t> before_in_class_;  // of doubtful_[i], itself when it is the first
  std::vector<bool> is_done_;
  std::vector<Frame> frames_;
  Visited visited_;
  uint64_t configurations_ = 0;
  uint64_t steps_ = 0;
  uint32_t best_ = 0;
  State best_state_;
  std::vector<const Operation*> best_path_;
};

}  // namespace holdfast::linear
