#include "commands/stream_args.h"

#include "base/numbers.h"

namespace holdfast::commands {
namespace {

using data::StreamId;
using engine::ExecContext;

constexpr std::string_view kBadStreamId =
    "ERR Invalid stream ID specified as stream command argument";
constexpr size_t kLongestStreamId = 127;

// As strtoull takes it: blanks, a plus sign and zeros may come first.
bool ParseIdNumber(std::string_view text, uint64_t* number) {
  while (!text.empty() && std::string_view(" \t\n\v\f\r").find(text[0]) != text.npos) {
    text.remove_prefix(1);
  }
  if (text.starts_with('+')) text.remove_prefix(1);
  while (text.size() > 1 && text[0] == '0') text.remove_prefix(1);
  return ParseUint64(text, number);
}

enum class RangeEnd : uint8_t { kStart, kEnd };

bool ParseRange(ExecContext& ctx, size_t i, RangeEnd end, StreamId* id) {
  std::string_view text = ctx.args[i];
  const uint64_t missing_seq = end == RangeEnd::kStart ? 0 : UINT64_MAX;
  const bool excluded = text.size() > 1 && text[0] == '(';
  if (excluded) text.remove_prefix(1);
  if (!excluded && text == "-") {
    *id = {};
    return true;
  }
  if (!excluded && text == "+") {
    *id = StreamId::Max();
    return true;
  }
  if (!ParseStreamId(text, missing_seq, id)) {
    ctx.Error(kBadStreamId);
    return false;
  }
  if (!excluded) return true;
  if (end == RangeEnd::kStart ? id->Increment() : id->Decrement()) return true;
  ctx.Error(end == RangeEnd::kStart ? "ERR invalid start ID for the interval"
                                    : "ERR invalid end ID for the interval");
  return false;
}

}  // namespace

bool ParseStreamId(std::string_view text, uint64_t missing_seq, StreamId* id) {
  if (text.size() > kLongestStreamId) return false;
  const size_t dash = text.find('-');
  if (!ParseIdNumber(text.substr(0, dash), &id->ms)) return false;
  if (dash == std::string_view::npos) {
    id->seq = missing_seq;
    return true;
  }
  return ParseIdNumber(text.substr(dash + 1), &id->seq);
}

bool ParseStreamId(ExecContext& ctx, size_t i, StreamId* id) {
  if (ParseStreamId(ctx.args[i], 0, id)) return true;
  ctx.Error(kBadStreamId);
  return false;
}

bool ParseNewStreamId(ExecContext& ctx, size_t i, NewStreamId* id) {
  std::string_view text = ctx.args[i];
  *id = {};
  if (text == "*") return true;
  id->has_ms = true;
  id->has_seq = !text.ends_with("-*");
  if (id->has_seq) return ParseStreamId(ctx, i, &id->id);
  text.remove_suffix(2);
  if (text.size() + 2 <= kLongestStreamId && ParseIdNumber(text, &id->id.ms)) return true;
  ctx.Error(kBadStreamId);
  return false;
}

bool ParseRangeStart(ExecContext& ctx, size_t i, StreamId* id) {
  return ParseRange(ctx, i, RangeEnd::kStart, id);
}

bool ParseRangeEnd(ExecContext& ctx, size_t i, StreamId* id) {
  return ParseRange(ctx, i, RangeEnd::kEnd, id);
}

void ErrorNoGroup(ExecContext& ctx) {
  ctx.Error("NOGROUP No such consumer group '" + std::string(ctx.args[3]) + "' for key name '" +
            std::string(ctx.args[2]) + "'");
}

void ErrorSubcommandSyntax(ExecContext& ctx) {
  ctx.Error("ERR unknown subcommand or wrong number of arguments for '" +
            std::string(ctx.args[1].substr(0, 128)) + "'. Try " + ToUpper(ctx.args[0]) + " HELP.");
}

const data::StreamObject* StreamAt(const engine::Key& key) {
  return key ? static_cast<const data::StreamObject*>(key.object->collection()) : nullptr;
}

void ReplyStreamId(ExecContext& ctx, StreamId id) { ctx.reply.Bulk(id.Text()); }

void ReplyStreamEntry(ExecContext& ctx, const data::StreamEntry& entry) {
  ctx.reply.Array(2);
  ReplyStreamId(ctx, entry.id);
  ctx.reply.Array(entry.fields.size());
  for (const std::string_view part : entry.fields) ctx.reply.Bulk(part);
}

bool ReplyStreamEntryAt(ExecContext& ctx, const data::StreamObject& stream, StreamId id) {
  bool found = false;
  stream.entries().Walk(id, id, false, [&](const data::StreamEntry& entry) {
    ReplyStreamEntry(ctx, entry);
    found = true;
    return false;
  });
  return found;
}

}  // namespace holdfast::commands
