// What a simulated run has done and found.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/hash.h"

namespace holdfast::sim {

enum class Count : uint8_t {
  kEvents,
  kCommands,
  kEntries,
  kProcessCrashes,
  kMachineCrashes,
  kDiskFaults,
  // Of groups only:
  kTerms,
  kMessages,
  kMessagesLost,
  kMessagesRepeated,
  kMessagesReplayed,
  kCuts,
  kPauses,
  kClockJumps,
  kTransfers,
  kMembershipChanges,
  kSnapshotsSent,
  kSnapshotsInstalled,
  kSwitchesInterrupted,
  kStepDowns,
  kOperationsOk,
  kOperationsFailed,
  kOperationsInDoubt,
  kHistories,
  kStatesCompared,
  kCount,
};

struct Report {
  std::array<uint64_t, static_cast<size_t>(Count::kCount)> counts{};
  uint64_t digest = 0;    // of everything that happened, to compare two runs
  std::string violation;  // empty: none

  uint64_t& operator[](Count count) { return counts[static_cast<size_t>(count)]; }
  uint64_t operator[](Count count) const { return counts[static_cast<size_t>(count)]; }
  void Add(const Report& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  }
  void Note(uint64_t what) { digest = Hash64({reinterpret_cast<const char*>(&what), 8}, digest); }
  // The first violation counts.
  void Violation(std::string what) {
    if (violation.empty()) violation = std::move(what);
  }
};

}  // namespace holdfast::sim
