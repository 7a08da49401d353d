// How two nodes come to trust a connection between them. Neither shows the cluster secret, each
// proves to know it by an HMAC over both nonces:
//
//   dialer                                                    acceptor
//     RAFT.HELLO <hello>                            ──────▶
//                                                   ◀──────   $ <hello><mac of the acceptor>
//     checks the mac, the versions, who it is
//     RAFT.AUTH <mac of the dialer>                 ──────▶
//                                                             checks the mac, the versions, who it
//                                                             is, whether it may come
//                                                   ◀──────   +OK
//     RAFT.FRAME …                                  ◀─────▶   RAFT.FRAME …
//
// Instead of its next line the acceptor may send `-ERR reason` and close. After +OK both may send.
//
// mac(role) = HMAC-SHA256(secret, role ('D' or 'A'), length and bytes of the dialer's hello, of the
// acceptor's hello). The role keeps either from being a mirror to the other, the nonces keep a
// recording from being worth anything. What the handshake doesn't give is secrecy and integrity
// of what follows, and a weak secret can be guessed offline by whoever can dial. Both is what TLS
// is for: with Credentials::tls all of the above is encrypted, and nobody gets to say hello without
// a certificate of the cluster's CA. The secret is wanted all the same: the CA may have signed
// certificates for others than nodes.
//
// hello, all integers little-endian:
//   u32 magic "HFHL" | u16 protocol min, max | u32 data format | u8 1 with a secret, 0 without |
//   u64 cluster | u64 node | u64 expected node | u32 core | u32 cores | u32 partitions |
//   varint length, cluster address | varint length, client address | 32 bytes nonce
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/tls.h"
#include "raft/types.h"

namespace holdfast::replica {

// The protocol versions that this program speaks: frames, items and messages.
inline constexpr uint16_t kProtocolMin = 1;
inline constexpr uint16_t kProtocolMax = 3;
// From this version on a peer takes items of kind kPublish.
inline constexpr uint16_t kProtocolWithPublications = 2;
// And from this one of kind kSettings.
inline constexpr uint16_t kProtocolWithSettings = 3;

// The commands that travel between nodes; each has one argument.
inline constexpr std::string_view kHelloCommand = "RAFT.HELLO";
inline constexpr std::string_view kAuthCommand = "RAFT.AUTH";
inline constexpr std::string_view kFrameCommand = "RAFT.FRAME";

inline constexpr size_t kNonceBytes = 32;
inline constexpr size_t kMaxAddressBytes = 256;
inline constexpr uint32_t kMaxCores = 4096;

// What a node says about itself.
struct Hello {
  uint16_t protocol_min = kProtocolMin;
  uint16_t protocol_max = kProtocolMax;
  uint32_t data_format = 0;  // version of entries and snapshots; the engine's
  bool has_secret = false;   // filled in by the handshake
  uint64_t cluster_id = 0;   // 0: not yet part of one, wants to join
  raft::NodeId node_id = raft::kNoNode;
  raft::NodeId expected_node_id = raft::kNoNode;  // who the dialer wants to reach; 0: anybody
  uint32_t core_index = 0;                        // whose link it is, of
  uint32_t cores = 1;                             // as many
  uint32_t partitions = 0;
  std::string cluster_address;  // where peers reach it
  std::string client_address;   // where clients do
  std::string nonce;            // filled in by the handshake

  bool operator==(const Hello&) const = default;
};

std::string EncodeHello(const Hello& hello);
// Corruption for anything that EncodeHello doesn't write.
Status DecodeHello(std::string_view bytes, Hello* hello);

// What every pair of nodes needs, whatever the engine's rules are: a common protocol version, the
// same data format, not two different clusters, not one's own id, and the node that was expected.
// Unsupported with a reason that makes sense to an operator of either side.
Status CheckPeer(const Hello& own, const Hello& peer);
// The highest version that both speak. REQUIRES: CheckPeer(own, peer).ok()
uint16_t AgreedProtocol(const Hello& own, const Hello& peer);

// Both parts of the handshake need:
struct Credentials {
  Hello self;          // without nonce
  std::string secret;  // empty: none, and then the peer must have none
  // Decides about a peer that has proven to know the secret and passed CheckPeer, on either side:
  // refuses removed nodes, and whatever else the engine doesn't want. The text reaches the other
  // side's log. Empty: everybody is welcome. Called on the thread of the loop that shakes hands,
  // and mustn't touch links.
  std::function<Status(const Hello& peer)> authorize;
  // What encrypts connections and knows the CA; null: they are plain. Outlives all of them.
  const net::TlsSlot* tls = nullptr;
};

// One side of one handshake: bytes in, bytes out. A failed step ends it; its status says why, in a
// text that may be shown to the peer. `credentials` must outlive it; what they say when a step is
// made is what counts.
class DialerHandshake {
 public:
  explicit DialerHandshake(const Credentials* credentials) : credentials_(credentials) {}

  // The argument of RAFT.HELLO. `expected`: who should answer, kNoNode for anybody.
  std::string Start(raft::NodeId expected);
  // Takes the acceptor's answer and gives the argument of RAFT.AUTH.
  Result<std::string> OnAnswer(std::string_view answer);

  const Hello& self() const { return self_; }
  const Hello& peer() const { return peer_; }  // after OnAnswer

 private:
  const Credentials* const credentials_;
  Hello self_;
  Hello peer_;
  std::string self_bytes_;
};

class AcceptorHandshake {
 public:
  explicit AcceptorHandshake(const Credentials* credentials) : credentials_(credentials) {}

  // Takes the argument of RAFT.HELLO and gives the answer.
  Result<std::string> OnHello(std::string_view hello);
  // Takes the argument of RAFT.AUTH; OK: the peer is welcome. REQUIRES: OnHello succeeded.
  Status OnAuth(std::string_view mac);

  const Hello& self() const { return self_; }
  const Hello& peer() const { return peer_; }  // after OnHello, to be believed after OnAuth

 private:
  const Credentials* const credentials_;
  Hello self_;
  Hello peer_;
  std::string self_bytes_;
  std::string peer_bytes_;
};

}  // namespace holdfast::replica
