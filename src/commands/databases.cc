// Whole databases of one partition: walking, counting, emptying and swapping them.
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/keys.h"
#include "commands/options.h"
#include "engine/context.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::Database;
using data::Object;
using data::ObjectType;
using data::Table;
using engine::ExecContext;
using engine::Key;

// Looks at objects on the way through a table. Views of names stay valid until a key is deleted.
class Walk {
 public:
  explicit Walk(ExecContext& ctx)
      : ctx_(ctx), database_(ctx.partition().keyspace().Logical(ctx.caller.db)) {}

  const Table& table() const { return database_->table; }

  // Whether the object is there. The names of those whose time has come are remembered.
  bool IsAlive(Object* object) {
    if (object->heap_position == data::kNotInHeap) return true;
    bool alive;
    if (object->type() == ObjectType::kLock) {
      Key key;
      key.database = database_;
      key.object = object;
      alive = ctx_.LeaseRemainingMs(key) > 0;
    } else {
      alive = data::Keyspace::ExpireAt(*database_, object) > ctx_.now_ms();
    }
    if (!alive) expired_.emplace_back(object->key());
    return alive;
  }

  // Deletes the expired keys that were met: the reply tells that they are gone, so it has to wait
  // until that is committed.
  void DeleteExpired() {
    for (const std::string& name : expired_) {
      [[maybe_unused]] const Key key = ctx_.Peek(name);
    }
    expired_.clear();
  }

 private:
  ExecContext& ctx_;
  Database* database_;
  std::vector<std::string> expired_;
};

void ReplyNames(ExecContext& ctx, const std::vector<std::string_view>& names) {
  ctx.reply.Array(names.size());
  for (const std::string_view name : names) ctx.reply.Bulk(name);
}

// FLUSHDB's and FLUSHALL's only option. Both ways free the memory in the background.
bool ParseFlushMode(ExecContext& ctx) {
  if (ctx.args.size() == 1) return true;
  if (ctx.args.size() == 2 &&
      (EqualsIgnoreCase(ctx.args[1], "ASYNC") || EqualsIgnoreCase(ctx.args[1], "SYNC"))) {
    return true;
  }
  ctx.Error(engine::kSyntaxError);
  return false;
}

// Empties the databases first..last: their numbers mean new physical databases from now on.
void Flush(ExecContext& ctx, uint32_t first, uint32_t last) {
  if (!ParseFlushMode(ctx)) return;
  const data::Keyspace& keyspace = ctx.partition().keyspace();
  data::DatabaseMap map = keyspace.map();
  uint32_t affected = 0;
  for (uint32_t db = first; db <= last; ++db) {
    if (keyspace.Logical(db)->table.size() == 0) continue;
    if (map.next == UINT32_MAX) {
      // A number used twice would bring the dead records of its first use back.
      ctx.Error("ERR all database numbers of this partition are used up");
      return;
    }
    map.physical[db] = map.next++;
    affected |= 1u << db;
  }
  // Also when there is nothing: clients that cache what they have read are told in any case.
  ctx.SetDatabases(map, affected);
  // What was empty may be so by an entry that isn't committed yet.
  ctx.DependsOnAll();
  ctx.reply.Ok();
}

}  // namespace

void Scan(ExecContext& ctx) {
  uint64_t cursor;
  if (!ParseCursor(ctx, 1, &cursor)) return;
  if (Table::CursorSlot(cursor) >= kSlots) {
    ctx.Error("ERR invalid cursor");
    return;
  }
  ScanOptions options;
  if (!ParseScanOptions(ctx, 2, /*has_type=*/true, &options)) return;
  ctx.DependsOnAll();
  Walk walk(ctx);
  std::vector<std::string_view> names;
  cursor = walk.table().Scan(cursor, static_cast<size_t>(options.count), [&](Object* object) {
    if (!walk.IsAlive(object) || !Matches(options.pattern, object->key())) return;
    if (!options.type || EqualsIgnoreCase(*options.type, data::TypeName(object->type()))) {
      names.push_back(object->key());
    }
  });
  // The walk goes on in the partition of the next slot.
  const uint32_t next_slot = ctx.partition().last_slot() + 1u;
  if (cursor == 0 && next_slot < kSlots) {
    cursor = Table::SlotCursor(static_cast<uint16_t>(next_slot));
  }
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(cursor));
  ReplyNames(ctx, names);
  walk.DeleteExpired();
}

void Keys(ExecContext& ctx) {
  ctx.DependsOnAll();
  Walk walk(ctx);
  std::vector<std::string_view> names;
  uint64_t cursor = 0;
  do {
    cursor = walk.table().Scan(cursor, walk.table().size(), [&](Object* object) {
      if (walk.IsAlive(object) && Matches(ctx.args[1], object->key())) {
        names.push_back(object->key());
      }
    });
  } while (cursor != 0);
  ReplyNames(ctx, names);
  walk.DeleteExpired();
}

void Randomkey(ExecContext& ctx) {
  ctx.DependsOnAll();
  const Table& table = ctx.partition().keyspace().Logical(ctx.caller.db)->table;
  // Each round ends it or deletes a key that had expired.
  while (const Object* object = table.Random(ctx.partition().rng())) {
    const std::string name(object->key());
    if (!ctx.Peek(name)) continue;
    ctx.reply.Bulk(name);
    return;
  }
  ctx.reply.Null();
}

void Dbsize(ExecContext& ctx) {
  ctx.DependsOnAll();
  const Database* database = ctx.partition().keyspace().Logical(ctx.caller.db);
  ctx.reply.Integer(static_cast<int64_t>(database->table.size()));
}

void Flushdb(ExecContext& ctx) { Flush(ctx, ctx.caller.db, ctx.caller.db); }
void Flushall(ExecContext& ctx) { Flush(ctx, 0, data::kLogicalDatabases - 1); }

void Swapdb(ExecContext& ctx) {
  uint32_t first;
  uint32_t second;
  int64_t first_number;
  int64_t second_number;
  if (!ParseDatabaseNumber(ctx, 1, "ERR invalid first DB index", &first_number)) return;
  if (!ParseDatabaseNumber(ctx, 2, "ERR invalid second DB index", &second_number)) return;
  if (!CheckDatabase(ctx, first_number, &first)) return;
  if (!CheckDatabase(ctx, second_number, &second)) return;
  if (first != second) {
    data::DatabaseMap map = ctx.partition().keyspace().map();
    std::swap(map.physical[first], map.physical[second]);
    ctx.SetDatabases(map, (1u << first) | (1u << second));
  }
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
