// A set: members without values.
//
// One of integers only is a sorted array while it is small; any other is a table. As in Redis a set
// becomes a table when it gets more members than EncodingLimits say, or one that is no integer, and
// stays so.
#pragma once

#include <absl/functional/function_ref.h>

#include <memory>
#include <string>

#include "base/rng.h"
#include "data/collection.h"
#include "data/element_table.h"
#include "data/integer_array.h"

namespace holdfast::data {

class SetObject final : public Collection {
 public:
  explicit SetObject(const CollectionOptions& options) : options_(options) {}

  uint64_t size() const override { return table_ != nullptr ? table_->size() : integers_.size(); }
  size_t MemoryBytes() const override;
  std::string_view encoding() const override { return table_ != nullptr ? "hashtable" : "intset"; }
  std::string Head() const override { return EncodeCount(size()); }
  void Put(std::string_view member, std::string_view value) override;
  bool Delete(std::string_view member) override;
  bool Contains(std::string_view member) const override;
  void ForEach(const std::function<void(std::string_view member, std::string_view value)>& visit)
      const override;

  // Visits members from `cursor` (0 = the beginning), about `count` of them; returns the cursor to
  // go on from, 0 at the end. The small form is visited as a whole. The views are valid during the
  // visit only.
  uint64_t Scan(uint64_t cursor, size_t count,
                absl::FunctionRef<void(std::string_view member)> visit) const;
  // One of the members. REQUIRES: size() > 0.
  std::string Random(Rng* rng) const;

 private:
  void BecomeTable();

  const CollectionOptions options_;
  IntegerArray integers_;                // the small form
  std::unique_ptr<ElementTable> table_;  // the other one
};

}  // namespace holdfast::data
