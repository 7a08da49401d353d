#include "replica/peer_link.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replica/message_codec.h"

namespace holdfast::replica {
namespace {

// What a peer may send in one piece before it is known to be one.
constexpr size_t kMaxHandshakeBytes = 16 * 1024;
// How much of a stranger's explanation is worth being logged.
constexpr size_t kMaxReasonBytes = 300;

// A stranger's text, fit for a line of the log.
std::string Printable(std::string_view text) {
  std::string out(text.substr(0, kMaxReasonBytes));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return out;
}

Status RefusedByPeer(std::string_view error) {
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  return Status::Unsupported("refused by the peer: " + Printable(error));
}

}  // namespace

LinkCounters& LinkCounters::operator+=(const LinkCounters& other) {
  bytes_sent += other.bytes_sent;
  bytes_received += other.bytes_received;
  frames_sent += other.frames_sent;
  frames_received += other.frames_received;
  items_sent += other.items_sent;
  items_received += other.items_received;
  items_dropped += other.items_dropped;
  return *this;
}

// Lives as long as the link or a call of OnData, whichever is longer: the reader shows what it has
// read, and the handler may destroy the link for it.
class PeerLink::Io : public net::ConnectionHandler, public std::enable_shared_from_this<Io> {
 public:
  explicit Io(PeerLink* link) : link_(link) {}

  void OnData(std::string_view bytes) override {
    const std::shared_ptr<Io> kept = shared_from_this();
    link_->OnData(bytes);
  }
  void OnClosed(net::CloseReason reason) override {
    link_->Close(reason == net::CloseReason::kError && connection_->close_error() == EPROTO
                     ? Status::Unsupported(connection_->CloseText())
                     : Status::IoError(connection_->CloseText()));
  }

  void Open(net::EventLoop* loop, net::Socket socket, std::unique_ptr<net::TlsStream> tls) {
    connection_ = std::make_unique<net::Connection>(loop, std::move(socket), this, std::move(tls));
  }
  // Nothing is called afterwards.
  void Close() { connection_.reset(); }
  void LinkDestroyed() {
    Close();
    link_ = nullptr;
  }
  bool link_destroyed() const { return link_ == nullptr; }

  void Write(std::string_view bytes) { connection_->Write(bytes); }
  size_t pending_bytes() const { return connection_ == nullptr ? 0 : connection_->pending_bytes(); }
  const std::string& peer_address() const { return connection_->peer_address(); }
  CommandReader& reader() { return reader_; }

 private:
  PeerLink* link_;
  CommandReader reader_;
  std::unique_ptr<net::Connection> connection_;  // null before the peer answered and after Close
};

PeerLink::PeerLink(net::EventLoop* loop, uint64_t id, const std::string& address,
                   raft::NodeId expected, const Credentials* credentials,
                   const PeerLinkOptions* options, PeerHandler* handler)
    : loop_(loop),
      id_(id),
      dialed_(true),
      address_(address),
      expected_(expected),
      tls_(credentials->tls),
      options_(options),
      handler_(handler),
      state_(State::kConnecting),
      io_(std::make_shared<Io>(this)),
      handshake_(credentials),
      deadline_(loop),
      later_(loop, [this] { RunLater(); }) {
  connector_ = std::make_unique<net::Connector>(
      loop, address, options->connect_timeout_ms,
      [this](Result<net::Socket> socket) { OnConnected(std::move(socket)); });
}

PeerLink::PeerLink(net::EventLoop* loop, uint64_t id, AcceptedPeer accepted,
                   const PeerLinkOptions* options, PeerHandler* handler)
    : loop_(loop),
      id_(id),
      dialed_(false),
      address_(net::PeerAddress(accepted.socket.fd())),
      options_(options),
      handler_(handler),
      state_(State::kAccepted),
      peer_(std::move(accepted.peer)),
      protocol_(AgreedProtocol(accepted.self, peer_)),
      io_(std::make_shared<Io>(this)),
      handshake_(nullptr),
      deadline_(loop),
      later_(loop, [this] { RunLater(); }) {
  io_->Open(loop_, std::move(accepted.socket), std::move(accepted.tls));
  io_->Write("+OK\r\n");
  later_.Schedule();
}

PeerLink::~PeerLink() { io_->LinkDestroyed(); }

// ---- The way up

void PeerLink::OnConnected(Result<net::Socket> socket) {
  CHECK(state_ == State::kConnecting);
  if (!socket.ok()) return Close(socket.status());
  io_->Open(loop_, std::move(socket).value(), tls_ == nullptr ? nullptr : tls_->Get()->DialPeer());
  state_ = State::kHello;
  deadline_.Start(options_->handshake_timeout_ms, 0, [this] {
    Close(Status::IoError("no answer to the handshake in " +
                          std::to_string(options_->handshake_timeout_ms) + " ms"));
  });
  io_->Write(Command(kHelloCommand, handshake_.Start(expected_)).bytes());
}

bool PeerLink::OnHandshakeItem(const WireItem& item) {
  if (item.type == WireItem::Type::kError) {
    Close(RefusedByPeer(item.body));
    return false;
  }
  if (state_ == State::kHello && item.type == WireItem::Type::kBulk) {
    const Result<std::string> mac = handshake_.OnAnswer(item.body);
    if (!mac.ok()) {
      Close(mac.status());
      return false;
    }
    peer_ = handshake_.peer();
    protocol_ = AgreedProtocol(handshake_.self(), peer_);
    state_ = State::kAuth;
    io_->Write(Command(kAuthCommand, mac.value()).bytes());
    return true;
  }
  if (state_ == State::kAuth && item.type == WireItem::Type::kStatus && item.body == "OK") {
    return BecomeUp();
  }
  Close(Status::Corruption("what answers there is no Holdfast node"));
  return false;
}

bool PeerLink::BecomeUp() {
  CHECK(state_ == State::kAuth || state_ == State::kAccepted);
  state_ = State::kUp;
  deadline_.Stop();
  silent_ms_ = 0;
  idle_ms_ = 0;
  const std::shared_ptr<Io> io = io_;
  handler_->OnUp(*this);
  return !io->link_destroyed() && state_ == State::kUp;
}

// ---- Input

void PeerLink::OnData(std::string_view bytes) {
  silent_ms_ = 0;
  // Bytes may come before the turn in which an accepted link would be said to be up.
  if (state_ == State::kAccepted && !BecomeUp()) return;
  // Outlives this link during the call, see Io.
  Io* const io = io_.get();
  const size_t max = state_ == State::kUp ? options_->max_frame_bytes : kMaxHandshakeBytes;
  const Status status =
      io->reader().Feed(bytes, max, [&](const WireItem& item) { return OnWireItem(item); });
  if (!status.ok() && !io->link_destroyed()) Close(status);
}

bool PeerLink::OnWireItem(const WireItem& item) {
  if (state_ != State::kUp) return OnHandshakeItem(item);
  if (item.type == WireItem::Type::kCommand && item.name == kFrameCommand) {
    return OnFrame(item.body);
  }
  Close(Status::Corruption("the peer sent something else than a frame"));
  return false;
}

bool PeerLink::OnFrame(std::string_view frame) {
  FrameHeader header;
  const Status status =
      frame.size() > options_->max_frame_bytes
          ? Status::NoSpace("frame: it has " + std::to_string(frame.size()) + " bytes")
          : CheckFrame(frame, &header);
  if (!status.ok()) {
    Close(status);
    return false;
  }
  ++counters_.frames_received;
  counters_.bytes_received += frame.size();
  counters_.items_received += header.items;
  Io* const io = io_.get();
  const auto alive = [&] { return !io->link_destroyed() && state_ == State::kUp; };
  if (header.clock != 0) {
    handler_->OnClock(*this, header.clock);
    if (!alive()) return false;
  }
  bool all = true;
  ForEachItem(frame, [&](ItemKind kind, std::string_view bytes) {
    handler_->OnItem(*this, kind, bytes);
    return all = alive();
  });
  return all;
}

// ---- Output

std::string* PeerLink::BeginItem(ItemKind kind, size_t size) {
  const size_t framed = FramedItemSize(size);
  const size_t pending = pending_bytes();
  if (state_ != State::kUp ||
      kFrameHeaderBytes + framed + kFrameTrailerBytes > options_->max_frame_bytes ||
      (pending > 0 && pending + framed > options_->max_pending_bytes)) {
    ++counters_.items_dropped;
    return nullptr;
  }
  if (unflushed() && writer_.size() + framed > options_->frame_bytes) WriteFrame();
  ++counters_.items_sent;
  return writer_.Add(kind, size);
}

bool PeerLink::Send(ItemKind kind, std::string_view head, std::string_view body) {
  std::string* const out = BeginItem(kind, head.size() + body.size());
  if (out == nullptr) return false;
  out->append(head).append(body);
  if (writer_.size() >= options_->frame_bytes) WriteFrame();
  return true;
}

bool PeerLink::SendMessage(uint32_t partition, const raft::Message& message) {
  std::string* const out = BeginItem(ItemKind::kRaft, EncodedMessageSize(partition, message));
  if (out == nullptr) return false;
  AppendMessage(out, partition, message);
  if (writer_.size() >= options_->frame_bytes) WriteFrame();
  return true;
}

void PeerLink::Flush() {
  if (unflushed() && state_ == State::kUp) WriteFrame();
}

void PeerLink::WriteFrame() {
  const std::string_view frame = writer_.Finish(options_->clock ? options_->clock() : 0);
  ++counters_.frames_sent;
  counters_.bytes_sent += frame.size();
  idle_ms_ = 0;
  io_->Write(Command(kFrameCommand, frame).bytes());
}

size_t PeerLink::pending_bytes() const {
  return (unflushed() ? writer_.size() : 0) + io_->pending_bytes();
}

// ---- Life and death

void PeerLink::Tick(uint64_t ms) {
  if (state_ != State::kUp) return;
  silent_ms_ += ms;
  idle_ms_ += ms;
  if (silent_ms_ >= options_->silence_ms) {
    Close(Status::IoError("nothing heard for " + std::to_string(silent_ms_) + " ms"));
  } else if (idle_ms_ >= options_->ping_ms && pending_bytes() == 0) {
    // What waits for the peer shows it as well that this side lives.
    WriteFrame();
  }
}

void PeerLink::Close(Status why) {
  CHECK(!why.ok());
  if (state_ == State::kDown) return;
  state_ = State::kDown;
  why_down_ = std::move(why);
  connector_.reset();
  io_->Close();
  deadline_.Stop();
  writer_.Reset();
  later_.Schedule();
}

void PeerLink::RunLater() {
  if (state_ == State::kAccepted) {
    (void)BecomeUp();
  } else if (state_ == State::kDown) {
    const Status why = why_down_;
    handler_->OnDown(*this, why);  // may have destroyed this object
  }
}

}  // namespace holdfast::replica
