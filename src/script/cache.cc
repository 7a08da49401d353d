#include "script/cache.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::script {

std::shared_ptr<Script> ScriptCache::Find(std::string_view sha) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_sha_.find(sha);
  return it == by_sha_.end() ? nullptr : it->second;
}

std::shared_ptr<Script> ScriptCache::Add(std::string_view sha, std::string_view body,
                                         const Shebang& shebang, int64_t now_ms,
                                         uint64_t max_bytes) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Script> script;
  if (const auto it = by_sha_.find(sha); it != by_sha_.end()) {
    script = it->second;
  } else {
    script = std::make_shared<Script>(sha, body, shebang);
    by_sha_.emplace(script->sha, script);
    held_bytes_ += script->MemoryBytes();
  }
  script->used_ms.store(now_ms, std::memory_order_relaxed);
  if (held_bytes_ > max_bytes) Shrink(max_bytes, script.get());
  Count();
  return script;
}

// Makes a tenth more room than is needed: to find the oldest one takes a look at all of them.
void ScriptCache::Shrink(uint64_t max_bytes, const Script* keep) {
  std::vector<std::pair<int64_t, Script*>> by_age;
  for (const auto& [sha, script] : by_sha_) {
    if (script.get() == keep) continue;
    by_age.emplace_back(script->used_ms.load(std::memory_order_relaxed), script.get());
  }
  std::sort(by_age.begin(), by_age.end());
  const uint64_t goal = max_bytes - max_bytes / 10;
  for (const auto& [used_ms, script] : by_age) {
    if (held_bytes_ <= goal) break;
    held_bytes_ -= script->MemoryBytes();
    script->dropped.store(true, std::memory_order_relaxed);
    evicted_.fetch_add(1, std::memory_order_relaxed);
    const std::shared_ptr<Script> alive = by_sha_.find(script->sha)->second;
    by_sha_.erase(alive->sha);
  }
  generation_.fetch_add(1, std::memory_order_release);
}

void ScriptCache::Flush() {
  const std::lock_guard lock(mutex_);
  for (const auto& [sha, script] : by_sha_) script->dropped.store(true, std::memory_order_relaxed);
  by_sha_.clear();
  held_bytes_ = 0;
  generation_.fetch_add(1, std::memory_order_release);
  Count();
}

void ScriptCache::Count() {
  bytes_.store(held_bytes_, std::memory_order_relaxed);
  scripts_.store(by_sha_.size(), std::memory_order_relaxed);
}

}  // namespace holdfast::script
