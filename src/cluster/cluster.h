// A node's life in a cluster: links to the other nodes, who they are, and the steps by which the
// members of every group become the nodes of the cluster.
//
//   meta partition ──committed records──▶ ViewBuilder (core 0) ──View──▶ every core
//   every core: peers of its transport; for each partition that it leads, one step at a time
//               (reconcile.h); reports of what became of it back to the meta partition
//
// Constructed and destroyed on the engine's own thread, while the cores don't run; everything else
// runs on the cores' loop threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cluster/settings.h"
#include "cluster/view.h"
#include "engine/engine.h"
#include "engine/internal_client.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "replica/peer_listener.h"

namespace holdfast::cluster {

class Cluster final : private engine::CommitObserver {
 public:
  // REQUIRES: engine->in_cluster(), and its cores don't run yet.
  Cluster(engine::Engine* engine, const engine::Config& config);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Lets other nodes in. Core 0.
  void Listen(net::Socket socket);
  // Hands over what this core leads, as far as somebody can take it. True when nothing is left, or
  // nobody is there. To be called again until then. Each core, before Stop.
  bool HandOver(engine::Core& core);
  // Nobody comes in any more, and no step is begun. Each core, before it drains.
  void Stop(engine::Core& core);

  // What is known on this core. Valid until its next turn.
  const View& view(const engine::Core& core) const { return *sides_[core.number()]->view; }
  // Options that all nodes share. Core 0.
  Settings& settings() { return *settings_; }
  // Where other nodes and clients reach this one.
  static std::string ClusterAddress(const engine::Config& config);
  static std::string ClientAddress(const engine::Config& config);
  static replica::Hello HelloOf(const engine::Config& config, const storage::Identity& identity);

 private:
  // What each core has.
  struct Side {
    explicit Side(engine::Core* the_core) : core(the_core), timer(&the_core->loop()) {}
    engine::Core* const core;
    std::shared_ptr<const View> view;
    std::vector<replica::Peer> learned;  // nodes that came by themselves and are not in the view
    net::Timer timer;
    std::unique_ptr<engine::InternalClient> self;
  };

  // ---- engine::CommitObserver, of the meta partition
  void OnCommitted(std::string_view payload) override;
  void OnReplaced(const data::Keyspace& keyspace) override;
  void Publish();

  void TakeView(Side* side, std::shared_ptr<const View> view);
  void LearnFromLog(engine::Partition& meta);
  void UpdatePeers(Side* side);
  Status Authorize(const Side& side, const replica::Hello& peer) const;
  void OnUp(Side* side, replica::PeerLink& link);
  void OnItem(Side* side, replica::PeerLink& link, replica::ItemKind kind, std::string_view bytes);
  void OnJoin(Side* side, replica::PeerLink& link, std::string_view bytes);

  void Tick(Side* side);
  void Reconcile(Side* side, engine::Partition* partition);
  // A refused transfer is asked for again, as long as there is reason to.
  void Transfer(engine::Partition* partition, raft::NodeId to);
  void Report(Side* side, engine::Partition& partition);
  // Core 0: this node's own record, and the states of the others when the meta partition is led
  // here.
  void KeepRecords(Side* side);
  bool IsVoterEverywhere(raft::NodeId node, const View& view) const;
  bool IsNowhere(raft::NodeId node, const View& view) const;

  engine::Engine* const engine_;
  const raft::NodeId node_;
  replica::Hello hello_;
  const std::string secret_;
  const net::TlsSlot* const tls_;  // null: links are plain
  ViewBuilder builder_;            // core 0
  std::vector<std::unique_ptr<Side>> sides_;
  std::unique_ptr<replica::PeerListener> listener_;  // core 0
  std::unique_ptr<Settings> settings_;               // core 0
};

}  // namespace holdfast::cluster
