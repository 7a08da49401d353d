#include "cluster/view.h"

#include <string>

#include <doctest/doctest.h>

namespace holdfast::cluster {
namespace {

TEST_CASE("ids are 16 hexadecimal digits and nothing else") {
  raft::NodeId id = 0;
  CHECK(ParseId(FormatId(0x1234abcd), &id));
  CHECK(id == 0x1234abcd);
  CHECK(FormatId(id) == "000000001234abcd");
  for (const char* bad : {"", "0000000000000000", "000000001234abc", "000000001234abcde",
                          "000000001234ABCD", "000000001234abcx"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseId(bad, &id));
  }
  std::vector<raft::NodeId> ids;
  CHECK(ParseIds("-", &ids));
  CHECK(ids.empty());
  CHECK(ParseIds(FormatIds({7, 8}), &ids));
  CHECK(ids == std::vector<raft::NodeId>{7, 8});
  CHECK_FALSE(ParseIds("", &ids));
  CHECK_FALSE(ParseIds(FormatId(7) + ",", &ids));
}

TEST_CASE("records come back as they were, and nothing else is taken for one") {
  const NodeRecord node{NodeState::kLeaving, "10.0.0.1:16379", "10.0.0.1:6379"};
  NodeRecord node_back;
  REQUIRE(DecodeNode(EncodeNode(node), &node_back).ok());
  CHECK(node_back == node);
  const NodeRecord silent{NodeState::kJoining, "[::1]:16379", ""};
  REQUIRE(DecodeNode(EncodeNode(silent), &node_back).ok());
  CHECK(node_back == silent);
  const PartitionRecord partition{12, {1, 2, 3}, {4}};
  PartitionRecord partition_back;
  REQUIRE(DecodePartition(EncodePartition(partition), &partition_back).ok());
  CHECK(partition_back == partition);

  for (const char* bad : {"", "1", "1 member", "1 member a:1", "1 nobody a:1 -", "1 member a:1 - x",
                          "1  member a:1 -"}) {
    CAPTURE(bad);
    CHECK(DecodeNode(bad, &node_back).code() == Code::kCorruption);
  }
  CHECK(DecodeNode("2 member a:1 -", &node_back).code() == Code::kUnsupported);
  for (const char* bad : {"", "1 x - -", "1 5 zz -", "1 5 -"}) {
    CAPTURE(bad);
    CHECK(DecodePartition(bad, &partition_back).code() == Code::kCorruption);
  }
}

std::string PayloadOf(const std::string& key, const std::string& value) {
  std::string payload;
  data::AppendPayloadHeader(&payload);
  data::Effect effect;
  effect.kind = data::EffectKind::kPut;
  effect.slot = KeySlot(key);
  effect.key = key;
  effect.value = value;
  effect.meta.revision = effect.meta.created = 9;
  effect.meta.version = 1;
  data::AppendEffect(&payload, effect);
  return payload;
}

TEST_CASE("the view follows committed entries, and refuses records that can't be read") {
  ViewBuilder builder;
  const NodeRecord record{NodeState::kMember, "a:1", "a:2"};
  REQUIRE(builder.Apply(PayloadOf(NodeKey(5), EncodeNode(record))).ok());
  REQUIRE(builder.Apply(PayloadOf(PartitionKey(3), EncodePartition({4, {5}, {}}))).ok());
  REQUIRE(builder.Apply(PayloadOf("of/a/later/version", "?")).ok());
  REQUIRE(builder.view().Find(5) != nullptr);
  CHECK(*builder.view().Find(5) == record);
  CHECK(builder.view().Find(6) == nullptr);
  CHECK(builder.view().partitions.at(3).voters == std::vector<raft::NodeId>{5});
  CHECK(builder.Apply(PayloadOf(NodeKey(5), "nonsense")).code() == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::cluster
