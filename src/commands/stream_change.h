// What one command changes in a stream, as one modification of the key.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "data/stream_object.h"
#include "engine/context.h"

namespace holdfast::commands {

// The stream stays as it is until Emit. Loop thread of the core that owns the partition; lives no
// longer than the command.
class StreamChange {
 public:
  // What isn't acknowledged, as after the changes so far.
  struct Pending {
    std::string consumer;
    int64_t delivered_ms = 0;
    int64_t deliveries = 0;
  };

  // `group`: the one whose consumers and pending entries may be changed; its bytes stay until Emit.
  // REQUIRES: the key is a stream or missing; nothing else changes it before Emit.
  StreamChange(engine::ExecContext& ctx, engine::Key* key, std::string_view group = {});

  // As after the changes so far. Last id, largest deleted id and the number of added ones may be
  // set, which is a change as well.
  const data::StreamHead& head() const { return head_; }
  void SetLastId(data::StreamId id);
  void SetMaxDeleted(data::StreamId id);
  void SetEntriesAdded(uint64_t count);

  // `fields`: fields and values in turn. Returns the bytes of the record's value. REQUIRES: the id
  // is above the last one.
  size_t AddEntry(data::StreamId id, engine::Args fields);
  // True when it was there.
  bool DeleteEntry(data::StreamId id);
  // The same of one that is there, perhaps since this change, and isn't deleted yet.
  void DropEntry(data::StreamId id);

  // Creates the group or sets what it remembers.
  void PutGroup(const data::StreamGroupValue& value);
  // With its consumers and whatever is pending. REQUIRES: it exists, and has not been changed.
  void DeleteGroup();
  // Creates the consumer, or notes when it was seen. REQUIRES: the group exists.
  void PutConsumer(std::string_view name, int64_t seen_ms);
  // With whatever it hasn't acknowledged. REQUIRES: it exists, and has not been changed.
  void DeleteConsumer(std::string_view name);
  std::optional<Pending> FindPending(data::StreamId id) const;
  // REQUIRES: the consumer exists.
  void PutPending(data::StreamId id, const Pending& pending);
  // True when it was pending.
  bool DeletePending(data::StreamId id);

  // Makes the changes, if there are any, one effect; creates the key when it is missing. Clients
  // hear of it as `event`, when there is one, and of new consumers.
  void Emit(std::string_view event);

 private:
  engine::ExecContext& ctx_;
  engine::Key* const key_;
  const data::StreamObject* const stream_;  // nullptr: it is missing
  const std::string_view group_name_;
  const data::StreamGroup* group_ = nullptr;  // as it was before; nullptr: it is missing
  bool group_exists_ = false;
  data::StreamHead head_;
  bool changed_ = false;
  data::ElementChanges changes_;
  std::set<data::StreamId> deleted_entries_;
  std::map<data::StreamId, std::optional<Pending>> pending_;  // what became of these
  absl::flat_hash_set<std::string> new_consumers_;
};

}  // namespace holdfast::commands
