// Raft messages as bytes between nodes.
//
//   u8 version (1), varint partition, u8 kind, varint fields,
//   for each bit of `fields`, low bits first: its number, varint, never 0 (a bool has no number),
//   when bit kEntries is set: varint count (> 0), and for each entry:
//     u8 kind, varint term, varint index, varint length, payload
//
// A field that is 0 isn't written, so a message has exactly one encoding. To add a field or a kind,
// extend the list in message_codec.cc (the compiler asks for it); old numbers never change, and
// only peers that agreed on a protocol version that knows the new one may be sent it (hello.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace holdfast::replica {

inline constexpr uint8_t kMessageFormat = 1;

// How many bytes AppendMessage will append.
size_t EncodedMessageSize(uint32_t partition, const raft::Message& message);
void AppendMessage(std::string* out, uint32_t partition, const raft::Message& message);

// The opposite, from all of `bytes`. `message` keeps its memory. An empty payload comes back as
// null, every other one in memory of its own. Corruption for anything that AppendMessage doesn't
// write, Unsupported for another format version; `message` is then undefined. Whether the message
// makes sense is for raft to judge.
Status DecodeMessage(std::string_view bytes, uint32_t* partition, raft::Message* message);

}  // namespace holdfast::replica
