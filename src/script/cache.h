// The scripts that this node knows by their SHA-1: what SCRIPT LOAD and EVAL have brought.
//
// It is a cache of the node, not part of the replicated state: a client that gets NOSCRIPT loads
// the script again, as with Redis after a failover. It is bounded; those that were used longest ago
// go first. Each core keeps what it has compiled (script/machine.h) and drops it when `dropped`
// says so, which it looks for when generation() has changed.
//
// Any thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "script/shebang.h"

namespace holdfast::script {

struct Script {
  Script(std::string_view the_sha, std::string_view the_body, const Shebang& the_shebang)
      : sha(the_sha), body(the_body), shebang(the_shebang) {}

  const std::string sha;  // 40 lower-case hexadecimal digits
  const std::string body;
  const Shebang shebang;
  std::atomic<int64_t> used_ms{0};  // monotonic; when it ran or was loaded last
  std::atomic<bool> dropped{false};

  size_t MemoryBytes() const { return sizeof(Script) + sha.size() + body.size() + 64; }
};

class ScriptCache {
 public:
  // nullptr when there is none. `sha` in lower case.
  std::shared_ptr<Script> Find(std::string_view sha) const;
  // Adds a script, or finds the one that is there. Others go until no more than `max_bytes` are
  // taken; this one stays in any case.
  std::shared_ptr<Script> Add(std::string_view sha, std::string_view body, const Shebang& shebang,
                              int64_t now_ms, uint64_t max_bytes);
  void Flush();

  // Changes whenever a script is dropped.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t scripts() const { return scripts_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }

 private:
  // REQUIRES: mutex_ is held.
  void Shrink(uint64_t max_bytes, const Script* keep);
  void Count();

  mutable std::mutex mutex_;
  // Guarded by mutex_; the names are those in the scripts.
  absl::flat_hash_map<std::string_view, std::shared_ptr<Script>> by_sha_;
  uint64_t held_bytes_ = 0;  // guarded by mutex_
  std::atomic<uint64_t> generation_{1};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> scripts_{0};
  std::atomic<uint64_t> evicted_{0};
};

}  // namespace holdfast::script
