// The objects whose histories are checked, as sequential specifications. A model is made for the
// operations of one key and answers what an operation does to a state:
//
//   kNo        it can't have happened here: its reply contradicts the state. An operation in doubt
//              that would change nothing is also kNo, as it need not happen at all
//   kSame      it can, and the state stays as it is
//   kChanged   it can, and *next is the state behind it
//
// An operation in doubt has no reply, so only its effect counts.
//
// How time enters, which is for locks only. A server promises that a lease of MS milliseconds ends
// at MS after the grant at the earliest, on its own monotonic clock, and maybe later. The grant is
// somewhere between the start of the call and its end, so all that follows from a history is: not
// before START + MS. (Counted from END it would call right servers wrong, whose grant was early in
// the call and whose answer took its time. A client must count from START, too.) Within one
// linearization the bound is sharper: a point in time never precedes the start of any operation
// linearized before, so the state carries the earliest time at which it can exist, and a lease ends
// at that time + MS at the earliest. Earlier is never worse, as nothing has a latest time but the
// ends of the calls: a state that exists only from D on is impossible once an operation that is not
// yet linearized has ended before D. The end of a lease is a step of its own (Expire).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "history.h"

namespace holdfast::linear {

enum class Step { kNo, kSame, kChanged };

// A state is compared by its words, and by its costs where it has any: of two with the same words
// the one whose costs are both lower or equal allows whatever the other one does.
using Words = std::array<uint64_t, 3>;
using Costs = std::array<int64_t, 2>;
using Operations = std::vector<const Operation*>;

// Numbers for strings, 0 being the missing one.
class Names {
 public:
  Names() { Add(kMissing); }
  uint32_t Add(std::string_view name);
  const std::string& Text(uint32_t number) const { return texts_[number]; }

 private:
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<std::string> texts_;
};

// What all models say of an operation by its kind.
// Whether it never changes the object, whatever the state.
bool IsObserver(const Operation& op);
// Whether the state behind it and its success depend on nothing before it.
bool Overwrites(const Operation& op);

// A string with a revision. Revisions become known by replies; until then a state knows what its
// revision has to exceed. `casrev` by a revision that no reply named before is taken at its word.
class RegisterModel {
 public:
  struct State {
    uint32_t value = 0;
    int64_t revision = 0;  // 0: not known
    int64_t above = 0;     // the highest one known before it
    bool operator==(const State&) const = default;
    Words words() const;
  };

  explicit RegisterModel(const Operations& operations);
  Step Apply(size_t index, const State& state, State* next) const;
  // Operations in doubt of one class are interchangeable.
  std::string Class(size_t index) const;
  bool Expire(const State&, int64_t, State*) const { return false; }
  std::string Describe(const State& state) const;

 private:
  // All values that no operation reads or expects are one.
  static constexpr uint32_t kUnnamed = 1;
  struct Compact {
    Kind kind;
    bool ok;
    uint32_t value, expected, seen;
    int64_t number, flag, seen_number;
  };
  static bool LearnRevision(int64_t revision, State* state);
  Step ApplyIf(bool applies, const Compact& op, const State& state, State* next) const;
  Step ApplyCasRevision(const Compact& op, const State& state, State* next) const;

  Names names_;
  std::vector<Compact> operations_;
};

class CounterModel {
 public:
  struct State {
    int64_t value = 0;
    bool operator==(const State&) const = default;
    Words words() const { return {static_cast<uint64_t>(value)}; }
  };

  explicit CounterModel(const Operations& operations) : operations_(operations) {}
  Step Apply(size_t index, const State& state, State* next) const;
  std::string Class(size_t index) const;
  bool Expire(const State&, int64_t, State*) const { return false; }
  std::string Describe(const State& state) const;

 private:
  Operations operations_;
};

class LockModel {
 public:
  struct State {
    uint32_t owner = 0;    // 0: free
    int64_t token = 0;     // 0: not known, of a grant in doubt
    int64_t highest = 0;   // of the tokens known so far
    int64_t deadline = 0;  // ns, the earliest end of the lease
    int64_t earliest = 0;  // ns, since when this state can be
    bool operator==(const State&) const = default;
    Words words() const;
    Costs costs() const { return {deadline, earliest}; }
  };

  explicit LockModel(const Operations& operations);
  Step Apply(size_t index, const State& state, State* next) const;
  std::string Class(size_t index) const;
  // The lease ends; `bound` is the time at which the next operation has to be linearized.
  bool Expire(const State& state, int64_t bound, State* next) const;
  std::string Describe(const State& state) const;

 private:
  static bool LearnToken(int64_t token, State* state);
  bool ApplyRequest(const Operation& op, uint32_t owner, State* state) const;
  bool ApplyDoubtful(const Operation& op, uint32_t owner, State* state) const;

  Names names_;
  Operations operations_;
  std::vector<uint32_t> owners_;
};

// A string that unique elements are appended to and that is never cut. The longest read says in
// which order, so a state is how much of it is there, and how many bytes that no read has seen.
class AppendModel {
 public:
  struct State {
    int64_t bytes = 0;   // of the longest read
    int64_t beyond = 0;  // bytes behind it
    bool operator==(const State&) const = default;
    Words words() const { return {static_cast<uint64_t>(bytes), static_cast<uint64_t>(beyond)}; }
  };

  explicit AppendModel(const Operations& operations);
  Step Apply(size_t index, const State& state, State* next) const;
  std::string Class(size_t index) const;
  bool Expire(const State&, int64_t, State*) const { return false; }
  std::string Describe(const State& state) const;

 private:
  static constexpr int64_t kNowhere = -1;

  Operations operations_;
  std::string longest_;
  // For an append: the offset of its element in the longest read, or kNowhere. For a read: its
  // length, or kNowhere when it is no beginning of the longest one.
  std::vector<int64_t> places_;
};

}  // namespace holdfast::linear
