// Requests that wait for keys of one partition, first come first served.
//
// The partition runs a waiting request again when one of its keys has changed; a request whose time
// is up, whose client went away or was unblocked leaves the lines. Loop thread of the owning core
// only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
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
  uint32_t db = 0;                // of the keys that are waited for
  std::vector<std::string> keys;  // each once
  InLine in_line = InLine::kInTurn;
  bool null_array = false;  // what it is answered when it waits in vain: an array, or a string
  int64_t began_ms = 0;     // when it began to wait here; monotonic
  int64_t deadline_ms = 0;  // monotonic; 0 = none
};

class BlockedRequests {
 public:
  // What became of a request that was tried.
  enum class Outcome : uint8_t {
    kDone,      // it is answered and leaves all lines
    kInTurn,    // it goes on waiting, and so do all behind it that wait in turn
    kTogether,  // it goes on waiting
  };

  // REQUIRES: the request has a key, and no other request has its reply place.
  void Add(BlockedRequest request);
  // How many wait for the key.
  size_t Waiting(uint32_t db, std::string_view key) const;
  // Tries those who wait for the key, in the order of their arrival. REQUIRES: `attempt` adds and
  // takes out none.
  void Serve(uint32_t db, std::string_view key,
             absl::FunctionRef<Outcome(const BlockedRequest& request)> attempt);
  // Takes the request of this reply place out, if it waits here.
  std::optional<BlockedRequest> Remove(const ReplyAddress& address);
  // Takes out all requests of a client.
  void RemoveClient(uint64_t client);
  // Takes out all requests, in the order of their arrival.
  std::vector<BlockedRequest> TakeAll();
  // Takes out one request whose deadline is at or before `now_ms`.
  std::optional<BlockedRequest> PopExpired(int64_t now_ms);
  // Calls `visit` for every key that is waited for.
  void ForEachKey(const std::function<void(uint32_t db, std::string_view key)>& visit) const;
  // The earliest deadline; 0 = none.
  int64_t next_deadline_ms() const { return deadlines_.empty() ? 0 : deadlines_.begin()->first; }

  size_t size() const { return places_.size(); }
  // Of them, those that have a deadline.
  size_t with_deadline() const { return deadlines_.size(); }
  bool empty() const { return places_.empty(); }

 private:
  using Place = std::pair<uint64_t, uint64_t>;  // client, slot
  struct Waiter;
  struct Line {
    std::list<Waiter*> waiters;
    size_t together = 0;  // of them, those that wait so
  };
  // A request, and where it stands in the line of each of its keys.
  struct Waiter {
    BlockedRequest request;
    uint64_t arrival = 0;
    std::vector<std::list<Waiter*>::iterator> stands;
  };
  using Places = std::map<Place, std::unique_ptr<Waiter>>;

  static std::string Name(uint32_t db, std::string_view key);
  static Place PlaceOf(const BlockedRequest& request);
  BlockedRequest Take(Places::iterator it);

  absl::flat_hash_map<std::string, std::unique_ptr<Line>> lines_;
  Places places_;
  std::multimap<int64_t, Place> deadlines_;
  uint64_t arrivals_ = 0;
};

}  // namespace holdfast::engine
