#include "data/listpack.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::data {
namespace {

constexpr size_t kListpackHeader = 6;
constexpr uint16_t kUnknownCount = UINT16_MAX;
constexpr uint8_t kListpackEnd = 0xff;

// How many bytes the backward length of an entry takes. Redis takes one more than needed for the
// largest numbers of 14, 21 and 28 bits.
size_t BackwardBytes(size_t entry) {
  if (entry <= 127) return 1;
  size_t bytes = 2;
  for (size_t limit = (1 << 14) - 1; bytes < 5 && entry >= limit; limit = limit << 7 | 127) ++bytes;
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

ListpackWriter::ListpackWriter() : bytes_(kListpackHeader, '\0') {}

void ListpackWriter::EndElement(size_t begin) {
  const size_t size = bytes_.size() - begin;
  const size_t backward = BackwardBytes(size);
  // Seven bits each, the high ones first; all but the first byte have the high bit, so that the
  // number is read from its end.
  for (size_t i = backward; i-- > 0;) {
    const auto bits = static_cast<uint8_t>(size >> (7 * i) & 0x7f);
    bytes_.push_back(static_cast<char>(i + 1 == backward ? bits : bits | 0x80));
  }
  ++count_;
}

void ListpackWriter::Add(int64_t integer) {
  const size_t begin = bytes_.size();
  const auto put = [this](uint64_t raw, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) bytes_.push_back(static_cast<char>(raw >> (8 * i)));
  };
  const auto raw = static_cast<uint64_t>(integer);
  if (integer >= 0 && integer <= 127) {
    put(raw, 1);
  } else if (integer >= -4096 && integer <= 4095) {
    bytes_.push_back(static_cast<char>(0xc0 | (raw >> 8 & 0x1f)));
    put(raw, 1);
  } else if (integer >= INT16_MIN && integer <= INT16_MAX) {
    bytes_.push_back(static_cast<char>(0xf1));
    put(raw, 2);
  } else if (integer >= -(1 << 23) && integer < 1 << 23) {
    bytes_.push_back(static_cast<char>(0xf2));
    put(raw, 3);
  } else if (integer >= INT32_MIN && integer <= INT32_MAX) {
    bytes_.push_back(static_cast<char>(0xf3));
    put(raw, 4);
  } else {
    bytes_.push_back(static_cast<char>(0xf4));
    put(raw, 8);
  }
  EndElement(begin);
}

void ListpackWriter::Add(std::string_view string) {
  int64_t integer;
  if (ParseInt64(string, &integer)) {
    Add(integer);
    return;
  }
  const size_t begin = bytes_.size();
  const size_t size = string.size();
  if (size < 64) {
    bytes_.push_back(static_cast<char>(0x80 | size));
  } else if (size < 4096) {
    bytes_.push_back(static_cast<char>(0xe0 | size >> 8));
    bytes_.push_back(static_cast<char>(size));
  } else {
    bytes_.push_back(static_cast<char>(0xf0));
    AppendFixed32(&bytes_, static_cast<uint32_t>(size));
  }
  bytes_.append(string);
  EndElement(begin);
}

std::string ListpackWriter::Finish() {
  bytes_.push_back(static_cast<char>(kListpackEnd));
  CHECK(bytes_.size() <= UINT32_MAX);
  std::string header;
  AppendFixed32(&header, static_cast<uint32_t>(bytes_.size()));
  const uint64_t count = count_ < kUnknownCount ? count_ : kUnknownCount;
  header.push_back(static_cast<char>(count));
  header.push_back(static_cast<char>(count >> 8));
  bytes_.replace(0, kListpackHeader, header);
  return std::move(bytes_);
}

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
