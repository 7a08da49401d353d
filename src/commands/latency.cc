// LATENCY: each core keeps its own samples; what clients see is all of them together.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "commands/command_lookup.h"
#include "commands/deferred.h"
#include "commands/info_report.h"
#include "commands/latency_report.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::SessionContext;

// The range of LATENCY HISTOGRAM's buckets: from about 1 microsecond, each twice the one before.
constexpr uint64_t kFirstBucketNs = 1024;
constexpr int kHistogramBuckets = 40;

// Gathers all cores' events and replies what `answer` writes of them.
void GatherEvents(SessionContext& ctx,
                  std::function<void(const LatencyEvents&, resp::Writer&)> answer) {
  GatherReply<LatencyEvents>(
      ctx, [](Core& core) { return core.latency().events(); },
      [answer = std::move(answer)](std::vector<LatencyEvents>& results, resp::Writer& reply) {
        answer(MergeEvents(results), reply);
      });
}

void WriteHistogram(const engine::Command& command, const engine::CommandStats& stats,
                    resp::Writer& reply) {
  reply.Bulk(FullName(command));
  reply.Map(2);
  reply.Bulk("calls");
  reply.Integer(static_cast<int64_t>(stats.latency.count()));
  reply.Bulk("histogram_usec");
  const size_t mark = reply.Mark();
  size_t shown = 0;
  uint64_t before = 0;
  for (int i = 0; i < kHistogramBuckets && before < stats.latency.count(); ++i) {
    const uint64_t upto_ns = kFirstBucketNs << i;
    const uint64_t count = stats.latency.CountUpTo(upto_ns);
    if (count == before) continue;
    reply.Integer(static_cast<int64_t>(upto_ns / 1000));
    reply.Integer(static_cast<int64_t>(count));
    before = count;
    ++shown;
  }
  reply.MapAt(mark, shown);
}

// The rows whose histograms are asked for: of a container, those of its subcommands too.
std::vector<uint32_t> WantedRows(const engine::CommandTable& table, engine::Args names) {
  std::set<uint32_t> ids;
  if (names.empty()) {
    for (uint32_t id = 0; id < table.size(); ++id) ids.insert(id);
  }
  for (const std::string_view name : names) {
    const engine::Command* command = LookUpName(table, name);
    if (command == nullptr) continue;
    ids.insert(command->id);
    for (const engine::Command& subcommand : command->subcommands) ids.insert(subcommand.id);
  }
  return {ids.begin(), ids.end()};
}

}  // namespace

void LatencyLatest(SessionContext& ctx) {
  GatherEvents(ctx, [](const LatencyEvents& events, resp::Writer& reply) {
    reply.Array(events.size());
    for (const auto& [name, event] : events) {
      reply.Array(4);
      reply.Bulk(name);
      reply.Integer(event.samples.back().unix_s);
      reply.Integer(event.samples.back().ms);
      reply.Integer(event.max_ms);
    }
  });
}

void LatencyHistory(SessionContext& ctx) {
  GatherEvents(ctx,
               [name = std::string(ctx.args[2])](const LatencyEvents& events, resp::Writer& reply) {
                 const auto event = events.find(name);
                 if (event == events.end()) {
                   reply.Array(0);
                   return;
                 }
                 reply.Array(event->second.samples.size());
                 for (const auto& sample : event->second.samples) {
                   reply.Array(2);
                   reply.Integer(sample.unix_s);
                   reply.Integer(sample.ms);
                 }
               });
}

void LatencyReset(SessionContext& ctx) {
  const std::vector<std::string> names(ctx.args.begin() + 2, ctx.args.end());
  // The names of the events that were there: one that two cores have counts once.
  using Names = std::set<std::string>;
  GatherReply<Names>(
      ctx,
      [names](Core& core) {
        Names reset;
        for (const auto& [name, event] : core.latency().events()) {
          if (names.empty() || std::find(names.begin(), names.end(), name) != names.end()) {
            reset.insert(name);
          }
        }
        for (const std::string& name : reset) core.latency().Reset(name);
        return reset;
      },
      [](std::vector<Names>& results, resp::Writer& reply) {
        Names all;
        for (const Names& some : results) all.insert(some.begin(), some.end());
        reply.Integer(static_cast<int64_t>(all.size()));
      });
}

void LatencyGraph(SessionContext& ctx) {
  const int64_t now_s = ctx.core.clock().WallMs() / 1000;
  GatherEvents(ctx, [now_s, name = std::string(ctx.args[2])](const LatencyEvents& events,
                                                             resp::Writer& reply) {
    const auto event = events.find(name);
    if (event == events.end()) {
      reply.Error("ERR No samples available for event '" + name + "'");
    } else {
      reply.Verbatim("txt", DrawLatencyGraph(name, event->second, now_s));
    }
  });
}

void LatencyDoctor(SessionContext& ctx) {
  const int64_t threshold_ms = ctx.core.config().latency_monitor_threshold_ms;
  GatherEvents(ctx, [threshold_ms](const LatencyEvents& events, resp::Writer& reply) {
    reply.Verbatim("txt", DiagnoseLatency(events, threshold_ms));
  });
}

void LatencyHistogram(SessionContext& ctx) {
  engine::Engine* engine = &ctx.core.engine();
  const std::vector<uint32_t> ids = WantedRows(engine->commands(), ctx.args.subspan(2));
  GatherReply<CoreReport>(
      ctx, [](Core& core) { return ReadCore(core, true); },
      [engine, ids](std::vector<CoreReport>& reports, resp::Writer& reply) {
        const CoreReport all = MergeReports(reports);
        const size_t mark = reply.Mark();
        size_t shown = 0;
        for (const uint32_t id : ids) {
          const engine::CommandStats& stats = all.stats.commands[id];
          if (stats.latency.count() == 0) continue;
          WriteHistogram(engine->commands().ById(id), stats, reply);
          ++shown;
        }
        reply.MapAt(mark, shown);
      });
}

}  // namespace holdfast::commands
