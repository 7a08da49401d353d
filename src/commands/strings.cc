// Strings, as Redis has them. A lock or a sequence is WRONGTYPE to all of them, to SET too: in
// Redis SET overwrites any type, here it must not take a lock away from its owner.
#include <algorithm>
#include <cmath>
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

struct SetOptions {
  ExpiryOption expiry;
  Condition condition;
  uint64_t fence = 0;  // 0 = none given
  bool get = false;
};

// FENCE token. The position is at its last argument afterwards.
Parsed TakeFence(ExecContext& ctx, size_t* i, uint64_t* fence) {
  if (!EqualsIgnoreCase(ctx.args[*i], "FENCE")) return Parsed::kNo;
  if (*fence != 0 || *i + 1 >= ctx.args.size()) {
    ctx.Error(engine::kSyntaxError);
    return Parsed::kError;
  }
  int64_t token;
  if (!ParseInt64(ctx.args[++*i], &token) || token <= 0) {
    ctx.Error("ERR fencing token must be a positive integer");
    return Parsed::kError;
  }
  *fence = static_cast<uint64_t>(token);
  return Parsed::kYes;
}

bool ParseSetOptions(ExecContext& ctx, SetOptions* options) {
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    Parsed parsed = TakeExpiry(ctx, ExpiryOption::Kind::kKeepttl, &i, &options->expiry);
    if (parsed == Parsed::kNo) parsed = TakeCondition(ctx, true, &i, &options->condition);
    if (parsed == Parsed::kNo) parsed = TakeFence(ctx, &i, &options->fence);
    if (parsed == Parsed::kError) return false;
    if (parsed == Parsed::kYes) continue;
    if (!EqualsIgnoreCase(ctx.args[i], "GET")) {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
    options->get = true;
  }
  return true;
}

// Whether all keys of one request may be written over; the request changes nothing otherwise.
bool MayAllBeReplaced(ExecContext& ctx, size_t first, size_t step) {
  for (size_t i = first; i < ctx.args.size(); i += step) {
    ctx.LookAhead(first, i, step);
    if (!MayBeReplaced(ctx, ctx.FindForWrite(ctx.args[i]))) return false;
  }
  return true;
}

void StorePairs(ExecContext& ctx) {
  // A key may be named twice: each is looked up when its turn comes.
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    Key key = ctx.FindForWrite(ctx.args[i]);
    StoreString(ctx, &key, ctx.args[i + 1], Expiry::Clear());
  }
}

void SetWithTime(ExecContext& ctx, bool seconds) {
  int64_t at_ms;
  if (!ResolveTime(ctx, ctx.args[2], seconds, true, &at_ms)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!MayBeReplaced(ctx, key)) return;
  StoreString(ctx, &key, ctx.args[3], Expiry::At(at_ms));
  ctx.reply.Ok();
}

void IncrementBy(ExecContext& ctx, int64_t by) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  int64_t value = 0;
  if (key && !ParseInt64(key.object->value(), &value)) {
    ctx.Error(engine::kNotInteger);
    return;
  }
  if (__builtin_add_overflow(value, by, &value)) {
    ctx.Error("ERR increment or decrement would overflow");
    return;
  }
  char text[20];
  const size_t length = FormatInt64(value, text);
  ctx.Put(&key, ObjectType::kString, {text, length}, Expiry::Keep());
  ctx.Notify(key, engine::kStringEvents, "incrby");
  ctx.reply.Integer(value);
}

}  // namespace

void Get(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (ctx.IsStringOrMissing(key)) ReplyValue(ctx, key);
}

void Set(ExecContext& ctx) {
  SetOptions options;
  Expiry expiry;
  if (!ParseSetOptions(ctx, &options)) return;
  if (!ResolveExpiry(ctx, options.expiry, &expiry)) return;
  // With GET it is a read as well, which the statistics count.
  Key key = options.get ? ctx.FindForRead(ctx.args[1]) : ctx.FindForWrite(ctx.args[1]);
  if ((options.get || options.condition.compares_value()) && !ctx.IsStringOrMissing(key)) return;
  if (!MayBeReplaced(ctx, key)) return;
  // Before the condition: whoever is fenced off has to learn it, whatever the value is by now.
  if (options.fence != 0 && key && key.object->fence() > options.fence) {
    ctx.Error(engine::kFenced);
    return;
  }
  if (options.get) ReplyValue(ctx, key);
  if (!Holds(options.condition, key.object)) {
    if (!options.get) ctx.reply.Null();
    return;
  }
  StoreString(ctx, &key, ctx.args[2], expiry, options.fence);
  if (!options.get) ctx.reply.Ok();
}

void Setnx(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!MayBeReplaced(ctx, key)) return;
  if (key) {
    ctx.reply.Integer(0);
    return;
  }
  StoreString(ctx, &key, ctx.args[2], Expiry::Clear());
  ctx.reply.Integer(1);
}

void Setex(ExecContext& ctx) { SetWithTime(ctx, true); }
void Psetex(ExecContext& ctx) { SetWithTime(ctx, false); }

void Getset(ExecContext& ctx) {
  Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  ReplyValue(ctx, key);
  StoreString(ctx, &key, ctx.args[2], Expiry::Clear());
}

void Getdel(ExecContext& ctx) {
  Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  ReplyValue(ctx, key);
  if (key) DeleteKey(ctx, &key);
}

void Getex(ExecContext& ctx) {
  ExpiryOption option;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const Parsed parsed = TakeExpiry(ctx, ExpiryOption::Kind::kPersist, &i, &option);
    if (parsed == Parsed::kYes) continue;
    if (parsed == Parsed::kNo) ctx.Error(engine::kSyntaxError);
    return;
  }
  Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  Expiry expiry;
  // As in Redis the amount of a missing key's new time is not looked at.
  if (key && !ResolveExpiry(ctx, option, &expiry)) return;
  ReplyValue(ctx, key);
  if (!key || option.kind == ExpiryOption::Kind::kNone) return;
  if (option.kind == ExpiryOption::Kind::kPersist) {
    if (ctx.ExpireAt(key) == 0) return;
    ctx.SetExpiry(&key, 0);
    ctx.Notify(key, engine::kGenericEvents, "persist");
  } else if (expiry.at_ms <= ctx.now_ms()) {
    DeleteKey(ctx, &key);
  } else {
    ctx.SetExpiry(&key, expiry.at_ms);
    ctx.Notify(key, engine::kGenericEvents, "expire");
  }
}

void Mget(ExecContext& ctx) {
  ctx.reply.Array(ctx.args.size() - 1);
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.LookAhead(1, i, 1);
    const Key key = ctx.FindForRead(ctx.args[i]);
    if (key.Is(ObjectType::kString)) {
      ctx.reply.Bulk(key.object->value());
    } else {
      ctx.reply.Null();
    }
  }
}

void Mset(ExecContext& ctx) {
  if (ctx.args.size() % 2 == 0) {
    ctx.ErrorArity();
    return;
  }
  if (!MayAllBeReplaced(ctx, 1, 2)) return;
  StorePairs(ctx);
  ctx.reply.Ok();
}

void Msetnx(ExecContext& ctx) {
  if (ctx.args.size() % 2 == 0) {
    ctx.ErrorArity();
    return;
  }
  if (!MayAllBeReplaced(ctx, 1, 2)) return;
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    if (ctx.FindForWrite(ctx.args[i])) {
      ctx.reply.Integer(0);
      return;
    }
  }
  StorePairs(ctx);
  ctx.reply.Integer(1);
}

void Append(ExecContext& ctx) {
  const std::string_view tail = ctx.args[2];
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (!key) {
    ctx.Put(&key, ObjectType::kString, tail, Expiry::Clear());
    ctx.Notify(key, engine::kStringEvents, "append");
    ctx.reply.Integer(static_cast<int64_t>(tail.size()));
    return;
  }
  const size_t old_size = key.object->value_size();
  if (!CheckStringLength(ctx, old_size + tail.size())) return;
  ctx.Patch(&key, old_size, tail, old_size + tail.size());
  ctx.Notify(key, engine::kStringEvents, "append");
  ctx.reply.Integer(static_cast<int64_t>(old_size + tail.size()));
}

void Strlen(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  ctx.reply.Integer(key ? static_cast<int64_t>(key.object->value_size()) : 0);
}

void Getrange(ExecContext& ctx) {
  int64_t start;
  int64_t end;
  if (!ctx.ParseInt(2, &start) || !ctx.ParseInt(3, &end)) return;
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  const std::string_view value = key ? key.object->value() : std::string_view();
  const auto size = static_cast<int64_t>(value.size());
  // Negative numbers count from the end; two of them in the wrong order are an empty range even
  // where both would be cut to the first byte.
  const bool backwards = start < 0 && end < 0 && start > end;
  if (start < 0) start = std::max<int64_t>(size + start, 0);
  if (end < 0) end = std::max<int64_t>(size + end, 0);
  end = std::min(end, size - 1);
  if (backwards || start > end) {
    ctx.reply.Bulk({});
    return;
  }
  ctx.reply.Bulk(value.substr(static_cast<size_t>(start), static_cast<size_t>(end - start) + 1));
}

void Setrange(ExecContext& ctx) {
  int64_t offset;
  if (!ctx.ParseInt(2, &offset)) return;
  if (offset < 0) {
    ctx.Error("ERR offset is out of range");
    return;
  }
  const std::string_view bytes = ctx.args[3];
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  const size_t old_size = key ? key.object->value_size() : 0;
  if (bytes.empty()) {
    ctx.reply.Integer(static_cast<int64_t>(old_size));
    return;
  }
  const auto at = static_cast<uint64_t>(offset);  // the sum below can't overflow 64 bits unsigned
  if (!CheckStringLength(ctx, at + bytes.size())) return;
  const size_t new_size = std::max(old_size, at + bytes.size());
  WriteBytes(ctx, &key, at, bytes, new_size);
  ctx.Notify(key, engine::kStringEvents, "setrange");
  ctx.reply.Integer(static_cast<int64_t>(new_size));
}

void Incr(ExecContext& ctx) { IncrementBy(ctx, 1); }
void Decr(ExecContext& ctx) { IncrementBy(ctx, -1); }

void Incrby(ExecContext& ctx) {
  int64_t by;
  if (ctx.ParseInt(2, &by)) IncrementBy(ctx, by);
}

void Decrby(ExecContext& ctx) {
  int64_t by;
  if (!ctx.ParseInt(2, &by)) return;
  if (by == INT64_MIN) {
    ctx.Error("ERR decrement would overflow");
    return;
  }
  IncrementBy(ctx, -by);
}

void Incrbyfloat(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  long double value = 0;
  long double by;
  if ((key && !ParseLongDouble(key.object->value(), &value)) ||
      !ParseLongDouble(ctx.args[2], &by)) {
    ctx.Error(engine::kNotFloat);
    return;
  }
  value += by;
  if (std::isnan(value) || std::isinf(value)) {
    ctx.Error("ERR increment would produce NaN or Infinity");
    return;
  }
  const std::string text = FormatLongDouble(value);
  ctx.Put(&key, ObjectType::kString, text, Expiry::Keep());
  ctx.Notify(key, engine::kStringEvents, "incrbyfloat");
  ctx.reply.Bulk(text);
}

}  // namespace holdfast::commands
