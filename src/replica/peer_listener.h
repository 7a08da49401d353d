// The cluster port: accepts peers, shakes hands, hands them to the core whose business they are.
//
//   accept ─▶ (TLS) ─▶ hello ─▶ auth ─▶ AcceptedPeer ─▶ callback ─▶ (mailbox) ─▶ Transport::Adopt
//   ─▶ +OK
//
// Strangers get little: at most `max_unauthenticated` connections at a time (one more closes the
// one that has waited longest), a few seconds each, and a few kilobytes.
//
// Loop thread of one core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "net/event_loop.h"
#include "net/listener.h"
#include "net/socket.h"
#include "replica/hello.h"
#include "replica/peer_link.h"

namespace holdfast::replica {

struct PeerListenerOptions {
  size_t max_unauthenticated = 64;
  size_t max_unauthenticated_bytes = 64 * 1024;
  uint64_t handshake_timeout_ms = 5000;
};

class PeerListener {
 public:
  // Gets each peer that was let in; it belongs to core `peer.core_index % cores` of this node. May
  // not destroy the listener.
  using AcceptCallback = absl::AnyInvocable<void(AcceptedPeer)>;

  // `socket` listens already (net::PortBinding::Take).
  PeerListener(net::EventLoop* loop, net::Socket socket, Credentials credentials,
               PeerListenerOptions options, AcceptCallback callback);
  ~PeerListener();
  PeerListener(const PeerListener&) = delete;
  PeerListener& operator=(const PeerListener&) = delete;

  // What this node says about itself from now on.
  void SetSelf(const Hello& self) { credentials_.self = self; }

  size_t unauthenticated() const { return guests_.size(); }
  // Handshakes that failed, and those that succeeded.
  uint64_t refused() const { return refused_; }
  uint64_t accepted() const { return accepted_; }

 private:
  class Guest;  // a connection that isn't authenticated

  void OnAccept(net::Socket socket);
  // For a connection that was accepted; null without TLS.
  std::unique_ptr<net::TlsStream> NewStream() const;
  // Ends the stay of a guest, who is destroyed in the next turn; an error is counted and logged.
  void Leave(Guest* guest, const Status& why);
  void LogRefusal(const std::string& address, const Status& why);

  net::EventLoop* const loop_;
  Credentials credentials_;
  const PeerListenerOptions options_;
  AcceptCallback callback_;
  std::list<std::unique_ptr<Guest>> guests_;  // in the order of their arrival
  std::list<std::unique_ptr<Guest>> left_;
  net::NextTurn cleanup_;
  uint64_t refused_ = 0;
  uint64_t accepted_ = 0;
  std::string last_refusal_;  // in the log, of
  int64_t logged_ns_ = 0;
  net::Listener listener_;
};

}  // namespace holdfast::replica
