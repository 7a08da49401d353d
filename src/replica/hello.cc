#include "replica/hello.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hmac.h"
#include "base/log.h"
#include "base/rng.h"

namespace holdfast::replica {
namespace {

constexpr uint32_t kHelloMagic = 0x4c484648;  // "HFHL"

enum class Role : char { kDialer = 'D', kAcceptor = 'A' };

std::string Mac(std::string_view secret, Role role, std::string_view dialer_hello,
                std::string_view acceptor_hello) {
  std::string proven(1, static_cast<char>(role));
  AppendLengthPrefixed(&proven, dialer_hello);
  AppendLengthPrefixed(&proven, acceptor_hello);
  return HmacSha256(secret, proven);
}

Status MalformedHello() { return Status::Corruption("not the hello of a Holdfast node"); }

Status OneSecret(const Hello& own, const Hello& peer) {
  if (own.has_secret == peer.has_secret) return Status::Ok();
  return Status::InvalidArgument(own.has_secret
                                     ? "a cluster secret is set here, and none on the peer"
                                     : "no cluster secret is set here, and one on the peer");
}

Status WrongSecret() { return Status::InvalidArgument("the cluster secrets are not the same"); }

Status Authorize(const Credentials& credentials, const Hello& own, const Hello& peer) {
  RETURN_IF_ERROR(CheckPeer(own, peer));
  return credentials.authorize ? credentials.authorize(peer) : Status::Ok();
}

Hello Introduce(const Credentials& credentials) {
  Hello self = credentials.self;
  CHECK(self.node_id != raft::kNoNode && self.core_index < self.cores && self.cores <= kMaxCores);
  self.has_secret = !credentials.secret.empty();
  self.nonce = RandomBytes(kNonceBytes);
  return self;
}

}  // namespace

std::string EncodeHello(const Hello& hello) {
  CHECK(hello.nonce.size() == kNonceBytes);
  CHECK(hello.cluster_address.size() <= kMaxAddressBytes);
  CHECK(hello.client_address.size() <= kMaxAddressBytes);
  std::string out;
  AppendFixed32(&out, kHelloMagic);
  AppendFixed32(&out, uint32_t{hello.protocol_max} << 16 | hello.protocol_min);
  AppendFixed32(&out, hello.data_format);
  out.push_back(hello.has_secret ? 1 : 0);
  AppendFixed64(&out, hello.cluster_id);
  AppendFixed64(&out, hello.node_id);
  AppendFixed64(&out, hello.expected_node_id);
  AppendFixed32(&out, hello.core_index);
  AppendFixed32(&out, hello.cores);
  AppendFixed32(&out, hello.partitions);
  AppendLengthPrefixed(&out, hello.cluster_address);
  AppendLengthPrefixed(&out, hello.client_address);
  out += hello.nonce;
  return out;
}

Status DecodeHello(std::string_view bytes, Hello* hello) {
  ByteReader reader(bytes);
  uint32_t magic;
  uint32_t protocols;
  uint8_t secret;
  std::string_view cluster_address;
  std::string_view client_address;
  std::string_view nonce;
  const bool complete =
      reader.ReadFixed32(&magic) && magic == kHelloMagic && reader.ReadFixed32(&protocols) &&
      reader.ReadFixed32(&hello->data_format) && reader.ReadByte(&secret) && secret <= 1 &&
      reader.ReadFixed64(&hello->cluster_id) && reader.ReadFixed64(&hello->node_id) &&
      reader.ReadFixed64(&hello->expected_node_id) && reader.ReadFixed32(&hello->core_index) &&
      reader.ReadFixed32(&hello->cores) && reader.ReadFixed32(&hello->partitions) &&
      reader.ReadLengthPrefixed(&cluster_address) && reader.ReadLengthPrefixed(&client_address) &&
      reader.ReadBytes(kNonceBytes, &nonce) && reader.empty();
  if (!complete) return MalformedHello();
  hello->protocol_min = static_cast<uint16_t>(protocols);
  hello->protocol_max = static_cast<uint16_t>(protocols >> 16);
  if (hello->node_id == raft::kNoNode || hello->protocol_min > hello->protocol_max ||
      hello->core_index >= hello->cores || hello->cores > kMaxCores ||
      cluster_address.size() > kMaxAddressBytes || client_address.size() > kMaxAddressBytes) {
    return MalformedHello();
  }
  hello->has_secret = secret == 1;
  hello->cluster_address = cluster_address;
  hello->client_address = client_address;
  hello->nonce = nonce;
  return Status::Ok();
}

Status CheckPeer(const Hello& own, const Hello& peer) {
  const auto refuse = [](std::string why) { return Status::Unsupported(std::move(why)); };
  if (std::max(own.protocol_min, peer.protocol_min) >
      std::min(own.protocol_max, peer.protocol_max)) {
    return refuse(fmt::format(
        "node {:016x} speaks the protocol versions {}..{}, node {:016x} {}..{}", own.node_id,
        own.protocol_min, own.protocol_max, peer.node_id, peer.protocol_min, peer.protocol_max));
  }
  if (own.data_format != peer.data_format) {
    return refuse(fmt::format("node {:016x} has data format {}, node {:016x} has {}", own.node_id,
                              own.data_format, peer.node_id, peer.data_format));
  }
  if (own.node_id == peer.node_id) {
    return refuse(fmt::format("both ends are node {:016x}: its own address, or a copy of its data",
                              own.node_id));
  }
  if (own.cluster_id != 0 && peer.cluster_id != 0 && own.cluster_id != peer.cluster_id) {
    return refuse(fmt::format("node {:016x} belongs to cluster {:016x}, node {:016x} to {:016x}",
                              own.node_id, own.cluster_id, peer.node_id, peer.cluster_id));
  }
  const auto unexpected = [](const Hello& dialer, const Hello& acceptor) {
    return dialer.expected_node_id != raft::kNoNode && dialer.expected_node_id != acceptor.node_id;
  };
  if (unexpected(own, peer) || unexpected(peer, own)) {
    const bool here = unexpected(own, peer);
    return refuse(fmt::format("node {:016x} answers where node {:016x} was expected",
                              here ? peer.node_id : own.node_id,
                              here ? own.expected_node_id : peer.expected_node_id));
  }
  return Status::Ok();
}

uint16_t AgreedProtocol(const Hello& own, const Hello& peer) {
  const uint16_t agreed = std::min(own.protocol_max, peer.protocol_max);
  CHECK(agreed >= own.protocol_min && agreed >= peer.protocol_min);
  return agreed;
}

std::string DialerHandshake::Start(raft::NodeId expected) {
  self_ = Introduce(*credentials_);
  self_.expected_node_id = expected;
  self_bytes_ = EncodeHello(self_);
  return self_bytes_;
}

Result<std::string> DialerHandshake::OnAnswer(std::string_view answer) {
  CHECK(!self_bytes_.empty());
  if (answer.size() < kHmacBytes) return MalformedHello();
  const std::string_view peer_bytes = answer.substr(0, answer.size() - kHmacBytes);
  RETURN_IF_ERROR(DecodeHello(peer_bytes, &peer_));
  RETURN_IF_ERROR(OneSecret(self_, peer_));
  const std::string& secret = credentials_->secret;
  if (!EqualInConstantTime(answer.substr(peer_bytes.size()),
                           Mac(secret, Role::kAcceptor, self_bytes_, peer_bytes))) {
    return WrongSecret();
  }
  RETURN_IF_ERROR(Authorize(*credentials_, self_, peer_));
  return Mac(secret, Role::kDialer, self_bytes_, peer_bytes);
}

Result<std::string> AcceptorHandshake::OnHello(std::string_view hello) {
  peer_bytes_ = hello;
  RETURN_IF_ERROR(DecodeHello(hello, &peer_));
  self_ = Introduce(*credentials_);
  RETURN_IF_ERROR(OneSecret(self_, peer_));
  self_.expected_node_id = raft::kNoNode;
  self_bytes_ = EncodeHello(self_);
  return self_bytes_ + Mac(credentials_->secret, Role::kAcceptor, peer_bytes_, self_bytes_);
}

Status AcceptorHandshake::OnAuth(std::string_view mac) {
  CHECK(!self_bytes_.empty());
  if (!EqualInConstantTime(mac,
                           Mac(credentials_->secret, Role::kDialer, peer_bytes_, self_bytes_))) {
    return WrongSecret();
  }
  return Authorize(*credentials_, self_, peer_);
}

}  // namespace holdfast::replica
