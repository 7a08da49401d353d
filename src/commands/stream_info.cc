// XINFO.
#include <algorithm>
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/stream_args.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::StreamConsumer;
using data::StreamEntry;
using data::StreamGroup;
using data::StreamGroupValue;
using data::StreamId;
using data::StreamObject;
using engine::ExecContext;
using engine::Key;

void ReplyNumber(ExecContext& ctx, std::string_view name, int64_t number) {
  ctx.reply.Bulk(name);
  ctx.reply.Integer(number);
}

void ReplyCount(ExecContext& ctx, std::string_view name, uint64_t count) {
  ReplyNumber(ctx, name, static_cast<int64_t>(count));
}

void ReplyId(ExecContext& ctx, std::string_view name, StreamId id) {
  ctx.reply.Bulk(name);
  ReplyStreamId(ctx, id);
}

// nullptr, with the error replied, when there is no such stream.
const StreamObject* FindStreamOrReply(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[2]);
  if (!key) {
    ctx.Error(engine::kNoSuchKey);
    return nullptr;
  }
  return ctx.IsOrMissing(key, ObjectType::kStream) ? StreamAt(key) : nullptr;
}

// How far the group has read: two pairs of a map.
void ReplyProgress(ExecContext& ctx, const StreamObject& stream, const StreamGroup& group) {
  ctx.reply.Bulk("entries-read");
  if (group.entries_read != StreamGroupValue::kUnknown) {
    ctx.reply.Integer(group.entries_read);
  } else {
    ctx.reply.Null();
  }
  ctx.reply.Bulk("lag");
  if (const std::optional<int64_t> lag = stream.Lag(group)) {
    ctx.reply.Integer(*lag);
  } else {
    ctx.reply.Null();
  }
}

// An entry at an end of the stream, or null.
void ReplyEdge(ExecContext& ctx, const StreamObject& stream, bool last) {
  bool found = false;
  stream.entries().Walk({}, StreamId::Max(), last, [&](const StreamEntry& entry) {
    ReplyStreamEntry(ctx, entry);
    found = true;
    return false;
  });
  if (!found) ctx.reply.Null();
}

void ReplyFullConsumer(ExecContext& ctx, const StreamGroup& group, const StreamConsumer& consumer,
                       size_t count) {
  ctx.reply.Map(4);
  ctx.reply.Bulk("name");
  ctx.reply.Bulk(consumer.name);
  ReplyNumber(ctx, "seen-time", consumer.seen_ms);
  ReplyCount(ctx, "pel-count", consumer.pending.size());
  ctx.reply.Bulk("pending");
  size_t left = std::min(count, consumer.pending.size());
  ctx.reply.Array(left);
  for (auto it = consumer.pending.begin(); left > 0; ++it, --left) {
    const data::StreamPending& pending = group.pending.at(*it);
    ctx.reply.Array(3);
    ReplyStreamId(ctx, *it);
    ctx.reply.Integer(pending.delivered_ms);
    ctx.reply.Integer(pending.deliveries);
  }
}

void ReplyFullGroup(ExecContext& ctx, const StreamObject& stream, const std::string& name,
                    const StreamGroup& group, size_t count) {
  ctx.reply.Map(7);
  ctx.reply.Bulk("name");
  ctx.reply.Bulk(name);
  ReplyId(ctx, "last-delivered-id", group.last_id);
  ReplyProgress(ctx, stream, group);
  ReplyCount(ctx, "pel-count", group.pending.size());
  ctx.reply.Bulk("pending");
  size_t left = std::min(count, group.pending.size());
  ctx.reply.Array(left);
  for (auto it = group.pending.begin(); left > 0; ++it, --left) {
    ctx.reply.Array(4);
    ReplyStreamId(ctx, it->first);
    ctx.reply.Bulk(it->second.consumer->name);
    ctx.reply.Integer(it->second.delivered_ms);
    ctx.reply.Integer(it->second.deliveries);
  }
  ctx.reply.Bulk("consumers");
  ctx.reply.Array(group.consumers.size());
  for (const auto& [consumer_name, consumer] : group.consumers) {
    ReplyFullConsumer(ctx, group, *consumer, count);
  }
}

void ReplyFull(ExecContext& ctx, const StreamObject& stream, size_t count) {
  ctx.reply.Bulk("entries");
  const size_t mark = ctx.reply.Mark();
  size_t shown = 0;
  stream.entries().Walk({}, StreamId::Max(), false, [&](const StreamEntry& entry) {
    ReplyStreamEntry(ctx, entry);
    return ++shown != count;
  });
  ctx.reply.ArrayAt(mark, shown);
  ctx.reply.Bulk("groups");
  ctx.reply.Array(stream.groups().size());
  for (const auto& [name, group] : stream.groups()) {
    ReplyFullGroup(ctx, stream, name, *group, count);
  }
}

// FULL, or FULL COUNT count, behind the key. `count`: SIZE_MAX is all.
bool ParseInfoOptions(ExecContext& ctx, bool* full, size_t* count) {
  const size_t size = ctx.args.size();
  *full = size > 3;
  *count = 10;
  if (!*full) return true;
  if ((size != 4 && size != 6) || !EqualsIgnoreCase(ctx.args[3], "FULL") ||
      (size == 6 && !EqualsIgnoreCase(ctx.args[4], "COUNT"))) {
    ErrorSubcommandSyntax(ctx);
    return false;
  }
  if (size == 4) return true;
  int64_t given;
  if (!ctx.ParseInt(5, &given)) return false;
  if (given == 0) *count = SIZE_MAX;
  if (given > 0) *count = static_cast<size_t>(given);
  return true;
}

}  // namespace

void XinfoStream(ExecContext& ctx) {
  const StreamObject* stream = FindStreamOrReply(ctx);
  bool full;
  size_t count;
  if (stream == nullptr || !ParseInfoOptions(ctx, &full, &count)) return;
  const data::StreamHead& head = stream->head();
  ctx.reply.Map(full ? 9 : 10);
  ReplyCount(ctx, "length", head.entries);
  // There is no tree: these are nodes of entries, and one above them.
  ReplyCount(ctx, "radix-tree-keys", stream->entries().nodes());
  ReplyCount(ctx, "radix-tree-nodes", stream->entries().nodes() + 1);
  ReplyId(ctx, "last-generated-id", head.last_id);
  ReplyId(ctx, "max-deleted-entry-id", head.max_deleted);
  ReplyCount(ctx, "entries-added", head.entries_added);
  ReplyId(ctx, "recorded-first-entry-id", stream->first_id());
  if (full) {
    ReplyFull(ctx, *stream, count);
    return;
  }
  ReplyCount(ctx, "groups", stream->groups().size());
  ctx.reply.Bulk("first-entry");
  ReplyEdge(ctx, *stream, /*last=*/false);
  ctx.reply.Bulk("last-entry");
  ReplyEdge(ctx, *stream, /*last=*/true);
}

void XinfoGroups(ExecContext& ctx) {
  const StreamObject* stream = FindStreamOrReply(ctx);
  if (stream == nullptr) return;
  ctx.reply.Array(stream->groups().size());
  for (const auto& [name, group] : stream->groups()) {
    ctx.reply.Map(6);
    ctx.reply.Bulk("name");
    ctx.reply.Bulk(name);
    ReplyCount(ctx, "consumers", group->consumers.size());
    ReplyCount(ctx, "pending", group->pending.size());
    ReplyId(ctx, "last-delivered-id", group->last_id);
    ReplyProgress(ctx, *stream, *group);
  }
}

void XinfoConsumers(ExecContext& ctx) {
  const StreamObject* stream = FindStreamOrReply(ctx);
  if (stream == nullptr) return;
  const StreamGroup* group = stream->Find(ctx.args[3]);
  if (group == nullptr) {
    ErrorNoGroup(ctx);
    return;
  }
  ctx.reply.Array(group->consumers.size());
  for (const auto& [name, consumer] : group->consumers) {
    ctx.reply.Map(3);
    ctx.reply.Bulk("name");
    ctx.reply.Bulk(name);
    ReplyCount(ctx, "pending", consumer->pending.size());
    ReplyNumber(ctx, "idle", std::max<int64_t>(ctx.now_ms() - consumer->seen_ms, 0));
  }
}

}  // namespace holdfast::commands
