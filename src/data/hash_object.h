// A hash: fields and their values.
//
// A small one is a single run of bytes in the order in which fields came, which is searched from
// the front; a large one is a hash table (table.h), which grows and shrinks without a stall and has
// positions for HSCAN. As in Redis a hash becomes large when it has more fields, or a longer one,
// than EncodingLimits say, and stays so.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/rng.h"
#include "data/collection.h"
#include "data/element_table.h"

namespace holdfast::data {

class HashObject final : public Collection {
 public:
  explicit HashObject(const CollectionOptions& options);

  uint64_t size() const override { return table_ != nullptr ? table_->size() : count_; }
  size_t MemoryBytes() const override;
  std::string_view encoding() const override;
  std::string Head() const override { return EncodeCount(size()); }
  void Put(std::string_view field, std::string_view value) override;
  bool Delete(std::string_view field) override;
  bool Contains(std::string_view field) const override { return Find(field).has_value(); }
  void ForEach(const std::function<void(std::string_view field, std::string_view value)>& visit)
      const override;

  // The value, or nothing. Valid until the next change.
  std::optional<std::string_view> Find(std::string_view field) const;
  // Visits fields from `cursor` (0 = the beginning), about `count` of them; returns the cursor to
  // go on from, 0 at the end. A small hash is visited as a whole.
  uint64_t Scan(
      uint64_t cursor, size_t count,
      const std::function<void(std::string_view field, std::string_view value)>& visit) const;
  // One of the fields. REQUIRES: size() > 0.
  std::pair<std::string_view, std::string_view> Random(Rng* rng) const;

 private:
  struct Place {
    size_t begin = 0;  // of the field's length
    size_t end = 0;
    std::string_view field;
    std::string_view value;
  };
  // The field that begins at `begin` of the small form.
  Place At(size_t begin) const;
  bool FindSmall(std::string_view field, Place* place) const;
  bool FitsSmall(std::string_view field, std::string_view value, bool is_new) const;
  void PutSmall(std::string_view field, std::string_view value);
  void BecomeLarge();

  const CollectionOptions options_;
  std::string small_;                    // length field length value, again and again
  uint64_t count_ = 0;                   // of fields in small_
  std::unique_ptr<ElementTable> table_;  // the large form
};

}  // namespace holdfast::data
