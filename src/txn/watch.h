// The keys that WATCH watches in one partition, each with the revision of its last modification.
//
// A watched key is modified when its revision changes, when it expires, when it is deleted, and
// when its database is flushed or swapped, also if it exists again or is missing again by the time
// of EXEC: what counts is the revision of the last change, which a deletion has too. Loop thread of
// the owning core only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace holdfast::txn {

class WatchTable {
 public:
  // One more client watches the key, whose last modification is `revision`; of a missing key, a
  // number for the time of its absence.
  // Returns the revision that the key must still have at EXEC.
  uint64_t Watch(uint32_t db, std::string_view key, uint64_t revision);
  // That client stops. Unknown keys are ignored.
  void Unwatch(uint32_t db, std::string_view key);
  // Whether the key is unmodified since Watch returned `revision`. A key that nobody watches here
  // (the watch was made under another leader) counts as modified.
  [[nodiscard]] bool Unmodified(uint32_t db, std::string_view key, uint64_t revision) const;

  // The key was changed or deleted by the modification `revision`.
  void Touch(uint32_t db, std::string_view key, uint64_t revision);
  // Calls `exists` for each watched key of the database, and touches those for which it is true.
  void TouchAll(uint32_t db, uint64_t revision,
                const std::function<bool(std::string_view key)>& exists);

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }

 private:
  struct Watched {
    uint64_t watchers = 0;
    uint64_t revision = 0;
  };
  static std::string Name(uint32_t db, std::string_view key);

  absl::flat_hash_map<std::string, Watched> keys_;
};

}  // namespace holdfast::txn
