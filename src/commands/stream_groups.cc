// Streams: groups of consumers, and what they have not acknowledged.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/stream_args.h"
#include "commands/stream_change.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::StreamConsumer;
using data::StreamGroup;
using data::StreamGroupValue;
using data::StreamId;
using data::StreamObject;
using engine::ExecContext;
using engine::Key;

// "No such key 'a' or consumer group 'b'".
void ErrorNoKeyOrGroup(ExecContext& ctx) {
  ctx.Error("NOGROUP No such key '" + std::string(ctx.args[1]) + "' or consumer group '" +
            std::string(ctx.args[2]) + "'");
}

// The group of XACK's kin, args[2] of args[1]; nullptr, with the error replied, when there is none.
const StreamGroup* FindGroupOrReply(ExecContext& ctx, const Key& key) {
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return nullptr;
  const StreamGroup* group = key ? StreamAt(key)->Find(ctx.args[2]) : nullptr;
  if (group == nullptr) ErrorNoKeyOrGroup(ctx);
  return group;
}

// The key of an XGROUP subcommand, which has to be there.
bool FindStreamOfGroup(ExecContext& ctx, Key* key) {
  *key = ctx.FindForWrite(ctx.args[2]);
  if (!ctx.IsOrMissing(*key, ObjectType::kStream)) return false;
  if (*key) return true;
  ctx.Error(
      "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "
      "use the MKSTREAM option to create an empty stream automatically.");
  return false;
}

const StreamGroup* FindGroupOfStream(ExecContext& ctx, const Key& key) {
  const StreamGroup* group = StreamAt(key)->Find(ctx.args[3]);
  if (group == nullptr) ErrorNoGroup(ctx);
  return group;
}

struct GroupOptions {
  bool make_stream = false;
  int64_t entries_read = StreamGroupValue::kUnknown;
};

bool ParseGroupOptions(ExecContext& ctx, bool is_create, GroupOptions* options) {
  for (size_t i = 5; i < ctx.args.size(); ++i) {
    if (is_create && EqualsIgnoreCase(ctx.args[i], "MKSTREAM")) {
      options->make_stream = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "ENTRIESREAD") && i + 1 < ctx.args.size()) {
      if (!ctx.ParseInt(++i, &options->entries_read)) return false;
      if (options->entries_read < StreamGroupValue::kUnknown) {
        ctx.Error("ERR value for ENTRIESREAD must be positive or -1");
        return false;
      }
    } else {
      ErrorSubcommandSyntax(ctx);
      return false;
    }
  }
  return true;
}

struct PendingRange {
  int64_t min_idle_ms = 0;
  StreamId start;
  StreamId end;
  int64_t count = 0;
  std::string_view consumer;
  bool has_consumer = false;
};

bool ParsePendingRange(ExecContext& ctx, PendingRange* range) {
  size_t i = 3;
  if (EqualsIgnoreCase(ctx.args[3], "IDLE")) {
    if (!ctx.ParseInt(4, &range->min_idle_ms)) return false;
    if (ctx.args.size() < 8) {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
    i += 2;
  }
  if (!ctx.ParseInt(i + 2, &range->count)) return false;
  if (!ParseRangeStart(ctx, i, &range->start) || !ParseRangeEnd(ctx, i + 1, &range->end)) {
    return false;
  }
  range->has_consumer = i + 3 < ctx.args.size();
  if (range->has_consumer) range->consumer = ctx.args[i + 3];
  return true;
}

void ReplyPendingSummary(ExecContext& ctx, const StreamGroup& group) {
  ctx.reply.Array(4);
  ctx.reply.Integer(static_cast<int64_t>(group.pending.size()));
  if (group.pending.empty()) {
    ctx.reply.Null();
    ctx.reply.Null();
    ctx.reply.NullArray();
    return;
  }
  ReplyStreamId(ctx, group.pending.begin()->first);
  ReplyStreamId(ctx, group.pending.rbegin()->first);
  const size_t mark = ctx.reply.Mark();
  size_t count = 0;
  for (const auto& [name, consumer] : group.consumers) {
    if (consumer->pending.empty()) continue;
    ctx.reply.Array(2);
    ctx.reply.Bulk(name);
    ctx.reply.Bulk(std::to_string(consumer->pending.size()));
    ++count;
  }
  ctx.reply.ArrayAt(mark, count);
}

void ReplyPendingRange(ExecContext& ctx, const StreamGroup& group, const PendingRange& range) {
  const StreamConsumer* consumer = nullptr;
  if (range.has_consumer) {
    consumer = group.Find(range.consumer);
    if (consumer == nullptr) {
      ctx.reply.Array(0);
      return;
    }
  }
  const size_t mark = ctx.reply.Mark();
  int64_t shown = 0;
  const auto show = [&](StreamId id, const data::StreamPending& pending) {
    const int64_t idle_ms = ctx.now_ms() - pending.delivered_ms;
    if (range.min_idle_ms != 0 && idle_ms < range.min_idle_ms) return;
    ctx.reply.Array(4);
    ReplyStreamId(ctx, id);
    ctx.reply.Bulk(pending.consumer->name);
    ctx.reply.Integer(std::max<int64_t>(idle_ms, 0));
    ctx.reply.Integer(pending.deliveries);
    ++shown;
  };
  if (consumer != nullptr) {
    for (auto it = consumer->pending.lower_bound(range.start);
         shown < range.count && it != consumer->pending.end() && *it <= range.end; ++it) {
      show(*it, group.pending.at(*it));
    }
  } else {
    for (auto it = group.pending.lower_bound(range.start);
         shown < range.count && it != group.pending.end() && it->first <= range.end; ++it) {
      show(it->first, it->second);
    }
  }
  ctx.reply.ArrayAt(mark, static_cast<size_t>(shown));
}

struct ClaimOptions {
  int64_t min_idle_ms = 0;
  int64_t delivered_ms = -1;  // not given: now
  int64_t deliveries = -1;    // not given: one more
  bool force = false;
  bool only_ids = false;
  StreamId last_id;
};

// What stands behind the ids of XCLAIM, from args[i] on.
bool ParseClaimOptions(ExecContext& ctx, size_t i, ClaimOptions* options) {
  for (; i < ctx.args.size(); ++i) {
    const std::string_view option = ctx.args[i];
    const bool has_more = i + 1 < ctx.args.size();
    if (EqualsIgnoreCase(option, "FORCE")) {
      options->force = true;
    } else if (EqualsIgnoreCase(option, "JUSTID")) {
      options->only_ids = true;
    } else if (has_more && EqualsIgnoreCase(option, "IDLE")) {
      int64_t idle_ms;
      if (!ctx.ParseInt(++i, &idle_ms, "ERR Invalid IDLE option argument for XCLAIM")) return false;
      // What is out of range is now, as with a time that hasn't come yet.
      options->delivered_ms =
          idle_ms < 0 || idle_ms > ctx.now_ms() ? INT64_MAX : ctx.now_ms() - idle_ms;
    } else if (has_more && EqualsIgnoreCase(option, "TIME")) {
      if (!ctx.ParseInt(++i, &options->delivered_ms,
                        "ERR Invalid TIME option argument for XCLAIM")) {
        return false;
      }
    } else if (has_more && EqualsIgnoreCase(option, "RETRYCOUNT")) {
      if (!ctx.ParseInt(++i, &options->deliveries,
                        "ERR Invalid RETRYCOUNT option argument for XCLAIM")) {
        return false;
      }
    } else if (has_more && EqualsIgnoreCase(option, "LASTID")) {
      if (!ParseStreamId(ctx, ++i, &options->last_id)) return false;
    } else {
      ctx.Error("ERR Unrecognized XCLAIM option '" + std::string(option) + "'");
      return false;
    }
  }
  if (options->delivered_ms < 0 || options->delivered_ms > ctx.now_ms()) {
    options->delivered_ms = ctx.now_ms();
  }
  return true;
}

int64_t OneMore(int64_t deliveries) {
  return deliveries == INT64_MAX ? deliveries : deliveries + 1;
}

// Gives entries to a consumer, and replies each as it is given.
class Claim {
 public:
  Claim(ExecContext& ctx, const StreamObject& stream, const ClaimOptions& options,
        StreamChange* change)
      : ctx_(ctx), stream_(stream), options_(options), change_(change), name_(ctx.args[3]) {}

  // True when the consumer has it now. `pending`: as it is; nothing: no consumer has it yet.
  bool Take(StreamId id, const std::optional<StreamChange::Pending>& pending) {
    // One that nobody has is as idle as can be.
    if (pending.has_value() && options_.min_idle_ms > 0 &&
        ctx_.now_ms() - pending->delivered_ms < options_.min_idle_ms) {
      return false;
    }
    if (!seen_) change_->PutConsumer(name_, ctx_.now_ms());
    seen_ = true;
    int64_t deliveries = pending.has_value() ? pending->deliveries : 1;
    if (options_.deliveries >= 0) {
      deliveries = options_.deliveries;
    } else if (!options_.only_ids) {
      deliveries = OneMore(deliveries);
    }
    change_->PutPending(id, {std::string(name_), options_.delivered_ms, deliveries});
    if (options_.only_ids) {
      ReplyStreamId(ctx_, id);
    } else {
      CHECK(ReplyStreamEntryAt(ctx_, stream_, id));
    }
    return true;
  }

 private:
  ExecContext& ctx_;
  const StreamObject& stream_;
  const ClaimOptions& options_;
  StreamChange* const change_;
  const std::string_view name_;
  bool seen_ = false;
};

struct AutoclaimOptions {
  ClaimOptions claim;
  StreamId start;
  int64_t count = 100;
};

bool ParseAutoclaim(ExecContext& ctx, AutoclaimOptions* options) {
  // Entries looked at for each that may be claimed.
  constexpr int64_t kMaxCount = INT64_MAX / 16;
  if (!ctx.ParseInt(4, &options->claim.min_idle_ms,
                    "ERR Invalid min-idle-time argument for XAUTOCLAIM")) {
    return false;
  }
  if (!ParseRangeStart(ctx, 5, &options->start)) return false;
  for (size_t i = 6; i < ctx.args.size(); ++i) {
    if (EqualsIgnoreCase(ctx.args[i], "COUNT") && i + 1 < ctx.args.size()) {
      constexpr std::string_view kTooSmall = "ERR COUNT must be > 0";
      if (!ctx.ParseInt(++i, &options->count, kTooSmall)) return false;
      if (options->count < 1 || options->count > kMaxCount) {
        ctx.Error(kTooSmall);
        return false;
      }
    } else if (EqualsIgnoreCase(ctx.args[i], "JUSTID")) {
      options->claim.only_ids = true;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  options->claim.delivered_ms = ctx.now_ms();
  return true;
}

}  // namespace

void XgroupCreate(ExecContext& ctx) {
  GroupOptions options;
  if (!ParseGroupOptions(ctx, /*is_create=*/true, &options)) return;
  Key key;
  if (options.make_stream) {
    key = ctx.FindForWrite(ctx.args[2]);
    if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  } else if (!FindStreamOfGroup(ctx, &key)) {
    return;
  }
  // Each option once, as Redis counts them.
  if (ctx.args.size() > 8) {
    ErrorSubcommandSyntax(ctx);
    return;
  }
  const StreamObject* stream = StreamAt(key);
  StreamGroupValue value;
  value.entries_read = options.entries_read;
  if (ctx.args[4] == "$") {
    if (stream != nullptr) value.last_id = stream->head().last_id;
  } else if (!ParseStreamId(ctx, 4, &value.last_id)) {
    return;
  }
  if (stream != nullptr && stream->Find(ctx.args[3]) != nullptr) {
    ctx.Error("BUSYGROUP Consumer Group name already exists");
    return;
  }
  StreamChange change(ctx, &key, ctx.args[3]);
  change.PutGroup(value);
  change.Emit("xgroup-create");
  ctx.reply.Ok();
}

void XgroupSetid(ExecContext& ctx) {
  GroupOptions options;
  if (!ParseGroupOptions(ctx, /*is_create=*/false, &options)) return;
  Key key;
  if (!FindStreamOfGroup(ctx, &key) || FindGroupOfStream(ctx, key) == nullptr) return;
  if (ctx.args.size() > 7) {
    ErrorSubcommandSyntax(ctx);
    return;
  }
  StreamGroupValue value;
  value.entries_read = options.entries_read;
  if (ctx.args[4] == "$") {
    value.last_id = StreamAt(key)->head().last_id;
  } else if (ctx.args[4] == "+") {
    value.last_id = StreamId::Max();
  } else if (ctx.args[4] != "-" && !ParseStreamId(ctx, 4, &value.last_id)) {
    return;
  }
  StreamChange change(ctx, &key, ctx.args[3]);
  change.PutGroup(value);
  change.Emit("xgroup-setid");
  ctx.reply.Ok();
}

void XgroupDestroy(ExecContext& ctx) {
  Key key;
  if (!FindStreamOfGroup(ctx, &key)) return;
  const bool exists = StreamAt(key)->Find(ctx.args[3]) != nullptr;
  if (exists) {
    StreamChange change(ctx, &key, ctx.args[3]);
    change.DeleteGroup();
    change.Emit("xgroup-destroy");
  }
  ctx.reply.Integer(exists ? 1 : 0);
}

void XgroupCreateconsumer(ExecContext& ctx) {
  Key key;
  if (!FindStreamOfGroup(ctx, &key)) return;
  const StreamGroup* group = FindGroupOfStream(ctx, key);
  if (group == nullptr) return;
  const bool exists = group->Find(ctx.args[4]) != nullptr;
  if (!exists) {
    StreamChange change(ctx, &key, ctx.args[3]);
    change.PutConsumer(ctx.args[4], ctx.now_ms());
    change.Emit({});
  }
  ctx.reply.Integer(exists ? 0 : 1);
}

void XgroupDelconsumer(ExecContext& ctx) {
  Key key;
  if (!FindStreamOfGroup(ctx, &key)) return;
  const StreamGroup* group = FindGroupOfStream(ctx, key);
  if (group == nullptr) return;
  const StreamConsumer* consumer = group->Find(ctx.args[4]);
  int64_t pending = 0;
  if (consumer != nullptr) {
    pending = static_cast<int64_t>(consumer->pending.size());
    StreamChange change(ctx, &key, ctx.args[3]);
    change.DeleteConsumer(ctx.args[4]);
    change.Emit("xgroup-delconsumer");
  }
  ctx.reply.Integer(pending);
}

void Xack(ExecContext& ctx) {
  Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  if (!key || StreamAt(key)->Find(ctx.args[2]) == nullptr) {
    ctx.reply.Integer(0);
    return;
  }
  std::vector<StreamId> ids(ctx.args.size() - 3);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!ParseStreamId(ctx, i + 3, &ids[i])) return;
  }
  StreamChange change(ctx, &key, ctx.args[2]);
  int64_t acknowledged = 0;
  for (const StreamId id : ids) acknowledged += change.DeletePending(id) ? 1 : 0;
  change.Emit({});
  ctx.reply.Integer(acknowledged);
}

void Xpending(ExecContext& ctx) {
  const bool summary = ctx.args.size() == 3;
  if (!summary && (ctx.args.size() < 6 || ctx.args.size() > 9)) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  PendingRange range;
  if (!summary && !ParsePendingRange(ctx, &range)) return;
  const Key key = ctx.FindForRead(ctx.args[1]);
  const StreamGroup* group = FindGroupOrReply(ctx, key);
  if (group == nullptr) return;
  if (summary) {
    ReplyPendingSummary(ctx, *group);
  } else {
    ReplyPendingRange(ctx, *group, range);
  }
}

void Xclaim(ExecContext& ctx) {
  Key key = ctx.FindForRead(ctx.args[1]);
  const StreamGroup* group = FindGroupOrReply(ctx, key);
  if (group == nullptr) return;
  ClaimOptions options;
  if (!ctx.ParseInt(4, &options.min_idle_ms, "ERR Invalid min-idle-time argument for XCLAIM")) {
    return;
  }
  std::vector<StreamId> ids;
  StreamId id;
  size_t i = 5;
  for (; i < ctx.args.size() && ParseStreamId(ctx.args[i], 0, &id); ++i) {
    ids.push_back(id);
  }
  if (!ParseClaimOptions(ctx, i, &options)) return;
  const StreamObject& stream = *StreamAt(key);
  StreamChange change(ctx, &key, ctx.args[2]);
  if (group->last_id < options.last_id) change.PutGroup({options.last_id, group->entries_read});
  Claim claim(ctx, stream, options, &change);
  const size_t mark = ctx.reply.Mark();
  size_t claimed = 0;
  for (const StreamId each : ids) {
    const std::optional<StreamChange::Pending> pending = change.FindPending(each);
    if (!stream.entries().Contains(each)) {
      // Nobody can acknowledge what is gone.
      change.DeletePending(each);
    } else if ((pending.has_value() || options.force) && claim.Take(each, pending)) {
      ++claimed;
    }
  }
  ctx.reply.ArrayAt(mark, claimed);
  change.Emit({});
}

void Xautoclaim(ExecContext& ctx) {
  AutoclaimOptions options;
  if (!ParseAutoclaim(ctx, &options)) return;
  Key key = ctx.FindForRead(ctx.args[1]);
  const StreamGroup* group = FindGroupOrReply(ctx, key);
  if (group == nullptr) return;
  const StreamObject& stream = *StreamAt(key);
  StreamChange change(ctx, &key, ctx.args[2]);
  Claim claim(ctx, stream, options.claim, &change);
  std::vector<StreamId> gone;
  ctx.reply.Array(3);
  const size_t mark = ctx.reply.Mark();
  size_t claimed = 0;
  int64_t count = options.count;
  int64_t attempts = options.count * 10;
  auto it = group->pending.lower_bound(options.start);
  for (; attempts > 0 && count > 0 && it != group->pending.end(); ++it, --attempts) {
    const StreamId id = it->first;
    if (!stream.entries().Contains(id)) {
      change.DeletePending(id);
      gone.push_back(id);
      --count;
    } else if (claim.Take(id, change.FindPending(id))) {
      ++claimed;
      --count;
    }
  }
  ctx.reply.ArrayAt(mark, claimed);
  // The cursor comes first and is known last.
  const std::string entries = ctx.reply.out()->substr(mark);
  ctx.reply.out()->resize(mark);
  ReplyStreamId(ctx, it != group->pending.end() ? it->first : StreamId());
  ctx.reply.Raw(entries);
  ctx.reply.Array(gone.size());
  for (const StreamId id : gone) ReplyStreamId(ctx, id);
  change.Emit({});
}

}  // namespace holdfast::commands
