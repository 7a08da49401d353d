// Requests that wait for a key of one partition, first come first served.
//
// The partition runs a waiting request again when its key has changed; a request whose time is up,
// whose client went away or was unblocked leaves the line. Loop thread of the owning core only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/client.h"
#include "engine/context.h"
#include "engine/owned_args.h"

namespace holdfast::engine {

struct BlockedRequest {
  ReplyAddress address;
  const Command* command = nullptr;
  OwnedArgs args;
  Caller caller;
  uint32_t db = 0;  // of the key that is waited for
  std::string key;
  int64_t began_ms = 0;     // when it began to wait here; monotonic
  int64_t deadline_ms = 0;  // monotonic; 0 = none
};

class BlockedRequests {
 public:
  void Add(BlockedRequest request);
  // How many wait for the key.
  size_t Waiting(uint32_t db, std::string_view key) const;
  // The first in line for the key, or nullptr.
  const BlockedRequest* Front(uint32_t db, std::string_view key) const;
  // Takes the first in line out. REQUIRES: there is one.
  BlockedRequest PopFront(uint32_t db, std::string_view key);
  // Takes the request of this reply place out, if it waits here.
  std::optional<BlockedRequest> Remove(const ReplyAddress& address);
  // Takes out all requests of a client.
  void RemoveClient(uint64_t client);
  // Takes out all requests, those first that have waited longest.
  std::vector<BlockedRequest> TakeAll();
  // Takes out one request whose deadline is at or before `now_ms`.
  std::optional<BlockedRequest> PopExpired(int64_t now_ms);
  // Calls `visit` for every key that is waited for.
  void ForEachKey(const std::function<void(uint32_t db, std::string_view key)>& visit) const;
  // The earliest deadline; 0 = none.
  int64_t next_deadline_ms() const { return deadlines_.empty() ? 0 : deadlines_.begin()->first; }

  size_t size() const { return size_; }
  // Of them, those that have a deadline.
  size_t with_deadline() const { return deadlines_.size(); }
  bool empty() const { return size_ == 0; }

 private:
  using Line = std::list<BlockedRequest>;
  using Place = std::pair<uint64_t, uint64_t>;  // client, slot

  static std::string Name(uint32_t db, std::string_view key);
  BlockedRequest Take(const std::string& name, Line::iterator it);

  absl::flat_hash_map<std::string, Line> lines_;
  std::map<Place, std::pair<std::string, Line::iterator>> places_;
  std::multimap<int64_t, Place> deadlines_;
  size_t size_ = 0;
};

}  // namespace holdfast::engine
