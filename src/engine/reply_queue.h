// The replies of one client, in the order of its requests, until they may leave.
//
// A reply is in one of three states: ready; gated by a partition of the client's own core; or a
// slot that is still empty (another core, a blocked or an asynchronous command fills it later).
// Replies of a turn that wait for the same gate share a node, so that a pipeline costs one.
//
// Loop thread of the client's core only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/gate.h"

namespace holdfast::engine {

class Partition;

class ReplyQueue {
 public:
  // Where to append a reply that will wait for `partition`, or for nothing when nullptr. Follow
  // with Commit or CommitReady before any other call.
  std::string* Begin(Partition* partition);
  // The reply appended since Begin waits for `gate`.
  void Commit(Partition* partition, Gate gate, bool is_write);
  // The reply appended since Begin waits for nothing.
  void CommitReady();
  // Removes what was appended since Begin.
  void Abandon();

  // Reserves the place of a reply that comes later; returns its number.
  uint64_t Reserve();
  // Fills a reserved place. False when there is no such place (any more).
  bool Fill(uint64_t slot, std::string_view bytes);
  // The reserved place stays without a reply (CLIENT REPLY OFF).
  bool FillNothing(uint64_t slot) { return Fill(slot, {}); }

  // Puts bytes before the reply of `slot`, behind everything else. False, with nothing done, when
  // it isn't the last place and unfilled.
  [[nodiscard]] bool PutBefore(uint64_t slot, std::string_view bytes);

  // Moves all replies that may leave to `out`.
  void TakeReady(std::string* out);
  // What the first reply that may not leave waits for; nullptr when it is a slot or there is none.
  Partition* blocking_partition(Gate* gate) const;
  // Turns replies that wait for `partition` into errors, when it loses its leadership: INDOUBT for
  // writes that were proposed, TRYAGAIN for reads and for writes that raft has not seen.
  void LoseGates(Partition* partition);

  bool empty() const { return head_ == nodes_.size(); }
  // Bytes of replies that wait here.
  size_t bytes() const { return bytes_; }
  // Number of slots that are not filled.
  size_t open_slots() const { return open_slots_; }

 private:
  enum class State : uint8_t { kReady, kGated, kSlot };
  struct Node {
    std::string bytes;
    State state = State::kReady;
    bool is_write = false;
    uint32_t replies = 1;
    Partition* partition = nullptr;
    Gate gate;
  };

  Node* Last() { return empty() ? nullptr : &nodes_.back(); }
  bool IsOpen(const Node& node) const;
  Node* Append();
  void Reset();
  void Pop();

  std::vector<Node> nodes_;
  size_t head_ = 0;
  size_t begin_ = 0;          // where in the last node's bytes the present reply began
  bool fresh_node_ = false;   // Begin made the last node
  uint64_t next_number_ = 1;  // every node has a number; a slot is known by it
  size_t bytes_ = 0;
  size_t open_slots_ = 0;
  std::string before_;  // leaves before the reply of before_slot_
  uint64_t before_slot_ = 0;
};

}  // namespace holdfast::engine
