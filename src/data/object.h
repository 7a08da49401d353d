// One key in memory: its meta, its key bytes and, for small values, its value bytes in a single
// allocation. The elements of a collection are apart (collection.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace holdfast::data {

// Stored on disk; never renumber.
enum class ObjectType : uint8_t {
  kString = 0,
  kLock = 1,
  kSequence = 2,
  kHash = 3,
  kSet = 4,
  kList = 5,
  kSortedSet = 6,
  kStream = 7
};

// The name that TYPE answers.
std::string_view TypeName(ObjectType type);
// Whether values of this type are collections.
constexpr bool HasElements(ObjectType type) { return type >= ObjectType::kHash; }
// Whether a value of this type may leave memory. Locks and sequences are small, and their leases
// and blocks are looked at by the clock.
constexpr bool MayBeCold(ObjectType type) {
  return type == ObjectType::kString || HasElements(type);
}
// Whether a collection of this type stays when it has lost its last element.
constexpr bool MayBeEmpty(ObjectType type) { return type == ObjectType::kStream; }

class Collection;

// What is known of a key besides its value.
struct Meta {
  ObjectType type = ObjectType::kString;
  // The string was built by a partial write (APPEND, SETRANGE, SETBIT): OBJECT ENCODING says "raw"
  // for it even when it is short, as Redis does.
  bool raw = false;
  uint32_t version = 0;      // modifications since the key was created; 1 for a new key
  uint64_t revision = 0;     // of the last modification
  uint64_t created = 0;      // revision that created the key: its generation
  int64_t expire_at_ms = 0;  // milliseconds since 1970 UTC; 0 = never
  uint64_t fence = 0;        // highest fencing token that has written the key; 0 = none
};

inline constexpr uint32_t kNotInHeap = UINT32_MAX;

// Layout: this header, [fence u64], key bytes, then the value bytes or, for a large value, a
// pointer and a capacity, or, for a collection, a pointer. A cold object's value is in the store
// only, and nothing follows its key. Objects are made, changed and freed only
// by data::Database, which keeps the table, the expiry heap and the memory account in step. Loop
// thread of the owning core only.
class Object {
 public:
  // Values above this live in their own buffer, which can grow in place.
  static constexpr size_t kInlineLimit = 1024;

  // Allocates. `value_capacity` > value.size() leaves room to grow (large values only).
  static Object* Create(std::string_view key, const Meta& meta, std::string_view value,
                        size_t value_capacity = 0);
  // The same for a collection. REQUIRES: HasElements(meta.type).
  static Object* CreateCollection(std::string_view key, const Meta& meta,
                                  std::unique_ptr<Collection> collection);
  // One whose value is not in memory. REQUIRES: MayBeCold(meta.type).
  static Object* CreateCold(std::string_view key, const Meta& meta);
  static void Free(Object* object);

  // Its value is in the store only: value() and collection() have nothing.
  bool cold() const { return (flags_ & kCold) != 0; }
  // nullptr when the value is none, or is not in memory.
  Collection* collection() const;
  // Leaves the object without one; only Free may follow. REQUIRES: collection() != nullptr.
  std::unique_ptr<Collection> TakeCollection();

  ObjectType type() const { return type_; }
  uint64_t revision() const { return revision_; }
  uint64_t created() const { return created_; }
  uint32_t version() const { return version_; }
  bool raw() const { return (flags_ & kRaw) != 0; }
  uint64_t fence() const;
  std::string_view key() const { return {key_data(), key_size_}; }
  std::string_view value() const { return {value_data(), value_size_}; }
  size_t value_size() const { return value_size_; }

  // Bytes of memory this object holds, as the allocator counts them.
  size_t MemoryBytes() const;

  // When the object was last read or written, or how often it is: see engine/access.h.
  uint32_t accessed = 0;
  // Position in the expiry heap (or, for locks, the lease heap); kNotInHeap without one.
  uint32_t heap_position = kNotInHeap;

  // Overwrites the meta, keeping key and value. REQUIRES: CanHoldMeta(meta).
  void SetMeta(const Meta& meta);
  // Whether the fence field needed by `meta` has room here.
  bool CanHoldMeta(const Meta& meta) const;
  // Whether a value of `size` bytes can replace or extend this one without a new object.
  bool CanHoldValue(size_t size) const;
  // Replaces the value. REQUIRES: CanHoldValue(value.size()).
  void SetValue(std::string_view value);
  // Makes the value `new_size` long (zero bytes where it grows) and writes `bytes` at `offset`.
  // REQUIRES: CanHoldValue(new_size), offset + bytes.size() <= new_size.
  void Patch(size_t offset, std::string_view bytes, size_t new_size);

 private:
  enum Flags : uint8_t { kRaw = 1, kLarge = 2, kHasFence = 4, kCold = 8 };
  struct Large {
    char* data;
    size_t capacity;
  };

  Object() = default;
  size_t key_offset() const { return sizeof(Object) + ((flags_ & kHasFence) != 0 ? 8 : 0); }
  const char* base() const { return reinterpret_cast<const char*>(this); }
  char* base() { return reinterpret_cast<char*>(this); }
  const char* key_data() const { return base() + key_offset(); }
  char* inline_value() { return base() + key_offset() + key_size_; }
  const char* inline_value() const { return base() + key_offset() + key_size_; }
  static Object* Allocate(std::string_view key, const Meta& meta, size_t tail, uint8_t flags);
  Large large() const;
  void set_large(Large large);
  void set_collection(Collection* collection);
  const char* value_data() const { return (flags_ & kLarge) != 0 ? large().data : inline_value(); }
  size_t value_capacity() const;

  uint64_t revision_;
  uint64_t created_;
  uint32_t version_;
  uint32_t key_size_;
  uint32_t value_size_;
  ObjectType type_;
  uint8_t flags_;
};

}  // namespace holdfast::data
