// The queue of follower_reads.h, and what a partition does with it.
#include "engine/follower_reads.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "engine/partition.h"

namespace holdfast::engine {

void FollowerReads::Add(uint64_t round, FollowerRead read) {
  CHECK(!full() && (waiting_.empty() || round >= waiting_.back().round));
  bytes_ += read.request.args.MemoryBytes();
  waiting_.push_back({round, std::nullopt, std::move(read)});
}

void FollowerReads::Confirm(uint64_t round, uint64_t index) {
  for (Waiting& waiting : waiting_) {
    if (waiting.round > round) return;
    if (!waiting.index.has_value()) waiting.index = index;
  }
}

std::optional<FollowerRead> FollowerReads::TakeServable(uint64_t applied) {
  if (waiting_.empty()) return std::nullopt;
  Waiting& front = waiting_.front();
  if (!front.index.has_value() || *front.index > applied) return std::nullopt;
  std::optional<FollowerRead> read = std::move(front.read);
  bytes_ -= read->request.args.MemoryBytes();
  waiting_.pop_front();
  return read;
}

std::vector<BlockedRequest> FollowerReads::TakeAllOf(const ReplyAddress& client) {
  std::vector<BlockedRequest> taken;
  std::deque<Waiting> kept;
  for (Waiting& waiting : waiting_) {
    BlockedRequest& request = waiting.read.request;
    const ReplyAddress& address = request.address;
    if (!waiting.read.then && address.core == client.core && address.client == client.client) {
      bytes_ -= request.args.MemoryBytes();
      taken.push_back(std::move(request));
    } else {
      kept.push_back(std::move(waiting));
    }
  }
  waiting_.swap(kept);
  return taken;
}

std::vector<FollowerRead> FollowerReads::TakeAll() {
  std::vector<FollowerRead> taken;
  for (Waiting& waiting : waiting_) taken.push_back(std::move(waiting.read));
  waiting_.clear();
  bytes_ = 0;
  return taken;
}

// ---- The partition's side

bool Partition::AnswerNow(BlockedRequest* request) {
  const int64_t begin_ns = host_->clock().MonotonicNs();
  std::string reply;
  resp::Writer writer(&reply, request->caller.protocol);
  ExecContext context(this, *request->command, request->args.args(), request->caller, &writer,
                      begin_ns);
  context.RunHandler();
  CHECK(!context.blocked() && !context.emitted());
  if (context.needs_leader() || !context.wanted().empty()) return false;
  host_->CommandDone({request->command, request->args.args(), request->caller.db}, request->caller,
                     host_->clock().MonotonicNs() - begin_ns, reply);
  host_->Deliver(request->address, std::move(reply));
  return true;
}

void Partition::ReadAsFollower(BlockedRequest request, bool confirm) {
  request.began_ms = host_->clock().MonotonicMs();
  if (!follows() || replica_->frozen() || follower_reads_.full()) {
    host_->GiveBack(this, std::move(request));
    return;
  }
  if (!confirm) {
    ServeAsFollower(std::move(request));
    return;
  }
  follower_reads_.Add(open_round_, {std::move(request), nullptr});
  UseRound();
}

void Partition::CatchUp(absl::AnyInvocable<void()> then) {
  if (!follows() || replica_->frozen() || follower_reads_.full()) {
    then();
    return;
  }
  follower_reads_.Add(open_round_, {{}, std::move(then)});
  UseRound();
}

void Partition::ServeFollowerReads() {
  if (!follows()) return;
  while (std::optional<FollowerRead> read = follower_reads_.TakeServable(applied_index_)) {
    if (read->then) {
      read->then();
    } else {
      ServeAsFollower(std::move(read->request));
    }
  }
}

void Partition::ServeAsFollower(BlockedRequest request) {
  if (AnswerNow(&request)) {
    ++host_->stats()->follower_reads;
    return;
  }
  // What the client has asked behind it comes behind it there, too.
  std::vector<BlockedRequest> later = follower_reads_.TakeAllOf(request.address);
  host_->GiveBack(this, std::move(request));
  for (BlockedRequest& other : later) host_->GiveBack(this, std::move(other));
}

void Partition::GiveReadsBack() {
  for (FollowerRead& read : follower_reads_.TakeAll()) {
    if (read.then) {
      read.then();
    } else {
      host_->GiveBack(this, std::move(read.request));
    }
  }
}

}  // namespace holdfast::engine
