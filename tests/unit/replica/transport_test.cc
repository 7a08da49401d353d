#include "replica/transport.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "messages.h"
#include "replica/message_codec.h"

// Last, because doctest's CHECK replaces the one of base/check.h.
#include "peers.h"

namespace holdfast::replica {
namespace {

// Two nodes, the first of which dials the second.
struct Pair {
  Nodes nodes;
  Node& a = nodes.Add(1);
  Node& b = nodes.Add(2);

  void Start() {
    a.Start();
    b.Start();
    a.transport->SetPeers({b.peer()});
    REQUIRE(nodes.Until([&] { return a.transport->Link(2) != nullptr && b.recorder.ups > 0; }));
  }
  bool Until(const std::function<bool()>& done) { return nodes.Until(done); }
};

TEST_CASE("items arrive in their order, both ways, over one dialed link") {
  Pair pair;
  pair.Start();
  CHECK(pair.b.transport->Link(1) != nullptr);
  CHECK(!pair.b.transport->Link(1)->dialed());
  std::vector<std::string> expected;
  for (int i = 0; i < 1000; ++i) {
    expected.push_back("item " + std::to_string(i) + std::string(static_cast<size_t>(i % 97), '.'));
    REQUIRE(pair.a.transport->Send(2, ItemKind::kRequest, expected.back().substr(0, 3),
                                   expected.back().substr(3)));
    REQUIRE(pair.b.transport->Send(1, ItemKind::kReply, expected.back()));
  }
  REQUIRE(pair.Until([&] {
    return pair.b.recorder.items.size() >= 1000 && pair.a.recorder.items.size() >= 1000;
  }));
  for (const Node* node : {&pair.a, &pair.b}) {
    REQUIRE(node->recorder.items.size() == 1000);
    for (size_t i = 0; i < 1000; ++i) CHECK(node->recorder.items[i].bytes == expected[i]);
    CHECK(node->recorder.items[0].from == 3 - node->id());
  }
  CHECK(pair.b.recorder.items[0].kind == ItemKind::kRequest);
  CHECK(pair.a.recorder.items[0].kind == ItemKind::kReply);
  const PeerStats stats = pair.a.StatsOf(2);
  CHECK(stats.up);
  CHECK(stats.connects == 1);
  CHECK(stats.counters.items_sent == 1000);
  CHECK(stats.counters.items_received == 1000);
  // One turn's items, one frame.
  CHECK(stats.counters.frames_sent == 1);
  CHECK(pair.b.StatsOf(1).accepts == 1);
  CHECK(pair.b.StatsOf(1).address == pair.a.address());
  CHECK(pair.b.StatsOf(1).counters.bytes_received == stats.counters.bytes_sent);
}

TEST_CASE("raft messages, with the clock before them") {
  Pair pair;
  pair.a.options.link.clock = [] { return uint64_t{4711}; };
  pair.Start();
  size_t items_before_clock = 1;
  pair.b.recorder.on_clock = [&](PeerLink&) {
    items_before_clock = pair.b.recorder.items.size();
    pair.b.recorder.on_clock = nullptr;
  };
  Rng rng(3);
  std::vector<raft::Message> sent;
  for (uint32_t i = 0; i < 50; ++i) {
    sent.push_back(RandomMessage(&rng));
    sent.back().to = 2;
    REQUIRE(pair.a.transport->SendMessage(i, sent.back()));
  }
  REQUIRE(pair.Until([&] { return pair.b.recorder.items.size() == 50; }));
  CHECK(items_before_clock == 0);
  CHECK(pair.b.recorder.clocks.at(0) == 4711);
  for (uint32_t i = 0; i < 50; ++i) {
    uint32_t partition;
    raft::Message message;
    CHECK(pair.b.recorder.items[i].kind == ItemKind::kRaft);
    REQUIRE(DecodeMessage(pair.b.recorder.items[i].bytes, &partition, &message).ok());
    CHECK(partition == i);
    CHECK(Same(message, sent[i]));
  }
  sent[0].to = 3;
  CHECK(!pair.a.transport->SendMessage(0, sent[0]));
}

TEST_CASE("large turns are cut into frames, a large item travels alone") {
  Pair pair;
  pair.Start();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(pair.a.transport->Send(2, ItemKind::kSnapshot, std::string(300'000, 'a')));
  }
  REQUIRE(pair.a.transport->Send(2, ItemKind::kSnapshot, "head", std::string(5'000'000, 'b')));
  REQUIRE(pair.Until([&] { return pair.b.recorder.items.size() == 11; }));
  CHECK(pair.b.recorder.items[10].bytes.size() == 5'000'004);
  const LinkCounters counters = pair.b.StatsOf(1).counters;
  CHECK(counters.frames_received >= 5);
  CHECK(counters.frames_received <= 6);  // maybe with a ping
}

TEST_CASE("a reader that is slow makes Send refuse, and loses nothing that was taken") {
  Pair pair;
  pair.a.options.link.max_pending_bytes = 4'000'000;
  pair.a.options.link.max_frame_bytes = 8'000'000;
  pair.Start();
  // Larger than the bound, taken because nothing waits.
  const std::string large(7'000'000, 'l');
  REQUIRE(pair.a.transport->Send(2, ItemKind::kSnapshot, large));
  // Never.
  CHECK(!pair.a.transport->Send(2, ItemKind::kSnapshot, std::string(8'000'000, 'x')));
  size_t taken = 1;
  const std::string piece(500'000, 'p');
  while (pair.a.transport->Send(2, ItemKind::kSnapshot, piece)) {
    ++taken;
    REQUIRE(taken < 1000);
  }
  PeerLink* const link = pair.a.transport->Link(2);
  CHECK(link->pending_bytes() <= 7'000'000 + 1000);
  CHECK(link->pending_bytes() > 3'000'000);
  const PeerStats stats = pair.a.StatsOf(2);
  CHECK(stats.counters.items_dropped == 2);
  CHECK(stats.pending_bytes == link->pending_bytes());
  REQUIRE(pair.Until([&] { return pair.b.recorder.items.size() == taken; }));
  CHECK(pair.b.recorder.items[0].bytes == large);
  REQUIRE(pair.Until([&] { return link->pending_bytes() == 0; }));
  CHECK(pair.a.transport->Send(2, ItemKind::kSnapshot, piece));
}

TEST_CASE("a peer that comes back is found again, and what it missed is not told later") {
  Pair pair;
  pair.Start();
  const uint16_t port = pair.b.port;
  pair.b.Stop();
  REQUIRE(pair.Until([&] { return pair.a.recorder.downs.size() == 1; }));
  CHECK(pair.a.transport->Link(2) == nullptr);
  CHECK(!pair.a.transport->Send(2, ItemKind::kRequest, "lost"));
  pair.nodes.RunFor(60);
  CHECK(pair.a.StatsOf(2).last_error.find("Connection refused") != std::string::npos);
  CHECK(!pair.a.StatsOf(2).up);
  pair.b.Start(port);
  REQUIRE(pair.Until([&] { return pair.a.transport->Link(2) != nullptr; }));
  CHECK(pair.a.transport->Send(2, ItemKind::kRequest, "heard"));
  REQUIRE(pair.Until([&] { return !pair.b.recorder.items.empty(); }));
  CHECK(pair.b.recorder.items[0].bytes == "heard");
  CHECK(pair.a.recorder.ups == 2);
  CHECK(pair.a.StatsOf(2).connects == 2);
  CHECK(pair.a.recorder.downs.size() == 1);  // attempts that fail are no links that go down
}

TEST_CASE("nodes that dial each other send by their own link, and by the other's without it") {
  Pair pair;
  pair.Start();
  pair.b.transport->SetPeers({pair.a.peer()});
  REQUIRE(pair.Until([&] { return pair.a.recorder.ups == 2 && pair.b.recorder.ups == 2; }));
  CHECK(pair.a.transport->Link(2)->dialed());
  CHECK(pair.b.transport->Link(1)->dialed());
  CHECK(pair.a.transport->Stats().size() == 1);
  const uint64_t dialed = pair.a.transport->Link(2)->id();
  CHECK(pair.a.transport->FindLink(dialed) == pair.a.transport->Link(2));
  pair.a.transport->Link(2)->Close(Status::IoError("for the test"));
  CHECK(pair.a.transport->FindLink(dialed) == nullptr);
  bool other = false;
  pair.a.recorder.on_down = [&](PeerLink& link) {
    CHECK(link.id() == dialed);
    PeerLink* const left = pair.a.transport->Link(2);
    other = left != nullptr && !left->dialed();
  };
  REQUIRE(pair.Until([&] { return !pair.a.recorder.downs.empty(); }));
  CHECK(pair.a.recorder.downs[0] == "for the test");
  CHECK(other);
  REQUIRE(pair.Until([&] {
    PeerLink* const link = pair.a.transport->Link(2);
    return link != nullptr && link->dialed();
  }));
}

TEST_CASE("an answer goes by the link by which the question came") {
  Pair pair;
  pair.Start();
  pair.b.recorder.on_item = [](PeerLink& link, const PeerRecorder::Item& item) {
    CHECK(link.Send(ItemKind::kReply, "re: ", item.bytes));
  };
  REQUIRE(pair.a.transport->Send(2, ItemKind::kRequest, "question"));
  REQUIRE(pair.Until([&] { return pair.a.recorder.items.size() == 1; }));
  CHECK(pair.a.recorder.items[0].bytes == "re: question");
}

TEST_CASE("peers come and go") {
  Nodes nodes;
  Node& a = nodes.AddStarted(1);
  Node& b = nodes.AddStarted(2);
  Node& c = nodes.AddStarted(3);
  a.transport->SetPeers({b.peer(), c.peer()});
  b.transport->SetPeers({a.peer()});
  REQUIRE(nodes.Until([&] {
    return a.transport->Link(2) != nullptr && a.transport->Link(3) != nullptr &&
           a.recorder.ups == 3;
  }));
  // A node that is removed loses the link that it dialed, too. The others' stay.
  PeerLink* const to_c = a.transport->Link(3);
  a.transport->SetPeers({c.peer()});
  CHECK(a.transport->Link(2) == nullptr);
  REQUIRE(nodes.Until([&] { return a.recorder.downs.size() == 2; }));
  CHECK(a.transport->Link(3) == to_c);
  // It may be somewhere else now.
  Node& moved = nodes.AddStarted(3);
  a.transport->SetPeers({moved.peer()});
  REQUIRE(nodes.Until([&] { return moved.recorder.ups == 1 && a.transport->Link(3) != nullptr; }));
  CHECK(a.transport->Link(3) != to_c);
  CHECK(a.transport->Link(3)->address() == moved.address());
  // While it is being dialed, too.
  a.transport->SetPeers({{9, "127.0.0.1:1"}});
  a.transport->SetPeers({});
  REQUIRE(nodes.Until([&] { return a.transport->Link(3) == nullptr; }));
  nodes.RunFor(30);
  CHECK(a.StatsOf(9).id == raft::kNoNode);
}

TEST_CASE("a joining node knows addresses only, its own among them") {
  Nodes nodes;
  Node& seed = nodes.AddStarted(1);
  Node& joining = nodes.Add(2);
  joining.credentials.self.cluster_id = 0;
  joining.Start();
  joining.transport->SetPeers(
      {{raft::kNoNode, seed.address()}, {raft::kNoNode, joining.address()}});
  REQUIRE(nodes.Until([&] { return joining.transport->Link(1) != nullptr; }));
  CHECK(joining.transport->Link(1)->peer().cluster_id == 77);
  REQUIRE(joining.transport->Send(1, ItemKind::kJoin, "please"));
  REQUIRE(nodes.Until([&] { return seed.recorder.items.size() == 1; }));
  REQUIRE(seed.transport->Send(2, ItemKind::kJoinReply, "welcome"));
  REQUIRE(nodes.Until([&] { return joining.recorder.items.size() == 1; }));
  const std::vector<PeerStats> stats = joining.transport->Stats();
  REQUIRE(stats.size() == 2);
  CHECK(stats[0].address == joining.address());
  CHECK(stats[0].last_error.find("both ends are node") != std::string::npos);
  CHECK(stats[1].id == 1);
  // Now that it knows them, it says who it is.
  Hello self = joining.credentials.self;
  self.cluster_id = 77;
  joining.transport->SetSelf(self);
  joining.transport->SetPeers({seed.peer()});
  REQUIRE(nodes.Until([&] {
    PeerLink* const link = seed.transport->Link(2);
    return link != nullptr && link->peer().cluster_id == 77;
  }));
}

TEST_CASE("a core that dials again replaces its older link, another core's stays") {
  Nodes nodes;
  Node& server = nodes.AddStarted(1);
  std::vector<PeerRecorder> recorders(3);
  std::vector<std::unique_ptr<Transport>> cores;
  for (size_t i = 0; i < 3; ++i) {
    Credentials credentials = CredentialsOf(2);
    credentials.self.cores = 2;
    credentials.self.core_index = i == 2 ? 1 : static_cast<uint32_t>(i);
    cores.push_back(
        std::make_unique<Transport>(&nodes.loop, credentials, TransportOptions(), &recorders[i]));
    cores.back()->SetPeers({server.peer()});
    REQUIRE(nodes.Until(
        [&] { return recorders[i].ups == 1 && server.recorder.ups >= static_cast<int>(i) + 1; }));
  }
  REQUIRE(nodes.Until([&] { return !recorders[1].downs.empty(); }));
  CHECK(recorders[0].downs.empty());
  CHECK(recorders[2].downs.empty());
  CHECK(server.recorder.downs.at(0) == "the peer has dialed again");
}

TEST_CASE("links and peers may be dropped in every callback") {
  Pair pair;
  pair.Start();
  int seen = 0;
  pair.b.recorder.on_item = [&](PeerLink& link, const PeerRecorder::Item&) {
    if (++seen == 2) link.Close(Status::IoError("enough"));
    CHECK(seen <= 2);
  };
  for (int i = 0; i < 5; ++i) REQUIRE(pair.a.transport->Send(2, ItemKind::kRequest, "x"));
  REQUIRE(pair.Until([&] { return !pair.b.recorder.downs.empty(); }));
  CHECK(seen == 2);
  pair.b.recorder.on_item = nullptr;
  // In OnUp, OnClock, OnItem and OnDown of a link that one dialed.
  REQUIRE(pair.Until([&] { return pair.a.transport->Link(2) != nullptr; }));
  pair.a.recorder.on_item = [&](PeerLink&, const PeerRecorder::Item&) {
    pair.a.transport->SetPeers({});
  };
  pair.a.recorder.on_down = [&](PeerLink&) {
    pair.a.transport->SetPeers({});
    pair.a.transport->SetPeers({pair.b.peer()});
    pair.a.recorder.on_up = [&](PeerLink&) { pair.a.transport->SetPeers({}); };
    pair.a.recorder.on_down = nullptr;
  };
  const size_t downs = pair.a.recorder.downs.size();
  REQUIRE(pair.Until([&] { return pair.b.transport->Send(1, ItemKind::kReply, "x"); }));
  REQUIRE(pair.Until([&] { return pair.a.recorder.downs.size() == downs + 2; }));
  CHECK(pair.a.transport->Link(2) == nullptr);
  CHECK(pair.a.transport->Stats().empty());
}

TEST_CASE("idle links stay up") {
  Pair pair;
  for (Node* node : {&pair.a, &pair.b}) {
    node->options.link.ping_ms = 20;
    node->options.link.silence_ms = 200;
  }
  pair.Start();
  pair.nodes.RunFor(600);
  CHECK(pair.a.recorder.downs.empty());
  CHECK(pair.b.recorder.downs.empty());
  CHECK(pair.a.StatsOf(2).counters.frames_received >= 5);
  CHECK(pair.a.recorder.items.empty());
}

TEST_CASE("a peer that falls silent is given up") {
  Pair pair;
  pair.a.options.link.silence_ms = 200;
  pair.b.options.link.ping_ms = 60'000;
  pair.b.options.link.silence_ms = 60'000;
  pair.Start();
  REQUIRE(pair.Until([&] { return !pair.a.recorder.downs.empty(); }));
  CHECK(pair.a.recorder.downs[0] == "nothing heard for 200 ms");
}

TEST_CASE("P19_a_process_that_was_stopped_does_not_blame_its_peers") {
  Pair pair;
  for (Node* node : {&pair.a, &pair.b}) {
    node->options.link.ping_ms = 100;
    node->options.link.silence_ms = 400;
  }
  pair.Start();
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    pair.nodes.RunFor(20);
  }
  CHECK(pair.a.recorder.downs.empty());
  CHECK(pair.b.recorder.downs.empty());
}

TEST_CASE("a broadcast goes to every peer that can be reached, by dialed links only") {
  Nodes nodes;
  Node& a = nodes.Add(1);
  Node& b = nodes.Add(2);
  Node& old = nodes.Add(3);
  old.credentials.self.protocol_max = 1;
  for (Node* node : {&a, &b, &old}) node->Start();
  a.transport->SetPeers({b.peer(), old.peer(), {9, Loopback(1)}});
  REQUIRE(nodes.Until([&] {
    return a.transport->Link(2) != nullptr && a.transport->Link(3) != nullptr &&
           b.recorder.ups > 0 && old.recorder.ups > 0;
  }));
  const auto broadcast = [](Node& node, size_t max_pending, std::string_view body) {
    return node.transport->Broadcast(ItemKind::kPublish, kProtocolWithPublications, max_pending,
                                     "head ", body);
  };
  // One is too old for it, one isn't there.
  CHECK(broadcast(a, 1000, "body") == 2);
  REQUIRE(nodes.Until([&] { return b.recorder.items.size() == 1; }));
  CHECK(b.recorder.items[0].kind == ItemKind::kPublish);
  CHECK(b.recorder.items[0].bytes == "head body");
  CHECK(old.recorder.items.empty());
  // That link was dialed over there.
  CHECK(b.transport->Link(1) != nullptr);
  CHECK(broadcast(b, 1000, "body") == 0);
  // What waits to be read counts, and one item may be larger than the limit.
  CHECK(broadcast(a, 1000, std::string(5000, 'x')) == 2);
  CHECK(broadcast(a, 1000, "more") == 3);
  REQUIRE(nodes.Until([&] { return b.recorder.items.size() == 2; }));
  CHECK(broadcast(a, 1000, "again") == 2);
  REQUIRE(nodes.Until([&] { return b.recorder.items.size() == 3; }));
  CHECK(b.recorder.items[2].bytes == "head again");
  CHECK(a.recorder.items.empty());
}

}  // namespace
}  // namespace holdfast::replica
