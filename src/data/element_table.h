// The large form of hashes and sets: elements by their key in a hash table (table.h), which grows
// and shrinks without a stall and has positions for scans. As collection.h: one thread at a time.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/rng.h"
#include "data/element.h"
#include "data/table.h"

namespace holdfast::data {

class ElementTable {
 public:
  explicit ElementTable(uint64_t hash_seed) : hash_seed_(hash_seed), table_(0, 0, hash_seed) {}

  uint64_t size() const { return table_.size(); }
  // Bytes of memory besides this object itself.
  size_t MemoryBytes() const { return element_bytes_ + table_.MemoryBytes(); }

  // nullptr when there is none. Valid until the next change.
  const Element* Find(std::string_view key) const { return table_.Find(Hashed(key)); }
  // Adds the element or replaces its value. An element whose value stays as long as it was stays
  // where it is.
  const Element* Put(std::string_view key, std::string_view value);
  // False when there is no such element.
  bool Delete(std::string_view key);

  // Visits elements from `cursor` (0 = the beginning), about `count` of them; returns the cursor to
  // go on from, 0 at the end. One that is there all along is visited, whatever else changes.
  uint64_t Scan(uint64_t cursor, size_t count,
                absl::FunctionRef<void(const Element& element)> visit) const;
  // REQUIRES: size() > 0.
  const Element& Random(Rng* rng) const { return *table_.Random(rng); }

 private:
  HashedKey Hashed(std::string_view key) const;

  const uint64_t hash_seed_;
  BasicTable<Element> table_;
  size_t element_bytes_ = 0;
};

}  // namespace holdfast::data
