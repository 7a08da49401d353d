#include "simulated.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <queue>

#include "base/check.h"
#include "models.h"

namespace holdfast::linear {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

// All four objects in one; an operation uses its own part.
struct Object {
  std::string value{kMissing};
  int64_t revision = 0;
  int64_t clock = 0;  // the last revision or token given
  int64_t counter = 0;
  std::string owner;
  int64_t token = 0;
  int64_t deadline = 0;
  std::string text;

  // Performs the operation at the time `now` and fills in its reply.
  void Apply(Operation* op, int64_t now) {
    if (!owner.empty() && now >= deadline) owner.clear();
    switch (op->model) {
      case ModelKind::kRegister:
        return ApplyRegister(op);
      case ModelKind::kCounter:
        if (op->kind == Kind::kIncrement) counter += op->number;
        op->seen_number = counter;
        return;
      case ModelKind::kLock:
        return ApplyLock(op, now);
      case ModelKind::kAppend:
        if (op->kind == Kind::kAppend) text += op->value;
        op->seen = text.empty() ? std::string(kMissing) : text;
        if (op->kind == Kind::kAppend) op->seen_number = static_cast<int64_t>(text.size());
        return;
    }
  }

  void ApplyRegister(Operation* op) {
    const bool missing = value == kMissing;
    bool applies = true;
    if (op->kind == Kind::kCas) applies = !missing && value == op->expected;
    if (op->kind == Kind::kCasRevision) applies = op->number == (missing ? 0 : revision);
    if (op->kind == Kind::kSetIfMissing) applies = missing;
    if (op->kind == Kind::kDelete) applies = !missing;
    if (op->kind == Kind::kRead || op->kind == Kind::kReadRevision) {
      applies = false;
      op->seen = value;
    }
    op->flag = applies ? 1 : 0;
    if (applies) {
      value = op->kind == Kind::kDelete ? std::string(kMissing) : op->value;
      revision = ++clock;
    }
    const bool tells =
        op->kind == Kind::kReadRevision || op->kind == Kind::kCas || op->kind == Kind::kCasRevision;
    if (tells) op->seen_number = value == kMissing ? 0 : revision;
  }

  void ApplyLock(Operation* op, int64_t now) {
    const bool mine = owner == op->value && !owner.empty();
    const int64_t lease_end = now + op->number * kNsPerMs;
    switch (op->kind) {
      case Kind::kLock:
        op->seen_number = Operation::kNone;
        if (!owner.empty() && !mine) return;
        deadline = mine ? std::max(deadline, lease_end) : lease_end;
        if (!mine) token = ++clock;
        owner = op->value;
        op->seen_number = token;
        return;
      case Kind::kUnlock:
        op->flag = mine ? 1 : 0;
        if (mine) owner.clear();
        return;
      case Kind::kExtend:
        op->flag = mine ? 1 : owner.empty() ? 0 : Operation::kNotOwner;
        op->seen_number = mine ? token : Operation::kNone;
        if (mine) deadline = lease_end;
        return;
      default:
        op->seen = owner.empty() ? std::string(kMissing) : owner;
        op->seen_number = owner.empty() ? Operation::kNone : token;
    }
  }
};

struct Event {
  enum class Type { kStart, kEffect, kEnd };
  int64_t time;
  Type type;
  int client;
  int operation;
  bool operator>(const Event& other) const { return time > other.time; }
};

class Simulator {
 public:
  Simulator(const Simulation& simulation, Rng* rng) : simulation_(simulation), rng_(rng) {
    known_.resize(static_cast<size_t>(simulation.clients));
    for (int i = 0; i < simulation.clients; ++i) Start(Pause(), i);
  }

  std::vector<Operation> Run(bool* happened) {
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      if (event.type == Event::Type::kStart) Begin(event);
      if (event.type == Event::Type::kEffect) TakeEffect(event);
      if (event.type == Event::Type::kEnd) End(event);
    }
    *happened = happened_;
    return std::move(history_);
  }

 private:
  int64_t Pause() { return static_cast<int64_t>(rng_->Below(kNsPerMs)) + 1; }
  void Start(int64_t time, int client) { events_.push({time, Event::Type::kStart, client, -1}); }

  void Begin(const Event& event) {
    if (static_cast<int>(history_.size()) >= simulation_.operations) return;
    const int number = static_cast<int>(history_.size());
    Operation op;
    op.model = simulation_.model;
    op.key = "k";
    op.client = "c" + std::to_string(event.client);
    op.start = event.time;
    Choose(event.client, number, &op);
    const uint64_t luck = rng_->Below(100);
    int64_t effect = event.time + Pause();
    const int64_t end = effect + Pause();
    if (luck < simulation_.failed_percent) op.outcome = Outcome::kFailed;
    bool takes_effect = op.outcome == Outcome::kOk;
    if (luck >= 100 - simulation_.doubt_percent) {
      op.outcome = Outcome::kInDoubt;
      takes_effect = rng_->Chance(1, 2);
      if (rng_->Chance(1, 2)) effect += 20 * Pause();
    }
    op.end = op.outcome == Outcome::kInDoubt ? kNever : end;
    history_.push_back(op);
    const bool is_ghost = op.outcome == Outcome::kFailed && WantsFault(Fault::kGhost, op);
    if (is_ghost) happened_ = true;
    if (takes_effect || is_ghost) {
      events_.push({effect, Event::Type::kEffect, event.client, number});
    }
    events_.push({end, Event::Type::kEnd, event.client, number});
  }

  void Choose(int client, int number, Operation* op) {
    const Operation& last = known_[static_cast<size_t>(client)];
    const uint64_t choice = rng_->Below(10);
    const std::string unique = "c" + std::to_string(client) + "-" + std::to_string(number) + ";";
    switch (simulation_.model) {
      case ModelKind::kRegister: {
        constexpr Kind kKinds[] = {Kind::kWrite, Kind::kWrite,        Kind::kRead,
                                   Kind::kRead,  Kind::kReadRevision, Kind::kReadRevision,
                                   Kind::kCas,   Kind::kCasRevision,  Kind::kSetIfMissing,
                                   Kind::kDelete};
        op->kind = kKinds[choice];
        if (op->kind != Kind::kRead && op->kind != Kind::kReadRevision &&
            op->kind != Kind::kDelete) {
          op->value = simulation_.values == 0
                          ? unique
                          : "v" + std::to_string(rng_->Below(simulation_.values));
        }
        if (op->kind == Kind::kCas) op->expected = last.seen.empty() ? kMissing : last.seen;
        if (op->kind == Kind::kCasRevision) op->number = std::max<int64_t>(last.seen_number, 0);
        return;
      }
      case ModelKind::kCounter:
        op->kind = choice < 6 ? Kind::kIncrement : Kind::kRead;
        op->number = op->kind == Kind::kIncrement ? (rng_->Chance(1, 4) ? 5 : 1) : 0;
        return;
      case ModelKind::kLock: {
        constexpr Kind kKinds[] = {Kind::kLock,   Kind::kLock,   Kind::kLock,   Kind::kLock,
                                   Kind::kUnlock, Kind::kUnlock, Kind::kUnlock, Kind::kExtend,
                                   Kind::kInfo,   Kind::kInfo};
        op->kind = kKinds[choice];
        if (op->kind != Kind::kInfo) op->value = op->client;
        if (op->kind == Kind::kLock || op->kind == Kind::kExtend) {
          op->number = 6 * (1 + static_cast<int64_t>(rng_->Below(3)));
        }
        return;
      }
      case ModelKind::kAppend:
        op->kind = choice < 6 ? Kind::kAppend : Kind::kRead;
        if (op->kind == Kind::kAppend) op->value = unique;
        return;
    }
  }

  bool WantsFault(Fault fault, const Operation& op) const {
    return fault == simulation_.fault && !happened_ && !IsObserver(op) &&
           2 * static_cast<int>(history_.size()) > simulation_.operations;
  }

  // The state of a while ago: older than any operation that is still under way.
  std::optional<Object> Old(int64_t now) const {
    for (auto it = past_.rbegin(); it != past_.rend(); ++it) {
      if (it->first < now - 4 * kNsPerMs) return it->second;
    }
    return std::nullopt;
  }

  void TakeEffect(const Event& event) {
    Operation& op = history_[static_cast<size_t>(event.operation)];
    past_.emplace_back(event.time, object_);
    if (past_.size() > 1000) past_.pop_front();
    const bool late = 2 * static_cast<int>(history_.size()) > simulation_.operations;
    const bool is_due = late && !happened_ && op.outcome == Outcome::kOk;
    Object other = object_;
    if (is_due) {
      const std::optional<Object> old = Old(event.time);
      if (simulation_.fault == Fault::kStale && old) other = *old;
      if (simulation_.fault == Fault::kRevert && old) object_ = *old;
      if (simulation_.fault == Fault::kEarly && !object_.owner.empty() &&
          object_.owner != op.value && op.kind == Kind::kLock &&
          object_.deadline > event.time + 3 * kNsPerMs) {
        object_.owner.clear();
        happened_ = true;
      }
    }
    Operation right = op;
    other.Apply(&right, event.time);
    Operation answer = op;
    Object before = object_;
    object_.Apply(&answer, event.time);
    if (is_due) {
      const bool differs = Format(answer) != Format(right);
      const bool changes = op.kind != Kind::kRead && !IsObserver(answer);
      if (simulation_.fault == Fault::kStale && differs) {
        answer = right;
        object_ = before;
        happened_ = true;
      }
      if (simulation_.fault == Fault::kRevert && differs) happened_ = true;
      if (simulation_.fault == Fault::kLost && changes) {
        object_ = before;
        happened_ = true;
      }
      if (simulation_.fault == Fault::kTwice && changes) {
        Operation again = op;
        object_.Apply(&again, event.time);
        happened_ = true;
      }
    }
    if (op.outcome == Outcome::kOk) op = answer;
  }

  void End(const Event& event) {
    const Operation& op = history_[static_cast<size_t>(event.operation)];
    if (op.outcome == Outcome::kOk && op.kind == Kind::kReadRevision) {
      known_[static_cast<size_t>(event.client)] = op;
    }
    Start(event.time + Pause(), event.client);
  }

  const Simulation simulation_;
  Rng* rng_;
  Object object_;
  std::deque<std::pair<int64_t, Object>> past_;
  std::vector<Operation> known_;  // by client: its last read with a revision
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<Operation> history_;
  bool happened_ = false;
};

}  // namespace

std::vector<Operation> Simulate(const Simulation& simulation, Rng* rng, bool* happened) {
  return Simulator(simulation, rng).Run(happened);
}

}  // namespace holdfast::linear
