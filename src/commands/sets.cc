// Sets.
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/counted_change.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "data/set_object.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::SetObject;
using engine::ExecContext;
using engine::Key;

// REQUIRES: the key is a set, or missing: then there is none.
const SetObject* SetAt(const Key& key) {
  return key ? static_cast<const SetObject*>(key.object->collection()) : nullptr;
}

// The set that the command reads; false, with WRONGTYPE replied, when the key is something else.
bool FindSet(ExecContext& ctx, std::string_view name, const SetObject** set) {
  const Key key = ctx.FindForRead(name);
  if (!ctx.IsOrMissing(key, ObjectType::kSet)) return false;
  *set = SetAt(key);
  return true;
}

enum class SetOperation : uint8_t { kUnion, kIntersection, kDifference };

// Up to `limit` members (SIZE_MAX: all) that are in all of the sets; null stands for an empty one.
std::vector<std::string> Intersect(std::vector<const SetObject*> sets, uint64_t limit) {
  std::vector<std::string> found;
  if (std::find(sets.begin(), sets.end(), nullptr) != sets.end()) return found;
  // From the smallest one: what isn't there is in none of the results.
  std::sort(sets.begin(), sets.end(),
            [](const SetObject* a, const SetObject* b) { return a->size() < b->size(); });
  sets[0]->ForEach([&](std::string_view member, std::string_view) {
    if (found.size() >= limit) return;
    for (size_t i = 1; i < sets.size(); ++i) {
      if (!sets[i]->Contains(member)) return;
    }
    found.emplace_back(member);
  });
  return found;
}

std::vector<std::string> Unite(const std::vector<const SetObject*>& sets) {
  absl::flat_hash_set<std::string> all;
  for (const SetObject* set : sets) {
    if (set == nullptr) continue;
    set->ForEach([&all](std::string_view member, std::string_view) { all.emplace(member); });
  }
  return {all.begin(), all.end()};
}

std::vector<std::string> Subtract(const std::vector<const SetObject*>& sets) {
  std::vector<std::string> found;
  if (sets[0] == nullptr) return found;
  sets[0]->ForEach([&](std::string_view member, std::string_view) {
    for (size_t i = 1; i < sets.size(); ++i) {
      if (sets[i] != nullptr && sets[i]->Contains(member)) return;
    }
    found.emplace_back(member);
  });
  return found;
}

// The sets args[first], …, args[end - 1]; false, with WRONGTYPE replied, when one is something
// else.
bool FindSets(ExecContext& ctx, size_t first, size_t end, std::vector<const SetObject*>* sets) {
  for (size_t i = first; i < end; ++i) {
    const SetObject* set;
    if (!FindSet(ctx, ctx.args[i], &set)) return false;
    sets->push_back(set);
  }
  return true;
}

std::vector<std::string> Combine(SetOperation operation,
                                 const std::vector<const SetObject*>& sets) {
  switch (operation) {
    case SetOperation::kUnion:
      return Unite(sets);
    case SetOperation::kIntersection:
      return Intersect(sets, UINT64_MAX);
    case SetOperation::kDifference:
      return Subtract(sets);
  }
  return {};
}

std::string_view StoreEvent(SetOperation operation) {
  switch (operation) {
    case SetOperation::kUnion:
      return "sunionstore";
    case SetOperation::kIntersection:
      return "sinterstore";
    case SetOperation::kDifference:
      return "sdiffstore";
  }
  return {};
}

void ReplyCombined(ExecContext& ctx, SetOperation operation) {
  std::vector<const SetObject*> sets;
  if (!FindSets(ctx, 1, ctx.args.size(), &sets)) return;
  const std::vector<std::string> members = Combine(operation, sets);
  ctx.reply.Set(members.size());
  for (const std::string& member : members) ctx.reply.Bulk(member);
}

void StoreCombined(ExecContext& ctx, SetOperation operation) {
  std::vector<const SetObject*> sets;
  if (!FindSets(ctx, 2, ctx.args.size(), &sets)) return;
  const std::vector<std::string> members = Combine(operation, sets);
  Key target = ctx.FindForWrite(ctx.args[1]);
  if (!MayBeReplaced(ctx, target)) return;
  // It may have been one of the sources: its members are needed no more.
  if (target && members.empty()) {
    DeleteKey(ctx, &target);
  } else if (target) {
    ctx.Delete(&target);
  }
  CountedChange change(ctx, &target, ObjectType::kSet);
  for (const std::string& member : members) change.Put(member, {});
  change.Emit(StoreEvent(operation));
  ctx.reply.Integer(static_cast<int64_t>(members.size()));
}

// `count` different members, in any order. REQUIRES: count <= set.size().
std::vector<std::string> PickMembers(Rng* rng, const SetObject& set, uint64_t count) {
  std::vector<std::string> picked;
  if (count * 3 < set.size()) {
    absl::flat_hash_set<std::string> names;
    while (names.size() < count) names.insert(set.Random(rng));
    return {names.begin(), names.end()};
  }
  picked.reserve(set.size());
  set.ForEach(
      [&picked](std::string_view member, std::string_view) { picked.emplace_back(member); });
  for (uint64_t i = 0; i < count; ++i) {
    std::swap(picked[i], picked[i + rng->Below(picked.size() - i)]);
  }
  picked.resize(count);
  return picked;
}

}  // namespace

void Sadd(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSet)) return;
  CountedChange change(ctx, &key, ObjectType::kSet);
  int64_t added = 0;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    if (key && SetAt(key)->Contains(ctx.args[i])) continue;
    added += change.Put(ctx.args[i], {}) ? 1 : 0;
  }
  change.Emit("sadd");
  ctx.reply.Integer(added);
}

void Srem(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSet)) return;
  CountedChange change(ctx, &key, ObjectType::kSet);
  int64_t removed = 0;
  for (size_t i = 2; i < ctx.args.size(); ++i) removed += change.Delete(ctx.args[i]) ? 1 : 0;
  change.Emit("srem");
  ctx.reply.Integer(removed);
}

void Smove(ExecContext& ctx) {
  Key source = ctx.FindForWrite(ctx.args[1]);
  Key target = ctx.FindForWrite(ctx.args[2]);
  if (!source) {
    ctx.reply.Integer(0);
    return;
  }
  if (!ctx.IsOrMissing(source, ObjectType::kSet) || !ctx.IsOrMissing(target, ObjectType::kSet)) {
    return;
  }
  const bool is_there = SetAt(source)->Contains(ctx.args[3]);
  if (is_there && ctx.args[1] != ctx.args[2]) {
    CountedChange takes(ctx, &source, ObjectType::kSet);
    takes.Delete(ctx.args[3]);
    takes.Emit("srem");
    if (!target || !SetAt(target)->Contains(ctx.args[3])) {
      CountedChange gives(ctx, &target, ObjectType::kSet);
      gives.Put(ctx.args[3], {});
      gives.Emit("sadd");
    }
  }
  ctx.reply.Integer(is_there ? 1 : 0);
}

void Scard(ExecContext& ctx) {
  const SetObject* set;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Integer(set != nullptr ? static_cast<int64_t>(set->size()) : 0);
}

void Sismember(ExecContext& ctx) {
  const SetObject* set;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Integer(set != nullptr && set->Contains(ctx.args[2]) ? 1 : 0);
}

void Smismember(ExecContext& ctx) {
  const SetObject* set;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    ctx.reply.Integer(set != nullptr && set->Contains(ctx.args[i]) ? 1 : 0);
  }
}

void Smembers(ExecContext& ctx) {
  const SetObject* set;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Set(set != nullptr ? set->size() : 0);
  if (set == nullptr) return;
  set->ForEach([&ctx](std::string_view member, std::string_view) { ctx.reply.Bulk(member); });
}

void Sscan(ExecContext& ctx) {
  uint64_t cursor;
  if (!ParseCursor(ctx, 2, &cursor)) return;
  const SetObject* set;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  ScanOptions options;
  if (set != nullptr && !ParseScanOptions(ctx, 3, /*has_type=*/false, &options)) return;
  std::vector<std::string> members;
  cursor = set == nullptr ? 0
                          : set->Scan(cursor, static_cast<size_t>(options.count),
                                      [&](std::string_view member) {
                                        if (Matches(options.pattern, member)) {
                                          members.emplace_back(member);
                                        }
                                      });
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(cursor));
  ctx.reply.Array(members.size());
  for (const std::string& member : members) ctx.reply.Bulk(member);
}

void Spop(ExecContext& ctx) {
  int64_t count = 1;
  const bool has_count = ctx.args.size() == 3;
  if (ctx.args.size() > 3) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (has_count && (!ParseInt64(ctx.args[2], &count) || count < 0)) {
    ctx.Error("ERR value is out of range, must be positive");
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSet)) return;
  std::vector<std::string> members;
  if (key) {
    const uint64_t most = std::min<uint64_t>(static_cast<uint64_t>(count), SetAt(key)->size());
    members = PickMembers(ctx.partition().rng(), *SetAt(key), most);
    CountedChange change(ctx, &key, ObjectType::kSet);
    for (const std::string& member : members) change.Delete(member);
    change.Emit("spop");
  }
  if (has_count) ctx.reply.Set(members.size());
  if (!has_count && members.empty()) ctx.reply.Null();
  for (const std::string& member : members) ctx.reply.Bulk(member);
}

void Srandmember(ExecContext& ctx) {
  const SetObject* set;
  if (ctx.args.size() == 2) {
    if (!FindSet(ctx, ctx.args[1], &set)) return;
    if (set == nullptr) {
      ctx.reply.Null();
    } else {
      ctx.reply.Bulk(set->Random(ctx.partition().rng()));
    }
    return;
  }
  int64_t count;
  if (ctx.args.size() > 3) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (!ParseRandomCount(ctx, &count)) return;
  if (!FindSet(ctx, ctx.args[1], &set)) return;
  Rng* rng = ctx.partition().rng();
  if (set == nullptr) {
    ctx.reply.Array(0);
  } else if (count < 0) {
    // Members may come several times.
    ctx.reply.Array(static_cast<uint64_t>(-count));
    for (; count < 0 && !ctx.ReplyTooLong(); ++count) ctx.reply.Bulk(set->Random(rng));
  } else {
    const std::vector<std::string> members =
        PickMembers(rng, *set, std::min<uint64_t>(static_cast<uint64_t>(count), set->size()));
    ctx.reply.Array(members.size());
    for (const std::string& member : members) ctx.reply.Bulk(member);
  }
}

void Sinter(ExecContext& ctx) { ReplyCombined(ctx, SetOperation::kIntersection); }
void Sunion(ExecContext& ctx) { ReplyCombined(ctx, SetOperation::kUnion); }
void Sdiff(ExecContext& ctx) { ReplyCombined(ctx, SetOperation::kDifference); }
void Sinterstore(ExecContext& ctx) { StoreCombined(ctx, SetOperation::kIntersection); }
void Sunionstore(ExecContext& ctx) { StoreCombined(ctx, SetOperation::kUnion); }
void Sdiffstore(ExecContext& ctx) { StoreCombined(ctx, SetOperation::kDifference); }

void Sintercard(ExecContext& ctx) {
  int64_t count;
  if (!ParseInt64(ctx.args[1], &count) || count <= 0) {
    ctx.Error("ERR numkeys should be greater than 0");
    return;
  }
  if (static_cast<uint64_t>(count) > ctx.args.size() - 2) {
    ctx.Error("ERR Number of keys can't be greater than number of args");
    return;
  }
  const size_t end = 2 + static_cast<size_t>(count);
  int64_t limit = 0;
  for (size_t i = end; i < ctx.args.size(); i += 2) {
    if (!EqualsIgnoreCase(ctx.args[i], "LIMIT") || i + 1 >= ctx.args.size()) {
      ctx.Error(engine::kSyntaxError);
      return;
    }
    if (!ParseInt64(ctx.args[i + 1], &limit) || limit < 0) {
      ctx.Error("ERR LIMIT can't be negative");
      return;
    }
  }
  std::vector<const SetObject*> sets;
  if (!FindSets(ctx, 2, end, &sets)) return;
  const uint64_t most = limit == 0 ? UINT64_MAX : static_cast<uint64_t>(limit);
  ctx.reply.Integer(static_cast<int64_t>(Intersect(std::move(sets), most).size()));
}

}  // namespace holdfast::commands
