#include "replica/snapshot_items.h"

#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "raft/membership.h"

namespace holdfast::replica {
namespace {

constexpr size_t kChecksumBytes = 8;

Status MalformedItem(const char* what) {
  return Status::Corruption(std::string("snapshot: ") + what);
}

Status DecodeBegin(ByteReader* reader, SnapshotItem* item) {
  std::string_view membership;
  if (!reader->ReadFixed64(&item->term) || !reader->ReadFixed64(&item->position.index) ||
      !reader->ReadFixed64(&item->position.term) || !reader->ReadLengthPrefixed(&membership) ||
      !reader->empty()) {
    return MalformedItem("its beginning has another length than it should");
  }
  if (item->sequence != 0 || item->position.index == 0 || item->position.term == 0 ||
      item->position.term > item->term) {
    return MalformedItem("its beginning makes no sense");
  }
  Result<raft::Membership> decoded = raft::DecodeMembership(membership);
  if (!decoded.ok()) return decoded.status();
  item->membership = std::move(decoded).value();
  return Status::Ok();
}

}  // namespace

std::string EncodeSnapshotItem(const SnapshotItem& item) {
  std::string out;
  out.reserve(64 + item.records.size());
  out.push_back(static_cast<char>(item.type));
  AppendFixed32(&out, item.partition);
  AppendFixed64(&out, item.transfer);
  AppendFixed64(&out, item.sequence);
  switch (item.type) {
    case SnapshotItemType::kBegin:
      AppendFixed64(&out, item.term);
      AppendFixed64(&out, item.position.index);
      AppendFixed64(&out, item.position.term);
      AppendLengthPrefixed(&out, raft::EncodeMembership(item.membership));
      break;
    case SnapshotItemType::kChunk:
      out += item.records;
      break;
    case SnapshotItemType::kEnd:
      AppendFixed64(&out, item.record_count);
      break;
  }
  AppendFixed64(&out, Hash64(out));
  return out;
}

Status DecodeSnapshotItem(std::string_view bytes, SnapshotItem* item) {
  if (bytes.size() < kChecksumBytes) return MalformedItem("an item is too short");
  const std::string_view summed = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (LoadFixed64(summed.data() + summed.size()) != Hash64(summed)) {
    return MalformedItem("an item's checksum is wrong");
  }
  ByteReader reader(summed);
  uint8_t type;
  if (!reader.ReadByte(&type) || !reader.ReadFixed32(&item->partition) ||
      !reader.ReadFixed64(&item->transfer) || !reader.ReadFixed64(&item->sequence)) {
    return MalformedItem("an item is too short");
  }
  item->type = static_cast<SnapshotItemType>(type);
  switch (item->type) {
    case SnapshotItemType::kBegin:
      return DecodeBegin(&reader, item);
    case SnapshotItemType::kChunk:
      if (item->sequence == 0) return MalformedItem("a chunk has no number");
      item->records = std::string(reader.rest());
      return Status::Ok();
    case SnapshotItemType::kEnd:
      if (item->sequence == 0 || !reader.ReadFixed64(&item->record_count) || !reader.empty()) {
        return MalformedItem("its end makes no sense");
      }
      return Status::Ok();
  }
  return MalformedItem("an item of an unknown type");
}

std::string EncodeSnapshotAck(const SnapshotAck& ack) {
  std::string out;
  out.push_back(static_cast<char>(ack.answer));
  AppendFixed32(&out, ack.partition);
  AppendFixed64(&out, ack.transfer);
  AppendFixed64(&out, ack.next);
  return out;
}

Status DecodeSnapshotAck(std::string_view bytes, SnapshotAck* ack) {
  ByteReader reader(bytes);
  uint8_t answer;
  if (!reader.ReadByte(&answer) || answer > static_cast<uint8_t>(SnapshotAnswer::kFailed) ||
      !reader.ReadFixed32(&ack->partition) || !reader.ReadFixed64(&ack->transfer) ||
      !reader.ReadFixed64(&ack->next) || !reader.empty()) {
    return MalformedItem("an answer makes no sense");
  }
  ack->answer = static_cast<SnapshotAnswer>(answer);
  return Status::Ok();
}

}  // namespace holdfast::replica
