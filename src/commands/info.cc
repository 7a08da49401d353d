// INFO: gathers what all cores report, then writes the sections asked for.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "commands/deferred.h"
#include "commands/info_sections.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using Section = void (*)(const InfoContext&, std::string*);

struct NamedSection {
  std::string_view name;
  Section write;
};

constexpr NamedSection kWriters[] = {
    {"server", WriteServer},
    {"clients", WriteClients},
    {"memory", WriteMemory},
    {"persistence", WritePersistence},
    {"stats", WriteStats},
    {"replication", WriteReplication},
    {"cpu", WriteCpu},
    {"modules", WriteModules},
    {"commandstats", WriteCommandstats},
    {"errorstats", WriteErrorstats},
    {"latencystats", WriteLatencystats},
    {"cluster", WriteCluster},
    {"keyspace", WriteKeyspace},
    {"holdfast", WriteHoldfast},
    {"raft", WriteRaft},
};

Section WriterOf(std::string_view name) {
  for (const NamedSection& section : kWriters) {
    if (section.name == name) return section.write;
  }
  CHECK_MSG(false, "a section of INFO has no writer");
}

}  // namespace

void Info(engine::SessionContext& ctx) {
  const std::vector<std::string> wanted(ctx.args.begin() + 1, ctx.args.end());
  const std::vector<std::string_view> sections = SectionsFor(wanted);
  const bool with_commands = std::any_of(sections.begin(), sections.end(), [](std::string_view s) {
    return s == "commandstats" || s == "latencystats";
  });
  engine::Core* core = &ctx.core;
  GatherReply<CoreReport>(
      ctx, [with_commands](engine::Core& each) { return ReadCore(each, with_commands); },
      [core, sections](std::vector<CoreReport>& reports, resp::Writer& reply) {
        const CoreReport report = MergeReports(reports);
        const InfoContext info{*core, core->engine(), core->config(), report};
        std::string text;
        for (const std::string_view section : sections) {
          if (!text.empty()) text += "\r\n";
          WriterOf(section)(info, &text);
        }
        reply.Verbatim("txt", text);
      });
}

}  // namespace holdfast::commands
