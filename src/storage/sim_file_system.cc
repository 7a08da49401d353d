#include "storage/sim_file_system.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace holdfast::storage {
namespace {

constexpr uint64_t kSectorBytes = 512;

bool IsChange(FileCall call) { return call != FileCall::kRead; }

Status Missing(const std::string& path) { return Status::NotFound(path + ": no such file"); }

}  // namespace

// What a file holds now, and what it would hold after a crash in which nothing unsynced survives.
struct SimFileSystem::File {
  std::string now;
  std::string durable;
  // Sectors that the next sync writes. A failed sync empties it without writing: `now` and
  // `durable` then differ although every later sync succeeds.
  std::set<uint64_t> dirty;
  bool size_dirty = false;

  void Write(uint64_t offset, std::string_view bytes) {
    if (bytes.empty()) return;
    const uint64_t first_new = now.size();
    if (now.size() < offset + bytes.size()) now.resize(offset + bytes.size(), '\0');
    // Also when only a failed sync has left the disk's size behind: writing a page back beyond it
    // updates the inode.
    if (durable.size() < offset + bytes.size()) size_dirty = true;
    std::memcpy(now.data() + offset, bytes.data(), bytes.size());
    MarkDirty(std::min(offset, first_new), offset + bytes.size());
  }

  void MarkDirty(uint64_t from, uint64_t to) {
    for (uint64_t s = from / kSectorBytes; s * kSectorBytes < to; ++s) dirty.insert(s);
  }

  void Resize(uint64_t bytes) {
    const uint64_t before = now.size();
    now.resize(bytes, '\0');
    size_dirty = true;
    if (bytes > before) MarkDirty(before, bytes);
  }

  // Copies one sector to the durable side, as far as that reaches.
  void Put(uint64_t sector) {
    const uint64_t from = sector * kSectorBytes;
    const uint64_t to = std::min({from + kSectorBytes, now.size(), durable.size()});
    if (from < to) durable.replace(from, to - from, now, from, to - from);
  }

  void Sync() {
    if (size_dirty) durable.resize(now.size(), '\0');
    for (const uint64_t sector : dirty) Put(sector);
    dirty.clear();
    size_dirty = false;
  }

  void LoseDirty() {
    dirty.clear();
    size_dirty = false;
  }

  // The size may have become durable or not, or anything between, and so may every dirty sector.
  void Crash(Rng* rng) {
    if (size_dirty && rng->Chance(2, 3)) {
      const uint64_t low = std::min(now.size(), durable.size());
      const uint64_t high = std::max(now.size(), durable.size());
      const uint64_t size = rng->Chance(1, 2) ? now.size() : low + rng->Below(high - low + 1);
      durable.resize(size, '\0');
    }
    const uint64_t odds = rng->Below(5);  // from "none survives" to "all survive"
    for (const uint64_t sector : dirty) {
      if (rng->Chance(odds, 4)) Put(sector);
    }
    Forget();
  }

  void Forget() {
    now = durable;
    LoseDirty();
  }
};

// The tree, flat: full path -> file or directory.
struct SimFileSystem::State {
  using Names = std::map<std::string, std::shared_ptr<File>>;

  mutable std::mutex mutex;
  Names names;  // null: a directory
  Names durable_names;
  // Not durable yet, oldest first.
  std::vector<std::pair<std::string, std::string>> renames;
  std::set<std::string> locked;
  uint64_t generation = 0;  // handles of an older one are cut off
  uint64_t capacity = UINT64_MAX;
  uint64_t changing_calls = 0;

  uint64_t countdown = 0;  // calls until the fault, 0 = none is set
  Fault fault = Fault::kNone;
  bool only_one_call = false;
  FileCall counted = FileCall::kWrite;
  bool happened = false;

  // Counts a call and returns the fault that it has to suffer.
  Fault Count(FileCall call) {
    if (IsChange(call)) ++changing_calls;
    if (countdown == 0) return Fault::kNone;
    if (only_one_call ? call != counted : !IsChange(call)) return Fault::kNone;
    if (--countdown > 0) return Fault::kNone;
    happened = true;
    return fault;
  }

  static Status FaultStatus(Fault fault, const std::string& path) {
    CHECK(fault != Fault::kNone);
    return fault == Fault::kIoError ? Status::IoError("injected I/O error on " + path)
                                    : Status::NoSpace("injected full disk on " + path);
  }

  // kNone, or the error of a call that is refused as a whole.
  Status Enter(FileCall call, const std::string& path) {
    const Fault suffered = Count(call);
    if (suffered == Fault::kNone) return Status::Ok();
    return suffered == Fault::kShortWrite ? FaultStatus(Fault::kIoError, path)
                                          : FaultStatus(suffered, path);
  }

  File* Find(const std::string& path) const {
    const auto found = names.find(path);
    return found == names.end() ? nullptr : found->second.get();
  }
  bool IsDirectory(const std::string& path) const {
    if (path == "/" || path == ".") return true;
    const auto found = names.find(path);
    return found != names.end() && found->second == nullptr;
  }

  uint64_t Used() const {
    uint64_t sum = 0;
    for (const auto& [path, file] : names) {
      if (file != nullptr) sum += file->now.size();
    }
    return sum;
  }

  // Moves the changes of one name to the durable side. A rename is one step: both of its names.
  void SyncName(const std::string& path) {
    const auto rename = std::find_if(renames.begin(), renames.end(), [&](const auto& pair) {
      return pair.first == path || pair.second == path;
    });
    if (rename == renames.end()) {
      SyncOneName(path);
      return;
    }
    const auto [from, to] = *rename;
    renames.erase(rename);
    if (IsDirectory(to)) EraseInside(from, &durable_names);
    SyncOneName(from);
    SyncOneName(to);
  }

  void SyncOneName(const std::string& path) {
    const auto now = names.find(path);
    if (now == names.end()) {
      durable_names.erase(path);
    } else {
      durable_names[path] = now->second;
    }
  }

  static void EraseInside(const std::string& directory, Names* from) {
    std::erase_if(*from,
                  [&](const auto& entry) { return entry.first.starts_with(directory + "/"); });
  }

  // What was inside a renamed directory shares the fate of the rename.
  bool InsideRenamed(const std::string& path) const {
    return std::any_of(renames.begin(), renames.end(),
                       [&](const auto& pair) { return path.starts_with(pair.first + "/"); });
  }

  std::set<std::string> ChangedNames() const {
    std::set<std::string> changed;
    for (const auto& [path, file] : names) {
      const auto other = durable_names.find(path);
      if (other == durable_names.end() || other->second != file) changed.insert(path);
    }
    for (const auto& [path, file] : durable_names) {
      if (!names.contains(path) && !InsideRenamed(path)) changed.insert(path);
    }
    return changed;
  }

  // `rng` null: nothing unsynced survives.
  void Crash(Rng* rng) {
    if (rng != nullptr) {
      for (const auto& [from, to] : std::vector(renames)) {
        if (rng->Chance(1, 2)) SyncName(from);
      }
      const auto renamed = std::exchange(renames, {});
      for (const std::string& path : ChangedNames()) {
        const bool decided = std::any_of(renamed.begin(), renamed.end(), [&](const auto& pair) {
          return pair.first == path || pair.second == path || path.starts_with(pair.first + "/");
        });
        if (!decided && rng->Chance(1, 2)) SyncOneName(path);
      }
    }
    renames.clear();
    // A name whose directory did not survive is gone with it.
    for (auto it = durable_names.begin(); it != durable_names.end();) {
      const std::string parent = DirectoryOf(it->first);
      const bool kept = parent == "/" || parent == "." || durable_names.contains(parent);
      it = kept ? std::next(it) : durable_names.erase(it);
    }
    names = durable_names;
    // In order of names, so that the same seed gives the same outcome.
    std::set<File*> done;
    for (const auto& [path, file] : names) {
      if (file == nullptr || !done.insert(file.get()).second) continue;
      if (rng != nullptr) {
        file->Crash(rng);
      } else {
        file->Forget();
      }
    }
    Kill();
  }

  void Kill() {
    ++generation;
    locked.clear();
  }
};

class SimFileSystem::SimWritableFile final : public WritableFile {
 public:
  SimWritableFile(std::shared_ptr<State> state, std::shared_ptr<File> file, std::string path)
      : state_(std::move(state)),
        file_(std::move(file)),
        path_(std::move(path)),
        generation_(state_->generation) {
    append_offset_ = file_->now.size();
  }

  Status WriteAt(uint64_t offset, std::span<const std::string_view> parts) override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    RETURN_IF_ERROR(Alive());
    const Fault suffered = state_->Count(FileCall::kWrite);
    if (suffered == Fault::kIoError || suffered == Fault::kNoSpace) {
      return State::FaultStatus(suffered, path_);
    }
    std::string bytes;
    for (const std::string_view part : parts) bytes += part;
    const uint64_t wanted = bytes.size();
    uint64_t allowed = suffered == Fault::kShortWrite ? wanted / 2 : wanted;
    const uint64_t growth =
        offset + wanted > file_->now.size() ? offset + wanted - file_->now.size() : 0;
    const uint64_t used = state_->Used();
    const uint64_t room = state_->capacity > used ? state_->capacity - used : 0;
    if (growth > room) allowed = std::min(allowed, wanted - std::min(wanted, growth - room));
    file_->Write(offset, std::string_view(bytes).substr(0, allowed));
    if (allowed == wanted) return Status::Ok();
    return Status::NoSpace("no space left for " + path_);
  }

  Status Sync() override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    RETURN_IF_ERROR(Alive());
    const Status status = state_->Enter(FileCall::kSync, path_);
    if (status.ok()) {
      file_->Sync();
    } else {
      file_->LoseDirty();
    }
    return status;
  }

  Status Close() override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    return Alive();
  }

 private:
  Status Alive() const {
    return generation_ == state_->generation ? Status::Ok()
                                             : Status::IoError(path_ + ": the machine crashed");
  }

  const std::shared_ptr<State> state_;
  const std::shared_ptr<File> file_;
  const std::string path_;
  const uint64_t generation_;
};

class SimFileSystem::SimRandomAccessFile final : public RandomAccessFile {
 public:
  SimRandomAccessFile(std::shared_ptr<State> state, std::shared_ptr<File> file, std::string path)
      : state_(std::move(state)),
        file_(std::move(file)),
        path_(std::move(path)),
        generation_(state_->generation) {}

  Result<size_t> Read(uint64_t offset, size_t n, char* buffer) const override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (generation_ != state_->generation) {
      return Status::IoError(path_ + ": the machine crashed");
    }
    RETURN_IF_ERROR(state_->Enter(FileCall::kRead, path_));
    const uint64_t size = file_->now.size();
    if (offset >= size) return size_t{0};
    const auto got = static_cast<size_t>(std::min<uint64_t>(n, size - offset));
    std::memcpy(buffer, file_->now.data() + offset, got);
    return got;
  }

 private:
  const std::shared_ptr<State> state_;
  const std::shared_ptr<File> file_;
  const std::string path_;
  const uint64_t generation_;
};

class SimFileSystem::SimLock final : public FileLock {
 public:
  SimLock(std::shared_ptr<State> state, std::string path)
      : state_(std::move(state)), path_(std::move(path)), generation_(state_->generation) {}
  ~SimLock() override {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (generation_ == state_->generation) state_->locked.erase(path_);
  }

 private:
  const std::shared_ptr<State> state_;
  const std::string path_;
  const uint64_t generation_;
};

SimFileSystem::SimFileSystem() : state_(std::make_shared<State>()) {}
SimFileSystem::~SimFileSystem() = default;

Result<std::unique_ptr<WritableFile>> SimFileSystem::OpenForWriting(const std::string& path,
                                                                    OpenMode mode) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kOpen, path));
  if (state_->IsDirectory(path)) return Status::IoError(path + " is a directory");
  if (!state_->IsDirectory(DirectoryOf(path))) return Missing(path);
  std::shared_ptr<File>& file = state_->names[path];
  if (file == nullptr) {
    file = std::make_shared<File>();
  } else if (mode == OpenMode::kCreateNew) {
    return Status::IoError(path + " exists");
  } else if (mode == OpenMode::kTruncate) {
    file->Resize(0);
  }
  return std::unique_ptr<WritableFile>(new SimWritableFile(state_, file, path));
}

Result<std::unique_ptr<RandomAccessFile>> SimFileSystem::OpenForReading(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRead, path));
  if (state_->Find(path) == nullptr) return Missing(path);
  return std::unique_ptr<RandomAccessFile>(
      new SimRandomAccessFile(state_, state_->names[path], path));
}

Result<std::vector<std::string>> SimFileSystem::List(const std::string& directory) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRead, directory));
  if (!state_->IsDirectory(directory)) return Missing(directory);
  std::vector<std::string> result;
  for (const auto& [path, file] : state_->names) {
    if (DirectoryOf(path) == directory) result.push_back(path.substr(path.rfind('/') + 1));
  }
  std::sort(result.begin(), result.end());
  return result;
}

Result<uint64_t> SimFileSystem::FileSize(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRead, path));
  const File* file = state_->Find(path);
  if (file == nullptr) return Missing(path);
  return uint64_t{file->now.size()};
}

Result<bool> SimFileSystem::Exists(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRead, path));
  return state_->names.contains(path) || state_->IsDirectory(path);
}

Status SimFileSystem::Remove(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRemove, path));
  if (state_->Find(path) == nullptr) return Missing(path);
  state_->names.erase(path);
  return Status::Ok();
}

Status SimFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRename, from));
  const auto found = state_->names.find(from);
  if (found == state_->names.end()) return Missing(from);
  if (!state_->IsDirectory(DirectoryOf(to))) return Missing(to);
  const std::shared_ptr<File> file = found->second;
  if (file != nullptr && state_->IsDirectory(to)) return Status::IoError(to + " is a directory");
  if (file == nullptr && state_->names.contains(to)) return Status::IoError(to + " exists");
  if (file == nullptr) {
    State::Names moved;
    for (auto* names : {&state_->names, &state_->durable_names}) {
      for (const auto& [path, inside] : *names) {
        if (path.starts_with(from + "/")) moved[to + path.substr(from.size())] = inside;
      }
      names->insert(moved.begin(), moved.end());
      moved.clear();
    }
    State::EraseInside(from, &state_->names);
  }
  state_->names.erase(from);
  state_->names[to] = file;
  state_->renames.emplace_back(from, to);
  return Status::Ok();
}

Status SimFileSystem::Truncate(const std::string& path, uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const Status status = state_->Enter(FileCall::kTruncate, path);
  File* file = state_->Find(path);
  if (file == nullptr) return Missing(path);
  if (!status.ok()) {
    file->LoseDirty();
    return status;
  }
  file->Resize(bytes);
  file->Sync();
  return Status::Ok();
}

Status SimFileSystem::CreateDirectory(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kDirectory, path));
  if (state_->IsDirectory(path)) return Status::Ok();
  if (state_->Find(path) != nullptr) return Status::InvalidArgument(path + " is not a directory");
  if (!state_->IsDirectory(DirectoryOf(path))) return Missing(path);
  state_->names[path] = nullptr;
  return Status::Ok();
}

Status SimFileSystem::RemoveDirectory(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kDirectory, path));
  if (!state_->IsDirectory(path)) return Missing(path);
  for (const auto& [name, file] : state_->names) {
    if (DirectoryOf(name) == path) return Status::IoError(path + " is not empty");
  }
  state_->names.erase(path);
  return Status::Ok();
}

Status SimFileSystem::SyncDirectory(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kDirectory, path));
  if (!state_->IsDirectory(path)) return Missing(path);
  for (const std::string& name : state_->ChangedNames()) {
    if (DirectoryOf(name) == path) state_->SyncName(name);
  }
  return Status::Ok();
}

Result<std::unique_ptr<FileLock>> SimFileSystem::Lock(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kOpen, path));
  if (!state_->IsDirectory(DirectoryOf(path))) return Missing(path);
  std::shared_ptr<File>& file = state_->names[path];
  if (file == nullptr) file = std::make_shared<File>();
  if (!state_->locked.insert(path).second) return Status::InvalidArgument(path + " is locked");
  return std::unique_ptr<FileLock>(new SimLock(state_, path));
}

Result<uint64_t> SimFileSystem::FreeBytes(const std::string& path) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  RETURN_IF_ERROR(state_->Enter(FileCall::kRead, path));
  const uint64_t used = state_->Used();
  return state_->capacity > used ? state_->capacity - used : uint64_t{0};
}

void SimFileSystem::Crash(Rng* rng) {
  CHECK(rng != nullptr);
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Crash(rng);
}

void SimFileSystem::CrashLosingAll() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Crash(nullptr);
}

void SimFileSystem::KillProcess() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Kill();
}

void SimFileSystem::FailNth(uint64_t nth, Fault fault) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->countdown = nth;
  state_->fault = fault;
  state_->only_one_call = false;
  state_->happened = false;
}

void SimFileSystem::FailNth(FileCall call, uint64_t nth, Fault fault) {
  FailNth(nth, fault);
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->only_one_call = true;
  state_->counted = call;
}

void SimFileSystem::ClearFaults() { FailNth(0, Fault::kNone); }

bool SimFileSystem::fault_happened() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->happened;
}

uint64_t SimFileSystem::changing_calls() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->changing_calls;
}

void SimFileSystem::SetCapacity(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->capacity = bytes;
}

uint64_t SimFileSystem::UsedBytes() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->Used();
}

void SimFileSystem::FlipBit(const std::string& path, uint64_t offset, int bit) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  File* file = state_->Find(path);
  CHECK(file != nullptr && offset < file->now.size() && bit >= 0 && bit < 8);
  const auto mask = static_cast<char>(1 << bit);
  file->now[offset] = static_cast<char>(file->now[offset] ^ mask);
  if (offset < file->durable.size()) {
    file->durable[offset] = static_cast<char>(file->durable[offset] ^ mask);
  }
}

std::string SimFileSystem::Contents(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const File* file = state_->Find(path);
  return file == nullptr ? std::string() : file->now;
}

void SimFileSystem::SetContents(const std::string& path, std::string bytes) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  auto file = std::make_shared<File>();
  file->now = file->durable = std::move(bytes);
  state_->names[path] = file;
  for (std::string p = path; p != "/" && p != "."; p = DirectoryOf(p)) {
    if (p != path) state_->names.try_emplace(p, nullptr);
    state_->SyncName(p);
  }
}

std::vector<std::string> SimFileSystem::AllFiles() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::vector<std::string> result;
  for (const auto& [path, file] : state_->names) {
    if (file != nullptr) result.push_back(path);
  }
  return result;
}

}  // namespace holdfast::storage
