// One connected client, as the engine and the commands see it. The socket belongs to
// server::Session, which derives from this. Loop thread of the client's core only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acl_table.h"
#include "engine/command.h"
#include "engine/owned_args.h"
#include "engine/reply_queue.h"
#include "engine/subscriptions.h"
#include "engine/tracking.h"

namespace holdfast::engine {

class Core;

// A command queued by MULTI.
struct QueuedCommand {
  const Command* command;
  OwnedArgs args;
  std::string refusal = {};  // not empty: EXEC found that it may not be run any more
};

// A key that WATCH watches, and its revision then.
struct WatchedKey {
  uint32_t db;
  std::string key;
  uint32_t partition;
  uint64_t revision;
};

// CLIENT REPLY.
enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext, kSkipThis };

class Client {
 public:
  explicit Client(Core* the_core, uint64_t the_id) : core(the_core), id(the_id) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  virtual ~Client() = default;

  Core* const core;
  const uint64_t id;          // unique in the process, increasing
  std::string address;        // "127.0.0.1:51234"
  std::string local_address;  // "127.0.0.1:6379"
  int fd = -1;

  // ---- What the connection has set.
  uint32_t db = 0;
  int protocol = 2;
  bool authenticated = false;
  // Whose rights it has; null: the node itself. Changed by AccessControl only, as is what follows.
  AclUserPtr user;
  bool unrestricted = true;  // it has logged in, if it must, and its user may do everything
  std::string name;          // CLIENT SETNAME
  std::string lib_name;      // CLIENT SETINFO
  std::string lib_version;
  bool no_evict = false;
  bool no_touch = false;
  bool readonly = false;  // READONLY: this node may answer reads
  bool monitor = false;
  std::unique_ptr<Subscriptions> subscriptions;  // null: none. Changed by PubSub only
  std::unique_ptr<ClientTracking> tracking;      // null: off. Changed by Tracking only
  ReplyMode reply_mode = ReplyMode::kOn;

  // ---- Transaction.
  bool in_multi = false;
  bool multi_failed = false;  // a command was refused while queueing: EXEC aborts
  std::vector<QueuedCommand> queued;
  size_t queued_bytes = 0;
  bool queued_may_write = false;
  std::vector<WatchedKey> watched;
  int64_t multi_partition = -1;  // the partition of the keys queued so far; -1 = none

  // ---- State.
  // Blocking or asynchronous commands that run; no further request is taken until this is 0.
  uint32_t waiting = 0;
  // The slot that a blocked data command waits for, with its partition; for CLIENT UNBLOCK and for
  // cancelling when the client goes.
  bool blocked = false;
  bool reply_is_late = false;  // what it waited for is here, see Forwarding::Answer
  uint64_t blocked_slot = 0;
  uint32_t blocked_partition = 0;
  OwnedArgs blocked_args;
  std::string revoked;  // not empty: why it may not wait any longer, the whole error
  // Its place among those that CLIENT PAUSE holds; 0 = it isn't held. Changed by Core only.
  uint64_t pause_ticket = 0;
  bool close_after_reply = false;
  bool closing = false;
  ReplyQueue replies;

  // ---- Statistics.
  int64_t created_ms = 0;           // monotonic
  int64_t last_interaction_ms = 0;  // monotonic
  uint64_t commands = 0;
  const Command* last_command = nullptr;

  // ---- Replies that come later; for Core and Dispatcher.
  // The reply of a reserved slot is here; empty when it is muted by CLIENT REPLY.
  void ReplyArrived(uint64_t slot, std::string_view bytes);
  // The read of this slot isn't answered here, or is now. False when it is none of those.
  bool TakeFollowerSlot(uint64_t slot);
  // A reply that a gate held back may leave.
  void GateOpened();
  // The replies are looked at when the turn ends.
  void MarkDirty();
  bool dirty = false;                    // in the core's list of clients to flush
  bool wake_registered = false;          // a partition will call GateOpened
  std::vector<uint64_t> muted_slots;     // reserved while CLIENT REPLY was off
  std::vector<uint64_t> deferred_slots;  // of session commands that hold up the client
  std::vector<uint64_t> follower_slots;  // of reads that this node is to answer as a follower
  bool waits_for_reads = false;          // the next request is for after all of these
  std::vector<int> key_positions;        // scratch

  // ---- What the socket does.
  // Writes the replies that may leave; called at the end of a turn after MarkDirty.
  virtual void Flush() = 0;
  // Ends the connection now, or after the replies that are due.
  virtual void Close(std::string_view why) = 0;
  // Takes further requests from the input (after `waiting` became 0).
  virtual void Resume() = 0;
  // Bytes of unread input, and bytes of output that the peer has not taken.
  virtual size_t input_bytes() const = 0;
  virtual size_t output_bytes() const = 0;
  // Bytes that the input buffer has room for beyond input_bytes().
  virtual size_t input_free_bytes() const { return 0; }
  // What the client holds in buffers, queues and names.
  size_t memory_bytes() const {
    return sizeof(Client) + input_bytes() + input_free_bytes() + output_bytes() + queued_bytes +
           name.size() + subscription_bytes();
  }

  // ---- Publish and subscribe.
  bool subscribed() const { return subscriptions != nullptr; }
  size_t subscription_count(SubscriptionKind kind) const {
    return subscriptions == nullptr ? 0 : subscriptions->count(kind);
  }
  size_t subscription_bytes() const {
    return subscriptions == nullptr ? 0 : subscriptions->bytes();
  }
};

// Identifies the place of a reply on any core.
struct ReplyAddress {
  uint32_t core = 0;
  uint64_t client = 0;
  uint64_t slot = 0;
  bool operator==(const ReplyAddress&) const = default;
};

}  // namespace holdfast::engine
