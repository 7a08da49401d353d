// Replies that take all cores: work on each of them, one answer on the client's own.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {

// Delivers a deferred reply. An error that came up after the handler returned is counted here,
// where the dispatcher can't see it any more. On the client's core.
inline void DeliverDeferred(engine::Core& core, const engine::Command& command,
                            const engine::ReplyAddress& address, std::string bytes) {
  if (!bytes.empty() && bytes[0] == '-') {
    engine::CoreStats& stats = *core.stats();
    ++stats.commands[command.id].failed;
    stats.CountError(std::string_view(bytes).substr(1, bytes.find('\r') - 1));
  }
  core.Deliver(address, std::move(bytes));
}

// Defers the reply, runs `work` on every core, and replies what `answer` makes of the results (one
// a core, in the cores' order) on the client's core. The client takes no further request meanwhile.
template <typename T>
void GatherReply(engine::SessionContext& ctx, std::function<T(engine::Core&)> work,
                 std::function<void(std::vector<T>&, resp::Writer&)> answer) {
  engine::Core* home = &ctx.core;
  home->engine().Gather<T>(
      *home, std::move(work),
      [home, address = ctx.Defer(), command = &ctx.command, protocol = ctx.client.protocol,
       answer = std::move(answer)](std::vector<T> results) {
        std::string bytes;
        resp::Writer writer(&bytes, protocol);
        answer(results, writer);
        DeliverDeferred(*home, *command, address, std::move(bytes));
      });
}

// As GatherReply, for work without a result; the reply is `simple` (such as "OK").
inline void OnAllCores(engine::SessionContext& ctx, std::function<void(engine::Core&)> work,
                       std::string_view simple = "OK") {
  GatherReply<char>(
      ctx,
      [work = std::move(work)](engine::Core& core) {
        work(core);
        return '\0';
      },
      [simple = std::string(simple)](std::vector<char>&, resp::Writer& reply) {
        reply.Simple(simple);
      });
}

}  // namespace holdfast::commands
