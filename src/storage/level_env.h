// What LevelDB gets for an operating system: its Env on top of storage::FileSystem, with guards
// against the ways in which LevelDB 1.23 loses data. Only for the .cc files of this folder and its
// tests.
//
// The guards (PITFALLS):
//  - P50: a log file is synced before it is closed, in its destructor, because LevelDB 1.23 does
//    not close it otherwise. When that fails the store is dead.
//  - P41: a file's first sync also syncs its directory, and so does a rename. LevelDB syncs
//    directories only for its manifest.
//  - P51: with paranoid_checks LevelDB refuses any damage in a log, also the torn tail that every
//    power loss may leave; without them it passes over damage in the middle. So logs and manifests
//    are written as frames (wal.h; frames start at offset 0, seeded with the file's number), and
//    are given to LevelDB up to a torn tail, or refused when the damage is something else: when a
//    later frame, or a frame in a later log, shows that the place had been durable.
//  - P52, P53: after the first failed write or sync of any file nothing is written any more.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "storage/file_system.h"
#include "storage/io_thread.h"

namespace leveldb {
class Env;
}

namespace holdfast::storage {

enum class LevelGuards {
  kOn,
  kOff,  // as LevelDB's own POSIX Env behaves; for tests that show what the guards are for
};

// The environment of one store. Any thread. Must outlive the store's DB.
class LevelEnv {
 public:
  virtual ~LevelEnv() = default;
  virtual leveldb::Env* env() = 0;
  // The first failed write or sync, OK before that.
  virtual Status failure() const = 0;
};

// `background` runs the compactions; both arguments must outlive the result.
std::unique_ptr<LevelEnv> NewLevelEnv(FileSystem* fs, IoThread* background, LevelGuards guards);

}  // namespace holdfast::storage
