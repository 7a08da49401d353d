#include <string>

#include "commands/client_list.h"
#include "commands/client_name.h"
#include "engine/client.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

class FakeClient final : public engine::Client {
 public:
  explicit FakeClient(uint64_t the_id) : Client(nullptr, the_id) {}
  void Flush() override {}
  void Close(std::string_view) override { closing = true; }
  void Resume() override {}
  size_t input_bytes() const override { return input; }
  size_t output_bytes() const override { return replies.bytes() + unsent; }

  size_t input = 0;
  size_t unsent = 0;
};

std::string Line(const FakeClient& client, size_t request_bytes, int64_t now_ms) {
  std::string line;
  AppendClientLine(client, request_bytes, now_ms, &line);
  return line;
}

TEST_CASE("names are printable and without blanks") {
  CHECK(IsPlainName(""));
  CHECK(IsPlainName("worker-1:!~"));
  for (const std::string_view bad : {" ", "a b", "a\n", "\t", "\x7f", "\xc3\xa4"}) {
    CAPTURE(bad);
    CHECK_FALSE(IsPlainName(bad));
  }
  CHECK_FALSE(IsPlainName(std::string_view("a\0b", 3)));
}

TEST_CASE("the size of a request is that of its bytes") {
  const std::vector<std::string_view> list = {"client", "list"};
  CHECK(RequestBytes(list) == std::string_view("*2\r\n$6\r\nclient\r\n$4\r\nlist\r\n").size());
  const std::string long_arg(12345, 'x');
  const std::vector<std::string_view> set = {"set", "", long_arg};
  CHECK(RequestBytes(set) ==
        std::string_view("*3\r\n$3\r\nset\r\n$0\r\n\r\n$12345\r\n").size() + long_arg.size() + 2);
}

TEST_CASE("a client's line has Redis's fields in Redis's order") {
  FakeClient client(7);
  client.address = "127.0.0.1:50000";
  client.local_address = "127.0.0.1:6379";
  client.fd = 9;
  client.created_ms = 1000;
  client.last_interaction_ms = 5500;
  const std::string line = Line(client, 26, 8000);
  const std::string memory = std::to_string(ClientMemory(client));
  CHECK(line ==
        "id=7 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=9 name= age=7 idle=2 flags=N db=0 sub=0 "
        "psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=0 argv-mem=26 multi-mem=0 rbs=0 rbp=0 obl=0 "
        "oll=0 omem=0 tot-mem=" +
            memory + " events=r cmd=NULL user=(superuser) redir=-1 resp=2 lib-name= lib-ver=\n");
}

TEST_CASE("a client's line shows its state") {
  FakeClient client(8);
  client.name = "worker";
  client.lib_name = "redis-py";
  client.lib_version = "5.0";
  client.db = 3;
  client.protocol = 3;
  client.in_multi = true;
  client.monitor = true;
  client.no_evict = true;
  client.no_touch = true;
  client.close_after_reply = true;
  client.input = 100;
  client.unsent = 50;
  const std::string line = Line(client, 0, 0);
  for (const std::string_view part :
       {" name=worker ", " flags=OxceT ", " db=3 ", " multi=0 ", " qbuf=100 ", " oll=1 omem=50 ",
        " events=rw ", " resp=3 ", " lib-name=redis-py lib-ver=5.0\n"}) {
    CAPTURE(part);
    CHECK(line.find(part) != std::string::npos);
  }
}

TEST_CASE("filters") {
  FakeClient client(5);
  client.address = "1.2.3.4:5";
  client.local_address = "6.7.8.9:10";
  ClientFilter filter;
  CHECK(filter.Matches(client));
  filter.ids = {4, 6};
  CHECK_FALSE(filter.Matches(client));
  filter.ids = {4, 5, 6};
  CHECK(filter.Matches(client));
  filter.address = "1.2.3.4:6";
  CHECK_FALSE(filter.Matches(client));
  filter.address = "1.2.3.4:5";
  filter.local_address = "6.7.8.9:10";
  CHECK(filter.Matches(client));
  filter.type = ClientType::kReplica;
  CHECK_FALSE(filter.Matches(client));
  client.monitor = true;
  CHECK(filter.Matches(client));
  filter.except = 5;
  CHECK_FALSE(filter.Matches(client));
}

TEST_CASE("client types") {
  CHECK(ParseClientType("NORMAL") == ClientType::kNormal);
  CHECK(ParseClientType("slave") == ClientType::kReplica);
  CHECK(ParseClientType("replica") == ClientType::kReplica);
  CHECK(ParseClientType("pubsub") == ClientType::kPubsub);
  CHECK(ParseClientType("master") == ClientType::kMaster);
  CHECK_FALSE(ParseClientType("").has_value());
  CHECK_FALSE(ParseClientType("normals").has_value());
}

}  // namespace
}  // namespace holdfast::commands
