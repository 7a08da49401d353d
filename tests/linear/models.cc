#include "models.h"

#include <algorithm>
#include <unordered_set>

#include "base/check.h"

namespace holdfast::linear {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

uint64_t Word(int64_t value) { return static_cast<uint64_t>(value); }

}  // namespace

uint32_t Names::Add(std::string_view name) {
  const auto [it, added] =
      numbers_.emplace(std::string(name), static_cast<uint32_t>(texts_.size()));
  if (added) texts_.emplace_back(name);
  return it->second;
}

bool IsObserver(const Operation& op) {
  switch (op.kind) {
    case Kind::kRead:
    case Kind::kReadRevision:
    case Kind::kInfo:
      return true;
    case Kind::kCas:
    case Kind::kCasRevision:
    case Kind::kSetIfMissing:
    case Kind::kDelete:
    case Kind::kUnlock:
    case Kind::kExtend:
      return op.outcome == Outcome::kOk && op.flag != 1;
    case Kind::kLock:
      return op.outcome == Outcome::kOk && op.seen_number == Operation::kNone;
    default:
      return false;
  }
}

bool Overwrites(const Operation& op) {
  return op.kind == Kind::kWrite || (op.kind == Kind::kDelete && op.outcome == Outcome::kInDoubt);
}

// --- Register -----------------------------------------------------------------------------------

RegisterModel::RegisterModel(const Operations& operations) {
  std::unordered_set<std::string> named;
  for (const Operation* op : operations) {
    if (op->kind == Kind::kCas) named.insert(op->expected);
    if (op->outcome == Outcome::kOk && !op->seen.empty()) named.insert(op->seen);
  }
  CHECK(names_.Add(" any value that no operation names") == kUnnamed);
  const auto number = [&](const std::string& text) {
    return text.empty() || text == kMissing ? 0u
           : named.contains(text)           ? names_.Add(text)
                                            : kUnnamed;
  };
  for (const Operation* op : operations) {
    operations_.push_back({op->kind, op->outcome == Outcome::kOk, number(op->value),
                           number(op->expected), number(op->seen), op->number, op->flag,
                           op->seen_number});
  }
}

Words RegisterModel::State::words() const { return {value, Word(revision), Word(above)}; }

bool RegisterModel::LearnRevision(int64_t revision, State* state) {
  if (revision == Operation::kNone) return true;
  if (state->value == 0) return revision == 0;
  if (state->revision != 0) return revision == state->revision;
  if (revision <= state->above) return false;
  state->revision = revision;
  return true;
}

// A conditional write that applies, or doesn't.
Step RegisterModel::ApplyIf(bool applies, const Compact& op, const State& state,
                            State* next) const {
  if (op.ok && applies != (op.flag == 1)) return Step::kNo;
  if (!op.ok && !applies) return Step::kNo;
  *next = state;
  if (applies) *next = {op.value, 0, std::max(state.above, state.revision)};
  if (op.ok && !LearnRevision(op.seen_number, next)) return Step::kNo;
  return *next == state ? Step::kSame : Step::kChanged;
}

Step RegisterModel::ApplyCasRevision(const Compact& op, const State& state, State* next) const {
  bool applies = state.revision == op.number;
  if (state.value == 0 || op.number == 0) {
    applies = state.value == 0 && op.number == 0;
  } else if (state.revision == 0) {
    applies = op.number > state.above && (!op.ok || op.flag == 1);
  }
  // What is there now has the revision compared with, and yet it was refused.
  if (op.ok && !applies && state.value != 0 && op.seen_number == op.number) return Step::kNo;
  State before = state;
  // The success of the swap is what names the revision.
  if (applies && state.value != 0) before.revision = op.number;
  const Step step = ApplyIf(applies, op, before, next);
  return step != Step::kNo && *next == state ? Step::kSame : step;
}

Step RegisterModel::Apply(size_t index, const State& state, State* next) const {
  const Compact& op = operations_[index];
  switch (op.kind) {
    case Kind::kWrite:
      *next = {op.value, 0, std::max(state.above, state.revision)};
      return Step::kChanged;
    case Kind::kRead:
      return op.ok && op.seen == state.value ? Step::kSame : Step::kNo;
    case Kind::kReadRevision:
      *next = state;
      if (!op.ok || op.seen != state.value || !LearnRevision(op.seen_number, next)) {
        return Step::kNo;
      }
      return *next == state ? Step::kSame : Step::kChanged;
    case Kind::kCas:
      return ApplyIf(state.value != 0 && state.value == op.expected, op, state, next);
    case Kind::kCasRevision:
      return ApplyCasRevision(op, state, next);
    case Kind::kSetIfMissing:
    case Kind::kDelete: {
      return ApplyIf((state.value == 0) == (op.kind == Kind::kSetIfMissing), op, state, next);
    }
    default:
      return Step::kNo;
  }
}

std::string RegisterModel::Class(size_t index) const {
  const Compact& op = operations_[index];
  return std::to_string(static_cast<int>(op.kind)) + ' ' + std::to_string(op.value) + ' ' +
         std::to_string(op.expected) + ' ' + std::to_string(op.number);
}

std::string RegisterModel::Describe(const State& state) const {
  if (state.value == 0) return "missing";
  std::string text =
      state.value == kUnnamed ? "a value that nobody reads" : names_.Text(state.value);
  if (state.revision != 0) text += ", revision " + std::to_string(state.revision);
  if (state.revision == 0 && state.above != 0) {
    text += ", a revision above " + std::to_string(state.above);
  }
  return text;
}

// --- Counter ------------------------------------------------------------------------------------

Step CounterModel::Apply(size_t index, const State& state, State* next) const {
  const Operation& op = *operations_[index];
  const bool ok = op.outcome == Outcome::kOk;
  *next = state;
  if (op.kind == Kind::kIncrement) next->value += op.number;
  if (ok && next->value != op.seen_number) return Step::kNo;
  if (*next == state) return ok ? Step::kSame : Step::kNo;
  return Step::kChanged;
}

std::string CounterModel::Class(size_t index) const {
  return std::to_string(operations_[index]->number);
}

std::string CounterModel::Describe(const State& state) const { return std::to_string(state.value); }

// --- Lock ---------------------------------------------------------------------------------------

LockModel::LockModel(const Operations& operations) : operations_(operations) {
  for (const Operation* op : operations) {
    const std::string& owner = op->kind == Kind::kInfo ? op->seen : op->value;
    owners_.push_back(owner.empty() ? 0 : names_.Add(owner));
  }
}

Words LockModel::State::words() const { return {owner, Word(token), Word(highest)}; }

bool LockModel::LearnToken(int64_t token, State* state) {
  if (state->token != 0) return token == state->token;
  if (token <= state->highest) return false;
  state->token = state->highest = token;
  return true;
}

// Whether the reply fits; changes the state.
bool LockModel::ApplyRequest(const Operation& op, uint32_t owner, State* state) const {
  const bool mine = state->owner == owner && owner != 0;
  const int64_t lease_end = state->earliest + op.number * kNsPerMs;
  switch (op.kind) {
    case Kind::kLock:
      if (op.seen_number == Operation::kNone) return state->owner != 0 && !mine;
      if (state->owner != 0 && !mine) return false;
      // The same owner keeps its token and gets at least the lease asked for.
      state->deadline = mine ? std::max(state->deadline, lease_end) : lease_end;
      if (!mine) state->token = 0;
      state->owner = owner;
      return LearnToken(op.seen_number, state);
    case Kind::kUnlock:
      if (op.flag != 1) return !mine;
      if (mine) *state = {0, 0, state->highest, 0, state->earliest};
      return mine;
    case Kind::kExtend:
      if (op.flag == 0) return state->owner == 0;
      if (op.flag == Operation::kNotOwner) return state->owner != 0 && !mine;
      if (!mine) return false;
      state->deadline = lease_end;
      return op.seen_number == Operation::kNone || LearnToken(op.seen_number, state);
    case Kind::kInfo:
      if (owner == 0) return state->owner == 0;
      return mine && (op.seen_number == Operation::kNone || LearnToken(op.seen_number, state));
    default:
      return false;
  }
}

// Whether it has an effect.
bool LockModel::ApplyDoubtful(const Operation& op, uint32_t owner, State* state) const {
  const bool mine = state->owner == owner;
  const int64_t lease_end = state->earliest + op.number * kNsPerMs;
  if (op.kind == Kind::kLock && (mine || state->owner == 0)) {
    const bool longer = !mine || lease_end > state->deadline;
    state->deadline = mine ? std::max(state->deadline, lease_end) : lease_end;
    if (!mine) state->token = 0;
    state->owner = owner;
    return longer;
  }
  if (!mine) return false;
  if (op.kind == Kind::kUnlock) *state = {0, 0, state->highest, 0, state->earliest};
  if (op.kind == Kind::kExtend) state->deadline = lease_end;
  return op.kind == Kind::kUnlock || op.kind == Kind::kExtend;
}

Step LockModel::Apply(size_t index, const State& state, State* next) const {
  const Operation& op = *operations_[index];
  *next = state;
  next->earliest = std::max(state.earliest, op.start);
  const bool fits = op.outcome == Outcome::kOk ? ApplyRequest(op, owners_[index], next)
                                               : ApplyDoubtful(op, owners_[index], next);
  if (!fits) return Step::kNo;
  return *next == state ? Step::kSame : Step::kChanged;
}

bool LockModel::Expire(const State& state, int64_t bound, State* next) const {
  if (state.owner == 0 || state.deadline > bound) return false;
  *next = {0, 0, state.highest, 0, std::max(state.earliest, state.deadline)};
  return true;
}

std::string LockModel::Class(size_t index) const {
  const Operation& op = *operations_[index];
  return std::to_string(static_cast<int>(op.kind)) + ' ' + op.value + ' ' +
         std::to_string(op.number);
}

std::string LockModel::Describe(const State& state) const {
  const std::string highest = ", highest token so far " + std::to_string(state.highest);
  if (state.owner == 0) return "free" + highest;
  const std::string token =
      state.token == 0 ? "an unknown token" : "token " + std::to_string(state.token);
  return "held by " + names_.Text(state.owner) + " with " + token + " until " +
         std::to_string(state.deadline) + " at least" + highest;
}

// --- Append -------------------------------------------------------------------------------------

AppendModel::AppendModel(const Operations& operations) : operations_(operations) {
  const auto is_read = [](const Operation* op) {
    return op->kind == Kind::kRead && op->outcome == Outcome::kOk && op->seen != kMissing;
  };
  for (const Operation* op : operations) {
    if (is_read(op) && op->seen.size() > longest_.size()) longest_ = op->seen;
  }
  for (const Operation* op : operations) {
    int64_t place = kNowhere;
    if (is_read(op)) {
      if (longest_.starts_with(op->seen)) place = static_cast<int64_t>(op->seen.size());
    } else if (op->kind == Kind::kRead) {
      place = 0;
    } else {
      const size_t at = longest_.find(op->value);
      if (at != std::string::npos) place = static_cast<int64_t>(at);
    }
    places_.push_back(place);
  }
}

Step AppendModel::Apply(size_t index, const State& state, State* next) const {
  const Operation& op = *operations_[index];
  const bool ok = op.outcome == Outcome::kOk;
  if (op.kind == Kind::kRead) {
    return ok && state.beyond == 0 && places_[index] == state.bytes ? Step::kSame : Step::kNo;
  }
  const auto length = static_cast<int64_t>(op.value.size());
  *next = state;
  if (places_[index] == kNowhere) {
    if (state.bytes != static_cast<int64_t>(longest_.size())) return Step::kNo;
    next->beyond += length;
  } else {
    if (state.beyond != 0 || places_[index] != state.bytes) return Step::kNo;
    next->bytes += length;
  }
  if (ok && next->bytes + next->beyond != op.seen_number) return Step::kNo;
  return Step::kChanged;
}

std::string AppendModel::Class(size_t index) const {
  const Operation& op = *operations_[index];
  // Of what no read has seen only the length counts.
  if (places_[index] == kNowhere) return std::to_string(op.value.size());
  return ' ' + op.value;
}

std::string AppendModel::Describe(const State& state) const {
  const auto end = static_cast<size_t>(state.bytes);
  std::string text = longest_.substr(0, end);
  if (text.size() > 60) text = "…" + text.substr(text.size() - 60);
  text = std::to_string(state.bytes) + " bytes: \"" + text + "\"";
  if (state.beyond != 0) text += " and " + std::to_string(state.beyond) + " bytes that no read saw";
  return text;
}

}  // namespace holdfast::linear
