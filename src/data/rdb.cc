#include "data/rdb.h"

#include "base/numbers.h"
#include "data/dump.h"

namespace holdfast::data {
namespace {

// What stands in the low bits of a first byte 11xxxxxx.
enum SpecialForm : uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };

constexpr size_t kLongestInt32 = 11;  // "-2147483648"

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

}  // namespace

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

}  // namespace holdfast::data
