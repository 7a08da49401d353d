#include "data/stream_object.h"

#include <utility>

#include "base/check.h"

namespace holdfast::data {
namespace {

// A tree keeps its nodes two thirds full or more.
constexpr size_t TreeBytes(size_t element) { return element * 3 / 2; }
constexpr size_t kPendingBytes =
    TreeBytes(sizeof(std::pair<StreamId, StreamPending>)) + TreeBytes(sizeof(StreamId));
constexpr size_t kMapNode = 32;  // what std::map adds to an element
constexpr size_t kGroupBytes =
    sizeof(StreamGroup) + sizeof(StreamObject::Groups::value_type) + kMapNode;
constexpr size_t kConsumerBytes =
    sizeof(StreamConsumer) + sizeof(decltype(StreamGroup::consumers)::value_type) + kMapNode;

}  // namespace

int64_t EntriesUpTo(const StreamHead& head, StreamId first_id, StreamId id) {
  const auto added = static_cast<int64_t>(head.entries_added);
  const auto entries = static_cast<int64_t>(head.entries);
  if (head.entries_added == 0) return 0;
  if (head.entries == 0 && id <= head.last_id) return added;
  if (id == head.last_id) return added;
  if (id > head.last_id) return StreamGroupValue::kUnknown;
  // Nothing was taken out between the first entry and the last: one can count from the end.
  if (head.max_deleted.is_zero() || head.max_deleted < first_id) {
    if (id < first_id) return added - entries;
    if (id == first_id) return added - entries + 1;
  }
  return StreamGroupValue::kUnknown;
}

const StreamConsumer* StreamGroup::Find(std::string_view name) const {
  const auto it = consumers.find(name);
  return it == consumers.end() ? nullptr : it->second.get();
}

const StreamGroup* StreamObject::Find(std::string_view group) const {
  const auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : it->second.get();
}

StreamGroup* StreamObject::FindGroup(std::string_view name) {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : it->second.get();
}

uint64_t StreamObject::records() const {
  return entries_.size() + head_.groups + head_.consumers + head_.pending;
}

size_t StreamObject::MemoryBytes() const {
  return sizeof *this + entries_.MemoryBytes() + name_bytes_ + head_.groups * kGroupBytes +
         head_.consumers * kConsumerBytes + head_.pending * kPendingBytes;
}

std::string StreamObject::Head() const {
  if (contradicts_ || (entries_.size() > 0 && head_.last_id < entries_.last_id())) return {};
  return EncodeStreamHead(head_);
}

void StreamObject::SetHead(std::string_view bytes) {
  StreamHead head;
  CHECK(DecodeStreamHead(bytes, &head));
  head_.last_id = head.last_id;
  head_.max_deleted = head.max_deleted;
  head_.entries_added = head.entries_added;
}

void StreamObject::Put(std::string_view bytes, std::string_view value) {
  StreamElement element;
  CHECK(DecodeStreamElement(bytes, &element));
  switch (element.kind) {
    case StreamKind::kEntry:
      entries_.Put(element.id, value);
      head_.entries = entries_.size();
      break;
    case StreamKind::kGroup:
      PutGroup(element, value);
      break;
    case StreamKind::kConsumer:
      PutConsumer(element, value);
      break;
    case StreamKind::kPending:
      PutPending(element, value);
      break;
  }
}

void StreamObject::PutGroup(const StreamElement& element, std::string_view bytes) {
  StreamGroupValue value;
  CHECK(DecodeStreamGroup(bytes, &value));
  StreamGroup* group = FindGroup(element.group);
  if (group == nullptr) {
    auto fresh = std::make_unique<StreamGroup>();
    group = fresh.get();
    groups_.emplace(element.group, std::move(fresh));
    ++head_.groups;
    name_bytes_ += element.group.size();
  }
  group->last_id = value.last_id;
  group->entries_read = value.entries_read;
}

void StreamObject::PutConsumer(const StreamElement& element, std::string_view value) {
  int64_t seen_ms = 0;
  CHECK(DecodeStreamConsumer(value, &seen_ms));
  StreamGroup* group = FindGroup(element.group);
  if (group == nullptr) {
    contradicts_ = true;
    return;
  }
  const auto it = group->consumers.find(element.consumer);
  if (it != group->consumers.end()) {
    it->second->seen_ms = seen_ms;
    return;
  }
  auto fresh = std::make_unique<StreamConsumer>();
  fresh->name = std::string(element.consumer);
  fresh->seen_ms = seen_ms;
  group->consumers.emplace(element.consumer, std::move(fresh));
  ++head_.consumers;
  name_bytes_ += 2 * element.consumer.size();
}

void StreamObject::PutPending(const StreamElement& element, std::string_view bytes) {
  StreamPendingValue value;
  CHECK(DecodeStreamPending(bytes, &value));
  StreamGroup* group = FindGroup(element.group);
  StreamConsumer* consumer = nullptr;
  if (group != nullptr) {
    const auto owner = group->consumers.find(value.consumer);
    if (owner != group->consumers.end()) consumer = owner->second.get();
  }
  if (consumer == nullptr) {
    contradicts_ = true;
    return;
  }
  const auto [it, fresh] = group->pending.try_emplace(element.id);
  StreamPending* pending = &it->second;
  if (fresh) ++head_.pending;
  if (pending->consumer != consumer) {
    if (pending->consumer != nullptr) pending->consumer->pending.erase(element.id);
    pending->consumer = consumer;
    consumer->pending.insert(element.id);
  }
  pending->delivered_ms = value.delivered_ms;
  pending->deliveries = value.deliveries;
}

bool StreamObject::Delete(std::string_view bytes) {
  StreamElement element;
  if (!DecodeStreamElement(bytes, &element)) return false;
  switch (element.kind) {
    case StreamKind::kEntry: {
      const bool deleted = entries_.Erase(element.id);
      head_.entries = entries_.size();
      return deleted;
    }
    case StreamKind::kGroup:
      return DeleteGroup(element.group);
    case StreamKind::kConsumer:
      return DeleteConsumer(element);
    case StreamKind::kPending:
      return DeletePending(element);
  }
  return false;
}

bool StreamObject::DeleteGroup(std::string_view name) {
  const auto it = groups_.find(name);
  if (it == groups_.end()) return false;
  if (!it->second->consumers.empty()) {
    contradicts_ = true;
    return false;
  }
  name_bytes_ -= name.size();
  groups_.erase(it);
  --head_.groups;
  return true;
}

bool StreamObject::DeleteConsumer(const StreamElement& element) {
  StreamGroup* group = FindGroup(element.group);
  if (group == nullptr) return false;
  const auto it = group->consumers.find(element.consumer);
  if (it == group->consumers.end()) return false;
  if (!it->second->pending.empty()) {
    contradicts_ = true;
    return false;
  }
  name_bytes_ -= 2 * element.consumer.size();
  group->consumers.erase(it);
  --head_.consumers;
  return true;
}

bool StreamObject::DeletePending(const StreamElement& element) {
  StreamGroup* group = FindGroup(element.group);
  if (group == nullptr) return false;
  const auto it = group->pending.find(element.id);
  if (it == group->pending.end()) return false;
  it->second.consumer->pending.erase(element.id);
  group->pending.erase(it);
  --head_.pending;
  return true;
}

bool StreamObject::Contains(std::string_view bytes) const {
  StreamElement element;
  if (!DecodeStreamElement(bytes, &element)) return false;
  if (element.kind == StreamKind::kEntry) return entries_.Contains(element.id);
  const StreamGroup* group = Find(element.group);
  if (group == nullptr) return false;
  if (element.kind == StreamKind::kConsumer) return group->Find(element.consumer) != nullptr;
  return element.kind == StreamKind::kGroup || group->pending.contains(element.id);
}

void StreamObject::ForEach(
    const std::function<void(std::string_view element, std::string_view value)>& visit) const {
  std::string value;
  entries_.Walk({}, StreamId::Max(), false, [&](const StreamEntry& entry) {
    value.clear();
    for (size_t i = 0; i < entry.fields.size(); i += 2) {
      AppendStreamField(&value, entry.fields[i], entry.fields[i + 1]);
    }
    visit(EncodeStreamElement({StreamKind::kEntry, entry.id, {}, {}}), value);
    return true;
  });
  for (const auto& [name, group] : groups_) {
    visit(EncodeStreamElement({StreamKind::kGroup, {}, name, {}}),
          EncodeStreamGroup({group->last_id, group->entries_read}));
    for (const auto& [consumer_name, consumer] : group->consumers) {
      visit(EncodeStreamElement({StreamKind::kConsumer, {}, name, consumer_name}),
            EncodeStreamConsumer(consumer->seen_ms));
    }
    for (const auto& [id, pending] : group->pending) {
      visit(
          EncodeStreamElement({StreamKind::kPending, id, name, {}}),
          EncodeStreamPending({pending.delivered_ms, pending.deliveries, pending.consumer->name}));
    }
  }
}

bool StreamObject::HasHolesFrom(StreamId from) const {
  if (size() == 0 || head_.max_deleted.is_zero() || head_.max_deleted < first_id()) return false;
  return from <= head_.max_deleted;
}

std::optional<int64_t> StreamObject::Lag(const StreamGroup& group) const {
  const auto added = static_cast<int64_t>(head_.entries_added);
  if (added == 0) return 0;
  if (group.entries_read != StreamGroupValue::kUnknown && !HasHolesFrom(group.last_id)) {
    return added - group.entries_read;
  }
  const int64_t read = EntriesUpTo(group.last_id);
  if (read == StreamGroupValue::kUnknown) return std::nullopt;
  return added - read;
}

}  // namespace holdfast::data
