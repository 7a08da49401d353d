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
#include "data/record.h"

namespace holdfast::data {
namespace {

enum DumpType : uint8_t {
  kDumpString = 0,
  kDumpList = 1,
  kDumpSet = 2,
  kDumpHash = 4,
  kDumpIntset = 11,
  kDumpHashListpack = 16,
  kDumpQuicklist = 18,
  kDumpLock = 240,
  kDumpSequence = 241
};
// What stands in the low bits of a first byte 11xxxxxx.
enum SpecialForm : uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };

constexpr size_t kFooterBytes = 2 + 8;
constexpr size_t kLongestInt32 = 11;  // "-2147483648"

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
  }
  CHECK_MSG(false, "an object of an unknown type");
  return kDumpString;
}

void AppendRdbLength(std::string* out, uint64_t length) {
  if (length < (1u << 6)) {
    out->push_back(static_cast<char>(length));
  } else if (length < (1u << 14)) {
    AppendFixed16BE(out, static_cast<uint16_t>(0x4000 | length));
  } else if (length <= UINT32_MAX) {
    out->push_back(static_cast<char>(0x80));
    AppendFixed32BE(out, static_cast<uint32_t>(length));
  } else {
    out->push_back(static_cast<char>(0x81));
    AppendFixed64BE(out, length);
  }
}

// False when the string is not the canonical form of an integer of at most 32 bits.
bool AppendRdbInteger(std::string* out, std::string_view value) {
  int64_t number;
  if (value.size() > kLongestInt32 || !ParseInt64(value, &number)) return false;
  size_t bytes;
  SpecialForm form;
  if (number >= INT8_MIN && number <= INT8_MAX) {
    form = kInt8;
    bytes = 1;
  } else if (number >= INT16_MIN && number <= INT16_MAX) {
    form = kInt16;
    bytes = 2;
  } else if (number >= INT32_MIN && number <= INT32_MAX) {
    form = kInt32;
    bytes = 4;
  } else {
    return false;
  }
  out->push_back(static_cast<char>(0xc0 | form));
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<char>(number >> (8 * i)));
  return true;
}

// A length, or (with `*special`) the number of a special form.
bool ReadRdbLength(ByteReader* in, uint64_t* length, bool* special) {
  uint8_t first;
  if (!in->ReadByte(&first)) return false;
  *special = (first >> 6) == 3;
  const uint8_t low = first & 0x3f;
  std::string_view bytes;
  switch (first >> 6) {
    case 1: {
      uint8_t second;
      if (!in->ReadByte(&second)) return false;
      *length = static_cast<uint64_t>(low) << 8 | second;
      return true;
    }
    case 2:
      if (low == 0 && in->ReadBytes(4, &bytes)) {
        *length = LoadFixed32BE(bytes.data());
        return true;
      }
      if (low == 1 && in->ReadBytes(8, &bytes)) {
        *length = LoadFixed64BE(bytes.data());
        return true;
      }
      return false;
    default:
      *length = low;
      return true;
  }
}

bool ReadRdbInteger(ByteReader* in, uint64_t form, std::string* value) {
  const size_t bytes = size_t{1} << form;
  std::string_view encoded;
  if (!in->ReadBytes(bytes, &encoded)) return false;
  uint32_t raw = 0;
  for (size_t i = 0; i < bytes; ++i) {
    raw |= static_cast<uint32_t>(static_cast<uint8_t>(encoded[i])) << (8 * i);
  }
  // Shifting up and down again extends the sign.
  const unsigned unused = 32 - 8 * static_cast<unsigned>(bytes);
  *value = std::to_string(static_cast<int32_t>(raw << unused) >> unused);
  return true;
}

// LZF: a control byte below 32 announces that many plus one literal bytes; any other one a copy of
// earlier output, its length in the high three bits (7: and the next byte) and its distance in the
// low five bits and the following byte. True when exactly `size` bytes come out.
bool DecompressLzf(std::string_view in, size_t size, std::string* out) {
  out->clear();
  out->reserve(size);
  size_t at = 0;
  while (at < in.size()) {
    const auto control = static_cast<uint8_t>(in[at++]);
    if (control < 32) {
      const size_t literals = control + size_t{1};
      if (literals > in.size() - at || literals > size - out->size()) return false;
      out->append(in.substr(at, literals));
      at += literals;
      continue;
    }
    size_t length = control >> 5;
    if (length == 7) {
      if (at >= in.size()) return false;
      length += static_cast<uint8_t>(in[at++]);
    }
    length += 2;
    if (at >= in.size()) return false;
    const size_t distance = ((control & size_t{0x1f}) << 8 | static_cast<uint8_t>(in[at++])) + 1;
    if (distance > out->size() || length > size - out->size()) return false;
    // Byte by byte: a copy may reach into its own output.
    for (size_t i = 0; i < length; ++i) out->push_back((*out)[out->size() - distance]);
  }
  return out->size() == size;
}

bool ReadLzf(ByteReader* in, std::string* value) {
  // Three bytes make at most 264: a length beyond that is a lie, and must not allocate.
  constexpr uint64_t kMaxRatio = 88;
  uint64_t compressed;
  uint64_t size;
  bool special;
  if (!ReadRdbLength(in, &compressed, &special) || special) return false;
  if (!ReadRdbLength(in, &size, &special) || special) return false;
  std::string_view bytes;
  if (compressed > in->rest().size() || !in->ReadBytes(compressed, &bytes)) return false;
  if (size > kMaxDumpValue || size > compressed * kMaxRatio) return false;
  return DecompressLzf(bytes, size, value);
}

bool ReadRdbString(ByteReader* in, std::string* value) {
  uint64_t length;
  bool special;
  if (!ReadRdbLength(in, &length, &special)) return false;
  if (special) {
    if (length <= kInt32) return ReadRdbInteger(in, length, value);
    return length == kLzf && ReadLzf(in, value);
  }
  std::string_view bytes;
  if (length > kMaxDumpValue || length > in->rest().size() || !in->ReadBytes(length, &bytes)) {
    return false;
  }
  value->assign(bytes);
  return true;
}

void AppendRdbString(std::string* out, std::string_view value) {
  if (AppendRdbInteger(out, value)) return;
  AppendRdbLength(out, value.size());
  out->append(value);
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
    default:
      return ReadSingle(dump_type, in, dumped);
  }
}

}  // namespace

std::string EncodeDump(const Object& object) {
  std::string out;
  out.push_back(static_cast<char>(DumpTypeOf(object.type())));
  if (const Collection* collection = object.collection()) {
    AppendRdbLength(&out, collection->size());
    // An item's position is not a part of the value.
    const bool has_names = object.type() != ObjectType::kList;
    const bool has_values = object.type() != ObjectType::kSet;
    collection->ForEach([&](std::string_view element, std::string_view value) {
      if (has_names) AppendRdbString(&out, element);
      if (has_values) AppendRdbString(&out, value);
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
