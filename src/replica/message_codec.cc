#include "replica/message_codec.h"

#include <concepts>
#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::replica {
namespace {

using raft::Entry;
using raft::EntryKind;
using raft::Message;
using raft::MessageKind;

// Both switches name every kind that may travel, so the compiler asks for a new one.
bool IsKnown(MessageKind kind) {
  switch (kind) {
    case MessageKind::kPreVote:
    case MessageKind::kPreVoteReply:
    case MessageKind::kVote:
    case MessageKind::kVoteReply:
    case MessageKind::kAppend:
    case MessageKind::kAppendReply:
    case MessageKind::kHeartbeat:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kTimeoutNow:
    case MessageKind::kReadIndex:
    case MessageKind::kReadIndexReply:
      return true;
  }
  return false;
}

bool IsKnown(EntryKind kind) {
  switch (kind) {
    case EntryKind::kNoop:
    case EntryKind::kData:
    case EntryKind::kConfiguration:
      return true;
  }
  return false;
}

// The entries have bit 0; the first field has bit 1, and so on.
constexpr uint64_t kEntriesBit = 1;

// Visits every field but the kind and the entries, in the order of their bits. A field that is
// added to raft::Message has to be named here (or this doesn't compile), and visited last.
template <typename AnyMessage, typename Visitor>
void VisitFields(AnyMessage& message, Visitor&& visit) {
  auto& [kind, rejected, transfer, from, to, term, position, hint, commit, round, sent_ms,
         promise_ms, entries] = message;
  visit(from);
  visit(to);
  visit(term);
  visit(position.index);
  visit(position.term);
  visit(commit);
  visit(round);
  visit(rejected);
  visit(hint.index);
  visit(hint.term);
  visit(transfer);
  visit(sent_ms);
  visit(promise_ms);
}

size_t VarintSize(uint64_t v) {
  // One byte for each seven bits, and one for 0.
  return (static_cast<size_t>(64 - __builtin_clzll(v | 1)) + 6) / 7;
}

std::string_view BytesOf(const raft::Payload& payload) {
  return payload == nullptr ? std::string_view() : std::string_view(*payload);
}

uint64_t FieldsOf(const Message& message) {
  uint64_t fields = message.entries.empty() ? 0 : kEntriesBit;
  uint64_t bit = kEntriesBit;
  VisitFields(message, [&](const auto& field) {
    bit <<= 1;
    if (field != 0) fields |= bit;
  });
  return fields;
}

// What each entry takes at least: kind, term, index, length.
constexpr size_t kMinEntryBytes = 4;

Status MalformedMessage(const char* what) {
  return Status::Corruption(std::string("raft message: ") + what);
}

Status DecodeEntries(ByteReader* reader, std::vector<Entry>* entries) {
  uint64_t count;
  if (!reader->ReadVarint(&count) || count == 0 || count > reader->rest().size() / kMinEntryBytes) {
    return MalformedMessage("the number of entries");
  }
  entries->resize(count);
  for (Entry& entry : *entries) {
    uint8_t kind;
    std::string_view payload;
    if (!reader->ReadByte(&kind) || !reader->ReadVarint(&entry.term) ||
        !reader->ReadVarint(&entry.index) || !reader->ReadLengthPrefixed(&payload)) {
      return MalformedMessage("an entry ends early");
    }
    entry.kind = static_cast<EntryKind>(kind);
    if (!IsKnown(entry.kind)) return MalformedMessage("an entry of an unknown kind");
    entry.payload = payload.empty() ? nullptr : std::make_shared<const std::string>(payload);
  }
  return Status::Ok();
}

}  // namespace

size_t EncodedMessageSize(uint32_t partition, const Message& message) {
  size_t size = 2 + VarintSize(partition) + VarintSize(FieldsOf(message));
  VisitFields(message, [&](const auto& field) {
    if constexpr (!std::same_as<std::remove_cvref_t<decltype(field)>, bool>) {
      if (field != 0) size += VarintSize(field);
    }
  });
  if (message.entries.empty()) return size;
  size += VarintSize(message.entries.size());
  for (const Entry& entry : message.entries) {
    const size_t payload = BytesOf(entry.payload).size();
    size += 1 + VarintSize(entry.term) + VarintSize(entry.index) + VarintSize(payload) + payload;
  }
  return size;
}

void AppendMessage(std::string* out, uint32_t partition, const Message& message) {
  CHECK(IsKnown(message.kind));
  out->push_back(static_cast<char>(kMessageFormat));
  AppendVarint(out, partition);
  out->push_back(static_cast<char>(message.kind));
  AppendVarint(out, FieldsOf(message));
  VisitFields(message, [&](const auto& field) {
    if constexpr (!std::same_as<std::remove_cvref_t<decltype(field)>, bool>) {
      if (field != 0) AppendVarint(out, field);
    }
  });
  if (message.entries.empty()) return;
  AppendVarint(out, message.entries.size());
  for (const Entry& entry : message.entries) {
    CHECK(IsKnown(entry.kind));
    out->push_back(static_cast<char>(entry.kind));
    AppendVarint(out, entry.term);
    AppendVarint(out, entry.index);
    AppendLengthPrefixed(out, BytesOf(entry.payload));
  }
}

Status DecodeMessage(std::string_view bytes, uint32_t* partition, Message* message) {
  ByteReader reader(bytes);
  uint8_t format;
  uint8_t kind;
  uint64_t number;
  uint64_t fields;
  if (!reader.ReadByte(&format)) return MalformedMessage("empty");
  if (format != kMessageFormat) {
    return Status::Unsupported("raft message of format " + std::to_string(format));
  }
  if (!reader.ReadVarint(&number) || number > UINT32_MAX || !reader.ReadByte(&kind) ||
      !reader.ReadVarint(&fields)) {
    return MalformedMessage("its head");
  }
  *partition = static_cast<uint32_t>(number);
  message->kind = static_cast<MessageKind>(kind);
  if (!IsKnown(message->kind)) return MalformedMessage("an unknown kind");
  uint64_t bit = kEntriesBit;
  bool complete = true;
  VisitFields(*message, [&](auto& field) {
    bit <<= 1;
    const bool present = (fields & bit) != 0;
    if constexpr (std::same_as<std::remove_cvref_t<decltype(field)>, bool>) {
      field = present;
    } else {
      field = 0;
      if (present) complete = complete && reader.ReadVarint(&field) && field != 0;
    }
  });
  if (!complete) return MalformedMessage("a field");
  if (fields >= bit << 1) return MalformedMessage("an unknown field");
  message->entries.clear();
  if ((fields & kEntriesBit) != 0) RETURN_IF_ERROR(DecodeEntries(&reader, &message->entries));
  if (!reader.empty()) return MalformedMessage("bytes behind its end");
  return Status::Ok();
}

}  // namespace holdfast::replica
