// Random histories: right ones are accepted, wrong ones nearly always rejected, and on tiny ones
// the verdict is that of a search that tries everything.
#include <algorithm>
#include <array>

#include "checker.h"
#include "simulated.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::linear {
namespace {

constexpr std::array kModels = {ModelKind::kRegister, ModelKind::kCounter, ModelKind::kLock,
                                ModelKind::kAppend};

std::string Text(const std::vector<Operation>& history) {
  std::string text;
  for (const Operation& op : history) text += Format(op) + '\n';
  return text;
}

TEST_CASE("histories of a linearizable object are accepted") {
  for (const ModelKind model : kModels) {
    for (uint64_t seed = 0; seed < 150; ++seed) {
      Rng rng(seed);
      Simulation simulation;
      simulation.model = model;
      simulation.clients = 2 + static_cast<int>(seed % 9);
      simulation.operations = 50 + static_cast<int>(rng.Below(400));
      simulation.doubt_percent = static_cast<unsigned>(rng.Below(12));
      simulation.values = seed % 3 == 0 ? 4 : 0;
      bool happened = false;
      const auto history = Simulate(simulation, &rng, &happened);
      CHECK(!happened);
      INFO("model " << static_cast<int>(model) << ", seed " << seed);
      CHECK(CheckVerdict(history) == Verdict::kLinearizable);
    }
  }
}

// The share of histories with the fault that are rejected.
double RejectedShare(ModelKind model, Fault fault, int* faults) {
  int rejected = 0;
  *faults = 0;
  for (uint64_t seed = 0; seed < 80; ++seed) {
    Rng rng(seed);
    Simulation simulation;
    simulation.model = model;
    simulation.clients = 2;
    simulation.fault = fault;
    // An operation in doubt may explain what a fault did.
    simulation.doubt_percent = 0;
    bool happened = false;
    const auto history = Simulate(simulation, &rng, &happened);
    if (!happened) continue;
    const Verdict verdict = CheckVerdict(history);
    CHECK(verdict != Verdict::kUndecided);
    ++*faults;
    if (verdict == Verdict::kViolation) ++rejected;
  }
  return *faults == 0 ? 0 : static_cast<double>(rejected) / *faults;
}

TEST_CASE("one fault in a history is found") {
  struct Case {
    ModelKind model;
    Fault fault;
    double share;  // that no later operation saw is none: registers are overwritten a lot
  };
  constexpr Case kCases[] = {
      {ModelKind::kRegister, Fault::kStale, 0.85},  {ModelKind::kRegister, Fault::kLost, 0.5},
      {ModelKind::kRegister, Fault::kRevert, 0.75}, {ModelKind::kRegister, Fault::kGhost, 0.2},
      {ModelKind::kCounter, Fault::kStale, 0.95},   {ModelKind::kCounter, Fault::kLost, 0.95},
      {ModelKind::kCounter, Fault::kRevert, 0.95},  {ModelKind::kCounter, Fault::kTwice, 0.95},
      {ModelKind::kCounter, Fault::kGhost, 0.95},   {ModelKind::kLock, Fault::kEarly, 0.85},
      {ModelKind::kLock, Fault::kStale, 0.8},       {ModelKind::kLock, Fault::kRevert, 0.85},
      {ModelKind::kAppend, Fault::kStale, 0.95},    {ModelKind::kAppend, Fault::kLost, 0.95},
      {ModelKind::kAppend, Fault::kRevert, 0.95},   {ModelKind::kAppend, Fault::kTwice, 0.95},
      {ModelKind::kAppend, Fault::kGhost, 0.95},
  };
  for (const Case& each : kCases) {
    int faults = 0;
    const double share = RejectedShare(each.model, each.fault, &faults);
    INFO("model " << static_cast<int>(each.model) << ", fault " << static_cast<int>(each.fault));
    INFO(share << " of " << faults);
    CHECK(faults > 20);
    CHECK(share >= each.share);
  }
}

// All orders, each operation in doubt at any place or nowhere, without memory and without
// shortcuts.
template <typename Model>
bool BruteForce(const Model& model, const Operations& operations, std::vector<bool>* used,
                const typename Model::State& state) {
  int64_t first_end = kNever;
  bool complete = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((*used)[i] || operations[i]->outcome != Outcome::kOk) continue;
    complete = false;
    first_end = std::min(first_end, operations[i]->end);
  }
  if (complete) return true;
  typename Model::State next;
  if (model.Expire(state, first_end, &next) && BruteForce(model, operations, used, next))
    return true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((*used)[i] || operations[i]->start > first_end) continue;
    const Step step = model.Apply(i, state, &next);
    if (step == Step::kNo) continue;
    (*used)[i] = true;
    if (BruteForce(model, operations, used, step == Step::kSame ? state : next)) return true;
    (*used)[i] = false;
  }
  return false;
}

template <typename Model>
bool BruteForce(const std::vector<Operation>& history) {
  Operations operations;
  for (const Operation& op : history) {
    if (op.outcome != Outcome::kFailed) operations.push_back(&op);
  }
  std::vector<bool> used(operations.size());
  return BruteForce(Model(operations), operations, &used, typename Model::State());
}

bool BruteForce(ModelKind model, const std::vector<Operation>& history) {
  switch (model) {
    case ModelKind::kRegister:
      return BruteForce<RegisterModel>(history);
    case ModelKind::kCounter:
      return BruteForce<CounterModel>(history);
    case ModelKind::kLock:
      return BruteForce<LockModel>(history);
    default:
      return BruteForce<AppendModel>(history);
  }
}

// Some replies are exchanged for others.
void Disturb(std::vector<Operation>* history, Rng* rng) {
  for (Operation& op : *history) {
    if (op.outcome != Outcome::kOk || !rng->Chance(1, 4)) continue;
    const Operation& other = (*history)[rng->Below(history->size())];
    if (op.flag < Operation::kNotOwner && rng->Chance(1, 3)) op.flag = 1 - op.flag;
    if (!op.seen.empty() && !other.seen.empty()) op.seen = other.seen;
    if (op.kind == other.kind && op.outcome == other.outcome) op.seen_number = other.seen_number;
  }
}

TEST_CASE("tiny histories get the verdict of a search through everything") {
  for (const ModelKind model : kModels) {
    int accepted = 0;
    int rejected = 0;
    for (uint64_t seed = 0; seed < 1500; ++seed) {
      Rng rng(seed + 7'000'000);
      Simulation simulation;
      simulation.model = model;
      simulation.clients = 3;
      simulation.operations = 8;
      simulation.doubt_percent = 25;
      simulation.values = 2;
      bool happened = false;
      auto history = Simulate(simulation, &rng, &happened);
      if (seed % 2 == 0) Disturb(&history, &rng);
      const bool expected = BruteForce(model, history);
      ++(expected ? accepted : rejected);
      const Verdict verdict = CheckVerdict(history);
      if ((verdict == Verdict::kLinearizable) != expected) {
        FAIL("seed " << seed << ": brute force says " << expected << " of\n" << Text(history));
      }
    }
    MESSAGE("model " << static_cast<int>(model) << ": " << accepted << " accepted, " << rejected
                     << " rejected");
    CHECK(accepted > 500);
    CHECK(rejected > 50);
  }
}

TEST_CASE("a history survives being written and read") {
  for (const ModelKind model : kModels) {
    Rng rng(1);
    Simulation simulation;
    simulation.model = model;
    bool happened = false;
    for (const Operation& op : Simulate(simulation, &rng, &happened)) {
      const auto read = ParseOperation(Format(op));
      INFO(Format(op));
      REQUIRE(read.ok());
      CHECK(Format(read.value()) == Format(op));
    }
  }
}

}  // namespace
}  // namespace holdfast::linear
