// The files under everything that storage keeps, behind an interface with two implementations:
// POSIX, and an in-memory twin with the same sync contract (sim_file_system.h).
//
// The sync contract, the same for both:
//  - written bytes survive a crash of the machine only after WritableFile::Sync() returned OK;
//  - a created, renamed or removed name survives only after SyncDirectory() of its directory
//    returned OK (PITFALLS P41);
//  - after a failed Sync() the bytes that it covered may be gone although a later Sync() succeeds.
//    Nobody may call Sync() again on that file (PITFALLS P40).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace holdfast::storage {

// A file open for writing. One thread at a time. The destructor closes without syncing.
class WritableFile {
 public:
  WritableFile() = default;
  WritableFile(const WritableFile&) = delete;
  WritableFile& operator=(const WritableFile&) = delete;
  virtual ~WritableFile() = default;

  // Writes all parts, one behind the other, at `offset` (bytes from the start of the file), which
  // may lie inside, at or behind the end. A short write is completed once by writing the rest;
  // when the rest fails, the error is returned and any prefix may be in the file. Nothing is
  // retried after an error.
  virtual Status WriteAt(uint64_t offset, std::span<const std::string_view> parts) = 0;

  // Writes behind everything that this object appended before; the first time at the end that the
  // file had when it was opened.
  Status Append(std::string_view bytes);

  // Makes the bytes and the size durable (fdatasync). See the contract above about failure.
  virtual Status Sync() = 0;

  // Reports a late error. No call but the destructor may follow.
  virtual Status Close() = 0;

 protected:
  uint64_t append_offset_ = 0;
};

// A file open for reading. Any thread.
class RandomAccessFile {
 public:
  RandomAccessFile() = default;
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;
  virtual ~RandomAccessFile() = default;

  // Reads up to `n` bytes at `offset` into `buffer`; returns how many there were, fewer than `n`
  // only at the end of the file.
  virtual Result<size_t> Read(uint64_t offset, size_t n, char* buffer) const = 0;
};

// Held while the object lives. The lock ends with the process, however that ends.
class FileLock {
 public:
  FileLock() = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  virtual ~FileLock() = default;
};

// Any thread. Paths are absolute or relative to the working directory. A missing file or directory
// is kNotFound, a full disk kNoSpace.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  enum class OpenMode {
    kTruncate,   // created when missing, emptied otherwise
    kKeep,       // created when missing, contents kept
    kCreateNew,  // an error when the name exists
  };

  virtual Result<std::unique_ptr<WritableFile>> OpenForWriting(const std::string& path,
                                                               OpenMode mode) = 0;
  virtual Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path) = 0;

  // Names inside the directory, without "." and "..", in byte order.
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual Result<uint64_t> FileSize(const std::string& path) = 0;
  virtual Result<bool> Exists(const std::string& path) = 0;

  virtual Status Remove(const std::string& path) = 0;
  // Replaces `to` atomically when it exists.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Cuts (or extends with zeros) to `bytes` and makes that durable.
  virtual Status Truncate(const std::string& path, uint64_t bytes) = 0;

  // OK when it exists already. Does not sync the parent directory.
  virtual Status CreateDirectory(const std::string& path) = 0;
  virtual Status RemoveDirectory(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;

  // Takes an exclusive lock on the file, created when missing. kInvalidArgument when another
  // process (or another FileLock of this one) holds it.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;

  // Bytes that this process may still write on the file system that holds `path`.
  virtual Result<uint64_t> FreeBytes(const std::string& path) = 0;
};

// The operating system's files. Never destroyed.
FileSystem* PosixFileSystem();

// The whole file. kNoSpace when it is larger than `max_bytes`.
Result<std::string> ReadFile(FileSystem* fs, const std::string& path,
                             uint64_t max_bytes = uint64_t{1} << 30);

// Up to `n` bytes at `offset`; fewer only at the end of the file.
Result<std::string> ReadFileRange(FileSystem* fs, const std::string& path, uint64_t offset,
                                  size_t n);

// Replaces `path` by `bytes`, durably and all or nothing: `path`.tmp, sync, rename, sync directory.
Status WriteFileAtomically(FileSystem* fs, const std::string& path, std::string_view bytes);

// Removes a directory with everything inside; OK when it does not exist. Durable at return.
Status RemoveTree(FileSystem* fs, const std::string& path);

// "a/b" -> "a", "b" -> ".", "/b" -> "/".
std::string DirectoryOf(const std::string& path);

}  // namespace holdfast::storage
