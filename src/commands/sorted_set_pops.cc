// Taking members from the ends of sorted sets.
#include <algorithm>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/sorted_sets.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::SortedSetObject;
using engine::ExecContext;
using engine::Key;

enum class ZEnd : uint8_t { kMin, kMax };

// Takes up to `count` members from an end, which is the order of the answer. REQUIRES: the key is a
// sorted set.
std::vector<ScoredMember> PopScored(ExecContext& ctx, Key* key, ZEnd end, uint64_t count) {
  std::vector<ScoredMember> popped;
  const SortedSetObject& set = *SortedSetAt(*key);
  count = std::min(count, set.size());
  if (count == 0) return popped;
  popped.reserve(count);
  data::ElementChanges changes;
  set.Walk(end == ZEnd::kMin ? 0 : set.size() - 1, end == ZEnd::kMax,
           [&](const SortedSetObject::Member& member) {
             popped.emplace_back(member.name, member.score);
             changes.Delete(member.name);
             return popped.size() < count;
           });
  if (count == set.size()) {
    ctx.Delete(key);
  } else {
    ctx.Change(key, ObjectType::kSortedSet, changes, data::EncodeCount(set.size() - count));
  }
  return popped;
}

void PopMembers(ExecContext& ctx, ZEnd end) {
  if (ctx.args.size() > 3) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  int64_t count = 1;
  const bool has_count = ctx.args.size() == 3;
  if (has_count && (!ParseInt64(ctx.args[2], &count) || count < 0)) {
    ctx.Error("ERR value is out of range, must be positive");
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return;
  std::vector<ScoredMember> members;
  if (key) members = PopScored(ctx, &key, end, static_cast<uint64_t>(count));
  // Without a count the reply is flat in RESP3, too.
  const bool pairs = has_count && ctx.reply.resp3();
  ctx.reply.Array(pairs ? members.size() : members.size() * 2);
  for (const auto& [member, score] : members) {
    if (pairs) ctx.reply.Array(2);
    ctx.reply.Bulk(member);
    ctx.reply.Double(score);
  }
}

struct PopOptions {
  size_t first = 0;  // argument that is a key
  size_t keys = 0;
  ZEnd end = ZEnd::kMin;
  int64_t count = 1;
};

// Reads "numkeys key … MIN|MAX [COUNT count]" from args[at] on; false with the error replied.
bool ParsePopOptions(ExecContext& ctx, size_t at, PopOptions* options) {
  int64_t keys;
  if (!ParseInt64(ctx.args[at], &keys) || keys <= 0) {
    ctx.Error("ERR numkeys should be greater than 0");
    return false;
  }
  if (static_cast<uint64_t>(keys) >= ctx.args.size() - at - 1) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  options->first = at + 1;
  options->keys = static_cast<size_t>(keys);
  const size_t end_at = options->first + options->keys;
  if (EqualsIgnoreCase(ctx.args[end_at], "MAX")) {
    options->end = ZEnd::kMax;
  } else if (!EqualsIgnoreCase(ctx.args[end_at], "MIN")) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  if (ctx.args.size() == end_at + 1) return true;
  if (!EqualsIgnoreCase(ctx.args[end_at + 1], "COUNT") || ctx.args.size() == end_at + 2) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  if (!ParseInt64(ctx.args[end_at + 2], &options->count) || options->count <= 0) {
    ctx.Error("ERR count should be greater than 0");
    return false;
  }
  if (ctx.args.size() == end_at + 3) return true;
  ctx.Error(engine::kSyntaxError);
  return false;
}

// Pops from the first of the keys that is there, and replies its name with the members. False when
// none is; nothing is replied then.
bool PopFromFirst(ExecContext& ctx, const PopOptions& options) {
  for (size_t i = options.first; i < options.first + options.keys; ++i) {
    Key key = ctx.FindForWrite(ctx.args[i]);
    if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return true;
    if (!key) continue;
    const auto members = PopScored(ctx, &key, options.end, static_cast<uint64_t>(options.count));
    ctx.reply.Array(2);
    ctx.reply.Bulk(ctx.args[i]);
    ctx.reply.Array(members.size());
    for (const auto& [member, score] : members) {
      ctx.reply.Array(2);
      ctx.reply.Bulk(member);
      ctx.reply.Double(score);
    }
    return true;
  }
  return false;
}

}  // namespace

void Zpopmin(ExecContext& ctx) { PopMembers(ctx, ZEnd::kMin); }
void Zpopmax(ExecContext& ctx) { PopMembers(ctx, ZEnd::kMax); }

void Zmpop(ExecContext& ctx) {
  PopOptions options;
  if (!ParsePopOptions(ctx, 1, &options)) return;
  if (!PopFromFirst(ctx, options)) ctx.reply.NullArray();
}

}  // namespace holdfast::commands
