// A value that consists of elements: a hash, a set, a sorted set, a list, a stream.
//
// In the store each element is a record of its own (record.h), so that changing one field of a hash
// of a million writes one record. In memory a collection is whatever suits its type; all change
// only through Put and Delete, with what an effect carries, wherever that comes from (DESIGN.md §2
// rule 1). Loop thread of the owning core only, or whoever builds one that nobody else knows yet.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/object.h"

namespace holdfast::data {

// Up to when a collection is kept in the small form, by Redis's names. Set by CONFIG on any thread;
// what has left the small form doesn't come back to it.
struct EncodingLimits {
  std::atomic<uint64_t> hash_entries{512};        // hash-max-listpack-entries
  std::atomic<uint64_t> hash_bytes{64};           // hash-max-listpack-value: of a field or value
  std::atomic<uint64_t> set_integers{512};        // set-max-intset-entries
  std::atomic<uint64_t> sorted_set_entries{128};  // zset-max-listpack-entries
  std::atomic<uint64_t> sorted_set_bytes{64};     // zset-max-listpack-value: of a member
  // Of the entries that a stream keeps together; 0: no limit.
  std::atomic<uint64_t> stream_bytes{4096};   // stream-node-max-bytes
  std::atomic<uint64_t> stream_entries{100};  // stream-node-max-entries
};

struct CollectionOptions {
  uint64_t hash_seed = 0;
  const EncodingLimits* limits = nullptr;  // nullptr: the defaults

  const EncodingLimits& Limits() const;
};

class Collection {
 public:
  virtual ~Collection() = default;

  virtual uint64_t size() const = 0;
  // How many records it consists of: elements that a client counts, and others.
  virtual uint64_t records() const { return size(); }
  // Bytes of memory, as the allocator counts them.
  virtual size_t MemoryBytes() const = 0;
  // What OBJECT ENCODING says.
  virtual std::string_view encoding() const = 0;
  // What the meta record says of the elements, so that a collection that isn't in memory can be
  // described.
  virtual std::string Head() const = 0;
  // Takes over what a head says beyond what follows from the elements; whoever must know that the
  // rest is true compares with Head() afterwards. REQUIRES: CheckHead is OK.
  virtual void SetHead(std::string_view head) { static_cast<void>(head); }

  // Adds the element or replaces its value. REQUIRES: CheckElement is OK.
  virtual void Put(std::string_view element, std::string_view value) = 0;
  // False when there is no such element.
  virtual bool Delete(std::string_view element) = 0;
  virtual bool Contains(std::string_view element) const = 0;
  // In an order that stays the same while nothing changes.
  virtual void ForEach(
      const std::function<void(std::string_view element, std::string_view value)>& visit) const = 0;
};

// The head of a collection that has nothing to say but how many elements it has. DecodeCount: false
// when `head` is something else.
std::string EncodeCount(uint64_t count);
[[nodiscard]] bool DecodeCount(std::string_view head, uint64_t* count);

// An empty one. REQUIRES: HasElements(type).
std::unique_ptr<Collection> NewCollection(ObjectType type, const CollectionOptions& options);

// Whether a record may be an element of such a collection. Corruption when not.
Status CheckElement(ObjectType type, std::string_view element, std::string_view value);
// Whether the bytes may be the head of such a collection. Corruption when not, or when it says that
// a collection is empty that can't be.
Status CheckHead(ObjectType type, std::string_view head);

// The changes of an effect on elements, in order. A list is made by the command that changes a
// collection:
//   '+' length element length value     put
//   '-' length element                  delete
class ElementChanges {
 public:
  void Put(std::string_view element, std::string_view value);
  void Delete(std::string_view element);
  bool empty() const { return bytes_.empty(); }
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct ElementChange {
  bool is_delete = false;
  std::string_view element;
  std::string_view value;
};
// Calls `visit` for each change, in order, until it fails. Corruption when they can't be read.
Status ForEachChange(std::string_view changes,
                     const std::function<Status(const ElementChange&)>& visit);

}  // namespace holdfast::data
