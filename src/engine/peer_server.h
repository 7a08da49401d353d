// The requests of other nodes' clients, on the core where their link ends: takes them to the cores
// of their partitions, and the replies back to the link.
//
//   link ──OnRequest──▶ Forwarding::RunForPeer on the partition's core ──▶ RunRequest
//   link ◀── kReply ─── Reply ◀──────────────────────────────────────────────┘
//
// Every link is known to the partitions as a client of its own number, whose reply places are the
// requests' ids. A link that goes down takes its blocked requests and its watches with it.
//
// Loop thread of the owning core only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "engine/peer_links.h"
#include "engine/peer_request.h"

namespace holdfast::engine {

class Core;

class PeerServer {
 public:
  // Of one link; more can't be watched by it.
  static constexpr size_t kMaxWatches = 100'000;
  // Replies that wait for a link's peer to read; with more it is closed.
  static constexpr size_t kMaxUnsentBytes = size_t{256} << 20;

  explicit PeerServer(Core* core);
  ~PeerServer();
  void SetLinks(PeerLinks* links) { links_ = links; }

  // Not ok: the link is not to be trusted.
  Status OnRequest(uint64_t link, std::string_view bytes);
  Status OnCancel(uint64_t link, std::string_view bytes);
  void LinkDown(uint64_t link);

  // The outcome of a request of `caller`. Ignored when its link is gone.
  void Reply(uint64_t caller, PeerReply reply);
  // The partition is led elsewhere: nobody watches its keys here any more.
  void ForgetWatches(uint32_t partition);
  // Sends what waited for room. True when something still waits.
  bool SendWaiting();
  size_t callers() const { return by_link_.size(); }

 private:
  struct Caller {
    uint64_t id = 0;
    uint64_t link = 0;
    std::deque<std::string> unsent;
    size_t unsent_bytes = 0;
    // How often each key is watched, by WatchName.
    absl::flat_hash_map<std::string, uint32_t> watches;
    size_t watch_count = 0;
  };

  Caller* CallerOf(uint64_t link);
  // Finds the commands' rows; empty, or the error to reply.
  std::string Resolve(PeerRequest* request) const;
  // Counts the request's watches in or out. False when there would be too many.
  bool CountWatches(Caller* caller, PeerRequest* request);

  Core* const core_;
  PeerLinks* links_ = nullptr;
  absl::flat_hash_map<uint64_t, Caller> by_link_;
  absl::flat_hash_map<uint64_t, uint64_t> link_of_;  // by caller
};

}  // namespace holdfast::engine
