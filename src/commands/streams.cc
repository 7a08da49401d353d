// Streams: their entries.
#include <algorithm>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/stream_args.h"
#include "commands/stream_change.h"
#include "engine/config.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::StreamEntry;
using data::StreamId;
using data::StreamObject;
using engine::ExecContext;
using engine::Key;

constexpr std::string_view kTwoStrategies =
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";

// How a stream is to be made shorter.
struct StreamTrim {
  enum class By : uint8_t { kNothing, kLength, kId };
  By by = By::kNothing;
  bool whole_nodes = false;  // "~": as far as that goes without taking a node apart
  uint64_t max_length = 0;
  StreamId min_id;
  uint64_t limit = 0;  // of entries that are deleted; 0 = none
};

struct XaddOptions {
  StreamTrim trim;
  bool only_if_there = false;
  NewStreamId id;
  size_t first_field = 0;
};

// How many entries are deleted at most without a LIMIT, when nodes are.
uint64_t DefaultLimit(ExecContext& ctx) {
  constexpr uint64_t kNodes = 100;
  constexpr uint64_t kMost = 1'000'000;
  const auto entries = static_cast<uint64_t>(ctx.config().stream_node_max_entries);
  return entries == 0 ? 10'000 : std::min(entries, kMost / kNodes) * kNodes;
}

// MAXLEN or MINID at args[*i]; leaves *i at its last argument.
bool ParseStrategy(ExecContext& ctx, size_t* i, StreamTrim* trim) {
  if (trim->by != StreamTrim::By::kNothing) {
    ctx.Error(kTwoStrategies);
    return false;
  }
  const bool by_length = EqualsIgnoreCase(ctx.args[*i], "MAXLEN");
  trim->by = by_length ? StreamTrim::By::kLength : StreamTrim::By::kId;
  ++*i;
  trim->whole_nodes = false;
  if (*i + 1 < ctx.args.size() && (ctx.args[*i] == "~" || ctx.args[*i] == "=")) {
    trim->whole_nodes = ctx.args[*i] == "~";
    ++*i;
  }
  if (!by_length) return ParseStreamId(ctx, *i, &trim->min_id);
  int64_t length;
  if (!ctx.ParseInt(*i, &length)) return false;
  if (length < 0) {
    ctx.Error("ERR The MAXLEN argument must be >= 0.");
    return false;
  }
  trim->max_length = static_cast<uint64_t>(length);
  return true;
}

bool ParseLimit(ExecContext& ctx, size_t i, uint64_t* limit) {
  int64_t value;
  if (!ctx.ParseInt(i, &value)) return false;
  if (value < 0) {
    ctx.Error("ERR The LIMIT argument must be >= 0.");
    return false;
  }
  *limit = static_cast<uint64_t>(value);
  return true;
}

// Whether the options suit each other; sets the limit that applies without LIMIT.
bool CheckTrim(ExecContext& ctx, bool has_limit, bool is_xtrim, StreamTrim* trim) {
  if (trim->limit > 0 && trim->by == StreamTrim::By::kNothing) {
    ctx.Error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    return false;
  }
  if (is_xtrim && trim->by == StreamTrim::By::kNothing) {
    ctx.Error("ERR syntax error, XTRIM must be called with a trimming strategy");
    return false;
  }
  if (has_limit && !trim->whole_nodes) {
    ctx.Error("ERR syntax error, LIMIT cannot be used without the special ~ option");
    return false;
  }
  if (!has_limit) trim->limit = trim->whole_nodes ? DefaultLimit(ctx) : 0;
  return true;
}

// The options of XADD up to the id, or those of XTRIM.
bool ParseAddOrTrim(ExecContext& ctx, bool is_xtrim, XaddOptions* options) {
  StreamTrim* trim = &options->trim;
  bool has_limit = false;
  size_t i = 2;
  for (; i < ctx.args.size(); ++i) {
    const std::string_view option = ctx.args[i];
    const bool has_more = i + 1 < ctx.args.size();
    if (!is_xtrim && option == "*") break;
    if (has_more && (EqualsIgnoreCase(option, "MAXLEN") || EqualsIgnoreCase(option, "MINID"))) {
      if (!ParseStrategy(ctx, &i, trim)) return false;
    } else if (has_more && EqualsIgnoreCase(option, "LIMIT")) {
      if (!ParseLimit(ctx, ++i, &trim->limit)) return false;
      has_limit = true;
    } else if (!is_xtrim && EqualsIgnoreCase(option, "NOMKSTREAM")) {
      options->only_if_there = true;
    } else if (!is_xtrim) {
      if (!ParseNewStreamId(ctx, i, &options->id)) return false;
      break;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  options->first_field = i + 1;
  return CheckTrim(ctx, has_limit, is_xtrim, trim);
}

// An entry that is added by the same change.
struct AddedEntry {
  StreamId id;
  size_t bytes = 0;
};

// The nodes of a stream as they will be with one more entry.
class NodesToBe {
 public:
  NodesToBe(const StreamObject* stream, const AddedEntry* added) : stream_(stream), added_(added) {
    old_ = stream != nullptr ? stream->entries().nodes() : 0;
    const bool begins_node =
        added != nullptr && (old_ == 0 || stream->entries().BeginsNode(added->bytes));
    count_ = old_ + (begins_node ? 1 : 0);
  }

  size_t count() const { return count_; }
  uint64_t Entries(size_t node) const {
    return (node < old_ ? stream_->entries().NodeEntries(node) : 0) + (HasAdded(node) ? 1 : 0);
  }
  StreamId LastId(size_t node) const {
    return HasAdded(node) ? added_->id : stream_->entries().NodeLastId(node);
  }
  void Walk(size_t node, absl::FunctionRef<bool(StreamId id)> visit) const {
    bool goes_on = true;
    if (node < old_) {
      stream_->entries().WalkNode(node, [&](StreamId id) { return goes_on = visit(id); });
    }
    if (goes_on && HasAdded(node)) visit(added_->id);
  }

 private:
  bool HasAdded(size_t node) const { return added_ != nullptr && node + 1 == count_; }

  const StreamObject* stream_;
  const AddedEntry* added_;
  size_t old_;
  size_t count_;
};

// Deletes from the front; how many entries.
int64_t Trim(const StreamTrim& trim, const NodesToBe& nodes, StreamChange* change) {
  if (trim.by == StreamTrim::By::kNothing) return 0;
  const bool by_length = trim.by == StreamTrim::By::kLength;
  uint64_t length = change->head().entries;
  uint64_t deleted = 0;
  for (size_t node = 0; node < nodes.count(); ++node) {
    if (by_length && length <= trim.max_length) break;
    const uint64_t entries = nodes.Entries(node);
    if (trim.limit > 0 && deleted + entries > trim.limit) break;
    const bool whole =
        by_length ? length - entries >= trim.max_length : nodes.LastId(node) < trim.min_id;
    if (!whole && trim.whole_nodes) break;
    nodes.Walk(node, [&](StreamId id) {
      if (!whole && (by_length ? length <= trim.max_length : id >= trim.min_id)) return false;
      change->DropEntry(id);
      --length;
      ++deleted;
      return true;
    });
    if (!whole) break;
  }
  return static_cast<int64_t>(deleted);
}

// The id of an entry that comes after `last`; false when there is none that suits.
bool ResolveId(const NewStreamId& wanted, StreamId last, int64_t now_ms, StreamId* id) {
  *id = wanted.id;
  if (wanted.has_ms && wanted.has_seq) return *id > last;
  if (!wanted.has_ms) id->ms = static_cast<uint64_t>(now_ms);
  if (id->ms > last.ms) return true;
  if (wanted.has_ms && id->ms < last.ms) return false;
  // `*` goes on in the millisecond of the last one when the clock is behind it.
  *id = last;
  return id->Increment() && (!wanted.has_ms || id->ms == wanted.id.ms);
}

void RangeCommand(ExecContext& ctx, bool backwards) {
  StreamId start;
  StreamId end;
  if (!ParseRangeStart(ctx, backwards ? 3 : 2, &start)) return;
  if (!ParseRangeEnd(ctx, backwards ? 2 : 3, &end)) return;
  int64_t count = -1;
  for (size_t i = 4; i < ctx.args.size(); i += 2) {
    if (!EqualsIgnoreCase(ctx.args[i], "COUNT") || i + 1 == ctx.args.size()) {
      ctx.Error(engine::kSyntaxError);
      return;
    }
    if (!ctx.ParseInt(i + 1, &count)) return;
    count = std::max<int64_t>(count, 0);
  }
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  const StreamObject* stream = StreamAt(key);
  if (stream == nullptr) {
    ctx.reply.Array(0);
    return;
  }
  if (count == 0) {
    ctx.reply.NullArray();
    return;
  }
  const size_t mark = ctx.reply.Mark();
  size_t visited = 0;
  stream->entries().Walk(start, end, backwards, [&](const StreamEntry& entry) {
    ReplyStreamEntry(ctx, entry);
    return ++visited != static_cast<size_t>(count);
  });
  ctx.reply.ArrayAt(mark, visited);
}

}  // namespace

void Xadd(ExecContext& ctx) {
  XaddOptions options;
  if (!ParseAddOrTrim(ctx, /*is_xtrim=*/false, &options)) return;
  if (options.first_field + 2 > ctx.args.size() ||
      (ctx.args.size() - options.first_field) % 2 != 0) {
    ctx.ErrorArity();
    return;
  }
  if (options.id.has_ms && options.id.has_seq && options.id.id.is_zero()) {
    ctx.Error("ERR The ID specified in XADD must be greater than 0-0");
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  if (!key && options.only_if_there) {
    ctx.reply.Null();
    return;
  }
  StreamChange change(ctx, &key);
  if (change.head().last_id == StreamId::Max()) {
    ctx.Error("ERR The stream has exhausted the last possible ID, unable to add more items");
    return;
  }
  AddedEntry added;
  if (!ResolveId(options.id, change.head().last_id, ctx.now_ms(), &added.id)) {
    ctx.Error("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    return;
  }
  const engine::Args fields = ctx.args.subspan(options.first_field);
  uint64_t bytes = 0;
  // What stands before each of them in the record takes five bytes at most.
  for (const std::string_view field : fields) bytes += field.size() + 5;
  if (bytes > data::kMaxStreamEntry) {
    ctx.Error("ERR Elements are too large to be stored");
    return;
  }
  added.bytes = change.AddEntry(added.id, fields);
  const int64_t trimmed = Trim(options.trim, NodesToBe(StreamAt(key), &added), &change);
  change.Emit("xadd");
  if (trimmed > 0) ctx.Notify(key, engine::kStreamEvents, "xtrim");
  ReplyStreamId(ctx, added.id);
}

void Xtrim(ExecContext& ctx) {
  XaddOptions options;
  if (!ParseAddOrTrim(ctx, /*is_xtrim=*/true, &options)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  int64_t deleted = 0;
  if (key) {
    StreamChange change(ctx, &key);
    deleted = Trim(options.trim, NodesToBe(StreamAt(key), nullptr), &change);
    change.Emit("xtrim");
  }
  ctx.reply.Integer(deleted);
}

void Xlen(ExecContext& ctx) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  ctx.reply.Integer(key ? static_cast<int64_t>(key.object->collection()->size()) : 0);
}

void Xrange(ExecContext& ctx) { RangeCommand(ctx, /*backwards=*/false); }
void Xrevrange(ExecContext& ctx) { RangeCommand(ctx, /*backwards=*/true); }

void Xdel(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  if (!key) {
    ctx.reply.Integer(0);
    return;
  }
  std::vector<StreamId> ids(ctx.args.size() - 2);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!ParseStreamId(ctx, i + 2, &ids[i])) return;
  }
  StreamChange change(ctx, &key);
  int64_t deleted = 0;
  for (const StreamId id : ids) {
    if (!change.DeleteEntry(id)) continue;
    ++deleted;
    if (change.head().max_deleted < id) change.SetMaxDeleted(id);
  }
  change.Emit("xdel");
  ctx.reply.Integer(deleted);
}

void Xsetid(ExecContext& ctx) {
  StreamId id;
  if (!ParseStreamId(ctx, 2, &id)) return;
  StreamId max_deleted;
  int64_t added = -1;
  for (size_t i = 3; i < ctx.args.size(); i += 2) {
    const bool has_more = i + 1 < ctx.args.size();
    if (has_more && EqualsIgnoreCase(ctx.args[i], "ENTRIESADDED")) {
      if (!ctx.ParseInt(i + 1, &added)) return;
      if (added < 0) {
        ctx.Error("ERR entries_added must be positive");
        return;
      }
    } else if (has_more && EqualsIgnoreCase(ctx.args[i], "MAXDELETEDID")) {
      if (!ParseStreamId(ctx, i + 1, &max_deleted)) return;
      if (id < max_deleted) {
        ctx.Error(
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
        return;
      }
    } else {
      ctx.Error(engine::kSyntaxError);
      return;
    }
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!key) {
    ctx.Error(engine::kNoSuchKey);
    return;
  }
  if (!ctx.IsOrMissing(key, ObjectType::kStream)) return;
  const StreamObject* stream = StreamAt(key);
  if (stream->size() > 0 && id < stream->entries().last_id()) {
    ctx.Error("ERR The ID specified in XSETID is smaller than the target stream top item");
    return;
  }
  if (stream->size() > 0 && added != -1 && static_cast<uint64_t>(added) < stream->size()) {
    ctx.Error("ERR The entries_added specified in XSETID is smaller than the target stream length");
    return;
  }
  StreamChange change(ctx, &key);
  change.SetLastId(id);
  if (added != -1) change.SetEntriesAdded(static_cast<uint64_t>(added));
  if (!max_deleted.is_zero()) change.SetMaxDeleted(max_deleted);
  change.Emit("xsetid");
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
