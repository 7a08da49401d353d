// A list: items in an order, each at a position.
//
// An item's record is found by its position, a number that never changes while the item stays:
// pushing and popping touch one record. Positions are kGap apart, so that there is room to insert
// between two; where there is none left, the list is numbered anew.
//
// In memory items lie packed in runs, in order, of at most kRunItems items and kRunBytes bytes (an
// item may be larger and is a run of its own then): an end is found at once, an index by walking
// over runs, as in Redis's quicklist. Of a run:
//
//   for each item: varint how far its position is behind that of the one before it (0 for the
//   first, and for one that is just kGap behind) | varint length | value
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <memory>
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
    std::string_view value;  // valid until the next change
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

  // The positions of its ends, in O(1). REQUIRES: size() > 0.
  int64_t FirstPosition() const { return runs_.front()->first; }
  int64_t LastPosition() const { return runs_.back()->last; }
  // The item at an index from the front; those at the ends in O(1). REQUIRES: index < size().
  Item At(uint64_t index) const;
  // Visits items from `index` on, in order or backwards, until `visit` returns false.
  void Walk(uint64_t index, bool backwards, absl::FunctionRef<bool(const Item& item)> visit) const;

  // A position's bytes in a record's key, which sort as positions do. False for other bytes.
  static std::string EncodePosition(int64_t position);
  [[nodiscard]] static bool DecodePosition(std::string_view element, int64_t* position);

 private:
  static constexpr size_t kRunItems = 128;
  static constexpr size_t kRunBytes = 8192;

  struct Run {
    int64_t first = 0;  // positions of its ends
    int64_t last = 0;
    uint32_t count = 0;
    uint32_t last_begin = 0;  // where the last item begins
    std::string bytes;

    size_t MemoryBytes() const { return sizeof *this + bytes.capacity(); }
  };
  // An item in a run's bytes, or the end of them.
  struct Packed {
    size_t begin = 0;
    size_t end = 0;
    size_t length_at = 0;  // where the varint of its length begins
    int64_t before = 0;    // position of the item before it; the run's first for the first one
    Item item;
  };

  // The item that begins at `begin`. REQUIRES: there is one.
  static Packed Read(const Run& run, size_t begin, int64_t before);
  // REQUIRES: the run isn't empty.
  static Packed ReadLast(const Run& run);
  // The first item at or behind the position; begin == bytes.size() when there is none.
  static Packed Seek(const Run& run, int64_t position);
  // Puts an item in front of `next`, which may be the end.
  static void Splice(Run* run, const Packed& next, const Item& item);
  static void Overwrite(Run* run, const Packed& old, std::string_view value);
  static void Erase(Run* run, const Packed& old);
  static bool HasRoom(const Run& run, size_t value_bytes);
  static void Append(Run* run, const Item& item);  // REQUIRES: it belongs behind the others

  // The run that the position belongs to: the last one that begins at or before it, else the first.
  // REQUIRES: there is one.
  size_t RunOf(int64_t position) const;
  void InsertRun(size_t at, const Item& item);
  // Makes two runs of one that is too large. REQUIRES: more than one item.
  void Split(size_t run);
  // Joins the run and the one behind it when both are small.
  bool TryJoin(size_t run);

  std::vector<std::unique_ptr<Run>> runs_;  // none is empty
  uint64_t size_ = 0;
  size_t run_bytes_ = 0;  // MemoryBytes of all runs
};

}  // namespace holdfast::data
