// Ways to build a node, or what is around it, wrong on purpose: each has to be caught.
#pragma once

#include <cstdint>

namespace holdfast::sim {

enum class Mutant : uint8_t {
  kNone,

  // ---- The disk.
  kAckBeforeDurable,  // completions are reported when the log was handed over
  kNoSync,            // frames are written but not synced
  kTruncateTooFar,    // log segments go although the store lacks their entries
  kStoreNotSynced,    // the log is truncated by an applied index that is not synced
  kAppliedApart,      // the applied index is written in a batch of its own, before the data
  kCollectByMemory,   // records are collected that are dead in memory but not in the store

  // ---- Groups only: what a restart finds.
  kVoteLost,             // the vote is not remembered
  kTermLost,             // the term is that of the last entry
  kTailLost,             // the last entry of the log is not there any more
  kDiskWiped,            // after a machine crash the node comes back empty, under its old id (P14)
  kMembershipForgotten,  // the store's membership is ignored: the founding one is taken
  kLearnersVote,         // a learner finds itself a voter

  // ---- What a node does.
  kGatesAtPropose,       // a write is answered when it was executed
  kReadsNotConfirmed,    // reads wait for no round
  kRoundReused,          // reads wait for a round that may have begun before them
  kReadsUncommitted,     // reads wait for their round only, not for the entries they saw
  kFollowersRead,        // a node that doesn't lead answers reads from its memory
  kMemoryKept,           // who steps down keeps what was not committed
  kRebuiltTooEarly,      // what is read again is read before the store is up to date
  kDoubtAsTryAgain,      // who steps down says that nothing was applied
  kMembershipNotStored,  // the store's membership stays the founding one
  kRevisionNotStored,    // the store does not know the largest revision
  kLoadedTooEarly,       // values are read before the store is up to date
  kEntrySkipped,         // the store misses the effects of an entry now and then
  kLeaseShort,           // leases end a tenth of a second early
  kSnapshotOfMembers,    // behind a snapshot the founding membership is in force
  kSnapshotAhead,        // a snapshot is taken for one entry more than it contains
  kSwitchForgetsMemory,  // the store is switched, the memory begins empty

  // ---- What the network does to messages that were right.
  kCommitAhead,      // commit indexes arrive too high
  kEntryTermWrong,   // entries arrive with the term of their message
  kEntryLost,        // an append arrives without its last entry and is confirmed in full
  kConfirmedUnread,  // an append is confirmed as it arrives
  kRejectionTurned,  // rejected appends come back as accepted
  kVoteTwice,        // every vote is granted
  kJointSkipped,     // the followers learn of a joint membership as the final one

  // ---- What clients do.
  kDoubtRetried,   // what is in doubt is asked again as if it had not happened
  kDoubtAsDone,    // a SET in doubt is taken for done
  kRequestsTwice,  // requests are repeated on their way
};

}  // namespace holdfast::sim
