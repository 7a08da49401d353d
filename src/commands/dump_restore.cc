// DUMP and RESTORE: values in Redis's own form. A lock has none: its fencing token would lie.
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/object.h"
#include "commands/options.h"
#include "data/dump.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;
  int64_t idle_s = -1;
  int64_t frequency = -1;
};

bool ParseRestoreOptions(ExecContext& ctx, RestoreOptions* options) {
  for (size_t i = 4; i < ctx.args.size(); ++i) {
    const bool has_value = i + 1 < ctx.args.size();
    if (EqualsIgnoreCase(ctx.args[i], "REPLACE")) {
      options->replace = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "ABSTTL")) {
      options->absolute = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "IDLETIME") && has_value && options->frequency < 0) {
      if (!ctx.ParseInt(++i, &options->idle_s)) return false;
      if (options->idle_s >= 0) continue;
      ctx.Error("ERR Invalid IDLETIME value, must be >= 0");
      return false;
    } else if (EqualsIgnoreCase(ctx.args[i], "FREQ") && has_value && options->idle_s < 0) {
      if (!ctx.ParseInt(++i, &options->frequency)) return false;
      if (options->frequency >= 0 && options->frequency <= 255) continue;
      ctx.Error("ERR Invalid FREQ value, must be >= 0 and <= 255");
      return false;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

// The time to live, or unix time, that RESTORE asks for; 0 = none.
bool ParseRestoreTime(ExecContext& ctx, int64_t* time_ms) {
  if (!ctx.ParseInt(2, time_ms)) return false;
  if (*time_ms >= 0) return true;
  ctx.Error("ERR Invalid TTL value, must be >= 0");
  return false;
}

// Makes a time to live a unix time.
bool ResolveRestoreTime(ExecContext& ctx, bool absolute, int64_t* at_ms) {
  if (*at_ms == 0 || absolute || !__builtin_add_overflow(*at_ms, ctx.now_ms(), at_ms)) return true;
  ErrorExpireTime(ctx);
  return false;
}

}  // namespace

void Dump(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!IsNotLock(ctx, key)) return;
  if (!key) {
    ctx.reply.Null();
    return;
  }
  ctx.reply.Bulk(data::EncodeDump(*key.object));
}

void Restore(ExecContext& ctx) {
  RestoreOptions options;
  if (!ParseRestoreOptions(ctx, &options)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (key && !options.replace) {
    ctx.Error("BUSYKEY Target key name already exists.");
    return;
  }
  if (!IsNotLock(ctx, key)) return;
  int64_t at_ms;
  if (!ParseRestoreTime(ctx, &at_ms)) return;
  data::DumpedValue dumped;
  const Status status = data::DecodeDump(ctx.args[3], &dumped);
  if (!status.ok()) {
    ctx.Error("ERR " + status.message());
    return;
  }
  if (dumped.type == ObjectType::kLock) {
    ctx.Error(engine::kWrongType);
    return;
  }
  data::SequenceValue sequence;
  if (dumped.type == ObjectType::kSequence &&
      (!data::DecodeSequence(dumped.value, &sequence) || sequence.increment <= 0)) {
    ctx.Error("ERR Bad data format");
    return;
  }
  if (!ResolveRestoreTime(ctx, options.absolute, &at_ms)) return;
  if (at_ms != 0 && at_ms <= ctx.now_ms()) {
    if (key) DeleteKey(ctx, &key);
    ctx.reply.Ok();
    return;
  }
  const bool overwrites = static_cast<bool>(key);
  if (data::HasElements(dumped.type)) {
    if (key) ctx.Delete(&key);
    ctx.Change(&key, dumped.type, dumped.elements, dumped.value);
    if (at_ms != 0) ctx.SetExpiry(&key, at_ms);
  } else {
    ctx.Put(&key, dumped.type, dumped.value, at_ms == 0 ? Expiry::Clear() : Expiry::At(at_ms));
  }
  if (overwrites) ctx.Notify(key, engine::kNewKeyEvents, "new");
  ctx.Notify(key, engine::kGenericEvents, "restore");
  if (options.idle_s >= 0) SetIdleSeconds(ctx, key, options.idle_s);
  if (options.frequency >= 0) SetFrequency(ctx, key, static_cast<uint8_t>(options.frequency));
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
