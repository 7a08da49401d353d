// What waits at gates for a partition itself. Loop thread of its core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/errors.h"
#include "engine/gate.h"
#include "engine/partition.h"

namespace holdfast::engine {

// A reply that waits away from its client.
class RemoteReply final : public GateWaiter {
 public:
  RemoteReply(PartitionHost* host, const ReplyAddress& address, std::string bytes, bool is_write)
      : host_(host), address_(address), bytes_(std::move(bytes)), is_write_(is_write) {}

  void OnGateOpen() override { host_->Deliver(address_, std::move(bytes_)); }
  void OnGateLost(bool proposed) override {
    std::string error = "-";
    error += is_write_ && proposed ? kInDoubt : kTryAgain;
    host_->Deliver(address_, error + "\r\n");
  }

 private:
  PartitionHost* host_;
  ReplyAddress address_;
  std::string bytes_;
  bool is_write_;
};

// ExecContext::WhenCommitted's.
class CommittedTasks final : public GateWaiter {
 public:
  explicit CommittedTasks(std::vector<absl::AnyInvocable<void()>> tasks)
      : tasks_(std::move(tasks)) {}

  void OnGateOpen() override {
    for (auto& task : tasks_) task();
  }
  void OnGateLost(bool) override {}

 private:
  std::vector<absl::AnyInvocable<void()>> tasks_;
};

}  // namespace holdfast::engine
