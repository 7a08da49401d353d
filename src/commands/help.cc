#include "base/numbers.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {

void ContainerHelp(engine::SessionContext& ctx) {
  const engine::Command* container = &ctx.command;
  if (!container->parent.empty()) {
    container = ctx.core.engine().commands().Find(container->parent);
  }
  const std::span<const std::string_view> lines = container->help;
  ctx.reply.Array(lines.size() + 3);
  ctx.reply.Simple(ToUpper(container->name) +
                   " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const std::string_view line : lines) ctx.reply.Simple(line);
  ctx.reply.Simple("HELP");
  ctx.reply.Simple("    Prints this help.");
}

}  // namespace holdfast::commands
