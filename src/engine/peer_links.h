// The links to other nodes, as forwarding needs them: by number, since a link may go away while
// something waits for it. Loop thread of the owning core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"
#include "replica/frame.h"

namespace holdfast::engine {

class PeerLinks {
 public:
  virtual ~PeerLinks() = default;
  // The link to send to a node by; 0: none is up.
  virtual uint64_t LinkTo(raft::NodeId node) const = 0;
  // False: not taken, because the link is down or too much waits.
  virtual bool Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) = 0;
  // Takes the link down, if it is up.
  virtual void Close(uint64_t link, Status why) = 0;
  // Larger items can't be sent.
  virtual size_t max_item_bytes() const = 0;
};

}  // namespace holdfast::engine
