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

}  // namespace holdfast::commands
