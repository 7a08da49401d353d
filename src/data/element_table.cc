#include "data/element_table.h"

#include "base/hash.h"

namespace holdfast::data {

HashedKey ElementTable::Hashed(std::string_view key) const {
  return {key, Hash64(key, hash_seed_), 0};
}

const Element* ElementTable::Put(std::string_view key, std::string_view value) {
  const HashedKey hashed = Hashed(key);
  Element* old = table_.Find(hashed);
  if (old != nullptr && old->value().size() == value.size()) {
    old->OverwriteValue(value);
    return old;
  }
  Element* fresh = Element::Create(key, value);
  element_bytes_ += fresh->MemoryBytes();
  if (old == nullptr) {
    table_.Insert(hashed, fresh);
    return fresh;
  }
  table_.Replace(hashed, old, fresh);
  element_bytes_ -= old->MemoryBytes();
  Element::Free(old);
  return fresh;
}

bool ElementTable::Delete(std::string_view key) {
  const HashedKey hashed = Hashed(key);
  Element* element = table_.Find(hashed);
  if (element == nullptr) return false;
  table_.Erase(hashed, element);
  element_bytes_ -= element->MemoryBytes();
  Element::Free(element);
  return true;
}

uint64_t ElementTable::Scan(uint64_t cursor, size_t count,
                            absl::FunctionRef<void(const Element& element)> visit) const {
  return table_.Scan(cursor, count, [visit](const Element* element) { visit(*element); });
}

}  // namespace holdfast::data
