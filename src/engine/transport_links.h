// A core's transport as its forwarding sees it. Loop thread of the owning core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "engine/peer_links.h"
#include "replica/peer_link.h"
#include "replica/transport.h"

namespace holdfast::engine {

// REQUIRES: the transport's link ids are above 0.
class TransportLinks final : public PeerLinks {
 public:
  TransportLinks(replica::Transport* transport, const replica::PeerLinkOptions& options)
      : transport_(transport), max_item_bytes_(options.max_frame_bytes - kFrameRoom) {}

  uint64_t LinkTo(raft::NodeId node) const override {
    const replica::PeerLink* link = transport_->Link(node);
    return link == nullptr ? 0 : link->id();
  }
  bool Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) override {
    replica::PeerLink* found = transport_->FindLink(link);
    return found != nullptr && found->Send(kind, bytes);
  }
  void Close(uint64_t link, Status why) override {
    if (replica::PeerLink* found = transport_->FindLink(link)) found->Close(std::move(why));
  }
  size_t max_item_bytes() const override { return max_item_bytes_; }

 private:
  // A frame's header and trailer, and the item's kind and length.
  static constexpr size_t kFrameRoom = 64;

  replica::Transport* const transport_;
  const size_t max_item_bytes_;
};

}  // namespace holdfast::engine
