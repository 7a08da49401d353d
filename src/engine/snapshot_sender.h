// The snapshots that one core sends: the state of a partition that it leads, as its store holds it,
// to a node that the log can't help any more (raft/README.md, duty 12).
//
//   Start ─▶ waits its turn ─▶ opens the store's view ─▶ begin, chunks, end ─▶ done ─▶ Ended(ok)
//                 │                   │                        │
//                 └───────────────────┴────────────────────────┴── failed ─▶ Ended(not ok)
//                                                              └── leads no more: void
//
// The group asks again after a failure; then the next transfer to that node waits for a while, and
// longer each time.
//
// The store is read on the I/O thread, a chunk at a time and a few ahead of what the receiver has
// written; those wait in memory until they are acknowledged. After a silence, which may be that of
// a lost link, `begin` asks where the receiver stands, and what it lacks is sent again.
//
// Loop thread of the owning core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/snapshot.h"
#include "raft/types.h"
#include "replica/snapshot_items.h"
#include "storage/store.h"

namespace holdfast::engine {

class SnapshotSender {
 public:
  // Some of these read the disk: `work` runs on the I/O thread, in the order of the calls, and is
  // destroyed there; then `done` (unless it is null) runs on the loop.
  using Work = absl::AnyInvocable<void()>;

  // What sending needs of the core.
  class Host {
   public:
    virtual ~Host() = default;
    virtual int64_t NowMs() const = 0;  // monotonic
    virtual void RunIo(Work work, Work done) = 0;
    // False: it was dropped.
    virtual bool SendItem(raft::NodeId to, std::string_view item) = 0;
    virtual std::shared_ptr<storage::Store> StoreOf(uint32_t partition) = 0;
    // This node leads the partition in `term`, and `peer` is a member that waits for a snapshot.
    virtual bool IsNeeded(uint32_t partition, raft::NodeId peer, uint64_t term) const = 0;
    virtual void Ended(uint32_t partition, const raft::SnapshotStatus& status) = 0;
    virtual uint64_t BytesPerSecond() const = 0;
  };

  // Transfers are numbered from `first_transfer`, which should be random: those of an earlier
  // process must not be taken for these.
  SnapshotSender(Host* host, uint64_t first_transfer);

  // Host::Ended follows later, unless leadership of `term` ends before. Replaces what is under way
  // from this partition to this node.
  void Start(uint32_t partition, raft::NodeId peer, uint64_t term);
  void OnAck(raft::NodeId from, const replica::SnapshotAck& ack);
  // The store of this partition is about to be closed: nothing reads it once the I/O thread has
  // come to what is posted behind this.
  void Drop(uint32_t partition);
  // Every few milliseconds while not idle.
  void Tick();
  bool idle() const { return transfers_.empty(); }

  // Read and sent at a time; the others wait for their turn.
  static constexpr size_t kMaxActive = 2;
  static constexpr size_t kChunkBytes = size_t{256} << 10;
  // Chunks that are read and not acknowledged.
  static constexpr size_t kWindow = 8;
  static constexpr int64_t kAskAgainMs = 1000;
  // Without a word from the receiver.
  static constexpr int64_t kSilenceMs = 10'000;
  // Without a chunk that it has written.
  static constexpr int64_t kNoProgressMs = 600'000;
  // After a failed transfer to the same node, doubled with each.
  static constexpr int64_t kRetryMs = 500;
  static constexpr int64_t kMaxRetryMs = 30'000;

 private:
  struct Transfer {
    uint32_t partition = 0;
    raft::NodeId peer = raft::kNoNode;
    uint64_t term = 0;
    uint64_t number = 0;
    bool active = false;
    bool reading = false;   // the I/O thread has it
    bool accepted = false;  // the receiver has answered `begin`
    bool asked = false;     // `begin` was repeated, and not answered yet
    bool complete = false;  // the window's last item is the end
    raft::LogPosition position;
    std::string begin;  // empty until the store's view is open
    // Used and destroyed on the I/O thread.
    std::shared_ptr<std::unique_ptr<data::SnapshotReader>> reader;
    std::deque<std::string> window;  // items [first, first + size)
    uint64_t first = 1;              // the first that is not acknowledged
    uint64_t sent = 1;               // the first that was not sent
    int64_t heard_ms = 0;
    int64_t asked_ms = 0;
    int64_t progress_ms = 0;
  };
  // Transfers of a partition to a node that failed one after the other.
  struct Failures {
    uint32_t partition = 0;
    raft::NodeId peer = raft::kNoNode;
    int64_t pause_ms = 0;
    int64_t until_ms = 0;
  };
  // What the I/O thread has read.
  struct Piece {
    Status status;
    std::string begin;  // set by the first
    raft::LogPosition position;
    std::string item;
    bool last = false;
  };

  void Activate();
  void Read(Transfer* transfer);
  void TakePiece(uint64_t number, Piece* piece);
  void Pump(Transfer* transfer);
  void Ask(Transfer* transfer);
  void End(uint64_t number, bool ok);
  // Without a report.
  void Remove(uint64_t number);
  Transfer* Find(uint64_t number);
  // nullptr: the last transfer to this node went well.
  Failures* FailuresOf(uint32_t partition, raft::NodeId peer);
  void NoteEnd(uint32_t partition, raft::NodeId peer, bool ok);

  Host* const host_;
  uint64_t next_transfer_;
  int64_t free_at_ms_ = 0;  // what was sent has used up the rate until then
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<Failures> failures_;
};

}  // namespace holdfast::engine
