// The hash table of one database of one partition; with one slot only, that of a large collection.
//
// It is split by slot, and inside a slot it is an extendible hash table (Fagin et al., 1979): a
// directory indexed by the top bits of the hash points to segments of at most kSegmentCapacity
// objects. A segment that is full splits into two, so that growing never touches more than one
// segment and, rarely, one slot's directory: no operation takes more than about a millisecond, at
// any number of keys.
//
// Every object has a fixed position: (slot, top 48 bits of its hash). SCAN walks positions in
// order and its cursor is the next position, so cursors need no state, survive growing, shrinking
// and restarts, and an object that is present all along is returned exactly once.
//
// Its nodes are objects, or the elements of a collection: they have a key(), and Node::Free frees
// them. Loop thread of the owning core only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "data/object.h"

namespace holdfast::data {

// A key with what lookups need, computed once a request.
struct HashedKey {
  std::string_view key;
  uint64_t hash;
  uint16_t slot;
};

template <typename Node>
class BasicTable {
 public:
  // Objects of slots [first_slot, last_slot]; `seed` is the hash seed behind HashedKey::hash.
  BasicTable(uint16_t first_slot, uint16_t last_slot, uint64_t seed);
  ~BasicTable();
  BasicTable(const BasicTable&) = delete;
  BasicTable& operator=(const BasicTable&) = delete;

  Node* Find(const HashedKey& key) const;
  // Has the memory that Find of these keys will read brought into the cache, for all of them at the
  // same time: one after the other, lookups wait for memory most of their time.
  void Prefetch(std::span<const HashedKey> keys) const;
  // REQUIRES: no object with this key is in the table; object->key() == key.key.
  void Insert(const HashedKey& key, Node* object);
  // Puts `object` in the place of `old`, which has the same key.
  void Replace(const HashedKey& key, Node* old, Node* object);
  // Takes `object` out; does not free it. REQUIRES: it is in the table.
  void Erase(const HashedKey& key, Node* object);

  uint64_t size() const { return size_; }
  uint64_t SlotSize(uint16_t slot) const;
  // Bytes of the table itself, without the objects.
  size_t MemoryBytes() const { return memory_bytes_; }

  // Visits objects in position order from `cursor` (0 = the first position) until about `count`
  // were visited; returns the cursor to go on from, or 0 at the end. Objects must not be inserted
  // or erased by `visit`.
  uint64_t Scan(uint64_t cursor, size_t count, const std::function<void(Node*)>& visit) const;
  // The smallest cursor inside `slot`.
  static uint64_t SlotCursor(uint16_t slot) { return static_cast<uint64_t>(slot) << 48; }
  static uint16_t CursorSlot(uint64_t cursor) { return static_cast<uint16_t>(cursor >> 48); }

  // An object chosen at random, each with nearly the same probability; nullptr when empty.
  Node* Random(Rng* rng) const;

  // Largest number of objects in one segment; for tests and statistics.
  static constexpr uint32_t kSegmentCapacity = 128;

 private:
  struct Segment;
  struct Directory;
  // One slot: nothing, one segment, or a directory of segments.
  struct SlotTable {
    Directory* directory = nullptr;
    Segment* only = nullptr;
    uint32_t count = 0;
  };

  void MakeSlots();
  Segment* NewSegment(uint32_t capacity, uint8_t depth);
  void FreeSegment(Segment* segment);
  Segment** SegmentRef(SlotTable* slot, uint64_t hash, uint32_t* index) const;
  Segment* FindSegment(const SlotTable& slot, uint64_t hash) const;
  void PutWord(Segment* segment, uint64_t word) const;
  Segment* Resized(Segment* segment, uint32_t capacity);
  void ReplaceSegment(SlotTable* slot, Segment* old, Segment* fresh, uint64_t hash);
  void Split(SlotTable* slot, uint64_t hash);
  void MaybeShrink(SlotTable* slot, uint64_t hash);
  bool TryMerge(SlotTable* slot, uint64_t hash);
  void Count(uint16_t slot, int delta);
  size_t ScanSlot(const SlotTable& slot, uint64_t* position, size_t count,
                  const std::function<void(Node*)>& visit) const;
  uint64_t HashOf(const Node* object) const;

  uint16_t first_slot_;
  uint16_t last_slot_;
  uint64_t seed_;
  uint64_t size_ = 0;
  size_t memory_bytes_ = 0;
  std::vector<SlotTable> slots_;  // none until the first insert
  // Objects per group of kGroup slots, to find the next or a random non-empty slot quickly.
  static constexpr uint32_t kGroup = 128;
  std::vector<uint64_t> groups_;
};

// The keys of a database.
using Table = BasicTable<Object>;

}  // namespace holdfast::data
