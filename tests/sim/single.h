// Simulation of one node that is alone: WAL, raft core, partitions and stores, with crashes of
// process and machine and failing disks.
//
// After every crash the recovered state has to be exactly what the entries up to the last recovered
// one make, and none that was acknowledged may be missing.
#pragma once

#include <cstdint>

#include "mutants.h"
#include "report.h"

namespace holdfast::sim {

Report RunSingle(uint64_t seed, Mutant mutant);

}  // namespace holdfast::sim
