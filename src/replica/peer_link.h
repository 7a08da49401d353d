// One connection to one peer, on one core: dialed from here, or accepted and handed here.
//
//   dialed:    connecting ─▶ (TLS) ─▶ shaking hands ─▶ up ─▶ down
//   accepted:                                          up ─▶ down   (peer_listener.h shook hands)
//
// Items sent in a turn travel as one frame, written by Flush at the turn's end; a frame that has
// grown to `frame_bytes` is written at once. They arrive in their order, or not at all: what a link
// had not delivered when it went down is lost, and the sender isn't told which.
//
// Loop thread of the owning core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/connection.h"
#include "net/connector.h"
#include "net/event_loop.h"
#include "raft/types.h"
#include "replica/command_reader.h"
#include "replica/frame.h"
#include "replica/hello.h"

namespace holdfast::replica {

class PeerLink;

// What a link tells its owner. Never called from inside a call to a link. Every callback may call
// any method of the link, and may destroy it.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  // The link is up: its peer is known and items may be sent.
  virtual void OnUp(PeerLink& link) = 0;
  // The peer knows of revisions up to `clock` (> 0). Comes before the items of the same frame.
  virtual void OnClock(PeerLink& link, uint64_t clock) = 0;
  // `bytes` are valid during the call only.
  virtual void OnItem(PeerLink& link, ItemKind kind, std::string_view bytes) = 0;
  // The link is down, or never came up: the last call. What was sent by it may have arrived or not.
  virtual void OnDown(PeerLink& link, const Status& why) = 0;
};

struct PeerLinkOptions {
  // A frame is written when it has this much, whatever the turn still brings.
  size_t frame_bytes = size_t{1} << 20;
  // No frame is larger, sent or received. An item that doesn't fit in one can't be sent.
  size_t max_frame_bytes = size_t{64} << 20;
  // While this much waits for the peer to read, nothing more is taken (PITFALLS P18). One item may
  // exceed it when nothing waits.
  size_t max_pending_bytes = size_t{32} << 20;
  uint64_t connect_timeout_ms = 1000;
  uint64_t handshake_timeout_ms = 5000;
  // A link that has sent nothing for so long sends an empty frame.
  uint64_t ping_ms = 500;
  // A link that has received nothing for so long goes down. As counted by calls to Tick, so a
  // process that was stopped for a while doesn't blame its peers (PITFALLS P19).
  uint64_t silence_ms = 2000;
  // Which clock frames carry (HybridLogicalClock::last); empty: 0.
  std::function<uint64_t()> clock;
};

// An authenticated connection on its way from the listener to a core. The peer is still to be sent
// its +OK.
struct AcceptedPeer {
  net::Socket socket;
  Hello self;  // as the peer was told
  Hello peer;
  std::unique_ptr<net::TlsStream> tls = nullptr;  // what the connection is encrypted with
};

// How much a link has moved; sizes are of frames, without RESP's few bytes around them.
struct LinkCounters {
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t frames_sent = 0;
  uint64_t frames_received = 0;
  uint64_t items_sent = 0;
  uint64_t items_received = 0;
  uint64_t items_dropped = 0;  // refused by Send

  LinkCounters& operator+=(const LinkCounters& other);
};

class PeerLink {
 public:
  // Dials `address` and expects `expected` to answer (kNoNode: anybody). `credentials`, `options`
  // and `handler` must outlive the link.
  PeerLink(net::EventLoop* loop, uint64_t id, const std::string& address, raft::NodeId expected,
           const Credentials* credentials, const PeerLinkOptions* options, PeerHandler* handler);
  // Takes an accepted connection over and sends +OK. OnUp follows in a later turn.
  PeerLink(net::EventLoop* loop, uint64_t id, AcceptedPeer accepted, const PeerLinkOptions* options,
           PeerHandler* handler);
  // Closes silently, dropping what waits.
  ~PeerLink();
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  // Unique among the links of a transport.
  uint64_t id() const { return id_; }
  bool dialed() const { return dialed_; }
  bool up() const { return state_ == State::kUp; }
  // Who is at the other end; meaningful once up.
  const Hello& peer() const { return peer_; }
  raft::NodeId node() const { return peer_.node_id; }
  uint16_t protocol() const { return protocol_; }
  // Where it was dialed, or where the connection came from.
  const std::string& address() const { return address_; }

  // Adds an item, `head` and `body` one after the other, to the open frame. False when the link
  // isn't up, when too much waits, or when the item is too large for a frame: it is dropped then.
  bool Send(ItemKind kind, std::string_view head, std::string_view body = {});
  // The same for a raft message, without a copy between.
  bool SendMessage(uint32_t partition, const raft::Message& message);
  // Writes the open frame. Call it at the end of the turn.
  void Flush();
  // Something was sent and not flushed.
  bool unflushed() const { return !writer_.empty(); }
  // Bytes that wait: for Flush, or for the peer to read.
  size_t pending_bytes() const;

  // Keeps the link alive, and finds out when the peer isn't. Call it every `ms` milliseconds.
  void Tick(uint64_t ms);
  // Takes the link down; OnDown(why) follows in a later turn.
  void Close(Status why);

  const LinkCounters& counters() const { return counters_; }

 private:
  enum class State : uint8_t { kConnecting, kHello, kAuth, kAccepted, kUp, kDown };
  class Io;  // the connection's handler; outlives the link when that is destroyed in a callback

  void OnConnected(Result<net::Socket> socket);
  void Attach(net::Socket socket);
  void OnData(std::string_view bytes);
  // False: read no further.
  bool OnWireItem(const WireItem& item);
  bool OnHandshakeItem(const WireItem& item);
  bool OnFrame(std::string_view frame);
  // Says OnUp; false when the link didn't survive it.
  bool BecomeUp();
  std::string* BeginItem(ItemKind kind, size_t size);
  void WriteFrame();
  void RunLater();

  net::EventLoop* const loop_;
  const uint64_t id_;
  const bool dialed_;
  const std::string address_;
  const raft::NodeId expected_ = raft::kNoNode;
  const net::TlsSlot* const tls_ = nullptr;  // of a dialed link
  const PeerLinkOptions* const options_;
  PeerHandler* const handler_;
  State state_;
  Hello peer_;
  uint16_t protocol_ = 0;
  std::unique_ptr<net::Connector> connector_;
  std::shared_ptr<Io> io_;
  DialerHandshake handshake_;
  net::Timer deadline_;  // of connecting and the handshake
  net::NextTurn later_;  // OnUp of an accepted link, OnDown after Close
  FrameWriter writer_;
  LinkCounters counters_;
  Status why_down_;
  uint64_t silent_ms_ = 0;  // since something was received
  uint64_t idle_ms_ = 0;    // since something was sent
};

}  // namespace holdfast::replica
