#include "cluster/view.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::cluster {
namespace {

constexpr std::string_view kFormat = "1";
constexpr std::string_view kNone = "-";
constexpr std::string_view kNodePrefix = "node/";
constexpr std::string_view kPartitionPrefix = "partition/";
constexpr std::array<std::string_view, 4> kStates = {"joining", "member", "leaving", "removed"};

// Splits into exactly N words.
template <size_t N>
bool Split(std::string_view text, std::array<std::string_view, N>* words) {
  for (size_t i = 0; i < N; ++i) {
    const size_t end = i + 1 == N ? text.size() : text.find(' ');
    if (end == std::string_view::npos || end == 0) return false;
    (*words)[i] = text.substr(0, end);
    text.remove_prefix(i + 1 == N ? end : end + 1);
  }
  return (*words)[N - 1].find(' ') == std::string_view::npos;
}

Status Damaged(std::string_view what) {
  return Status::Corruption("a " + std::string(what) + " record of the cluster is damaged");
}

}  // namespace

std::string_view NameOf(NodeState state) { return kStates[static_cast<size_t>(state)]; }

bool Contains(const std::vector<raft::NodeId>& ids, raft::NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::string FormatId(raft::NodeId id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; id >>= 4) text[i] = kDigits[id & 15];
  return text;
}

std::string FormatIds(const std::vector<raft::NodeId>& ids) {
  if (ids.empty()) return std::string(kNone);
  std::string text;
  for (const raft::NodeId id : ids) {
    if (!text.empty()) text += ',';
    text += FormatId(id);
  }
  return text;
}

bool ParseId(std::string_view text, raft::NodeId* id) {
  if (text.size() != 16) return false;
  *id = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return false;
    *id = *id << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return *id != raft::kNoNode;
}

bool ParseIds(std::string_view text, std::vector<raft::NodeId>* ids) {
  ids->clear();
  if (text == kNone) return true;
  while (true) {
    const size_t comma = text.find(',');
    raft::NodeId id;
    if (!ParseId(text.substr(0, comma), &id)) return false;
    ids->push_back(id);
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

std::string NodeKey(raft::NodeId id) { return std::string(kNodePrefix) + FormatId(id); }

std::string PartitionKey(uint32_t partition) {
  return std::string(kPartitionPrefix) + std::to_string(partition);
}

std::string EncodeNode(const NodeRecord& record) {
  std::string value(kFormat);
  value += ' ';
  value += NameOf(record.state);
  value += ' ';
  value += record.cluster_address;
  value += ' ';
  value += record.client_address.empty() ? kNone : std::string_view(record.client_address);
  return value;
}

std::string EncodePartition(const PartitionRecord& record) {
  return std::string(kFormat) + ' ' + std::to_string(record.epoch) + ' ' +
         FormatIds(record.voters) + ' ' + FormatIds(record.learners);
}

Status DecodeNode(std::string_view value, NodeRecord* record) {
  std::array<std::string_view, 4> words;
  if (!Split(value, &words)) return Damaged("node");
  if (words[0] != kFormat) return Status::Unsupported("a node record of a newer format");
  for (size_t i = 0; i < kStates.size(); ++i) {
    if (words[1] != kStates[i]) continue;
    record->state = static_cast<NodeState>(i);
    record->cluster_address = words[2];
    record->client_address = words[3] == kNone ? std::string_view() : words[3];
    return Status::Ok();
  }
  return Damaged("node");
}

Status DecodePartition(std::string_view value, PartitionRecord* record) {
  std::array<std::string_view, 4> words;
  if (!Split(value, &words)) return Damaged("partition");
  if (words[0] != kFormat) return Status::Unsupported("a partition record of a newer format");
  if (!ParseUint64(words[1], &record->epoch) || !ParseIds(words[2], &record->voters) ||
      !ParseIds(words[3], &record->learners)) {
    return Damaged("partition");
  }
  return Status::Ok();
}

const NodeRecord* View::Find(raft::NodeId id) const {
  const auto it = nodes.find(id);
  return it == nodes.end() ? nullptr : &it->second;
}

Status ViewBuilder::Put(std::string_view key, std::string_view value) {
  if (key.starts_with(kNodePrefix)) {
    raft::NodeId id;
    if (!ParseId(key.substr(kNodePrefix.size()), &id)) return Damaged("node");
    return DecodeNode(value, &view_.nodes[id]);
  }
  if (key.starts_with(kPartitionPrefix)) {
    uint64_t number;
    if (!ParseUint64(key.substr(kPartitionPrefix.size()), &number)) return Damaged("partition");
    return DecodePartition(value, &view_.partitions[static_cast<uint32_t>(number)]);
  }
  return Status::Ok();  // of a later version
}

void ViewBuilder::Erase(std::string_view key) {
  raft::NodeId id;
  if (key.starts_with(kNodePrefix) && ParseId(key.substr(kNodePrefix.size()), &id)) {
    view_.nodes.erase(id);
  }
}

Status ViewBuilder::Reset(const data::Keyspace& keyspace) {
  view_ = View();
  Status status;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [this, &status](data::Object* object) {
      if (status.ok()) status = Put(object->key(), object->value());
    });
  } while (cursor != 0 && status.ok());
  return status;
}

Status ViewBuilder::Apply(std::string_view payload) {
  return data::ForEachEffect(payload, [this](const data::Effect& effect) {
    if (effect.kind == data::EffectKind::kPut) return Put(effect.key, effect.value);
    if (effect.kind == data::EffectKind::kDelete) Erase(effect.key);
    return Status::Ok();
  });
}

}  // namespace holdfast::cluster
