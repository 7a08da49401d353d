// Nodes that talk over loopback sockets, all on one loop and one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/event_loop.h"
#include "net/listener.h"
#include "replica/peer_link.h"
#include "replica/peer_listener.h"
#include "replica/transport.h"

#include "../net/net_test_util.h"

namespace holdfast::replica {

// Notes what links say, and lets the test add to it.
struct PeerRecorder : PeerHandler {
  struct Item {
    raft::NodeId from;
    ItemKind kind;
    std::string bytes;
  };
  std::vector<Item> items;
  std::vector<uint64_t> clocks;
  int ups = 0;
  std::vector<std::string> downs;  // why
  std::function<void(PeerLink&)> on_up;
  std::function<void(PeerLink&, const Item&)> on_item;
  std::function<void(PeerLink&)> on_clock;
  std::function<void(PeerLink&)> on_down;

  void OnUp(PeerLink& link) override {
    ++ups;
    CHECK(link.up());
    CHECK(link.node() != raft::kNoNode);
    if (on_up) on_up(link);
  }
  void OnClock(PeerLink& link, uint64_t clock) override {
    clocks.push_back(clock);
    if (on_clock) on_clock(link);
  }
  void OnItem(PeerLink& link, ItemKind kind, std::string_view bytes) override {
    items.push_back({link.node(), kind, std::string(bytes)});
    if (on_item) on_item(link, Item(items.back()));
  }
  void OnDown(PeerLink& link, const Status& why) override {
    CHECK(!link.up());
    CHECK(!link.Send(ItemKind::kRaft, "x"));
    downs.push_back(why.message());
    if (on_down) on_down(link);
  }
};

inline std::string Loopback(uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

inline Credentials CredentialsOf(raft::NodeId node) {
  Credentials credentials;
  credentials.self.node_id = node;
  credentials.self.cluster_id = 77;
  credentials.secret = "secret";
  return credentials;
}

// A node with one core: cluster port, transport, recorder. Its loop flushes at each turn's end.
struct Node {
  net::EventLoop* const loop;
  Credentials credentials;
  TransportOptions options;
  PeerListenerOptions listener_options;
  PeerRecorder recorder;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<PeerListener> listener;
  uint16_t port = 0;

  Node(net::EventLoop* l, raft::NodeId id) : loop(l), credentials(CredentialsOf(id)) {
    options.backoff_min_ms = 5;
    options.backoff_max_ms = 20;
    options.seed = id;
  }
  // A port of its own (0: a free one), and everything behind it.
  void Start(uint16_t at = 0) {
    Result<net::PortBinding> bound = net::PortBinding::Bind("127.0.0.1", at, 1);
    REQUIRE(bound.ok());
    REQUIRE(bound.value().Listen(128).ok());
    port = bound.value().port();
    credentials.self.cluster_address = address();
    transport = std::make_unique<Transport>(loop, credentials, options, &recorder);
    listener = std::make_unique<PeerListener>(
        loop, bound.value().Take(), credentials, listener_options,
        [this](AcceptedPeer peer) { transport->Adopt(std::move(peer)); });
  }
  void Stop() {
    listener.reset();
    transport.reset();
  }
  raft::NodeId id() const { return credentials.self.node_id; }
  std::string address() const { return Loopback(port); }
  Peer peer() const { return {id(), address()}; }
  PeerStats StatsOf(raft::NodeId node) const {
    for (const PeerStats& stats : transport->Stats()) {
      if (stats.id == node) return stats;
    }
    return {};
  }
};

// Some nodes on one loop.
struct Nodes {
  net::EventLoop loop;
  std::vector<std::unique_ptr<Node>> all;

  Nodes() {
    loop.OnTurnEnd([this] {
      for (const auto& node : all) {
        if (node->transport != nullptr) node->transport->Flush();
      }
      return false;
    });
  }
  Node& Add(raft::NodeId id) { return *all.emplace_back(std::make_unique<Node>(&loop, id)); }
  Node& AddStarted(raft::NodeId id) {
    Node& node = Add(id);
    node.Start();
    return node;
  }
  bool Until(const std::function<bool()>& done) { return net::RunUntil(&loop, done); }
  // Lets the loop turn for a time.
  void RunFor(int64_t ms) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    REQUIRE(Until([&] { return std::chrono::steady_clock::now() >= end; }));
  }
};

}  // namespace holdfast::replica
