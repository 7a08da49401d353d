#include "replica/frame.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast::replica {
namespace {

constexpr size_t kCountOffset = 4;
constexpr size_t kClockOffset = 8;
// A writer lets go of more memory than this when its frame is sent.
constexpr size_t kKeptFrameBytes = size_t{4} << 20;

Status MalformedFrame(const char* what) {
  return Status::Corruption(std::string("frame: ") + what);
}

std::string_view ItemsOf(std::string_view frame) {
  frame.remove_prefix(kFrameHeaderBytes);
  frame.remove_suffix(kFrameTrailerBytes);
  return frame;
}

}  // namespace

size_t FramedItemSize(size_t size) {
  // One byte of the length for each seven bits of it.
  const size_t bits = 64 - static_cast<size_t>(__builtin_clzll(size | 1));
  return 1 + (bits + 6) / 7 + size;
}

std::string* FrameWriter::Add(ItemKind kind, size_t size) {
  if (finished_) {
    bytes_.clear();
    if (bytes_.capacity() > kKeptFrameBytes) bytes_.shrink_to_fit();
    finished_ = false;
  }
  CHECK_MSG(bytes_.size() == expected_, "an item has another size than was said");
  // The header's numbers follow when they are known.
  if (bytes_.empty()) bytes_.resize(kFrameHeaderBytes);
  ++items_;
  bytes_.push_back(static_cast<char>(kind));
  AppendVarint(&bytes_, size);
  expected_ = bytes_.size() + size;
  return &bytes_;
}

std::string_view FrameWriter::Finish(uint64_t clock) {
  if (finished_) {
    bytes_.clear();
    finished_ = false;
  }
  CHECK_MSG(bytes_.size() == expected_, "an item has another size than was said");
  if (bytes_.empty()) bytes_.resize(kFrameHeaderBytes);
  std::string header;
  AppendFixed32(&header, kFrameMagic);
  AppendFixed32(&header, items_);
  AppendFixed64(&header, clock);
  bytes_.replace(0, kFrameHeaderBytes, header);
  AppendFixed64(&bytes_, Hash64(bytes_));
  items_ = 0;
  expected_ = 0;
  finished_ = true;
  return bytes_;
}

void FrameWriter::Reset() {
  bytes_ = std::string();
  items_ = 0;
  expected_ = 0;
  finished_ = false;
}

Status CheckFrame(std::string_view frame, FrameHeader* header) {
  if (frame.size() < kFrameHeaderBytes + kFrameTrailerBytes)
    return MalformedFrame("it is too short");
  const uint32_t magic = LoadFixed32(frame.data());
  if (magic != kFrameMagic) {
    // The three letters are Holdfast's, the digit is the version.
    if ((magic & 0xffffff) == (kFrameMagic & 0xffffff)) {
      return Status::Unsupported("frame: it has another version");
    }
    return MalformedFrame("it does not begin like one");
  }
  const std::string_view summed = frame.substr(0, frame.size() - kFrameTrailerBytes);
  if (LoadFixed64(summed.data() + summed.size()) != Hash64(summed)) {
    return MalformedFrame("its checksum is wrong");
  }
  header->items = LoadFixed32(frame.data() + kCountOffset);
  header->clock = LoadFixed64(frame.data() + kClockOffset);
  ByteReader reader(ItemsOf(frame));
  uint32_t items = 0;
  for (; !reader.empty(); ++items) {
    uint8_t kind;
    std::string_view bytes;
    if (!reader.ReadByte(&kind) || !reader.ReadLengthPrefixed(&bytes)) {
      return MalformedFrame("an item ends early");
    }
    if (kind == 0 || kind > kMaxItemKind) return MalformedFrame("an item of an unknown kind");
  }
  if (items != header->items) return MalformedFrame("it has another number of items than it says");
  return Status::Ok();
}

void ForEachItem(std::string_view frame,
                 absl::FunctionRef<bool(ItemKind kind, std::string_view bytes)> item) {
  ByteReader reader(ItemsOf(frame));
  while (!reader.empty()) {
    uint8_t kind;
    std::string_view bytes;
    CHECK_MSG(reader.ReadByte(&kind) && reader.ReadLengthPrefixed(&bytes),
              "the frame was not checked");
    if (!item(static_cast<ItemKind>(kind), bytes)) return;
  }
}

}  // namespace holdfast::replica
