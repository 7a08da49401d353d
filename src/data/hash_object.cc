#include "data/hash_object.h"

#include "base/bytes.h"
#include "base/check.h"
#include "data/tight.h"

namespace holdfast::data {
HashObject::HashObject(const CollectionOptions& options) : options_(options) {}

std::string_view HashObject::encoding() const {
  return table_ != nullptr ? "hashtable" : "listpack";
}

size_t HashObject::MemoryBytes() const {
  size_t bytes = sizeof *this;
  if (small_.capacity() > std::string().capacity()) bytes += small_.capacity() + 1;
  if (table_ != nullptr) bytes += sizeof *table_ + table_->MemoryBytes();
  return bytes;
}

HashObject::Place HashObject::At(size_t begin) const {
  Place place;
  place.begin = begin;
  ByteReader in(std::string_view(small_).substr(begin));
  CHECK(in.ReadLengthPrefixed(&place.field) && in.ReadLengthPrefixed(&place.value));
  place.end = static_cast<size_t>(place.value.data() + place.value.size() - small_.data());
  return place;
}

bool HashObject::FindSmall(std::string_view field, Place* place) const {
  for (size_t i = 0; i < small_.size(); i = place->end) {
    *place = At(i);
    if (place->field == field) return true;
  }
  return false;
}

std::optional<std::string_view> HashObject::Find(std::string_view field) const {
  if (table_ != nullptr) {
    const Element* element = table_->Find(field);
    if (element == nullptr) return std::nullopt;
    return element->value();
  }
  Place place;
  if (!FindSmall(field, &place)) return std::nullopt;
  return place.value;
}

bool HashObject::FitsSmall(std::string_view field, std::string_view value, bool is_new) const {
  const EncodingLimits& limits = options_.Limits();
  const uint64_t bytes = limits.hash_bytes.load(std::memory_order_relaxed);
  return count_ + (is_new ? 1 : 0) <= limits.hash_entries.load(std::memory_order_relaxed) &&
         field.size() <= bytes && value.size() <= bytes;
}

void HashObject::Put(std::string_view field, std::string_view value) {
  if (table_ == nullptr) {
    PutSmall(field, value);
  } else {
    table_->Put(field, value);
  }
}

void HashObject::PutSmall(std::string_view field, std::string_view value) {
  Place place;
  const bool found = FindSmall(field, &place);
  if (!FitsSmall(field, value, !found)) {
    BecomeLarge();
    table_->Put(field, value);
    return;
  }
  std::string entry;
  AppendLengthPrefixed(&entry, field);
  AppendLengthPrefixed(&entry, value);
  if (found) {
    ReplaceTight(&small_, place.begin, place.end - place.begin, entry);
  } else {
    ReplaceTight(&small_, small_.size(), 0, entry);
    ++count_;
  }
}

void HashObject::BecomeLarge() {
  table_ = std::make_unique<ElementTable>(options_.hash_seed);
  for (size_t i = 0; i < small_.size();) {
    const Place place = At(i);
    table_->Put(place.field, place.value);
    i = place.end;
  }
  small_ = std::string();
  count_ = 0;
}

bool HashObject::Delete(std::string_view field) {
  if (table_ != nullptr) return table_->Delete(field);
  Place place;
  if (!FindSmall(field, &place)) return false;
  ReplaceTight(&small_, place.begin, place.end - place.begin, "");
  --count_;
  return true;
}

void HashObject::ForEach(
    const std::function<void(std::string_view field, std::string_view value)>& visit) const {
  // SIZE_MAX: all in one go.
  Scan(0, SIZE_MAX, visit);
}

uint64_t HashObject::Scan(
    uint64_t cursor, size_t count,
    const std::function<void(std::string_view field, std::string_view value)>& visit) const {
  if (table_ != nullptr) {
    return table_->Scan(
        cursor, count, [&visit](const Element& element) { visit(element.key(), element.value()); });
  }
  for (size_t i = 0; i < small_.size();) {
    const Place place = At(i);
    visit(place.field, place.value);
    i = place.end;
  }
  return 0;
}

std::pair<std::string_view, std::string_view> HashObject::Random(Rng* rng) const {
  CHECK(size() > 0);
  if (table_ != nullptr) {
    const Element& element = table_->Random(rng);
    return {element.key(), element.value()};
  }
  Place place = At(0);
  for (uint64_t left = rng->Below(count_); left > 0; --left) place = At(place.end);
  return {place.field, place.value};
}

}  // namespace holdfast::data
