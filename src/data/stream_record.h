// The records of a stream, whose elements are of four kinds. This header owns their format.
//
//   kind         element                              value
//   0, entry     id(ms u64 BE, seq u64 BE)            {length field length value} …
//
//   1, group     name                                 last delivered id(16) reads(varint)
//
//   2, consumer  length group, name                   seen(varint)
//
//   3, pending   length group, id(16)                 delivered(varint) deliveries(varint) consumer
//
// An element begins with the byte of its kind, so that a group is loaded before its consumers, and
// they before what they own. `reads` is how many entries the group has read, plus one; 0 when that
// isn't known. `seen` and `delivered` are milliseconds since 1970 UTC. A pending entry was
// delivered to a consumer that hasn't acknowledged it; the entry itself may be gone.
//
//   head: entries(varint) last id(varint varint) largest deleted id(varint varint)
//         entries ever added(varint) groups(varint) consumers(varint) pending(varint)
//
// Adding an entry writes one element and the head; acknowledging one deletes one element. Any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/stream_id.h"

namespace holdfast::data {

// What the meta record says of a stream.
struct StreamHead {
  uint64_t entries = 0;
  StreamId last_id;            // the largest that an entry ever had, or that XSETID has set
  StreamId max_deleted;        // the largest of the entries that XDEL has deleted; 0-0 = none
  uint64_t entries_added = 0;  // at least `entries`, and no more than an int64_t holds
  // Of all groups.
  uint64_t groups = 0;
  uint64_t consumers = 0;
  uint64_t pending = 0;

  bool operator==(const StreamHead&) const = default;
};
std::string EncodeStreamHead(const StreamHead& head);
[[nodiscard]] bool DecodeStreamHead(std::string_view bytes, StreamHead* head);

enum class StreamKind : uint8_t { kEntry = 0, kGroup = 1, kConsumer = 2, kPending = 3 };

// An element's name, taken apart. The views point into it.
struct StreamElement {
  StreamKind kind = StreamKind::kEntry;
  StreamId id;                // entry, pending
  std::string_view group;     // all but entries
  std::string_view consumer;  // consumer
};
std::string EncodeStreamElement(const StreamElement& element);
[[nodiscard]] bool DecodeStreamElement(std::string_view bytes, StreamElement* element);

// The longest value of an entry, in bytes.
inline constexpr uint64_t kMaxStreamEntry = uint64_t{1} << 30;

// The value of an entry: fields and values in turn. False when the bytes are something else, or
// there is no field. The views point into the bytes.
void AppendStreamField(std::string* out, std::string_view field, std::string_view value);
[[nodiscard]] bool DecodeStreamFields(std::string_view bytes,
                                      std::vector<std::string_view>* fields);

struct StreamGroupValue {
  static constexpr int64_t kUnknown = -1;
  StreamId last_id;
  int64_t entries_read = kUnknown;
};
std::string EncodeStreamGroup(const StreamGroupValue& group);
[[nodiscard]] bool DecodeStreamGroup(std::string_view bytes, StreamGroupValue* group);

std::string EncodeStreamConsumer(int64_t seen_ms);
[[nodiscard]] bool DecodeStreamConsumer(std::string_view bytes, int64_t* seen_ms);

struct StreamPendingValue {
  int64_t delivered_ms = 0;
  int64_t deliveries = 0;
  std::string_view consumer;
};
std::string EncodeStreamPending(const StreamPendingValue& pending);
[[nodiscard]] bool DecodeStreamPending(std::string_view bytes, StreamPendingValue* pending);

// Whether a record may be an element of a stream. Corruption when not. That its group and consumer
// are there is the stream's to see (StreamObject::Head).
Status CheckStreamElement(std::string_view element, std::string_view value);

}  // namespace holdfast::data
