#include "replica/frame.h"

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"
#include "replica/command_reader.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

using Item = std::pair<ItemKind, std::string>;

std::string Frame(FrameWriter* writer, const std::vector<Item>& items, uint64_t clock) {
  size_t size = kFrameHeaderBytes + kFrameTrailerBytes;
  for (const auto& [kind, bytes] : items) {
    writer->Add(kind, bytes.size())->append(bytes);
    size += FramedItemSize(bytes.size());
    CHECK(writer->size() == size);
  }
  CHECK(writer->items() == items.size());
  return std::string(writer->Finish(clock));
}

std::vector<Item> ItemsIn(std::string_view frame) {
  std::vector<Item> items;
  ForEachItem(frame, [&](ItemKind kind, std::string_view bytes) {
    items.emplace_back(kind, bytes);
    return true;
  });
  return items;
}

std::vector<Item> RandomItems(Rng* rng) {
  std::vector<Item> items(rng->Below(8));
  for (auto& [kind, bytes] : items) {
    kind = static_cast<ItemKind>(1 + rng->Below(kMaxItemKind));
    bytes.assign(rng->Chance(1, 8) ? rng->Below(70'000) : rng->Below(200),
                 static_cast<char>(rng->Below(256)));
  }
  return items;
}

// A frame of anything, with the right checksum.
std::string Signed(std::string frame) {
  AppendFixed64(&frame, Hash64(frame));
  return frame;
}

TEST_CASE("frames come back as they were") {
  Rng rng(1);
  FrameWriter writer;
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Item> items = RandomItems(&rng);
    const uint64_t clock = rng.Next();
    CHECK(writer.empty());
    const std::string frame = Frame(&writer, items, clock);
    FrameHeader header;
    REQUIRE(CheckFrame(frame, &header).ok());
    CHECK(header.items == items.size());
    CHECK(header.clock == clock);
    CHECK(ItemsIn(frame) == items);
  }
}

TEST_CASE("a writer starts anew") {
  FrameWriter writer;
  const std::string empty(writer.Finish(0));
  FrameHeader header;
  REQUIRE(CheckFrame(empty, &header).ok());
  CHECK(header.items == 0);
  CHECK(empty.size() == kFrameHeaderBytes + kFrameTrailerBytes);
  writer.Add(ItemKind::kRaft, 1)->append("x");
  writer.Reset();
  CHECK(writer.empty());
  CHECK(writer.Finish(0) == empty);
  CHECK(writer.Finish(0) == empty);
}

TEST_CASE("reading stops when it is told to") {
  FrameWriter writer;
  const std::string frame = Frame(
      &writer, {{ItemKind::kRaft, "a"}, {ItemKind::kRequest, "b"}, {ItemKind::kReply, "c"}}, 0);
  std::string seen;
  ForEachItem(frame, [&](ItemKind, std::string_view bytes) {
    seen += bytes;
    return seen.size() < 2;
  });
  CHECK(seen == "ab");
}

TEST_CASE("every flipped bit is found") {
  FrameWriter writer;
  const std::string frame =
      Frame(&writer, {{ItemKind::kRaft, std::string(300, 'a')}, {ItemKind::kReply, "b"}}, 77);
  FrameHeader header;
  for (size_t at = 0; at < frame.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = frame;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      CAPTURE(at);
      CHECK(!CheckFrame(damaged, &header).ok());
    }
  }
  for (size_t n = 0; n < frame.size(); ++n) {
    CHECK(CheckFrame(std::string_view(frame).substr(0, n), &header).code() == Code::kCorruption);
  }
  CHECK(CheckFrame(frame + "x", &header).code() == Code::kCorruption);
}

TEST_CASE("another version is told from noise") {
  FrameWriter writer;
  std::string frame = Frame(&writer, {}, 0);
  frame[3] = '2';
  FrameHeader header;
  CHECK(CheckFrame(frame, &header).code() == Code::kUnsupported);
  frame[0] = 'X';
  CHECK(CheckFrame(frame, &header).code() == Code::kCorruption);
}

TEST_CASE("a right checksum over wrong items doesn't help") {
  std::string good("HFF1\x01\0\0\0\0\0\0\0\0\0\0\0", 16);
  FrameHeader header;
  REQUIRE(CheckFrame(Signed(good + std::string("\x01\x01x")), &header).ok());
  for (const std::string& items :
       {std::string(), std::string("\0\x01x", 3),
        std::string{static_cast<char>(kMaxItemKind + 1), '\x01', 'x'}, std::string("\x01"),
        std::string("\x01\x02x"), std::string("\x01\x01x\x01\x01y"), std::string("\x01\x81\0x", 4),
        std::string("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x")}) {
    CAPTURE(items);
    CHECK(CheckFrame(Signed(good + items), &header).code() == Code::kCorruption);
  }
}

// ---- RESP around it

std::string Show(const WireItem& item) {
  const char* const types[] = {"command", "status", "error", "bulk"};
  return std::string(types[static_cast<int>(item.type)]) + " " + std::string(item.name) + " " +
         std::string(item.body);
}

TEST_CASE("the reader finds what was sent, whole or in pieces") {
  std::string stream = "+OK\r\n-ERR no\r\n$3\r\nabc\r\n$0\r\n\r\n";
  const std::string large(3000, 'z');
  for (const std::string& body : {std::string("one"), std::string(), large, large}) {
    stream += Command("RAFT.FRAME", body).bytes();
  }
  std::vector<std::string> expected = {
      "status  OK", "error  ERR no",          "bulk  abc",
      "bulk  ",     "command RAFT.FRAME one", "command RAFT.FRAME "};
  expected.insert(expected.end(), 2, "command RAFT.FRAME " + large);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, stream.size()}) {
    CAPTURE(piece);
    CommandReader reader;
    std::vector<std::string> seen;
    for (size_t at = 0; at < stream.size(); at += piece) {
      REQUIRE(reader
                  .Feed(std::string_view(stream).substr(at, piece), 10'000,
                        [&](const WireItem& item) {
                          seen.push_back(Show(item));
                          return true;
                        })
                  .ok());
    }
    CHECK(seen == expected);
    CHECK(reader.pending_bytes() == 0);
  }
}

TEST_CASE("the reader takes nothing else") {
  for (const char* bytes :
       {"PING\r\n", ":1\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "*1\r\n$4\r\nPING\r\n",
        "*3\r\n$1\r\na\r\n", "*2\r\n*2\r\n", "*2\r\n:1\r\n", "*2\r\n$1\r\na\r\n:1\r\n",
        "*2\r\n+a\r\n$1\r\nb\r\n", "*2\r\n$33\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        "*2\r\n$1\r\na\r\n$-1\r\n", "*99999999999\r\n", "$99999999999999999999\r\n", "$-7\r\n"}) {
    CAPTURE(bytes);
    CommandReader reader;
    const Status status = reader.Feed(bytes, 100, [](const WireItem&) { return true; });
    CHECK(status.code() == Code::kCorruption);
  }
}

TEST_CASE("the reader holds no more than it may") {
  CommandReader reader;
  const std::string head = "*2\r\n$10\r\nRAFT.FRAME\r\n$1000000000\r\n";
  const auto any = [](const WireItem&) { return true; };
  REQUIRE(reader.Feed(head, 1000, any).ok());
  REQUIRE(reader.Feed(std::string(900, 'x'), 1000, any).ok());
  CHECK(reader.Feed(std::string(500, 'x'), 1000, any).code() == Code::kNoSpace);
}

TEST_CASE("the reader stops when it is told to") {
  CommandReader reader;
  int seen = 0;
  const Status status =
      reader.Feed("+OK\r\n+OK\r\n+OK\r\n", 100, [&](const WireItem&) { return ++seen < 2; });
  CHECK(status.ok());
  CHECK(seen == 2);
}

}  // namespace
}  // namespace holdfast::replica
