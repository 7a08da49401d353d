// Requests of a partition that wait until values are in memory again, and the loads that they wait
// for. Values that weren't used for long are dropped from memory (resident-memory) and read from
// the store when they are asked for, off the loop:
//
//     request ──Hold──▶ waits ──Take──▶ runs here
//        │                 ▲
//        └─ keys ──load──▶ Loaded
//
// Requests of one origin run in their order: one that needs nothing waits behind one that does. A
// value that was loaded stays in memory until those that wait for it have run.
//
// Loop thread of the partition's core only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/client.h"
#include "engine/cold_value.h"

namespace holdfast::engine {

// Counts bytes for as long as it lives. May end on another thread than it began.
class HeldCharge {
 public:
  HeldCharge() = default;
  HeldCharge(std::atomic<size_t>* counter, size_t bytes) : counter_(counter), bytes_(bytes) {
    counter_->fetch_add(bytes_, std::memory_order_relaxed);
  }
  HeldCharge(HeldCharge&& other) noexcept
      : counter_(std::exchange(other.counter_, nullptr)), bytes_(other.bytes_) {}
  HeldCharge& operator=(HeldCharge&& other) noexcept {
    std::swap(counter_, other.counter_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~HeldCharge() {
    if (counter_ != nullptr) counter_->fetch_sub(bytes_, std::memory_order_relaxed);
  }

 private:
  std::atomic<size_t>* counter_ = nullptr;
  size_t bytes_ = 0;
};

// Executes a request, or has it wait again, when what it waited for is there.
struct HeldRequest {
  ReplyAddress place;  // where its reply is wanted
  absl::AnyInvocable<void()> task;
  HeldCharge charge = {};  // to the core of its client
};

// The connection that a request came by.
struct Origin {
  ReplyAddress place;
  std::string_view address;  // of another node's client, at its node

  std::string Name() const;
};

class ValueLoads {
 public:
  // A key that blocked requests wait for: database, name.
  using WaitedKey = std::pair<uint32_t, std::string>;

  bool empty() const { return loads_.empty() && origins_.empty(); }
  size_t held() const { return held_; }
  // Whether requests of `origin` have to wait behind an earlier one.
  bool Waits(const std::string& origin) const;
  // Whether the value is on its way into memory, or wanted there.
  bool Pins(const std::string& record_key) const { return loads_.contains(record_key); }
  bool IsLoading(const std::string& record_key) const;

  // The request waits for these values, and behind what `origin` has asked before. Adds to `fresh`
  // the values that are not on their way yet.
  void Hold(std::string origin, HeldRequest request, std::vector<ColdValue> values,
            std::vector<ColdValue>* fresh);
  // Somebody else wants a value: when it is there, `waited` is among what TakeWaited returns. True
  // when it isn't on its way yet.
  bool Want(const ColdValue& value, const WaitedKey* waited);

  // The generation that was asked for; 0 when nobody waits for the value.
  uint64_t CreatedOf(const std::string& record_key) const;
  // The value is in memory, or there is none any more.
  void Loaded(const std::string& record_key);
  std::vector<WaitedKey> TakeWaited() { return std::exchange(waited_, {}); }
  // Runs what waits for nothing any more.
  void Run();
  // Nothing is loaded any more: runs everything, in order. What holds on must not be put back.
  void RunAll();
  // Takes requests out without running them: their clients are gone. False when there is none.
  bool Cancel(const ReplyAddress& place);
  void CancelAllOf(uint64_t client);
  void Clear();

 private:
  struct Load {
    uint64_t created = 0;
    bool loaded = false;
    uint32_t pins = 0;              // requests that wait for it
    std::set<std::string> origins;  // of those that look again when it is there
    std::vector<WaitedKey> waited;
  };
  struct Held {
    HeldRequest request;
    std::vector<std::string> keys;
  };
  using Queue = std::deque<Held>;

  bool IsReady(const Held& held) const;
  void Unpin(const std::vector<std::string>& keys);
  void RunOrigin(const std::string& origin);
  template <typename Predicate>
  bool Remove(const Predicate& gone);

  absl::flat_hash_map<std::string, Load> loads_;     // by record key
  absl::flat_hash_map<std::string, Queue> origins_;  // none is empty, but the one that runs
  std::vector<std::string> ready_;                   // origins that may have something to run
  std::vector<WaitedKey> waited_;
  const std::string* running_ = nullptr;  // the origin whose front runs
  size_t held_ = 0;
};

}  // namespace holdfast::engine
