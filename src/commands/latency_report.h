// What LATENCY makes of its samples.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/slowlog.h"

namespace holdfast::commands {

using LatencyEvents = std::map<std::string, engine::LatencyMonitor::Event, std::less<>>;

// All cores' events as one: samples of the same second become the largest of them, and of each
// event the newest 160 stay.
LatencyEvents MergeEvents(const std::vector<LatencyEvents>& cores);

// The samples as columns, the oldest on the left, with how long ago each was. REQUIRES: the event
// has a sample.
std::string DrawLatencyGraph(std::string_view name, const engine::LatencyMonitor::Event& event,
                             int64_t now_s);

// A report for people. `threshold_ms` 0: nothing is being recorded.
std::string DiagnoseLatency(const LatencyEvents& events, int64_t threshold_ms);

}  // namespace holdfast::commands
