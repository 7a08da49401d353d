// PUBLISH, SUBSCRIBE and their kin. Who listens, and the way of a message: engine/pubsub.h.
#include "engine/pubsub.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/glob.h"
#include "base/hash.h"
#include "commands/deferred.h"
#include "commands/server_handlers.h"
#include "engine/session_context.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::PubSub;
using engine::SessionContext;
using engine::SubscriptionKind;

// How the changes of one kind of subscription are called in what the client is sent.
struct ChangeNames {
  std::string_view subscribed;
  std::string_view unsubscribed;
};

ChangeNames ChangesOf(SubscriptionKind kind) {
  switch (kind) {
    case SubscriptionKind::kChannel:
      return {"subscribe", "unsubscribe"};
    case SubscriptionKind::kPattern:
      return {"psubscribe", "punsubscribe"};
    case SubscriptionKind::kShardChannel:
      return {"ssubscribe", "sunsubscribe"};
  }
  return {};
}

// The number that comes with a change: shard channels are counted by themselves.
int64_t CountFor(const engine::Client& client, SubscriptionKind kind) {
  if (kind == SubscriptionKind::kShardChannel) {
    return static_cast<int64_t>(client.subscription_count(kind));
  }
  return static_cast<int64_t>(client.subscription_count(SubscriptionKind::kChannel) +
                              client.subscription_count(SubscriptionKind::kPattern));
}

// In a cluster the channels of one request have to be of one slot, as in Redis Cluster. False, with
// the error replied, when they aren't.
bool CheckSlots(SessionContext& ctx, SubscriptionKind kind) {
  if (kind != SubscriptionKind::kShardChannel || !ctx.core.engine().in_cluster()) return true;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    if (KeySlot(ctx.args[i]) == KeySlot(ctx.args[1])) continue;
    ctx.Error(engine::kCrossSlot);
    return false;
  }
  return true;
}

void SubscribeTo(SessionContext& ctx, SubscriptionKind kind) {
  if (!CheckSlots(ctx, kind)) return;
  ctx.replies_messages = true;
  for (const std::string_view name : ctx.args.subspan(1)) {
    ctx.core.pubsub().Subscribe(&ctx.client, kind, name);
    ctx.reply.Push(3);
    ctx.reply.Bulk(ChangesOf(kind).subscribed);
    ctx.reply.Bulk(name);
    ctx.reply.Integer(CountFor(ctx.client, kind));
  }
}

void UnsubscribeFrom(SessionContext& ctx, SubscriptionKind kind) {
  if (!CheckSlots(ctx, kind)) return;
  ctx.replies_messages = true;
  engine::Client& client = ctx.client;
  std::vector<std::string> names(ctx.args.begin() + 1, ctx.args.end());
  if (names.empty() && client.subscribed()) {
    const engine::Subscriptions::Names& all = client.subscriptions->names(kind);
    names.assign(all.begin(), all.end());
  }
  for (const std::string& name : names) {
    ctx.core.pubsub().Unsubscribe(&client, kind, name);
    ctx.reply.Push(3);
    ctx.reply.Bulk(ChangesOf(kind).unsubscribed);
    ctx.reply.Bulk(name);
    ctx.reply.Integer(CountFor(client, kind));
  }
  if (!names.empty()) return;
  // There is an answer in any case.
  ctx.reply.Push(3);
  ctx.reply.Bulk(ChangesOf(kind).unsubscribed);
  ctx.reply.Null();
  ctx.reply.Integer(CountFor(client, kind));
}

PubSub::Done AnswerAt(Core* core, const engine::ReplyAddress& address) {
  return [core, address](int64_t receivers) {
    std::string reply;
    resp::Writer(&reply).Integer(receivers);
    core->Deliver(address, std::move(reply));
  };
}

// In a transaction with commands on keys: when it is committed. The client takes no further request
// before that, so that what it publishes stays in its order.
void PublishWhenCommitted(SessionContext& ctx, const PubSub::Publication& publication) {
  Core* core = &ctx.core;
  const engine::ReplyAddress address = ctx.Defer();
  core->pubsub().PublishBehind(
      ctx.behind->partition, ctx.behind->gate, publication, AnswerAt(core, address),
      [core, address, is_write = ctx.behind->is_write](bool proposed) {
        std::string reply;
        resp::Writer(&reply).Error(is_write && proposed ? engine::kInDoubt : engine::kTryAgain);
        core->Deliver(address, std::move(reply));
      });
}

void PublishTo(SessionContext& ctx, bool sharded) {
  const PubSub::Publication publication{sharded, ctx.args[1], ctx.args[2]};
  if (ctx.behind != nullptr) {
    PublishWhenCommitted(ctx, publication);
    return;
  }
  PubSub& pubsub = ctx.core.pubsub();
  const std::optional<int64_t> receivers = pubsub.Publish(publication, [&ctx, &pubsub] {
    return AnswerAt(&ctx.core, pubsub.crowded() ? ctx.Defer() : ctx.DeferReplyOnly());
  });
  if (receivers.has_value()) ctx.reply.Integer(*receivers);
}

// ---- PUBSUB

using NameSet = std::set<std::string>;

NameSet NamesOn(Core& core, SubscriptionKind kind, const std::optional<std::string>& pattern) {
  NameSet names;
  core.pubsub().ForEachName(kind, [&names, &pattern](std::string_view name) {
    if (!pattern || GlobMatch(*pattern, name)) names.emplace(name);
  });
  return names;
}

NameSet Union(std::vector<NameSet>& parts) {
  NameSet all;
  for (NameSet& part : parts) all.merge(part);
  return all;
}

void ReplyActive(SessionContext& ctx, SubscriptionKind kind) {
  if (ctx.args.size() > 3) {
    ctx.ErrorUnknownSubcommand();
    return;
  }
  std::optional<std::string> pattern;
  if (ctx.args.size() == 3) pattern = ctx.args[2];
  GatherReply<NameSet>(
      ctx, [kind, pattern](Core& core) { return NamesOn(core, kind, pattern); },
      [](std::vector<NameSet>& parts, resp::Writer& reply) {
        const NameSet names = Union(parts);
        reply.Array(names.size());
        for (const std::string& name : names) reply.Bulk(name);
      });
}

void ReplySubscribers(SessionContext& ctx, SubscriptionKind kind) {
  const std::vector<std::string> names(ctx.args.begin() + 2, ctx.args.end());
  if (names.empty()) {
    ctx.reply.Array(0);
    return;
  }
  using Counts = std::vector<int64_t>;
  GatherReply<Counts>(
      ctx,
      [kind, names](Core& core) {
        Counts counts;
        for (const std::string& name : names) {
          counts.push_back(static_cast<int64_t>(core.pubsub().SubscribersOf(kind, name)));
        }
        return counts;
      },
      [names](std::vector<Counts>& parts, resp::Writer& reply) {
        // A list of pairs that is flat in RESP3, too.
        reply.Array(2 * names.size());
        for (size_t i = 0; i < names.size(); ++i) {
          int64_t sum = 0;
          for (const Counts& part : parts) sum += part[i];
          reply.Bulk(names[i]);
          reply.Integer(sum);
        }
      });
}

}  // namespace

void Subscribe(SessionContext& ctx) { SubscribeTo(ctx, SubscriptionKind::kChannel); }
void Psubscribe(SessionContext& ctx) { SubscribeTo(ctx, SubscriptionKind::kPattern); }

// The younger command keeps to one reply a command, so not in EXEC.
void Ssubscribe(SessionContext& ctx) {
  if (ctx.in_transaction) {
    ctx.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    return;
  }
  SubscribeTo(ctx, SubscriptionKind::kShardChannel);
}

void Unsubscribe(SessionContext& ctx) { UnsubscribeFrom(ctx, SubscriptionKind::kChannel); }
void Punsubscribe(SessionContext& ctx) { UnsubscribeFrom(ctx, SubscriptionKind::kPattern); }
void Sunsubscribe(SessionContext& ctx) { UnsubscribeFrom(ctx, SubscriptionKind::kShardChannel); }

void Publish(SessionContext& ctx) { PublishTo(ctx, false); }
void Spublish(SessionContext& ctx) { PublishTo(ctx, true); }

void PubsubChannels(SessionContext& ctx) { ReplyActive(ctx, SubscriptionKind::kChannel); }
void PubsubShardchannels(SessionContext& ctx) { ReplyActive(ctx, SubscriptionKind::kShardChannel); }
void PubsubNumsub(SessionContext& ctx) { ReplySubscribers(ctx, SubscriptionKind::kChannel); }
void PubsubShardnumsub(SessionContext& ctx) {
  ReplySubscribers(ctx, SubscriptionKind::kShardChannel);
}

void PubsubNumpat(SessionContext& ctx) {
  GatherReply<NameSet>(
      ctx, [](Core& core) { return NamesOn(core, SubscriptionKind::kPattern, std::nullopt); },
      [](std::vector<NameSet>& parts, resp::Writer& reply) {
        reply.Integer(static_cast<int64_t>(Union(parts).size()));
      });
}

}  // namespace holdfast::commands
