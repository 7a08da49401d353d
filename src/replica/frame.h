// What one node has for another in one turn: a frame of items.
//
//   u32 magic "HFF1" | u32 number of items | u64 sender's clock | items | u64 XXH3 of all before
//   item: u8 kind, varint length, bytes
//
// A frame is the argument of one RESP command, `RAFT.FRAME <frame>`. Without items it only shows
// that the sender is alive.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace holdfast::replica {

// The numbers are sent to peers; never renumber. A new kind may be sent only to a peer that agreed
// on a protocol version that knows it.
enum class ItemKind : uint8_t {
  kRaft = 1,         // a raft message (message_codec.h)
  kRequest = 2,      // a client's request, forwarded
  kReply = 3,        // its outcome, on the link that the request came by
  kCancel = 4,       // the request's client is gone
  kSnapshot = 5,     // a piece of a partition's state
  kSnapshotAck = 6,  // it arrived
  kJoin = 7,         // a node asks to become part of the cluster
  kJoinReply = 8,
  kPublish = 9,    // a message for subscribers (publication.h); protocol kProtocolWithPublications
  kSettings = 10,  // how far a node has followed settings; protocol kProtocolWithSettings
};
inline constexpr uint8_t kMaxItemKind = 10;

// "HFF1": also the version of the format.
inline constexpr uint32_t kFrameMagic = 0x31464648;
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kFrameTrailerBytes = 8;

// How many bytes an item of `size` bytes takes in a frame.
size_t FramedItemSize(size_t size);

// Builds one frame after the other, keeping its memory.
class FrameWriter {
 public:
  bool empty() const { return items_ == 0; }
  uint32_t items() const { return items_; }
  // Of the frame if it were finished now.
  size_t size() const {
    return (bytes_.empty() ? kFrameHeaderBytes : bytes_.size()) + kFrameTrailerBytes;
  }

  // Begins an item. The caller appends exactly `size` bytes to the result before the next call.
  std::string* Add(ItemKind kind, size_t size);
  // The finished frame; valid until the next call, which begins a new one. `clock`: the largest
  // revision that the sender knows (HybridLogicalClock::last), 0 for none.
  std::string_view Finish(uint64_t clock);
  // Drops what was added, and the memory.
  void Reset();

 private:
  std::string bytes_;
  uint32_t items_ = 0;
  size_t expected_ = 0;  // size of bytes_ once the item begun last is complete
  bool finished_ = false;
};

struct FrameHeader {
  uint32_t items = 0;
  uint64_t clock = 0;
};

// Checks a whole frame: magic, checksum, the form of every item. Corruption, or Unsupported for the
// magic of another version; `header` is then undefined.
Status CheckFrame(std::string_view frame, FrameHeader* header);
// Shows the items of a frame that CheckFrame took, in their order, until `item` returns false.
void ForEachItem(std::string_view frame,
                 absl::FunctionRef<bool(ItemKind kind, std::string_view bytes)> item);

}  // namespace holdfast::replica
