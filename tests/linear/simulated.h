// Random histories of an object that is linearizable, and of one that isn't once.
#pragma once

#include <vector>

#include "base/rng.h"
#include "history.h"

namespace holdfast::linear {

// What goes wrong once, in the middle of a history.
enum class Fault {
  kNone,
  kStale,   // an operation is answered from the state of some time ago, and changes nothing
  kLost,    // a change is answered and not made
  kRevert,  // the object falls back to its state of some time ago
  kTwice,   // a change is made twice, and answered once
  kGhost,   // a change is made and reported as failed
  kEarly,   // a lease ends before its time
};

struct Simulation {
  ModelKind model = ModelKind::kRegister;
  int clients = 5;
  int operations = 200;
  Fault fault = Fault::kNone;
  unsigned doubt_percent = 5;   // of operations; half of them take effect, maybe late
  unsigned failed_percent = 3;  // never take effect
  unsigned values = 0;          // written to a register are one of so many; 0: all differ
};

// *happened says whether there was an occasion for the fault.
std::vector<Operation> Simulate(const Simulation& simulation, Rng* rng, bool* happened);

}  // namespace holdfast::linear
