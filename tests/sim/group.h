// Simulation of whole groups: three to five founding nodes and some spare ones in one thread, each
// of them a Node with all its disks, around them a network, clients, and whatever goes wrong, all
// from one seed.
//
//   virtual time: a queue of events. A node's turn, its disk writes, the persister and the
//   snapshots' I/O are events of their own with times of their own, so they interleave freely.
//   messages: items in frames, through the real codecs; lost, repeated, late, replayed, cut off.
//   at the end: everything is repaired, and the group has to elect, commit and converge.
//
// What must hold is in truth.h; what clients see has to be linearizable (clients.h).
#pragma once

#include <cstdint>

#include "mutants.h"
#include "report.h"

namespace holdfast::sim {

Report RunGroup(uint64_t seed, Mutant mutant);

}  // namespace holdfast::sim
