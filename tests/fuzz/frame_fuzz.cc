// Arbitrary bytes as what a peer may send: nothing crashes, and what is taken encodes to the same
// bytes again.
//
// The first byte of the input chooses what the rest is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "replica/command_reader.h"
#include "replica/frame.h"
#include "replica/hello.h"
#include "replica/message_codec.h"
#include "replica/publication.h"

namespace holdfast::replica {
namespace {

void FuzzMessage(std::string_view bytes) {
  uint32_t partition;
  raft::Message message;
  if (!DecodeMessage(bytes, &partition, &message).ok()) return;
  std::string again;
  AppendMessage(&again, partition, message);
  CHECK(again == bytes);
  CHECK(EncodedMessageSize(partition, message) == bytes.size());
}

void FuzzPublication(std::string_view bytes) {
  Publication publication;
  if (!DecodePublication(bytes, &publication).ok()) return;
  CHECK(EncodePublicationHead(publication).append(publication.message) == bytes);
}

void FuzzFrame(std::string_view frame) {
  FrameHeader header;
  if (!CheckFrame(frame, &header).ok()) return;
  FrameWriter writer;
  ForEachItem(frame, [&](ItemKind kind, std::string_view bytes) {
    writer.Add(kind, bytes.size())->append(bytes);
    if (kind == ItemKind::kRaft) FuzzMessage(bytes);
    if (kind == ItemKind::kPublish) FuzzPublication(bytes);
    return true;
  });
  CHECK(writer.items() == header.items);
  CHECK(writer.Finish(header.clock) == frame);
}

// With the checksum that the fuzzer can't guess.
void FuzzSignedFrame(std::string_view bytes) {
  std::string frame(bytes);
  AppendFixed64(&frame, Hash64(frame));
  FuzzFrame(frame);
}

void FuzzHello(std::string_view bytes) {
  Hello hello;
  if (DecodeHello(bytes, &hello).ok()) CHECK(EncodeHello(hello) == bytes);
  Credentials credentials;
  credentials.self.node_id = 1;
  AcceptorHandshake acceptor(&credentials);
  if (acceptor.OnHello(bytes).ok()) CHECK(!acceptor.OnAuth(bytes).ok());
  DialerHandshake dialer(&credentials);
  dialer.Start(raft::kNoNode);
  CHECK(!dialer.OnAnswer(bytes).ok());
}

// A stream as the reader sees it, whole and in pieces: the first byte is their size.
void FuzzStream(std::string_view bytes) {
  if (bytes.empty()) return;
  const size_t piece = 1 + static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  const auto read = [&](size_t size, bool* failed) {
    CommandReader reader;
    std::string seen;
    for (size_t at = 0; at < bytes.size(); at += size) {
      const Status status = reader.Feed(bytes.substr(at, size), 1 << 16, [&](const WireItem& item) {
        seen.push_back(static_cast<char>(item.type));
        AppendLengthPrefixed(&seen, item.name);
        AppendLengthPrefixed(&seen, item.body);
        if (item.type == WireItem::Type::kCommand) FuzzFrame(item.body);
        return true;
      });
      *failed = !status.ok();
      if (*failed) break;
      CHECK(reader.pending_bytes() <= bytes.size());
    }
    return seen;
  };
  bool whole_failed = false;
  bool pieces_failed = false;
  const std::string whole = read(std::max<size_t>(1, bytes.size()), &whole_failed);
  const std::string pieces = read(piece, &pieces_failed);
  CHECK(whole == pieces);
  CHECK(whole_failed == pieces_failed);
}

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const std::string_view rest = input.substr(1);
  switch (static_cast<uint8_t>(input[0]) % 5) {
    case 0:
      return FuzzMessage(rest);
    case 1:
      return FuzzFrame(rest);
    case 2:
      return FuzzSignedFrame(rest);
    case 3:
      return FuzzHello(rest);
    default:
      return FuzzStream(rest);
  }
}

}  // namespace
}  // namespace holdfast::replica

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::replica::Fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
