#include "engine/peer_request.h"

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

PeerCommand Words(uint32_t db, std::vector<std::string_view> words) {
  PeerCommand command;
  command.db = db;
  command.args = OwnedArgs(words);
  return command;
}

PeerRequest Transaction() {
  PeerRequest request;
  request.id = 300;
  request.partition = 7;
  request.epoch = 5;
  request.type = PeerRequestType::kTransaction;
  request.no_touch = true;
  request.protocol = 3;
  request.waited_ms = 1234;
  request.address = "127.0.0.1:5000";
  request.name = "worker";
  request.commands.push_back(Words(0, {"SET", "k", std::string_view("\0\r\n", 3)}));
  request.commands.push_back(Words(3, {"GET", ""}));
  request.watched.push_back({3, "k", 7, uint64_t{1} << 52});
  return request;
}

PeerReply SomeReply() {
  PeerReply reply;
  reply.id = 300;
  reply.outcome = PeerOutcome::kLostRead;
  reply.executed = false;
  reply.error = "OOM";
  reply.replies = {"+OK\r\n", ""};
  reply.revisions = {0, UINT64_MAX};
  return reply;
}

TEST_CASE("a forwarded request arrives as it was sent") {
  const std::string bytes = EncodePeerRequest(Transaction());
  PeerRequest request;
  REQUIRE(DecodePeerRequest(bytes, &request).ok());
  CHECK(request.id == 300);
  CHECK(request.partition == 7);
  CHECK(request.epoch == 5);
  CHECK(request.type == PeerRequestType::kTransaction);
  CHECK(request.no_touch);
  CHECK(request.protocol == 3);
  CHECK(request.waited_ms == 1234);
  CHECK(request.address == "127.0.0.1:5000");
  CHECK(request.name == "worker");
  REQUIRE(request.commands.size() == 2);
  CHECK(request.commands[0].args.args()[2] == std::string_view("\0\r\n", 3));
  CHECK(request.commands[1].db == 3);
  CHECK(request.commands[1].args.args().size() == 2);
  REQUIRE(request.watched.size() == 1);
  CHECK(request.watched[0].key == "k");
  CHECK(request.watched[0].partition == 7);
  CHECK(request.watched[0].revision == uint64_t{1} << 52);
  const Caller caller = request.MakeCaller();
  CHECK(caller.waited_ms == 1234);
  CHECK(caller.name == "worker");
  CHECK(caller.functions_revision == 0);
  PeerRequest call = Transaction();
  call.functions_revision = uint64_t{1} << 50;
  REQUIRE(DecodePeerRequest(EncodePeerRequest(call), &request).ok());
  CHECK(request.MakeCaller().functions_revision == uint64_t{1} << 50);
  CHECK(request.MakeCaller().author == data::Author());
  call.author = {UINT64_MAX, 9};
  REQUIRE(DecodePeerRequest(EncodePeerRequest(call), &request).ok());
  CHECK(request.MakeCaller().author == data::Author{UINT64_MAX, 9});
  CHECK(request.name == "worker");
  CHECK(request.MakeCaller().acl_user.empty());
  call.acl_user = "alice";
  call.acl_revision = uint64_t{1} << 51;
  REQUIRE(DecodePeerRequest(EncodePeerRequest(call), &request).ok());
  CHECK(request.MakeCaller().acl_user == "alice");
  CHECK(request.MakeCaller().acl_revision == uint64_t{1} << 51);
  CHECK(request.MakeCaller().functions_revision == uint64_t{1} << 50);
  CHECK_FALSE(request.asks_reads);
  call.asks_reads = true;
  REQUIRE(DecodePeerRequest(EncodePeerRequest(call), &request).ok());
  CHECK(request.asks_reads);
}

TEST_CASE("replies and cancels arrive as they were sent") {
  PeerReply reply;
  REQUIRE(DecodePeerReply(EncodePeerReply(SomeReply()), &reply).ok());
  CHECK(reply.id == 300);
  CHECK(reply.outcome == PeerOutcome::kLostRead);
  CHECK_FALSE(reply.executed);
  CHECK_FALSE(reply.refused);
  CHECK_FALSE(reply.read_nothing);
  CHECK(reply.error == "OOM");
  CHECK(reply.replies == SomeReply().replies);
  CHECK(reply.revisions == SomeReply().revisions);
  CHECK(reply.TakeBytes() == "-OOM\r\n");
  PeerReply of_script = PeerReply::Bytes(":1\r\n");
  of_script.read_nothing = true;
  REQUIRE(DecodePeerReply(EncodePeerReply(of_script), &reply).ok());
  CHECK(reply.read_nothing);
  CHECK(reply.executed);
  CHECK(reply.TakeBytes() == ":1\r\n");
  PeerCancel cancel;
  REQUIRE(DecodePeerCancel(EncodePeerCancel({9, 2, PeerCancelMode::kError}), &cancel).ok());
  CHECK(cancel.id == 9);
  CHECK(cancel.partition == 2);
  CHECK(cancel.mode == PeerCancelMode::kError);
}

TEST_CASE("long names of clients are cut, not refused") {
  PeerRequest request = Transaction();
  request.name = std::string(1000, 'n');
  PeerRequest decoded;
  REQUIRE(DecodePeerRequest(EncodePeerRequest(request), &decoded).ok());
  CHECK(decoded.name == std::string(kMaxPeerNameBytes, 'n'));
}

TEST_CASE("requests without their parts are refused") {
  const auto refused = [](PeerRequest request, PeerRequestType type) {
    // Encoding checks it, so the type is changed afterwards.
    std::string bytes = EncodePeerRequest(request);
    bytes[1 + 2 + 1 + 1] = static_cast<char>(type);
    PeerRequest decoded;
    return !DecodePeerRequest(bytes, &decoded).ok();
  };
  CHECK_FALSE(refused(Transaction(), PeerRequestType::kTransaction));
  CHECK(refused(Transaction(), PeerRequestType::kCommand));
  CHECK(refused(Transaction(), PeerRequestType::kWatch));
  CHECK(refused(Transaction(), PeerRequestType::kUnwatch));
  CHECK(refused(Transaction(), static_cast<PeerRequestType>(0)));
  CHECK(refused(Transaction(), static_cast<PeerRequestType>(5)));
  PeerRequest foreign = Transaction();
  foreign.commands[0].db = 16;
  CHECK(refused(std::move(foreign), PeerRequestType::kTransaction));
}

// Whatever is decoded is what would be encoded.
void CheckDamaged(const std::string& bytes) {
  PeerRequest request;
  if (DecodePeerRequest(bytes, &request).ok()) CHECK(EncodePeerRequest(request) == bytes);
  PeerReply reply;
  if (DecodePeerReply(bytes, &reply).ok()) CHECK(EncodePeerReply(reply) == bytes);
  PeerCancel cancel;
  if (DecodePeerCancel(bytes, &cancel).ok()) CHECK(EncodePeerCancel(cancel) == bytes);
}

TEST_CASE("damaged items are refused or mean something exactly") {
  const std::string items[] = {EncodePeerRequest(Transaction()), EncodePeerReply(SomeReply()),
                               EncodePeerCancel({9, 2, PeerCancelMode::kGone})};
  Rng rng(11);
  for (const std::string& item : items) {
    for (size_t size = 0; size < item.size(); ++size) {
      PeerRequest request;
      CHECK_FALSE(DecodePeerRequest(item.substr(0, size), &request).ok());
      CheckDamaged(item.substr(0, size));
    }
    CheckDamaged(item + '\0');
    for (int round = 0; round < 5000; ++round) {
      std::string damaged = item;
      for (uint64_t i = 0; i <= rng.Below(3); ++i) {
        damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Below(256));
      }
      CheckDamaged(damaged);
    }
  }
}

}  // namespace
}  // namespace holdfast::engine
