#include "data/stream_entries.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "data/collection.h"
#include "data/stream_record.h"

namespace holdfast::data {
namespace {

// However large nodes may be: places in them are numbers of 32 bits.
constexpr uint64_t kMaxNodeBytes = uint64_t{1} << 30;

// What a string takes besides itself.
size_t HeapBytes(const std::string& string) {
  return string.capacity() > std::string().capacity() ? string.capacity() + 1 : 0;
}

uint64_t MustReadVarint(ByteReader* in) {
  uint64_t number = 0;
  CHECK(in->ReadVarint(&number));
  return number;
}

std::string_view MustReadPrefixed(ByteReader* in) {
  std::string_view bytes;
  CHECK(in->ReadLengthPrefixed(&bytes));
  return bytes;
}

}  // namespace

size_t StreamEntries::Node::MemoryBytes() const {
  return sizeof *this + HeapBytes(names) + HeapBytes(bytes) + begins.capacity() * sizeof(uint32_t);
}

StreamId StreamEntries::Node::IdAt(size_t i) const {
  ByteReader in(std::string_view(bytes).substr(begins[i]));
  StreamId id;
  id.ms = base.ms + MustReadVarint(&in);
  id.seq = MustReadVarint(&in);
  if (id.ms == base.ms) id.seq += base.seq;
  return id;
}

size_t StreamEntries::Node::LowerBound(StreamId id) const {
  size_t low = first;
  size_t high = begins.size();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (IdAt(middle) < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void StreamEntries::Node::Append(StreamId id, const std::vector<std::string_view>& fields) {
  if (begins.empty()) {
    base = id;
    for (size_t i = 0; i < fields.size(); i += 2) AppendLengthPrefixed(&names, fields[i]);
    name_count = fields.size() / 2;
    names.shrink_to_fit();
  }
  begins.push_back(static_cast<uint32_t>(bytes.size()));
  AppendVarint(&bytes, id.ms - base.ms);
  AppendVarint(&bytes, id.ms == base.ms ? id.seq - base.seq : id.seq);
  bool same = fields.size() == name_count * 2;
  ByteReader in(names);
  for (size_t i = 0; same && i < fields.size(); i += 2) same = MustReadPrefixed(&in) == fields[i];
  AppendVarint(&bytes, same ? 0 : fields.size() / 2);
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (!same) AppendLengthPrefixed(&bytes, fields[i]);
    AppendLengthPrefixed(&bytes, fields[i + 1]);
  }
}

void StreamEntries::Node::Read(size_t i, std::vector<std::string_view>* fields) const {
  fields->clear();
  ByteReader in(std::string_view(bytes).substr(begins[i], End(i) - begins[i]));
  MustReadVarint(&in);
  MustReadVarint(&in);
  size_t count = MustReadVarint(&in);
  const bool same = count == 0;
  if (same) count = name_count;
  ByteReader shared(names);
  for (; count > 0; --count) {
    fields->push_back(MustReadPrefixed(same ? &shared : &in));
    fields->push_back(MustReadPrefixed(&in));
  }
}

void StreamEntries::Node::Erase(size_t i) {
  ++erased;
  if (i == first) {
    ++first;
    if (first * 2 > begins.size() && live() > 0) Compact();
    return;
  }
  const auto size = static_cast<uint32_t>(End(i) - begins[i]);
  bytes.erase(begins[i], size);
  begins.erase(begins.begin() + static_cast<ptrdiff_t>(i));
  for (size_t k = i; k < begins.size(); ++k) begins[k] -= size;
}

void StreamEntries::Node::Compact() {
  if (first > 0) {
    const uint32_t gone = begins[first];
    bytes.erase(0, gone);
    begins.erase(begins.begin(), begins.begin() + static_cast<ptrdiff_t>(first));
    for (uint32_t& begin : begins) begin -= gone;
    first = 0;
  }
  bytes.shrink_to_fit();
  begins.shrink_to_fit();
}

size_t StreamEntries::NodeOf(StreamId id) const {
  const auto after = std::upper_bound(
      nodes_.begin(), nodes_.end(), id,
      [](StreamId wanted, const std::unique_ptr<Node>& node) { return wanted < node->base; });
  if (after == nodes_.begin()) return nodes_.size();
  return static_cast<size_t>(after - nodes_.begin()) - 1;
}

bool StreamEntries::BeginsNode(size_t bytes) const {
  if (nodes_.empty()) return true;
  const Node& last = *nodes_.back();
  uint64_t max_bytes = limits_->stream_bytes.load(std::memory_order_relaxed);
  if (max_bytes == 0 || max_bytes > kMaxNodeBytes) max_bytes = kMaxNodeBytes;
  const uint64_t max_entries = limits_->stream_entries.load(std::memory_order_relaxed);
  return last.names.size() + last.bytes.size() + bytes >= max_bytes ||
         (max_entries > 0 && last.live() + last.erased >= max_entries);
}

void StreamEntries::Put(StreamId id, std::string_view encoded) {
  std::vector<std::string_view> fields;
  CHECK(DecodeStreamFields(encoded, &fields));
  if (nodes_.empty() || last_id() < id) {
    Append(id, fields, encoded.size());
  } else {
    Erase(id);
    Insert(id, fields);
  }
  ++size_;
}

void StreamEntries::Append(StreamId id, const std::vector<std::string_view>& fields, size_t bytes) {
  if (BeginsNode(bytes)) {
    if (!nodes_.empty()) {
      node_bytes_ -= nodes_.back()->MemoryBytes();
      nodes_.back()->Compact();
      node_bytes_ += nodes_.back()->MemoryBytes();
    }
    nodes_.push_back(std::make_unique<Node>());
    node_bytes_ += nodes_.back()->MemoryBytes();
  }
  Node* node = nodes_.back().get();
  node_bytes_ -= node->MemoryBytes();
  node->Append(id, fields);
  node_bytes_ += node->MemoryBytes();
}

// Not at the end, which no command does: what follows in the node makes room by moving to another.
void StreamEntries::Insert(StreamId id, const std::vector<std::string_view>& fields) {
  auto fresh = std::make_unique<Node>();
  fresh->Append(id, fields);
  const size_t place = NodeOf(id);
  if (place == nodes_.size()) {  // also when there is none
    node_bytes_ += fresh->MemoryBytes();
    nodes_.push_front(std::move(fresh));
    return;
  }
  Node* node = nodes_[place].get();
  const size_t split = node->LowerBound(id);
  node_bytes_ -= node->MemoryBytes();
  std::vector<std::string_view> moved;
  auto rest = std::make_unique<Node>();
  for (size_t i = split; i < node->begins.size(); ++i) {
    node->Read(i, &moved);
    rest->Append(node->IdAt(i), moved);
  }
  const auto next = nodes_.begin() + static_cast<ptrdiff_t>(place) + 1;
  std::vector<std::unique_ptr<Node>> inserted;
  inserted.push_back(std::move(fresh));
  if (!rest->begins.empty()) inserted.push_back(std::move(rest));
  for (const auto& each : inserted) node_bytes_ += each->MemoryBytes();
  if (split < node->begins.size()) {
    node->bytes.resize(node->begins[split]);
    node->begins.resize(split);
  }
  const bool emptied = node->live() == 0;
  if (!emptied) node_bytes_ += node->MemoryBytes();
  nodes_.insert(next, std::make_move_iterator(inserted.begin()),
                std::make_move_iterator(inserted.end()));
  if (emptied) nodes_.erase(nodes_.begin() + static_cast<ptrdiff_t>(place));
}

bool StreamEntries::Erase(StreamId id) {
  const size_t place = NodeOf(id);
  if (place == nodes_.size()) return false;
  Node* node = nodes_[place].get();
  const size_t i = node->LowerBound(id);
  if (i == node->begins.size() || node->IdAt(i) != id) return false;
  node_bytes_ -= node->MemoryBytes();
  node->Erase(i);
  if (node->live() == 0) {
    nodes_.erase(nodes_.begin() + static_cast<ptrdiff_t>(place));
  } else {
    node_bytes_ += node->MemoryBytes();
  }
  --size_;
  return true;
}

bool StreamEntries::Contains(StreamId id) const {
  const size_t place = NodeOf(id);
  if (place == nodes_.size()) return false;
  const size_t i = nodes_[place]->LowerBound(id);
  return i < nodes_[place]->begins.size() && nodes_[place]->IdAt(i) == id;
}

void StreamEntries::Walk(StreamId first, StreamId last, bool backwards,
                         absl::FunctionRef<bool(const StreamEntry& entry)> visit) const {
  if (nodes_.empty() || last < first) return;
  std::vector<std::string_view> fields;
  const auto show = [&](const Node& node, size_t i, StreamId id) {
    node.Read(i, &fields);
    return visit({id, fields});
  };
  if (!backwards) {
    size_t place = NodeOf(first);
    if (place == nodes_.size()) place = 0;
    for (size_t i = nodes_[place]->LowerBound(first); place < nodes_.size(); ++place) {
      const Node& node = *nodes_[place];
      for (; i < node.begins.size(); ++i) {
        const StreamId id = node.IdAt(i);
        if (last < id || !show(node, i, id)) return;
      }
      if (place + 1 < nodes_.size()) i = nodes_[place + 1]->first;
    }
    return;
  }
  const size_t from = NodeOf(last);
  if (from == nodes_.size()) return;
  for (size_t place = from + 1; place-- > 0;) {
    const Node& node = *nodes_[place];
    size_t end = node.begins.size();
    if (place == from) {
      end = node.LowerBound(last);
      if (end < node.begins.size() && node.IdAt(end) == last) ++end;
    }
    for (size_t i = end; i-- > node.first;) {
      const StreamId id = node.IdAt(i);
      if (id < first || !show(node, i, id)) return;
    }
  }
}

void StreamEntries::WalkNode(size_t node, absl::FunctionRef<bool(StreamId id)> visit) const {
  const Node& walked = *nodes_[node];
  for (size_t i = walked.first; i < walked.begins.size(); ++i) {
    if (!visit(walked.IdAt(i))) return;
  }
}

}  // namespace holdfast::data
