#include "engine/pubsub.h"

#include <utility>

#include "base/check.h"
#include "base/glob.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "replica/peer_link.h"
#include "replica/transport.h"
#include "resp/writer.h"

namespace holdfast::engine {
namespace {

// A node that has this much to read already gets no messages: it is behind, and the entries of
// partitions go by the same link.
constexpr size_t kMaxPeerPendingBytes = size_t{8} << 20;
// A client is written to at once each time its queue has grown by this much, so that its buffer
// shows what it doesn't read and not what one turn brought.
constexpr size_t kWriteEarlyBytes = size_t{256} << 10;
// What a message on its way takes besides its bytes, roughly.
constexpr size_t kFlightOverhead = 256;

// A message in the two protocols, made when the first client needs it.
class MessageForms {
 public:
  // `pattern`: by which it is found, null for a channel's own subscribers.
  MessageForms(const replica::Publication& publication, const std::string* pattern)
      : publication_(publication), pattern_(pattern) {}

  const std::string& For(int protocol) {
    std::string& form = forms_[protocol == 3 ? 1 : 0];
    if (!form.empty()) return form;
    form.reserve(publication_.channel.size() + publication_.message.size() + 64 +
                 (pattern_ == nullptr ? 0 : pattern_->size()));
    resp::Writer writer(&form, protocol);
    writer.Push(pattern_ == nullptr ? 3 : 4);
    if (pattern_ != nullptr) {
      writer.Bulk("pmessage");
      writer.Bulk(*pattern_);
    } else {
      writer.Bulk(publication_.sharded ? "smessage" : "message");
    }
    writer.Bulk(publication_.channel);
    writer.Bulk(publication_.message);
    return form;
  }

 private:
  const replica::Publication& publication_;
  const std::string* const pattern_;
  std::array<std::string, 2> forms_;
};

// A publication that waits for a transaction to be committed.
class HeldPublication final : public GateWaiter {
 public:
  HeldPublication(PubSub* pubsub, const replica::Publication& publication, PubSub::Done done,
                  absl::AnyInvocable<void(bool proposed)> lost)
      : pubsub_(pubsub),
        sharded_(publication.sharded),
        channel_(publication.channel),
        message_(publication.message),
        done_(std::move(done)),
        lost_(std::move(lost)) {}

  void OnGateOpen() override {
    const std::optional<int64_t> receivers =
        pubsub_->Publish({sharded_, channel_, message_}, [this] { return std::move(done_); });
    if (receivers.has_value()) done_(*receivers);
  }
  void OnGateLost(bool proposed) override { lost_(proposed); }

 private:
  PubSub* const pubsub_;
  const bool sharded_;
  const std::string channel_;
  const std::string message_;
  PubSub::Done done_;
  absl::AnyInvocable<void(bool)> lost_;
};

SubscriptionKind ChannelKind(const replica::Publication& publication) {
  return publication.sharded ? SubscriptionKind::kShardChannel : SubscriptionKind::kChannel;
}

size_t InterestBucket(SubscriptionKind kind, std::string_view name, size_t buckets) {
  return Hash64(name, static_cast<uint64_t>(kind)) % buckets;
}

}  // namespace

PubSub::PubSub(Core* core) : core_(core) {}

// ---- Listening

std::atomic<uint32_t>& PubSub::Interest(SubscriptionKind kind, std::string_view name) {
  if (kind == SubscriptionKind::kPattern) return patterns_;
  return interest_[InterestBucket(kind, name, kInterestBuckets)];
}

bool PubSub::Subscribe(Client* client, SubscriptionKind kind, std::string_view name) {
  if (client->subscriptions == nullptr) client->subscriptions = std::make_unique<Subscriptions>();
  if (!client->subscriptions->Add(kind, name)) return false;
  Interest(kind, name).fetch_add(1);
  NameTable& table = tables_[static_cast<size_t>(kind)];
  CHECK(table.try_emplace(name).first->second.insert(client).second);
  return true;
}

bool PubSub::Unsubscribe(Client* client, SubscriptionKind kind, std::string_view name) {
  if (client->subscriptions == nullptr) return false;
  // The name may be the one that the set holds and is about to free.
  const std::string kept(name);
  if (!client->subscriptions->Remove(kind, kept)) return false;
  if (client->subscriptions->empty()) client->subscriptions.reset();
  Interest(kind, kept).fetch_sub(1);
  NameTable& table = tables_[static_cast<size_t>(kind)];
  const auto it = table.find(kept);
  CHECK(it != table.end() && it->second.erase(client) == 1);
  if (it->second.empty()) table.erase(it);
  return true;
}

void PubSub::UnsubscribeAll(Client* client) {
  for (const SubscriptionKind kind :
       {SubscriptionKind::kChannel, SubscriptionKind::kPattern, SubscriptionKind::kShardChannel}) {
    while (client->subscriptions != nullptr && client->subscriptions->count(kind) > 0) {
      Unsubscribe(client, kind, *client->subscriptions->names(kind).begin());
    }
  }
}

size_t PubSub::SubscribersOf(SubscriptionKind kind, std::string_view name) const {
  const NameTable& table = Table(kind);
  const auto it = table.find(name);
  return it == table.end() ? 0 : it->second.size();
}

void PubSub::ForEachName(SubscriptionKind kind,
                         absl::FunctionRef<void(std::string_view)> visit) const {
  for (const auto& [name, clients] : Table(kind)) visit(name);
}

bool PubSub::MayWant(const Publication& publication) const {
  // Sequentially consistent, as the writes: who has seen a subscription answered finds it here.
  if (!publication.sharded && patterns_.load() > 0) return true;
  return interest_[InterestBucket(ChannelKind(publication), publication.channel, kInterestBuckets)]
             .load() > 0;
}

// ---- To this core's clients

int64_t PubSub::Deliver(const Publication& publication) {
  int64_t receivers = 0;
  const auto deliver = [this, &publication, &receivers](const std::string* pattern,
                                                        const Clients& clients) {
    MessageForms forms(publication, pattern);
    for (Client* client : clients) {
      if (client->closing) continue;
      Push(client, forms.For(client->protocol));
      ++receivers;
    }
  };
  const NameTable& channels = Table(ChannelKind(publication));
  const auto it = channels.find(publication.channel);
  if (it != channels.end()) deliver(nullptr, it->second);
  if (publication.sharded) return receivers;
  for (const auto& [pattern, clients] : Table(SubscriptionKind::kPattern)) {
    if (GlobMatch(pattern, publication.channel)) deliver(&pattern, clients);
  }
  return receivers;
}

int64_t PubSub::ReceiversOf(const Publication& publication) const {
  int64_t receivers = 0;
  const auto count = [&receivers](const Clients& clients) {
    for (const Client* client : clients) receivers += client->closing ? 0 : 1;
  };
  const NameTable& channels = Table(ChannelKind(publication));
  const auto it = channels.find(publication.channel);
  if (it != channels.end()) count(it->second);
  if (publication.sharded) return receivers;
  for (const auto& [pattern, clients] : Table(SubscriptionKind::kPattern)) {
    if (GlobMatch(pattern, publication.channel)) count(clients);
  }
  return receivers;
}

void PubSub::Push(Client* client, std::string_view bytes) {
  for (AfterReply* keeping = keeping_; keeping != nullptr; keeping = keeping->outer_) {
    if (keeping->client_ != client) continue;
    keeping->kept_.append(bytes);
    return;
  }
  PutBefore(client, bytes);
}

// CLIENT REPLY doesn't mute messages, as in Redis.
void PubSub::PutBefore(Client* client, std::string_view bytes) {
  if (client->closing) return;
  const size_t before = client->replies.bytes();
  // Whoever waits in a blocking command hears its messages meanwhile.
  if (!client->blocked || !client->replies.PutBefore(client->blocked_slot, bytes)) {
    client->replies.Begin(nullptr)->append(bytes);
    client->replies.CommitReady();
  }
  client->MarkDirty();
  if (client->replies.bytes() / kWriteEarlyBytes > before / kWriteEarlyBytes) {
    core_->FlushEarly(client);
  }
}

PubSub::AfterReply::AfterReply(Client* client)
    : pubsub_(&client->core->pubsub()), client_(client), outer_(pubsub_->keeping_) {
  pubsub_->keeping_ = this;
}

PubSub::AfterReply::~AfterReply() {
  pubsub_->keeping_ = outer_;
  if (!kept_.empty()) pubsub_->Push(client_, kept_);
}

// ---- To other cores and nodes

// A message on its way to other cores. What it says doesn't change; the rest is touched on the core
// that sent it only.
struct PubSub::Flight {
  bool sharded = false;
  std::string channel;
  std::string message;
  uint32_t missing = 0;  // cores that have not answered
  int64_t receivers = 0;
  Done done;

  Publication publication() const { return {sharded, channel, message}; }
  size_t bytes() const { return channel.size() + message.size() + kFlightOverhead; }
};

std::optional<int64_t> PubSub::Publish(const Publication& publication,
                                       absl::FunctionRef<Done()> wait) {
  SendToNodes(publication);
  const int64_t receivers = Deliver(publication);
  if (SendToCores(publication, receivers, wait)) return std::nullopt;
  return receivers;
}

void PubSub::PublishKeyEvent(const KeyEvent& event) {
  const uint32_t wanted = core_->config().notify_key_events;
  const std::string db = std::to_string(event.db);
  const auto publish = [this](const std::string& channel, std::string_view message) {
    const Publication publication{false, channel, message};
    SendToNodes(publication);
    PassOn(publication, Deliver(publication));
  };
  if ((wanted & kEventsOfKeys) != 0) publish("__keyspace@" + db + "__:" + event.key, event.name);
  if ((wanted & kEventsByName) != 0) {
    publish("__keyevent@" + db + "__:" + std::string(event.name), event.key);
  }
}

bool PubSub::SendToCores(const Publication& publication, int64_t receivers,
                         absl::FunctionRef<Done()> done) {
  Engine* engine = &core_->engine();
  std::shared_ptr<Flight> flight;
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    if (i == core_->number() || !engine->core(i).pubsub().MayWant(publication)) continue;
    if (flight == nullptr) {
      flight = std::make_shared<Flight>();
      flight->sharded = publication.sharded;
      flight->channel = publication.channel;
      flight->message = publication.message;
      flight->receivers = receivers;
      flight->done = done();
      in_flight_bytes_ += flight->bytes();
    }
    ++flight->missing;
    core_->Post(i, [engine, i, home = core_, flight] {
      const int64_t there = engine->core(i).pubsub().Deliver(flight->publication());
      engine->core(i).Post(home->number(), [home, flight, there] {
        flight->receivers += there;
        if (--flight->missing > 0) return;
        home->pubsub().in_flight_bytes_ -= flight->bytes();
        flight->done(flight->receivers);
      });
    });
  }
  return flight != nullptr;
}

void PubSub::SendToNodes(const Publication& publication) {
  replica::Transport* transport = core_->transport();
  if (transport == nullptr) return;
  const size_t missed = transport->Broadcast(
      replica::ItemKind::kPublish, replica::kProtocolWithPublications, kMaxPeerPendingBytes,
      replica::EncodePublicationHead(publication), publication.message);
  CoreStats* stats = core_->stats();
  ++stats->publications_sent;
  stats->publications_dropped += missed;
}

void PubSub::OnPeerItem(replica::PeerLink& link, std::string_view bytes) {
  Publication publication;
  const Status status = replica::DecodePublication(bytes, &publication);
  if (!status.ok()) {
    link.Close(status);
    return;
  }
  ++core_->stats()->publications_received;
  PassOn(publication, Deliver(publication));
}

void PubSub::PassOn(const Publication& publication, int64_t receivers) {
  if (crowded()) {
    ++core_->stats()->publications_dropped;
    return;
  }
  SendToCores(publication, receivers, [] { return [](int64_t) {}; });
}

void PubSub::PublishBehind(Partition* partition, const Gate& gate, const Publication& publication,
                           Done done, absl::AnyInvocable<void(bool proposed)> lost) {
  partition->WaitAt(
      gate, std::make_unique<HeldPublication>(this, publication, std::move(done), std::move(lost)));
}

}  // namespace holdfast::engine
