#include "engine/reply_queue.h"

#include <utility>

#include "base/check.h"
#include "engine/errors.h"
#include "engine/partition.h"

namespace holdfast::engine {
namespace {

// Popped nodes are kept at the front of the vector until there are this many.
constexpr size_t kMaxPopped = 64;

}  // namespace

bool ReplyQueue::IsOpen(const Node& node) const {
  switch (node.state) {
    case State::kReady:
      return true;
    case State::kGated:
      return node.partition->IsOpen(node.gate);
    case State::kSlot:
      return false;
  }
  return false;
}

std::string* ReplyQueue::Begin(Partition* partition) {
  Node* last = Last();
  // A reply may share the node of the one before it when it can't have to wait longer than that:
  // whether it does is known at Commit only, so here the candidates are told by partition.
  const bool shares = last != nullptr && last->state != State::kSlot &&
                      (partition == nullptr || last->partition == partition);
  if (!shares) {
    last = Append();
  }
  fresh_node_ = !shares;
  begin_ = last->bytes.size();
  return &last->bytes;
}

void ReplyQueue::Commit(Partition* partition, Gate gate, bool is_write) {
  Node* last = &nodes_.back();
  const size_t added = last->bytes.size() - begin_;
  bytes_ += added;
  if (!fresh_node_) {
    if (last->state == State::kGated && last->gate == gate && last->is_write == is_write) {
      ++last->replies;
      return;
    }
    // Waits for something else: into a node of its own.
    std::string bytes = last->bytes.substr(begin_);
    last->bytes.resize(begin_);
    last = Append();
    last->bytes = std::move(bytes);
  }
  last->state = State::kGated;
  last->partition = partition;
  last->gate = gate;
  last->is_write = is_write;
}

void ReplyQueue::CommitReady() {
  Node* last = &nodes_.back();
  bytes_ += last->bytes.size() - begin_;
  // Behind a gated reply, a ready one waits with it anyhow; but it must not be turned into an error
  // with it, so it gets a node of its own.
  if (!fresh_node_ && last->state == State::kGated) {
    std::string bytes = last->bytes.substr(begin_);
    last->bytes.resize(begin_);
    Append()->bytes = std::move(bytes);
  }
}

void ReplyQueue::Abandon() {
  if (fresh_node_) {
    nodes_.pop_back();
    --next_number_;
    if (empty()) Reset();
  } else {
    nodes_.back().bytes.resize(begin_);
  }
}

uint64_t ReplyQueue::Reserve() {
  Append()->state = State::kSlot;
  ++open_slots_;
  return next_number_ - 1;
}

bool ReplyQueue::Fill(uint64_t slot, std::string_view bytes) {
  // Numbers are consecutive, so the place follows from the distance to the end.
  if (slot >= next_number_ || next_number_ - slot > nodes_.size() - head_) return false;
  Node& node = nodes_[nodes_.size() - (next_number_ - slot)];
  if (node.state != State::kSlot) return false;
  node.bytes.assign(bytes);
  node.state = State::kReady;
  bytes_ += bytes.size();
  --open_slots_;
  return true;
}

bool ReplyQueue::PutBefore(uint64_t slot, std::string_view bytes) {
  Node* last = Last();
  if (last == nullptr || slot + 1 != next_number_ || last->state != State::kSlot) return false;
  // Only one place at a time: what waits for another slot keeps it.
  if (!before_.empty() && before_slot_ != slot) return false;
  before_slot_ = slot;
  before_.append(bytes);
  bytes_ += bytes.size();
  return true;
}

ReplyQueue::Node* ReplyQueue::Append() {
  nodes_.emplace_back();
  ++next_number_;
  return &nodes_.back();
}

void ReplyQueue::Reset() {
  nodes_.clear();
  head_ = 0;
}

void ReplyQueue::Pop() {
  bytes_ -= nodes_[head_].bytes.size();
  ++head_;
  if (empty()) {
    Reset();
  } else if (head_ > kMaxPopped && head_ * 2 > nodes_.size()) {
    nodes_.erase(nodes_.begin(), nodes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

void ReplyQueue::TakeReady(std::string* out) {
  while (!empty()) {
    if (!before_.empty() && before_slot_ + (nodes_.size() - head_) == next_number_) {
      bytes_ -= before_.size();
      out->append(before_);
      before_ = std::string();
    }
    Node& node = nodes_[head_];
    if (!IsOpen(node)) return;
    bytes_ -= node.bytes.size();
    if (out->empty()) {
      *out = std::move(node.bytes);
    } else {
      out->append(node.bytes);
    }
    node.bytes.clear();
    Pop();
  }
}

Partition* ReplyQueue::blocking_partition(Gate* gate) const {
  if (empty() || nodes_[head_].state != State::kGated) return nullptr;
  *gate = nodes_[head_].gate;
  return nodes_[head_].partition;
}

void ReplyQueue::LoseGates(Partition* partition) {
  for (size_t i = head_; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    if (node.state != State::kGated || node.partition != partition || IsOpen(node)) continue;
    bytes_ -= node.bytes.size();
    node.bytes.clear();
    for (uint32_t r = 0; r < node.replies; ++r) {
      node.bytes.push_back('-');
      const bool proposed = node.gate.index <= partition->proposed_index();
      node.bytes.append(node.is_write && proposed ? kInDoubt : kTryAgain);
      node.bytes.append("\r\n");
    }
    bytes_ += node.bytes.size();
    node.state = State::kReady;
    node.partition = nullptr;
  }
}

}  // namespace holdfast::engine
