#include "data/dump.h"

#include <absl/container/flat_hash_set.h>

#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/numbers.h"
#include "data/hash_object.h"
#include "data/list_object.h"
#include "data/listpack.h"
#include "data/rdb.h"
#include "data/record.h"
#include "data/sorted_set_object.h"
#include "data/stream_dump.h"

namespace holdfast::data {
namespace {

enum DumpType : uint8_t {
  kDumpString = 0,
  kDumpList = 1,
  kDumpSet = 2,
  kDumpHash = 4,
  kDumpSortedSet = 5,
  kDumpIntset = 11,
  kDumpStream5 = 15,
  kDumpHashListpack = 16,
  kDumpSortedSetListpack = 17,
  kDumpQuicklist = 18,
  kDumpStream = 19,
  kDumpStream72 = 21,
  kDumpLock = 240,
  kDumpSequence = 241
};

constexpr size_t kFooterBytes = 2 + 8;

Status BadFormat() { return Status::InvalidArgument("Bad data format"); }

uint8_t DumpTypeOf(ObjectType type) {
  switch (type) {
    case ObjectType::kString:
      return kDumpString;
    case ObjectType::kLock:
      return kDumpLock;
    case ObjectType::kSequence:
      return kDumpSequence;
    case ObjectType::kHash:
      return kDumpHash;
    case ObjectType::kSet:
      return kDumpSet;
    case ObjectType::kList:
      return kDumpList;
    case ObjectType::kSortedSet:
      return kDumpSortedSet;
    case ObjectType::kStream:
      return kDumpStream;
  }
  CHECK_MSG(false, "an object of an unknown type");
  return kDumpString;
}

// So many times `each` strings as a length says.
bool ReadStrings(ByteReader* in, size_t each, std::vector<std::string>* strings) {
  uint64_t count;
  bool special;
  // A string takes a byte at least.
  if (!ReadRdbLength(in, &count, &special) || special || count > in->rest().size() / each) {
    return false;
  }
  strings->resize(count * each);
  for (std::string& string : *strings) {
    if (!ReadRdbString(in, &string)) return false;
  }
  return true;
}

// Redis's intset: bytes of each integer(u32 LE: 2, 4 or 8) integers(u32 LE) integer … ascending.
bool ReadIntset(std::string_view bytes, std::vector<std::string>* members) {
  constexpr size_t kHeader = 8;
  if (bytes.size() < kHeader) return false;
  const uint32_t width = LoadFixed32(bytes.data());
  const uint64_t count = LoadFixed32(bytes.data() + 4);
  if ((width != 2 && width != 4 && width != 8) || bytes.size() != kHeader + count * width) {
    return false;
  }
  for (size_t at = kHeader; at < bytes.size(); at += width) {
    uint64_t raw = 0;
    for (size_t i = 0; i < width; ++i) {
      raw |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
    }
    const unsigned unused = 64 - 8 * width;
    members->push_back(std::to_string(static_cast<int64_t>(raw << unused) >> unused));
  }
  return true;
}

// False when a member comes twice, or there is none.
bool MakeSet(const std::vector<std::string>& members, DumpedValue* dumped) {
  absl::flat_hash_set<std::string_view> names;
  for (const std::string& member : members) {
    if (!names.insert(member).second) return false;
    dumped->elements.Put(member, {});
  }
  dumped->type = ObjectType::kSet;
  dumped->value = EncodeCount(members.size());
  return !members.empty();
}

// Redis's quicklist: a number of nodes, each a container (1 plain, 2 packed) and an RDB string that
// is an item or a listpack of items.
bool ReadQuicklist(ByteReader* in, std::vector<std::string>* items) {
  uint64_t nodes;
  bool special;
  if (!ReadRdbLength(in, &nodes, &special) || special || nodes > in->rest().size()) return false;
  for (; nodes > 0; --nodes) {
    uint64_t container;
    std::string bytes;
    std::vector<std::string> packed;
    if (!ReadRdbLength(in, &container, &special) || special || !ReadRdbString(in, &bytes)) {
      return false;
    }
    if (container == 1) {
      items->push_back(std::move(bytes));
    } else if (container == 2 && ReadListpack(bytes, &packed)) {
      items->insert(items->end(), packed.begin(), packed.end());
    } else {
      return false;
    }
  }
  return true;
}

bool MakeList(const std::vector<std::string>& items, DumpedValue* dumped) {
  int64_t position = 0;
  for (const std::string& item : items) {
    dumped->elements.Put(ListObject::EncodePosition(position), item);
    position += ListObject::kGap;
  }
  dumped->type = ObjectType::kList;
  dumped->value = EncodeCount(items.size());
  return !items.empty();
}

// From fields and values in turn. False when a field comes twice, or there is none.
bool MakeHash(const std::vector<std::string>& fields, DumpedValue* dumped) {
  if (fields.empty() || fields.size() % 2 != 0) return false;
  absl::flat_hash_set<std::string_view> names;
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (!names.insert(fields[i]).second) return false;
    dumped->elements.Put(fields[i], fields[i + 1]);
  }
  dumped->type = ObjectType::kHash;
  dumped->value = EncodeCount(fields.size() / 2);
  return true;
}

using ScoredNames = std::vector<std::pair<std::string, double>>;

// False when a member comes twice, or there is none.
bool MakeSortedSet(const ScoredNames& members, DumpedValue* dumped) {
  absl::flat_hash_set<std::string_view> names;
  for (const auto& [member, score] : members) {
    if (!names.insert(member).second) return false;
    dumped->elements.Put(member, SortedSetObject::EncodeScore(score));
  }
  dumped->type = ObjectType::kSortedSet;
  dumped->value = EncodeCount(members.size());
  return !members.empty();
}

bool ReadSortedSet(ByteReader* in, ScoredNames* members) {
  constexpr size_t kSmallestMember = 1 + 8;
  uint64_t count;
  bool special;
  if (!ReadRdbLength(in, &count, &special) || special ||
      count > in->rest().size() / kSmallestMember) {
    return false;
  }
  members->resize(count);
  for (auto& [member, score] : *members) {
    std::string_view bytes;
    if (!ReadRdbString(in, &member) || !in->ReadBytes(sizeof score, &bytes) ||
        !SortedSetObject::DecodeScore(bytes, &score)) {
      return false;
    }
  }
  return true;
}

// From members and scores in turn, as a listpack has them.
bool ScoresOfText(std::vector<std::string> parts, ScoredNames* members) {
  if (parts.size() % 2 != 0) return false;
  for (size_t i = 0; i < parts.size(); i += 2) {
    double score;
    if (!ParseDouble(parts[i + 1], &score)) return false;
    members->emplace_back(std::move(parts[i]), score);
  }
  return true;
}

bool ReadSingle(uint8_t dump_type, ByteReader* in, DumpedValue* dumped) {
  LockValue lock;
  SequenceValue sequence;
  if (!ReadRdbString(in, &dumped->value)) return false;
  switch (dump_type) {
    case kDumpString:
      dumped->type = ObjectType::kString;
      return true;
    case kDumpLock:
      dumped->type = ObjectType::kLock;
      return DecodeLock(dumped->value, &lock);
    case kDumpSequence:
      dumped->type = ObjectType::kSequence;
      return DecodeSequence(dumped->value, &sequence);
    default:
      return false;
  }
}

bool ReadDumped(ByteReader* in, DumpedValue* dumped) {
  uint8_t dump_type;
  std::vector<std::string> parts;
  ScoredNames scored;
  std::string bytes;
  if (!in->ReadByte(&dump_type)) return false;
  switch (dump_type) {
    case kDumpList:
      return ReadStrings(in, 1, &parts) && MakeList(parts, dumped);
    case kDumpQuicklist:
      return ReadQuicklist(in, &parts) && MakeList(parts, dumped);
    case kDumpSet:
      return ReadStrings(in, 1, &parts) && MakeSet(parts, dumped);
    case kDumpIntset:
      return ReadRdbString(in, &bytes) && ReadIntset(bytes, &parts) && MakeSet(parts, dumped);
    case kDumpHash:
      return ReadStrings(in, 2, &parts) && MakeHash(parts, dumped);
    case kDumpHashListpack:
      return ReadRdbString(in, &bytes) && ReadListpack(bytes, &parts) && MakeHash(parts, dumped);
    case kDumpSortedSet:
      return ReadSortedSet(in, &scored) && MakeSortedSet(scored, dumped);
    case kDumpSortedSetListpack:
      return ReadRdbString(in, &bytes) && ReadListpack(bytes, &parts) &&
             ScoresOfText(std::move(parts), &scored) && MakeSortedSet(scored, dumped);
    case kDumpStream5:
      return ReadStream(in, StreamDumpForm::kRedis5, dumped);
    case kDumpStream:
      return ReadStream(in, StreamDumpForm::kRedis70, dumped);
    case kDumpStream72:
      return ReadStream(in, StreamDumpForm::kRedis72, dumped);
    default:
      return ReadSingle(dump_type, in, dumped);
  }
}

}  // namespace

std::string EncodeDump(const Object& object) {
  std::string out;
  out.push_back(static_cast<char>(DumpTypeOf(object.type())));
  if (object.type() == ObjectType::kStream) {
    AppendStream(static_cast<const StreamObject&>(*object.collection()), &out);
  } else if (const Collection* collection = object.collection()) {
    AppendRdbLength(&out, collection->size());
    // An item's position is not a part of the value.
    const bool has_names = object.type() != ObjectType::kList;
    const bool has_values = object.type() != ObjectType::kSet;
    const bool has_scores = object.type() == ObjectType::kSortedSet;
    collection->ForEach([&](std::string_view element, std::string_view value) {
      if (has_names) AppendRdbString(&out, element);
      if (has_scores) {
        out.append(value);  // the score's bytes are the same
      } else if (has_values) {
        AppendRdbString(&out, value);
      }
    });
  } else {
    out.reserve(object.value_size() + 20);
    AppendRdbString(&out, object.value());
  }
  AppendDumpFooter(&out);
  return out;
}

Status DecodeDump(std::string_view payload, DumpedValue* dumped) {
  std::string_view body;
  RETURN_IF_ERROR(CheckDumpFooter(payload, &body));
  ByteReader in(body);
  DumpedValue value;
  if (!ReadDumped(&in, &value) || !in.empty()) return BadFormat();
  *dumped = std::move(value);
  return Status::Ok();
}

void AppendDumpString(std::string* out, std::string_view value) { AppendRdbString(out, value); }

bool TakeDumpString(std::string_view* in, std::string* value) {
  ByteReader reader(*in);
  if (!ReadRdbString(&reader, value)) return false;
  *in = reader.rest();
  return true;
}

void AppendDumpFooter(std::string* out) {
  out->push_back(static_cast<char>(kDumpVersion & 0xff));
  out->push_back(static_cast<char>(kDumpVersion >> 8));
  AppendFixed64(out, Crc64(0, *out));
}

Status CheckDumpFooter(std::string_view payload, std::string_view* body) {
  const Status wrong = Status::InvalidArgument("DUMP payload version or checksum are wrong");
  if (payload.size() < kFooterBytes) return wrong;
  const size_t size = payload.size() - kFooterBytes;
  const auto version = static_cast<uint16_t>(static_cast<uint8_t>(payload[size]) |
                                             static_cast<uint8_t>(payload[size + 1]) << 8);
  if (version > kMaxDumpVersion) return wrong;
  if (LoadFixed64(payload.data() + size + 2) != Crc64(0, payload.substr(0, size + 2))) return wrong;
  *body = payload.substr(0, size);
  return Status::Ok();
}

}  // namespace holdfast::data
