#include "storage/store_batch.h"

#include <leveldb/write_batch.h>

#include <utility>

#include "base/check.h"

namespace holdfast::storage {

struct StoreBatch::Rep {
  // Mutable because LevelDB's Write() takes a pointer; it only reads unless it merges writers, and
  // then it copies first.
  mutable leveldb::WriteBatch batch;
};

StoreBatch::StoreBatch() : rep_(std::make_unique<Rep>()) {}
StoreBatch::~StoreBatch() = default;

StoreBatch::StoreBatch(StoreBatch&& other) noexcept : StoreBatch() { *this = std::move(other); }

StoreBatch& StoreBatch::operator=(StoreBatch&& other) noexcept {
  std::swap(rep_, other.rep_);
  std::swap(changes_, other.changes_);
  other.Clear();
  return *this;
}

void StoreBatch::Put(std::string_view key, std::string_view value) {
  rep_->batch.Put({key.data(), key.size()}, {value.data(), value.size()});
  ++changes_;
}

void StoreBatch::Delete(std::string_view key) {
  rep_->batch.Delete({key.data(), key.size()});
  ++changes_;
}

void StoreBatch::Clear() {
  // WriteBatch::Clear() keeps the buffer, however large.
  constexpr size_t kKeepBytes = size_t{1} << 20;
  if (bytes() > kKeepBytes) {
    rep_->batch = leveldb::WriteBatch();
  } else {
    rep_->batch.Clear();
  }
  changes_ = 0;
}

size_t StoreBatch::bytes() const { return rep_->batch.ApproximateSize(); }

void StoreBatch::ForEach(
    absl::FunctionRef<void(std::string_view key, const std::string_view* value)> visitor) const {
  class Handler final : public leveldb::WriteBatch::Handler {
   public:
    explicit Handler(absl::FunctionRef<void(std::string_view, const std::string_view*)> v)
        : visitor_(v) {}
    void Put(const leveldb::Slice& key, const leveldb::Slice& value) override {
      const std::string_view bytes(value.data(), value.size());
      visitor_({key.data(), key.size()}, &bytes);
    }
    void Delete(const leveldb::Slice& key) override { visitor_({key.data(), key.size()}, nullptr); }

   private:
    absl::FunctionRef<void(std::string_view, const std::string_view*)> visitor_;
  };
  Handler handler(visitor);
  const leveldb::Status status = rep_->batch.Iterate(&handler);
  CHECK_MSG(status.ok(), "a batch in memory is damaged");
}

leveldb::WriteBatch* LevelBatch(const StoreBatch& batch) { return &batch.rep().batch; }

}  // namespace holdfast::storage
