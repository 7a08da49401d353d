// MONITOR. What its clients are shown is made in engine/monitor.cc.
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {

void Monitor(engine::SessionContext& ctx) {
  if (!ctx.client.monitor) {
    ctx.client.monitor = true;
    ctx.core.engine().monitors.fetch_add(1);
  }
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
