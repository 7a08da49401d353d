// The sections of INFO, each by the file that writes it. All run on the asking client's core.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "commands/info_report.h"
#include "engine/engine.h"

namespace holdfast::commands {

// What the sections are made of.
struct InfoContext {
  engine::Core& core;
  engine::Engine& engine;
  const engine::Config& config;
  const CoreReport& report;
};

// ---- info_server.cc
void WriteServer(const InfoContext& info, std::string* out);
void WriteClients(const InfoContext& info, std::string* out);
void WriteMemory(const InfoContext& info, std::string* out);
void WriteCpu(const InfoContext& info, std::string* out);
void WriteModules(const InfoContext& info, std::string* out);

// ---- info_stats.cc
void WriteStats(const InfoContext& info, std::string* out);
void WriteCommandstats(const InfoContext& info, std::string* out);
void WriteErrorstats(const InfoContext& info, std::string* out);
void WriteLatencystats(const InfoContext& info, std::string* out);

// ---- info_data.cc
void WritePersistence(const InfoContext& info, std::string* out);
void WriteReplication(const InfoContext& info, std::string* out);
void WriteRaft(const InfoContext& info, std::string* out);
void WriteCluster(const InfoContext& info, std::string* out);
void WriteKeyspace(const InfoContext& info, std::string* out);
void WriteHoldfast(const InfoContext& info, std::string* out);

// ---- Parts of sections, in info_format.cc.

// Appends one line.
template <typename... Args>
void Add(std::string* out, fmt::format_string<Args...> format, Args&&... args) {
  out->append(fmt::format(format, std::forward<Args>(args)...)).append("\r\n");
}

// "1.50M", as Redis shortens sizes.
std::string HumanBytes(uint64_t bytes);
// 40 hex digits that no other run of any node has.
std::string RunId(const engine::Engine& engine);
// Unix time of the last flush to LevelDB; at first, of the start.
int64_t LastSaveSeconds(engine::Core& core);
// A percentile without needless zeros: "50", "99.9".
std::string ShortPercentile(double percentile);
// Which sections INFO's arguments (in any case) ask for, in the order of the answer; names that
// there are none of are ignored. No argument: the default ones.
std::vector<std::string_view> SectionsFor(const std::vector<std::string>& wanted);

}  // namespace holdfast::commands
