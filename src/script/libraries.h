// The function libraries of this node: what the meta group has committed, as far as this node
// knows.
//
//   meta partition ──committed records──▶ Libraries (core 0) ──LibrarySet──▶ every core
//
// FUNCTION LOAD is acknowledged by a node when the record is committed and this node has it. A call
// that goes to another node names the revision that its client's node has, and waits there until
// that node has it, too (engine::Caller::functions_revision): who has loaded a library by a
// connection, or any other of the same node, never has an older one run.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/partition.h"
#include "script/library.h"

namespace holdfast::script {

// Immutable; any thread.
struct LibrarySet {
  struct Found {
    std::shared_ptr<const Library> library;
    size_t function = 0;  // of library->functions
  };

  std::map<std::string, std::shared_ptr<const Library>, std::less<>> libraries;
  absl::flat_hash_map<std::string, Found> functions;  // by name in lower case

  const Found* Find(std::string_view function) const;
};

class Libraries final : public engine::CommitObserver {
 public:
  // `revision` says up to which revision of the meta partition the present set goes; it is raised
  // once the set is there. `changed` is called behind that. Both on the meta partition's core,
  // before it runs, too.
  Libraries(std::atomic<uint64_t>* revision, std::function<void()> changed);

  // ---- engine::CommitObserver
  void OnCommitted(std::string_view payload) override;
  void OnReplaced(const data::Keyspace& keyspace) override;

  // ---- Any thread.
  std::shared_ptr<const LibrarySet> Present() const;
  uint64_t revision() const { return revision_->load(std::memory_order_acquire); }
  // Changes whenever the set does.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  uint64_t functions() const { return functions_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Records = std::map<std::string, std::shared_ptr<const Library>, std::less<>>;
  void Publish(Records records);
  void RaiseRevision(uint64_t revision);

  std::atomic<uint64_t>* const revision_;
  const std::function<void()> changed_;
  std::atomic<uint64_t> generation_{1};
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> functions_{0};
  std::atomic<uint64_t> bytes_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const LibrarySet> present_;  // guarded by mutex_; never null
};

}  // namespace holdfast::script
