#include "commands/stream_change.h"

#include "base/check.h"
#include "commands/stream_args.h"

namespace holdfast::commands {

using data::StreamElement;
using data::StreamId;
using data::StreamKind;

StreamChange::StreamChange(engine::ExecContext& ctx, engine::Key* key, std::string_view group)
    : ctx_(ctx), key_(key), stream_(StreamAt(*key)), group_name_(group) {
  if (stream_ == nullptr) return;
  head_ = stream_->head();
  group_ = stream_->Find(group);
  group_exists_ = group_ != nullptr;
}

void StreamChange::SetLastId(StreamId id) {
  head_.last_id = id;
  changed_ = true;
}

void StreamChange::SetMaxDeleted(StreamId id) {
  head_.max_deleted = id;
  changed_ = true;
}

void StreamChange::SetEntriesAdded(uint64_t count) {
  head_.entries_added = count;
  changed_ = true;
}

size_t StreamChange::AddEntry(StreamId id, engine::Args fields) {
  CHECK(head_.last_id < id && fields.size() % 2 == 0);
  std::string value;
  for (size_t i = 0; i < fields.size(); i += 2) {
    data::AppendStreamField(&value, fields[i], fields[i + 1]);
  }
  changes_.Put(data::EncodeStreamElement({StreamKind::kEntry, id, {}, {}}), value);
  ++head_.entries;
  if (head_.entries_added < INT64_MAX) ++head_.entries_added;
  head_.last_id = id;
  return value.size();
}

bool StreamChange::DeleteEntry(StreamId id) {
  if (stream_ == nullptr || !stream_->entries().Contains(id)) return false;
  if (!deleted_entries_.insert(id).second) return false;
  DropEntry(id);
  return true;
}

void StreamChange::DropEntry(StreamId id) {
  changes_.Delete(data::EncodeStreamElement({StreamKind::kEntry, id, {}, {}}));
  --head_.entries;
}

void StreamChange::PutGroup(const data::StreamGroupValue& value) {
  changes_.Put(data::EncodeStreamElement({StreamKind::kGroup, {}, group_name_, {}}),
               data::EncodeStreamGroup(value));
  if (!group_exists_) ++head_.groups;
  group_exists_ = true;
}

void StreamChange::DeleteGroup() {
  CHECK(group_ != nullptr && pending_.empty() && new_consumers_.empty());
  for (const auto& [name, consumer] : group_->consumers) DeleteConsumer(name);
  changes_.Delete(data::EncodeStreamElement({StreamKind::kGroup, {}, group_name_, {}}));
  --head_.groups;
  group_exists_ = false;
}

void StreamChange::PutConsumer(std::string_view name, int64_t seen_ms) {
  CHECK(group_exists_);
  const bool exists = group_ != nullptr && group_->Find(name) != nullptr;
  if (!exists && new_consumers_.emplace(name).second) ++head_.consumers;
  changes_.Put(data::EncodeStreamElement({StreamKind::kConsumer, {}, group_name_, name}),
               data::EncodeStreamConsumer(seen_ms));
}

void StreamChange::DeleteConsumer(std::string_view name) {
  const data::StreamConsumer* consumer = group_->Find(name);
  CHECK(consumer != nullptr);
  for (const StreamId id : consumer->pending) DeletePending(id);
  changes_.Delete(data::EncodeStreamElement({StreamKind::kConsumer, {}, group_name_, name}));
  --head_.consumers;
}

std::optional<StreamChange::Pending> StreamChange::FindPending(StreamId id) const {
  const auto changed = pending_.find(id);
  if (changed != pending_.end()) return changed->second;
  if (group_ == nullptr) return std::nullopt;
  const auto it = group_->pending.find(id);
  if (it == group_->pending.end()) return std::nullopt;
  return Pending{it->second.consumer->name, it->second.delivered_ms, it->second.deliveries};
}

void StreamChange::PutPending(StreamId id, const Pending& pending) {
  if (!FindPending(id).has_value()) ++head_.pending;
  pending_[id] = pending;
  changes_.Put(
      data::EncodeStreamElement({StreamKind::kPending, id, group_name_, {}}),
      data::EncodeStreamPending({pending.delivered_ms, pending.deliveries, pending.consumer}));
}

bool StreamChange::DeletePending(StreamId id) {
  if (!FindPending(id).has_value()) return false;
  --head_.pending;
  pending_[id] = std::nullopt;
  changes_.Delete(data::EncodeStreamElement({StreamKind::kPending, id, group_name_, {}}));
  return true;
}

void StreamChange::Emit(std::string_view event) {
  if (!changed_ && changes_.empty()) return;
  ctx_.Change(key_, data::ObjectType::kStream, changes_, data::EncodeStreamHead(head_));
  if (!event.empty()) ctx_.Notify(*key_, engine::kStreamEvents, event);
  for (size_t i = 0; i < new_consumers_.size(); ++i) {
    ctx_.Notify(*key_, engine::kStreamEvents, "xgroup-createconsumer");
  }
}

}  // namespace holdfast::commands
