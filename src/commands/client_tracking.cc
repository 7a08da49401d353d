// CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: what a client with a cache of its own asks
// for (engine/tracking.h).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/client_list.h"
#include "commands/deferred.h"
#include "commands/server_handlers.h"
#include "engine/tracking.h"

namespace holdfast::commands {
namespace {

using engine::Client;
using engine::SessionContext;
using engine::TrackingOptions;

// False: the error was replied.
bool ParseTracking(SessionContext& ctx, TrackingOptions* options) {
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    const std::string_view name = ctx.args[i];
    const bool more = i + 1 < ctx.args.size();
    if (EqualsIgnoreCase(name, "redirect") && more) {
      if (options->redirect != 0) {
        ctx.Error("ERR A client can only redirect to a single other client");
        return false;
      }
      int64_t id;
      if (!ctx.ParseInt(++i, &id)) return false;
      if (id <= 0) {
        ctx.Error("ERR The client ID you want redirect to does not exist");
        return false;
      }
      options->redirect = static_cast<uint64_t>(id);
    } else if (EqualsIgnoreCase(name, "bcast")) {
      options->broadcast = true;
    } else if (EqualsIgnoreCase(name, "optin")) {
      options->opt_in = true;
    } else if (EqualsIgnoreCase(name, "optout")) {
      options->opt_out = true;
    } else if (EqualsIgnoreCase(name, "noloop")) {
      options->no_loop = true;
    } else if (EqualsIgnoreCase(name, "prefix") && more) {
      options->prefixes.emplace_back(ctx.args[++i]);
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

bool Overlap(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

// What is wrong with prefixes beside those that the client has, else empty.
std::string CheckPrefixes(const std::vector<std::string>& prefixes,
                          const std::vector<std::string>& present) {
  constexpr std::string_view kEnd = "'. Prefixes for a single client must not overlap.";
  for (size_t i = 0; i < prefixes.size(); ++i) {
    for (const std::string& other : present) {
      if (Overlap(prefixes[i], other)) {
        return "ERR Prefix '" + prefixes[i] + "' overlaps with an existing prefix '" + other +
               std::string(kEnd);
      }
    }
    for (size_t j = i + 1; j < prefixes.size(); ++j) {
      if (Overlap(prefixes[i], prefixes[j])) {
        return "ERR Prefix '" + prefixes[i] + "' overlaps with another provided prefix '" +
               prefixes[j] + std::string(kEnd);
      }
    }
  }
  return {};
}

// Why the client can't have this beside what it has, else empty.
std::string CheckOptions(const Client& client, const TrackingOptions& options) {
  if (!options.broadcast && !options.prefixes.empty()) {
    return "ERR PREFIX option requires BCAST mode to be enabled";
  }
  const TrackingOptions none;
  const TrackingOptions& before = client.tracking == nullptr ? none : client.tracking->options;
  if (client.tracking != nullptr && before.broadcast != options.broadcast) {
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  if (options.broadcast && (options.opt_in || options.opt_out)) {
    return "ERR OPTIN and OPTOUT are not compatible with BCAST";
  }
  if (options.opt_in && options.opt_out) {
    return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  }
  if ((options.opt_in && before.opt_out) || (options.opt_out && before.opt_in)) {
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  return options.broadcast ? CheckPrefixes(options.prefixes, before.prefixes) : std::string();
}

// Those whose changes come to this node some time after they were made.
std::vector<uint32_t> FollowedPartitions(const engine::Engine& engine) {
  std::vector<uint32_t> partitions;
  for (uint32_t p = 0; p < engine.partitions(); ++p) {
    if (!engine.Leads(p)) partitions.push_back(p);
  }
  return partitions;
}

void Enable(const std::shared_ptr<Deferred>& deferred, TrackingOptions options) {
  if (Client* client = deferred->client()) {
    deferred->home().tracking().Enable(client, std::move(options));
  }
  deferred->FinishOk();
}

// What was done before is not to be told, so this node has to know all of it first.
void EnableBehindChanges(const std::shared_ptr<Deferred>& deferred, TrackingOptions options) {
  engine::Core& home = deferred->home();
  const std::vector<uint32_t> followed = FollowedPartitions(home.engine());
  if (followed.empty()) return Enable(deferred, std::move(options));
  struct State {
    TrackingOptions options;
    size_t missing;
  };
  auto state = std::make_shared<State>(State{std::move(options), followed.size()});
  for (const uint32_t partition : followed) {
    home.forwarding().CatchUp(partition, [deferred, state] {
      if (--state->missing == 0) Enable(deferred, std::move(state->options));
    });
  }
}

// The core of the client to tell is looked for on all cores.
void EnableRedirected(const std::shared_ptr<Deferred>& deferred, TrackingOptions options) {
  engine::Core& home = deferred->home();
  const uint64_t target = options.redirect;
  home.engine().Gather<bool>(
      home, [target](engine::Core& core) { return core.clients().contains(target); },
      [deferred, options = std::move(options)](std::vector<bool> found) mutable {
        const auto it = std::find(found.begin(), found.end(), true);
        if (it == found.end()) {
          deferred->FinishError("ERR The client ID you want redirect to does not exist");
          return;
        }
        options.redirect_core = static_cast<uint32_t>(it - found.begin());
        EnableBehindChanges(deferred, std::move(options));
      });
}

}  // namespace

void ClientTracking(SessionContext& ctx) {
  TrackingOptions options;
  if (!ParseTracking(ctx, &options)) return;
  if (EqualsIgnoreCase(ctx.args[2], "off")) {
    ctx.core.tracking().Disable(&ctx.client);
    ctx.reply.Ok();
    return;
  }
  if (!EqualsIgnoreCase(ctx.args[2], "on")) return ctx.Error(engine::kSyntaxError);
  const std::string wrong = CheckOptions(ctx.client, options);
  if (!wrong.empty()) return ctx.Error(wrong);
  if (options.redirect != 0) return EnableRedirected(Deferred::Make(ctx), std::move(options));
  if (!FollowedPartitions(ctx.core.engine()).empty()) {
    return EnableBehindChanges(Deferred::Make(ctx), std::move(options));
  }
  ctx.core.tracking().Enable(&ctx.client, std::move(options));
  ctx.reply.Ok();
}

void ClientCaching(SessionContext& ctx) {
  if (ctx.client.tracking == nullptr) {
    return ctx.Error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  }
  const TrackingOptions& options = ctx.client.tracking->options;
  const bool yes = EqualsIgnoreCase(ctx.args[2], "yes");
  if (!yes && !EqualsIgnoreCase(ctx.args[2], "no")) return ctx.Error(engine::kSyntaxError);
  if (yes && !options.opt_in) {
    return ctx.Error(
        "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
  }
  if (!yes && !options.opt_out) {
    return ctx.Error(
        "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  }
  ctx.client.tracking->caching = true;
  ctx.reply.Ok();
}

void ClientGetredir(SessionContext& ctx) { ctx.reply.Integer(RedirectOf(ctx.client)); }

void ClientTrackinginfo(SessionContext& ctx) {
  const engine::ClientTracking* tracking = ctx.client.tracking.get();
  std::vector<std::string_view> flags;
  if (tracking == nullptr) {
    flags.emplace_back("off");
  } else {
    const TrackingOptions& options = tracking->options;
    flags.emplace_back("on");
    if (options.broadcast) flags.emplace_back("bcast");
    if (options.opt_in) {
      flags.emplace_back("optin");
      if (tracking->caching) flags.emplace_back("caching-yes");
    }
    if (options.opt_out) {
      flags.emplace_back("optout");
      if (tracking->caching) flags.emplace_back("caching-no");
    }
    if (options.no_loop) flags.emplace_back("noloop");
    if (tracking->broken_redirect) flags.emplace_back("broken_redirect");
  }
  ctx.reply.Map(3);
  ctx.reply.Bulk("flags");
  ctx.reply.Set(flags.size());
  for (const std::string_view flag : flags) ctx.reply.Bulk(flag);
  ctx.reply.Bulk("redirect");
  ctx.reply.Integer(RedirectOf(ctx.client));
  ctx.reply.Bulk("prefixes");
  const std::vector<std::string> none;
  const std::vector<std::string>& prefixes =
      tracking == nullptr ? none : tracking->options.prefixes;
  ctx.reply.Array(prefixes.size());
  for (const std::string& prefix : prefixes) ctx.reply.Bulk(prefix);
}

}  // namespace holdfast::commands
