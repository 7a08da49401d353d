#include "replica/message_codec.h"

#include <string>
#include <utility>
#include <vector>

#include "messages.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

std::string Encode(uint32_t partition, const raft::Message& message) {
  std::string bytes;
  AppendMessage(&bytes, partition, message);
  CHECK(bytes.size() == EncodedMessageSize(partition, message));
  return bytes;
}

Status Decode(std::string_view bytes) {
  uint32_t partition;
  raft::Message message;
  return DecodeMessage(bytes, &partition, &message);
}

raft::Message Sample() {
  raft::Message message;
  message.kind = raft::MessageKind::kAppend;
  message.from = 1;
  message.to = 2;
  message.term = 3;
  message.position = {.index = 4, .term = 3};
  message.entries = {{3, 5, raft::EntryKind::kNoop, nullptr},
                     {3, 6, raft::EntryKind::kData, Payload("payload")}};
  return message;
}

TEST_CASE("messages come back as they were") {
  Rng rng(1);
  raft::Message decoded;  // keeps what an earlier message left in it
  for (int i = 0; i < 20'000; ++i) {
    const raft::Message message = RandomMessage(&rng);
    const auto partition = static_cast<uint32_t>(RandomNumber(&rng));
    uint32_t decoded_partition = 0;
    const std::string bytes = Encode(partition, message);
    REQUIRE(DecodeMessage(bytes, &decoded_partition, &decoded).ok());
    CHECK(decoded_partition == partition);
    CHECK(Same(decoded, message));
    CHECK(Encode(partition, decoded) == bytes);
  }
}

TEST_CASE("every kind travels") {
  for (const raft::MessageKind kind : kMessageKinds) {
    raft::Message message;
    message.kind = kind;
    CHECK(Decode(Encode(0, message)).ok());
  }
}

TEST_CASE("payloads are copies, and none when empty") {
  raft::Message message = Sample();
  message.entries[0].payload = Payload("");
  std::string bytes = Encode(7, message);
  uint32_t partition;
  raft::Message decoded;
  REQUIRE(DecodeMessage(bytes, &partition, &decoded).ok());
  bytes.assign(bytes.size(), 'x');
  CHECK(decoded.entries[0].payload == nullptr);
  CHECK(*decoded.entries[1].payload == "payload");
}

TEST_CASE("the bytes are these") {
  raft::Message heartbeat;
  heartbeat.kind = raft::MessageKind::kHeartbeat;
  heartbeat.from = 1;
  heartbeat.to = 2;
  heartbeat.term = 300;
  heartbeat.rejected = true;
  // version, partition, kind, fields (from, to, term, rejected), from, to, term
  CHECK(Encode(9, heartbeat) == std::string("\x01\x09\x06\x8e\x02\x01\x02\xac\x02", 9));
  raft::Message append;
  append.kind = raft::MessageKind::kAppend;
  append.entries = {{3, 5, raft::EntryKind::kData, Payload("ab")}};
  CHECK(Encode(0, append) == std::string("\x01\x00\x04\x01\x01\x01\x03\x05\x02"
                                         "ab",
                                         11));
}

TEST_CASE("what ends early or late is refused") {
  const std::string bytes = Encode(70'000, Sample());
  for (size_t n = 0; n < bytes.size(); ++n) {
    CAPTURE(n);
    CHECK(!Decode(std::string_view(bytes).substr(0, n)).ok());
  }
  CHECK(Decode(bytes).ok());
  CHECK(Decode(bytes + '\0').code() == Code::kCorruption);
}

TEST_CASE("what nobody writes is refused") {
  const auto refused = [](std::string bytes, Code code = Code::kCorruption) {
    CAPTURE(bytes);
    CHECK(Decode(bytes).code() == code);
  };
  refused("");
  refused(std::string("\x02\x00\x04\x00", 4), Code::kUnsupported);
  refused(std::string("\x01\x80\x80\x80\x80\x10\x04\x00", 8));      // partition 2^32
  refused(std::string("\x01\x80\x00\x04\x00", 5));                  // a varint of two bytes for 0
  refused(std::string("\x01\x00\xff\x00", 4));                      // kind
  refused(std::string("\x01\x00\x04\x02\x00", 5));                  // a field that is 0
  refused(std::string("\x01\x00\x04\x80\x40", 5));                  // a bit without a field
  refused(std::string("\x01\x00\x04\x01\x00", 5));                  // no entries
  refused(std::string("\x01\x00\x04\x01\x02\x01\x03\x05\x00", 9));  // one of two entries
  refused(std::string("\x01\x00\x04\x01\x01\x63\x03\x05\x00", 9));  // an entry's kind
  // Lengths that nobody can have are not believed: no memory is taken for them.
  refused(std::string("\x01\x00\x04\x01\xff\xff\xff\xff\xff\xff\xff\x7f\x01", 13));
  refused(
      std::string("\x01\x00\x04\x01\x01\x01\x03\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 18));
}

TEST_CASE("damaged bytes either are refused or are another message's only encoding") {
  Rng rng(2);
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = Encode(3, RandomMessage(&rng));
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 + rng.Below(255)));
      uint32_t partition;
      raft::Message message;
      if (DecodeMessage(damaged, &partition, &message).ok()) {
        CHECK(Encode(partition, message) == damaged);
      }
    }
  }
}

}  // namespace
}  // namespace holdfast::replica
