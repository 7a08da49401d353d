// Requests that wait until enough other nodes hold what the partition's log held when they came
// (CLUSTER WAIT, and so WAIT). What a node holds is on its disk, as its answers to the leader say.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "engine/partition.h"

namespace holdfast::engine {

uint64_t Partition::CopiesOf(uint64_t index) const {
  const raft::Group& group = replica_->group();
  const auto holds = [&group, index](raft::NodeId id) {
    const std::optional<raft::PeerStatus> status = group.StatusOf(id);
    return status.has_value() && status->match >= index;
  };
  const raft::Membership& members = group.membership();
  return static_cast<uint64_t>(
      std::count_if(members.voters.begin(), members.voters.end(), holds) +
      std::count_if(members.learners.begin(), members.learners.end(), holds));
}

uint64_t ExecContext::LastIndex() const {
  return caller.waits_index > 0 ? caller.waits_index : partition_->memory_end();
}

void ExecContext::BlockForCopies(uint64_t index, uint64_t copies, int64_t timeout_ms) {
  CHECK(!caller.in_transaction && !emitted_ && !blocked_);
  blocked_ = true;
  blocked_index_ = index;
  blocked_copies_ = copies;
  wait_.timeout_ms = timeout_ms;
}

void Partition::ServeCopyWaits(int64_t now_ms) {
  // What is answered leaves the list first: answers may bring new requests.
  std::vector<CopyWait> done;
  const auto waits = [this, now_ms, &done](CopyWait& wait) {
    const int64_t deadline_ms = wait.request.deadline_ms;
    const bool over = deadline_ms != 0 && deadline_ms <= now_ms;
    if (!over && (commit_index_ < wait.index || CopiesOf(wait.index) < wait.copies)) return false;
    done.push_back(std::move(wait));
    return true;
  };
  copy_waits_.erase(std::remove_if(copy_waits_.begin(), copy_waits_.end(), waits),
                    copy_waits_.end());
  for (CopyWait& wait : done) AnswerCopyWait(&wait);
}

void Partition::AnswerCopyWait(CopyWait* wait) {
  wait->request.caller.retry = true;
  wait->request.caller.waits_index = wait->index;
  CHECK(AnswerNow(&wait->request));
}

void Partition::EndOverdueRequests() {
  const int64_t now_ms = host_->clock().MonotonicMs();
  if (!copy_waits_.empty()) ServeCopyWaits(now_ms);
  while (std::optional<BlockedRequest> request = blocked_.PopExpired(now_ms)) {
    AnswerInVain(*request);
  }
}

void Partition::CancelBlockedOf(uint64_t client) {
  blocked_.RemoveClient(client);
  loads_.CancelAllOf(client);
  CancelBehindScript(client, nullptr);
  std::erase_if(copy_waits_,
                [client](const CopyWait& wait) { return wait.request.address.client == client; });
}

std::optional<Partition::CopyWait> Partition::TakeCopyWait(const ReplyAddress& address) {
  const auto is_it = [&address](const CopyWait& wait) {
    return wait.request.address.client == address.client &&
           wait.request.address.slot == address.slot;
  };
  const auto it = std::find_if(copy_waits_.begin(), copy_waits_.end(), is_it);
  if (it == copy_waits_.end()) return std::nullopt;
  std::optional<CopyWait> taken = std::move(*it);
  copy_waits_.erase(it);
  return taken;
}

}  // namespace holdfast::engine
