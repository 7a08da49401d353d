// Reading a file of frames (wal.h describes them) front to back. Used for WAL segments and for the
// logs of LevelDB (level_env.h). Only for the .cc files of this folder and its tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/file_system.h"
#include "storage/wal_format.h"

namespace holdfast::storage::wal_internal {

// Reads through a window, so that each byte is read from the disk once. One thread.
class FrameReader {
 public:
  enum class Found {
    kFrame,
    kEnd,      // the end of the file, or zeros up to there
    kInvalid,  // anything else: torn or damaged
  };

  FrameReader(std::unique_ptr<RandomAccessFile> file, uint64_t size, uint64_t seed);

  uint64_t size() const { return size_; }

  // `n` bytes at `offset`, fewer at the end of the file. Valid until the next call.
  // REQUIRES: offset <= size().
  Result<std::string_view> Bytes(uint64_t offset, size_t n);

  // Looks for a frame at `offset`. On kFrame, `records` holds its records (valid until the next
  // call) and `next` is the offset behind it.
  Result<Found> Frame(uint64_t offset, FrameHeader* header, std::string_view* records,
                      uint64_t* next);

  // Whether something behind `offset` proves that `offset` had been durable: the header of a frame
  // at its own place that says so. Its records need not be intact.
  Result<bool> WasDurable(uint64_t offset);

 private:
  Result<Found> End(uint64_t offset);

  std::unique_ptr<RandomAccessFile> file_;
  uint64_t size_;
  uint64_t seed_;
  uint64_t start_ = 0;  // of the window in the file
  std::string window_;
};

}  // namespace holdfast::storage::wal_internal
