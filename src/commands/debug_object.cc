// DEBUG OBJECT, on the partition of the key.
#include "base/log.h"
#include "commands/handlers.h"
#include "commands/object.h"
#include "data/dump.h"
#include "engine/partition.h"

namespace holdfast::commands {

void DebugObject(engine::ExecContext& ctx) {
  const engine::Key key = ctx.Peek(ctx.args[2]);
  if (!key) {
    ctx.Error(engine::kNoSuchKey);
    return;
  }
  const std::string serialized = data::EncodeDump(*key.object);
  const int64_t idle_s = IdleSeconds(ctx, key);
  ctx.reply.Simple(fmt::format(
      "Value at:{} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
      static_cast<const void*>(key.object), EncodingOf(*key.object), serialized.size(),
      (ctx.now_ms() / 1000 - idle_s) & 0xffffff, idle_s));
}

}  // namespace holdfast::commands
