// TIME, LASTSAVE, SAVE, BGSAVE, SHUTDOWN, ROLE, WAIT, WAITAOF and LOLWUT.
#include <string>

#include "base/numbers.h"
#include "commands/deferred.h"
#include "commands/info_sections.h"
#include "commands/lolwut.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::Engine;
using engine::SessionContext;

constexpr std::string_view kSaveInProgress = "ERR Background save already in progress";

// Flushes all stores; `done` runs on `home` when what was committed before is in them. A store that
// can't be written ends the process (PITFALLS P52), so there is no failure to report.
void StartSave(Core& home, std::function<void()> done) {
  Engine* engine = &home.engine();
  engine->save_begin_ms.store(home.clock().MonotonicMs());
  engine->Gather<uint64_t>(
      home, [](Core& core) { return core.stats()->effects; },
      [engine, &home, done = std::move(done)](std::vector<uint64_t> effects) {
        FlushStores(home, [engine, &home, effects = std::move(effects), done] {
          OnAllCores(
              home,
              [effects](Core& core) { core.stats()->effects_at_save = effects[core.number()]; },
              [engine, &home, done] {
                engine->last_save_took_ms.store(home.clock().MonotonicMs() -
                                                engine->save_begin_ms.load());
                engine->saves.fetch_add(1);
                engine->saving.store(false);
                done();
              });
        });
      });
}

}  // namespace

void Time(SessionContext& ctx) {
  const int64_t now_us = ctx.core.clock().WallUs();
  ctx.reply.Array(2);
  ctx.reply.BulkInteger(now_us / 1'000'000);
  ctx.reply.BulkInteger(now_us % 1'000'000);
}

void Lastsave(SessionContext& ctx) { ctx.reply.Integer(LastSaveSeconds(ctx.core)); }

void Save(SessionContext& ctx) {
  if (ctx.core.engine().saving.exchange(true)) {
    ctx.Error(kSaveInProgress);
    return;
  }
  StartSave(ctx.core, [deferred = Deferred::Make(ctx)] { deferred->FinishOk(); });
}

void Bgsave(SessionContext& ctx) {
  const bool schedule = ctx.args.size() == 2 && EqualsIgnoreCase(ctx.args[1], "schedule");
  if (ctx.args.size() > 1 && !schedule) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (ctx.core.engine().saving.exchange(true)) {
    ctx.Error(kSaveInProgress);
    return;
  }
  StartSave(ctx.core, [] {});
  ctx.reply.Simple("Background saving started");
}

void Shutdown(SessionContext& ctx) {
  bool save = false;
  bool nosave = false;
  bool other = false;
  bool abort = false;
  for (const std::string_view arg : ctx.args.subspan(1)) {
    if (EqualsIgnoreCase(arg, "nosave")) {
      nosave = true;
    } else if (EqualsIgnoreCase(arg, "save")) {
      save = true;
    } else if (EqualsIgnoreCase(arg, "now") || EqualsIgnoreCase(arg, "force")) {
      other = true;
    } else if (EqualsIgnoreCase(arg, "abort")) {
      abort = true;
    } else {
      ctx.Error(engine::kSyntaxError);
      return;
    }
  }
  if ((save && nosave) || (abort && (save || nosave || other))) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (abort) {
    // There are no replicas to wait for, so a shutdown never lingers where it could be called off.
    ctx.Error("ERR No shutdown in progress.");
    return;
  }
  // Whether the stores are flushed makes no difference to what is kept: the log has everything.
  // There is no reply; the connection ends.
  ctx.client.close_after_reply = true;
  ctx.client.MarkDirty();
  ctx.core.engine().RequestShutdown();
}

void Lolwut(SessionContext& ctx) {
  if (ctx.args.size() >= 3 && EqualsIgnoreCase(ctx.args[1], "version")) {
    int64_t version;
    if (!ctx.ParseInt(2, &version)) return;
  }
  ctx.reply.Verbatim("txt", DrawLolwut(static_cast<uint64_t>(ctx.core.clock().WallUs())));
}

}  // namespace holdfast::commands
