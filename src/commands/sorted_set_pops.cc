// Taking members from the ends of sorted sets.
#include <algorithm>

#include "base/numbers.h"
#include "commands/blocking.h"
#include "commands/handlers.h"
#include "commands/options.h"
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
  const std::string_view event = end == ZEnd::kMin ? "zpopmin" : "zpopmax";
  if (count == set.size()) {
    ctx.Notify(*key, engine::kSortedSetEvents, event);
    DeleteKey(ctx, key);
  } else {
    ctx.Change(key, ObjectType::kSortedSet, changes, data::EncodeCount(set.size() - count));
    ctx.Notify(*key, engine::kSortedSetEvents, event);
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

// Pops from the key that was found, and replies its name with the members. REQUIRES: first->found
// is kYes.
void PopFound(ExecContext& ctx, const PopFromKeys& options, FirstKey* first) {
  const ZEnd end = options.from_back ? ZEnd::kMax : ZEnd::kMin;
  const auto members = PopScored(ctx, &first->key, end, options.count);
  ctx.reply.Array(2);
  ctx.reply.Bulk(ctx.args[first->at]);
  ctx.reply.Array(members.size());
  for (const auto& [member, score] : members) {
    ctx.reply.Array(2);
    ctx.reply.Bulk(member);
    ctx.reply.Double(score);
  }
}

// BZPOPMIN and BZPOPMAX.
void PopMemberOrWait(ExecContext& ctx, ZEnd end) {
  const size_t timeout_at = ctx.args.size() - 1;
  int64_t timeout_ms;
  if (!ParseTimeoutSeconds(ctx, timeout_at, &timeout_ms)) return;
  FirstKey first = FindFirst(ctx, 1, timeout_at, ObjectType::kSortedSet);
  if (first.found == FirstKey::Found::kNo) WaitForKeys(ctx, 1, timeout_at, timeout_ms, first);
  if (first.found != FirstKey::Found::kYes) return;
  const auto members = PopScored(ctx, &first.key, end, 1);
  ctx.reply.Array(3);
  ctx.reply.Bulk(ctx.args[first.at]);
  ctx.reply.Bulk(members[0].first);
  ctx.reply.Double(members[0].second);
}

}  // namespace

void Zpopmin(ExecContext& ctx) { PopMembers(ctx, ZEnd::kMin); }
void Zpopmax(ExecContext& ctx) { PopMembers(ctx, ZEnd::kMax); }

void Bzpopmin(ExecContext& ctx) { PopMemberOrWait(ctx, ZEnd::kMin); }
void Bzpopmax(ExecContext& ctx) { PopMemberOrWait(ctx, ZEnd::kMax); }

void Zmpop(ExecContext& ctx) {
  PopFromKeys options;
  if (!ParsePopFromKeys(ctx, 1, "MIN", "MAX", &options)) return;
  FirstKey first = FindFirst(ctx, options.first, options.end_at, ObjectType::kSortedSet);
  if (first.found == FirstKey::Found::kYes) PopFound(ctx, options, &first);
  if (first.found == FirstKey::Found::kNo) ctx.reply.NullArray();
}

void Bzmpop(ExecContext& ctx) {
  PopFromKeys options;
  int64_t timeout_ms;
  if (!ParsePopFromKeys(ctx, 2, "MIN", "MAX", &options) ||
      !ParseTimeoutSeconds(ctx, 1, &timeout_ms)) {
    return;
  }
  FirstKey first = FindFirst(ctx, options.first, options.end_at, ObjectType::kSortedSet);
  if (first.found == FirstKey::Found::kYes) PopFound(ctx, options, &first);
  if (first.found == FirstKey::Found::kNo) {
    WaitForKeys(ctx, options.first, options.end_at, timeout_ms, first);
  }
}

}  // namespace holdfast::commands
