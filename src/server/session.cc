#include "server/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "resp/writer.h"

namespace holdfast::server {
namespace {

// A bulk of at least this size that is not here yet is read straight into the input buffer.
constexpr size_t kLargeRead = 32 * 1024;
// Input buffers above this are given back when they are empty.
constexpr size_t kKeepCapacity = 16 * 1024;
// How long a closing connection may take to deliver its last replies.
constexpr uint64_t kCloseDeadlineMs = 5000;
// Replies that a turn may gather before the session looks at the output limit.
constexpr size_t kCheckOutputEvery = 64;
constexpr uint64_t kCheckMs = 500;
// Anybody may dial the tls-port, so the log isn't told of each failure.
constexpr int64_t kHandshakeLogMs = 1000;

}  // namespace

Session::Session(engine::Core* the_core, uint64_t the_id, net::Socket socket,
                 std::unique_ptr<net::TlsStream> tls, SessionList* list)
    : Client(the_core, the_id),
      list_(list),
      connection_(&the_core->loop(), std::move(socket), this, std::move(tls)),
      encrypting_(connection_.tls() != nullptr) {
  address = connection_.peer_address();
  local_address = connection_.local_address();
  fd = connection_.fd();
  created_ms = last_interaction_ms = core->clock().MonotonicMs();
  core->access().Admit(this);
  const Status status = connection_.SetKeepAlive(static_cast<int>(core->config().tcp_keepalive_s));
  if (!status.ok()) LogVerbose("client {}: keepalive: {}", address, status.message());
  core->AddClient(this);
  NoteMemory();
}

Session::~Session() {
  core->client_bytes.fetch_sub(noted_bytes_, std::memory_order_relaxed);
  engine::CancelBlocked(this);
  engine::UnwatchAll(this);
  core->pubsub().UnsubscribeAll(this);
  if (monitor) core->engine().monitors.fetch_sub(1);
  core->RemoveClient(this);
  core->engine().ReleaseClient();
}

// ---- Input

void Session::OnData(std::string_view bytes) {
  last_interaction_ms = core->clock().MonotonicMs();
  core->stats()->input_bytes += bytes.size();
  ++core->stats()->reads;
  if (offered_) {
    // The bytes stand in input_ already, behind what was there.
    CHECK(bytes.data() == input_.data() + offer_begin_);
    input_.resize(offer_begin_ + bytes.size());
    offered_ = false;
    if (CheckQueryBuffer(input_.size() - consumed_)) ProcessBuffered();
  } else if (input_.size() == consumed_ && MayProcess()) {
    const size_t used = Process(bytes);
    if (used < bytes.size() && !closing) Keep(bytes.substr(used));
    MarkDirty();
  } else {
    Keep(bytes);
    ProcessBuffered();
  }
  NoteMemory();
}

std::span<char> Session::OnReadBuffer() {
  // Only a request whose missing part is known and large is worth a buffer of its own.
  if (offered_) {
    input_.resize(offer_begin_);
    offered_ = false;
  }
  const size_t wanted = parser_.bytes_wanted();
  if (input_.size() == consumed_ || !MayProcess() || wanted < kLargeRead) return {};
  offer_begin_ = input_.size();
  input_.resize(offer_begin_ + std::min(wanted, net::Connection::kLargeReadBytes));
  offered_ = true;
  return {input_.data() + offer_begin_, input_.size() - offer_begin_};
}

bool Session::CheckQueryBuffer(size_t bytes) {
  if (bytes <= core->config().query_buffer_limit_bytes) return true;
  ++core->stats()->query_buffer_limit_disconnections;
  Close("query buffer limit reached");
  return false;
}

// Sets bytes aside for later. Bounded: a client that sends more than the limit while it waits, or
// without completing a request, is closed.
void Session::Keep(std::string_view rest) {
  if (consumed_ > 0 && (consumed_ == input_.size() || consumed_ > input_.size() / 2)) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  if (!CheckQueryBuffer(input_.size() - consumed_ + rest.size())) return;
  const uint64_t limit = core->config().query_buffer_limit_bytes;
  const size_t wanted = parser_.bytes_wanted();
  if (wanted > kLargeRead && input_.capacity() < input_.size() + rest.size() + wanted) {
    // The rest of a large bulk, at most as much as a client may buffer.
    input_.reserve(input_.size() + rest.size() + std::min<size_t>(wanted, limit));
  }
  input_.append(rest);
}

void Session::ProcessBuffered() {
  if (closing) return;
  if (MayProcess()) {
    consumed_ += Process(std::string_view(input_).substr(consumed_));
  }
  if (consumed_ == input_.size()) {
    if (input_.capacity() > kKeepCapacity) {
      std::string().swap(input_);  // assigning an empty one keeps the room
    } else {
      input_.clear();
    }
    consumed_ = 0;
  }
  MarkDirty();
}

size_t Session::Process(std::string_view input) {
  CHECK(!processing_);
  processing_ = true;
  resp::ParserLimits limits;
  limits.max_bulk_bytes = core->config().max_bulk_bytes;
  size_t used = 0;
  size_t requests = 0;
  while (MayProcess() && used < input.size()) {
    limits.authenticated = authenticated || !core->access().MustAuthenticate(*this);
    const resp::ParseOutcome outcome = parser_.Next(input.substr(used), limits);
    if (outcome == resp::ParseOutcome::kIncomplete) break;
    if (outcome == resp::ParseOutcome::kError) {
      ProtocolError();
      break;
    }
    if (!parser_.args().empty()) {
      if (core->Overloaded()) {
        stalled_ = true;
        core->WaitUntilCalm(this);
        break;
      }
      if (engine::Dispatch(this, parser_.args()) == engine::Dispatched::kTryLater) {
        stalled_ = true;
        break;
      }
    }
    used += parser_.consumed();
    if (++requests % kCheckOutputEvery == 0 && !CheckOutputLimit()) break;
  }
  processing_ = false;
  return used;
}

void Session::ProtocolError() {
  resp::Writer(replies.Begin(nullptr), protocol).Error("ERR " + std::string(parser_.error()));
  replies.CommitReady();
  close_after_reply = true;
}

void Session::Resume() {
  stalled_ = false;
  if (waiting > 0 || closing) return;
  // From inside Process (a reply that is there at once) the loop there goes on by itself.
  if (!processing_) ProcessBuffered();
}

// ---- Output

void Session::Flush() {
  if (closing) return;
  out_.clear();
  replies.TakeReady(&out_);
  if (!out_.empty()) {
    // As in Redis, a reply that is too large isn't begun.
    if (!CheckOutputLimit(out_.size())) return;
    core->stats()->output_bytes += out_.size();
    ++core->stats()->writes;
    connection_.Write(out_);
    if (out_.capacity() > kKeepCapacity) std::string().swap(out_);
  }
  if (replies.empty()) {
    if (close_after_reply) {
      closing = true;
      connection_.CloseAfterWrite(kCloseDeadlineMs);
    } else if (CheckOutputLimit()) {
      NoteMemory();
    }
    return;
  }
  engine::Gate gate;
  engine::Partition* partition = replies.blocking_partition(&gate);
  if (partition != nullptr && !wake_registered) {
    wake_registered = true;
    partition->WakeAt(gate, id);
  }
  if (CheckOutputLimit()) NoteMemory();
}

void Session::NoteMemory() {
  if (closing) return;  // Close has taken it off the account
  const size_t bytes = held_bytes();
  if (bytes == noted_bytes_) return;
  const bool grows = bytes > noted_bytes_;
  core->client_bytes.fetch_add(bytes - noted_bytes_, std::memory_order_relaxed);
  noted_bytes_ = bytes;
  if (grows && core->config().maxmemory_clients != 0) list_->EvictClients();
}

bool Session::CheckOutputLimit(size_t more) {
  const auto kind = monitor        ? engine::ClientClass::kReplica
                    : subscribed() ? engine::ClientClass::kPubsub
                                   : engine::ClientClass::kNormal;
  const engine::OutputLimit& limit = core->config().output_limits[static_cast<size_t>(kind)];
  const size_t bytes = output_bytes() + more;
  if (bytes > limit.HardBytes()) {
    ++core->stats()->output_buffer_limit_disconnections;
    LogNotice("client {}: closed, {} bytes of output wait for it", address, bytes);
    Close("output buffer limit reached");
    return false;
  }
  if (limit.soft_bytes == 0 || bytes <= limit.soft_bytes) {
    soft_limit_since_ms_ = 0;
    return true;
  }
  const int64_t now_ms = core->clock().MonotonicMs();
  if (soft_limit_since_ms_ == 0) soft_limit_since_ms_ = now_ms;
  if (now_ms - soft_limit_since_ms_ < limit.soft_seconds * 1000) return true;
  ++core->stats()->output_buffer_limit_disconnections;
  Close("soft output buffer limit reached");
  return false;
}

void Session::OnDrained() { soft_limit_since_ms_ = 0; }

void Session::OnEncrypted() {
  encrypting_ = false;
  ++core->stats()->tls_connections;
}

// ---- The end

void Session::Close(std::string_view why) {
  if (closing) return;
  LogVerbose("client {}: {}", address, why);
  closing = true;
  core->client_bytes.fetch_sub(noted_bytes_, std::memory_order_relaxed);
  noted_bytes_ = 0;
  connection_.Close();
}

void Session::OnClosed(net::CloseReason reason) {
  // Without a handshake, and not because this side wanted it.
  if (encrypting_ && reason != net::CloseReason::kLocal) {
    list_->HandshakeFailed(address, connection_.CloseText());
  }
  list_->Remove(this);
}

void Session::Check(int64_t now_ms) {
  if (closing) return;
  if (!CheckOutputLimit()) return;
  const int64_t timeout_ms = core->config().timeout_s * 1000;
  if (timeout_ms > 0 && !monitor && !subscribed() && waiting == 0 &&
      now_ms - last_interaction_ms > timeout_ms) {
    Close("idle for longer than the timeout");
  }
}

void Session::CloseForShutdown() {
  // No further request is taken; replies that are due still go out.
  stalled_ = true;
  close_after_reply = true;
  if (blocked) {
    Close("shutting down");
    return;
  }
  MarkDirty();
}

// ---- The sessions of a core

SessionList::SessionList(engine::Core* core) : core_(core), check_(&core->loop()) {
  check_.Start(kCheckMs, kCheckMs, [this] { CheckAll(); });
}

SessionList::~SessionList() = default;

void SessionList::Accept(net::Socket socket, const net::TlsSlot* tls) {
  ++core_->stats()->connections_received;
  engine::Engine& engine = core_->engine();
  if (!engine.AdmitClient(core_->config().maxclients)) {
    ++core_->stats()->connections_rejected;
    // Best effort, as in Redis: a client that can't take one line at once gets none, nor does one
    // that would first have to shake hands.
    if (tls != nullptr) return;
    constexpr std::string_view kRefusal = "-ERR max number of clients reached\r\n";
    (void)!::send(socket.fd(), kRefusal.data(), kRefusal.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  if (core_->access().IsProtectedFrom(net::PeerAddress(socket.fd()))) {
    ++core_->stats()->connections_rejected;
    engine.ReleaseClient();
    (void)!::send(socket.fd(), engine::kDeniedByProtectedMode.data(),
                  engine::kDeniedByProtectedMode.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  const uint64_t id = engine.NextClientId();
  sessions_.emplace(
      id, std::make_unique<Session>(core_, id, std::move(socket),
                                    tls == nullptr ? nullptr : tls->Get()->Accept(), this));
}

void SessionList::HandshakeFailed(const std::string& address, const std::string& why) {
  ++core_->stats()->tls_handshake_failures;
  const int64_t now_ms = core_->clock().MonotonicMs();
  if (handshake_logged_ms_ != 0 && now_ms - handshake_logged_ms_ < kHandshakeLogMs) return;
  handshake_logged_ms_ = now_ms;
  LogNotice("tls-port: {}: {}", address, why);
}

void SessionList::Remove(Session* session) { sessions_.erase(session->id); }

void SessionList::CloseAll() {
  for (auto& [id, session] : sessions_) session->CloseForShutdown();
}

void SessionList::CheckAll() {
  const int64_t now_ms = core_->clock().MonotonicMs();
  // Closing ends in a callback later in the turn, so the list doesn't change under the loop.
  for (auto& [id, session] : sessions_) session->Check(now_ms);
  none_to_evict_ = false;
  EvictClients();
}

void SessionList::EvictClients() {
  const uint64_t limit = core_->config().MaxmemoryClientsBytes();
  if (limit == 0 || none_to_evict_) return;
  uint64_t total = core_->engine().ClientBytes();
  while (total > limit) {
    Session* largest = nullptr;
    for (auto& [id, session] : sessions_) {
      if (session->closing || session->no_evict) continue;
      if (largest == nullptr || session->held_bytes() > largest->held_bytes()) {
        largest = session.get();
      }
    }
    if (largest == nullptr) {
      none_to_evict_ = true;
      return;
    }
    total -= std::min<uint64_t>(total, largest->held_bytes());
    ++core_->stats()->evicted_clients;
    largest->Close("maxmemory-clients reached");
  }
}

}  // namespace holdfast::server
