#include "commands/bits.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "base/numbers.h"

namespace holdfast::commands {
namespace {

// Wide enough for the sum of any two 64-bit numbers and for a field's window of 72 bits.
__extension__ using Wide = __int128;
__extension__ using WideBits = unsigned __int128;

constexpr unsigned kWindowBits = 8 * kFieldWindow;

unsigned ByteAt(std::string_view bytes, uint64_t i) {
  return static_cast<unsigned char>(bytes[static_cast<size_t>(i)]);
}

// The bits first..last of a byte, both inside it.
unsigned Mask(uint64_t first, uint64_t last) {
  return (0xffu >> (first & 7)) & (0xffu << (7 - (last & 7))) & 0xffu;
}

int64_t CountWhole(std::string_view bytes) {
  int64_t ones = 0;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    ones += std::popcount(word);
  }
  for (; i < bytes.size(); ++i) ones += std::popcount(ByteAt(bytes, i));
  return ones;
}

// The first byte at or after `i` and before `end` that isn't `skip` all over.
uint64_t SkipBytes(std::string_view bytes, unsigned char skip, uint64_t i, uint64_t end) {
  uint64_t pattern;
  std::memset(&pattern, skip, sizeof pattern);
  for (; i + 8 <= end; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    if (word != pattern) break;
  }
  while (i < end && ByteAt(bytes, i) == skip) ++i;
  return i;
}

WideBits LoadWindow(const unsigned char (&window)[kFieldWindow]) {
  WideBits bits = 0;
  for (const unsigned char byte : window) bits = (bits << 8) | byte;
  return bits;
}

uint64_t LowBits(int count) { return count == 64 ? UINT64_MAX : (uint64_t{1} << count) - 1; }

int64_t MaxOf(FieldType type) {
  return static_cast<int64_t>(LowBits(type.is_signed ? type.bits - 1 : type.bits));
}
int64_t MinOf(FieldType type) { return type.is_signed ? -MaxOf(type) - 1 : 0; }

// The lowest bits of a number, as the field would be read again.
int64_t Wrap(FieldType type, uint64_t bits) {
  bits &= LowBits(type.bits);
  const bool negative = type.is_signed && (bits >> (type.bits - 1)) != 0;
  return static_cast<int64_t>(negative ? bits | ~LowBits(type.bits) : bits);
}

}  // namespace

int64_t CountOnes(std::string_view bytes, uint64_t first, uint64_t last) {
  const uint64_t first_byte = first >> 3;
  const uint64_t last_byte = last >> 3;
  if (first_byte == last_byte) return std::popcount(ByteAt(bytes, first_byte) & Mask(first, last));
  return std::popcount(ByteAt(bytes, first_byte) & Mask(first, 7)) +
         CountWhole(bytes.substr(first_byte + 1, last_byte - first_byte - 1)) +
         std::popcount(ByteAt(bytes, last_byte) & Mask(0, last));
}

int64_t FindBit(std::string_view bytes, bool bit, uint64_t first, uint64_t last) {
  const uint64_t last_byte = last >> 3;
  uint64_t at = first >> 3;
  unsigned mask = Mask(first, 7);
  while (at <= last_byte) {
    if (at == last_byte) mask &= Mask(0, last);
    const unsigned found = (bit ? ByteAt(bytes, at) : ~ByteAt(bytes, at)) & mask;
    if (found != 0) {
      return static_cast<int64_t>(at * 8) + std::countl_zero(static_cast<unsigned char>(found));
    }
    // Only whole bytes lie between here and the last one.
    at = at < last_byte ? SkipBytes(bytes, bit ? 0x00 : 0xff, at + 1, last_byte) : at + 1;
    mask = 0xff;
  }
  return -1;
}

void CombineBits(BitOperation operation, std::string_view bytes, std::string* accumulated) {
  if (operation == BitOperation::kNot) {
    for (char& byte : *accumulated) byte = static_cast<char>(~byte);
    return;
  }
  if (bytes.size() > accumulated->size()) accumulated->resize(bytes.size());
  char* out = accumulated->data();
  switch (operation) {
    case BitOperation::kAnd:
      for (size_t i = 0; i < bytes.size(); ++i) out[i] = static_cast<char>(out[i] & bytes[i]);
      std::fill(accumulated->begin() + static_cast<std::ptrdiff_t>(bytes.size()),
                accumulated->end(), '\0');
      break;
    case BitOperation::kOr:
      for (size_t i = 0; i < bytes.size(); ++i) out[i] = static_cast<char>(out[i] | bytes[i]);
      break;
    case BitOperation::kXor:
      for (size_t i = 0; i < bytes.size(); ++i) out[i] = static_cast<char>(out[i] ^ bytes[i]);
      break;
    case BitOperation::kNot:
      break;
  }
}

bool ParseFieldType(std::string_view text, FieldType* type) {
  if (text.empty() || (text[0] != 'i' && text[0] != 'u')) return false;
  const bool is_signed = text[0] == 'i';
  int64_t bits;
  if (!ParseInt64(text.substr(1), &bits) || bits < 1 || bits > (is_signed ? 64 : 63)) return false;
  *type = {is_signed, static_cast<int>(bits)};
  return true;
}

int64_t ReadField(const unsigned char (&window)[kFieldWindow], unsigned shift, FieldType type) {
  const unsigned down = kWindowBits - shift - static_cast<unsigned>(type.bits);
  return Wrap(type, static_cast<uint64_t>(LoadWindow(window) >> down));
}

void WriteField(unsigned char (&window)[kFieldWindow], unsigned shift, FieldType type,
                int64_t value) {
  const unsigned up = kWindowBits - shift - static_cast<unsigned>(type.bits);
  const WideBits mask = static_cast<WideBits>(LowBits(type.bits)) << up;
  const WideBits field = static_cast<WideBits>(static_cast<uint64_t>(value)) << up;
  WideBits bits = (LoadWindow(window) & ~mask) | (field & mask);
  for (size_t i = kFieldWindow; i-- > 0; bits >>= 8) window[i] = static_cast<unsigned char>(bits);
}

bool AddToField(FieldType type, Overflow overflow, int64_t value, int64_t by, int64_t* sum) {
  const Wide exact = static_cast<Wide>(value) + by;
  if (exact >= MinOf(type) && exact <= MaxOf(type)) {
    *sum = static_cast<int64_t>(exact);
    return true;
  }
  if (overflow == Overflow::kWrap) *sum = Wrap(type, static_cast<uint64_t>(exact));
  if (overflow == Overflow::kSaturate) *sum = exact < 0 ? MinOf(type) : MaxOf(type);
  return overflow != Overflow::kFail;
}

bool FitField(FieldType type, Overflow overflow, int64_t value, int64_t* fitted) {
  if (type.is_signed || value >= 0) return AddToField(type, overflow, value, 0, fitted);
  *fitted = overflow == Overflow::kWrap ? Wrap(type, static_cast<uint64_t>(value)) : MaxOf(type);
  return overflow != Overflow::kFail;
}

}  // namespace holdfast::commands
