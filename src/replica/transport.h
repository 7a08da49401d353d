// The links of one core to the other nodes.
//
// Every core dials every peer, and gets the links that the peers' cores dial to it, so between two
// nodes with n cores each there are 2n connections. What is sent to a node goes by the link that
// this core dialed, and by one that it accepted while there is none.
//
//   core i of node A ──dials──▶ core i % cores of node B
//
// With different numbers of cores the link that core i dialed and the ones that it accepted may end
// at different cores over there. So: a message says which partition it is for and is passed on to
// the core of that; an answer goes by the link by which the question came (PeerLink::Send,
// FindLink).
//
// Loop thread of the owning core only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "net/event_loop.h"
#include "raft/types.h"
#include "replica/frame.h"
#include "replica/hello.h"
#include "replica/peer_link.h"

namespace holdfast::replica {

struct TransportOptions {
  PeerLinkOptions link;
  // Between two attempts to reach a peer: doubled each time up to the maximum, and then a random
  // half to whole of it, so that nodes that lost each other don't come back all at once.
  uint64_t backoff_min_ms = 50;
  uint64_t backoff_max_ms = 1000;
  uint64_t seed = 0;  // of the jitter
};

struct Peer {
  raft::NodeId id = raft::kNoNode;  // kNoNode: whoever answers there (seeds of a joining node)
  std::string address;              // numeric, with a port
  bool operator==(const Peer&) const = default;
};

// For INFO.
struct PeerStats {
  raft::NodeId id = raft::kNoNode;
  std::string address;
  bool up = false;        // Link(id) != nullptr
  LinkCounters counters;  // of all links to the node, those that are gone included
  uint64_t connects = 0;  // how often a dialed link came up
  uint64_t accepts = 0;   // links that the node dialed
  uint64_t pending_bytes = 0;
  std::string last_error;  // why the dialed link went down or didn't come up last; empty: never
};

class Transport {
 public:
  // `handler` hears of all links, and must outlive the transport. `credentials.self.core_index` is
  // this core's.
  Transport(net::EventLoop* loop, Credentials credentials, TransportOptions options,
            PeerHandler* handler);
  // Closes all links silently.
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // What this node says about itself from now on; links that are up stay.
  void SetSelf(const Hello& self) { credentials_.self = self; }
  // Whom to keep a link to, without this node itself. Peers that are no longer among them lose
  // their links, those they dialed included; a peer with another address is dialed again.
  void SetPeers(std::vector<Peer> peers);
  // Takes a link that the listener let in. It replaces the one that the same core of the same node
  // dialed before.
  void Adopt(AcceptedPeer accepted);

  // The link to send to `node`; nullptr while there is none that is up. Valid until OnDown.
  PeerLink* Link(raft::NodeId node) const;
  // The link with PeerLink::id() `id`, while it is up.
  PeerLink* FindLink(uint64_t id) const;

  // As PeerLink's; false also when there is no link.
  bool Send(raft::NodeId to, ItemKind kind, std::string_view head, std::string_view body = {});
  // Sends an item to every peer that speaks protocol version `protocol`, without waiting for those
  // that can't be reached or have more than `max_pending_bytes` to read already. Returns how many
  // peers it was not sent to. Only links that this core dialed are used, since these come one after
  // the other: what it sends this way to one peer arrives in order even when links break.
  size_t Broadcast(ItemKind kind, uint16_t protocol, size_t max_pending_bytes,
                   std::string_view head, std::string_view body);
  // To `message.to`.
  bool SendMessage(uint32_t partition, const raft::Message& message);
  // Writes what was sent in this turn. Call it once, at the turn's end.
  void Flush();

  // Of every peer, and of every node that has a link here; by id.
  std::vector<PeerStats> Stats() const;

 private:
  // What a peer has to be dialed for, and what came of it.
  struct Dial {
    explicit Dial(net::EventLoop* loop) : retry(loop) {}
    Peer peer;
    std::unique_ptr<PeerLink> link;  // null between attempts
    net::Timer retry;
    uint64_t backoff_ms = 0;
    uint64_t connects = 0;
    LinkCounters past;       // of links that are gone
    std::string last_error;  // for INFO
    std::string logged;      // what the log says about it already; empty: that it is up
    bool removed = false;    // goes with its link
  };
  // What is known of nodes by the links that they dialed.
  struct Caller {
    std::string address;
    uint64_t accepts = 0;
    LinkCounters past;
  };
  class Relay;  // hears of the links first

  void StartDial(Dial* dial);
  void RetryLater(Dial* dial);
  void OnUp(PeerLink& link);
  void OnDown(PeerLink& link, const Status& why);
  void DialDown(Dial* dial, const PeerLink& link, const Status& why);
  // Chooses again what Link(node) is.
  void Choose(raft::NodeId node);
  void Tick();

  net::EventLoop* const loop_;
  Credentials credentials_;
  const TransportOptions options_;
  PeerHandler* const handler_;
  std::unique_ptr<Relay> relay_;
  Rng rng_;
  uint64_t next_link_id_ = 1;
  std::vector<std::unique_ptr<Dial>> dials_;
  std::vector<std::unique_ptr<PeerLink>> accepted_;
  absl::flat_hash_map<raft::NodeId, PeerLink*> chosen_;
  absl::flat_hash_map<uint64_t, PeerLink*> up_;  // by id
  absl::flat_hash_map<raft::NodeId, Caller> callers_;
  net::Timer ticker_;
  const uint64_t tick_ms_;
};

}  // namespace holdfast::replica
