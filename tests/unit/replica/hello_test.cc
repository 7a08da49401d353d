#include "replica/hello.h"

#include <string>
#include <utility>

#include "base/hmac.h"
#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

Credentials Of(raft::NodeId node, std::string secret = "secret") {
  Credentials credentials;
  credentials.self.node_id = node;
  credentials.self.cluster_id = 77;
  credentials.self.data_format = 3;
  credentials.self.cores = 4;
  credentials.self.core_index = 2;
  credentials.self.partitions = 16;
  credentials.self.cluster_address = "10.0.0.1:7379";
  credentials.self.client_address = "10.0.0.1:6379";
  credentials.secret = std::move(secret);
  return credentials;
}

// How a handshake ends: where, and with what.
struct Outcome {
  std::string failed_at;  // hello (the acceptor's view), answer (the dialer's), auth; empty: never
  Status status;
};

Outcome Shake(const Credentials& dialer, const Credentials& acceptor,
              raft::NodeId expected = raft::kNoNode) {
  DialerHandshake d(&dialer);
  AcceptorHandshake a(&acceptor);
  const Result<std::string> answer = a.OnHello(d.Start(expected));
  if (!answer.ok()) return {"hello", answer.status()};
  const Result<std::string> mac = d.OnAnswer(answer.value());
  if (!mac.ok()) return {"answer", mac.status()};
  const Status status = a.OnAuth(mac.value());
  if (!status.ok()) return {"auth", status};
  CHECK(a.peer() == d.self());
  CHECK(d.peer() == a.self());
  CHECK(AgreedProtocol(d.self(), d.peer()) == AgreedProtocol(a.self(), a.peer()));
  return {};
}

bool Mentions(const Outcome& outcome, const std::string& text) {
  return outcome.status.message().find(text) != std::string::npos;
}

TEST_CASE("a hello comes back as it was, and nothing else does") {
  Hello hello = Of(0x1234).self;
  hello.expected_node_id = 5;
  hello.has_secret = true;
  hello.nonce = RandomBytes(kNonceBytes);
  const std::string bytes = EncodeHello(hello);
  Hello decoded;
  REQUIRE(DecodeHello(bytes, &decoded).ok());
  CHECK(decoded == hello);
  for (size_t n = 0; n < bytes.size(); ++n) {
    CHECK(DecodeHello(std::string_view(bytes).substr(0, n), &decoded).code() == Code::kCorruption);
  }
  CHECK(DecodeHello(bytes + "x", &decoded).code() == Code::kCorruption);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      if (DecodeHello(damaged, &decoded).ok()) CHECK(EncodeHello(decoded) == damaged);
    }
  }
}

TEST_CASE("impossible hellos are refused") {
  const auto refused = [](auto change) {
    Hello hello = Of(1).self;
    hello.nonce = RandomBytes(kNonceBytes);
    change(&hello);
    Hello decoded;
    CHECK(DecodeHello(EncodeHello(hello), &decoded).code() == Code::kCorruption);
  };
  refused([](Hello* h) { h->node_id = raft::kNoNode; });
  refused([](Hello* h) { h->core_index = h->cores; });
  refused([](Hello* h) { h->core_index = h->cores = 0; });
  refused([](Hello* h) { h->cores = kMaxCores + 1; });
  refused([](Hello* h) { h->protocol_min = h->protocol_max + 1; });
}

TEST_CASE("two nodes with one secret, or with none, come together") {
  CHECK(Shake(Of(1), Of(2)).status.ok());
  CHECK(Shake(Of(1), Of(2), 2).status.ok());
  CHECK(Shake(Of(1, ""), Of(2, "")).status.ok());
  Credentials joining = Of(1);
  joining.self.cluster_id = 0;
  CHECK(Shake(joining, Of(2)).status.ok());
  CHECK(Shake(Of(2), joining).status.ok());
}

TEST_CASE("the secrets must be the same") {
  Outcome outcome = Shake(Of(1, "secret"), Of(2, "Secret"));
  CHECK(outcome.failed_at == "answer");
  CHECK(Mentions(outcome, "the cluster secrets are not the same"));
  outcome = Shake(Of(1, "secret"), Of(2, ""));
  CHECK(outcome.failed_at == "hello");
  CHECK(Mentions(outcome, "no cluster secret is set here, and one on the peer"));
  outcome = Shake(Of(1, ""), Of(2, "secret"));
  CHECK(outcome.failed_at == "hello");
  CHECK(Mentions(outcome, "a cluster secret is set here, and none on the peer"));
}

TEST_CASE("a dialer that doesn't know the secret gets no further by lying") {
  const Credentials acceptor = Of(2);
  const Credentials honest = Of(1);
  // Says that it has one, and skips its own check.
  DialerHandshake d(&honest);
  AcceptorHandshake a(&acceptor);
  const Result<std::string> answer = a.OnHello(d.Start(raft::kNoNode));
  REQUIRE(answer.ok());
  // The acceptor's own proof, sent back, is none of the dialer's.
  const std::string mirrored = answer.value().substr(answer.value().size() - kHmacBytes);
  CHECK(!a.OnAuth(mirrored).ok());
  CHECK(!a.OnAuth("").ok());
  CHECK(!a.OnAuth(std::string(kHmacBytes, '\0')).ok());
  const Result<std::string> mac = d.OnAnswer(answer.value());
  REQUIRE(mac.ok());
  CHECK(!a.OnAuth(mac.value() + "x").ok());
  CHECK(a.OnAuth(mac.value()).ok());
  // Recorded, it is worth nothing in another handshake.
  AcceptorHandshake again(&acceptor);
  REQUIRE(again.OnHello(EncodeHello(d.self())).ok());
  CHECK(!again.OnAuth(mac.value()).ok());
}

TEST_CASE("an answer that was changed on the way is refused") {
  const Credentials dialer = Of(1);
  const Credentials acceptor = Of(2);
  DialerHandshake d(&dialer);
  AcceptorHandshake a(&acceptor);
  const std::string answer = a.OnHello(d.Start(raft::kNoNode)).value();
  for (size_t at = 0; at < answer.size(); ++at) {
    std::string damaged = answer;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    CHECK(!d.OnAnswer(damaged).ok());
  }
  CHECK(!d.OnAnswer("").ok());
  CHECK(d.OnAnswer(answer).ok());
  // So is a hello: the acceptor proves what it has seen.
  std::string hello = EncodeHello(d.self());
  hello.back() = static_cast<char>(hello.back() ^ 1);
  AcceptorHandshake other(&acceptor);
  CHECK(!d.OnAnswer(other.OnHello(hello).value()).ok());
}

TEST_CASE("who doesn't belong together is told so") {
  Credentials other = Of(2);
  other.self.cluster_id = 78;
  Outcome outcome = Shake(Of(1), other);
  CHECK(outcome.failed_at == "answer");
  CHECK(Mentions(outcome, "belongs to cluster"));

  outcome = Shake(Of(1), Of(1));
  CHECK(Mentions(outcome, "both ends are node 0000000000000001"));

  outcome = Shake(Of(1), Of(2), 3);
  CHECK(
      Mentions(outcome, "node 0000000000000002 answers where node 0000000000000003 was expected"));

  other = Of(2);
  other.self.data_format = 4;
  CHECK(Mentions(Shake(Of(1), other), "data format"));

  other = Of(2);
  other.self.protocol_min = other.self.protocol_max = kProtocolMax + 1;
  CHECK(Mentions(Shake(Of(1), other), "protocol versions"));
  other.self.protocol_min = kProtocolMin;
  CHECK(Shake(Of(1), other).status.ok());
  CHECK(AgreedProtocol(Of(1).self, other.self) == kProtocolMax);
}

TEST_CASE("either side's rules count, with its own words") {
  const auto removed = [](const Hello& peer) {
    return Status::Unsupported("node " + std::to_string(peer.node_id) + " was removed");
  };
  Credentials strict = Of(2);
  strict.authorize = removed;
  Outcome outcome = Shake(Of(1), strict);
  CHECK(outcome.failed_at == "auth");
  CHECK(outcome.status.message() == "node 1 was removed");
  outcome = Shake(strict, Of(1));
  CHECK(outcome.failed_at == "answer");
  CHECK(outcome.status.message() == "node 1 was removed");
  // Strangers aren't judged: their names are not known to be theirs.
  strict.authorize = [](const Hello&) {
    FAIL("asked about a stranger");
    return Status::Ok();
  };
  Credentials stranger = Of(1, "guessed");
  AcceptorHandshake a(&strict);
  DialerHandshake d(&stranger);
  REQUIRE(a.OnHello(d.Start(raft::kNoNode)).ok());
  CHECK(!a.OnAuth(std::string(kHmacBytes, 'x')).ok());
}

}  // namespace
}  // namespace holdfast::replica
