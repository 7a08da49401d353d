// A list: items in an order, each at a position.
//
// An item's record is found by its position, a number that never changes while the item stays:
// pushing and popping touch one record. Positions are kGap apart, so that there is room to insert
// between two; where there is none left, the list is numbered anew.
//
// In memory items lie in runs of at most kRunItems, in order: an end is found at once, an index by
// walking over runs, as in Redis's quicklist.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "data/collection.h"

namespace holdfast::data {

class ListObject final : public Collection {
 public:
  // Between neighbours that were pushed one after the other.
  static constexpr int64_t kGap = 1 << 16;

  struct Item {
    int64_t position = 0;
    std::string value;
  };

  uint64_t size() const override { return size_; }
  size_t MemoryBytes() const override;
  std::string_view encoding() const override { return "quicklist"; }
  std::string Head() const override { return EncodeCount(size_); }
  void Put(std::string_view element, std::string_view value) override;
  bool Delete(std::string_view element) override;
  bool Contains(std::string_view element) const override;
  void ForEach(const std::function<void(std::string_view element, std::string_view value)>& visit)
      const override;

  // The item at an index from the front. REQUIRES: index < size(). Valid until the next change.
  const Item& At(uint64_t index) const;
  // Visits items from `index` on, in order or backwards, until `visit` returns false.
  void Walk(uint64_t index, bool backwards, absl::FunctionRef<bool(const Item& item)> visit) const;

  // A position's bytes in a record's key, which sort as positions do. False for other bytes.
  static std::string EncodePosition(int64_t position);
  [[nodiscard]] static bool DecodePosition(std::string_view element, int64_t* position);

 private:
  static constexpr size_t kRunItems = 128;
  using Run = std::vector<Item>;
  struct Place {
    size_t run = 0;
    size_t item = 0;
  };

  // Where the position is or would be inserted.
  Place Locate(int64_t position) const;
  bool IsAt(const Place& place, int64_t position) const;
  Place PlaceOf(uint64_t index) const;
  // Joins the run and the one behind it when both are small.
  bool TryJoin(size_t run);
  static size_t BytesOf(const Item& item);

  std::deque<Run> runs_;  // none is empty
  uint64_t size_ = 0;
  size_t value_bytes_ = 0;  // of values that don't fit into an Item
};

}  // namespace holdfast::data
