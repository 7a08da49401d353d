#include "engine/run_request.h"

#include <memory>
#include <utility>

#include "base/check.h"
#include "engine/errors.h"

namespace holdfast::engine {
namespace {

using Done = absl::AnyInvocable<void(PeerReply)>;

class ReplyWaiter final : public GateWaiter {
 public:
  ReplyWaiter(PeerReply reply, bool is_write, bool may_write, Done done)
      : reply_(std::move(reply)),
        is_write_(is_write),
        may_write_(may_write),
        done_(std::move(done)) {}

  void OnGateOpen() override { done_(std::move(reply_)); }
  void OnGateLost(bool proposed) override {
    PeerReply lost;
    if (may_write_ && is_write_ && proposed) {
      lost = PeerReply::Error(kInDoubt);
    } else {
      // What it did is forgotten with everything that wasn't proposed. A read may have found a key
      // expired, whose deletion will happen anyhow.
      lost.outcome = may_write_ ? PeerOutcome::kNotLeader : PeerOutcome::kLostRead;
    }
    done_(std::move(lost));
  }

 private:
  PeerReply reply_;
  bool is_write_;
  bool may_write_;
  Done done_;
};

void RunOne(Partition* partition, const PeerRequest& request, const ReplyAddress& address,
            Done done) {
  const PeerCommand& one = request.commands[0];
  std::string bytes;
  const ExecResult result = partition->Execute({one.command, one.args.args(), one.db},
                                               request.MakeCaller(), address, &bytes);
  if (result.blocked) return;
  if (result.suspended) {
    partition->WhenScriptEnds([partition, may_write = one.command->may_write(),
                               done = std::move(done)](const ExecResult& ended,
                                                       std::vector<std::string> replies) mutable {
      if (!ended.refusal.empty()) {
        done(PeerReply::Error(ended.refusal));
        return;
      }
      partition->WaitAt(ended.gate,
                        std::make_unique<ReplyWaiter>(PeerReply::Bytes(std::move(replies[0])),
                                                      ended.is_write, may_write, std::move(done)));
    });
    return;
  }
  PeerReply reply = PeerReply::Bytes(std::move(bytes));
  reply.read_nothing = request.asks_reads && result.read_nothing;
  partition->WaitAt(result.gate,
                    std::make_unique<ReplyWaiter>(std::move(reply), result.is_write,
                                                  one.command->may_write(), std::move(done)));
}

void RunAll(Partition* partition, const PeerRequest& request, Done done) {
  std::vector<Request> requests;
  bool may_write = false;
  for (const PeerCommand& one : request.commands) {
    requests.push_back({one.command, one.args.args(), one.db});
    may_write |= one.command->may_write();
  }
  PeerReply reply;
  const ExecResult result = partition->ExecuteTransaction(requests, request.MakeCaller(),
                                                          request.watched, &reply.replies);
  for (const WatchedKey& key : request.watched) partition->Unwatch(key.db, key.key);
  if (result.suspended) {
    partition->WhenScriptEnds([partition, may_write, done = std::move(done)](
                                  const ExecResult& ended,
                                  std::vector<std::string> replies) mutable {
      PeerReply late;
      late.replies = std::move(replies);
      late.refused = !ended.refusal.empty();
      late.error = ended.refusal;
      partition->WaitAt(ended.gate, std::make_unique<ReplyWaiter>(std::move(late), ended.is_write,
                                                                  may_write, std::move(done)));
    });
    return;
  }
  reply.executed = result.executed;
  reply.refused = !result.refusal.empty();
  reply.error = result.refusal;
  partition->WaitAt(result.gate, std::make_unique<ReplyWaiter>(std::move(reply), result.is_write,
                                                               may_write, std::move(done)));
}

}  // namespace

void RunRequest(Partition* partition, const PeerRequest& request, const ReplyAddress& address,
                Done done) {
  CHECK(partition->ready());
  switch (request.type) {
    case PeerRequestType::kCommand:
      RunOne(partition, request, address, std::move(done));
      return;
    case PeerRequestType::kTransaction:
      RunAll(partition, request, std::move(done));
      return;
    case PeerRequestType::kWatch: {
      // EXEC compares the revisions where the keys are watched, so nothing has to be confirmed.
      PeerReply reply;
      for (const WatchedKey& key : request.watched) {
        reply.revisions.push_back(partition->Watch(key.db, key.key));
      }
      done(std::move(reply));
      return;
    }
    case PeerRequestType::kUnwatch:
      for (const WatchedKey& key : request.watched) partition->Unwatch(key.db, key.key);
      done(PeerReply());
      return;
  }
}

}  // namespace holdfast::engine
