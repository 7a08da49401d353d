// OBJECT and MEMORY USAGE: what is known of a key besides its value.
#include "commands/object.h"

#include <algorithm>
#include <string>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "engine/access.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::Object;
using data::ObjectType;
using engine::ExecContext;
using engine::Key;

// Of engine::LruClockAt.
constexpr int64_t kTicksPerSecond = 10;
// The longest string that Redis keeps in one allocation with its header.
constexpr size_t kMaxEmbedded = 44;
// What a key takes of the table: its word in a segment, and the segment's free room.
constexpr size_t kTableBytesPerKey = 16;

int64_t NowNs(ExecContext& ctx) { return ctx.partition().host()->clock().MonotonicNs(); }

bool TracksFrequency(ExecContext& ctx) { return engine::IsLfu(ctx.config().maxmemory_policy); }

// The key that OBJECT is about, or null replied.
Key FindOrNull(ExecContext& ctx) {
  const Key key = ctx.Peek(ctx.args[2]);
  if (!key) ctx.reply.Null();
  return key;
}

}  // namespace

std::string_view EncodingOf(const Object& object) {
  if (const data::Collection* collection = object.collection()) return collection->encoding();
  if (object.type() != ObjectType::kString) return data::TypeName(object.type());
  if (object.raw()) return "raw";
  int64_t number;
  if (ParseInt64(object.value(), &number)) return "int";
  return object.value_size() <= kMaxEmbedded ? "embstr" : "raw";
}

int64_t IdleSeconds(ExecContext& ctx, const Key& key) {
  return (engine::LruClockAt(NowNs(ctx)) - key.object->accessed) / kTicksPerSecond;
}

void SetIdleSeconds(ExecContext& ctx, const Key& key, int64_t seconds) {
  if (TracksFrequency(ctx)) return;
  const uint32_t now = engine::LruClockAt(NowNs(ctx));
  const int64_t ticks = std::min<int64_t>(seconds, now / kTicksPerSecond) * kTicksPerSecond;
  key.object->accessed = now - static_cast<uint32_t>(ticks);
}

void SetFrequency(ExecContext& ctx, const Key& key, uint8_t frequency) {
  if (TracksFrequency(ctx)) key.object->accessed = engine::LfuAccess(frequency, NowNs(ctx));
}

void ObjectEncoding(ExecContext& ctx) {
  if (const Key key = FindOrNull(ctx)) ctx.reply.Bulk(EncodingOf(*key.object));
}

void ObjectFreq(ExecContext& ctx) {
  const Key key = FindOrNull(ctx);
  if (!key) return;
  if (TracksFrequency(ctx)) {
    ctx.reply.Integer(engine::LfuCounter(key.object->accessed, NowNs(ctx), ctx.config()));
    return;
  }
  ctx.Error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
      "when switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void ObjectIdletime(ExecContext& ctx) {
  const Key key = FindOrNull(ctx);
  if (!key) return;
  if (!TracksFrequency(ctx)) {
    ctx.reply.Integer(IdleSeconds(ctx, key));
    return;
  }
  ctx.Error(
      "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
      "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void ObjectRefcount(ExecContext& ctx) {
  // Nothing is shared here.
  if (FindOrNull(ctx)) ctx.reply.Integer(1);
}

void MemoryUsage(ExecContext& ctx) {
  for (size_t i = 3; i < ctx.args.size(); i += 2) {
    if (!EqualsIgnoreCase(ctx.args[i], "SAMPLES") || i + 1 >= ctx.args.size()) {
      ctx.Error(engine::kSyntaxError);
      return;
    }
    int64_t samples;  // there is nothing inside a value to take samples of
    if (!ctx.ParseInt(i + 1, &samples)) return;
    if (samples < 0) {
      ctx.Error(engine::kSyntaxError);
      return;
    }
  }
  if (const Key key = FindOrNull(ctx)) {
    ctx.reply.Integer(static_cast<int64_t>(key.object->MemoryBytes() + kTableBytesPerKey));
  }
}

}  // namespace holdfast::commands
