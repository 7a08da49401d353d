#include "data/collection.h"

#include "base/bytes.h"
#include "base/check.h"
#include "data/hash_object.h"
#include "data/list_object.h"
#include "data/set_object.h"
#include "data/sorted_set_object.h"
#include "data/stream_object.h"

namespace holdfast::data {

const EncodingLimits& CollectionOptions::Limits() const {
  static const EncodingLimits defaults;
  return limits != nullptr ? *limits : defaults;
}

std::string EncodeCount(uint64_t count) {
  std::string head;
  AppendVarint(&head, count);
  return head;
}

bool DecodeCount(std::string_view head, uint64_t* count) {
  ByteReader in(head);
  return in.ReadVarint(count) && in.empty();
}

std::unique_ptr<Collection> NewCollection(ObjectType type, const CollectionOptions& options) {
  switch (type) {
    case ObjectType::kHash:
      return std::make_unique<HashObject>(options);
    case ObjectType::kSet:
      return std::make_unique<SetObject>(options);
    case ObjectType::kList:
      return std::make_unique<ListObject>();
    case ObjectType::kSortedSet:
      return std::make_unique<SortedSetObject>(options);
    case ObjectType::kStream:
      return std::make_unique<StreamObject>(options);
    default:
      CHECK_MSG(false, "a collection of a type that has no elements");
      return nullptr;
  }
}

Status CheckElement(ObjectType type, std::string_view element, std::string_view value) {
  if (!HasElements(type)) return Status::Corruption("an element of a value that has none");
  if (element.size() > UINT32_MAX || value.size() > UINT32_MAX) {
    return Status::Corruption("an element of 4 GiB or more");
  }
  if (type == ObjectType::kSet && !value.empty()) {
    return Status::Corruption("a member of a set with a value");
  }
  int64_t position;
  if (type == ObjectType::kList && !ListObject::DecodePosition(element, &position)) {
    return Status::Corruption("an item of a list without a position");
  }
  double score;
  if (type == ObjectType::kSortedSet && !SortedSetObject::DecodeScore(value, &score)) {
    return Status::Corruption("a member of a sorted set without a score");
  }
  if (type == ObjectType::kStream) return CheckStreamElement(element, value);
  return Status::Ok();
}

Status CheckHead(ObjectType type, std::string_view head) {
  if (!HasElements(type)) return Status::Corruption("the head of a value that has no elements");
  StreamHead stream;
  uint64_t count;
  if (type == ObjectType::kStream ? !DecodeStreamHead(head, &stream) : !DecodeCount(head, &count)) {
    return Status::Corruption("a collection with a damaged head");
  }
  if (!MayBeEmpty(type) && count == 0) return Status::Corruption("a collection without elements");
  return Status::Ok();
}

void ElementChanges::Put(std::string_view element, std::string_view value) {
  bytes_.push_back('+');
  AppendLengthPrefixed(&bytes_, element);
  AppendLengthPrefixed(&bytes_, value);
}

void ElementChanges::Delete(std::string_view element) {
  bytes_.push_back('-');
  AppendLengthPrefixed(&bytes_, element);
}

Status ForEachChange(std::string_view changes,
                     const std::function<Status(const ElementChange&)>& visit) {
  ByteReader in(changes);
  while (!in.empty()) {
    uint8_t kind;
    ElementChange change;
    if (!in.ReadByte(&kind) || !in.ReadLengthPrefixed(&change.element)) {
      return Status::Corruption("a change of an element is cut short");
    }
    change.is_delete = kind == '-';
    if (!change.is_delete && (kind != '+' || !in.ReadLengthPrefixed(&change.value))) {
      return Status::Corruption("a damaged change of an element");
    }
    RETURN_IF_ERROR(visit(change));
  }
  return Status::Ok();
}

}  // namespace holdfast::data
