#include "data/stream_dump.h"

#include <absl/container/flat_hash_set.h>

#include <map>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "data/listpack.h"
#include "data/rdb.h"
#include "data/stream_record.h"

namespace holdfast::data {
namespace {

constexpr int64_t kDeletedFlag = 1;
constexpr int64_t kSameFieldsFlag = 2;
constexpr uint64_t kUnknownReads = UINT64_MAX;

// ---- Writing

std::string RawId(StreamId id) {
  std::string raw;
  id.AppendTo(&raw);
  return raw;
}

void AppendId(std::string* out, StreamId id) {
  AppendRdbLength(out, id.ms);
  AppendRdbLength(out, id.seq);
}

// Distances wrap, as Redis's do: the sequence number may be below that of the node's first.
int64_t Distance(uint64_t from, uint64_t to) { return static_cast<int64_t>(to - from); }

// Makes nodes of entries as they come.
class NodeDumper {
 public:
  void Add(const StreamEntry& entry) {
    // Of about the size that Redis gives its own.
    constexpr size_t kEntries = 100;
    constexpr size_t kBytes = 4096;
    size_t bytes = 0;
    for (const std::string_view part : entry.fields) bytes += part.size();
    if (node_.size() == kEntries || (!node_.empty() && bytes_ + bytes > kBytes)) EndNode();
    node_.push_back({entry.id, {}});
    for (const std::string_view part : entry.fields) node_.back().fields.emplace_back(part);
    bytes_ += bytes;
  }
  void Finish(std::string* out) {
    if (!node_.empty()) EndNode();
    AppendRdbLength(out, nodes_);
    out->append(dumped_);
  }

 private:
  struct Entry {
    StreamId id;
    std::vector<std::string> fields;
  };

  static bool SameNames(const Entry& a, const Entry& b) {
    if (a.fields.size() != b.fields.size()) return false;
    for (size_t i = 0; i < a.fields.size(); i += 2) {
      if (a.fields[i] != b.fields[i]) return false;
    }
    return true;
  }
  static void AddEntry(const Entry& first, const Entry& entry, ListpackWriter* pack) {
    const bool same = SameNames(first, entry);
    const auto fields = static_cast<int64_t>(entry.fields.size() / 2);
    pack->Add(same ? kSameFieldsFlag : int64_t{0});
    pack->Add(Distance(first.id.ms, entry.id.ms));
    pack->Add(Distance(first.id.seq, entry.id.seq));
    if (!same) pack->Add(fields);
    for (size_t i = 0; i < entry.fields.size(); i += 2) {
      if (!same) pack->Add(std::string_view(entry.fields[i]));
      pack->Add(std::string_view(entry.fields[i + 1]));
    }
    pack->Add(3 + (same ? fields : 1 + 2 * fields));
  }
  void EndNode() {
    const Entry& first = node_.front();
    ListpackWriter pack;
    pack.Add(static_cast<int64_t>(node_.size()));
    pack.Add(int64_t{0});
    pack.Add(static_cast<int64_t>(first.fields.size() / 2));
    for (size_t i = 0; i < first.fields.size(); i += 2) {
      pack.Add(std::string_view(first.fields[i]));
    }
    pack.Add(int64_t{0});
    for (const Entry& entry : node_) AddEntry(first, entry, &pack);
    AppendRdbString(&dumped_, RawId(first.id));
    AppendRdbString(&dumped_, pack.Finish());
    ++nodes_;
    node_.clear();
    bytes_ = 0;
  }

  std::vector<Entry> node_;
  size_t bytes_ = 0;
  uint64_t nodes_ = 0;
  std::string dumped_;
};

void AppendGroup(const std::string& name, const StreamGroup& group, std::string* out) {
  AppendRdbString(out, name);
  AppendId(out, group.last_id);
  AppendRdbLength(out, group.entries_read == StreamGroupValue::kUnknown
                           ? kUnknownReads
                           : static_cast<uint64_t>(group.entries_read));
  AppendRdbLength(out, group.pending.size());
  for (const auto& [id, pending] : group.pending) {
    id.AppendTo(out);
    AppendFixed64(out, static_cast<uint64_t>(pending.delivered_ms));
    AppendRdbLength(out, static_cast<uint64_t>(pending.deliveries));
  }
  AppendRdbLength(out, group.consumers.size());
  for (const auto& [consumer_name, consumer] : group.consumers) {
    AppendRdbString(out, consumer_name);
    AppendFixed64(out, static_cast<uint64_t>(consumer->seen_ms));
    AppendRdbLength(out, consumer->pending.size());
    for (const StreamId id : consumer->pending) id.AppendTo(out);
  }
}

// ---- Reading

bool ReadNumber(ByteReader* in, uint64_t* number) {
  bool special;
  return ReadRdbLength(in, number, &special) && !special;
}

bool ReadId(ByteReader* in, StreamId* id) {
  return ReadNumber(in, &id->ms) && ReadNumber(in, &id->seq);
}

bool ReadTime(ByteReader* in, int64_t* ms) {
  uint64_t raw;
  if (!in->ReadFixed64(&raw) || raw > INT64_MAX) return false;
  *ms = static_cast<int64_t>(raw);
  return true;
}

// The elements of a node's listpack, from the front.
class NodeElements {
 public:
  explicit NodeElements(const std::vector<std::string>& elements) : elements_(elements) {}

  bool AtEnd() const { return next_ == elements_.size(); }
  size_t next() const { return next_; }
  bool Take(std::string_view* element) {
    if (AtEnd()) return false;
    *element = elements_[next_++];
    return true;
  }
  bool TakeInteger(int64_t* integer) {
    std::string_view element;
    return Take(&element) && ParseInt64(element, integer);
  }
  // One that says how many elements follow.
  bool TakeCount(size_t* count) {
    int64_t integer;
    if (!TakeInteger(&integer) || integer < 0 ||
        static_cast<uint64_t>(integer) > elements_.size() - next_) {
      return false;
    }
    *count = static_cast<size_t>(integer);
    return true;
  }

 private:
  const std::vector<std::string>& elements_;
  size_t next_ = 0;
};

class StreamReader {
 public:
  StreamReader(ByteReader* in, StreamDumpForm form, DumpedValue* dumped)
      : in_(in), form_(form), dumped_(dumped) {}

  bool Read() {
    uint64_t nodes;
    if (!ReadNumber(in_, &nodes)) return false;
    for (; nodes > 0; --nodes) {
      if (!ReadNode()) return false;
    }
    if (!ReadHead()) return false;
    uint64_t groups;
    if (!ReadNumber(in_, &groups)) return false;
    for (; groups > 0; --groups) {
      if (!ReadGroup()) return false;
    }
    dumped_->type = ObjectType::kStream;
    dumped_->value = EncodeStreamHead(head_);
    return true;
  }

 private:
  struct ReadPending {
    int64_t delivered_ms = 0;
    int64_t deliveries = 0;
    bool has_consumer = false;
  };

  bool ReadNode();
  bool ReadEntry(StreamId base, const std::vector<std::string_view>& names, NodeElements* elements,
                 size_t* deleted);
  bool ReadHead();
  bool ReadGroup();
  bool ReadConsumer(std::string_view group, std::map<StreamId, ReadPending>* pending);

  ByteReader* const in_;
  const StreamDumpForm form_;
  DumpedValue* const dumped_;
  StreamHead head_;
  StreamId first_id_;
  StreamId last_entry_;
  absl::flat_hash_set<std::string> group_names_;
  absl::flat_hash_set<std::string> consumers_;  // their elements
};

bool StreamReader::ReadNode() {
  std::string raw_id;
  std::string bytes;
  std::vector<std::string> parts;
  if (!ReadRdbString(in_, &raw_id) || raw_id.size() != StreamId::kBytes) return false;
  if (!ReadRdbString(in_, &bytes) || !ReadListpack(bytes, &parts)) return false;
  const StreamId base = StreamId::Load(raw_id.data());
  NodeElements elements(parts);
  size_t entries;
  size_t deleted;
  size_t fields;
  if (!elements.TakeCount(&entries) || !elements.TakeCount(&deleted) ||
      !elements.TakeCount(&fields)) {
    return false;
  }
  std::vector<std::string_view> names(fields);
  for (std::string_view& name : names) {
    if (!elements.Take(&name)) return false;
  }
  int64_t terminator;
  if (!elements.TakeInteger(&terminator) || terminator != 0) return false;
  size_t seen_deleted = 0;
  for (size_t i = 0; i < entries + deleted; ++i) {
    if (!ReadEntry(base, names, &elements, &seen_deleted)) return false;
  }
  return elements.AtEnd() && seen_deleted == deleted;
}

bool StreamReader::ReadEntry(StreamId base, const std::vector<std::string_view>& names,
                             NodeElements* elements, size_t* deleted) {
  const size_t begin = elements->next();
  int64_t flags;
  int64_t ms;
  int64_t seq;
  if (!elements->TakeInteger(&flags) || !elements->TakeInteger(&ms) ||
      !elements->TakeInteger(&seq)) {
    return false;
  }
  const bool same = (flags & kSameFieldsFlag) != 0;
  size_t fields = names.size();
  if (!same && !elements->TakeCount(&fields)) return false;
  std::string value;
  for (size_t i = 0; i < fields; ++i) {
    std::string_view name;
    std::string_view part;
    if (same) name = names[i];
    if ((!same && !elements->Take(&name)) || !elements->Take(&part)) return false;
    AppendStreamField(&value, name, part);
  }
  const auto size = static_cast<int64_t>(elements->next() - begin);
  int64_t told;
  if (!elements->TakeInteger(&told) || told != size) return false;
  if ((flags & kDeletedFlag) != 0) {
    ++*deleted;
    return true;
  }
  const StreamId id{base.ms + static_cast<uint64_t>(ms), base.seq + static_cast<uint64_t>(seq)};
  // Also refuses 0-0.
  if (id <= last_entry_) return false;
  const std::string element = EncodeStreamElement({StreamKind::kEntry, id, {}, {}});
  if (!CheckStreamElement(element, value).ok()) return false;
  dumped_->elements.Put(element, value);
  if (head_.entries++ == 0) first_id_ = id;
  last_entry_ = id;
  return true;
}

bool StreamReader::ReadHead() {
  uint64_t entries;
  StreamId first;
  if (!ReadNumber(in_, &entries) || entries != head_.entries || !ReadId(in_, &head_.last_id)) {
    return false;
  }
  head_.entries_added = entries;
  if (form_ != StreamDumpForm::kRedis5 &&
      (!ReadId(in_, &first) || !ReadId(in_, &head_.max_deleted) ||
       !ReadNumber(in_, &head_.entries_added))) {
    return false;
  }
  StreamHead checked;
  return last_entry_ <= head_.last_id && DecodeStreamHead(EncodeStreamHead(head_), &checked);
}

bool StreamReader::ReadGroup() {
  std::string name;
  StreamGroupValue group;
  if (!ReadRdbString(in_, &name) || !group_names_.insert(name).second ||
      !ReadId(in_, &group.last_id)) {
    return false;
  }
  if (form_ == StreamDumpForm::kRedis5) {
    group.entries_read = EntriesUpTo(head_, first_id_, group.last_id);
  } else {
    uint64_t reads;
    if (!ReadNumber(in_, &reads) || (reads > INT64_MAX && reads != kUnknownReads)) return false;
    group.entries_read = static_cast<int64_t>(reads);
  }
  dumped_->elements.Put(EncodeStreamElement({StreamKind::kGroup, {}, name, {}}),
                        EncodeStreamGroup(group));
  ++head_.groups;
  std::map<StreamId, ReadPending> pending;
  uint64_t count;
  if (!ReadNumber(in_, &count)) return false;
  for (; count > 0; --count) {
    StreamId id;
    ReadPending read;
    uint64_t deliveries;
    if (!ReadStreamId(in_, &id) || !ReadTime(in_, &read.delivered_ms) ||
        !ReadNumber(in_, &deliveries) || deliveries > INT64_MAX) {
      return false;
    }
    read.deliveries = static_cast<int64_t>(deliveries);
    if (!pending.emplace(id, read).second) return false;
  }
  if (!ReadNumber(in_, &count)) return false;
  for (; count > 0; --count) {
    if (!ReadConsumer(name, &pending)) return false;
  }
  for (const auto& [id, read] : pending) {
    if (!read.has_consumer) return false;
  }
  head_.pending += pending.size();
  return true;
}

bool StreamReader::ReadConsumer(std::string_view group, std::map<StreamId, ReadPending>* pending) {
  std::string name;
  int64_t seen_ms;
  int64_t active_ms;
  uint64_t count;
  if (!ReadRdbString(in_, &name) || !ReadTime(in_, &seen_ms)) return false;
  if (form_ == StreamDumpForm::kRedis72 && !ReadTime(in_, &active_ms)) return false;
  const std::string element = EncodeStreamElement({StreamKind::kConsumer, {}, group, name});
  if (!consumers_.insert(element).second) return false;
  dumped_->elements.Put(element, EncodeStreamConsumer(seen_ms));
  ++head_.consumers;
  if (!ReadNumber(in_, &count)) return false;
  for (; count > 0; --count) {
    StreamId id;
    if (!ReadStreamId(in_, &id)) return false;
    const auto it = pending->find(id);
    if (it == pending->end() || it->second.has_consumer) return false;
    it->second.has_consumer = true;
    dumped_->elements.Put(
        EncodeStreamElement({StreamKind::kPending, id, group, {}}),
        EncodeStreamPending({it->second.delivered_ms, it->second.deliveries, name}));
  }
  return true;
}

}  // namespace

void AppendStream(const StreamObject& stream, std::string* out) {
  NodeDumper nodes;
  stream.entries().Walk({}, StreamId::Max(), false, [&nodes](const StreamEntry& entry) {
    nodes.Add(entry);
    return true;
  });
  nodes.Finish(out);
  const StreamHead& head = stream.head();
  AppendRdbLength(out, head.entries);
  AppendId(out, head.last_id);
  AppendId(out, stream.first_id());
  AppendId(out, head.max_deleted);
  AppendRdbLength(out, head.entries_added);
  AppendRdbLength(out, head.groups);
  for (const auto& [name, group] : stream.groups()) AppendGroup(name, *group, out);
}

bool ReadStream(ByteReader* in, StreamDumpForm form, DumpedValue* dumped) {
  return StreamReader(in, form, dumped).Read();
}

}  // namespace holdfast::data
