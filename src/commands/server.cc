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

// A timeout in milliseconds. Replies the error when it is none.
bool ParseTimeout(SessionContext& ctx, size_t i) {
  int64_t timeout_ms;
  if (!ctx.ParseInt(i, &timeout_ms, "ERR timeout is not an integer or out of range")) return false;
  if (timeout_ms >= 0) return true;
  ctx.Error("ERR timeout is negative");
  return false;
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

void Role(SessionContext& ctx) {
  // As INFO replication: committed entries of all partitions.
  GatherReply<uint64_t>(
      ctx,
      [](Core& core) {
        uint64_t committed = 0;
        for (const auto& partition : core.partitions()) committed += partition->commit_index();
        return committed;
      },
      [](std::vector<uint64_t>& results, resp::Writer& reply) {
        uint64_t offset = 0;
        for (const uint64_t committed : results) offset += committed;
        reply.Array(3);
        reply.Bulk("master");
        reply.Integer(static_cast<int64_t>(offset));
        reply.Array(0);
      });
}

// On a single node no replica will ever acknowledge anything, so there is nothing to wait for. The
// reply comes behind those of all writes before it, which are committed then.
void Wait(SessionContext& ctx) {
  int64_t replicas;
  if (!ctx.ParseInt(1, &replicas) || !ParseTimeout(ctx, 2)) return;
  ctx.reply.Integer(0);
}

void Waitaof(SessionContext& ctx) {
  int64_t local;
  int64_t replicas;
  if (!ctx.ParseInt(1, &local)) return;
  if (local < 0 || local > 1) {
    ctx.Error("ERR value is out of range, value must between 0 and 1");
    return;
  }
  if (!ctx.ParseInt(2, &replicas)) return;
  if (replicas < 0) {
    ctx.Error("ERR value is out of range, must be positive");
    return;
  }
  if (!ParseTimeout(ctx, 3)) return;
  // With durability "os" an acknowledged write may not be on disk yet.
  const bool on_disk = ctx.core.config().durability == engine::Durability::kFsync;
  ctx.reply.Array(2);
  ctx.reply.Integer(on_disk ? 1 : 0);
  ctx.reply.Integer(0);
}

void Lolwut(SessionContext& ctx) {
  if (ctx.args.size() >= 3 && EqualsIgnoreCase(ctx.args[1], "version")) {
    int64_t version;
    if (!ctx.ParseInt(2, &version)) return;
  }
  ctx.reply.Verbatim("txt", DrawLolwut(static_cast<uint64_t>(ctx.core.clock().WallUs())));
}

}  // namespace holdfast::commands
