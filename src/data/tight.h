// Bytes of small collections, of which there may be millions: their capacity is the size class of
// the allocator that they need, where std::string would double it.
#pragma once

#include <bit>
#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::data {

// What jemalloc takes for `bytes` > 0: multiples of 16 up to 128, then four classes up to each
// power of two. With another allocator it is still a capacity that isn't far off.
inline size_t SizeClass(size_t bytes) {
  if (bytes <= 128) return (bytes + 15) / 16 * 16;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

// As bytes->replace(at, removed, added); what is not needed any more is given back. `added` is not
// a part of `*bytes`.
inline void ReplaceTight(std::string* bytes, size_t at, size_t removed, std::string_view added) {
  constexpr size_t kNotWorthIt = 64;
  const size_t size = bytes->size() - removed + added.size();
  if (size <= bytes->capacity() &&
      (size >= bytes->capacity() / 2 || bytes->capacity() <= kNotWorthIt)) {
    bytes->replace(at, removed, added);
    return;
  }
  std::string fresh;
  fresh.reserve(SizeClass(size + 1) - 1);
  fresh.append(*bytes, 0, at).append(added).append(*bytes, at + removed);
  bytes->swap(fresh);
}

}  // namespace holdfast::data
