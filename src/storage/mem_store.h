// Stores in memory with the sync contract of store.h, for simulation, where LevelDB cannot run
// because it calls its environment with a mutex held and needs a thread (PITFALLS P56).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/rng.h"
#include "storage/store.h"

namespace holdfast::storage {

// A disk full of stores. Outlives its stores, and a crash. Any thread.
class MemStoreDisk final : public StoreFactory {
 public:
  MemStoreDisk();
  ~MemStoreDisk() override;

  Result<std::unique_ptr<Store>> Open(const std::string& path) override;
  Status Destroy(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Result<bool> Exists(const std::string& path) override;

  // Power is cut: each store keeps a prefix of its writes that contains everything synced. Stores
  // still open are dead from now on.
  void Crash(Rng* rng);
  // The process dies. LevelDB's stores lose what their buffer of 64 KiB held: with `rng` a prefix
  // of the unsynced writes survives, without it all of them do.
  void KillProcess(Rng* rng = nullptr);

  // The `nth` write or sync from now fails, in whichever store; that store is dead then. Whether
  // the failed write survives is decided at the next crash.
  void FailNth(uint64_t nth, Status status);

 private:
  struct State;
  class MemStore;
  std::shared_ptr<State> state_;
};

}  // namespace holdfast::storage
