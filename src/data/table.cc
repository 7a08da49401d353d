#include "data/table.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "data/element.h"

namespace holdfast::data {
namespace {

constexpr int kPositionBits = 48;
constexpr uint64_t kPositionEnd = 1ULL << kPositionBits;
constexpr uint64_t kPointerMask = (1ULL << 48) - 1;
constexpr uint32_t kMinCapacity = 4;
// Beyond this depth a full segment grows instead of splitting: only reachable when thousands of
// keys share the top bits of a seeded 64-bit hash.
constexpr uint8_t kMaxDepth = 28;

// A word of a segment: the low 16 bits of the hash above a 48-bit pointer; 0 = empty.
uint64_t MakeWord(uint64_t hash, const void* node) {
  return (hash << 48) | reinterpret_cast<uint64_t>(node);
}
template <typename Node>
Node* WordNode(uint64_t word) {
  return reinterpret_cast<Node*>(word & kPointerMask);
}
uint32_t WordTag(uint64_t word) { return static_cast<uint32_t>(word >> 48); }

// The top `depth` bits.
uint32_t TopBits(uint64_t hash, uint8_t depth) {
  return depth == 0 ? 0 : static_cast<uint32_t>(hash >> (64 - depth));
}

uint64_t PositionOf(uint64_t hash) { return hash >> (64 - kPositionBits); }

// A segment is filled to at most 7/8.
bool IsFull(uint32_t count, uint32_t capacity) { return count * 8 >= capacity * 7; }

}  // namespace

// Open addressing with linear probing. The bucket of a word comes from its tag, so that a segment
// can be resized and compacted without touching the objects.
template <typename Node>
struct alignas(8) BasicTable<Node>::Segment {
  uint32_t capacity;  // power of two
  uint32_t count;
  uint8_t depth;  // how many top bits of the hash all objects here share
  uint64_t* words() { return reinterpret_cast<uint64_t*>(this + 1); }
  const uint64_t* words() const { return reinterpret_cast<const uint64_t*>(this + 1); }
};

template <typename Node>
struct BasicTable<Node>::Directory {
  uint8_t depth;
  uint32_t deepest = 0;  // segments whose depth is the directory's: 0 means that it can halve
  std::vector<Segment*> segments;
};

template <typename Node>
BasicTable<Node>::BasicTable(uint16_t first_slot, uint16_t last_slot, uint64_t seed)
    : first_slot_(first_slot), last_slot_(last_slot), seed_(seed) {
  CHECK(first_slot <= last_slot && last_slot < kSlots);
}

// Most of SELECT's databases stay empty, and FLUSHALL replaces all of them at once: an empty table
// must cost nothing to make.
template <typename Node>
void BasicTable<Node>::MakeSlots() {
  slots_.resize(last_slot_ - first_slot_ + 1u);
  groups_.resize((slots_.size() + kGroup - 1) / kGroup);
  memory_bytes_ = slots_.size() * sizeof(SlotTable) + groups_.size() * sizeof(uint64_t);
}

template <typename Node>
BasicTable<Node>::~BasicTable() {
  for (SlotTable& slot : slots_) {
    Segment* last = nullptr;
    const auto free_all = [&last, this](Segment* segment) {
      if (segment == nullptr || segment == last) return;
      last = segment;
      for (uint32_t i = 0; i < segment->capacity; ++i) {
        if (segment->words()[i] != 0) Node::Free(WordNode<Node>(segment->words()[i]));
      }
      FreeSegment(segment);
    };
    if (slot.directory != nullptr) {
      for (Segment* segment : slot.directory->segments) free_all(segment);
      delete slot.directory;
    } else {
      free_all(slot.only);
    }
  }
}

template <typename Node>
typename BasicTable<Node>::Segment* BasicTable<Node>::NewSegment(uint32_t capacity, uint8_t depth) {
  const size_t bytes = sizeof(Segment) + capacity * sizeof(uint64_t);
  auto* segment = static_cast<Segment*>(std::calloc(1, bytes));
  CHECK_MSG(segment != nullptr, "out of memory");
  segment->capacity = capacity;
  segment->depth = depth;
  memory_bytes_ += bytes;
  return segment;
}

template <typename Node>
void BasicTable<Node>::FreeSegment(Segment* segment) {
  memory_bytes_ -= sizeof(Segment) + segment->capacity * sizeof(uint64_t);
  std::free(segment);
}

template <typename Node>
uint64_t BasicTable<Node>::HashOf(const Node* object) const {
  return Hash64(object->key(), seed_);
}

template <typename Node>
typename BasicTable<Node>::Segment* BasicTable<Node>::FindSegment(const SlotTable& slot,
                                                                  uint64_t hash) const {
  if (slot.directory == nullptr) return slot.only;
  return slot.directory->segments[TopBits(hash, slot.directory->depth)];
}

template <typename Node>
Node* BasicTable<Node>::Find(const HashedKey& key) const {
  CHECK(key.slot >= first_slot_ && key.slot <= last_slot_);
  if (size_ == 0) return nullptr;
  const Segment* segment = FindSegment(slots_[key.slot - first_slot_], key.hash);
  if (segment == nullptr) return nullptr;
  const uint32_t mask = segment->capacity - 1;
  const auto tag = static_cast<uint32_t>(key.hash & 0xffff);
  for (uint32_t i = tag & mask;; i = (i + 1) & mask) {
    const uint64_t word = segment->words()[i];
    if (word == 0) return nullptr;
    if (WordTag(word) == tag) {
      Node* object = WordNode<Node>(word);
      if (object->key() == key.key) return object;
    }
  }
}

// Step by step over all keys, so that what a step reads has been asked for in the step before.
template <typename Node>
void BasicTable<Node>::Prefetch(std::span<const HashedKey> keys) const {
  if (size_ == 0) return;
  constexpr size_t kAtOnce = 16;
  while (!keys.empty()) {
    const std::span<const HashedKey> some = keys.first(std::min(keys.size(), kAtOnce));
    keys = keys.subspan(some.size());
    const Segment* segments[kAtOnce];
    for (const HashedKey& key : some) {
      CHECK(key.slot >= first_slot_ && key.slot <= last_slot_);
      __builtin_prefetch(&slots_[key.slot - first_slot_]);
    }
    for (size_t i = 0; i < some.size(); ++i) {
      segments[i] = FindSegment(slots_[some[i].slot - first_slot_], some[i].hash);
      __builtin_prefetch(segments[i]);
    }
    for (size_t i = 0; i < some.size(); ++i) {
      if (segments[i] == nullptr) continue;
      __builtin_prefetch(segments[i]->words() +
                         (some[i].hash & 0xffff & (segments[i]->capacity - 1)));
    }
    for (size_t i = 0; i < some.size(); ++i) {
      if (segments[i] == nullptr) continue;
      const uint32_t mask = segments[i]->capacity - 1;
      const auto tag = static_cast<uint32_t>(some[i].hash & 0xffff);
      uint64_t word = 0;
      for (uint32_t at = tag & mask; (word = segments[i]->words()[at]) != 0; at = (at + 1) & mask) {
        if (WordTag(word) == tag) break;
      }
      if (word == 0) continue;
      // A small object spans two lines.
      const char* object = reinterpret_cast<const char*>(WordNode<Node>(word));
      __builtin_prefetch(object);
      __builtin_prefetch(object + 64);
    }
  }
}

template <typename Node>
void BasicTable<Node>::PutWord(Segment* segment, uint64_t word) const {
  const uint32_t mask = segment->capacity - 1;
  uint32_t i = WordTag(word) & mask;
  while (segment->words()[i] != 0) i = (i + 1) & mask;
  segment->words()[i] = word;
  ++segment->count;
}

template <typename Node>
typename BasicTable<Node>::Segment* BasicTable<Node>::Resized(Segment* segment, uint32_t capacity) {
  Segment* fresh = NewSegment(capacity, segment->depth);
  for (uint32_t i = 0; i < segment->capacity; ++i) {
    if (segment->words()[i] != 0) PutWord(fresh, segment->words()[i]);
  }
  FreeSegment(segment);
  return fresh;
}

// Points every directory entry of `old` (which covers `hash`) to `fresh`.
template <typename Node>
void BasicTable<Node>::ReplaceSegment(SlotTable* slot, Segment* old, Segment* fresh,
                                      uint64_t hash) {
  if (slot->directory == nullptr) {
    slot->only = fresh;
    return;
  }
  const uint8_t depth = slot->directory->depth;
  // `old` may be freed already: only its identity is used.
  const uint8_t spare = static_cast<uint8_t>(depth - fresh->depth);
  const uint32_t first = (TopBits(hash, depth) >> spare) << spare;
  for (uint32_t i = first; i < first + (1u << spare); ++i) {
    CHECK(slot->directory->segments[i] == old);
    slot->directory->segments[i] = fresh;
  }
}

// Splits the full segment that covers `hash` into two of one more bit.
template <typename Node>
void BasicTable<Node>::Split(SlotTable* slot, uint64_t hash) {
  if (slot->directory == nullptr) {
    slot->directory = new Directory{0, 1, {slot->only}};
    memory_bytes_ += sizeof(Directory) + sizeof(Segment*);
    slot->only = nullptr;
  }
  Directory* directory = slot->directory;
  Segment* old = FindSegment(*slot, hash);
  if (old->depth == directory->depth) {
    std::vector<Segment*> doubled(directory->segments.size() * 2);
    for (size_t i = 0; i < directory->segments.size(); ++i) {
      doubled[2 * i] = doubled[2 * i + 1] = directory->segments[i];
    }
    memory_bytes_ += directory->segments.size() * sizeof(Segment*);
    directory->segments = std::move(doubled);
    ++directory->depth;
    directory->deepest = 0;
  }
  const auto depth = static_cast<uint8_t>(old->depth + 1);
  Segment* halves[2] = {NewSegment(old->capacity, depth), NewSegment(old->capacity, depth)};
  for (uint32_t i = 0; i < old->capacity; ++i) {
    const uint64_t word = old->words()[i];
    if (word == 0) continue;
    PutWord(halves[TopBits(HashOf(WordNode<Node>(word)), depth) & 1], word);
  }
  const auto spare = static_cast<uint8_t>(directory->depth - old->depth);
  const uint32_t first = (TopBits(hash, directory->depth) >> spare) << spare;
  const uint32_t half = 1u << (spare - 1);
  for (uint32_t i = 0; i < 2 * half; ++i) directory->segments[first + i] = halves[i / half];
  if (depth == directory->depth) directory->deepest += 2;
  FreeSegment(old);
}

template <typename Node>
void BasicTable<Node>::Count(uint16_t slot, int delta) {
  const uint32_t index = slot - first_slot_;
  slots_[index].count += static_cast<uint32_t>(delta);
  groups_[index / kGroup] += static_cast<uint64_t>(static_cast<int64_t>(delta));
  size_ += static_cast<uint64_t>(static_cast<int64_t>(delta));
}

template <typename Node>
void BasicTable<Node>::Insert(const HashedKey& key, Node* object) {
  CHECK((reinterpret_cast<uint64_t>(object) & ~kPointerMask) == 0);
  CHECK(key.slot >= first_slot_ && key.slot <= last_slot_);
  if (slots_.empty()) MakeSlots();
  SlotTable* slot = &slots_[key.slot - first_slot_];
  if (slot->only == nullptr && slot->directory == nullptr) slot->only = NewSegment(kMinCapacity, 0);
  Segment* segment = FindSegment(*slot, key.hash);
  while (IsFull(segment->count + 1, segment->capacity)) {
    if (segment->capacity < kSegmentCapacity || segment->depth >= kMaxDepth) {
      Segment* old = segment;
      segment = Resized(segment, segment->capacity * 2);
      ReplaceSegment(slot, old, segment, key.hash);
    } else {
      Split(slot, key.hash);
      segment = FindSegment(*slot, key.hash);
    }
  }
  PutWord(segment, MakeWord(key.hash, object));
  Count(key.slot, 1);
}

template <typename Node>
void BasicTable<Node>::Replace(const HashedKey& key, Node* old, Node* object) {
  CHECK(size_ > 0 && key.slot >= first_slot_ && key.slot <= last_slot_);
  Segment* segment = FindSegment(slots_[key.slot - first_slot_], key.hash);
  CHECK(segment != nullptr);
  const uint32_t mask = segment->capacity - 1;
  const uint64_t word = MakeWord(key.hash, old);
  for (uint32_t i = static_cast<uint32_t>(key.hash & 0xffff) & mask;; i = (i + 1) & mask) {
    CHECK(segment->words()[i] != 0);
    if (segment->words()[i] == word) {
      segment->words()[i] = MakeWord(key.hash, object);
      return;
    }
  }
}

template <typename Node>
void BasicTable<Node>::Erase(const HashedKey& key, Node* object) {
  CHECK(size_ > 0 && key.slot >= first_slot_ && key.slot <= last_slot_);
  SlotTable* slot = &slots_[key.slot - first_slot_];
  Segment* segment = FindSegment(*slot, key.hash);
  CHECK(segment != nullptr);
  const uint32_t mask = segment->capacity - 1;
  const uint64_t word = MakeWord(key.hash, object);
  uint32_t hole = static_cast<uint32_t>(key.hash & 0xffff) & mask;
  while (segment->words()[hole] != word) {
    CHECK(segment->words()[hole] != 0);
    hole = (hole + 1) & mask;
  }
  // Close the gap: move back every following word whose probe sequence passes over the hole.
  for (uint32_t i = (hole + 1) & mask; segment->words()[i] != 0; i = (i + 1) & mask) {
    const uint32_t home = WordTag(segment->words()[i]) & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      segment->words()[hole] = segment->words()[i];
      hole = i;
    }
  }
  segment->words()[hole] = 0;
  --segment->count;
  Count(key.slot, -1);
  MaybeShrink(slot, key.hash);
}

// Gives memory back after an erase: an empty slot keeps nothing, a sparse segment merges with its
// buddy or gets a smaller array.
template <typename Node>
void BasicTable<Node>::MaybeShrink(SlotTable* slot, uint64_t hash) {
  Segment* segment = FindSegment(*slot, hash);
  // On and on: an empty segment whose buddy was split until now has nobody else to merge it, and
  // once the last object is gone no erase comes by any more.
  while (segment->count * 8 <= segment->capacity && TryMerge(slot, hash)) {
    segment = FindSegment(*slot, hash);
  }
  if (slot->count == 0) {
    CHECK(slot->directory == nullptr && segment->count == 0);
    FreeSegment(segment);
    slot->only = nullptr;
    return;
  }
  if (segment->count * 8 <= segment->capacity && segment->capacity > kMinCapacity) {
    Segment* old = segment;
    segment = Resized(segment, segment->capacity / 2);
    ReplaceSegment(slot, old, segment, hash);
  }
}

// Merges the segment that covers `hash` with its buddy; false when it has none or both are too
// full.
template <typename Node>
bool BasicTable<Node>::TryMerge(SlotTable* slot, uint64_t hash) {
  Directory* directory = slot->directory;
  if (directory == nullptr) return false;
  Segment* segment = FindSegment(*slot, hash);
  CHECK(segment->depth > 0);
  const uint64_t buddy_hash = hash ^ (1ULL << (64 - segment->depth));
  Segment* buddy = FindSegment(*slot, buddy_hash);
  if (buddy->depth != segment->depth || (segment->count + buddy->count) * 2 > kSegmentCapacity) {
    return false;
  }
  const auto depth = static_cast<uint8_t>(segment->depth - 1);
  uint32_t capacity = kMinCapacity;
  while (IsFull(segment->count + buddy->count + 1, capacity)) capacity *= 2;
  Segment* merged = NewSegment(capacity, depth);
  for (Segment* half : {segment, buddy}) {
    for (uint32_t i = 0; i < half->capacity; ++i) {
      if (half->words()[i] != 0) PutWord(merged, half->words()[i]);
    }
  }
  const auto spare = static_cast<uint8_t>(directory->depth - depth);
  const uint32_t first = (TopBits(hash, directory->depth) >> spare) << spare;
  for (uint32_t i = first; i < first + (1u << spare); ++i) directory->segments[i] = merged;
  if (segment->depth == directory->depth) directory->deepest -= 2;
  FreeSegment(segment);
  FreeSegment(buddy);
  if (directory->deepest > 0) return true;
  // No segment needs the last bit: halve the directory, or drop it.
  const size_t half = directory->segments.size() / 2;
  for (size_t i = 0; i < half; ++i) directory->segments[i] = directory->segments[2 * i];
  directory->segments.resize(half);
  directory->segments.shrink_to_fit();
  memory_bytes_ -= half * sizeof(Segment*);
  --directory->depth;
  if (directory->depth == 0) {
    slot->only = directory->segments[0];
    delete directory;
    slot->directory = nullptr;
    memory_bytes_ -= sizeof(Directory) + sizeof(Segment*);
    return true;
  }
  for (size_t i = 0; i < half; ++i) {
    if (directory->segments[i]->depth == directory->depth) ++directory->deepest;
  }
  return true;
}

template <typename Node>
uint64_t BasicTable<Node>::SlotSize(uint16_t slot) const {
  CHECK(slot >= first_slot_ && slot <= last_slot_);
  return slots_.empty() ? 0 : slots_[slot - first_slot_].count;
}

// Visits the objects of one slot from *position on, in position order; sets *position to where to
// go on (kPositionEnd when the slot is done); returns how many were visited.
template <typename Node>
size_t BasicTable<Node>::ScanSlot(const SlotTable& slot, uint64_t* position, size_t count,
                                  const std::function<void(Node*)>& visit) const {
  size_t visited = 0;
  std::vector<std::pair<uint64_t, Node*>> found;
  while (*position < kPositionEnd && visited < count) {
    const Segment* segment = FindSegment(slot, *position << (64 - kPositionBits));
    // One segment covers the positions that share its top bits.
    const uint64_t span = kPositionEnd >> segment->depth;
    const uint64_t end = (*position / span + 1) * span;
    found.clear();
    for (uint32_t i = 0; i < segment->capacity; ++i) {
      if (segment->words()[i] == 0) continue;
      Node* object = WordNode<Node>(segment->words()[i]);
      const uint64_t at = PositionOf(HashOf(object));
      if (at >= *position) found.emplace_back(at, object);
    }
    std::sort(found.begin(), found.end());
    *position = end;
    for (size_t i = 0; i < found.size(); ++i) {
      // Objects that share a position are returned together: the cursor can't fall between them.
      if (visited >= count && found[i].first != found[i - 1].first) {
        *position = found[i].first;
        break;
      }
      visit(found[i].second);
      ++visited;
    }
  }
  return visited;
}

template <typename Node>
uint64_t BasicTable<Node>::Scan(uint64_t cursor, size_t count,
                                const std::function<void(Node*)>& visit) const {
  uint32_t slot = CursorSlot(cursor);
  uint64_t position = cursor & (kPositionEnd - 1);
  if (slot < first_slot_) {
    slot = first_slot_;
    position = 0;
  }
  size_t visited = 0;
  while (size_ > 0 && slot <= last_slot_) {
    const uint32_t index = slot - first_slot_;
    if (groups_[index / kGroup] == 0) {
      slot = first_slot_ + (index / kGroup + 1) * kGroup;
      position = 0;
      continue;
    }
    if (slots_[index].count > 0) {
      if (visited >= count) return SlotCursor(static_cast<uint16_t>(slot)) | position;
      visited += ScanSlot(slots_[index], &position, count - visited, visit);
      if (position < kPositionEnd) return SlotCursor(static_cast<uint16_t>(slot)) | position;
    }
    ++slot;
    position = 0;
  }
  return 0;
}

template <typename Node>
Node* BasicTable<Node>::Random(Rng* rng) const {
  if (size_ == 0) return nullptr;
  // The slot by rank, exactly; inside the slot by a random point of the hash range.
  uint64_t rank = rng->Below(size_);
  size_t group = 0;
  while (rank >= groups_[group]) rank -= groups_[group++];
  size_t index = group * kGroup;
  while (rank >= slots_[index].count) rank -= slots_[index++].count;
  const SlotTable& slot = slots_[index];
  // A segment is hit in proportion to its share of the hash range, which its share of the objects
  // follows closely; inside it every object is as likely.
  for (int tries = 0; tries < 1000; ++tries) {
    const Segment* segment = FindSegment(slot, rng->Next());
    while (segment->count > 0) {
      const uint64_t word = segment->words()[rng->Below(segment->capacity)];
      if (word != 0) return WordNode<Node>(word);
    }
  }
  // A slot full of nearly empty segments: take its first object.
  Node* found = nullptr;
  uint64_t position = 0;
  ScanSlot(slot, &position, 1, [&found](Node* object) { found = object; });
  return found;
}

template class BasicTable<Object>;
template class BasicTable<Element>;

}  // namespace holdfast::data
