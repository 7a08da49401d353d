// What a peer may do to TLS besides speaking it.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "net/tls.h"
#include "tls_test_util.h"

namespace holdfast::net {
namespace {

TEST_CASE("a client can't renegotiate") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect({.version = TLS1_2_VERSION});
  for (int i = 0; i < 3; ++i) {
    SSL_renegotiate(pair.client->ssl);
    pair.client->done = false;
    SSL_do_handshake(pair.client->ssl);
    pair.client->Receive();
  }
  // It is told so, and the connection goes on or ends; nothing else happens.
  REQUIRE(s.server.Until([&] {
    pair.client->Receive();
    return pair.client->failed || pair.handler().closed == 1;
  }));
  CHECK(pair.handler().encrypted == 1);
  CHECK(SSL_get_secure_renegotiation_support(pair.client->ssl) == 1);
  CHECK(SSL_num_renegotiations(pair.client->ssl) == 1);
  CHECK(pair.handler().data.empty());
}

TEST_CASE("new keys may be asked for, also by a client that reads nothing") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect({.version = TLS1_3_VERSION, .receive_buffer = 16 * 1024});
  Connection& c = pair.connection();
  std::string expected;
  const std::string piece = TlsPattern(50'000);
  while (c.pending_bytes() < 200'000) {
    c.Write(piece);
    expected += piece;
  }
  std::string sent;
  for (int i = 0; i < 50; ++i) {
    SSL_key_update(pair.client->ssl, SSL_KEY_UPDATE_REQUESTED);
    const std::string text = "<" + std::to_string(i) + ">";
    REQUIRE(pair.client->Send(text) == text.size());
    sent += text;
  }
  REQUIRE(s.server.Until([&] { return pair.handler().data == sent; }));
  c.Write("behind");
  expected += "behind";
  REQUIRE(s.server.Until([&] {
    pair.client->Receive(30'000);
    return pair.client->received.size() == expected.size();
  }));
  CHECK(pair.client->received == expected);
  CHECK(pair.handler().closed == 0);
}

TEST_CASE("a flood of new keys ends the connection before it costs much") {
  TlsServer s;
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    TlsServer::Pair pair = s.Connect({.version = TLS1_3_VERSION});
    pair.client->Send("before");
    for (int i = 0; i < 500; ++i) {
      SSL_key_update(pair.client->ssl, kind);
      if (SSL_do_handshake(pair.client->ssl) != 1) break;
    }
    pair.client->Send("behind");
    REQUIRE(s.server.Until([&] { return pair.handler().closed == 1; }));
    CHECK(pair.handler().reason == CloseReason::kError);
    CHECK(pair.handler().data == "before");
    CHECK(pair.connection().CloseText() == "TLS: the peer changes its keys too often");
  }
}

TEST_CASE("new keys every now and then are no flood") {
  TlsServer s;
  TlsServer::Pair pair = s.Connect({.version = TLS1_3_VERSION});
  const std::string piece = TlsPattern(TlsStream::kNewKeysBytes);
  size_t sent = 0;
  for (int i = 0; i < 300; ++i) {
    SSL_key_update(pair.client->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    size_t begin = 0;
    REQUIRE(s.server.Until([&] {
      begin += pair.client->Send(std::string_view(piece).substr(begin));
      return begin == piece.size();
    }));
    sent += begin;
    pair.handler().data.clear();
  }
  CHECK(sent == 300 * piece.size());
  CHECK(pair.handler().closed == 0);
}

TEST_CASE("what is no TLS ends the connection and nothing else") {
  TlsServer s;
  TlsServer::Pair good = s.Connect();
  for (const std::string_view text :
       {std::string_view("PING\r\n"), std::string_view("*1\r\n$4\r\nPING\r\n"),
        std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("\x16\x03\x01\xff\xff rest"),
        std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0", 12)}) {
    Server::Link link = s.server.Connect();
    link.client->Send(text);
    REQUIRE(s.server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.reason == CloseReason::kError);
    CHECK(link.peer->connection->CloseText().starts_with("TLS: "));
    CHECK(link.peer->handler.data.empty());
    CHECK(link.peer->handler.encrypted == 0);
  }
  Server::Link link = s.server.Connect();
  link.client->Close();
  REQUIRE(s.server.Until([&] { return link.peer->handler.closed == 1; }));
  CHECK(link.peer->connection->CloseText() == "it left during the TLS handshake");
  good.client->Send("still here");
  REQUIRE(s.server.Until([&] { return good.handler().data == "still here"; }));
}

// A good client's bytes, damaged: the server may drop the connection or wait for more, but never
// takes it for a good one and never gives its handler a byte that wasn't sent.
TEST_CASE("damaged and cut handshakes") {
  TlsServer s(TlsAuth::kOptional);
  Rng rng(7);
  int closed = 0;
  for (int i = 0; i < 300; ++i) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, kVersions[i % 2]);
    SSL* ssl = SSL_new(context);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    Server::Link link = s.server.Connect();
    const int rounds = static_cast<int>(rng.Below(3));
    bool damaged = false;
    for (int round = 0; !damaged; ++round) {
      char* bytes = nullptr;
      const long size = BIO_get_mem_data(out, &bytes);
      std::string flight(bytes, static_cast<size_t>(size));
      (void)BIO_reset(out);
      if (round == rounds || flight.empty()) {
        damaged = true;
        if (!flight.empty() && rng.Below(2) == 0) flight.resize(rng.Below(flight.size()));
        for (uint64_t flips = rng.Below(4) + 1; flips > 0 && !flight.empty(); --flips) {
          flight[rng.Below(flight.size())] ^= static_cast<char>(1u << rng.Below(8));
        }
        while (rng.Below(3) == 0) flight.push_back(static_cast<char>(rng.Below(256)));
      }
      link.client->Send(flight);
      if (damaged) break;
      REQUIRE(s.server.Until([&] {
        link.client->Receive();
        return !link.client->received().empty();
      }));
      BIO_write(in, link.client->received().data(),
                static_cast<int>(link.client->received().size()));
      link.client->received().clear();
      SSL_do_handshake(ssl);
    }
    link.client->ShutdownWrite();
    REQUIRE(s.server.Until([&] { return link.peer->handler.closed == 1; }));
    CHECK(link.peer->handler.data.empty());
    ++closed;
    SSL_free(ssl);
    SSL_CTX_free(context);
    s.server.peers.clear();
  }
  CHECK(closed == 300);
  CHECK(s.Takes({}));
}

TEST_CASE("damaged records after the handshake end the connection") {
  TlsServer s;
  Rng rng(11);
  for (int i = 0; i < 60; ++i) {
    TlsServer::Pair pair = s.Connect({.version = kVersions[i % 2]});
    // Past the client's TLS: into its stream.
    std::string junk(1 + rng.Below(200), '\0');
    for (char& c : junk) c = static_cast<char>(rng.Below(256));
    if (i % 3 == 0) junk = "\x17\x03\x03" + std::string("\0\x20", 2) + std::string(32, 'j');
    pair.client->client.Send(junk);
    pair.client->client.ShutdownWrite();
    REQUIRE(s.server.Until([&] { return pair.handler().closed == 1; }));
    CHECK(pair.handler().data.empty());
    s.server.peers.clear();
  }
}

TEST_CASE("what handshakes take of a turn is bounded") {
  EventLoop loop;
  int left = 3;
  NextTurn next(&loop, [&] {
    CHECK(loop.MayHandshake());
    loop.NoteHandshake(EventLoop::kHandshakeNsPerTurn / 2);
    CHECK(loop.MayHandshake());
    loop.NoteHandshake(EventLoop::kHandshakeNsPerTurn / 2);
    CHECK(!loop.MayHandshake());
    if (--left == 0) {
      loop.Stop();
    } else {
      next.Schedule();
    }
  });
  next.Schedule();
  loop.Run();
  CHECK(left == 0);
}

TEST_CASE("many clients at once all get in, a few in a turn") {
  TlsServer s;
  const TestCertificate rsa = MakeCertificate(s.folder, "rsa", &s.ca, true);
  TlsOptions options = s.Options();
  options.cert_file = rsa.cert_file;
  options.key_file = rsa.key_file;
  s.Use(options);
  std::vector<std::unique_ptr<TlsClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<TlsClient>(s.server.port, TlsClient::Setup{}));
    clients.back()->Handshake();
  }
  const auto encrypted = [&] {
    int n = 0;
    for (const auto& peer : s.server.peers) n += peer->handler.encrypted;
    return n;
  };
  const uint64_t turns = s.server.loop.turns();
  REQUIRE(s.server.Until([&] {
    for (const auto& client : clients) client->Handshake();
    return encrypted() == 100;
  }));
  // Each signature takes more than a tenth of what a turn may spend.
  CHECK(s.server.loop.turns() - turns >= 10);
}

}  // namespace
}  // namespace holdfast::net
