// Streams: XREAD and XREADGROUP.
//
// A request that finds nothing may wait. What it waits for is settled when it comes: the ids of an
// XREAD are those that `$` meant then, also when it is tried again, here or under another leader.
// One of an XREADGROUP always waits for what its group has not read.
#include <algorithm>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/stream_args.h"
#include "commands/stream_change.h"

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

struct ReadOptions {
  bool of_group = false;  // XREADGROUP
  std::string_view group;
  std::string_view consumer;
  bool has_group = false;
  bool no_ack = false;
  bool may_wait = false;
  int64_t timeout_ms = 0;
  uint64_t count = 0;  // of each stream; 0 = all
  size_t first_key = 0;
  size_t streams = 0;
};

// One of the streams, and from where on it is read.
struct StreamRead {
  Key key;
  const StreamGroup* group = nullptr;
  StreamId after;
  bool only_new = false;  // ">"
};

bool ParseBlock(ExecContext& ctx, size_t i, ReadOptions* options) {
  if (ctx.caller.in_script) {
    ctx.Error("ERR " + std::string(ctx.args[0]) +
              " command is not allowed with BLOCK option from scripts");
    return false;
  }
  if (!ctx.ParseInt(i, &options->timeout_ms, "ERR timeout is not an integer or out of range")) {
    return false;
  }
  if (options->timeout_ms < 0) {
    ctx.Error("ERR timeout is negative");
    return false;
  }
  if (options->timeout_ms > INT64_MAX - ctx.now_ms()) {
    ctx.Error("ERR timeout is out of range");
    return false;
  }
  options->may_wait = true;
  return true;
}

// What may stand before STREAMS and is XREADGROUP's only. Leaves *i at its last argument.
engine::Args::size_type GroupOptionSize(std::string_view option) {
  return EqualsIgnoreCase(option, "GROUP") ? 2 : EqualsIgnoreCase(option, "NOACK") ? 0 : SIZE_MAX;
}

bool ParseGroupOption(ExecContext& ctx, size_t i, ReadOptions* options) {
  const bool no_ack = GroupOptionSize(ctx.args[i]) == 0;
  if (!options->of_group) {
    ctx.Error(std::string("ERR The ") + (no_ack ? "NOACK" : "GROUP") +
              " option is only supported by XREADGROUP. You called XREAD instead.");
    return false;
  }
  if (no_ack) {
    options->no_ack = true;
    return true;
  }
  options->has_group = true;
  options->group = ctx.args[i + 1];
  options->consumer = ctx.args[i + 2];
  return true;
}

// As engine::FindKeys finds the keys, which must be the same ones.
bool ParseRead(ExecContext& ctx, ReadOptions* options) {
  const engine::Args args = ctx.args;
  for (size_t i = 1; i < args.size() && options->first_key == 0; ++i) {
    const size_t more = args.size() - 1 - i;
    const size_t group_size = GroupOptionSize(args[i]);
    if (more > 0 && EqualsIgnoreCase(args[i], "BLOCK")) {
      if (!ParseBlock(ctx, ++i, options)) return false;
    } else if (more > 0 && EqualsIgnoreCase(args[i], "COUNT")) {
      int64_t count;
      if (!ctx.ParseInt(++i, &count)) return false;
      options->count = static_cast<uint64_t>(std::max<int64_t>(count, 0));
    } else if (more > 0 && EqualsIgnoreCase(args[i], "STREAMS")) {
      options->first_key = i + 1;
      if (more % 2 != 0) {
        ctx.Error(
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be "
            "specified.");
        return false;
      }
      options->streams = more / 2;
    } else if (group_size != SIZE_MAX && more >= group_size) {
      if (!ParseGroupOption(ctx, i, options)) return false;
      i += group_size;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  if (options->first_key == 0) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  if (options->of_group && !options->has_group) {
    ctx.Error("ERR Missing GROUP option for XREADGROUP");
    return false;
  }
  return true;
}

// The group that the request reads for; false, with the error replied, when it is gone or never
// was.
bool FindReadGroup(ExecContext& ctx, const ReadOptions& options, std::string_view name,
                   StreamRead* read) {
  if (read->key) read->group = StreamAt(read->key)->Find(options.group);
  if (read->group != nullptr) return true;
  if (!ctx.caller.retry) {
    ctx.Error("NOGROUP No such key '" + std::string(name) + "' or consumer group '" +
              std::string(options.group) + "' in XREADGROUP with GROUP option");
  } else if (!read->key) {
    ctx.Error("UNBLOCKED the stream key no longer exists");
  } else {
    ctx.Error("NOGROUP the consumer group this client was blocked on no longer exists");
  }
  return false;
}

bool ParseReadId(ExecContext& ctx, const ReadOptions& options, size_t i, StreamRead* read) {
  const std::string_view text = ctx.args[i];
  if (text == "$") {
    if (options.of_group) {
      ctx.Error(
          "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history "
          "of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ "
          "ID would just return an empty result set.");
      return false;
    }
    if (read->key) read->after = StreamAt(read->key)->head().last_id;
    return true;
  }
  if (text == ">") {
    if (!options.of_group) {
      ctx.Error(
          "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
          "<consumer> option.");
      return false;
    }
    read->only_new = true;
    return true;
  }
  return ParseStreamId(ctx, i, &read->after);
}

// Looks the streams up and reads the ids.
bool FindReads(ExecContext& ctx, const ReadOptions& options, std::vector<StreamRead>* reads) {
  for (size_t k = 0; k < options.streams; ++k) {
    const std::string_view name = ctx.args[options.first_key + k];
    StreamRead read;
    read.key = ctx.FindForRead(name);
    if (ctx.caller.retry && read.key && !read.key.Is(ObjectType::kStream)) {
      // It was one, or none, when the request began to wait.
      read.key.object = nullptr;
    }
    if (!ctx.IsOrMissing(read.key, ObjectType::kStream)) return false;
    if (options.of_group && !FindReadGroup(ctx, options, name, &read)) return false;
    const size_t id = options.first_key + options.streams + k;
    if (!ParseReadId(ctx, options, id, &read)) return false;
    reads->push_back(read);
  }
  return true;
}

// Entries behind `after`, as an array. `delivered` sees each.
void ReplyBehind(ExecContext& ctx, const StreamObject& stream, StreamId after, uint64_t count,
                 absl::FunctionRef<void(StreamId id)> delivered) {
  const size_t mark = ctx.reply.Mark();
  size_t shown = 0;
  if (after.Increment()) {
    stream.entries().Walk(after, StreamId::Max(), false, [&](const StreamEntry& entry) {
      ReplyStreamEntry(ctx, entry);
      delivered(entry.id);
      return ++shown != count;
    });
  }
  ctx.reply.ArrayAt(mark, shown);
}

// What the group has not read yet.
void DeliverNew(ExecContext& ctx, const ReadOptions& options, uint64_t count, StreamRead* read) {
  const StreamObject& stream = *StreamAt(read->key);
  StreamChange change(ctx, &read->key, options.group);
  change.PutConsumer(options.consumer, ctx.now_ms());
  StreamGroupValue value{read->group->last_id, read->group->entries_read};
  ReplyBehind(ctx, stream, value.last_id, count, [&](StreamId id) {
    if (value.entries_read != StreamGroupValue::kUnknown && !stream.HasHolesFrom(id)) {
      if (value.entries_read < INT64_MAX) ++value.entries_read;
    } else if (stream.head().entries_added > 0) {
      value.entries_read = stream.EntriesUpTo(id);
    }
    value.last_id = id;
    // Another consumer may have it, when the group was set back.
    if (!options.no_ack) change.PutPending(id, {std::string(options.consumer), ctx.now_ms(), 1});
  });
  change.PutGroup(value);
  change.Emit({});
}

// What the consumer has not acknowledged.
void DeliverHistory(ExecContext& ctx, const ReadOptions& options, StreamRead* read) {
  const StreamObject& stream = *StreamAt(read->key);
  StreamChange change(ctx, &read->key, options.group);
  change.PutConsumer(options.consumer, ctx.now_ms());
  const StreamConsumer* consumer = read->group->Find(options.consumer);
  const size_t mark = ctx.reply.Mark();
  size_t shown = 0;
  if (consumer != nullptr) {
    for (auto it = consumer->pending.upper_bound(read->after); it != consumer->pending.end();
         ++it) {
      if (ReplyStreamEntryAt(ctx, stream, *it)) {
        const data::StreamPending& pending = read->group->pending.at(*it);
        const int64_t deliveries = std::min(pending.deliveries, INT64_MAX - 1) + 1;
        change.PutPending(*it, {consumer->name, ctx.now_ms(), deliveries});
      } else {
        ctx.reply.Array(2);
        ReplyStreamId(ctx, *it);
        ctx.reply.NullArray();
      }
      if (++shown == options.count) break;
    }
  }
  ctx.reply.ArrayAt(mark, shown);
  change.Emit({});
}

// Whether there is something to answer now.
bool IsServed(const ReadOptions& options, const StreamRead& read) {
  if (!read.key) return false;
  if (options.of_group && !read.only_new) return true;
  const StreamObject& stream = *StreamAt(read.key);
  const StreamId after = options.of_group ? read.group->last_id : read.after;
  return stream.size() > 0 && stream.entries().last_id() > after;
}

// The request as it was, but with the ids that `$` meant.
std::vector<std::string> ArgsToWait(ExecContext& ctx, const ReadOptions& options,
                                    const std::vector<StreamRead>& reads) {
  std::vector<std::string> args(ctx.args.begin(), ctx.args.end());
  for (size_t k = 0; k < reads.size(); ++k) {
    args[options.first_key + options.streams + k] = reads[k].after.Text();
  }
  return args;
}

void ReadCommand(ExecContext& ctx, bool of_group) {
  // One that has waited must not get all there is when its id is far behind.
  constexpr uint64_t kCountOfWaiter = 1000;
  ReadOptions options;
  options.of_group = of_group;
  std::vector<StreamRead> reads;
  if (!ParseRead(ctx, &options) || !FindReads(ctx, options, &reads)) return;
  if (ctx.caller.retry && options.count == 0) options.count = kCountOfWaiter;
  const size_t mark = ctx.reply.Mark();
  size_t served = 0;
  for (size_t k = 0; k < reads.size(); ++k) {
    // A stream may be named twice.
    if (!IsServed(options, reads[k])) continue;
    ++served;
    if (!ctx.reply.resp3()) ctx.reply.Array(2);
    ctx.reply.Bulk(ctx.args[options.first_key + k]);
    if (!of_group) {
      ReplyBehind(ctx, *StreamAt(reads[k].key), reads[k].after, options.count, [](StreamId) {});
    } else if (reads[k].only_new) {
      DeliverNew(ctx, options, options.count, &reads[k]);
    } else {
      DeliverHistory(ctx, options, &reads[k]);
    }
  }
  if (served > 0) {
    ctx.reply.resp3() ? ctx.reply.MapAt(mark, served) : ctx.reply.ArrayAt(mark, served);
  } else if (options.may_wait && !ctx.caller.in_transaction) {
    engine::Wait wait;
    wait.timeout_ms = options.timeout_ms;
    wait.in_line = engine::InLine::kTogether;
    if (!of_group) wait.args = ArgsToWait(ctx, options, reads);
    ctx.Block(ctx.args.subspan(options.first_key, options.streams), std::move(wait));
  } else {
    ctx.reply.NullArray();
  }
}

}  // namespace

void Xread(ExecContext& ctx) { ReadCommand(ctx, /*of_group=*/false); }
void Xreadgroup(ExecContext& ctx) { ReadCommand(ctx, /*of_group=*/true); }

}  // namespace holdfast::commands
