// Publish and subscribe on one core: who of its clients listens to what, and the way of a message
// to the listeners of all cores and nodes.
//
//   PUBLISH on a core ──▶ its own listeners
//                     ──▶ cores with listeners that may want it ──▶ theirs; their number comes back
//                     ──▶ every other node, by this core's link ──▶ its cores, in the same way
//
// A core is sent a message only when it may have a listener for it (MayWant). A node is sent every
// message, as in Redis Cluster: that keeps subscribing a matter of one core.
//
// Delivery is at most once. The messages of one publisher arrive in their order; when nodes or
// links fail, or don't keep up, some of them don't arrive. By the time a publisher is answered, the
// message is in the queue of each receiver on this node, before whatever that one is answered
// later, and on its way to the other nodes.
//
// Nothing here is logged or waits for a commit, with one exception: what a transaction publishes
// waits until the transaction is committed (PublishBehind). Whatever else is to be announced only
// when it is certain does the same.
//
// Loop thread of the owning core only, unless a function says otherwise.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "engine/gate.h"
#include "engine/key_events.h"
#include "engine/subscriptions.h"
#include "replica/publication.h"

namespace holdfast::replica {
class PeerLink;
}

namespace holdfast::engine {

class Client;
class Core;
class Partition;

class PubSub {
 public:
  using Publication = replica::Publication;
  // Gets the number of clients of this node that the message was put before.
  using Done = absl::AnyInvocable<void(int64_t receivers)>;

  explicit PubSub(Core* core);
  PubSub(const PubSub&) = delete;
  PubSub& operator=(const PubSub&) = delete;

  // ---- Listening. False: it listened already, or didn't.
  bool Subscribe(Client* client, SubscriptionKind kind, std::string_view name);
  bool Unsubscribe(Client* client, SubscriptionKind kind, std::string_view name);
  // Says nothing to the client.
  void UnsubscribeAll(Client* client);

  // ---- Publishing. Not from inside a partition's Execute, whose reply is under construction in a
  // client's queue then: what a command on keys has to announce goes through PublishBehind, which
  // it may call when it is done.

  // The number of receivers on this node, when no other core has to be asked; else what `wait`
  // gives gets it, on this core.
  std::optional<int64_t> Publish(const Publication& publication, absl::FunctionRef<Done()> wait);
  // Publishes when `gate` of `partition`, which is one of this core's, is open. When it will never
  // be, nothing is published and `lost` is called (see GateWaiter::OnGateLost).
  void PublishBehind(Partition* partition, const Gate& gate, const Publication& publication,
                     Done done, absl::AnyInvocable<void(bool proposed)> lost);
  // An event of a key that is committed, as messages on the channels that the configuration names.
  void PublishKeyEvent(const KeyEvent& event);
  // So much is on its way to other cores that publishers should wait until theirs has arrived.
  bool crowded() const { return in_flight_bytes_ > kMaxInFlightBytes; }
  // An item of kind kPublish. Closes links that send nonsense.
  void OnPeerItem(replica::PeerLink& link, std::string_view bytes);

  // A message for a client of this core, behind what it has been answered so far, and before what
  // it waits for in a blocking command.
  void Push(Client* client, std::string_view bytes);

  // While one of these exists, messages for `client` are kept back, and put behind whatever it has
  // been answered by the end: a client that publishes to itself reads the answer first, and never a
  // message in the middle of EXEC's array.
  class AfterReply {
   public:
    explicit AfterReply(Client* client);
    ~AfterReply();
    AfterReply(const AfterReply&) = delete;
    AfterReply& operator=(const AfterReply&) = delete;

   private:
    friend class PubSub;
    PubSub* const pubsub_;
    Client* const client_;
    AfterReply* const outer_;
    std::string kept_;
  };

  // ---- What is listened to on this core.
  size_t names(SubscriptionKind kind) const { return Table(kind).size(); }
  size_t SubscribersOf(SubscriptionKind kind, std::string_view name) const;
  // Receivers of a message among this core's clients.
  int64_t ReceiversOf(const Publication& publication) const;
  void ForEachName(SubscriptionKind kind, absl::FunctionRef<void(std::string_view)> visit) const;
  // False: nobody on this core listens to that. Counts are raised before a subscription is
  // answered, so that a message published after the answer is never missed. Any thread.
  bool MayWant(const Publication& publication) const;

 private:
  using Clients = absl::flat_hash_set<Client*>;
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return Hash64(name); }
  };
  using NameTable = absl::flat_hash_map<std::string, Clients, NameHash, std::equal_to<>>;
  struct Flight;

  // Of messages to other cores that have not arrived there. Beyond it publishers wait, and messages
  // of other nodes are dropped.
  static constexpr size_t kMaxInFlightBytes = size_t{64} << 20;
  static constexpr size_t kInterestBuckets = 4096;

  const NameTable& Table(SubscriptionKind kind) const { return tables_[static_cast<size_t>(kind)]; }
  std::atomic<uint32_t>& Interest(SubscriptionKind kind, std::string_view name);
  int64_t Deliver(const Publication& publication);
  // Hands it to the other cores that may want it; false when there are none.
  bool SendToCores(const Publication& publication, int64_t receivers,
                   absl::FunctionRef<Done()> done);
  void SendToNodes(const Publication& publication);
  // A message that nobody waits for, to the other cores, unless too much is on its way.
  void PassOn(const Publication& publication, int64_t receivers);
  void PutBefore(Client* client, std::string_view bytes);

  Core* const core_;
  std::array<NameTable, kSubscriptionKinds> tables_;
  size_t in_flight_bytes_ = 0;
  AfterReply* keeping_ = nullptr;  // the innermost one

  // How many of this core's subscriptions to channels fall into a bucket by their hash, and how
  // many to patterns there are. Written by this core, read by all.
  std::array<std::atomic<uint32_t>, kInterestBuckets> interest_{};
  std::atomic<uint32_t> patterns_{0};
};

}  // namespace holdfast::engine
