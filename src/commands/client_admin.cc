// CLIENT LIST, KILL, PAUSE, UNPAUSE and UNBLOCK: what concerns the clients of all cores.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/client_list.h"
#include "commands/deferred.h"
#include "commands/server_handlers.h"
#include "engine/dispatcher.h"

namespace holdfast::commands {
namespace {

using engine::Client;
using engine::Core;
using engine::SessionContext;

// Clients' lines by id: the oldest connection comes first.
using Lines = std::map<uint64_t, std::string>;

bool ParseType(SessionContext& ctx, std::string_view name, std::optional<ClientType>* type) {
  *type = ParseClientType(name);
  if (*type) return true;
  ctx.Error("ERR Unknown client type '" + std::string(name) + "'");
  return false;
}

// `ids` gets those of the ID option in the order in which they were given.
bool ParseListFilter(SessionContext& ctx, ClientFilter* filter, std::vector<uint64_t>* ids) {
  if (ctx.args.size() == 2) return true;
  if (ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[2], "type")) {
    return ParseType(ctx, ctx.args[3], &filter->type);
  }
  if (ctx.args.size() > 3 && EqualsIgnoreCase(ctx.args[2], "id")) {
    for (size_t i = 3; i < ctx.args.size(); ++i) {
      int64_t id;
      if (!ctx.ParseInt(i, &id, "ERR Invalid client ID")) return false;
      ids->push_back(static_cast<uint64_t>(id));
    }
    filter->ids.insert(ids->begin(), ids->end());
    return true;
  }
  ctx.Error(engine::kSyntaxError);
  return false;
}

// One option of the new form of CLIENT KILL at args[i], which has a value behind it.
bool ParseKillOption(SessionContext& ctx, size_t i, ClientFilter* filter, bool* skip_me) {
  const std::string_view name = ctx.args[i];
  const std::string_view value = ctx.args[i + 1];
  if (EqualsIgnoreCase(name, "id")) {
    int64_t id;
    if (!ParseInt64(value, &id) || id < 1) {
      ctx.Error("ERR client-id should be greater than 0");
      return false;
    }
    filter->ids = {static_cast<uint64_t>(id)};
    return true;
  }
  if (EqualsIgnoreCase(name, "type")) return ParseType(ctx, value, &filter->type);
  if (EqualsIgnoreCase(name, "addr")) {
    filter->address = value;
    return true;
  }
  if (EqualsIgnoreCase(name, "laddr")) {
    filter->local_address = value;
    return true;
  }
  if (EqualsIgnoreCase(name, "user")) {
    filter->user = value;
    if (ctx.core.access().users().Find(value) != nullptr) return true;
    ctx.Error("ERR No such user '" + std::string(value) + "'");
    return false;
  }
  if (EqualsIgnoreCase(name, "skipme") &&
      (EqualsIgnoreCase(value, "yes") || EqualsIgnoreCase(value, "no"))) {
    *skip_me = EqualsIgnoreCase(value, "yes");
    return true;
  }
  ctx.Error(engine::kSyntaxError);
  return false;
}

bool ParseKillFilter(SessionContext& ctx, ClientFilter* filter) {
  if (ctx.args.size() == 3) {
    filter->address = ctx.args[2];
    return true;
  }
  bool skip_me = true;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    if (i + 1 == ctx.args.size()) {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
    if (!ParseKillOption(ctx, i, filter, &skip_me)) return false;
  }
  if (skip_me) filter->except = ctx.client.id;
  return true;
}

// Closes the clients that match, except for the one that asks; counts it nevertheless.
int64_t KillMatching(Core& core, const ClientFilter& filter, uint64_t asking) {
  std::vector<Client*> matching;
  for (const auto& [id, client] : core.clients()) {
    if (!client->closing && filter.Matches(*client)) matching.push_back(client);
  }
  for (Client* client : matching) {
    if (client->id != asking) client->Close("killed by CLIENT KILL");
  }
  return static_cast<int64_t>(matching.size());
}

}  // namespace

void ClientList(SessionContext& ctx) {
  ClientFilter filter;
  std::vector<uint64_t> ids;
  if (!ParseListFilter(ctx, &filter, &ids)) return;
  const uint64_t asking = ctx.client.id;
  const size_t request_bytes = RequestBytes(ctx.args);
  GatherReply<Lines>(
      ctx,
      [filter, asking, request_bytes](Core& core) {
        Lines lines;
        const int64_t now_ms = core.clock().MonotonicMs();
        for (const auto& [id, client] : core.clients()) {
          if (client->closing || !filter.Matches(*client)) continue;
          AppendClientLine(*client, id == asking ? request_bytes : 0, now_ms, &lines[id]);
        }
        return lines;
      },
      [ids](std::vector<Lines>& results, resp::Writer& reply) {
        Lines all;
        for (Lines& lines : results) all.merge(lines);
        std::string text;
        if (ids.empty()) {
          for (const auto& [id, line] : all) text += line;
        }
        for (const uint64_t id : ids) {
          const auto line = all.find(id);
          if (line != all.end()) text += line->second;
        }
        reply.Verbatim("txt", text);
      });
}

void ClientKill(SessionContext& ctx) {
  ClientFilter filter;
  if (!ParseKillFilter(ctx, &filter)) return;
  const bool old_form = ctx.args.size() == 3;
  const uint64_t asking = ctx.client.id;
  const bool asking_too = filter.Matches(ctx.client);
  Core* home = &ctx.core;
  GatherReply<int64_t>(
      ctx, [filter, asking](Core& core) { return KillMatching(core, filter, asking); },
      [home, asking, asking_too, old_form](std::vector<int64_t>& results, resp::Writer& reply) {
        int64_t killed = 0;
        for (const int64_t n : results) killed += n;
        if (!old_form) {
          reply.Integer(killed);
        } else if (killed == 0) {
          reply.Error("ERR No such client");
        } else {
          reply.Ok();
        }
        Client* client = asking_too ? home->FindClient(asking) : nullptr;
        if (client != nullptr) client->close_after_reply = true;
      });
}

void ClientPause(SessionContext& ctx) {
  bool only_writes = false;
  if (ctx.args.size() > 4) {
    ctx.ErrorUnknownSubcommand();
    return;
  }
  if (ctx.args.size() == 4) {
    only_writes = EqualsIgnoreCase(ctx.args[3], "write");
    if (!only_writes && !EqualsIgnoreCase(ctx.args[3], "all")) {
      ctx.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
      return;
    }
  }
  int64_t timeout_ms;
  if (!ctx.ParseInt(2, &timeout_ms, "ERR timeout is not an integer or out of range")) return;
  if (timeout_ms < 0) {
    ctx.Error("ERR timeout is negative");
    return;
  }
  const int64_t now_ms = ctx.core.clock().MonotonicMs();
  if (timeout_ms > INT64_MAX - now_ms) {
    ctx.Error("ERR timeout is out of range");
    return;
  }
  OnAllCores(ctx, [until_ms = now_ms + timeout_ms, only_writes](Core& core) {
    // A pause that is under way is never made shorter, as in Redis.
    core.SetPause({std::max(until_ms, core.pause().until_ms), only_writes});
  });
}

void ClientUnpause(SessionContext& ctx) {
  OnAllCores(ctx, [](Core& core) { core.SetPause({}); });
}

namespace {

// Where a blocked request waits.
struct BlockedAt {
  engine::ReplyAddress address;
  uint32_t partition = 0;
  bool found = false;
  bool ended = false;  // already
};

// Ends the wait at once where the request is on its way to another node, or there.
BlockedAt FindBlocked(Core& core, uint64_t id, bool with_error) {
  const Client* client = core.FindClient(id);
  if (client == nullptr || !client->blocked) return {};
  BlockedAt place{{core.number(), id, client->blocked_slot}, client->blocked_partition, true};
  place.ended = core.router().Unblock(place.partition, place.address, with_error);
  return place;
}

}  // namespace

void ClientUnblock(SessionContext& ctx) {
  bool with_error = false;
  if (ctx.args.size() > 4) {
    ctx.ErrorUnknownSubcommand();
    return;
  }
  if (ctx.args.size() == 4) {
    with_error = EqualsIgnoreCase(ctx.args[3], "error");
    if (!with_error && !EqualsIgnoreCase(ctx.args[3], "timeout")) {
      ctx.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
      return;
    }
  }
  int64_t wanted;
  if (!ctx.ParseInt(2, &wanted)) return;
  // First the client's own core says where it waits, then that partition's core ends the wait.
  const auto id = static_cast<uint64_t>(wanted);
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  engine::Engine* engine = &ctx.core.engine();
  engine->Gather<BlockedAt>(
      ctx.core, [id, with_error](Core& core) { return FindBlocked(core, id, with_error); },
      [engine, deferred, with_error](std::vector<BlockedAt> places) {
        const auto place =
            std::find_if(places.begin(), places.end(), [](const BlockedAt& p) { return p.found; });
        if (place == places.end() || place->ended) {
          const int64_t ended = place == places.end() ? 0 : 1;
          deferred->Finish([ended](resp::Writer& reply) { reply.Integer(ended); });
          return;
        }
        const uint32_t target = engine->CoreOfPartition(place->partition);
        const uint32_t home = deferred->home().number();
        deferred->home().Post(target, [engine, target, home, at = *place, deferred, with_error] {
          Core& core = engine->core(target);
          const bool ended = core.FindPartition(at.partition)->Unblock(at.address, with_error);
          core.Post(home, [deferred, ended] {
            deferred->Finish([ended](resp::Writer& reply) { reply.Integer(ended ? 1 : 0); });
          });
        });
      });
}

}  // namespace holdfast::commands
