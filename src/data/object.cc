#include "data/object.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "data/collection.h"

namespace holdfast::data {
namespace {

// memmove for views, whose pointer may be null when they are empty.
void CopyBytes(char* to, std::string_view from) {
  if (!from.empty()) std::memmove(to, from.data(), from.size());
}

}  // namespace

std::string_view TypeName(ObjectType type) {
  switch (type) {
    case ObjectType::kString:
      return "string";
    case ObjectType::kLock:
      return "lock";
    case ObjectType::kSequence:
      return "sequence";
    case ObjectType::kHash:
      return "hash";
    case ObjectType::kSet:
      return "set";
    case ObjectType::kList:
      return "list";
    case ObjectType::kSortedSet:
      return "zset";
    case ObjectType::kStream:
      return "stream";
  }
  return "none";
}

Object* Object::Allocate(std::string_view key, const Meta& meta, size_t tail, uint8_t flags) {
  const size_t fence_bytes = meta.fence != 0 ? 8 : 0;
  void* memory = std::malloc(sizeof(Object) + fence_bytes + key.size() + tail);
  CHECK_MSG(memory != nullptr, "out of memory");
  auto* object = new (memory) Object();
  object->key_size_ = static_cast<uint32_t>(key.size());
  object->value_size_ = 0;
  object->flags_ = static_cast<uint8_t>(flags | (fence_bytes != 0 ? kHasFence : 0));
  object->SetMeta(meta);
  CopyBytes(object->base() + object->key_offset(), key);
  return object;
}

Object* Object::Create(std::string_view key, const Meta& meta, std::string_view value,
                       size_t value_capacity) {
  CHECK(!HasElements(meta.type));
  const bool is_large = value.size() > kInlineLimit || value_capacity > kInlineLimit;
  Object* object = Allocate(key, meta, is_large ? sizeof(Large) : value.size(),
                            is_large ? static_cast<uint8_t>(kLarge) : uint8_t{0});
  object->value_size_ = static_cast<uint32_t>(value.size());
  if (is_large) {
    Large large;
    large.capacity = value.size() > value_capacity ? value.size() : value_capacity;
    large.data = static_cast<char*>(std::malloc(large.capacity));
    CHECK_MSG(large.data != nullptr, "out of memory");
    CopyBytes(large.data, value);
    object->set_large(large);
  } else {
    CopyBytes(object->inline_value(), value);
  }
  return object;
}

Object* Object::CreateCollection(std::string_view key, const Meta& meta,
                                 std::unique_ptr<Collection> collection) {
  CHECK(HasElements(meta.type) && collection != nullptr);
  Object* object = Allocate(key, meta, sizeof(Collection*), 0);
  object->set_collection(collection.release());
  return object;
}

Object* Object::CreateCold(std::string_view key, const Meta& meta) {
  CHECK(MayBeCold(meta.type));
  return Allocate(key, meta, 0, kCold);
}

void Object::Free(Object* object) {
  if ((object->flags_ & kLarge) != 0) std::free(object->large().data);
  delete object->collection();
  std::free(object);
}

Collection* Object::collection() const {
  if (!HasElements(type_) || cold()) return nullptr;
  Collection* collection;
  std::memcpy(&collection, inline_value(), sizeof collection);
  return collection;
}

void Object::set_collection(Collection* collection) {
  std::memcpy(inline_value(), &collection, sizeof collection);
}

std::unique_ptr<Collection> Object::TakeCollection() {
  std::unique_ptr<Collection> collection(this->collection());
  CHECK(collection != nullptr);
  set_collection(nullptr);
  return collection;
}

uint64_t Object::fence() const {
  if ((flags_ & kHasFence) == 0) return 0;
  uint64_t fence;
  std::memcpy(&fence, base() + sizeof(Object), sizeof fence);
  return fence;
}

Object::Large Object::large() const {
  Large large;
  std::memcpy(&large, inline_value(), sizeof large);
  return large;
}

void Object::set_large(Large large) { std::memcpy(inline_value(), &large, sizeof large); }

size_t Object::MemoryBytes() const {
  size_t bytes = malloc_usable_size(const_cast<Object*>(this));
  if ((flags_ & kLarge) != 0) bytes += malloc_usable_size(large().data);
  if (const Collection* elements = collection()) bytes += elements->MemoryBytes();
  return bytes;
}

bool Object::CanHoldMeta(const Meta& meta) const {
  return meta.fence == 0 || (flags_ & kHasFence) != 0;
}

void Object::SetMeta(const Meta& meta) {
  CHECK(CanHoldMeta(meta));
  revision_ = meta.revision;
  created_ = meta.created;
  version_ = meta.version;
  type_ = meta.type;
  flags_ = static_cast<uint8_t>(meta.raw ? flags_ | kRaw : flags_ & ~kRaw);
  if ((flags_ & kHasFence) != 0) {
    std::memcpy(base() + sizeof(Object), &meta.fence, sizeof meta.fence);
  }
}

size_t Object::value_capacity() const {
  if ((flags_ & kLarge) != 0) return large().capacity;
  return malloc_usable_size(const_cast<Object*>(this)) - key_offset() - key_size_;
}

bool Object::CanHoldValue(size_t size) const {
  if (HasElements(type_) || cold()) return false;
  // What is here now fits, and asking the allocator takes a while.
  if (size == value_size_) return true;
  const size_t capacity = value_capacity();
  if (size > capacity) return false;
  // A value that shrank a lot gives its memory back, unless the allocator would round a new object
  // up to the same size: it rounds by less than a quarter.
  const size_t head = (flags_ & kLarge) != 0 ? 0 : key_offset() + key_size_;
  return capacity <= 64 || size * 2 >= capacity || (capacity - size) * 4 <= head + size;
}

void Object::SetValue(std::string_view value) {
  CHECK(value.size() <= value_size_ || value.size() <= value_capacity());
  char* to = (flags_ & kLarge) != 0 ? large().data : inline_value();
  CopyBytes(to, value);
  value_size_ = static_cast<uint32_t>(value.size());
}

void Object::Patch(size_t offset, std::string_view bytes, size_t new_size) {
  CHECK(new_size <= value_capacity() && offset + bytes.size() <= new_size);
  char* to = (flags_ & kLarge) != 0 ? large().data : inline_value();
  if (new_size > value_size_) std::memset(to + value_size_, 0, new_size - value_size_);
  CopyBytes(to + offset, bytes);
  value_size_ = static_cast<uint32_t>(new_size);
}

}  // namespace holdfast::data
