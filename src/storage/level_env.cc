#include "storage/level_env.h"

#include <leveldb/env.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/numbers.h"
#include "storage/frame_reader.h"
#include "storage/wal_format.h"

namespace holdfast::storage {
namespace {

using wal_internal::FrameHeader;
using wal_internal::FrameReader;

constexpr size_t kBufferBytes = 64 << 10;

leveldb::Status ToLevel(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return leveldb::Status::OK();
    case Code::kNotFound:
      return leveldb::Status::NotFound(status.message());
    case Code::kCorruption:
      return leveldb::Status::Corruption(status.message());
    default:
      return leveldb::Status::IOError(status.message());
  }
}

enum class FileKind { kLog, kManifest, kOther };

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// "000012.log" -> kLog, 12; "MANIFEST-000003" -> kManifest, 3.
FileKind KindOf(std::string_view name, uint64_t* number) {
  constexpr std::string_view kManifest = "MANIFEST-";
  FileKind kind = FileKind::kOther;
  if (name.ends_with(".log")) {
    kind = FileKind::kLog;
    name.remove_suffix(4);
  } else if (name.starts_with(kManifest)) {
    kind = FileKind::kManifest;
    name.remove_prefix(kManifest.size());
  }
  while (name.size() > 1 && name.front() == '0') name.remove_prefix(1);
  return kind != FileKind::kOther && ParseUint64(name, number) ? kind : FileKind::kOther;
}

uint64_t FrameSeed(FileKind kind, uint64_t number) {
  return Hash64(kind == FileKind::kLog ? "leveldb log" : "leveldb manifest", number);
}

// The first failure, shared by all files of a store.
class Failure {
 public:
  // `status`, or the first failure when there was one before.
  Status Note(Status status) {
    if (status.ok()) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (first_.ok()) first_ = std::move(status);
    happened_.store(true, std::memory_order_release);
    return first_;
  }
  Status Get() const {
    if (!happened_.load(std::memory_order_acquire)) return Status::Ok();
    const std::lock_guard<std::mutex> lock(mutex_);
    return first_;
  }

 private:
  std::atomic<bool> happened_{false};
  mutable std::mutex mutex_;
  Status first_;
};

class SequentialFile final : public leveldb::SequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<storage::RandomAccessFile> file)
      : file_(std::move(file)) {}

  leveldb::Status Read(size_t n, leveldb::Slice* result, char* scratch) override {
    auto got = file_->Read(offset_, n, scratch);
    if (!got.ok()) return ToLevel(got.status());
    offset_ += got.value();
    *result = leveldb::Slice(scratch, got.value());
    return leveldb::Status::OK();
  }
  leveldb::Status Skip(uint64_t n) override {
    offset_ += n;
    return leveldb::Status::OK();
  }

 private:
  const std::unique_ptr<storage::RandomAccessFile> file_;
  uint64_t offset_ = 0;
};

// The contents of a framed file, without the frames, up to its end or its torn tail.
class FramedSequentialFile final : public leveldb::SequentialFile {
 public:
  // `may_be_torn`: no later file shows that this one was complete.
  FramedSequentialFile(FrameReader reader, std::string path, bool may_be_torn)
      : reader_(std::move(reader)), path_(std::move(path)), may_be_torn_(may_be_torn) {}

  leveldb::Status Read(size_t n, leveldb::Slice* result, char* scratch) override {
    size_t done = 0;
    while (done < n) {
      if (rest_.empty()) {
        const Status status = NextFrame();
        if (!status.ok()) return ToLevel(status);
        if (rest_.empty()) break;
      }
      const size_t part = std::min(n - done, rest_.size());
      std::copy_n(rest_.data(), part, scratch + done);
      rest_.remove_prefix(part);
      done += part;
    }
    *result = leveldb::Slice(scratch, done);
    return leveldb::Status::OK();
  }

  leveldb::Status Skip(uint64_t n) override {
    while (n > 0) {
      if (rest_.empty()) {
        const Status status = NextFrame();
        if (!status.ok()) return ToLevel(status);
        if (rest_.empty()) break;
      }
      const auto part = static_cast<size_t>(std::min<uint64_t>(n, rest_.size()));
      rest_.remove_prefix(part);
      n -= part;
    }
    return leveldb::Status::OK();
  }

 private:
  // Leaves rest_ empty at the end.
  Status NextFrame() {
    if (ended_) return Status::Ok();
    FrameHeader header;
    uint64_t next = 0;
    auto found = reader_.Frame(offset_, &header, &rest_, &next);
    if (!found.ok()) return found.status();
    if (found.value() == FrameReader::Found::kFrame) {
      offset_ = next;
      return Status::Ok();
    }
    rest_ = {};
    ended_ = true;
    if (found.value() == FrameReader::Found::kEnd) return Status::Ok();
    auto was_durable = reader_.WasDurable(offset_);
    if (!was_durable.ok()) return was_durable.status();
    if (was_durable.value() || !may_be_torn_) {
      return Status::Corruption(path_ + " is damaged at offset " + std::to_string(offset_));
    }
    return Status::Ok();
  }

  FrameReader reader_;
  const std::string path_;
  const bool may_be_torn_;
  std::string_view rest_;  // of the current frame, inside reader_
  uint64_t offset_ = 0;    // of the next frame
  bool ended_ = false;
};

class RandomFile final : public leveldb::RandomAccessFile {
 public:
  explicit RandomFile(std::unique_ptr<storage::RandomAccessFile> file) : file_(std::move(file)) {}

  leveldb::Status Read(uint64_t offset, size_t n, leveldb::Slice* result,
                       char* scratch) const override {
    auto got = file_->Read(offset, n, scratch);
    if (!got.ok()) return ToLevel(got.status());
    *result = leveldb::Slice(scratch, got.value());
    return leveldb::Status::OK();
  }

 private:
  const std::unique_ptr<storage::RandomAccessFile> file_;
};

// Appends through a buffer. Unguarded it does what LevelDB's own does: Flush() writes the buffer
// out, the destructor does not sync, only manifests sync their directory.
class LevelWritableFile final : public leveldb::WritableFile {
 public:
  LevelWritableFile(FileSystem* fs, std::unique_ptr<storage::WritableFile> file, std::string path,
                    LevelGuards guards, Failure* failure)
      : fs_(fs),
        file_(std::move(file)),
        path_(std::move(path)),
        guarded_(guards == LevelGuards::kOn),
        failure_(failure) {
    uint64_t number = 0;
    kind_ = KindOf(BaseName(path_), &number);
    framed_ = guarded_ && kind_ != FileKind::kOther;
    seed_ = FrameSeed(kind_, number);
  }

  ~LevelWritableFile() override {
    if (file_ == nullptr) return;
    // Nobody hears of a failure here but the store, which asks LevelEnv::failure() after each
    // write.
    if (guarded_ && kind_ == FileKind::kLog) {
      (void)Guard([this] { return SyncFile(); });
    } else {
      (void)Guard([this] { return WriteOut(); });
    }
  }

  leveldb::Status Append(const leveldb::Slice& data) override {
    return Guard([&] {
      if (buffer_.size() + data.size() > kBufferBytes) RETURN_IF_ERROR(WriteOut());
      buffer_.append(data.data(), data.size());
      return buffer_.size() >= kBufferBytes ? WriteOut() : Status::Ok();
    });
  }

  // Guarded, only syncing counts: what was flushed and not synced is in the WAL anyway, and fewer,
  // larger frames are cheaper.
  leveldb::Status Flush() override {
    if (guarded_) return leveldb::Status::OK();
    return Guard([this] { return WriteOut(); });
  }

  leveldb::Status Sync() override {
    return Guard([this] { return SyncFile(); });
  }

  leveldb::Status Close() override {
    return Guard([this] {
      RETURN_IF_ERROR(WriteOut());
      const Status status = file_->Close();
      file_ = nullptr;
      return status;
    });
  }

 private:
  template <typename Action>
  leveldb::Status Guard(Action action) {
    if (!guarded_) return ToLevel(action());
    const Status failed = failure_->Get();
    return ToLevel(failed.ok() ? failure_->Note(action()) : failed);
  }

  Status WriteOut() {
    if (buffer_.empty()) return Status::Ok();
    synced_ = false;
    if (!guarded_) return WriteLikeLevelDb();
    if (framed_) {
      RETURN_IF_ERROR(WriteFrame());
    } else {
      RETURN_IF_ERROR(file_->Append(buffer_));
    }
    buffer_.clear();
    return Status::Ok();
  }

  // Behind whatever is in the file, and the buffer is forgotten even if that failed (P52).
  Status WriteLikeLevelDb() {
    const std::string bytes = std::exchange(buffer_, {});
    const std::string_view part = bytes;
    auto size = fs_->FileSize(path_);
    if (!size.ok()) return size.status();
    return file_->WriteAt(size.value(), {&part, 1});
  }

  Status WriteFrame() {
    const std::string_view records = buffer_;
    FrameHeader header;
    header.length = static_cast<uint32_t>(records.size());
    header.synced_offset = durable_;
    header.checksum = wal_internal::ChecksumRecords(seed_, end_, {&records, 1});
    const std::string encoded = wal_internal::EncodeFrameHeader(seed_, end_, header);
    const uint64_t records_end = end_ + encoded.size() + records.size();
    const uint64_t frame_end = wal_internal::AlignUp(records_end);
    constexpr std::string_view kPadding("\0\0\0\0\0\0\0", wal_internal::kAlignment - 1);
    const std::array<std::string_view, 3> parts = {encoded, records,
                                                   kPadding.substr(0, frame_end - records_end)};
    RETURN_IF_ERROR(file_->WriteAt(end_, parts));
    end_ = frame_end;
    return Status::Ok();
  }

  Status SyncFile() {
    RETURN_IF_ERROR(WriteOut());
    if (synced_ && (directory_synced_ || !guarded_)) return Status::Ok();
    if (guarded_ ? !directory_synced_ : kind_ == FileKind::kManifest) {
      RETURN_IF_ERROR(fs_->SyncDirectory(DirectoryOf(path_)));
      directory_synced_ = true;
    }
    RETURN_IF_ERROR(file_->Sync());
    synced_ = true;
    durable_ = end_;
    return Status::Ok();
  }

  FileSystem* const fs_;
  std::unique_ptr<storage::WritableFile> file_;
  const std::string path_;
  const bool guarded_;
  Failure* const failure_;
  FileKind kind_ = FileKind::kOther;
  bool framed_ = false;
  uint64_t seed_ = 0;
  std::string buffer_;
  uint64_t end_ = 0;      // of the frames written
  uint64_t durable_ = 0;  // of the frames synced
  bool synced_ = false;   // what was written is durable
  bool directory_synced_ = false;
};

class LevelFileLock final : public leveldb::FileLock {
 public:
  explicit LevelFileLock(std::unique_ptr<storage::FileLock> lock) : lock_(std::move(lock)) {}

 private:
  const std::unique_ptr<storage::FileLock> lock_;
};

// Time, sleeping and threads for anything but compactions come from LevelDB's default.
class Env final : public leveldb::EnvWrapper, public LevelEnv {
 public:
  Env(FileSystem* fs, IoThread* background, LevelGuards guards)
      : leveldb::EnvWrapper(leveldb::Env::Default()),
        fs_(fs),
        background_(background),
        guards_(guards) {}

  leveldb::Env* env() override { return this; }
  Status failure() const override { return failure_.Get(); }

  leveldb::Status NewSequentialFile(const std::string& path,
                                    leveldb::SequentialFile** result) override {
    *result = nullptr;
    auto file = fs_->OpenForReading(path);
    if (!file.ok()) return ToLevel(file.status());
    uint64_t number = 0;
    const FileKind kind = KindOf(BaseName(path), &number);
    if (guards_ == LevelGuards::kOff || kind == FileKind::kOther) {
      *result = new SequentialFile(std::move(file).value());
      return leveldb::Status::OK();
    }
    auto size = fs_->FileSize(path);
    if (!size.ok()) return ToLevel(size.status());
    auto later = kind == FileKind::kLog ? LaterLogHasFrames(path, number) : Result<bool>(false);
    if (!later.ok()) return ToLevel(later.status());
    FrameReader reader(std::move(file).value(), size.value(), FrameSeed(kind, number));
    *result = new FramedSequentialFile(std::move(reader), path, !later.value());
    return leveldb::Status::OK();
  }

  leveldb::Status NewRandomAccessFile(const std::string& path,
                                      leveldb::RandomAccessFile** result) override {
    *result = nullptr;
    auto file = fs_->OpenForReading(path);
    if (!file.ok()) return ToLevel(file.status());
    *result = new RandomFile(std::move(file).value());
    return leveldb::Status::OK();
  }

  leveldb::Status NewWritableFile(const std::string& path,
                                  leveldb::WritableFile** result) override {
    *result = nullptr;
    if (guards_ == LevelGuards::kOn && !failure_.Get().ok()) return ToLevel(failure_.Get());
    auto file = fs_->OpenForWriting(path, FileSystem::OpenMode::kTruncate);
    if (!file.ok()) return ToLevel(failure_.Note(file.status()));
    *result = new LevelWritableFile(fs_, std::move(file).value(), path, guards_, &failure_);
    return leveldb::Status::OK();
  }

  // Only for reuse_logs, which stays off: a recovered log may have a torn tail.
  leveldb::Status NewAppendableFile(const std::string& path, leveldb::WritableFile**) override {
    return leveldb::Status::NotSupported(path);
  }

  bool FileExists(const std::string& path) override {
    const auto exists = fs_->Exists(path);
    return exists.ok() && exists.value();
  }

  leveldb::Status GetChildren(const std::string& directory,
                              std::vector<std::string>* result) override {
    result->clear();
    auto names = fs_->List(directory);
    if (!names.ok()) return ToLevel(names.status());
    *result = std::move(names).value();
    return leveldb::Status::OK();
  }

  // A leftover file does no harm, so a failure here does not kill the store.
  leveldb::Status RemoveFile(const std::string& path) override {
    if (guards_ == LevelGuards::kOn && !failure_.Get().ok()) return ToLevel(failure_.Get());
    return ToLevel(fs_->Remove(path));
  }

  leveldb::Status CreateDir(const std::string& path) override {
    return ToLevel(fs_->CreateDirectory(path));
  }
  leveldb::Status RemoveDir(const std::string& path) override {
    return ToLevel(fs_->RemoveDirectory(path));
  }

  leveldb::Status GetFileSize(const std::string& path, uint64_t* size) override {
    auto got = fs_->FileSize(path);
    *size = got.ok() ? got.value() : 0;
    return ToLevel(got.status());
  }

  leveldb::Status RenameFile(const std::string& from, const std::string& to) override {
    if (guards_ == LevelGuards::kOff) return ToLevel(fs_->Rename(from, to));
    if (!failure_.Get().ok()) return ToLevel(failure_.Get());
    Status status = fs_->Rename(from, to);
    if (status.code() == Code::kNotFound) return ToLevel(status);  // nothing happened
    if (status.ok()) status = fs_->SyncDirectory(DirectoryOf(to));
    return ToLevel(failure_.Note(std::move(status)));
  }

  leveldb::Status LockFile(const std::string& path, leveldb::FileLock** result) override {
    *result = nullptr;
    auto lock = fs_->Lock(path);
    if (!lock.ok()) return ToLevel(lock.status());
    *result = new LevelFileLock(std::move(lock).value());
    return leveldb::Status::OK();
  }
  leveldb::Status UnlockFile(leveldb::FileLock* lock) override {
    delete lock;
    return leveldb::Status::OK();
  }

  // LevelDB's default would write to the real disk.
  leveldb::Status NewLogger(const std::string& path, leveldb::Logger** result) override {
    *result = nullptr;
    return leveldb::Status::NotSupported(path);
  }

  // LevelDB schedules one compaction per DB at a time and holds its mutex here (P56).
  void Schedule(void (*function)(void*), void* argument) override {
    CHECK(background_->TryPost([function, argument] { function(argument); }));
  }

 private:
  // A log gets its first frame only after the log before it was synced and closed.
  Result<bool> LaterLogHasFrames(const std::string& path, uint64_t number) {
    auto names = fs_->List(DirectoryOf(path));
    if (!names.ok()) return names.status();
    for (const std::string& name : names.value()) {
      uint64_t other = 0;
      if (KindOf(name, &other) != FileKind::kLog || other <= number) continue;
      const std::string other_path = DirectoryOf(path) + "/" + name;
      auto size = fs_->FileSize(other_path);
      if (!size.ok()) return size.status();
      auto file = fs_->OpenForReading(other_path);
      if (!file.ok()) return file.status();
      FrameReader reader(std::move(file).value(), size.value(), FrameSeed(FileKind::kLog, other));
      FrameHeader header;
      std::string_view records;
      uint64_t next = 0;
      auto found = reader.Frame(0, &header, &records, &next);
      if (!found.ok()) return found.status();
      if (found.value() == FrameReader::Found::kFrame) return true;
    }
    return false;
  }

  FileSystem* const fs_;
  IoThread* const background_;
  const LevelGuards guards_;
  Failure failure_;
};

}  // namespace

std::unique_ptr<LevelEnv> NewLevelEnv(FileSystem* fs, IoThread* background, LevelGuards guards) {
  return std::make_unique<Env>(fs, background, guards);
}

}  // namespace holdfast::storage
