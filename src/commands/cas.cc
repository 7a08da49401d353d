// Writes under conditions: Holdfast's own, by value and by revision, and those of Redis 8.4 and
// Valkey 9. SET's conditions are in options.h, with what SET shares with these.
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/limits.h"
#include "commands/options.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

// What CAS, CASREV and EXTEND answer: whether it was done, and the revision the key has now.
void ReplyOutcome(ExecContext& ctx, bool done, uint64_t revision) {
  ctx.reply.Array(2);
  ctx.reply.Integer(done ? 1 : 0);
  ctx.reply.Integer(static_cast<int64_t>(revision));
}

// The expiry options from args[first] on, and nothing else.
bool ParseExpiryOptions(ExecContext& ctx, size_t first, Expiry* expiry) {
  ExpiryOption option;
  for (size_t i = first; i < ctx.args.size(); ++i) {
    const Parsed parsed = TakeExpiry(ctx, ExpiryOption::Kind::kKeepttl, &i, &option);
    if (parsed == Parsed::kNo) ctx.Error(engine::kSyntaxError);
    if (parsed != Parsed::kYes) return false;
  }
  return ResolveExpiry(ctx, option, expiry);
}

// CAS and CASREV behind their parameters: writes args[3] when the condition holds.
void CompareAndSet(ExecContext& ctx, const Condition& condition) {
  Expiry expiry;
  if (!ParseExpiryOptions(ctx, 4, &expiry)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (!Holds(condition, key.object)) {
    ReplyOutcome(ctx, false, key ? key.object->revision() : 0);
    return;
  }
  ReplyOutcome(ctx, true, StoreString(ctx, &key, ctx.args[3], expiry));
}

void DeleteIf(ExecContext& ctx, const Condition& condition) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (condition.compares_value() && !ctx.IsStringOrMissing(key)) return;
  const bool deletes = key && Holds(condition, key.object);
  if (deletes) DeleteKey(ctx, &key);
  ctx.reply.Integer(deletes ? 1 : 0);
}

// EXTEND of a lock. Its lease may become shorter: its owner knows best.
void ExtendLock(ExecContext& ctx, Key* key, int64_t ms, std::string_view owner) {
  data::LockValue lock;
  CHECK(data::DecodeLock(key->object->value(), &lock));
  if (lock.owner != owner) {
    ctx.Error(engine::kNotOwner);
    return;
  }
  if (static_cast<uint64_t>(ms) <= lock.lease_ms) {
    ctx.RenewLease(*key, ms);
  } else {
    const std::string longer = data::EncodeLock({static_cast<uint64_t>(ms), lock.owner});
    ctx.Put(key, ObjectType::kLock, longer, Expiry::Clear(), false, 0, true);
  }
  ctx.Notify(*key, engine::kGenericEvents, "expire");
  ReplyOutcome(ctx, true, key->object->revision());
}

struct MsetexOptions {
  ExpiryOption expiry;
  Condition condition;
};

bool ParseMsetexOptions(ExecContext& ctx, size_t first, MsetexOptions* options) {
  for (size_t i = first; i < ctx.args.size(); ++i) {
    Parsed parsed = TakeExpiry(ctx, ExpiryOption::Kind::kKeepttl, &i, &options->expiry);
    if (parsed == Parsed::kNo) parsed = TakeCondition(ctx, true, &i, &options->condition);
    if (parsed == Parsed::kError) return false;
    // Of the conditions only NX and XX are about several keys.
    if (parsed == Parsed::kNo || options->condition.kind > Condition::Kind::kXx) {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace

void Cas(ExecContext& ctx) {
  Condition condition;
  condition.kind = Condition::Kind::kIfeq;
  condition.value = ctx.args[2];
  CompareAndSet(ctx, condition);
}

void Casrev(ExecContext& ctx) {
  Condition condition;
  condition.kind = Condition::Kind::kIfrev;
  if (!ParseUint64(ctx.args[2], &condition.number)) {
    ctx.Error(kBadRevision);
    return;
  }
  CompareAndSet(ctx, condition);
}

void Getrev(ExecContext& ctx) {
  if (ctx.args.size() != 2) {
    uint64_t number;
    const bool asks_history = ctx.args.size() == 4 && (EqualsIgnoreCase(ctx.args[2], "REV") ||
                                                       EqualsIgnoreCase(ctx.args[2], "ASOF"));
    if (!asks_history) {
      ctx.Error(engine::kSyntaxError);
    } else if (!ParseUint64(ctx.args[3], &number)) {
      ctx.Error(engine::kNotInteger);
    } else {
      ctx.Error("ERR history is not kept for this key");
    }
    return;
  }
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (!key) {
    ctx.reply.NullArray();
    return;
  }
  ctx.reply.Array(3);
  ctx.reply.Bulk(key.object->value());
  ctx.reply.Integer(static_cast<int64_t>(key.object->revision()));
  ctx.reply.Integer(key.object->version());
}

void Extend(ExecContext& ctx) {
  int64_t ms;
  if (!ctx.ParseInt(2, &ms)) return;
  const bool has_owner = ctx.args.size() == 5 && EqualsIgnoreCase(ctx.args[3], "OWNER");
  if (ctx.args.size() > 3 && !has_owner) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (ms <= 0 || ms > kLongestLeaseMs) {
    ErrorExpireTime(ctx);
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!key) {
    ReplyOutcome(ctx, false, 0);
    return;
  }
  if (key.Is(ObjectType::kLock) != has_owner) {
    ctx.Error(has_owner ? engine::kWrongType
                        : "ERR a lock is extended by its owner only: EXTEND key ms OWNER owner");
    return;
  }
  if (has_owner) {
    ExtendLock(ctx, &key, ms, ctx.args[4]);
    return;
  }
  ctx.SetExpiry(&key, ctx.now_ms() + ms, true);
  ctx.Notify(key, engine::kGenericEvents, "expire");
  ReplyOutcome(ctx, true, key.object->revision());
}

void Delex(ExecContext& ctx) {
  Condition condition;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const Parsed parsed = TakeCondition(ctx, false, &i, &condition);
    if (parsed == Parsed::kNo) ctx.Error(engine::kSyntaxError);
    if (parsed != Parsed::kYes) return;
  }
  DeleteIf(ctx, condition);
}

void Delifeq(ExecContext& ctx) {
  Condition condition;
  condition.kind = Condition::Kind::kIfeq;
  condition.value = ctx.args[2];
  DeleteIf(ctx, condition);
}

void Digest(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (key) {
    ctx.reply.Bulk(FormatDigest(ValueDigest(key.object->value())));
  } else {
    ctx.reply.Null();
  }
}

void Msetex(ExecContext& ctx) {
  int64_t count;
  if (!ParseInt64(ctx.args[1], &count) || count < 1 || count > INT32_MAX) {
    ctx.Error("ERR invalid numkeys value");
    return;
  }
  const auto keys = static_cast<size_t>(count);
  if (keys > (ctx.args.size() - 2) / 2) {
    ctx.Error("ERR wrong number of key-value pairs");
    return;
  }
  const size_t end = 2 + 2 * keys;
  MsetexOptions options;
  Expiry expiry;
  if (!ParseMsetexOptions(ctx, end, &options)) return;
  if (!ResolveExpiry(ctx, options.expiry, &expiry)) return;
  bool holds = true;
  for (size_t i = 2; i < end; i += 2) {
    const Key key = ctx.FindForWrite(ctx.args[i]);
    if (!MayBeReplaced(ctx, key)) return;
    holds = holds && Holds(options.condition, key.object);
  }
  // A key may be named twice: each is looked up when its turn comes.
  for (size_t i = 2; holds && i < end; i += 2) {
    Key key = ctx.FindForWrite(ctx.args[i]);
    StoreString(ctx, &key, ctx.args[i + 1], expiry);
  }
  ctx.reply.Integer(holds ? 1 : 0);
}

}  // namespace holdfast::commands
