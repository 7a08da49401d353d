#include "replica/transport.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace holdfast::replica {
namespace {

// How often links are looked after: often enough for both of their times.
uint64_t TickMs(const PeerLinkOptions& options) {
  return std::max<uint64_t>(1, std::min(options.ping_ms, options.silence_ms) / 2);
}

std::string NameOf(const Peer& peer) {
  if (peer.id == raft::kNoNode) return "peer at " + peer.address;
  return fmt::format("node {:016x} at {}", peer.id, peer.address);
}

}  // namespace

// Everything that links say passes through here; items and clocks without a look.
class Transport::Relay : public PeerHandler {
 public:
  explicit Relay(Transport* transport) : transport_(transport) {}

  void OnUp(PeerLink& link) override { transport_->OnUp(link); }
  void OnClock(PeerLink& link, uint64_t clock) override {
    transport_->handler_->OnClock(link, clock);
  }
  void OnItem(PeerLink& link, ItemKind kind, std::string_view bytes) override {
    transport_->handler_->OnItem(link, kind, bytes);
  }
  void OnDown(PeerLink& link, const Status& why) override { transport_->OnDown(link, why); }

 private:
  Transport* const transport_;
};

Transport::Transport(net::EventLoop* loop, Credentials credentials, TransportOptions options,
                     PeerHandler* handler)
    : loop_(loop),
      credentials_(std::move(credentials)),
      options_(std::move(options)),
      handler_(handler),
      relay_(std::make_unique<Relay>(this)),
      rng_(options_.seed),
      ticker_(loop),
      tick_ms_(TickMs(options_.link)) {
  CHECK(handler_ != nullptr);
  CHECK(options_.backoff_min_ms >= 1 && options_.backoff_min_ms <= options_.backoff_max_ms);
  ticker_.Start(tick_ms_, tick_ms_, [this] { Tick(); });
}

Transport::~Transport() = default;

// ---- Whom to dial

void Transport::SetPeers(std::vector<Peer> peers) {
  const auto wanted = [&](const Peer& peer) {
    return std::find(peers.begin(), peers.end(), peer) != peers.end();
  };
  const auto still_a_peer = [&](raft::NodeId id) {
    return std::any_of(peers.begin(), peers.end(), [&](const Peer& p) { return p.id == id; });
  };
  std::vector<raft::NodeId> left;
  for (const auto& dial : dials_) {
    if (dial->removed || wanted(dial->peer)) continue;
    dial->removed = true;
    dial->retry.Stop();
    const raft::NodeId id = dial->peer.id;
    if (id != raft::kNoNode && !still_a_peer(id)) left.push_back(id);
    if (dial->link == nullptr) continue;
    if (dial->link->up()) {
      // Goes when it has said OnDown.
      dial->link->Close(Status::InvalidArgument("no longer a peer at this address"));
    } else {
      dial->link.reset();
    }
  }
  std::erase_if(dials_, [](const auto& dial) { return dial->removed && dial->link == nullptr; });
  for (const auto& link : accepted_) {
    if (std::find(left.begin(), left.end(), link->node()) == left.end()) continue;
    link->Close(Status::InvalidArgument("no longer a peer"));
  }
  for (const Peer& peer : peers) {
    CHECK(peer.id == raft::kNoNode || peer.id != credentials_.self.node_id);
    const bool dialed = std::any_of(dials_.begin(), dials_.end(), [&](const auto& dial) {
      return !dial->removed && dial->peer == peer;
    });
    if (dialed) continue;
    Dial* const dial = dials_.emplace_back(std::make_unique<Dial>(loop_)).get();
    dial->peer = peer;
    StartDial(dial);
  }
}

void Transport::StartDial(Dial* dial) {
  CHECK(dial->link == nullptr && !dial->removed);
  dial->link = std::make_unique<PeerLink>(loop_, next_link_id_++, dial->peer.address, dial->peer.id,
                                          &credentials_, &options_.link, relay_.get());
}

void Transport::RetryLater(Dial* dial) {
  const uint64_t doubled = std::max(options_.backoff_min_ms, 2 * dial->backoff_ms);
  dial->backoff_ms = std::min(doubled, options_.backoff_max_ms);
  const uint64_t half = dial->backoff_ms / 2;
  dial->retry.Start(half + rng_.Below(dial->backoff_ms - half + 1), 0,
                    [this, dial] { StartDial(dial); });
}

void Transport::Adopt(AcceptedPeer accepted) {
  const Hello& peer = accepted.peer;
  for (const auto& link : accepted_) {
    if (link->node() != peer.node_id || link->peer().core_index != peer.core_index) continue;
    link->Close(Status::IoError("the peer has dialed again"));
  }
  accepted_.push_back(std::make_unique<PeerLink>(loop_, next_link_id_++, std::move(accepted),
                                                 &options_.link, relay_.get()));
}

// ---- What becomes of links

void Transport::OnUp(PeerLink& link) {
  CHECK(up_.emplace(link.id(), &link).second);
  const auto dial = std::find_if(dials_.begin(), dials_.end(),
                                 [&](const auto& d) { return d->link.get() == &link; });
  if (dial != dials_.end()) {
    (*dial)->backoff_ms = 0;
    ++(*dial)->connects;
    // After a complaint everybody is told that it is over.
    Log((*dial)->logged.empty() ? LogLevel::kVerbose : LogLevel::kNotice, "core {}: linked to {}",
        credentials_.self.core_index, NameOf({link.node(), link.address()}));
    (*dial)->logged.clear();
  } else {
    Caller& caller = callers_[link.node()];
    caller.address = link.peer().cluster_address;
    ++caller.accepts;
    LogVerbose("core {}: linked by {}", credentials_.self.core_index,
               NameOf({link.node(), link.address()}));
  }
  Choose(link.node());
  handler_->OnUp(link);
}

void Transport::OnDown(PeerLink& link, const Status& why) {
  const bool was_up = up_.erase(link.id()) > 0;
  // Out of the lists before anybody is told, who may change them; destroyed when this returns.
  std::unique_ptr<PeerLink> owned;
  const auto dial = std::find_if(dials_.begin(), dials_.end(),
                                 [&](const auto& d) { return d->link.get() == &link; });
  if (dial != dials_.end()) {
    owned = std::move((*dial)->link);
    DialDown(dial->get(), link, why);
  } else {
    const auto accepted = std::find_if(accepted_.begin(), accepted_.end(),
                                       [&](const auto& l) { return l.get() == &link; });
    CHECK(accepted != accepted_.end());
    owned = std::move(*accepted);
    accepted_.erase(accepted);
    callers_[link.node()].past += link.counters();
    const LogLevel level = why.code() == Code::kIoError || why.code() == Code::kInvalidArgument
                               ? LogLevel::kVerbose
                               : LogLevel::kWarning;
    Log(level, "core {}: the link by {} is down: {}", credentials_.self.core_index,
        NameOf({link.node(), link.address()}), why.message());
  }
  if (!was_up) return;
  Choose(link.node());
  handler_->OnDown(link, why);
}

void Transport::DialDown(Dial* dial, const PeerLink& link, const Status& why) {
  dial->past += link.counters();
  dial->last_error = why.message();
  if (dial->removed) {
    std::erase_if(dials_, [&](const auto& d) { return d.get() == dial; });
    return;
  }
  // Once for every reason, not for every attempt.
  if (dial->logged != why.message()) {
    dial->logged = why.message();
    LogWarning("core {}: no link to {}: {}", credentials_.self.core_index, NameOf(dial->peer),
               why.message());
  }
  RetryLater(dial);
}

void Transport::Choose(raft::NodeId node) {
  PeerLink* choice = nullptr;
  for (const auto& link : accepted_) {
    // The newest of several.
    if (link->up() && link->node() == node) choice = link.get();
  }
  for (const auto& dial : dials_) {
    if (dial->link != nullptr && dial->link->up() && dial->link->node() == node) {
      choice = dial->link.get();
    }
  }
  if (choice != nullptr) {
    chosen_[node] = choice;
  } else {
    chosen_.erase(node);
  }
}

void Transport::Tick() {
  for (const auto& dial : dials_) {
    if (dial->link != nullptr) dial->link->Tick(tick_ms_);
  }
  for (const auto& link : accepted_) link->Tick(tick_ms_);
}

// ---- Sending

PeerLink* Transport::Link(raft::NodeId node) const {
  const auto found = chosen_.find(node);
  // Going down takes a link a moment.
  return found != chosen_.end() && found->second->up() ? found->second : nullptr;
}

PeerLink* Transport::FindLink(uint64_t id) const {
  const auto found = up_.find(id);
  return found != up_.end() && found->second->up() ? found->second : nullptr;
}

bool Transport::Send(raft::NodeId to, ItemKind kind, std::string_view head, std::string_view body) {
  PeerLink* const link = Link(to);
  return link != nullptr && link->Send(kind, head, body);
}

size_t Transport::Broadcast(ItemKind kind, uint16_t protocol, size_t max_pending_bytes,
                            std::string_view head, std::string_view body) {
  size_t missed = 0;
  for (const auto& dial : dials_) {
    // Seeds are nodes that have a peer's entry of their own as soon as they are known.
    if (dial->removed || dial->peer.id == raft::kNoNode) continue;
    PeerLink* const link = dial->link.get();
    // One item may be larger than the limit when nothing waits, as PeerLink has it.
    const bool sent = link != nullptr && link->up() && link->protocol() >= protocol &&
                      link->pending_bytes() <= max_pending_bytes && link->Send(kind, head, body);
    if (!sent) ++missed;
  }
  return missed;
}

bool Transport::SendMessage(uint32_t partition, const raft::Message& message) {
  PeerLink* const link = Link(message.to);
  return link != nullptr && link->SendMessage(partition, message);
}

void Transport::Flush() {
  for (const auto& dial : dials_) {
    if (dial->link != nullptr) dial->link->Flush();
  }
  for (const auto& link : accepted_) link->Flush();
}

// ---- Statistics

std::vector<PeerStats> Transport::Stats() const {
  std::vector<PeerStats> all;
  const auto of = [&](raft::NodeId id, const std::string& address) -> PeerStats& {
    for (PeerStats& stats : all) {
      if (stats.id == id && (id != raft::kNoNode || stats.address == address)) return stats;
    }
    PeerStats stats;
    stats.id = id;
    stats.address = address;
    stats.up = Link(id) != nullptr;
    return all.emplace_back(std::move(stats));
  };
  const auto add = [](PeerStats& stats, const PeerLink& link) {
    stats.counters += link.counters();
    stats.pending_bytes += link.pending_bytes();
  };
  for (const auto& dial : dials_) {
    if (dial->removed) continue;
    raft::NodeId id = dial->peer.id;
    if (id == raft::kNoNode && dial->link != nullptr && dial->link->up()) id = dial->link->node();
    PeerStats& stats = of(id, dial->peer.address);
    stats.connects += dial->connects;
    stats.counters += dial->past;
    stats.last_error = dial->last_error;
    if (dial->link != nullptr) add(stats, *dial->link);
  }
  for (const auto& [id, caller] : callers_) {
    PeerStats& stats = of(id, caller.address);
    stats.accepts += caller.accepts;
    stats.counters += caller.past;
  }
  for (const auto& link : accepted_) {
    if (link->up()) add(of(link->node(), link->peer().cluster_address), *link);
  }
  std::sort(all.begin(), all.end(), [](const PeerStats& a, const PeerStats& b) {
    return a.id != b.id ? a.id < b.id : a.address < b.address;
  });
  return all;
}

}  // namespace holdfast::replica
