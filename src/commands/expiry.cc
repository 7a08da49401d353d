// EXPIRE and its kin. The lease of a lock shows as its time to live, but only LOCK and EXTEND,
// which know its owner, may change it.
#include <algorithm>
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Key;

struct ExpireOptions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
};

bool ParseExpireOptions(ExecContext& ctx, ExpireOptions* options) {
  for (const std::string_view word : ctx.args.subspan(3)) {
    if (EqualsIgnoreCase(word, "NX")) {
      options->nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      options->xx = true;
    } else if (EqualsIgnoreCase(word, "GT")) {
      options->gt = true;
    } else if (EqualsIgnoreCase(word, "LT")) {
      options->lt = true;
    } else {
      ctx.Error("ERR Unsupported option " + std::string(word));
      return false;
    }
  }
  if (options->nx && (options->xx || options->gt || options->lt)) {
    ctx.Error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (options->gt && options->lt) {
    ctx.Error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

// Whether the options let a key that expires at `now_at` (0 = never, which counts as infinitely
// late) expire at `at_ms` instead.
bool Allows(const ExpireOptions& options, int64_t now_at, int64_t at_ms) {
  const bool has_time = now_at != 0;
  if (options.nx && has_time) return false;
  if (options.xx && !has_time) return false;
  if (options.gt && (!has_time || at_ms <= now_at)) return false;
  return !options.lt || !has_time || at_ms < now_at;
}

// `base_ms`: what the argument counts from; `seconds`: its unit. Negative numbers are times in the
// past, which delete the key.
void ExpireKey(ExecContext& ctx, int64_t base_ms, bool seconds) {
  ExpireOptions options;
  if (!ParseExpireOptions(ctx, &options)) return;
  int64_t at_ms;
  if (!ctx.ParseInt(2, &at_ms)) return;
  if ((seconds && __builtin_mul_overflow(at_ms, int64_t{1000}, &at_ms)) ||
      __builtin_add_overflow(at_ms, base_ms, &at_ms)) {
    ErrorExpireTime(ctx);
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsNotLock(ctx, key)) return;
  if (!key || !Allows(options, ctx.ExpireAt(key), at_ms)) {
    ctx.reply.Integer(0);
    return;
  }
  if (at_ms <= ctx.now_ms()) {
    DeleteKey(ctx, &key);
  } else {
    ctx.SetExpiry(&key, at_ms);
    ctx.Notify(key, engine::kGenericEvents, "expire");
  }
  ctx.reply.Integer(1);
}

// When the key expires, in ms since 1970; 0 = never. A lock's lease is seen from here and now.
int64_t ExpiresAt(ExecContext& ctx, const Key& key) {
  if (key.Is(ObjectType::kLock)) return ctx.now_ms() + ctx.LeaseRemainingMs(key);
  return ctx.ExpireAt(key);
}

void ReplyTime(ExecContext& ctx, bool absolute, bool seconds) {
  const Key key = ctx.FindToShow(ctx.args[1]);
  if (!key) {
    ctx.reply.Integer(-2);
    return;
  }
  const int64_t at_ms = ExpiresAt(ctx, key);
  if (at_ms == 0) {
    ctx.reply.Integer(-1);
    return;
  }
  const int64_t ms = absolute ? at_ms : std::max<int64_t>(at_ms - ctx.now_ms(), 0);
  // As in Redis a time far beyond what seconds can round is not an overflow.
  ctx.reply.Integer(seconds ? ms / 1000 + (ms % 1000 >= 500 ? 1 : 0) : ms);
}

}  // namespace

void Expire(ExecContext& ctx) { ExpireKey(ctx, ctx.now_ms(), true); }
void Pexpire(ExecContext& ctx) { ExpireKey(ctx, ctx.now_ms(), false); }
void Expireat(ExecContext& ctx) { ExpireKey(ctx, 0, true); }
void Pexpireat(ExecContext& ctx) { ExpireKey(ctx, 0, false); }

void Ttl(ExecContext& ctx) { ReplyTime(ctx, false, true); }
void Pttl(ExecContext& ctx) { ReplyTime(ctx, false, false); }
void Expiretime(ExecContext& ctx) { ReplyTime(ctx, true, true); }
void Pexpiretime(ExecContext& ctx) { ReplyTime(ctx, true, false); }

void Persist(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsNotLock(ctx, key)) return;
  const bool had_time = key && ctx.ExpireAt(key) != 0;
  if (had_time) {
    ctx.SetExpiry(&key, 0);
    ctx.Notify(key, engine::kGenericEvents, "persist");
  }
  ctx.reply.Integer(had_time ? 1 : 0);
}

}  // namespace holdfast::commands
