// Links and the listener against peers that don't behave: what they send is written by hand.
#include "replica/peer_link.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replica/command_reader.h"

// Last, because doctest's CHECK replaces the one of base/check.h.
#include "peers.h"

namespace holdfast::replica {
namespace {

std::string Bytes(std::string_view name, std::string_view body) {
  return std::string(Command(name, body).bytes());
}

// A dialer made by hand.
class Stranger {
 public:
  Stranger(Nodes* nodes, const Node& server, Credentials credentials = CredentialsOf(9))
      : nodes_(nodes),
        credentials_(std::move(credentials)),
        handshake_(&credentials_),
        client_(server.port) {}

  void Send(const std::string& bytes) { REQUIRE(client_.Send(bytes) == bytes.size()); }
  void SendHello() { Send(Bytes(kHelloCommand, handshake_.Start(raft::kNoNode))); }
  // Waits for the answer and sends the proof.
  void SendAuth() {
    std::string mac;
    REQUIRE(nodes_->Until([&] {
      client_.Receive();
      return Complete(&mac);
    }));
    client_.received().clear();
    Send(Bytes(kAuthCommand, mac));
  }
  // What it is told before the server closes.
  std::string LastWords() {
    REQUIRE(nodes_->Until([&] {
      client_.Receive();
      return client_.eof() || client_.error() != 0;
    }));
    return client_.received();
  }
  void WaitFor(const std::string& bytes) {
    REQUIRE(nodes_->Until([&] {
      client_.Receive();
      return client_.received() == bytes;
    }));
  }
  net::Client& client() { return client_; }

 private:
  bool Complete(std::string* mac) {
    bool done = false;
    CommandReader reader;
    (void)reader.Feed(client_.received(), 10'000, [&](const WireItem& item) {
      REQUIRE(item.type == WireItem::Type::kBulk);
      *mac = handshake_.OnAnswer(item.body).value();
      return done = true;
    });
    return done;
  }

  Nodes* nodes_;
  Credentials credentials_;
  DialerHandshake handshake_;
  net::Client client_;
};

TEST_CASE("the listener's handshake, step by step") {
  Nodes nodes;
  Node& server = nodes.AddStarted(1);
  Stranger peer(&nodes, server);
  peer.SendHello();
  REQUIRE(nodes.Until([&] { return server.listener->unauthenticated() == 1; }));
  peer.SendAuth();
  peer.WaitFor("+OK\r\n");
  CHECK(server.listener->unauthenticated() == 0);
  CHECK(server.listener->accepted() == 1);
  REQUIRE(nodes.Until([&] { return server.recorder.ups == 1; }));
  FrameWriter writer;
  writer.Add(ItemKind::kRaft, 5)->append("hello");
  peer.Send(Bytes(kFrameCommand, writer.Finish(0)));
  REQUIRE(nodes.Until([&] { return server.recorder.items.size() == 1; }));
  CHECK(server.recorder.items[0].from == 9);
  peer.client().Close();
  REQUIRE(nodes.Until([&] { return server.recorder.downs.size() == 1; }));
}

TEST_CASE("the listener sends strangers away") {
  Nodes nodes;
  Node& server = nodes.AddStarted(1);
  const auto told = [&](const std::string& bytes) {
    Stranger stranger(&nodes, server);
    stranger.Send(bytes);
    const std::string words = stranger.LastWords();
    CHECK(words.starts_with("-ERR "));
    CHECK(words.ends_with("\r\n"));
    return words;
  };
  const std::string no_node = "-ERR not what a Holdfast node sends its peers\r\n";
  CHECK(told("PING\r\n") == no_node);
  CHECK(told("*1\r\n$4\r\nPING\r\n") == no_node);
  CHECK(told("GET / HTTP/1.1\r\n\r\n") == no_node);
  CHECK(told(Bytes("AUTH", "secret")).find("RAFT.HELLO") != std::string::npos);
  CHECK(told(Bytes(kAuthCommand, std::string(32, 'x'))).find("RAFT.HELLO") != std::string::npos);
  CHECK(told(Bytes(kFrameCommand, "x")).find("RAFT.HELLO") != std::string::npos);
  CHECK(told(Bytes(kHelloCommand, "x")) == "-ERR not the hello of a Holdfast node\r\n");
  CHECK(server.listener->unauthenticated() == 0);
  CHECK(server.listener->refused() == 7);
  CHECK(server.listener->accepted() == 0);
  CHECK(server.recorder.ups == 0);
}

TEST_CASE("the listener takes one hello and the right proof") {
  Nodes nodes;
  Node& server = nodes.AddStarted(1);
  {
    Stranger stranger(&nodes, server);
    stranger.SendHello();
    stranger.SendHello();
    CHECK(stranger.LastWords().find("-ERR") != std::string::npos);
  }
  {
    Stranger stranger(&nodes, server);
    stranger.SendHello();
    stranger.Send(Bytes(kAuthCommand, std::string(32, 'x')));
    CHECK(stranger.LastWords().ends_with("-ERR the cluster secrets are not the same\r\n"));
  }
  {
    // Goes on before it is told that it is in: those bytes would be lost between the cores.
    Stranger stranger(&nodes, server);
    stranger.SendHello();
    std::string rest;
    REQUIRE(nodes.Until([&] {
      stranger.client().Receive();
      return stranger.client().received().size() > 100;
    }));
    Credentials credentials = CredentialsOf(9);
    stranger.SendAuth();
    stranger.WaitFor("+OK\r\n");
  }
  CHECK(server.listener->accepted() == 1);
}

TEST_CASE("the listener's patience is bounded") {
  Nodes nodes;
  Node& server = nodes.Add(1);
  server.listener_options.max_unauthenticated_bytes = 5000;
  server.listener_options.max_unauthenticated = 4;
  SUBCASE("in time") {
    server.listener_options.handshake_timeout_ms = 100;
    server.Start();
    Stranger silent(&nodes, server);
    CHECK(silent.LastWords() == "-ERR the handshake took longer than 100 ms\r\n");
    Stranger half(&nodes, server);
    half.SendHello();
    CHECK(half.LastWords().ends_with("-ERR the handshake took longer than 100 ms\r\n"));
  }
  SUBCASE("in bytes") {
    server.Start();
    Stranger large(&nodes, server);
    large.Send("*2\r\n$10\r\nRAFT.HELLO\r\n$1000000\r\n" + std::string(6000, 'x'));
    const std::string words = large.LastWords();
    CHECK(words == "-ERR more than 5000 bytes before the end of the handshake\r\n");
  }
  SUBCASE("in number") {
    server.Start();
    std::vector<std::unique_ptr<Stranger>> strangers;
    for (size_t i = 0; i < 6; ++i) {
      strangers.push_back(std::make_unique<Stranger>(&nodes, server));
      REQUIRE(nodes.Until(
          [&] { return server.listener->unauthenticated() == std::min<size_t>(i + 1, 4); }));
    }
    for (size_t i = 0; i < 2; ++i) {
      CHECK(strangers[i]->LastWords() ==
            "-ERR too many connections that are not authenticated\r\n");
    }
    CHECK(server.listener->unauthenticated() <= 4);
  }
}

TEST_CASE("the handshake between nodes: who is refused, and what the dialer is told") {
  Nodes nodes;
  Node& server = nodes.Add(1);
  Node& dialer = nodes.Add(2);
  std::string expected;
  Peer peer{1, ""};
  SUBCASE("another secret") {
    dialer.credentials.secret = "other";
    expected = "the cluster secrets are not the same";
  }
  SUBCASE("no secret here") {
    dialer.credentials.secret = "";
    expected = "refused by the peer: a cluster secret is set here, and none on the peer";
  }
  SUBCASE("no secret there") {
    server.credentials.secret = "";
    expected = "refused by the peer: no cluster secret is set here, and one on the peer";
  }
  SUBCASE("another cluster") {
    server.credentials.self.cluster_id = 78;
    expected =
        "node 0000000000000002 belongs to cluster 000000000000004d, node 0000000000000001 "
        "to 000000000000004e";
  }
  SUBCASE("the same node") {
    dialer.credentials.self.node_id = 1;
    peer.id = raft::kNoNode;
    expected = "both ends are node 0000000000000001: its own address, or a copy of its data";
  }
  SUBCASE("another node than expected") {
    peer.id = 3;
    expected = "node 0000000000000001 answers where node 0000000000000003 was expected";
  }
  SUBCASE("another protocol") {
    server.credentials.self.protocol_min = server.credentials.self.protocol_max = 9;
    expected = "node 0000000000000002 speaks the protocol versions 1.." +
               std::to_string(kProtocolMax) + ", node 0000000000000001 9..9";
  }
  SUBCASE("another data format") {
    server.credentials.self.data_format = 9;
    expected = "node 0000000000000002 has data format 0, node 0000000000000001 has 9";
  }
  SUBCASE("the acceptor's own rules") {
    server.credentials.authorize = [](const Hello& hello) {
      CHECK(hello.node_id == 2);
      return Status::Unsupported("node 2 was\r\nremoved");
    };
    expected = "refused by the peer: node 2 was  removed";
  }
  SUBCASE("the dialer's own rules") {
    dialer.credentials.authorize = [](const Hello&) { return Status::Unsupported("not today"); };
    expected = "not today";
  }
  server.Start();
  dialer.Start();
  peer.address = server.address();
  dialer.transport->SetPeers({peer});
  REQUIRE(nodes.Until([&] { return !dialer.transport->Stats().at(0).last_error.empty(); }));
  CHECK(dialer.transport->Stats().at(0).last_error == expected);
  nodes.RunFor(50);
  CHECK(dialer.recorder.ups == 0);
  CHECK(dialer.recorder.downs.empty());
  CHECK(server.recorder.ups == 0);
  CHECK(server.listener->accepted() == 0);
  CHECK(dialer.transport->Link(1) == nullptr);
}

TEST_CASE("no secret at all is enough when neither has one") {
  Nodes nodes;
  Node& server = nodes.Add(1);
  Node& dialer = nodes.Add(2);
  server.credentials.secret = dialer.credentials.secret = "";
  server.Start();
  dialer.Start();
  dialer.transport->SetPeers({server.peer()});
  CHECK(nodes.Until([&] { return dialer.transport->Link(1) != nullptr; }));
}

// A server that answers a dialer with what the test says.
struct FalseServer {
  Nodes nodes;
  net::Server server;  // on its own loop, turned by hand
  Node& dialer = nodes.Add(2);

  // What becomes of the dialed link when every connection is answered so.
  std::string Answer(const std::string& bytes, bool close = false) {
    if (bytes.empty() && !close) dialer.options.link.handshake_timeout_ms = 200;
    dialer.Start();
    dialer.transport->SetPeers({{1, Loopback(server.port)}});
    std::string error;
    REQUIRE(nodes.Until([&] {
      net::Timer once(&server.loop);
      once.Start(0, 0, [&] { server.loop.Stop(); });
      server.loop.Run();
      for (const auto& peer : server.peers) {
        if (peer->connection == nullptr || peer->handler.data.empty()) continue;
        peer->handler.data.clear();
        peer->connection->Write(bytes);
        if (close) peer->connection->CloseAfterWrite(100);
      }
      error = dialer.transport->Stats().at(0).last_error;
      return !error.empty();
    }));
    CHECK(dialer.recorder.ups == 0);
    return error;
  }
};

TEST_CASE("the dialer recognizes what isn't a node") {
  FalseServer server;
  const std::string no_node = "what answers there is no Holdfast node";
  SUBCASE("silence") { CHECK(server.Answer("") == "no answer to the handshake in 200 ms"); }
  SUBCASE("a Redis server") {
    CHECK(server.Answer("-ERR unknown command 'RAFT.HELLO'\r\n") ==
          "refused by the peer: unknown command 'RAFT.HELLO'");
  }
  SUBCASE("OK before any proof") { CHECK(server.Answer("+OK\r\n") == no_node); }
  SUBCASE("a frame before any proof") {
    CHECK(server.Answer(Bytes(kFrameCommand, "x")) == no_node);
  }
  SUBCASE("a bulk") { CHECK(server.Answer("$3\r\nabc\r\n") == "not the hello of a Holdfast node"); }
  SUBCASE("a web server") {
    CHECK(server.Answer("HTTP/1.1 400 Bad Request\r\n\r\n") ==
          "not what a Holdfast node sends its peers");
  }
  SUBCASE("too much") {
    CHECK(server.Answer("$1000000\r\n" + std::string(100'000, 'x')) ==
          "more than 16384 bytes in one piece");
  }
  SUBCASE("the end") { CHECK(server.Answer("", true) == "the peer closed the connection"); }
}

// A link that is up, to a peer made by hand.
struct HandMadePeer {
  Nodes nodes;
  Node& server = nodes.Add(1);
  std::unique_ptr<Stranger> peer;

  HandMadePeer() {
    server.options.link.max_frame_bytes = 10'000;
    server.Start();
    peer = std::make_unique<Stranger>(&nodes, server);
    peer->SendHello();
    peer->SendAuth();
    peer->WaitFor("+OK\r\n");
    REQUIRE(nodes.Until([&] { return server.recorder.ups == 1; }));
  }
  std::string DownAfter(const std::string& bytes) {
    peer->Send(bytes);
    REQUIRE(nodes.Until([&] { return !server.recorder.downs.empty(); }));
    (void)peer->LastWords();
    CHECK(server.transport->Link(9) == nullptr);
    return server.recorder.downs[0];
  }
};

TEST_CASE("a bad frame takes the link down, and says what was wrong") {
  HandMadePeer link;
  FrameWriter writer;
  writer.Add(ItemKind::kRaft, 5)->append("hello");
  std::string frame(writer.Finish(0));
  SUBCASE("checksum") {
    frame[20] ^= 1;
    CHECK(link.DownAfter(Bytes(kFrameCommand, frame)) == "frame: its checksum is wrong");
  }
  SUBCASE("magic") {
    frame[0] = 'x';
    CHECK(link.DownAfter(Bytes(kFrameCommand, frame)) == "frame: it does not begin like one");
  }
  SUBCASE("version") {
    frame[3] = '7';
    CHECK(link.DownAfter(Bytes(kFrameCommand, frame)) == "frame: it has another version");
  }
  SUBCASE("size") {
    writer.Add(ItemKind::kRaft, 10'000)->append(std::string(10'000, 'x'));
    frame = writer.Finish(0);
    CHECK(link.DownAfter(Bytes(kFrameCommand, frame)) == "frame: it has 10027 bytes");
  }
  SUBCASE("a size that is only announced") {
    CHECK(link.DownAfter("*2\r\n$10\r\nRAFT.FRAME\r\n$100000000\r\n" + std::string(20'000, 'x')) ==
          "more than 10000 bytes in one piece");
  }
  SUBCASE("another command") {
    CHECK(link.DownAfter(Bytes("RAFT.HELLO", "x")) == "the peer sent something else than a frame");
  }
  SUBCASE("another item") {
    CHECK(link.DownAfter("+OK\r\n") == "the peer sent something else than a frame");
  }
  SUBCASE("noise") {
    CHECK(link.DownAfter("noise\r\n") == "not what a Holdfast node sends its peers");
  }
  CHECK(link.server.recorder.items.empty());
}

TEST_CASE("frames before a bad one count, and none after it") {
  HandMadePeer link;
  FrameWriter writer;
  std::string good;
  for (const char* bytes : {"one", "two"}) {
    writer.Add(ItemKind::kRaft, 3)->append(bytes);
    good += Bytes(kFrameCommand, writer.Finish(0));
  }
  link.DownAfter(good + Bytes(kFrameCommand, "bad") + good);
  REQUIRE(link.server.recorder.items.size() == 2);
  CHECK(link.server.recorder.items[1].bytes == "two");
}

TEST_CASE("a frame that comes byte by byte") {
  HandMadePeer link;
  FrameWriter writer;
  writer.Add(ItemKind::kRaft, 3)->append("one");
  writer.Add(ItemKind::kCancel, 0);
  for (const char byte : Bytes(kFrameCommand, writer.Finish(5))) {
    link.peer->Send(std::string(1, byte));
    REQUIRE(link.nodes.Until([&] { return true; }));
  }
  REQUIRE(link.nodes.Until([&] { return link.server.recorder.items.size() == 2; }));
  CHECK(link.server.recorder.items[1].bytes.empty());
  CHECK(link.server.recorder.clocks == std::vector<uint64_t>{5});
}

}  // namespace
}  // namespace holdfast::replica
