// How a new node becomes part of a cluster: it asks any node of it, over the cluster port, to be
// let in; that node has the meta group record it, and says what is the same on all nodes.
//
//   kJoin       varint length, cluster address | varint length, client address
//   kJoinReply  u8 0 = welcome, 1 = not now | u64 cluster | u64 member | u32 partitions |
//               u64 hash seed | varint length, reason
//
// The new node's id is the one of the handshake. Asking again is harmless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "replica/hello.h"

namespace holdfast::cluster {

struct JoinRequest {
  std::string cluster_address;
  std::string client_address;
};
std::string EncodeJoin(const JoinRequest& request);
Status DecodeJoin(std::string_view bytes, JoinRequest* request);

struct JoinReply {
  bool welcome = false;
  engine::ClusterEntry entry;  // when welcome
  std::string reason;          // when not
};
std::string EncodeJoinReply(const JoinReply& reply);
Status DecodeJoinReply(std::string_view bytes, JoinReply* reply);

// Asks the seeds in turn until one lets this node in, for at most `timeout_ms`. Blocks: start-up
// thread. `self` says who asks; its cluster id is 0. `tls` may be null. The error says what the
// last seed answered.
Result<engine::ClusterEntry> Join(const std::vector<std::string>& seeds, const replica::Hello& self,
                                  const std::string& secret, const net::TlsSlot* tls,
                                  int64_t timeout_ms);

}  // namespace holdfast::cluster
