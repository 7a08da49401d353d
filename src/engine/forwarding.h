// Forwarding on one core: the way out of its clients' requests (Router), the way in of other nodes'
// (PeerServer), and, for both, the execution on this core's partitions.
//
// The core tells it about links, leaders and time; see "From the core". Loop thread of the owning
// core only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/blocking.h"
#include "engine/peer_links.h"
#include "engine/peer_server.h"
#include "engine/router.h"

namespace holdfast::engine {

class Core;
class Partition;

class Forwarding final : public RouterHost {
 public:
  explicit Forwarding(Core* core);

  Router& router() { return router_; }
  const Router& router() const { return router_; }

  // ---- From the core.
  // The links of this core's transport, which must outlive their use; null (at first): there are
  // no other nodes.
  void SetLinks(PeerLinks* links);
  void OnLinkUp() { router_.LinkUp(); }
  // Items of kinds kRequest, kReply and kCancel. Closes links that send nonsense.
  void OnItem(uint64_t link, replica::ItemKind kind, std::string_view bytes);
  void OnLinkDown(uint64_t link);
  // Calls `then` on this core when this node has told its clients' caches (tracking.h) of all that
  // was committed before, wherever, or can't know what that is.
  void CatchUp(uint32_t partition, absl::AnyInvocable<void()> then);
  // Leads or LeaderOf have changed. On every core.
  void LeaderChanged(uint32_t partition);
  // Once a turn, before the transport's Flush.
  void TurnEnd() { replies_wait_ = server_.SendWaiting(); }
  // Monotonic ms at which it wants to be called again at the latest; 0: no wish.
  int64_t Tick();
  // The reply of a request that was blocked, and whose place isn't one of a client's.
  void Deliver(const ReplyAddress& place, std::string bytes);
  // A request at this core's `place` was blocked when its partition stopped leading.
  void GiveBack(uint32_t partition, BlockedRequest request);

  // ---- On the partition's core.
  // A request that core `home` handed over with RunHere.
  void RunFor(uint32_t home, std::unique_ptr<Routed> routed);
  // A request of another node, by the link that core `home` knows as `caller`.
  void RunForPeer(uint32_t home, uint64_t caller, PeerRequest request);
  void CancelForPeer(const ReplyAddress& place, const PeerCancel& cancel);
  void PeerGone(uint64_t caller, const std::vector<WatchedKey>& watched);

  // ---- RouterHost
  int64_t NowMs() const override;
  int64_t RetryTimeoutMs() const override;
  bool Leads(uint32_t partition) const override;
  raft::NodeId LeaderOf(uint32_t partition) const override;
  uint64_t LinkTo(raft::NodeId node) const override;
  bool Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) override;
  size_t MaxItemBytes() const override;
  void RunHere(std::unique_ptr<Routed> routed) override;
  void Fence(uint32_t partition) override;
  void Answer(std::unique_ptr<Routed> routed, PeerReply reply) override;
  void WakeAt(int64_t at_ms) override;
  CoreStats* stats() override;

 private:
  // Takes the outcome home.
  void Return(uint32_t home, std::unique_ptr<Routed> routed, PeerReply reply);
  // The outcome is home.
  void Settle(std::unique_ptr<Routed> routed, PeerReply reply);
  void ReplyToPeer(uint32_t home, uint64_t caller, PeerReply reply);
  void GiveAnswer(Routed* routed, PeerReply reply);

  Core* const core_;
  PeerLinks* links_ = nullptr;
  Router router_;
  PeerServer server_;
  EpochGuard guard_;
  bool replies_wait_ = false;
};

}  // namespace holdfast::engine
