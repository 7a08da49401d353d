#include "data/listpack.h"

#include "base/bytes.h"

namespace holdfast::data {
namespace {

constexpr size_t kListpackHeader = 6;
constexpr uint16_t kUnknownCount = UINT16_MAX;
constexpr uint8_t kListpackEnd = 0xff;

// How many bytes the backward length of an entry takes.
size_t BackwardBytes(size_t entry) {
  size_t bytes = 1;
  for (size_t limit = 127; bytes < 5 && entry > limit; limit = limit << 7 | 127) ++bytes;
  return bytes;
}

// The low `bits` of `raw` as a signed number.
int64_t Signed(uint64_t raw, unsigned bits) {
  const unsigned unused = 64 - bits;
  return static_cast<int64_t>(raw << unused) >> unused;
}

bool ReadLittle(ByteReader* in, size_t bytes, uint64_t* value) {
  std::string_view raw;
  if (!in->ReadBytes(bytes, &raw)) return false;
  *value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    *value |= static_cast<uint64_t>(static_cast<uint8_t>(raw[i])) << (8 * i);
  }
  return true;
}

// Everything behind the first byte, but the backward length.
bool ReadEntry(uint8_t first, ByteReader* in, std::string* element) {
  uint64_t length = 0;
  uint8_t second = 0;
  if (first < 0x80) {
    *element = std::to_string(first);
    return true;
  }
  if (first >= 0xc0 && first < 0xf0 && !in->ReadByte(&second)) return false;
  if (first >= 0xc0 && first < 0xe0) {
    *element = std::to_string(Signed(static_cast<uint64_t>(first & 0x1f) << 8 | second, 13));
    return true;
  }
  if (first >= 0xf1 && first <= 0xf4) {
    const size_t bytes = first == 0xf4 ? 8 : first - 0xefu;
    uint64_t raw;
    if (!ReadLittle(in, bytes, &raw)) return false;
    *element = std::to_string(Signed(raw, static_cast<unsigned>(8 * bytes)));
    return true;
  }
  if (first < 0xc0) {
    length = first & 0x3f;
  } else if (first < 0xf0) {
    length = static_cast<uint64_t>(first & 0x0f) << 8 | second;
  } else if (first != 0xf0 || !ReadLittle(in, 4, &length)) {
    return false;
  }
  std::string_view bytes;
  if (length > in->rest().size() || !in->ReadBytes(length, &bytes)) return false;
  element->assign(bytes);
  return true;
}

}  // namespace

bool ReadListpack(std::string_view bytes, std::vector<std::string>* elements) {
  if (bytes.size() <= kListpackHeader || LoadFixed32(bytes.data()) != bytes.size()) return false;
  const auto count =
      static_cast<uint16_t>(static_cast<uint8_t>(bytes[4]) | static_cast<uint8_t>(bytes[5]) << 8);
  ByteReader in(bytes.substr(kListpackHeader));
  elements->clear();
  while (true) {
    const size_t before = in.rest().size();
    uint8_t first;
    if (!in.ReadByte(&first)) return false;
    if (first == kListpackEnd) break;
    std::string element;
    if (!ReadEntry(first, &in, &element)) return false;
    std::string_view backward;
    if (!in.ReadBytes(BackwardBytes(before - in.rest().size()), &backward)) return false;
    elements->push_back(std::move(element));
  }
  return in.empty() && (count == kUnknownCount || count == elements->size());
}

}  // namespace holdfast::data
