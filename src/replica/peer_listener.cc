#include "replica/peer_listener.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "net/connection.h"
#include "replica/command_reader.h"
#include "resp/writer.h"

namespace holdfast::replica {
namespace {

// How long a refusal may take to be written; it always fits into the kernel's buffer.
constexpr uint64_t kFarewellMs = 100;
// Anybody may dial the port, so the log isn't told of each: the same reason once a minute, any
// reason once a second.
constexpr int64_t kSameRefusalNs = 60'000'000'000;
constexpr int64_t kAnyRefusalNs = 1'000'000'000;

}  // namespace

class PeerListener::Guest : public net::ConnectionHandler {
 public:
  Guest(PeerListener* listener, net::Socket socket)
      : listener_(listener),
        handshake_(&listener->credentials_),
        deadline_(listener->loop_),
        connection_(listener->loop_, std::move(socket), this, listener->NewStream()) {
    deadline_.Start(listener->options_.handshake_timeout_ms, 0, [this] {
      Refuse(Status::IoError("the handshake took longer than " +
                             std::to_string(listener_->options_.handshake_timeout_ms) + " ms"));
    });
  }

  const std::string& address() const { return connection_.peer_address(); }

  void OnData(std::string_view bytes) override {
    received_ += bytes.size();
    const size_t max = listener_->options_.max_unauthenticated_bytes;
    if (received_ > max) {
      return Refuse(Status::NoSpace("more than " + std::to_string(max) +
                                    " bytes before the end of the handshake"));
    }
    const Status status =
        reader_.Feed(bytes, max, [this](const WireItem& item) { return OnItem(item); });
    if (!status.ok() && !leaving_) Refuse(status);
    if (!admitted_ || leaving_) return;
    // The peer has nothing to say before it is told that it is in; what it says now would be lost
    // on the way to its core.
    if (reader_.pending_bytes() > 0 || connection_.pending_bytes() > 0) {
      return Refuse(Status::Corruption("it goes on before its handshake is answered"));
    }
    Admit();
  }

  void OnClosed(net::CloseReason) override {
    // After a refusal this is the expected end.
    const bool plain = connection_.tls() == nullptr;
    listener_->Leave(this, leaving_ ? Status::Ok()
                                    : Status::IoError(plain ? "it left" : connection_.CloseText()));
  }

  void Refuse(const Status& why) {
    if (leaving_ || connection_.closing()) return;
    leaving_ = true;
    deadline_.Stop();
    listener_->LogRefusal(address(), why);
    std::string reply;
    resp::Writer(&reply).Error("ERR " + why.message());
    connection_.Write(reply);
    connection_.CloseAfterWrite(kFarewellMs);
  }

 private:
  bool OnItem(const WireItem& item) {
    if (admitted_ || item.type != WireItem::Type::kCommand) {
      Refuse(Status::Corruption("not what a Holdfast node sends its peers"));
    } else if (item.name == kHelloCommand && !introduced_) {
      introduced_ = true;
      const Result<std::string> answer = handshake_.OnHello(item.body);
      if (answer.ok()) {
        std::string reply;
        resp::Writer(&reply).Bulk(answer.value());
        connection_.Write(reply);
      } else {
        Refuse(answer.status());
      }
    } else if (item.name == kAuthCommand && introduced_) {
      const Status status = handshake_.OnAuth(item.body);
      admitted_ = status.ok();
      if (!admitted_) Refuse(status);
    } else {
      Refuse(Status::Corruption("this is the cluster's port; it wants RAFT.HELLO and RAFT.AUTH"));
    }
    return !leaving_;
  }

  void Admit() {
    deadline_.Stop();
    AcceptedPeer accepted{{}, handshake_.self(), handshake_.peer()};
    accepted.socket = connection_.Release(&accepted.tls);
    leaving_ = true;
    PeerListener* const listener = listener_;
    listener->Leave(this, Status::Ok());
    ++listener->accepted_;
    listener->callback_(std::move(accepted));
  }

  PeerListener* const listener_;
  CommandReader reader_;
  AcceptorHandshake handshake_;
  net::Timer deadline_;
  size_t received_ = 0;
  bool introduced_ = false;  // has sent its hello
  bool admitted_ = false;    // has proven itself
  bool leaving_ = false;     // refused, or handed on
  net::Connection connection_;
};

PeerListener::PeerListener(net::EventLoop* loop, net::Socket socket, Credentials credentials,
                           PeerListenerOptions options, AcceptCallback callback)
    : loop_(loop),
      credentials_(std::move(credentials)),
      options_(options),
      callback_(std::move(callback)),
      cleanup_(loop, [this] { left_.clear(); }),
      listener_(loop, std::move(socket), [this](net::Socket s) { OnAccept(std::move(s)); }) {
  CHECK(options_.max_unauthenticated >= 1);
}

PeerListener::~PeerListener() = default;

std::unique_ptr<net::TlsStream> PeerListener::NewStream() const {
  return credentials_.tls == nullptr ? nullptr : credentials_.tls->Get()->AcceptPeer();
}

void PeerListener::OnAccept(net::Socket socket) {
  guests_.push_back(std::make_unique<Guest>(this, std::move(socket)));
  if (guests_.size() <= options_.max_unauthenticated) return;
  // Whoever has waited longest is the least likely to be a node: those take milliseconds.
  Guest* const oldest = guests_.front().get();
  oldest->Refuse(Status::NoSpace("too many connections that are not authenticated"));
  Leave(oldest, Status::Ok());
}

void PeerListener::Leave(Guest* guest, const Status& why) {
  const auto found =
      std::find_if(guests_.begin(), guests_.end(), [&](const auto& g) { return g.get() == guest; });
  if (found == guests_.end()) return;
  if (!why.ok()) LogRefusal(guest->address(), why);
  // It may be the one that calls.
  left_.splice(left_.end(), guests_, found);
  cleanup_.Schedule();
}

void PeerListener::LogRefusal(const std::string& address, const Status& why) {
  ++refused_;
  const int64_t now = loop_->now_ns();
  const bool same = why.message() == last_refusal_;
  if (logged_ns_ != 0 && now - logged_ns_ < (same ? kSameRefusalNs : kAnyRefusalNs)) return;
  logged_ns_ = now;
  last_refusal_ = why.message();
  LogWarning("cluster port: {} is not let in: {}", address, why.message());
}

}  // namespace holdfast::replica
