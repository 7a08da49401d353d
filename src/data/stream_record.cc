#include "data/stream_record.h"

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::data {
namespace {

// Times and counters are kept as signed numbers, and none is negative.
void AppendNumber(std::string* out, int64_t number) {
  CHECK(number >= 0);
  AppendVarint(out, static_cast<uint64_t>(number));
}

bool ReadNumber(ByteReader* in, int64_t* number) {
  uint64_t raw;
  if (!in->ReadVarint(&raw) || raw > INT64_MAX) return false;
  *number = static_cast<int64_t>(raw);
  return true;
}

}  // namespace

std::string EncodeStreamHead(const StreamHead& head) {
  std::string out;
  for (const uint64_t number :
       {head.entries, head.last_id.ms, head.last_id.seq, head.max_deleted.ms, head.max_deleted.seq,
        head.entries_added, head.groups, head.consumers, head.pending}) {
    AppendVarint(&out, number);
  }
  return out;
}

bool DecodeStreamHead(std::string_view bytes, StreamHead* head) {
  ByteReader in(bytes);
  for (uint64_t* number : {&head->entries, &head->last_id.ms, &head->last_id.seq,
                           &head->max_deleted.ms, &head->max_deleted.seq, &head->entries_added,
                           &head->groups, &head->consumers, &head->pending}) {
    if (!in.ReadVarint(number)) return false;
  }
  return in.empty() && head->entries <= head->entries_added && head->entries_added <= INT64_MAX;
}

std::string EncodeStreamElement(const StreamElement& element) {
  std::string out(1, static_cast<char>(element.kind));
  switch (element.kind) {
    case StreamKind::kEntry:
      element.id.AppendTo(&out);
      break;
    case StreamKind::kGroup:
      out.append(element.group);
      break;
    case StreamKind::kConsumer:
      AppendLengthPrefixed(&out, element.group);
      out.append(element.consumer);
      break;
    case StreamKind::kPending:
      AppendLengthPrefixed(&out, element.group);
      element.id.AppendTo(&out);
      break;
  }
  return out;
}

bool DecodeStreamElement(std::string_view bytes, StreamElement* element) {
  ByteReader in(bytes);
  uint8_t kind;
  if (!in.ReadByte(&kind)) return false;
  element->kind = static_cast<StreamKind>(kind);
  switch (element->kind) {
    case StreamKind::kEntry:
      return ReadStreamId(&in, &element->id) && in.empty();
    case StreamKind::kGroup:
      element->group = in.rest();
      return true;
    case StreamKind::kConsumer:
      if (!in.ReadLengthPrefixed(&element->group)) return false;
      element->consumer = in.rest();
      return true;
    case StreamKind::kPending:
      return in.ReadLengthPrefixed(&element->group) && ReadStreamId(&in, &element->id) &&
             in.empty();
  }
  return false;
}

void AppendStreamField(std::string* out, std::string_view field, std::string_view value) {
  AppendLengthPrefixed(out, field);
  AppendLengthPrefixed(out, value);
}

bool DecodeStreamFields(std::string_view bytes, std::vector<std::string_view>* fields) {
  fields->clear();
  ByteReader in(bytes);
  std::string_view part;
  while (!in.empty()) {
    if (!in.ReadLengthPrefixed(&part)) return false;
    fields->push_back(part);
  }
  return !fields->empty() && fields->size() % 2 == 0;
}

std::string EncodeStreamGroup(const StreamGroupValue& group) {
  std::string out;
  group.last_id.AppendTo(&out);
  CHECK(group.entries_read >= StreamGroupValue::kUnknown);
  AppendVarint(&out, static_cast<uint64_t>(group.entries_read) + 1);
  return out;
}

bool DecodeStreamGroup(std::string_view bytes, StreamGroupValue* group) {
  ByteReader in(bytes);
  uint64_t reads;
  if (!ReadStreamId(&in, &group->last_id) || !in.ReadVarint(&reads) || !in.empty()) return false;
  if (reads > uint64_t{INT64_MAX} + 1) return false;
  group->entries_read = static_cast<int64_t>(reads - 1);
  return true;
}

std::string EncodeStreamConsumer(int64_t seen_ms) {
  std::string out;
  AppendNumber(&out, seen_ms);
  return out;
}

bool DecodeStreamConsumer(std::string_view bytes, int64_t* seen_ms) {
  ByteReader in(bytes);
  return ReadNumber(&in, seen_ms) && in.empty();
}

std::string EncodeStreamPending(const StreamPendingValue& pending) {
  std::string out;
  AppendNumber(&out, pending.delivered_ms);
  AppendNumber(&out, pending.deliveries);
  out.append(pending.consumer);
  return out;
}

bool DecodeStreamPending(std::string_view bytes, StreamPendingValue* pending) {
  ByteReader in(bytes);
  if (!ReadNumber(&in, &pending->delivered_ms) || !ReadNumber(&in, &pending->deliveries)) {
    return false;
  }
  pending->consumer = in.rest();
  return true;
}

Status CheckStreamElement(std::string_view element, std::string_view value) {
  StreamElement parsed;
  if (!DecodeStreamElement(element, &parsed)) {
    return Status::Corruption("an element of a stream of an unknown kind");
  }
  std::vector<std::string_view> fields;
  StreamGroupValue group;
  int64_t seen_ms;
  StreamPendingValue pending;
  switch (parsed.kind) {
    case StreamKind::kEntry:
      if (!parsed.id.is_zero() && value.size() <= kMaxStreamEntry &&
          DecodeStreamFields(value, &fields)) {
        return Status::Ok();
      }
      return Status::Corruption("a damaged entry of a stream");
    case StreamKind::kGroup:
      if (DecodeStreamGroup(value, &group)) return Status::Ok();
      return Status::Corruption("a damaged consumer group of a stream");
    case StreamKind::kConsumer:
      if (DecodeStreamConsumer(value, &seen_ms)) return Status::Ok();
      return Status::Corruption("a damaged consumer of a stream");
    case StreamKind::kPending:
      if (DecodeStreamPending(value, &pending)) return Status::Ok();
      return Status::Corruption("a damaged pending entry of a stream");
  }
  return Status::Corruption("an element of a stream of an unknown kind");
}

}  // namespace holdfast::data
