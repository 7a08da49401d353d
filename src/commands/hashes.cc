// Hashes.
#include <absl/container/flat_hash_set.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/counted_change.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "data/hash_object.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::HashObject;
using data::ObjectType;
using engine::ExecContext;
using engine::Key;

// REQUIRES: the key is a hash, or missing: then there is none.
const HashObject* HashAt(const Key& key) {
  return key ? static_cast<const HashObject*>(key.object->collection()) : nullptr;
}

// The hash that the command reads; false, with WRONGTYPE replied, when the key is something else.
bool FindHash(ExecContext& ctx, const HashObject** hash) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return false;
  *hash = HashAt(key);
  return true;
}

void ReplyField(ExecContext& ctx, const HashObject* hash, std::string_view field) {
  const auto value = hash != nullptr ? hash->Find(field) : std::nullopt;
  if (value.has_value()) {
    ctx.reply.Bulk(*value);
  } else {
    ctx.reply.Null();
  }
}

// How many fields are new; nothing when an error was replied.
bool SetFields(ExecContext& ctx, int64_t* added) {
  if (ctx.args.size() % 2 != 0) {
    ctx.ErrorArity();
    return false;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return false;
  CountedChange change(ctx, &key, ObjectType::kHash);
  *added = 0;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    *added += change.Put(ctx.args[i], ctx.args[i + 1]) ? 1 : 0;
  }
  change.Emit("hset");
  return true;
}

enum class Part : uint8_t { kFields, kValues };

void ReplyAll(ExecContext& ctx, Part part) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ctx.reply.Array(hash != nullptr ? hash->size() : 0);
  if (hash == nullptr) return;
  hash->ForEach([&ctx, part](std::string_view field, std::string_view value) {
    ctx.reply.Bulk(part == Part::kFields ? field : value);
  });
}

using Field = std::pair<std::string_view, std::string_view>;

// `count` different fields, in any order.
std::vector<Field> PickDifferent(ExecContext& ctx, const HashObject& hash, uint64_t count) {
  Rng* rng = ctx.partition().rng();
  std::vector<Field> picked;
  if (count * 3 < hash.size()) {
    absl::flat_hash_set<std::string_view> names;
    while (picked.size() < count) {
      const Field field = hash.Random(rng);
      if (names.insert(field.first).second) picked.push_back(field);
    }
    return picked;
  }
  picked.reserve(hash.size());
  hash.ForEach([&picked](std::string_view field, std::string_view value) {
    picked.emplace_back(field, value);
  });
  if (count >= picked.size()) return picked;
  for (uint64_t i = 0; i < count; ++i) {
    std::swap(picked[i], picked[i + rng->Below(picked.size() - i)]);
  }
  picked.resize(count);
  return picked;
}

void ReplyFieldsHeader(ExecContext& ctx, uint64_t count, bool with_values) {
  ctx.reply.Array(with_values && ctx.caller.protocol == 2 ? count * 2 : count);
}

void ReplyField(ExecContext& ctx, const Field& field, bool with_values) {
  if (with_values && ctx.caller.protocol == 3) ctx.reply.Array(2);
  ctx.reply.Bulk(field.first);
  if (with_values) ctx.reply.Bulk(field.second);
}

// Of a negative count: fields may come several times.
void ReplyAnyFields(ExecContext& ctx, const HashObject& hash, uint64_t count, bool with_values) {
  ReplyFieldsHeader(ctx, count, with_values);
  for (; count > 0 && !ctx.ReplyTooLong(); --count) {
    ReplyField(ctx, hash.Random(ctx.partition().rng()), with_values);
  }
}

}  // namespace

void Hset(ExecContext& ctx) {
  int64_t added;
  if (SetFields(ctx, &added)) ctx.reply.Integer(added);
}

void Hmset(ExecContext& ctx) {
  int64_t added;
  if (SetFields(ctx, &added)) ctx.reply.Ok();
}

void Hsetnx(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return;
  if (key && HashAt(key)->Find(ctx.args[2]).has_value()) {
    ctx.reply.Integer(0);
    return;
  }
  CountedChange change(ctx, &key, ObjectType::kHash);
  change.Put(ctx.args[2], ctx.args[3]);
  change.Emit("hset");
  ctx.reply.Integer(1);
}

void Hget(ExecContext& ctx) {
  const HashObject* hash;
  if (FindHash(ctx, &hash)) ReplyField(ctx, hash, ctx.args[2]);
}

void Hmget(ExecContext& ctx) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ctx.reply.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) ReplyField(ctx, hash, ctx.args[i]);
}

void Hgetall(ExecContext& ctx) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ctx.reply.Map(hash != nullptr ? hash->size() : 0);
  if (hash == nullptr) return;
  hash->ForEach([&ctx](std::string_view field, std::string_view value) {
    ctx.reply.Bulk(field);
    ctx.reply.Bulk(value);
  });
}

void Hkeys(ExecContext& ctx) { ReplyAll(ctx, Part::kFields); }
void Hvals(ExecContext& ctx) { ReplyAll(ctx, Part::kValues); }

void Hlen(ExecContext& ctx) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ctx.reply.Integer(hash != nullptr ? static_cast<int64_t>(hash->size()) : 0);
}

void Hexists(ExecContext& ctx) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ctx.reply.Integer(hash != nullptr && hash->Find(ctx.args[2]).has_value() ? 1 : 0);
}

void Hstrlen(ExecContext& ctx) {
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  const auto value = hash != nullptr ? hash->Find(ctx.args[2]) : std::nullopt;
  ctx.reply.Integer(value.has_value() ? static_cast<int64_t>(value->size()) : 0);
}

void Hdel(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return;
  CountedChange change(ctx, &key, ObjectType::kHash);
  int64_t deleted = 0;
  for (size_t i = 2; i < ctx.args.size(); ++i) deleted += change.Delete(ctx.args[i]) ? 1 : 0;
  change.Emit("hdel");
  ctx.reply.Integer(deleted);
}

void Hincrby(ExecContext& ctx) {
  int64_t by;
  if (!ctx.ParseInt(3, &by)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return;
  int64_t value = 0;
  const auto old = key ? HashAt(key)->Find(ctx.args[2]) : std::nullopt;
  if (old.has_value() && !ParseInt64(*old, &value)) {
    ctx.Error("ERR hash value is not an integer");
    return;
  }
  if (__builtin_add_overflow(value, by, &value)) {
    ctx.Error("ERR increment or decrement would overflow");
    return;
  }
  CountedChange change(ctx, &key, ObjectType::kHash);
  change.Put(ctx.args[2], std::to_string(value));
  change.Emit("hincrby");
  ctx.reply.Integer(value);
}

void Hincrbyfloat(ExecContext& ctx) {
  long double by;
  if (!ParseLongDouble(ctx.args[3], &by)) {
    ctx.Error(engine::kNotFloat);
    return;
  }
  if (std::isnan(by) || std::isinf(by)) {
    ctx.Error("ERR value is NaN or Infinity");
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kHash)) return;
  long double value = 0;
  const auto old = key ? HashAt(key)->Find(ctx.args[2]) : std::nullopt;
  if (old.has_value() && !ParseLongDouble(*old, &value)) {
    ctx.Error("ERR hash value is not a float");
    return;
  }
  value += by;
  if (std::isnan(value) || std::isinf(value)) {
    ctx.Error("ERR increment would produce NaN or Infinity");
    return;
  }
  const std::string text = FormatLongDouble(value);
  CountedChange change(ctx, &key, ObjectType::kHash);
  change.Put(ctx.args[2], text);
  change.Emit("hincrbyfloat");
  ctx.reply.Bulk(text);
}

void Hscan(ExecContext& ctx) {
  uint64_t cursor;
  if (!ParseCursor(ctx, 2, &cursor)) return;
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  ScanOptions options;
  if (hash != nullptr && !ParseScanOptions(ctx, 3, /*has_type=*/false, &options)) return;
  std::vector<Field> fields;
  cursor = hash == nullptr ? 0
                           : hash->Scan(cursor, static_cast<size_t>(options.count),
                                        [&](std::string_view field, std::string_view value) {
                                          if (Matches(options.pattern, field))
                                            fields.emplace_back(field, value);
                                        });
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(cursor));
  ctx.reply.Array(fields.size() * 2);
  for (const auto& [field, value] : fields) {
    ctx.reply.Bulk(field);
    ctx.reply.Bulk(value);
  }
}

void Hrandfield(ExecContext& ctx) {
  if (ctx.args.size() == 2) {
    const HashObject* hash;
    if (!FindHash(ctx, &hash)) return;
    if (hash == nullptr) {
      ctx.reply.Null();
    } else {
      ctx.reply.Bulk(hash->Random(ctx.partition().rng()).first);
    }
    return;
  }
  int64_t count;
  if (!ParseRandomCount(ctx, &count)) return;
  const bool with_values = ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[3], "WITHVALUES");
  if (ctx.args.size() > 4 || (ctx.args.size() == 4 && !with_values)) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  const int64_t most = with_values ? INT64_MAX / 2 : INT64_MAX;
  if (count < -most || count > most) {
    ctx.Error("ERR value is out of range");
    return;
  }
  const HashObject* hash;
  if (!FindHash(ctx, &hash)) return;
  if (hash == nullptr) {
    ctx.reply.Array(0);
  } else if (count < 0) {
    ReplyAnyFields(ctx, *hash, static_cast<uint64_t>(-count), with_values);
  } else {
    const auto fields =
        PickDifferent(ctx, *hash, std::min<uint64_t>(static_cast<uint64_t>(count), hash->size()));
    ReplyFieldsHeader(ctx, fields.size(), with_values);
    for (const Field& field : fields) ReplyField(ctx, field, with_values);
  }
}

}  // namespace holdfast::commands
