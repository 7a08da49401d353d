#include "net/tls.h"

#include <fcntl.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "tls_test_util.h"

namespace holdfast::net {
namespace {

TEST_CASE("an encrypted echo, small and large, of both versions") {
  TlsServer s;
  for (const int version : kVersions) {
    TlsServer::Pair pair = s.Connect({.version = version});
    Connection& c = pair.connection();
    pair.handler().on_data = [&](std::string_view bytes) { c.Write(bytes); };
    for (const size_t size : {size_t{1}, size_t{100}, size_t{16 * 1024}, size_t{16 * 1024 + 1},
                              size_t{64 * 1024}, size_t{5'000'000}}) {
      const std::string bytes = TlsPattern(size);
      pair.client->received.clear();
      size_t sent = 0;
      REQUIRE(s.server.Until([&] {
        sent += pair.client->Send(std::string_view(bytes).substr(sent));
        pair.client->Receive();
        return pair.client->received.size() >= size;
      }));
      CHECK(pair.client->received == bytes);
    }
    CHECK(pair.handler().closed == 0);
    CHECK(c.pending_bytes() == 0);
    CHECK(c.tls()->Describe().starts_with(version == TLS1_2_VERSION ? "TLSv1.2 " : "TLSv1.3 "));
  }
}

TEST_CASE("what is written before the handshake is over waits for it") {
  TlsServer s;
  TlsServer::Pair pair = s.Dial();
  pair.connection().Write("first ");
  pair.connection().WriteOwned("second");
  CHECK(pair.connection().pending_bytes() == 12);
  REQUIRE(s.server.Until([&] {
    if (pair.client->Handshake()) pair.client->Receive();
    return pair.client->received.size() == 12;
  }));
  CHECK(pair.client->received == "first second");
  CHECK(pair.handler().drained == 1);
  CHECK(pair.handler().data.empty());
}

TEST_CASE("data in the packet that ends the handshake is not forgotten") {
  TlsServer s;
  TlsServer::Pair pair = s.Dial({.version = TLS1_3_VERSION});
  // The client's end is done as soon as it has sent its own finish: what follows is right behind,
  // before the server's loop looks.
  REQUIRE(s.server.Until(
      [&] { return pair.client->Handshake() && pair.client->Send("at once") == 7; }));
  REQUIRE(s.server.Until([&] { return pair.handler().data == "at once"; }));
}

TEST_CASE("a record that was read ahead behind a full buffer is not forgotten") {
  TlsServer s;
  for (const int version : kVersions) {
    for (const bool paused : {false, true}) {
      TlsServer::Pair pair = s.Connect({.version = version});
      if (paused)
        pair.handler().on_data = [&](std::string_view) { pair.connection().PauseReading(); };
      // All of it is there before the loop looks, and the end is in OpenSSL when it has looked
      // once.
      const std::string bytes = TlsPattern(EventLoop::kReadBufferBytes + 100);
      REQUIRE(pair.client->Send(bytes) == bytes.size());
      if (paused) {
        REQUIRE(s.server.Until([&] { return pair.handler().data_calls == 1; }));
        CHECK(pair.handler().data.size() < bytes.size());
        pair.connection().ResumeReading();
      }
      REQUIRE(s.server.Until([&] { return pair.handler().data == bytes; }));
    }
  }
}

TEST_CASE("a slow reader's output queues, whole records at a time, and drains in order") {
  TlsServer s;
  for (const int version : kVersions) {
    TlsServer::Pair pair = s.Connect({.version = version, .receive_buffer = 16 * 1024});
    Connection& c = pair.connection();
    const int small = 8 * 1024;
    setsockopt(c.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    Rng rng(static_cast<uint64_t>(version));
    std::string expected;
    const auto write = [&] {
      const std::string piece = TlsPattern(rng.Below(rng.Below(3) == 0 ? 60'000 : 300));
      switch (rng.Below(3)) {
        case 0:
          c.Write(piece);
          break;
        case 1:
          c.WriteOwned(piece);
          break;
        default: {
          const std::string_view all(piece);
          const size_t cut = rng.Below(piece.size() + 1);
          const std::vector<std::string_view> parts = {all.substr(0, cut), "", all.substr(cut)};
          c.WriteV(parts);
        }
      }
      expected += piece;
    };
    for (int i = 0; i < 400; ++i) write();
    CHECK(c.pending_bytes() > 0);
    REQUIRE(s.server.Until([&] {
      if (expected.size() < 20'000'000 && rng.Below(2) == 0) write();
      pair.client->Receive(rng.Below(40'000));
      return pair.client->received.size() == expected.size() && c.pending_bytes() == 0;
    }));
    CHECK(pair.client->received == expected);
    CHECK(pair.handler().drained > 0);
    // And it can be written to at once again.
    c.Write("direct");
    CHECK(c.pending_bytes() == 0);
  }
}

TEST_CASE("small parts share records") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect({.version = TLS1_2_VERSION});
  const std::string ten = "0123456789";
  const std::vector<std::string_view> parts(60, ten);
  pair.connection().WriteV(parts);
  REQUIRE(s.server.Until([&] {
    pair.client->Receive();
    return pair.client->received.size() == 600;
  }));
  CHECK(pair.client->data_records == 1);
  const std::string large = TlsPattern(100'000);
  pair.connection().Write(large);
  REQUIRE(s.server.Until([&] {
    pair.client->Receive();
    return pair.client->received.size() == 100'600;
  }));
  CHECK(pair.client->data_records == 1 + 7);
}

TEST_CASE("a client that wants small records gets them") {
  TlsServer s;
  TlsServer::Pair pair = s.Dial();
  SSL_set_tlsext_max_fragment_length(pair.client->ssl, TLSEXT_max_fragment_length_512);
  REQUIRE(s.server.Until([&] { return pair.client->Handshake(); }));
  const std::string bytes = TlsPattern(3'000'000);
  const std::vector<std::string_view> parts = {std::string_view(bytes).substr(0, 100),
                                               std::string_view(bytes).substr(100)};
  REQUIRE(s.server.Until([&] { return pair.handler().encrypted == 1; }));
  pair.connection().WriteV(parts);
  REQUIRE(s.server.Until([&] {
    pair.client->Receive(200'000);
    return pair.client->received.size() == bytes.size();
  }));
  CHECK(pair.client->received == bytes);
}

TEST_CASE("paused reading holds back what was decrypted, and loses nothing") {
  TlsServer s;
  for (const int version : kVersions) {
    TlsServer::Pair pair = s.Connect({.version = version});
    Connection& c = pair.connection();
    Recorder& handler = pair.handler();
    handler.on_data = [&](std::string_view) { c.PauseReading(); };
    const std::string bytes = TlsPattern(1'500'000);
    size_t sent = 0;
    uint64_t quiet_since = 0;
    REQUIRE(s.server.Until([&] {
      sent += pair.client->Send(std::string_view(bytes).substr(sent));
      if (handler.data_calls > 0 && quiet_since == 0) quiet_since = s.server.loop.turns();
      return quiet_since != 0 && s.server.loop.turns() > quiet_since + 20;
    }));
    CHECK(handler.data_calls == 1);
    CHECK(handler.data.size() <= EventLoop::kReadBufferBytes);
    REQUIRE(s.server.Until([&] {
      sent += pair.client->Send(std::string_view(bytes).substr(sent));
      c.ResumeReading();
      return handler.data.size() == bytes.size();
    }));
    CHECK(handler.data == bytes);
  }
}

TEST_CASE("a peer that leaves while reading is paused: what it sent is still read") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect();
  Connection& c = pair.connection();
  pair.handler().on_data = [&](std::string_view) { c.PauseReading(); };
  const std::string bytes = TlsPattern(100'000);
  size_t sent = 0;
  REQUIRE(s.server.Until([&] {
    sent += pair.client->Send(std::string_view(bytes).substr(sent));
    return sent == bytes.size() && pair.handler().data_calls > 0;
  }));
  pair.client->Receive();  // what a socket has not been read when it is closed makes it reset
  SSL_shutdown(pair.client->ssl);
  pair.client->client.Close();
  const uint64_t turns = s.server.loop.turns();
  REQUIRE(s.server.Until([&] { return s.server.loop.turns() > turns + 20; }));
  CHECK(pair.handler().closed == 0);
  REQUIRE(s.server.Until([&] {
    c.ResumeReading();
    return pair.handler().closed == 1;
  }));
  CHECK(pair.handler().data == bytes);
  CHECK(pair.handler().reason == CloseReason::kPeer);
}

TEST_CASE("reads into the handler's own buffer") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect();
  std::string own(700'000, '\0');
  size_t filled = 0;
  pair.handler().on_read_buffer = [&] { return std::span<char>(own).subspan(filled); };
  pair.handler().on_data = [&](std::string_view bytes) {
    CHECK(bytes.data() == own.data() + filled);
    filled += bytes.size();
  };
  const std::string bytes = TlsPattern(own.size());
  size_t sent = 0;
  REQUIRE(s.server.Until([&] {
    sent += pair.client->Send(std::string_view(bytes).substr(sent));
    return filled == bytes.size();
  }));
  CHECK(own == bytes);
}

TEST_CASE("the end: with TLS's goodbye and without") {
  TlsServer s;
  SUBCASE("the client says goodbye") {
    TlsServer::Pair pair = s.Connect();
    pair.client->Send("last words");
    SSL_shutdown(pair.client->ssl);
    REQUIRE(s.server.Until([&] { return pair.handler().closed == 1; }));
    CHECK(pair.handler().data == "last words");
    CHECK(pair.handler().reason == CloseReason::kPeer);
  }
  SUBCASE("the client just goes") {
    TlsServer::Pair pair = s.Connect();
    pair.client->Send("last words");
    pair.client->Receive();
    pair.client->client.Close();
    REQUIRE(s.server.Until([&] { return pair.handler().closed == 1; }));
    CHECK(pair.handler().data == "last words");
    CHECK(pair.handler().reason == CloseReason::kPeer);
  }
  SUBCASE("the client resets") {
    TlsServer::Pair pair = s.Connect();
    pair.client->client.Reset();
    REQUIRE(s.server.Until([&] { return pair.handler().closed == 1; }));
    CHECK(pair.handler().reason == CloseReason::kError);
    CHECK(pair.connection().close_error() == ECONNRESET);
  }
  SUBCASE("the server closes") {
    TlsServer::Pair pair = s.Connect();
    pair.connection().Close();
    REQUIRE(s.server.Until([&] {
      pair.client->Receive();
      return pair.client->eof && pair.handler().closed == 1;
    }));
    CHECK(pair.handler().reason == CloseReason::kLocal);
  }
  SUBCASE("the server closes behind its last reply") {
    // Of which the kernel takes a part of a record at a time.
    for (const size_t size : {size_t{49'152}, size_t{114'000}, size_t{1'015'808}}) {
      TlsServer::Pair pair = s.Connect({.receive_buffer = 4 * 1024});
      const int small = 4 * 1024;
      setsockopt(pair.connection().fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
      const std::string bytes = TlsPattern(size);
      pair.connection().WriteOwned(bytes);
      pair.connection().CloseAfterWrite(kDeadlineMs);
      REQUIRE(s.server.Until([&] {
        pair.client->Receive(3000);
        return pair.client->eof;
      }));
      CHECK(pair.client->received == bytes);
    }
  }
  SUBCASE("the server's object goes") {
    TlsServer::Pair pair = s.Connect();
    pair.peer->connection.reset();
    REQUIRE(s.server.Until([&] {
      pair.client->Receive();
      return pair.client->eof;
    }));
    CHECK(pair.handler().closed == 0);
  }
}

TEST_CASE("a connection goes to another owner with what was read already") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect();
  Recorder second;
  std::unique_ptr<Connection> adopted;
  pair.handler().on_data = [&](std::string_view) {
    std::unique_ptr<TlsStream> stream;
    Socket socket = pair.connection().Release(&stream);
    REQUIRE(stream != nullptr);
    adopted =
        std::make_unique<Connection>(&s.server.loop, std::move(socket), &second, std::move(stream));
  };
  const std::string bytes = TlsPattern(400'000);
  size_t sent = 0;
  REQUIRE(s.server.Until([&] {
    sent += pair.client->Send(std::string_view(bytes).substr(sent));
    return pair.handler().data.size() + second.data.size() == bytes.size();
  }));
  CHECK(pair.handler().data + second.data == bytes);
  CHECK(pair.handler().data_calls == 1);
  adopted->Write("from the second");
  REQUIRE(s.server.Until([&] {
    pair.client->Receive();
    return pair.client->received == "from the second";
  }));
  adopted.reset();
}

TEST_CASE("whether clients need a certificate, and whose") {
  const auto takes = [](TlsServer& s, const TestCertificate* certificate) {
    bool all = true;
    bool any = false;
    for (const int version : kVersions) {
      const bool taken = s.Takes({.certificate = certificate, .version = version});
      all = all && taken;
      any = any || taken;
    }
    CHECK(all == any);
    return all;
  };
  TlsServer yes(TlsAuth::kYes);
  CHECK(takes(yes, &yes.known));
  CHECK(!takes(yes, nullptr));
  CHECK(yes.last_error == "TLS: peer did not return a certificate");
  CHECK(!takes(yes, &yes.stranger));
  CHECK(yes.last_error.find("certificate verify failed (") != std::string::npos);
  const TestCertificate expired = MakeCertificate(yes.folder, "expired", &yes.ca, false, -3600);
  CHECK(!takes(yes, &expired));
  CHECK(yes.last_error == "TLS: certificate verify failed (certificate has expired)");
  TlsServer no(TlsAuth::kNo);
  CHECK(takes(no, &no.known));
  CHECK(takes(no, nullptr));
  CHECK(takes(no, &no.stranger));
  TlsServer optional(TlsAuth::kOptional);
  CHECK(takes(optional, &optional.known));
  CHECK(takes(optional, nullptr));
  CHECK(!takes(optional, &optional.stranger));
}

TEST_CASE("protocols and ciphers") {
  TlsServer s;
  TlsOptions options = s.Options();
  options.protocols = "tlsv1.3";
  s.Use(options);
  CHECK(s.Takes({.version = TLS1_3_VERSION}));
  CHECK(!s.Takes({.version = TLS1_2_VERSION}));
  options.protocols = "TLSv1.2";
  options.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  s.Use(options);
  CHECK(!s.Takes({.version = TLS1_3_VERSION}));
  TlsServer::Pair pair = s.Connect();
  CHECK(pair.connection().tls()->Describe() == "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
  options.protocols = "";
  options.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256";
  s.Use(options);
  TlsServer::Pair second = s.Connect();
  CHECK(second.connection().tls()->Describe() == "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256");
}

TEST_CASE("options that can't be: the error says which and why") {
  TlsServer s;
  const auto error = [](const TlsOptions& options) {
    const auto built = TlsContext::Build(options);
    return built.ok() ? std::string("OK") : built.status().message();
  };
  TlsOptions options = s.Options();
  CHECK(error(options) == "OK");
  options.cert_file = "/nowhere/x.crt";
  CHECK(error(options) == "tls-cert-file: /nowhere/x.crt: No such file or directory");
  options.cert_file = "";
  CHECK(error(options) == "tls-cert-file is needed for TLS");
  options = s.Options();
  options.key_file = s.own.cert_file;
  CHECK(error(options).starts_with("tls-key-file: " + s.own.cert_file + ": "));
  options.key_file = s.known.key_file;
  CHECK(error(options) == "tls-key-file: " + s.known.key_file + ": key values mismatch");
  options = s.Options();
  options.ca_cert_file = s.own.key_file;
  CHECK(error(options).starts_with("tls-ca-cert-file: " + s.own.key_file + ": "));
  options.ca_cert_file = "";
  CHECK(error(options).find("tls-ca-cert-dir is needed") != std::string::npos);
  options.ca_cert_dir = "/nowhere";
  CHECK(error(options) == "tls-ca-cert-dir: /nowhere: there is no such directory");
  options = s.Options();
  options.protocols = "TLSv1.2 SSLv3";
  CHECK(error(options) == "tls-protocols: 'SSLv3' is none of TLSv1.2 and TLSv1.3");
  options.protocols = " ";
  CHECK(error(options) == "tls-protocols: no protocol is named");
  options = s.Options();
  options.ciphers = "no-such";
  CHECK(error(options) == "tls-ciphers: no-such: no cipher match");
  options = s.Options();
  options.ciphersuites = "no-such";
  CHECK(error(options) == "tls-ciphersuites: no-such: no cipher match");
  options = s.Options();
  options.dh_params_file = s.own.cert_file;
  CHECK(error(options).starts_with("tls-dh-params-file: " + s.own.cert_file + ": "));
  options = s.Options();
  options.client_cert_file = s.known.cert_file;
  CHECK(error(options) == "tls-client-key-file is needed for TLS");
  const TestCertificate locked = MakeCertificate(s.folder, "locked", &s.ca, false, 3600, "secret");
  options = s.Options();
  options.cert_file = locked.cert_file;
  options.key_file = locked.key_file;
  CHECK(error(options).starts_with("tls-key-file: " + locked.key_file + ": "));
  options.key_file_pass = "wrong";
  CHECK(error(options).starts_with("tls-key-file: " + locked.key_file + ": "));
  options.key_file_pass = "secret";
  CHECK(error(options) == "OK");
}

TEST_CASE("new certificates are for new connections") {
  TlsServer s;
  TlsServer::Pair before = s.Connect();
  const auto shown = [](const TlsServer::Pair& pair) {
    X509* cert = SSL_get1_peer_certificate(pair.client->ssl);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
    X509_free(cert);
    return std::string(name);
  };
  CHECK(shown(before) == "server");
  TlsOptions options = s.Options();
  options.cert_file = s.known.cert_file;
  options.key_file = s.known.key_file;
  s.Use(options);
  TlsServer::Pair after = s.Connect();
  CHECK(shown(after) == "known");
  for (const TlsServer::Pair* pair : {&before, &after}) {
    pair->client->Send("still here");
    REQUIRE(s.server.Until([&] { return pair->handler().data == "still here"; }));
  }
}

TEST_CASE("sessions are resumed, but none of a client's where peers come in") {
  TlsServer s;
  for (const int version : kVersions) {
    TlsServer::Pair first = s.Connect({.version = version});
    // TLS 1.3 sends tickets behind the handshake.
    first.connection().Write("x");
    REQUIRE(s.server.Until([&] {
      first.client->Receive();
      return first.client->received == "x";
    }));
    SSL_shutdown(first.client->ssl);
    SSL_SESSION* const session = SSL_get1_session(first.client->ssl);
    REQUIRE(SSL_SESSION_is_resumable(session) == 1);
    SSL_SESSION* const copy = SSL_SESSION_dup(session);
    TlsServer::Pair second = s.Connect({.version = version, .session = session});
    CHECK(SSL_session_reused(second.client->ssl) == 1);
    s.server.encrypt = [&] { return s.slot.Get()->AcceptPeer(); };
    CHECK(!s.Takes({.version = version, .session = copy}));
    CHECK(s.Takes({.certificate = &s.known, .version = version}));
    s.server.encrypt = [&] { return s.slot.Get()->Accept(); };
    SSL_SESSION_free(session);
    SSL_SESSION_free(copy);
  }
  TlsOptions options = s.Options();
  options.session_caching = false;
  s.Use(options);
  TlsServer::Pair pair = s.Connect({.version = TLS1_2_VERSION});
  SSL_SESSION* const session = SSL_get1_session(pair.client->ssl);
  TlsServer::Pair again = s.Connect({.version = TLS1_2_VERSION, .session = session});
  CHECK(SSL_session_reused(again.client->ssl) == 0);
  SSL_SESSION_free(session);
}

// Two of ours, as nodes.
TEST_CASE("peers: both ends have to show a certificate of the CA") {
  TlsServer s;
  s.server.encrypt = [&] { return s.slot.Get()->AcceptPeer(); };
  const auto dial = [&](const TestCertificate& certificate, const TestCertificate& ca,
                        std::string* text) {
    TlsOptions options = s.Options();
    options.client_cert_file = certificate.cert_file;
    options.client_key_file = certificate.key_file;
    options.ca_cert_file = ca.cert_file;
    auto built = TlsContext::Build(options);
    REQUIRE(built.ok());
    const size_t before = s.server.peers.size();
    Client raw(s.server.port);
    const int flags = fcntl(raw.fd(), F_GETFL);
    fcntl(raw.fd(), F_SETFL, flags | O_NONBLOCK);
    Recorder handler;
    Connection dialer(&s.server.loop, Socket(dup(raw.fd())), &handler, built.value()->DialPeer());
    dialer.Write("hello");
    raw.Close();
    REQUIRE(s.server.Until([&] { return s.server.peers.size() > before; }));
    Server::Peer& peer = *s.server.peers.back();
    REQUIRE(s.server.Until([&] {
      return peer.handler.data == "hello" || (peer.handler.closed == 1 && handler.closed == 1);
    }));
    *text = dialer.CloseText();
    return peer.handler.data == "hello";
  };
  std::string text;
  CHECK(dial(s.known, s.ca, &text));
  CHECK(!dial(s.stranger, s.ca, &text));
  CHECK(text.find("unknown ca") != std::string::npos);
  CHECK(!dial(s.known, s.other_ca, &text));
  CHECK(text.find("certificate verify failed") != std::string::npos);
}

}  // namespace
}  // namespace holdfast::net
