#include "txn/watch.h"

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::txn {

std::string WatchTable::Name(uint32_t db, std::string_view key) {
  std::string name;
  name.reserve(sizeof db + key.size());
  AppendFixed32(&name, db);
  name.append(key);
  return name;
}

uint64_t WatchTable::Watch(uint32_t db, std::string_view key, uint64_t revision) {
  auto [it, fresh] = keys_.try_emplace(Name(db, key));
  if (fresh) it->second.revision = revision;
  ++it->second.watchers;
  return it->second.revision;
}

void WatchTable::Unwatch(uint32_t db, std::string_view key) {
  const auto it = keys_.find(Name(db, key));
  if (it == keys_.end()) return;
  CHECK(it->second.watchers > 0);
  if (--it->second.watchers == 0) keys_.erase(it);
}

bool WatchTable::Unmodified(uint32_t db, std::string_view key, uint64_t revision) const {
  const auto it = keys_.find(Name(db, key));
  return it != keys_.end() && it->second.revision == revision;
}

void WatchTable::Touch(uint32_t db, std::string_view key, uint64_t revision) {
  if (keys_.empty()) return;
  const auto it = keys_.find(Name(db, key));
  if (it != keys_.end()) it->second.revision = revision;
}

void WatchTable::TouchAll(uint32_t db, uint64_t revision,
                          const std::function<bool(std::string_view key)>& exists) {
  for (auto& [name, watched] : keys_) {
    if (LoadFixed32(name.data()) != db) continue;
    if (exists(std::string_view(name).substr(sizeof db))) watched.revision = revision;
  }
}

}  // namespace holdfast::txn
