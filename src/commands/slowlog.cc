// SLOWLOG: each core keeps its own slow commands; what clients see is the newest of all of them.
#include <algorithm>
#include <string>
#include <vector>

#include "commands/deferred.h"
#include "commands/server_handlers.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::SessionContext;
using engine::SlowEntry;
using Entries = std::vector<SlowEntry>;

Entries NewestOf(Core& core, size_t count) {
  const auto& entries = core.slowlog().entries();
  return {entries.begin(),
          entries.begin() + static_cast<ptrdiff_t>(std::min(count, entries.size()))};
}

void WriteEntry(const SlowEntry& entry, resp::Writer& reply) {
  reply.Array(6);
  reply.Integer(static_cast<int64_t>(entry.id));
  reply.Integer(entry.unix_s);
  reply.Integer(entry.duration_us);
  reply.Array(entry.args.size());
  for (const std::string& arg : entry.args) reply.Bulk(arg);
  reply.Bulk(entry.client_address);
  reply.Bulk(entry.client_name);
}

}  // namespace

void SlowlogGet(SessionContext& ctx) {
  int64_t wanted = 10;
  if (ctx.args.size() > 3) {
    ctx.ErrorUnknownSubcommand();
    return;
  }
  if (ctx.args.size() == 3) {
    constexpr std::string_view kBadCount = "ERR count should be greater than or equal to -1";
    if (!ctx.ParseInt(2, &wanted, kBadCount)) return;
    if (wanted < -1) {
      ctx.Error(kBadCount);
      return;
    }
  }
  // All cores together never show more than slowlog-max-len.
  size_t count = static_cast<size_t>(ctx.core.config().slowlog_max_len);
  if (wanted >= 0) count = std::min(count, static_cast<size_t>(wanted));
  GatherReply<Entries>(
      ctx, [count](Core& core) { return NewestOf(core, count); },
      [count](std::vector<Entries>& results, resp::Writer& reply) {
        Entries all;
        for (Entries& entries : results) {
          std::move(entries.begin(), entries.end(), std::back_inserter(all));
        }
        std::sort(all.begin(), all.end(),
                  [](const SlowEntry& a, const SlowEntry& b) { return a.id > b.id; });
        all.resize(std::min(count, all.size()));
        reply.Array(all.size());
        for (const SlowEntry& entry : all) WriteEntry(entry, reply);
      });
}

void SlowlogLen(SessionContext& ctx) {
  const auto max_len = static_cast<size_t>(ctx.core.config().slowlog_max_len);
  GatherReply<size_t>(
      ctx, [](Core& core) { return core.slowlog().entries().size(); },
      [max_len](std::vector<size_t>& results, resp::Writer& reply) {
        size_t sum = 0;
        for (const size_t n : results) sum += n;
        reply.Integer(static_cast<int64_t>(std::min(sum, max_len)));
      });
}

void SlowlogReset(SessionContext& ctx) {
  OnAllCores(ctx, [](Core& core) { core.slowlog().Reset(); });
}

}  // namespace holdfast::commands
