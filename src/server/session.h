// A client's connection: bytes in, requests to the dispatcher, replies out. Loop thread of its core
// only. Owned by the Server of that core, which destroys it after OnClosed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/client.h"
#include "engine/core.h"
#include "net/connection.h"
#include "resp/request_parser.h"

namespace holdfast::server {

class SessionList;

class Session final : public engine::Client, public net::ConnectionHandler {
 public:
  // `tls`: what encrypts the connection; null: nothing does.
  Session(engine::Core* core, uint64_t id, net::Socket socket, std::unique_ptr<net::TlsStream> tls,
          SessionList* list);
  ~Session() override;

  // ---- engine::Client
  void Flush() override;
  void Close(std::string_view why) override;
  void Resume() override;
  size_t input_bytes() const override { return input_.size() - consumed_; }
  size_t input_free_bytes() const override {
    // An unused string has some room of its own.
    return input_.capacity() <= std::string().capacity() ? 0 : input_.capacity() - input_bytes();
  }
  size_t output_bytes() const override { return replies.bytes() + connection_.pending_bytes(); }

  // ---- net::ConnectionHandler
  void OnData(std::string_view bytes) override;
  std::span<char> OnReadBuffer() override;
  void OnDrained() override;
  void OnEncrypted() override;
  void OnClosed(net::CloseReason reason) override;

  // What it holds, without room in buffers that nothing has touched: one header of a large bulk
  // would make others pay for that.
  size_t held_bytes() const { return memory_bytes() - input_free_bytes(); }
  // Once a second or so: idle timeout and soft output limit.
  void Check(int64_t now_ms);
  // Closes an idle client, or one that waits; others when their replies are out.
  void CloseForShutdown();

 private:
  // Takes requests from `input` until none is whole or the client has to wait; returns how many
  // bytes were used.
  size_t Process(std::string_view input);
  void ProcessBuffered();
  void Keep(std::string_view rest);
  // False when so many bytes are more than a client may have waiting; then it is closed.
  bool CheckQueryBuffer(size_t bytes);
  // `more`: bytes that are about to be added. False: it is closed.
  bool CheckOutputLimit(size_t more = 0);
  // Keeps the core's account of what its clients hold.
  void NoteMemory();
  void ProtocolError();
  bool MayProcess() const { return waiting == 0 && !stalled_ && !closing && !close_after_reply; }

  SessionList* const list_;
  net::Connection connection_;
  bool encrypting_;  // the TLS handshake isn't over
  resp::RequestParser parser_;
  // Bytes of requests that are not complete, or have to wait; [consumed_, …) is live.
  std::string input_;
  size_t consumed_ = 0;
  bool offered_ = false;  // input_ was grown by OnReadBuffer, up to offer_begin_ it is real
  size_t offer_begin_ = 0;
  bool stalled_ = false;  // the engine is overloaded or paused: Resume will come
  bool processing_ = false;
  std::string out_;
  int64_t soft_limit_since_ms_ = 0;
  size_t noted_bytes_ = 0;  // in Core::client_bytes
};

// The sessions of one core.
class SessionList {
 public:
  explicit SessionList(engine::Core* core);
  ~SessionList();
  // A connection was accepted; `tls`: at the tls-port, null otherwise.
  void Accept(net::Socket socket, const net::TlsSlot* tls);
  // A connection of the tls-port ended before its handshake did.
  void HandshakeFailed(const std::string& address, const std::string& why);
  // Destroys a session whose connection has ended.
  void Remove(Session* session);
  // No session takes further requests.
  void CloseAll();
  // maxmemory-clients: this core's largest clients go until all cores' together are below the
  // limit.
  void EvictClients();

 private:
  void CheckAll();

  engine::Core* const core_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Session>> sessions_;
  bool none_to_evict_ = false;  // as of the last check
  int64_t handshake_logged_ms_ = 0;
  net::Timer check_;
};

}  // namespace holdfast::server
