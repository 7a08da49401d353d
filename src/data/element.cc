#include "data/element.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace holdfast::data {

Element* Element::Create(std::string_view key, std::string_view value) {
  void* memory = std::malloc(sizeof(Element) + key.size() + value.size());
  CHECK_MSG(memory != nullptr, "out of memory");
  auto* element = new (memory) Element();
  element->key_size_ = static_cast<uint32_t>(key.size());
  element->value_size_ = static_cast<uint32_t>(value.size());
  if (!key.empty()) std::memcpy(element->bytes(), key.data(), key.size());
  if (!value.empty()) std::memcpy(element->bytes() + key.size(), value.data(), value.size());
  return element;
}

void Element::Free(Element* element) { std::free(element); }

void Element::OverwriteValue(std::string_view value) {
  CHECK(value.size() == value_size_);
  if (!value.empty()) std::memcpy(bytes() + key_size_, value.data(), value.size());
}

size_t Element::MemoryBytes() const { return malloc_usable_size(const_cast<Element*>(this)); }

}  // namespace holdfast::data
