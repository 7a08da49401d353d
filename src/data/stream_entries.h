// The entries of a stream in memory: runs of bytes in order of ids, as in Redis.
//
// A node holds the entries that were added one after the other, until it has as many, or as many
// bytes, as EncodingLimits say. Ids are kept as distances from the node's first, and an entry whose
// fields have the names of the node's first entry keeps its values only. An entry is added, and the
// first one removed, in constant time; any other is found by two binary searches. As collection.h:
// one thread at a time.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/stream_id.h"

namespace holdfast::data {

struct EncodingLimits;

// Fields and values in turn; valid during a visit.
struct StreamEntry {
  StreamId id;
  const std::vector<std::string_view>& fields;
};

class StreamEntries {
 public:
  // `limits` outlives this.
  explicit StreamEntries(const EncodingLimits& limits) : limits_(&limits) {}

  uint64_t size() const { return size_; }
  // Bytes of memory besides this object itself.
  size_t MemoryBytes() const { return node_bytes_; }
  // REQUIRES: size() > 0.
  StreamId first_id() const { return nodes_.front()->IdAt(nodes_.front()->first); }
  StreamId last_id() const { return nodes_.back()->LastId(); }

  // Adds the entry, or replaces its fields. REQUIRES: DecodeStreamFields takes `fields`.
  void Put(StreamId id, std::string_view fields);
  // False when there is no such entry.
  bool Erase(StreamId id);
  bool Contains(StreamId id) const;

  // Visits entries from `first` to `last`, both included, in order or backwards, until `visit`
  // returns false.
  void Walk(StreamId first, StreamId last, bool backwards,
            absl::FunctionRef<bool(const StreamEntry& entry)> visit) const;

  // Nodes, for trimming by whole ones (MAXLEN ~).
  size_t nodes() const { return nodes_.size(); }
  uint64_t NodeEntries(size_t node) const { return nodes_[node]->live(); }
  StreamId NodeLastId(size_t node) const { return nodes_[node]->LastId(); }
  // Calls `visit` for the ids of a node, in order, until it returns false.
  void WalkNode(size_t node, absl::FunctionRef<bool(StreamId id)> visit) const;
  // Whether an entry of so many bytes that comes next begins a node.
  bool BeginsNode(size_t bytes) const;

 private:
  // Entries are at bytes[begins[i], begins[i + 1]), those below `first` are gone:
  //   ms and sequence number as distances (varint varint), then either 0 and {length value} …, or
  //   how many fields (varint) and {length field length value} …
  struct Node {
    StreamId base;      // of the first entry that it had
    std::string names;  // of that entry's fields: {length name} …
    size_t name_count = 0;
    std::string bytes;
    std::vector<uint32_t> begins;
    size_t first = 0;
    uint64_t erased = 0;  // since it began: they count for its size

    uint64_t live() const { return begins.size() - first; }
    size_t MemoryBytes() const;
    size_t End(size_t i) const { return i + 1 < begins.size() ? begins[i + 1] : bytes.size(); }
    StreamId IdAt(size_t i) const;
    StreamId LastId() const { return IdAt(begins.size() - 1); }
    // The first entry at or after the id.
    size_t LowerBound(StreamId id) const;
    void Append(StreamId id, const std::vector<std::string_view>& fields);
    void Read(size_t i, std::vector<std::string_view>* fields) const;
    void Erase(size_t i);
    // Gives back the room of what is gone.
    void Compact();
  };

  // The last node that begins at or before the id; nodes_.size() when there is none.
  size_t NodeOf(StreamId id) const;
  void Append(StreamId id, const std::vector<std::string_view>& fields, size_t bytes);
  void Insert(StreamId id, const std::vector<std::string_view>& fields);

  const EncodingLimits* limits_;
  std::deque<std::unique_ptr<Node>> nodes_;  // none is empty
  uint64_t size_ = 0;
  size_t node_bytes_ = 0;
};

}  // namespace holdfast::data
