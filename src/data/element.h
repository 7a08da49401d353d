// One element of a large collection in memory: a field and its value, a member and its score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::data {

// Layout: this header, the key's bytes, the value's bytes, in one allocation. Loop thread of the
// owning core only, or whoever builds the collection.
class Element {
 public:
  static Element* Create(std::string_view key, std::string_view value);
  static void Free(Element* element);

  std::string_view key() const { return {bytes(), key_size_}; }
  std::string_view value() const { return {bytes() + key_size_, value_size_}; }
  // REQUIRES: as long as the present value.
  void OverwriteValue(std::string_view value);

  // As the allocator counts them.
  size_t MemoryBytes() const;

 private:
  Element() = default;
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  uint32_t key_size_;
  uint32_t value_size_;
};

}  // namespace holdfast::data
