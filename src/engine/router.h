// The way of this core's requests to partitions that aren't led on this node, or are only since a
// moment ago. One lane for each partition:
//
//     Submit ──▶ held ──────────────▶ run here          (this node leads, nothing is outstanding)
//                 ▲ └──▶ sent to the leader ──▶ answered
//                 │            │
//                 └── back ◀───┘  not executed, or a read that couldn't be confirmed
//
// Order. A lane's requests run in the order in which they came. They are sent without waiting for
// each other, so a leader that refuses one has to refuse all behind it: those of an epoch run under
// one leadership only (EpochGuard). What comes back is held again, in front, when nothing of
// the epoch is outstanding any more, and goes out in the next epoch. The same goes for what
// was handed to another core of this node, where a fence (a message there and back) shows that
// nothing is outstanding.
//
//     lane         node B (leads until *)
//      1,2,3 ────▶ 1 done, 2 done, * 3 not leader
//      4     ────▶ 4 not leader
//      3,4 are held, epoch + 1, sent to node C
//
// Once. A request that was sent and may modify something is never sent again unless the answer says
// that it was not executed: when its link breaks, it is answered INDOUBT. Reads are repeated.
//
// Loop thread of the owning core only; no sockets and no clients in here, so that it can be tested.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/client.h"
#include "engine/peer_request.h"
#include "engine/stats.h"
#include "raft/types.h"
#include "replica/frame.h"

namespace holdfast::engine {

// A request that waits for its answer. Belongs to its client's core; may visit the partition's.
struct Routed {
  PeerRequest request;
  bool is_write = false;  // once executed it may have modified something
  bool blocking = false;  // may wait at the partition for as long as it likes
  // The client's place for the reply. Blocked requests are known by it.
  ReplyAddress reply;
  // Takes the answer, on the client's core. Null for a command: then its bytes go to `reply`.
  absl::AnyInvocable<void(PeerReply)> answer;
  int64_t began_ms = 0;     // when it was submitted; monotonic
  int64_t sent_ms = 0;      // when it was sent or run last
  int64_t deadline_ms = 0;  // held no longer than that; the time that it is outstanding is added
  size_t bytes = 0;
  uint64_t link = 0;       // where it was sent; 0: nowhere
  bool cancelled = false;  // its client is gone: it isn't sent again
};

// What a router needs of its core and node.
class RouterHost {
 public:
  virtual ~RouterHost() = default;
  virtual int64_t NowMs() const = 0;  // monotonic
  // How long a request is held without a leader that takes it.
  virtual int64_t RetryTimeoutMs() const = 0;
  // This node executes the partition's commands.
  virtual bool Leads(uint32_t partition) const = 0;
  // Who leads the partition, as far as is known; 0: nobody is known.
  virtual raft::NodeId LeaderOf(uint32_t partition) const = 0;
  // The link to send to a node by; 0: none is up.
  virtual uint64_t LinkTo(raft::NodeId node) const = 0;
  // False: not taken, because it is down or too much waits.
  virtual bool Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) = 0;
  // Larger items can't be sent.
  virtual size_t MaxItemBytes() const = 0;
  // Takes the request to its partition on this node, on whatever core, in the order of the calls.
  // It is answered, or comes back by Router::TakeBack.
  virtual void RunHere(std::unique_ptr<Routed> routed) = 0;
  // Router::Fenced(partition) is called, later, when all that RunHere took for it before has been
  // executed or has come back.
  virtual void Fence(uint32_t partition) = 0;
  // Gives the reply to the client.
  virtual void Answer(std::unique_ptr<Routed> routed, PeerReply reply) = 0;
  // Router::Tick is called at this time at the latest.
  virtual void WakeAt(int64_t at_ms) = 0;
  virtual CoreStats* stats() = 0;
};

class Router {
 public:
  // Of one lane; a client that wants more has to wait.
  static constexpr size_t kMaxLaneRequests = 8192;
  static constexpr size_t kMaxLaneBytes = size_t{8} << 20;
  // Of all lanes.
  static constexpr size_t kMaxRequests = 64 * 1024;
  static constexpr size_t kMaxBytes = size_t{64} << 20;
  // Between two attempts at a leader that refused or whose link is full.
  static constexpr int64_t kRetryMs = 10;
  // How long the answers of a node that doesn't lead any more are waited for.
  static constexpr int64_t kAbandonMs = 250;

  Router(RouterHost* host, uint32_t partitions);
  ~Router();

  // Nothing of the partition is under way, and this node leads it: a request may run at once, if
  // it is on this core.
  bool Direct(uint32_t partition) const {
    return !lanes_[partition].busy && host_->Leads(partition);
  }
  // Sends, holds or runs the request.
  void Submit(std::unique_ptr<Routed> routed);

  // ---- Bounds.
  // Whether clients with requests for the partition have to wait.
  bool Full(uint32_t partition) const;
  // Some lane may be full: a quick test before the exact one.
  bool crowded() const { return requests_ >= kMaxLaneRequests || bytes_ >= kMaxLaneBytes; }
  // Whether there is room again since a lane was full; once.
  bool TakeRoom();
  void NoteFull() { was_full_ = true; }

  // ---- Cancelling. The place of a blocking request of a client.
  // The client is gone. False when its request is in no lane.
  bool Cancel(uint32_t partition, const ReplyAddress& reply);
  // CLIENT UNBLOCK. False when its request is in no lane.
  bool Unblock(uint32_t partition, const ReplyAddress& reply, bool with_error);

  // ---- What happens around it.
  // A request that RunHere took was not executed, or was blocked when the partition stopped leading
  // (its id is 0 then).
  void TakeBack(std::unique_ptr<Routed> routed);
  void Fenced(uint32_t partition);
  // A kReply came. Not ok: the link is not to be trusted.
  Status OnReply(uint64_t link, std::string_view bytes);
  void LinkUp();
  void LinkDown(uint64_t link);
  // Leads(partition) or LeaderOf(partition) has changed.
  void LeaderChanged(uint32_t partition);
  // Deadlines and retries. Returns when it wants to be called again at the latest; 0: no wish.
  int64_t Tick();
  // The node shuts down: nothing is held any more.
  void Drain();

  // ---- For RunHere's side, INFO and tests.
  uint64_t epoch(uint32_t partition) const { return lanes_[partition].epoch; }
  bool busy(uint32_t partition) const { return lanes_[partition].busy; }
  size_t held(uint32_t partition) const { return lanes_[partition].held.size(); }
  size_t requests() const { return requests_; }
  size_t bytes() const { return bytes_; }

 private:
  using Requests = std::deque<std::unique_ptr<Routed>>;

  struct Lane {
    uint64_t epoch = 1;
    bool busy = false;  // anything of the below isn't empty or under way
    Requests held;      // in their order
    // Outstanding at another node: they are in sent_.
    size_t sent = 0;
    uint64_t link = 0;
    raft::NodeId node = raft::kNoNode;
    // What came back from the epoch, which is over; to be held again when nothing is outstanding.
    bool over = false;
    Requests back;
    bool posted = false;   // RunHere was used in this epoch
    bool fencing = false;  // and is waited for
    size_t requests = 0;   // everything that is here
    size_t bytes = 0;
    raft::NodeId refused_by = raft::kNoNode;
    int64_t retry_at_ms = 0;    // not before that, unless another node leads
    int64_t abandon_at_ms = 0;  // what was sent isn't waited for any longer; 0: it is
  };

  Lane& LaneOf(const Routed& routed) { return lanes_[routed.request.partition]; }
  // Counts what enters or has left a lane.
  void Enter(Routed* routed);
  void Leave(const Routed& routed);
  void Finish(std::unique_ptr<Routed> routed, PeerReply reply);
  std::unique_ptr<Routed> TakeSent(uint64_t id);
  // It is about to be sent or run.
  void Depart(Lane* lane, Routed* routed);
  // Gets the lane's held requests going, as far as possible.
  void Pump(uint32_t partition);
  bool SendFront(Lane* lane, raft::NodeId leader);
  void BeginFence(uint32_t partition);
  // The answer to what was sent is lost.
  void Lose(std::unique_ptr<Routed> routed);
  void LoseAll(uint32_t partition);
  void BringBack(std::unique_ptr<Routed> routed);
  // The epoch is over and nothing of it is outstanding: the next one.
  void NextEpoch(Lane* lane);
  void AnswerOverdue(uint32_t partition, int64_t now_ms);
  // Whether the answers of a node that leads no more are waited for; sees to it that not forever.
  void WatchFormerLeader(Lane* lane, raft::NodeId leader);
  Routed* FindSent(uint32_t partition, const ReplyAddress& reply);
  // Takes a held request out; nullptr when there is none.
  std::unique_ptr<Routed> TakeHeld(uint32_t partition, const ReplyAddress& reply);
  bool SendCancel(const Routed& routed, PeerCancelMode mode);
  void Update(Lane* lane);

  RouterHost* const host_;
  std::vector<Lane> lanes_;                                      // by partition
  absl::flat_hash_map<uint64_t, std::unique_ptr<Routed>> sent_;  // by id
  std::vector<uint64_t> uncancelled_;  // sent requests of clients that are gone: to be told again
  uint64_t next_id_ = 1;
  size_t requests_ = 0;
  size_t bytes_ = 0;
  size_t busy_lanes_ = 0;
  bool was_full_ = false;
  bool draining_ = false;
};

// On the leader's side: which requests of an epoch may run. Loop thread of the partition's core.
class EpochGuard {
 public:
  EpochGuard();
  ~EpochGuard();
  // Whether a request of `source` to the partition may run, which leads in `term` (0: not at all).
  // An epoch belongs to the term in which its first request came.
  bool Admit(uint64_t source, uint32_t partition, uint64_t epoch, uint64_t term);
  // The source won't send any more.
  void Forget(uint64_t source);

 private:
  struct Bound {
    uint64_t epoch = 0;
    uint64_t term = 0;
  };
  absl::flat_hash_map<uint64_t, absl::flat_hash_map<uint32_t, Bound>> sources_;
};

}  // namespace holdfast::engine
