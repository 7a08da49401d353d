// Locks: keys of type `lock`, whose created revision is the fencing token of their grant. The log
// mints it, so tokens rise from grant to grant whatever becomes of leaders and clocks (P32).
#include <string>

#include "base/check.h"
#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/limits.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::LockValue;
using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

struct LockRequest {
  std::string_view owner;
  int64_t lease_ms = 0;
  int64_t wait_ms = 0;  // 0: no waiting
};

bool CheckOwner(ExecContext& ctx, std::string_view owner) {
  if (!owner.empty() && owner.size() <= kMaxOwnerBytes) return true;
  ctx.Error("ERR owner must be 1 to " + std::to_string(kMaxOwnerBytes) + " bytes long");
  return false;
}

// A duration in milliseconds at args[i], `least` or more.
bool ParseDuration(ExecContext& ctx, size_t i, std::string_view what, int64_t least, int64_t* ms) {
  if (!ctx.ParseInt(i, ms)) return false;
  if (*ms >= least && *ms <= kLongestLeaseMs) return true;
  ctx.Error("ERR " + std::string(what) + " must be " + std::to_string(least) + " to " +
            std::to_string(kLongestLeaseMs) + " milliseconds");
  return false;
}

bool ParseLock(ExecContext& ctx, LockRequest* request) {
  request->owner = ctx.args[2];
  if (!CheckOwner(ctx, request->owner)) return false;
  if (!ParseDuration(ctx, 3, "lease", 1, &request->lease_ms)) return false;
  if (ctx.args.size() == 4) return true;
  if (ctx.args.size() != 6 || !EqualsIgnoreCase(ctx.args[4], "WAIT")) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  return ParseDuration(ctx, 5, "WAIT", 0, &request->wait_ms);
}

// False, with WRONGTYPE replied, when the name is taken by something that isn't a lock.
bool IsLockOrMissing(ExecContext& ctx, const Key& key) {
  if (!key || key.Is(ObjectType::kLock)) return true;
  ctx.Error(engine::kWrongType);
  return false;
}

// The view of the owner dies with the next change of the key.
LockValue LockOf(const Key& key) {
  LockValue lock;
  CHECK(data::DecodeLock(key.object->value(), &lock));
  return lock;
}

void ReplyToken(ExecContext& ctx, const Key& key) {
  ctx.reply.Integer(static_cast<int64_t>(key.object->created()));
}

// The owner asks again, perhaps because the first answer was lost: same token, and at least the
// lease that is asked for, never less than is left.
void Renew(ExecContext& ctx, Key* key, int64_t lease_ms) {
  const LockValue lock = LockOf(*key);
  if (static_cast<uint64_t>(lease_ms) > lock.lease_ms) {
    // A new leader starts leases at their recorded length, so a longer one has to be recorded.
    const std::string longer = data::EncodeLock({static_cast<uint64_t>(lease_ms), lock.owner});
    ctx.Put(key, ObjectType::kLock, longer, Expiry::Clear());
  } else if (lease_ms > ctx.LeaseRemainingMs(*key)) {
    ctx.RenewLease(*key, lease_ms);
  }
  ReplyToken(ctx, *key);
}

}  // namespace

void Lock(ExecContext& ctx) {
  LockRequest request;
  if (!ParseLock(ctx, &request)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsLockOrMissing(ctx, key)) return;
  if (key && LockOf(key).owner == request.owner) {
    Renew(ctx, &key, request.lease_ms);
    return;
  }
  // First come, first served: when the lock has just become free, those in line go before a
  // newcomer. A retry is the first in line.
  const bool others_first = !key && !ctx.caller.retry && ctx.Waiters(key) > 0;
  if (!key && !others_first) {
    const LockValue lock{static_cast<uint64_t>(request.lease_ms), request.owner};
    ctx.Put(&key, ObjectType::kLock, data::EncodeLock(lock), Expiry::Clear());
    ctx.Notify(key, engine::kGenericEvents, "lock");
    ReplyToken(ctx, key);
    return;
  }
  if (request.wait_ms > 0 && !ctx.caller.in_transaction) {
    ctx.Block(ctx.args.subspan(1, 1), {.timeout_ms = request.wait_ms, .null_array = false});
  } else {
    ctx.reply.Null();
  }
}

void Unlock(ExecContext& ctx) {
  if (!CheckOwner(ctx, ctx.args[2])) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsLockOrMissing(ctx, key)) return;
  const bool held = key && LockOf(key).owner == ctx.args[2];
  if (held) {
    ctx.Delete(&key);
    ctx.Notify(key, engine::kGenericEvents, "unlock");
  }
  ctx.reply.Integer(held ? 1 : 0);
}

void Lockinfo(ExecContext& ctx) {
  const Key key = ctx.Peek(ctx.args[1]);
  if (!IsLockOrMissing(ctx, key)) return;
  if (!key) {
    ctx.reply.NullArray();
    return;
  }
  ctx.reply.Map(4);
  ctx.reply.Bulk("owner");
  ctx.reply.Bulk(LockOf(key).owner);
  ctx.reply.Bulk("token");
  ReplyToken(ctx, key);
  ctx.reply.Bulk("remaining-ms");
  ctx.reply.Integer(ctx.LeaseRemainingMs(key));
  ctx.reply.Bulk("waiters");
  ctx.reply.Integer(static_cast<int64_t>(ctx.Waiters(key)));
}

}  // namespace holdfast::commands
