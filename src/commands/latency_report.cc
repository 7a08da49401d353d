#include "commands/latency_report.h"

#include <algorithm>

#include "base/log.h"

namespace holdfast::commands {
namespace {

using engine::LatencyMonitor;

constexpr size_t kMaxSamples = 160;
constexpr size_t kColumns = 80;
constexpr int64_t kChartRows = 4;

std::string Ago(int64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

}  // namespace

LatencyEvents MergeEvents(const std::vector<LatencyEvents>& cores) {
  LatencyEvents merged;
  std::map<std::string, std::map<int64_t, int64_t>> seconds;  // event, unix time: ms
  for (const LatencyEvents& events : cores) {
    for (const auto& [name, event] : events) {
      merged[name].max_ms = std::max(merged[name].max_ms, event.max_ms);
      for (const auto& sample : event.samples) {
        int64_t& ms = seconds[name][sample.unix_s];
        ms = std::max(ms, sample.ms);
      }
    }
  }
  for (auto& [name, event] : merged) {
    for (const auto& [unix_s, ms] : seconds[name]) event.samples.push_back({unix_s, ms});
    while (event.samples.size() > kMaxSamples) event.samples.pop_front();
  }
  return merged;
}

std::string DrawLatencyGraph(std::string_view name, const LatencyMonitor::Event& event,
                             int64_t now_s) {
  const size_t count = std::min(event.samples.size(), kColumns);
  std::vector<LatencyMonitor::Sample> samples(event.samples.end() - static_cast<ptrdiff_t>(count),
                                              event.samples.end());
  const auto [low, high] = std::minmax_element(
      samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.ms < b.ms; });
  std::string graph = fmt::format("{} - high {} ms, low {} ms (all time high {} ms)\n", name,
                                  high->ms, low->ms, event.max_ms);
  graph += std::string(kColumns, '-') + "\n";
  const int64_t span = std::max<int64_t>(1, high->ms - low->ms);
  for (int64_t row = kChartRows; row > 0; --row) {
    std::string line;
    for (const auto& sample : samples) {
      // At least one row is filled, all of them at the highest.
      const int64_t filled = 1 + (sample.ms - low->ms) * (kChartRows - 1) / span;
      line += filled > row ? '|' : filled == row ? '#' : ' ';
    }
    line.erase(line.find_last_not_of(' ') + 1);
    graph += line + "\n";
  }
  // The labels are written downwards.
  std::vector<std::string> labels;
  size_t longest = 0;
  for (const auto& sample : samples) {
    labels.push_back(Ago(std::max<int64_t>(0, now_s - sample.unix_s)));
    longest = std::max(longest, labels.back().size());
  }
  graph += "\n";
  for (size_t i = 0; i < longest; ++i) {
    for (const std::string& label : labels) graph += i < label.size() ? label[i] : ' ';
    graph += "\n";
  }
  return graph;
}

std::string DiagnoseLatency(const LatencyEvents& events, int64_t threshold_ms) {
  if (threshold_ms == 0) {
    return "Nothing is recorded: latency monitoring is off. CONFIG SET latency-monitor-threshold "
           "<milliseconds> turns it on; a good first value is the longest delay that your clients "
           "can put up with.\n";
  }
  if (events.empty()) {
    return fmt::format("No event has taken {} ms or longer since monitoring began.\n",
                       threshold_ms);
  }
  std::string report = fmt::format("Events of {} ms and more:\n\n", threshold_ms);
  int number = 1;
  for (const auto& [name, event] : events) {
    int64_t sum = 0;
    for (const auto& sample : event.samples) sum += sample.ms;
    const auto count = static_cast<int64_t>(event.samples.size());
    const int64_t period_s =
        (event.samples.back().unix_s - event.samples.front().unix_s) / std::max<int64_t>(1, count);
    report +=
        fmt::format("{}. {}: {} spikes, {} ms on average, {} ms at most, one in {} seconds.\n",
                    number++, name, count, sum / count, event.max_ms, period_s);
  }
  report += "\nAdvice:\n\n";
  if (events.contains("command") || events.contains("fast-command")) {
    report +=
        "- SLOWLOG GET names the commands. Those that look at many keys at once (KEYS, large MGET, "
        "MSET, BITOP) hold up everybody else on their core.\n";
  }
  if (events.contains("fast-command")) {
    report +=
        "- Commands that should be quick were slow. The machine may be short of CPU, swap, or run "
        "in a virtual machine that is not given its time.\n";
  }
  if (events.contains("expire-cycle")) {
    report +=
        "- Many keys expired at the same time. Spread their times, or lower active-expire-effort, "
        "so that fewer are deleted at once.\n";
  }
  if (events.contains("expire-del") || events.contains("eviction-del")) {
    report += "- Deleting a single key took long: a collection of many long elements.\n";
  }
  if (events.contains("eviction-cycle")) {
    report +=
        "- Writes had to wait until keys were evicted. A larger maxmemory, or shorter lives of "
        "keys, makes room before it is needed.\n";
  }
  report +=
      "- LATENCY HISTOGRAM shows how the times of each command are spread, INFO holdfast how long "
      "the turns of each core took.\n";
  return report;
}

}  // namespace holdfast::commands
