// The snapshots that come to one core (raft/README.md, duty 13; PITFALLS P15).
//
//   begin ─▶ receiving ──end──▶ loading ─▶ complete ──SwitchIn──▶ switching ─▶ done
//               │                  │           │
//               └──────────────────┴───────────┴─▶ thrown away: a newer leader begins, the group
//                                                  knows as much by now, the disk is full, silence
//
// What arrives goes into a store beside the partition's own, which goes on following meanwhile. A
// crash throws it away. One transfer a partition, at most kMaxIncoming a core.
//
// Loop thread of the owning core only; the store is written, and the new keyspace read from it, on
// the I/O thread.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/keyspace.h"
#include "data/snapshot.h"
#include "raft/types.h"
#include "replica/snapshot_items.h"

namespace holdfast::engine {

// A snapshot that is complete and durable beside the partition's store, and in memory.
struct ReceivedSnapshot {
  uint32_t partition = 0;
  raft::InstallSnapshot install;
  std::shared_ptr<data::SnapshotWriter> writer;  // still open
  std::unique_ptr<data::Keyspace> keyspace;
};

class SnapshotReceiver {
 public:
  using Work = absl::AnyInvocable<void()>;

  enum class Switching : uint8_t {
    kNotNow,    // ask again
    kNoNews,    // the group has gone on without it
    kUnderWay,  // it was taken; Switched follows later
  };

  // What receiving needs of the core.
  class Host {
   public:
    virtual ~Host() = default;
    virtual int64_t NowMs() const = 0;             // monotonic
    virtual void RunIo(Work work, Work done) = 0;  // as SnapshotSender's
    virtual void SendAck(raft::NodeId to, const replica::SnapshotAck& ack) = 0;
    virtual bool Leads(uint32_t partition) const = 0;
    virtual bool WantsSnapshot(uint32_t partition, raft::LogPosition last) const = 0;
    // The disk has room for more than what has to be kept free.
    virtual bool HasRoom() const = 0;
    virtual std::shared_ptr<data::SnapshotWriter> NewWriter(uint32_t partition) = 0;
    // Any thread.
    virtual std::unique_ptr<data::Keyspace> NewKeyspace(uint32_t partition) const = 0;
    virtual Switching SwitchIn(std::shared_ptr<ReceivedSnapshot> snapshot) = 0;
  };

  explicit SnapshotReceiver(Host* host) : host_(host) {}

  void OnItem(raft::NodeId from, replica::SnapshotItem item);
  // The partition's state is the snapshot now.
  void Switched(uint32_t partition);
  // Every few milliseconds while not idle.
  void Tick();
  bool idle() const { return incoming_.empty(); }

  static constexpr size_t kMaxIncoming = 2;
  // Items that wait to be written; a sender that keeps to its window has no more.
  static constexpr uint64_t kMaxQueued = 64;
  // How often the sender is told that there is work going on.
  static constexpr int64_t kSignOfLifeMs = 300;
  // Without an item from the sender, while items are missing.
  static constexpr int64_t kSilenceMs = 15'000;

 private:
  enum class State : uint8_t { kReceiving, kLoading, kComplete, kSwitching };
  struct Incoming {
    raft::NodeId from = raft::kNoNode;
    uint64_t transfer = 0;
    State state = State::kReceiving;
    uint64_t next = 1;     // the first item that has not come
    uint64_t written = 0;  // the last that is written; `begin` is 0
    bool opened = false;   // the store is
    int64_t heard_ms = 0;
    int64_t answered_ms = 0;
    std::shared_ptr<ReceivedSnapshot> snapshot;
  };

  void Begin(raft::NodeId from, replica::SnapshotItem item);
  void TakeChunk(Incoming* incoming, replica::SnapshotItem item);
  void TakeEnd(Incoming* incoming, const replica::SnapshotItem& item);
  // An I/O step of this transfer is done.
  void Done(uint32_t partition, uint64_t transfer, const Status& status, uint64_t written);
  void TrySwitch(Incoming* incoming);
  void Answer(Incoming* incoming);
  void Answer(raft::NodeId to, const replica::SnapshotItem& item, replica::SnapshotAnswer answer);
  // Throws it away and says so.
  void Abandon(uint32_t partition, replica::SnapshotAnswer answer, const std::string& why);
  Incoming* Find(uint32_t partition);

  Host* const host_;
  std::vector<std::unique_ptr<Incoming>> incoming_;
};

}  // namespace holdfast::engine
