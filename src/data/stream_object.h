// A stream: entries in the order of their ids, and groups of consumers that read them.
//
// A stream may be empty: it remembers the last id, and groups may wait for entries to come. Its
// entries are in stream_entries.h; what a group's consumers have not acknowledged yet is found by
// id, in the group and in the consumer.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "data/collection.h"
#include "data/stream_entries.h"
#include "data/stream_record.h"

namespace holdfast::data {

struct StreamConsumer {
  std::string name;
  int64_t seen_ms = 0;
  absl::btree_set<StreamId> pending;
};

struct StreamPending {
  StreamConsumer* consumer = nullptr;
  int64_t delivered_ms = 0;
  int64_t deliveries = 0;
};

struct StreamGroup {
  StreamId last_id;
  int64_t entries_read = StreamGroupValue::kUnknown;
  absl::btree_map<StreamId, StreamPending> pending;
  std::map<std::string, std::unique_ptr<StreamConsumer>, std::less<>> consumers;

  // nullptr when there is none.
  const StreamConsumer* Find(std::string_view name) const;
};

// How many entries were ever added up to `id`, as far as that can be told: not when XDEL has left
// holes where it matters. kUnknown otherwise. `first_id`: of the first entry there is; 0-0 = none.
int64_t EntriesUpTo(const StreamHead& head, StreamId first_id, StreamId id);

class StreamObject final : public Collection {
 public:
  using Groups = std::map<std::string, std::unique_ptr<StreamGroup>, std::less<>>;

  explicit StreamObject(const CollectionOptions& options) : entries_(options.Limits()) {}

  uint64_t size() const override { return entries_.size(); }
  uint64_t records() const override;
  size_t MemoryBytes() const override;
  std::string_view encoding() const override { return "stream"; }
  // Empty, which no head is, when elements contradict each other or the head.
  std::string Head() const override;
  void SetHead(std::string_view head) override;
  void Put(std::string_view element, std::string_view value) override;
  bool Delete(std::string_view element) override;
  bool Contains(std::string_view element) const override;
  // Groups before their consumers, and those before what they own.
  void ForEach(const std::function<void(std::string_view element, std::string_view value)>& visit)
      const override;

  const StreamHead& head() const { return head_; }
  const StreamEntries& entries() const { return entries_; }
  const Groups& groups() const { return groups_; }
  // nullptr when there is none.
  const StreamGroup* Find(std::string_view group) const;
  // 0-0 when it is empty.
  StreamId first_id() const { return entries_.size() > 0 ? entries_.first_id() : StreamId(); }

  int64_t EntriesUpTo(StreamId id) const { return data::EntriesUpTo(head_, first_id(), id); }
  // XDEL has left a hole at or behind `from`.
  bool HasHolesFrom(StreamId from) const;
  // How many entries the group has still to read; nothing when that can't be told.
  std::optional<int64_t> Lag(const StreamGroup& group) const;

 private:
  StreamGroup* FindGroup(std::string_view name);
  void PutGroup(const StreamElement& element, std::string_view value);
  void PutConsumer(const StreamElement& element, std::string_view value);
  void PutPending(const StreamElement& element, std::string_view value);
  bool DeleteGroup(std::string_view name);
  bool DeleteConsumer(const StreamElement& element);
  bool DeletePending(const StreamElement& element);

  StreamEntries entries_;
  Groups groups_;
  StreamHead head_;        // its counts are kept up to date
  size_t name_bytes_ = 0;  // of groups and consumers
  // A consumer came without its group, or the like: no record of such a stream is right.
  bool contradicts_ = false;
};

}  // namespace holdfast::data
