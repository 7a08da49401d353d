// Keys of any type.
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/keys.h"
#include "commands/options.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using engine::ExecContext;
using engine::Expiry;
using engine::Key;

// A collection of more records than this is handed over, not rebuilt, when its key gets another
// name; what is copied of it waits in the store until it is wanted when it is larger still.
constexpr uint64_t kMovedWhole = 128;
constexpr uint64_t kCopiedWhole = 8192;

constexpr std::string_view kSameObject = "ERR source and destination objects are the same";

// Writes what `source` holds to `target`, with its expiry time and fence, over whatever is there.
// Collections have no fence: only a SET takes one. `moves`: the source is deleted next.
void WriteDuplicate(ExecContext& ctx, Key* from, Key* target, bool moves) {
  const Key& source = *from;
  const int64_t expire_at_ms = ctx.ExpireAt(source);
  if (const data::Collection* collection = source.object->collection()) {
    const uint64_t records = collection->records();
    // A copy that is made in a transaction or script may be wanted before it is in the store.
    const bool is_large = moves ? records > kMovedWhole : records > kCopiedWhole;
    if (is_large && (moves || !ctx.caller.in_transaction) && ctx.MayCopy(source)) {
      if (*target) ctx.Delete(target);
      ctx.Copy(from, target, moves);
      return;
    }
    data::ElementChanges changes;
    collection->ForEach([&changes](std::string_view element, std::string_view value) {
      changes.Put(element, value);
    });
    if (*target) ctx.Delete(target);
    ctx.Change(target, source.object->type(), changes, collection->Head());
    if (expire_at_ms != 0) ctx.SetExpiry(target, expire_at_ms);
    return;
  }
  ctx.Put(target, source.object->type(), source.object->value(),
          expire_at_ms == 0 ? Expiry::Clear() : Expiry::At(expire_at_ms), source.object->raw(),
          source.object->fence());
}

// As WriteDuplicate; as in Redis the target is a new key also when one was there.
void Duplicate(ExecContext& ctx, Key* from, Key* target, bool moves) {
  const bool overwrites = static_cast<bool>(*target);
  WriteDuplicate(ctx, from, target, moves);
  if (overwrites) ctx.Notify(*target, engine::kNewKeyEvents, "new");
}

// DEL and UNLINK: freeing a value never stalls here, so that there is one way.
int64_t DeleteAll(ExecContext& ctx) {
  int64_t deleted = 0;
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.LookAhead(1, i, 1);
    Key key = ctx.FindForWrite(ctx.args[i]);
    if (!key) continue;
    DeleteKey(ctx, &key);
    ++deleted;
  }
  return deleted;
}

void RenameKey(ExecContext& ctx, bool only_if_free) {
  Key source = ctx.FindForWrite(ctx.args[1]);
  if (!source) {
    ctx.Error(engine::kNoSuchKey);
    return;
  }
  if (!IsNotLock(ctx, source)) return;
  const bool same = ctx.args[1] == ctx.args[2];
  Key target = same ? source : ctx.FindForWriteIn(ctx.caller.db, ctx.args[2]);
  if (only_if_free && target) {
    ctx.reply.Integer(0);
    return;
  }
  if (!same) {
    if (!IsNotLock(ctx, target)) return;
    Duplicate(ctx, &source, &target, /*moves=*/true);
    ctx.Delete(&source);
    ctx.Notify(source, engine::kGenericEvents, "rename_from");
    ctx.Notify(target, engine::kGenericEvents, "rename_to");
  }
  if (only_if_free) {
    ctx.reply.Integer(1);
  } else {
    ctx.reply.Ok();
  }
}

struct CopyOptions {
  uint32_t db = 0;
  bool replace = false;
};

bool ParseCopyOptions(ExecContext& ctx, CopyOptions* options) {
  options->db = ctx.caller.db;
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    if (EqualsIgnoreCase(ctx.args[i], "REPLACE")) {
      options->replace = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "DB") && i + 1 < ctx.args.size()) {
      int64_t number;
      if (!ParseDatabaseNumber(ctx, ++i, {}, &number)) return false;
      if (!CheckDatabase(ctx, number, &options->db)) return false;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace

bool ParseDatabaseNumber(ExecContext& ctx, size_t i, std::string_view error, int64_t* number) {
  if (!ctx.ParseInt(i, number, error.empty() ? engine::kNotInteger : error)) return false;
  if (*number >= INT32_MIN && *number <= INT32_MAX) return true;
  ctx.Error(!error.empty() ? error
                           : "ERR value is out of range, value must between -2147483648 and "
                             "2147483647");
  return false;
}

bool CheckDatabase(ExecContext& ctx, int64_t number, uint32_t* db) {
  if (number < 0 || number >= int64_t{data::kLogicalDatabases}) {
    ctx.Error("ERR DB index is out of range");
    return false;
  }
  *db = static_cast<uint32_t>(number);
  return true;
}

void Del(ExecContext& ctx) { ctx.reply.Integer(DeleteAll(ctx)); }

void Exists(ExecContext& ctx) {
  int64_t found = 0;
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.LookAhead(1, i, 1);
    found += ctx.FindToShow(ctx.args[i]) ? 1 : 0;
  }
  ctx.reply.Integer(found);
}

void Touch(ExecContext& ctx) {
  int64_t found = 0;
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.LookAhead(1, i, 1);
    found += ctx.FindForRead(ctx.args[i]) ? 1 : 0;
  }
  ctx.reply.Integer(found);
}

void Type(ExecContext& ctx) {
  const Key key = ctx.FindToShow(ctx.args[1]);
  ctx.reply.Simple(key ? data::TypeName(key.object->type()) : "none");
}

void Rename(ExecContext& ctx) { RenameKey(ctx, false); }
void Renamenx(ExecContext& ctx) { RenameKey(ctx, true); }

void Copy(ExecContext& ctx) {
  CopyOptions options;
  if (!ParseCopyOptions(ctx, &options)) return;
  if (options.db == ctx.caller.db && ctx.args[1] == ctx.args[2]) {
    ctx.Error(kSameObject);
    return;
  }
  Key source = ctx.FindForRead(ctx.args[1]);
  if (!source) {
    ctx.reply.Integer(0);
    return;
  }
  if (!IsNotLock(ctx, source)) return;
  Key target = ctx.FindForWriteIn(options.db, ctx.args[2]);
  if (target && !options.replace) {
    ctx.reply.Integer(0);
    return;
  }
  if (!IsNotLock(ctx, target)) return;
  Duplicate(ctx, &source, &target, /*moves=*/false);
  ctx.Notify(target, engine::kGenericEvents, "copy_to");
  ctx.reply.Integer(1);
}

void Move(ExecContext& ctx) {
  int64_t number;
  uint32_t db;
  if (!ParseDatabaseNumber(ctx, 2, {}, &number) || !CheckDatabase(ctx, number, &db)) return;
  if (db == ctx.caller.db) {
    ctx.Error(kSameObject);
    return;
  }
  Key source = ctx.FindForWrite(ctx.args[1]);
  if (source && !IsNotLock(ctx, source)) return;
  Key target = ctx.FindForWriteIn(db, ctx.args[1]);
  if (!source || target) {
    ctx.reply.Integer(0);
    return;
  }
  Duplicate(ctx, &source, &target, /*moves=*/true);
  ctx.Delete(&source);
  ctx.Notify(source, engine::kGenericEvents, "move_from");
  ctx.Notify(target, engine::kGenericEvents, "move_to");
  ctx.reply.Integer(1);
}

}  // namespace holdfast::commands
