#include "commands/blocking.h"

#include <cmath>

#include "base/numbers.h"

namespace holdfast::commands {

using engine::ExecContext;
using engine::Key;

bool ParseTimeoutSeconds(ExecContext& ctx, size_t i, int64_t* timeout_ms) {
  long double seconds;
  if (!ParseLongDouble(ctx.args[i], &seconds)) {
    ctx.Error("ERR timeout is not a float or out of range");
    return false;
  }
  const long double ms = std::ceil(seconds * 1000);
  // The end of the wait has to be a time, too.
  constexpr auto kMost = static_cast<long double>(INT64_MAX / 2);
  if (ms > kMost) {
    ctx.Error("ERR timeout is out of range");
    return false;
  }
  if (ms < 0) {
    ctx.Error("ERR timeout is negative");
    return false;
  }
  *timeout_ms = static_cast<int64_t>(ms);
  return true;
}

FirstKey FindFirst(ExecContext& ctx, size_t first, size_t end, data::ObjectType type) {
  FirstKey result;
  for (size_t i = first; i < end; ++i) {
    const Key key = ctx.FindForRead(ctx.args[i]);
    if (!key) continue;
    if (!key.Is(type)) {
      if (!ctx.caller.retry) {
        ctx.Error(engine::kWrongType);
        result.found = FirstKey::Found::kReplied;
        return result;
      }
      result.others_may_take = true;
      continue;
    }
    result.found = FirstKey::Found::kYes;
    result.key = key;
    result.at = i;
    return result;
  }
  return result;
}

void WaitForKeys(ExecContext& ctx, size_t first, size_t end, int64_t timeout_ms,
                 const FirstKey& none) {
  if (ctx.caller.in_transaction) {
    ctx.reply.NullArray();
    return;
  }
  engine::Wait wait;
  wait.timeout_ms = timeout_ms;
  if (none.others_may_take) wait.in_line = engine::InLine::kTogether;
  ctx.Block(ctx.args.subspan(first, end - first), std::move(wait));
}

bool ParsePopFromKeys(ExecContext& ctx, size_t at, std::string_view front, std::string_view back,
                      PopFromKeys* options) {
  int64_t keys;
  if (!ParseInt64(ctx.args[at], &keys) || keys <= 0) {
    ctx.Error("ERR numkeys should be greater than 0");
    return false;
  }
  if (static_cast<uint64_t>(keys) > ctx.args.size() - at - 2) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  options->first = at + 1;
  options->end_at = options->first + static_cast<size_t>(keys);
  const std::string_view end = ctx.args[options->end_at];
  options->from_back = EqualsIgnoreCase(end, back);
  const size_t count_at = options->end_at + 1;
  const bool has_count =
      count_at + 1 < ctx.args.size() && EqualsIgnoreCase(ctx.args[count_at], "COUNT");
  if ((!options->from_back && !EqualsIgnoreCase(end, front)) ||
      (!has_count && count_at != ctx.args.size())) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  if (!has_count) return true;
  int64_t count;
  if (!ParseInt64(ctx.args[count_at + 1], &count) || count <= 0) {
    ctx.Error("ERR count should be greater than 0");
    return false;
  }
  options->count = static_cast<uint64_t>(count);
  if (count_at + 2 == ctx.args.size()) return true;
  ctx.Error(engine::kSyntaxError);
  return false;
}

}  // namespace holdfast::commands
