// CONFIG. Options are changed on core 0, one change after the other, and sent to all cores from
// there: two clients that set different options at the same time both succeed. In a cluster those
// that all nodes share are changed by cluster/settings.h.
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/numbers.h"
#include "cluster/access.h"
#include "cluster/cluster.h"
#include "commands/deferred.h"
#include "commands/server_handlers.h"
#include "engine/acl_rules.h"
#include "engine/config.h"
#include "engine/descriptors.h"
#include "net/tls.h"

namespace holdfast::commands {
namespace {

using engine::Config;
using engine::Core;
using engine::SessionContext;

// The first option among the arguments that concerns the listening sockets and is different now;
// nullptr when there is none.
const engine::Option* ChangedListenerOption(engine::Args pairs, const Config& before,
                                            const Config& after) {
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const engine::Option* option = engine::FindOption(pairs[i]);
    if ((option->flags & engine::kListener) != 0 &&
        engine::GetOption(before, *option) != engine::GetOption(after, *option)) {
      return option;
    }
  }
  return nullptr;
}

using Certificates = std::shared_ptr<const net::TlsContext>;

// Makes the change on core 0; the error is the whole reply. `certificates`: those that the new
// options name, null when none of these was set. On core 0's thread.
Result<Config> Change(Core& first, engine::Args pairs, const Certificates& certificates) {
  const Config before = first.config();
  Result<Config> after = engine::ChangeOptions(before, pairs);
  if (!after.ok()) return after;
  if (after.value().maxclients > before.maxclients) {
    const int64_t fit = engine::ClientsThatFit(after.value());
    if (fit < after.value().maxclients) {
      return Status::InvalidArgument(engine::ConfigSetFailed(
          "maxclients",
          "The operating system is not able to handle the specified number of clients, try with " +
              std::to_string(fit)));
    }
  }
  const engine::Option* listener = ChangedListenerOption(pairs, before, after.value());
  const Certificates replaced = first.engine().tls != nullptr ? first.engine().tls->Get() : nullptr;
  if (certificates != nullptr) first.engine().tls->Set(certificates);
  if (listener != nullptr) {
    const auto& reopen = first.engine().change_listeners;
    const Status status =
        reopen ? reopen(first, after.value()) : Status::Unsupported("can't set immutable config");
    if (!status.ok()) {
      if (certificates != nullptr) first.engine().tls->Set(replaced);
      LogWarning("CONFIG SET {}: {}", listener->name, status.message());
      return Status::InvalidArgument(engine::ConfigSetFailed(
          listener->name, !reopen ? status.message()
                          : listener->name == "port" || listener->name == "tls-port"
                              ? "Unable to listen on this port. Check server logs."
                              : "Failed to bind to specified addresses."));
    }
  }
  if (before.log_level != after.value().log_level) SetLogLevel(after.value().log_level);
  first.SetConfig(after.value());
  return after;
}

// On core 0's thread.
void Refuse(Core& first, const std::shared_ptr<Deferred>& deferred, const std::string& error) {
  first.Post(deferred->home().number(), [deferred, error] { deferred->FinishError(error); });
}

// Whether a password that is set has to be the default user's: it has rules of its own, which win
// over requirepass, or there are other nodes, which have to know it.
bool ConcernsDefaultUser(Core& first, const std::vector<std::string_view>& pairs) {
  if (first.engine().access == nullptr) return false;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (!EqualsIgnoreCase(pairs[i], "requirepass")) continue;
    return first.engine().cluster != nullptr || !first.access().users().default_is_implied();
  }
  return false;
}

// Gives the default user the password of this node's options, and answers. On core 0's thread.
void ChangeDefaultUser(Core& first, const std::shared_ptr<Deferred>& deferred) {
  const std::string& password = first.config().requirepass;
  std::vector<std::string> args = {"SET", "default", "resetpass"};
  args.push_back(password.empty() ? "nopass" : engine::HideSecret(">" + password));
  first.engine().access->Change(std::move(args), [&first, deferred](const resp::Reply& reply) {
    first.Post(deferred->home().number(), [deferred, reply] {
      if (reply.is_error()) {
        deferred->FinishError(reply.string);
      } else {
        deferred->FinishOk();
      }
    });
  });
}

// Changes options of this node and answers. On core 0's thread.
void ChangeNow(Core& first, const std::vector<std::string_view>& pairs,
               const Certificates& certificates, const std::shared_ptr<Deferred>& deferred) {
  const uint32_t home = deferred->home().number();
  Result<Config> config = Change(first, pairs, certificates);
  if (!config.ok()) return Refuse(first, deferred, config.status().message());
  OnAllCores(
      first,
      [config = std::move(config).value()](Core& core) {
        // Core 0 has it, or a newer one, already.
        if (core.number() != 0) core.SetConfig(config);
      },
      [&first, home, deferred, user = ConcernsDefaultUser(first, pairs)] {
        if (user) {
          ChangeDefaultUser(first, deferred);
        } else {
          first.Post(home, [deferred] { deferred->FinishOk(); });
        }
      });
}

// The first option among the arguments that concerns TLS; nullptr when there is none.
const engine::Option* TlsOption(engine::Args pairs) {
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const engine::Option* option = engine::FindOption(pairs[i]);
    if (option != nullptr && (option->flags & engine::kTls) != 0) return option;
  }
  return nullptr;
}

// As ChangeNow, but certificates are read before, where their options are among the arguments: on
// another thread, since that takes the disk. On core 0's thread.
void ChangeHere(Core& first, const std::vector<std::string_view>& pairs,
                const std::shared_ptr<Deferred>& deferred) {
  const engine::Option* option = TlsOption(pairs);
  if (option == nullptr) return ChangeNow(first, pairs, nullptr, deferred);
  const Config before = first.config();
  const Result<Config> after = engine::ChangeOptions(before, pairs);
  if (!after.ok()) return Refuse(first, deferred, after.status().message());
  const auto& read = first.engine().read_certificates;
  if (!read || !after.value().UsesTls()) return ChangeNow(first, pairs, nullptr, deferred);
  read(after.value(), [&first, before, option, pairs, deferred](Result<Certificates> certificates) {
    // Somebody else has changed them meanwhile: what was read may be out of date.
    if (!engine::SameTlsOptions(before, first.config())) return ChangeHere(first, pairs, deferred);
    if (certificates.ok()) return ChangeNow(first, pairs, certificates.value(), deferred);
    LogWarning("CONFIG SET: {}", certificates.status().message());
    Refuse(first, deferred,
           engine::ConfigSetFailed(option->name,
                                   "Unable to update TLS configuration. Check server logs."));
  });
}

// CONFIG SET's arguments, as views into them.
struct Pairs {
  std::vector<std::string_view> own;
  std::vector<std::string> shared;
};

// Takes apart what concerns this node and what all nodes share. The error is the whole reply.
Result<Pairs> SplitPairs(engine::Args args, const Config& before) {
  const Result<Config> after = engine::ChangeOptions(before, args);
  if (!after.ok()) return after.status();
  Pairs pairs;
  for (size_t i = 0; i < args.size(); i += 2) {
    const engine::Option* option = engine::FindOption(args[i]);
    if ((option->flags & engine::kShared) != 0) {
      pairs.shared.insert(pairs.shared.end(), {std::string(args[i]), std::string(args[i + 1])});
    } else {
      pairs.own.insert(pairs.own.end(), {args[i], args[i + 1]});
    }
  }
  const engine::Option* listener = ChangedListenerOption(args, before, after.value());
  if (listener != nullptr && !pairs.shared.empty()) {
    return Status::InvalidArgument(engine::ConfigSetFailed(
        listener->name, "it has to be set without options of the whole cluster"));
  }
  return pairs;
}

// On core 0's thread.
void ChangeInCluster(Core& first, const std::shared_ptr<Deferred>& deferred) {
  Result<Pairs> split = SplitPairs(deferred->args().args().subspan(2), first.config());
  if (!split.ok()) return Refuse(first, deferred, split.status().message());
  Pairs pairs = std::move(split).value();
  if (pairs.shared.empty()) {
    ChangeHere(first, pairs.own, deferred);
    return;
  }
  first.engine().cluster->settings().Change(
      pairs.shared, [&first, deferred, own = pairs.own](const std::string& error) {
        if (error.empty()) {
          ChangeHere(first, own, deferred);
        } else {
          Refuse(first, deferred, error);
        }
      });
}

}  // namespace

void ConfigGet(SessionContext& ctx) {
  const auto found = engine::MatchOptions(ctx.core.config(), ctx.args.subspan(2));
  ctx.reply.Map(found.size());
  for (const auto& [name, value] : found) {
    ctx.reply.Bulk(name);
    ctx.reply.Bulk(value);
  }
}

void ConfigSet(SessionContext& ctx) {
  if (ctx.args.size() % 2 != 0) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  engine::Engine* engine = &ctx.core.engine();
  ctx.core.Post(0, [engine, deferred] {
    if (engine->cluster != nullptr) {
      ChangeInCluster(engine->core(0), deferred);
      return;
    }
    const engine::Args pairs = deferred->args().args().subspan(2);
    ChangeHere(engine->core(0), {pairs.begin(), pairs.end()}, deferred);
  });
}

void ConfigResetstat(SessionContext& ctx) {
  OnAllCores(ctx, [](Core& core) {
    core.stats()->Reset();
    core.persister().ResetKeysFreed();
    (void)core.loop().TakeMaxTurnNs();
  });
}

void ConfigRewrite(SessionContext& ctx) {
  if (!ctx.core.engine().rewrite_config || ctx.core.engine().config_file.empty()) {
    ctx.Error("ERR The server is running without a config file");
    return;
  }
  // One rewrite at a time, of the newest options. It blocks core 0 for a small file's write.
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  engine::Engine* engine = &ctx.core.engine();
  ctx.core.Post(0, [engine, deferred] {
    Core& first = engine->core(0);
    const Status status = engine->rewrite_config(first.config());
    if (!status.ok()) LogWarning("CONFIG REWRITE failed: {}", status.message());
    first.Post(deferred->home().number(), [deferred, status] {
      if (status.ok()) {
        deferred->FinishOk();
      } else {
        deferred->FinishError("ERR Rewriting config file: " + status.message());
      }
    });
  });
}

}  // namespace holdfast::commands
