// Distinct integers in ascending order, each in two, four or eight bytes: as many as the largest of
// those that came needs. For small sets of integers, of which there may be millions: insertion and
// removal are O(n). As collection.h: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace holdfast::data {

class IntegerArray {
 public:
  size_t size() const { return size_; }
  // Bytes of memory besides this object itself.
  size_t MemoryBytes() const { return BufferBytes(size_, width_); }

  // REQUIRES: at < size().
  int64_t operator[](size_t at) const;
  // False when it is there already.
  bool Insert(int64_t integer);
  // False when it isn't there.
  bool Erase(int64_t integer);
  bool Contains(int64_t integer) const;
  void Clear();

 private:
  static size_t BufferBytes(size_t size, uint8_t width);
  // Of the first one that isn't less; size() when all are.
  size_t LowerBound(int64_t integer) const;
  void Set(size_t at, int64_t integer);
  void Widen(uint8_t width);

  std::unique_ptr<char[]> buffer_;  // of BufferBytes(size_, width_), little-endian
  uint32_t size_ = 0;
  uint8_t width_ = 2;
};

}  // namespace holdfast::data
