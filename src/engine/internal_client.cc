#include "engine/internal_client.h"

#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/gather.h"

namespace holdfast::engine {

InternalClient::InternalClient(Core* the_core)
    : Client(the_core, the_core->engine().NextClientId()) {
  authenticated = true;
  core->AddInternalClient(this);
}

InternalClient::~InternalClient() { core->RemoveClient(this); }

void InternalClient::Call(const std::vector<std::string>& args,
                          absl::AnyInvocable<void(const resp::Reply&)> done) {
  calls_.push_back({args, std::move(done)});
  Run();
}

void InternalClient::CallOn(uint32_t partition, const Command& command,
                            const std::vector<std::string>& args,
                            absl::AnyInvocable<void(const resp::Reply&)> done) {
  CHECK(command.data != nullptr && ArityFits(command, args.size()));
  calls_.push_back({args, std::move(done), &command, partition});
  Run();
}

void InternalClient::Run() {
  while (waiting == 0 && started_ < calls_.size()) {
    const PendingCall& call = calls_[started_];
    const std::vector<std::string_view> args(call.args.begin(), call.args.end());
    if (call.command != nullptr) {
      RunOn(this, *call.command, args, call.partition);
    } else if (Dispatch(this, args) == Dispatched::kTryLater) {
      return;
    }
    ++started_;
  }
  MarkDirty();
}

void InternalClient::Flush() {
  replies.TakeReady(&replies_);
  while (!replies_.empty() && parser_.Next(replies_) == resp::ParseOutcome::kRequest) {
    replies_.erase(0, parser_.consumed());
    CHECK(started_ > 0);
    PendingCall call = std::move(calls_.front());
    calls_.pop_front();
    --started_;
    call.done(parser_.reply());
  }
  Gate gate;
  Partition* partition = replies.blocking_partition(&gate);
  if (partition != nullptr && !wake_registered) {
    wake_registered = true;
    partition->WakeAt(gate, id);
  }
}

}  // namespace holdfast::engine
