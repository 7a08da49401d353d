#include "data/integer_array.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "data/tight.h"

namespace holdfast::data {
namespace {

uint8_t WidthOf(int64_t integer) {
  if (integer == static_cast<int16_t>(integer)) return 2;
  return integer == static_cast<int32_t>(integer) ? 4 : 8;
}

template <typename Integer>
int64_t Load(const char* from) {
  Integer integer;
  std::memcpy(&integer, from, sizeof integer);
  return integer;
}

}  // namespace

size_t IntegerArray::BufferBytes(size_t size, uint8_t width) {
  return size == 0 ? 0 : SizeClass(size * width);
}

int64_t IntegerArray::operator[](size_t at) const {
  const char* from = buffer_.get() + at * width_;
  if (width_ == 2) return Load<int16_t>(from);
  return width_ == 4 ? Load<int32_t>(from) : Load<int64_t>(from);
}

// The low bytes of an integer are those of a narrower one.
void IntegerArray::Set(size_t at, int64_t integer) {
  std::memcpy(buffer_.get() + at * width_, &integer, width_);
}

size_t IntegerArray::LowerBound(int64_t integer) const {
  size_t first = 0;
  size_t end = size_;
  while (first < end) {
    const size_t middle = first + (end - first) / 2;
    if ((*this)[middle] < integer) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first;
}

bool IntegerArray::Contains(int64_t integer) const {
  const size_t at = LowerBound(integer);
  return at < size_ && (*this)[at] == integer;
}

void IntegerArray::Widen(uint8_t width) {
  IntegerArray wide;
  wide.width_ = width;
  wide.size_ = size_;
  if (size_ > 0) wide.buffer_ = std::make_unique<char[]>(BufferBytes(size_, width));
  for (size_t i = 0; i < size_; ++i) wide.Set(i, (*this)[i]);
  *this = std::move(wide);
}

bool IntegerArray::Insert(int64_t integer) {
  const size_t at = LowerBound(integer);
  if (at < size_ && (*this)[at] == integer) return false;
  CHECK(size_ < UINT32_MAX);
  if (WidthOf(integer) > width_) Widen(WidthOf(integer));
  const size_t before = at * width_;
  const size_t behind = (size_ - at) * width_;
  const size_t bytes = BufferBytes(size_ + 1, width_);
  if (bytes != MemoryBytes()) {
    auto larger = std::make_unique<char[]>(bytes);
    if (before > 0) std::memcpy(larger.get(), buffer_.get(), before);
    if (behind > 0) std::memcpy(larger.get() + before + width_, buffer_.get() + before, behind);
    buffer_ = std::move(larger);
  } else {
    std::memmove(buffer_.get() + before + width_, buffer_.get() + before, behind);
  }
  ++size_;
  Set(at, integer);
  return true;
}

bool IntegerArray::Erase(int64_t integer) {
  const size_t at = LowerBound(integer);
  if (at == size_ || (*this)[at] != integer) return false;
  const size_t before = at * width_;
  const size_t behind = (size_ - at - 1) * width_;
  std::memmove(buffer_.get() + before, buffer_.get() + before + width_, behind);
  const size_t bytes = BufferBytes(size_ - 1, width_);
  if (bytes != MemoryBytes()) {
    std::unique_ptr<char[]> smaller;
    if (bytes > 0) {
      smaller = std::make_unique<char[]>(bytes);
      std::memcpy(smaller.get(), buffer_.get(), before + behind);
    }
    buffer_ = std::move(smaller);
  }
  --size_;
  return true;
}

void IntegerArray::Clear() { *this = IntegerArray(); }

}  // namespace holdfast::data
