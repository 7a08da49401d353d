// A stream in a DUMP payload, as Redis writes it. All numbers are RDB lengths (dump.h) but times,
// which are u64 LE, in milliseconds; an id is two of them, or 16 bytes as in a record (raw id).
//
//   nodes { string of a raw id, string of a listpack } …
//   entries, last id, first id*, largest deleted id*, entries ever added*
//   groups { name, last delivered id, reads* (2^64 - 1: unknown),
//            pending { raw id, time delivered, deliveries } …,
//            consumers { name, time seen, time active**, pending { raw id } … } … } …
//
// * not in Redis 5 and 6 (type 15); ** from Redis 7.2 on (type 21), here ignored. A node's
// listpack:
//
//   entries, deleted entries, fields, field …, 0
//   then for each entry, also for a deleted one: flags (1: deleted, 2: has the node's fields),
//   distance of ms, distance of sequence number, either value … or fields, field, value …, and the
//   number of elements of all this
//
// Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "data/dump.h"
#include "data/stream_object.h"

namespace holdfast::data {

enum class StreamDumpForm : uint8_t { kRedis5, kRedis70, kRedis72 };

// In the form of Redis 7.0.
void AppendStream(const StreamObject& stream, std::string* out);
// False when the bytes make no stream; `dumped` is of no use then.
[[nodiscard]] bool ReadStream(ByteReader* in, StreamDumpForm form, DumpedValue* dumped);

}  // namespace holdfast::data
