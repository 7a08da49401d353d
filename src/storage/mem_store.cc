#include "storage/mem_store.h"

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace holdfast::storage {
namespace {

using Records = std::map<std::string, std::string, std::less<>>;

struct Change {
  std::string key;
  std::optional<std::string> value;  // empty: a deletion
};
using Changes = std::vector<Change>;

void Apply(const Changes& changes, Records* records) {
  for (const Change& change : changes) {
    if (change.value.has_value()) {
      (*records)[change.key] = *change.value;
    } else {
      records->erase(change.key);
    }
  }
}

}  // namespace

struct MemStoreDisk::State {
  struct Files {
    // Iterators share it, so it is copied before a change while one is alive.
    std::shared_ptr<Records> now = std::make_shared<Records>();
    Records durable;
    std::vector<Changes> unsynced;   // writes since, in order
    std::optional<Changes> unknown;  // the write that failed: there after a crash, or not
    bool open = false;
  };

  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Files>> stores;
  uint64_t generation = 0;  // stores opened in an older one are dead
  uint64_t countdown = 0;
  Status failure;

  // Counts a write or sync; the failure that it has to suffer.
  Status Count() {
    if (countdown == 0 || --countdown > 0) return Status::Ok();
    return failure;
  }

  // Keeps the first `kept` unsynced writes.
  static void Settle(Files* files, size_t kept) {
    for (size_t i = 0; i < kept; ++i) Apply(files->unsynced[i], &files->durable);
    files->unsynced.clear();
    files->unknown.reset();
    files->now = std::make_shared<Records>(files->durable);
    files->open = false;
  }
};

class MemStoreDisk::MemStore final : public Store {
 public:
  MemStore(std::shared_ptr<State> state, std::shared_ptr<State::Files> files, std::string path)
      : state_(std::move(state)),
        files_(std::move(files)),
        path_(std::move(path)),
        generation_(state_->generation) {}

  ~MemStore() override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (generation_ == state_->generation) files_->open = false;
  }

  Status Write(const StoreBatch& batch, bool sync) override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    RETURN_IF_ERROR(Alive());
    Changes changes;
    batch.ForEach([&](std::string_view key, const std::string_view* value) {
      Change change{std::string(key), std::nullopt};
      if (value != nullptr) change.value = std::string(*value);
      changes.push_back(std::move(change));
    });
    const Status status = state_->Count();
    if (!status.ok()) {
      // As in LevelDB, where a failed sync leaves the record in the file (P53).
      files_->unknown = std::move(changes);
      dead_ = status;
      return status;
    }
    if (files_->now.use_count() > 1) files_->now = std::make_shared<Records>(*files_->now);
    Apply(changes, files_->now.get());
    files_->unsynced.push_back(std::move(changes));
    if (sync) {
      for (const Changes& done : files_->unsynced) Apply(done, &files_->durable);
      files_->unsynced.clear();
    }
    return Status::Ok();
  }

  Status Sync() override { return Write(StoreBatch(), true); }

  Status Get(std::string_view key, std::string* value) override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    RETURN_IF_ERROR(Alive());
    const auto found = files_->now->find(key);
    if (found == files_->now->end()) return Status::NotFound("no such record");
    *value = found->second;
    return Status::Ok();
  }

  Status Scan(std::string_view start, std::string_view end,
              absl::FunctionRef<bool(std::string_view, std::string_view)> visitor) override {
    std::shared_ptr<const Records> records;
    {
      const std::lock_guard<std::mutex> lock(state_->mutex);
      RETURN_IF_ERROR(Alive());
      records = files_->now;
    }
    for (auto it = records->lower_bound(start); it != records->end(); ++it) {
      if (!end.empty() && it->first >= end) break;
      if (!visitor(it->first, it->second)) break;
    }
    return Status::Ok();
  }

  std::unique_ptr<StoreIterator> NewIterator() override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    return std::make_unique<Iterator>(files_->now, Alive());
  }

  uint64_t ApproximateBytes(std::string_view start, std::string_view end) override {
    uint64_t sum = 0;
    const Status status = Scan(start, end, [&](std::string_view key, std::string_view value) {
      sum += key.size() + value.size();
      return true;
    });
    return status.ok() ? sum : 0;
  }

  Status CompactRange(std::string_view, std::string_view) override { return status(); }

  Status status() const override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    return Alive();
  }

 private:
  class Iterator final : public StoreIterator {
   public:
    Iterator(std::shared_ptr<const Records> records, Status status)
        : records_(std::move(records)), status_(std::move(status)), at_(records_->end()) {}
    void Seek(std::string_view key) override {
      at_ = status_.ok() ? records_->lower_bound(key) : records_->end();
    }
    void Next() override {
      CHECK(Valid());
      ++at_;
    }
    bool Valid() const override { return at_ != records_->end(); }
    std::string_view key() const override { return at_->first; }
    std::string_view value() const override { return at_->second; }
    Status status() const override { return status_; }

   private:
    const std::shared_ptr<const Records> records_;
    const Status status_;
    Records::const_iterator at_;
  };

  Status Alive() const {
    RETURN_IF_ERROR(dead_);
    return generation_ == state_->generation ? Status::Ok()
                                             : Status::IoError(path_ + ": the machine crashed");
  }

  const std::shared_ptr<State> state_;
  const std::shared_ptr<State::Files> files_;
  const std::string path_;
  const uint64_t generation_;
  Status dead_;
};

MemStoreDisk::MemStoreDisk() : state_(std::make_shared<State>()) {}
MemStoreDisk::~MemStoreDisk() = default;

Result<std::unique_ptr<Store>> MemStoreDisk::Open(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::shared_ptr<State::Files>& files = state_->stores[path];
  if (files == nullptr) files = std::make_shared<State::Files>();
  if (files->open) return Status::IoError(path + " is open already");
  // Opening makes durable what is visible, as LevelDB does when it turns its log into tables. The
  // write that a dead instance failed is visible now.
  if (files->unknown.has_value()) files->unsynced.push_back(*std::exchange(files->unknown, {}));
  State::Settle(files.get(), files->unsynced.size());
  files->open = true;
  return std::unique_ptr<Store>(new MemStore(state_, files, path));
}

Status MemStoreDisk::Destroy(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->stores.find(path);
  if (found == state_->stores.end()) return Status::Ok();
  CHECK_MSG(!found->second->open, "a store is destroyed while it is open");
  state_->stores.erase(found);
  return Status::Ok();
}

Status MemStoreDisk::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->stores.find(from);
  if (found == state_->stores.end()) return Status::NotFound(from + ": no such store");
  CHECK_MSG(!found->second->open, "a store is renamed while it is open");
  if (state_->stores.contains(to)) return Status::InvalidArgument(to + " exists");
  state_->stores[to] = found->second;
  state_->stores.erase(from);
  return Status::Ok();
}

Result<bool> MemStoreDisk::Exists(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->stores.contains(path);
}

void MemStoreDisk::Crash(Rng* rng) {
  CHECK(rng != nullptr);
  KillProcess(rng);
}

void MemStoreDisk::KillProcess(Rng* rng) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  ++state_->generation;
  for (auto& [path, files] : state_->stores) {
    if (files->unknown.has_value()) files->unsynced.push_back(*std::exchange(files->unknown, {}));
    const size_t writes = files->unsynced.size();
    State::Settle(files.get(), rng == nullptr ? writes : rng->Below(writes + 1));
  }
}

void MemStoreDisk::FailNth(uint64_t nth, Status status) {
  CHECK(!status.ok());
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->countdown = nth;
  state_->failure = std::move(status);
}

}  // namespace holdfast::storage
