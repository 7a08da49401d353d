// MONITOR: every command, as a line to every client that watches. A line is made once, on the core
// that runs the command, and handed to each core; a monitor sees the commands of one core in their
// order, and those of different cores in the order in which they arrive.
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/redact.h"

namespace holdfast::engine {
namespace {

// Appends the line to the replies of this core's monitors. Loop thread of `core`.
void Show(Core* core, std::string_view line) {
  for (const auto& [id, client] : core->clients()) {
    if (!client->monitor || client->closing) continue;
    client->replies.Begin(nullptr)->append(line);
    client->replies.CommitReady();
    client->MarkDirty();
  }
}

std::string MakeLine(uint32_t db, std::string_view who, const Command& command, Args args,
                     int64_t now_us) {
  std::string line =
      fmt::format("+{}.{:06} [{} {}]", now_us / 1'000'000, now_us % 1'000'000, db, who);
  for (size_t i = 0; i < args.size(); ++i) {
    line += ' ';
    AppendQuoted(IsSecret(command, args, i) ? kRedacted : args[i], &line);
  }
  line += "\r\n";
  return line;
}

}  // namespace

void FeedMonitors(Core* core, uint32_t db, std::string_view who, const Command& command,
                  Args args) {
  // Administrative commands are too telling to be shown. Scripts are shown all the same.
  if (command.has(kAdmin) || (command.has(kSkipMonitor) && !ShowsItselfEarly(command))) return;
  Engine* engine = &core->engine();
  const auto line =
      std::make_shared<const std::string>(MakeLine(db, who, command, args, core->clock().WallUs()));
  Show(core, *line);
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    if (i == core->number()) continue;
    core->Post(i, [engine, i, line] { Show(&engine->core(i), *line); });
  }
}

bool ShowsItselfEarly(const Command& command) {
  return command.has(kSkipMonitor) && (command.acl & kAclScripting) != 0;
}

}  // namespace holdfast::engine
