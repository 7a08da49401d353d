#include "data/set_object.h"

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
  size_t bytes = sizeof *this + integers_.MemoryBytes();
  if (table_ != nullptr) bytes += sizeof *table_ + table_->MemoryBytes();
  return bytes;
}

void SetObject::Put(std::string_view member, std::string_view value) {
  CHECK(value.empty());
  int64_t integer = 0;
  if (table_ == nullptr && ParseInt64(member, &integer)) {
    if (integers_.Contains(integer)) return;
    if (integers_.size() < options_.Limits().set_integers.load(std::memory_order_relaxed)) {
      integers_.Insert(integer);
      return;
    }
  }
  if (table_ == nullptr) BecomeTable();
  table_->Put(member, {});
}

void SetObject::BecomeTable() {
  table_ = std::make_unique<ElementTable>(options_.hash_seed);
  for (size_t i = 0; i < integers_.size(); ++i) {
    table_->Put(IntegerText(integers_[i]).view(), {});
  }
  integers_.Clear();
}

bool SetObject::Delete(std::string_view member) {
  if (table_ != nullptr) return table_->Delete(member);
  int64_t integer;
  return ParseInt64(member, &integer) && integers_.Erase(integer);
}

bool SetObject::Contains(std::string_view member) const {
  if (table_ != nullptr) return table_->Find(member) != nullptr;
  int64_t integer;
  return ParseInt64(member, &integer) && integers_.Contains(integer);
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
  for (size_t i = 0; i < integers_.size(); ++i) visit(IntegerText(integers_[i]).view());
  return 0;
}

std::string SetObject::Random(Rng* rng) const {
  CHECK(size() > 0);
  if (table_ != nullptr) return std::string(table_->Random(rng).key());
  return std::string(IntegerText(integers_[rng->Below(integers_.size())]).view());
}

}  // namespace holdfast::data
