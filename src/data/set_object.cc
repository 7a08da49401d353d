#include "data/set_object.h"

#include <algorithm>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::data {
namespace {

class IntegerText {
 public:
  explicit IntegerText(int64_t value) : size_(FormatInt64(value, bytes_)) {}
  std::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[20];
  size_t size_;
};

}  // namespace

size_t SetObject::MemoryBytes() const {
  size_t bytes = sizeof *this + integers_.capacity() * sizeof(int64_t);
  if (table_ != nullptr) bytes += sizeof *table_ + table_->MemoryBytes();
  return bytes;
}

void SetObject::Put(std::string_view member, std::string_view value) {
  CHECK(value.empty());
  int64_t integer = 0;
  if (table_ == nullptr && ParseInt64(member, &integer)) {
    const auto at = std::lower_bound(integers_.begin(), integers_.end(), integer);
    if (at != integers_.end() && *at == integer) return;
    if (integers_.size() < options_.Limits().set_integers.load(std::memory_order_relaxed)) {
      integers_.insert(at, integer);
      return;
    }
  }
  if (table_ == nullptr) BecomeTable();
  table_->Put(member, {});
}

void SetObject::BecomeTable() {
  table_ = std::make_unique<ElementTable>(options_.hash_seed);
  for (const int64_t integer : integers_) table_->Put(IntegerText(integer).view(), {});
  integers_ = std::vector<int64_t>();
}

bool SetObject::Delete(std::string_view member) {
  if (table_ != nullptr) return table_->Delete(member);
  int64_t integer;
  if (!ParseInt64(member, &integer)) return false;
  const auto at = std::lower_bound(integers_.begin(), integers_.end(), integer);
  if (at == integers_.end() || *at != integer) return false;
  integers_.erase(at);
  // As with the table, what is not needed any more is given back.
  if (integers_.size() * 4 < integers_.capacity()) integers_.shrink_to_fit();
  return true;
}

bool SetObject::Contains(std::string_view member) const {
  if (table_ != nullptr) return table_->Find(member) != nullptr;
  int64_t integer;
  return ParseInt64(member, &integer) &&
         std::binary_search(integers_.begin(), integers_.end(), integer);
}

void SetObject::ForEach(
    const std::function<void(std::string_view member, std::string_view value)>& visit) const {
  // SIZE_MAX: all in one go.
  Scan(0, SIZE_MAX, [&visit](std::string_view member) { visit(member, {}); });
}

uint64_t SetObject::Scan(uint64_t cursor, size_t count,
                         absl::FunctionRef<void(std::string_view member)> visit) const {
  if (table_ != nullptr) {
    return table_->Scan(cursor, count, [visit](const Element& element) { visit(element.key()); });
  }
  for (const int64_t integer : integers_) visit(IntegerText(integer).view());
  return 0;
}

std::string SetObject::Random(Rng* rng) const {
  CHECK(size() > 0);
  if (table_ != nullptr) return std::string(table_->Random(rng).key());
  return std::string(IntegerText(integers_[rng->Below(integers_.size())]).view());
}

}  // namespace holdfast::data
