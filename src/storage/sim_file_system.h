// Files in memory with the sync contract of file_system.h, for simulation and for the disk matrix:
// what was not synced can be lost, calls can be made to fail, the disk can be full.
//
// The model is harsher than any real file system: after a crash every unsynced 512-byte sector of
// a file independently survives or not, and so does every unsynced change of a directory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "storage/file_system.h"

namespace holdfast::storage {

enum class Fault {
  kNone,
  kIoError,     // nothing happens, EIO. A sync drops the unsynced data of the file, as Linux does
  kNoSpace,     // nothing happens, ENOSPC
  kShortWrite,  // a write puts down about half of its bytes, then ENOSPC; others: as kIoError
};

// Calls that can fail; each counts as one.
enum class FileCall { kOpen, kWrite, kSync, kRead, kRemove, kRename, kTruncate, kDirectory };

// Any thread. Same calls, same seeds: same outcome.
class SimFileSystem final : public FileSystem {
 public:
  SimFileSystem();
  ~SimFileSystem() override;

  Result<std::unique_ptr<WritableFile>> OpenForWriting(const std::string& path,
                                                       OpenMode mode) override;
  Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<uint64_t> FileSize(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override;
  Status Remove(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Truncate(const std::string& path, uint64_t bytes) override;
  Status CreateDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<uint64_t> FreeBytes(const std::string& path) override;

  // --- Faults -----------------------------------------------------------------------------------

  // Power is cut: unsynced sectors and directory changes survive at random, locks end. Files that
  // are still open are cut off: their later calls fail and change nothing.
  void Crash(Rng* rng);
  // The worst case: nothing unsynced survives.
  void CrashLosingAll();
  // The process dies but the machine lives: open files are cut off and locks end, nothing is lost.
  void KillProcess();

  // The `nth` call from now (1 = the next one) that changes something fails with `fault`, once.
  // Reads are not counted.
  void FailNth(uint64_t nth, Fault fault);
  // As above, but only calls of this sort are counted. Reads may be chosen here.
  void FailNth(FileCall call, uint64_t nth, Fault fault);
  void ClearFaults();
  // Whether the fault set last has happened.
  bool fault_happened() const;
  // Changing calls so far.
  uint64_t changing_calls() const;

  // Writes beyond `bytes` in all files together fail with kNoSpace.
  void SetCapacity(uint64_t bytes);
  uint64_t UsedBytes() const;

  // --- Looking and tampering --------------------------------------------------------------------

  // Flips one bit, in the durable bytes too. REQUIRES: the file is that long.
  void FlipBit(const std::string& path, uint64_t offset, int bit);
  // The contents as a reader sees them; empty when there is no such file.
  std::string Contents(const std::string& path) const;
  // Puts a durable file there.
  void SetContents(const std::string& path, std::string bytes);
  // All files, sorted.
  std::vector<std::string> AllFiles() const;

 private:
  struct File;
  struct State;
  class SimWritableFile;
  class SimRandomAccessFile;
  class SimLock;
  std::shared_ptr<State> state_;
};

}  // namespace holdfast::storage
