// The operating system's files.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "storage/file_system.h"

namespace holdfast::storage {
namespace {

// Repeats a call that a signal interrupted before it did anything.
template <typename Call>
auto Uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

Status Failed(const char* call, const std::string& path) {
  const int error = errno;
  return Status::FromErrno(std::string(call) + " " + path, error);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(int fd, std::string path, uint64_t size) : fd_(fd), path_(std::move(path)) {
    append_offset_ = size;
  }

  Status WriteAt(uint64_t offset, std::span<const std::string_view> parts) override {
    std::array<iovec, kParts> vector;
    size_t next = 0;  // first part not yet in `vector`
    while (next < parts.size()) {
      size_t count = 0;
      while (next < parts.size() && count < kParts) {
        const std::string_view part = parts[next++];
        if (part.empty()) continue;
        vector[count++] = {const_cast<char*>(part.data()), part.size()};
      }
      RETURN_IF_ERROR(WriteVector(&offset, {vector.data(), count}));
    }
    return Status::Ok();
  }

  Status Sync() override {
    if (fdatasync(fd_.get()) != 0) return Failed("fdatasync", path_);
    return Status::Ok();
  }

  Status Close() override {
    const int fd = fd_.Release();
    if (fd >= 0 && close(fd) != 0) return Failed("close", path_);
    return Status::Ok();
  }

 private:
  static constexpr size_t kParts = 64;

  // Writes all of `rest` and moves `*offset` behind it. The kernel writes less than asked for when
  // the disk becomes full or a limit is reached; asking for the rest then tells the reason.
  Status WriteVector(uint64_t* offset, std::span<iovec> rest) {
    while (!rest.empty()) {
      const ssize_t n = Uninterrupted([&] {
        return pwritev(fd_.get(), rest.data(), static_cast<int>(rest.size()),
                       static_cast<off_t>(*offset));
      });
      if (n < 0) return Failed("write", path_);
      if (n == 0) return Status::IoError("write " + path_ + ": nothing was written");
      *offset += static_cast<uint64_t>(n);
      auto done = static_cast<size_t>(n);
      while (!rest.empty() && done >= rest.front().iov_len) {
        done -= rest.front().iov_len;
        rest = rest.subspan(1);
      }
      if (!rest.empty()) {
        rest.front().iov_base = static_cast<char*>(rest.front().iov_base) + done;
        rest.front().iov_len -= done;
      }
    }
    return Status::Ok();
  }

  Descriptor fd_;
  const std::string path_;
};

class PosixRandomAccessFile final : public RandomAccessFile {
 public:
  PosixRandomAccessFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<size_t> Read(uint64_t offset, size_t n, char* buffer) const override {
    size_t done = 0;
    while (done < n) {
      const ssize_t got = Uninterrupted([&] {
        return pread(fd_.get(), buffer + done, n - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return Failed("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

 private:
  Descriptor fd_;
  const std::string path_;
};

// flock() belongs to the open file description: a second open of the same process conflicts too,
// and closing another descriptor of the file does not release it, as it would with fcntl().
class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;
};

class PosixFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> OpenForWriting(const std::string& path,
                                                       OpenMode mode) override {
    int flags = O_RDWR | O_CREAT | O_CLOEXEC;
    if (mode == OpenMode::kTruncate) flags |= O_TRUNC;
    if (mode == OpenMode::kCreateNew) flags |= O_EXCL;
    const int fd = Uninterrupted([&] { return open(path.c_str(), flags, 0644); });
    if (fd < 0) return Failed("open", path);
    struct stat info;
    if (fstat(fd, &info) != 0) {
      const Status status = Failed("stat", path);
      close(fd);
      return status;
    }
    return std::unique_ptr<WritableFile>(
        new PosixWritableFile(fd, path, static_cast<uint64_t>(info.st_size)));
  }

  Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path) override {
    const int fd = Uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); });
    if (fd < 0) return Failed("open", path);
    return std::unique_ptr<RandomAccessFile>(new PosixRandomAccessFile(fd, path));
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    DIR* stream = opendir(directory.c_str());
    if (stream == nullptr) return Failed("open directory", directory);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return Status::FromErrno("read directory " + directory, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<uint64_t> FileSize(const std::string& path) override {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return Failed("stat", path);
    return static_cast<uint64_t>(info.st_size);
  }

  Result<bool> Exists(const std::string& path) override {
    struct stat info;
    if (stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return Failed("stat", path);
  }

  Status Remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? Status::Ok() : Failed("remove", path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    return rename(from.c_str(), to.c_str()) == 0 ? Status::Ok() : Failed("rename", from);
  }

  Status Truncate(const std::string& path, uint64_t bytes) override {
    const Descriptor fd(Uninterrupted([&] { return open(path.c_str(), O_WRONLY | O_CLOEXEC); }));
    if (fd.get() < 0) return Failed("open", path);
    if (Uninterrupted([&] { return ftruncate(fd.get(), static_cast<off_t>(bytes)); }) != 0) {
      return Failed("truncate", path);
    }
    return fsync(fd.get()) == 0 ? Status::Ok() : Failed("fsync", path);
  }

  Status CreateDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), 0755) == 0) return Status::Ok();
    if (errno != EEXIST) return Failed("create directory", path);
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return Failed("stat", path);
    if (!S_ISDIR(info.st_mode)) return Status::InvalidArgument(path + " is not a directory");
    return Status::Ok();
  }

  Status RemoveDirectory(const std::string& path) override {
    return rmdir(path.c_str()) == 0 ? Status::Ok() : Failed("remove directory", path);
  }

  Status SyncDirectory(const std::string& path) override {
    const Descriptor fd(
        Uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (fd.get() < 0) return Failed("open directory", path);
    return fsync(fd.get()) == 0 ? Status::Ok() : Failed("fsync directory", path);
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    const int fd =
        Uninterrupted([&] { return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); });
    if (fd < 0) return Failed("open", path);
    auto lock = std::make_unique<PosixFileLock>(fd);
    if (Uninterrupted([&] { return flock(fd, LOCK_EX | LOCK_NB); }) == 0) {
      return std::unique_ptr<FileLock>(std::move(lock));
    }
    if (errno == EWOULDBLOCK) return Status::InvalidArgument(path + " is locked");
    return Failed("lock", path);
  }

  Result<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs info;
    if (statvfs(path.c_str(), &info) != 0) return Failed("statvfs", path);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

FileSystem* PosixFileSystem() {
  static auto* files = new PosixFiles;
  return files;
}

}  // namespace holdfast::storage
