#include "cluster/join.h"

#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/event_loop.h"
#include "replica/peer_link.h"

namespace holdfast::cluster {
namespace {

// How long one seed may take to answer.
constexpr uint64_t kAttemptMs = 10'000;
// Between two attempts.
constexpr uint64_t kPauseMs = 200;

void AppendString(std::string* out, std::string_view text) {
  AppendVarint(out, text.size());
  out->append(text);
}

bool ReadString(ByteReader* in, std::string* text) {
  uint64_t size;
  std::string_view bytes;
  if (!in->ReadVarint(&size) || size > replica::kMaxAddressBytes * 4 ||
      !in->ReadBytes(static_cast<size_t>(size), &bytes)) {
    return false;
  }
  *text = bytes;
  return true;
}

// One conversation with one seed. Loop thread.
class Attempt final : public replica::PeerHandler {
 public:
  Attempt(net::EventLoop* loop, const std::string& seed, const JoinRequest& request,
          const replica::Credentials& credentials)
      : loop_(loop), request_(request), credentials_(credentials), deadline_(loop) {
    link_ = std::make_unique<replica::PeerLink>(loop, 1, seed, raft::kNoNode, &credentials_,
                                                &options_, this);
    deadline_.Start(kAttemptMs, 0, [this] { Finish("it did not answer in time"); });
  }

  void OnUp(replica::PeerLink& link) override {
    link.Send(replica::ItemKind::kJoin, EncodeJoin(request_));
    link.Flush();
  }
  void OnClock(replica::PeerLink&, uint64_t) override {}
  void OnItem(replica::PeerLink&, replica::ItemKind kind, std::string_view bytes) override {
    if (kind != replica::ItemKind::kJoinReply) return;
    const Status status = DecodeJoinReply(bytes, &reply_);
    Finish(status.ok() ? reply_.reason : status.message());
  }
  void OnDown(replica::PeerLink&, const Status& why) override { Finish(why.message()); }

  const JoinReply& reply() const { return reply_; }

 private:
  void Finish(std::string_view reason) {
    reply_.reason = reason;
    deadline_.Stop();
    loop_->Stop();
  }

  net::EventLoop* const loop_;
  const JoinRequest request_;
  const replica::Credentials credentials_;
  const replica::PeerLinkOptions options_;
  JoinReply reply_;
  net::Timer deadline_;
  std::unique_ptr<replica::PeerLink> link_;
};

}  // namespace

std::string EncodeJoin(const JoinRequest& request) {
  std::string out;
  AppendString(&out, request.cluster_address);
  AppendString(&out, request.client_address);
  return out;
}

Status DecodeJoin(std::string_view bytes, JoinRequest* request) {
  ByteReader in(bytes);
  if (!ReadString(&in, &request->cluster_address) || !ReadString(&in, &request->client_address) ||
      !in.empty()) {
    return Status::Corruption("a request to join is damaged");
  }
  return Status::Ok();
}

std::string EncodeJoinReply(const JoinReply& reply) {
  std::string out(1, reply.welcome ? '\0' : '\1');
  AppendFixed64(&out, reply.entry.cluster_id);
  AppendFixed64(&out, reply.entry.member);
  AppendFixed32(&out, reply.entry.partitions);
  AppendFixed64(&out, reply.entry.hash_seed);
  AppendString(&out, reply.reason);
  return out;
}

Status DecodeJoinReply(std::string_view bytes, JoinReply* reply) {
  ByteReader in(bytes);
  uint8_t refused;
  engine::ClusterEntry& entry = reply->entry;
  if (!in.ReadByte(&refused) || refused > 1 || !in.ReadFixed64(&entry.cluster_id) ||
      !in.ReadFixed64(&entry.member) || !in.ReadFixed32(&entry.partitions) ||
      !in.ReadFixed64(&entry.hash_seed) || !ReadString(&in, &reply->reason) || !in.empty()) {
    return Status::Corruption("the answer to a request to join is damaged");
  }
  reply->welcome = refused == 0;
  entry.joins = true;
  if (reply->welcome && (entry.cluster_id == 0 || entry.member == 0 || entry.partitions == 0)) {
    reply->welcome = false;
    return Status::Corruption("the answer to a request to join makes no sense");
  }
  return Status::Ok();
}

Result<engine::ClusterEntry> Join(const std::vector<std::string>& seeds, const replica::Hello& self,
                                  const std::string& secret, const net::TlsSlot* tls,
                                  int64_t timeout_ms) {
  CHECK(!seeds.empty() && self.cluster_id == 0);
  const int64_t deadline_ms = SystemClock()->MonotonicMs() + timeout_ms;
  std::string reason;
  for (size_t i = 0;; ++i) {
    const std::string& seed = seeds[i % seeds.size()];
    net::EventLoop loop;
    JoinReply reply;
    {
      Attempt attempt(&loop, seed, {self.cluster_address, self.client_address},
                      {self, secret, nullptr, tls});
      loop.Run();
      reply = attempt.reply();
    }
    if (reply.welcome) return reply.entry;
    const std::string now = "joining through " + seed + " failed: " + reply.reason;
    if (now != reason) LogNotice("{}; trying again", now);
    reason = now;
    if (SystemClock()->MonotonicMs() >= deadline_ms) return Status::IoError(reason);
    net::Timer pause(&loop);
    pause.Start(kPauseMs, 0, [&loop] { loop.Stop(); });
    loop.Run();
  }
}

}  // namespace holdfast::cluster
