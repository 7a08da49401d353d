#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "base/numbers.h"
#include "commands/info_sections.h"

namespace holdfast::commands {
namespace {

struct SectionRow {
  std::string_view name;
  bool by_default;
  bool in_all;
};

// In the order of the answer. "everything" is all of them.
constexpr SectionRow kSections[] = {
    {"server", true, true},      {"clients", true, true},       {"memory", true, true},
    {"persistence", true, true}, {"stats", true, true},         {"replication", true, true},
    {"cpu", true, true},         {"modules", true, false},      {"commandstats", false, true},
    {"errorstats", true, true},  {"latencystats", false, true}, {"cluster", true, true},
    {"keyspace", true, true},    {"holdfast", true, true},      {"raft", true, true},
};

}  // namespace

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + "B";
  constexpr std::string_view kUnits = "KMGTP";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.2f}{}", value, kUnits[unit]);
}

std::string RunId(const engine::Engine& engine) {
  const storage::Identity& identity = engine.identity();
  std::string id = fmt::format("{:016x}{:016x}", identity.node_id, identity.boot);
  id += fmt::format("{:08x}", static_cast<uint32_t>(Hash64(id, 0)));
  return id;
}

int64_t LastSaveSeconds(engine::Core& core) {
  const engine::Engine& engine = core.engine();
  const int64_t uptime_ms = core.clock().MonotonicMs() - engine.start_monotonic_ms();
  return std::max(engine.last_save_s.load(), (core.clock().WallMs() - uptime_ms) / 1000);
}

std::string ShortPercentile(double percentile) {
  std::string text = fmt::format("{:f}", percentile);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::vector<std::string_view> SectionsFor(const std::vector<std::string>& wanted) {
  const auto asked = [&wanted](std::string_view name) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [name](const std::string& word) { return EqualsIgnoreCase(word, name); });
  };
  const bool everything = asked("everything");
  const bool all = everything || asked("all");
  const bool by_default = wanted.empty() || asked("default");
  std::vector<std::string_view> sections;
  for (const SectionRow& row : kSections) {
    if (everything || (all && row.in_all) || (by_default && row.by_default) || asked(row.name)) {
      sections.push_back(row.name);
    }
  }
  return sections;
}

}  // namespace holdfast::commands
