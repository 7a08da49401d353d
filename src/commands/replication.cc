// What clients of Redis ask about replicas: WAIT, WAITAOF, ROLE, and READONLY for followers.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/deferred.h"
#include "commands/handlers.h"
#include "commands/info_report.h"
#include "commands/server_handlers.h"
#include "engine/internal_client.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using engine::Core;
using engine::ExecContext;
using engine::SessionContext;

constexpr std::string_view kTimeoutNotInteger = "ERR timeout is not an integer or out of range";
constexpr std::string_view kTimeoutNegative = "ERR timeout is negative";
constexpr std::string_view kTimeoutTooLong = "ERR timeout is out of range";
// In milliseconds; leaves room to add it to any clock.
constexpr int64_t kMaxTimeoutMs = INT64_MAX / 2;

// Milliseconds; 0 = none.
template <typename Context>
[[nodiscard]] bool ParseTimeout(Context& ctx, size_t i, int64_t* timeout_ms) {
  if (!ctx.ParseInt(i, timeout_ms, kTimeoutNotInteger)) return false;
  if (*timeout_ms >= 0 && *timeout_ms <= kMaxTimeoutMs) return true;
  ctx.Error(*timeout_ms < 0 ? kTimeoutNegative : kTimeoutTooLong);
  return false;
}

// Asks the leaders of all partitions, one after the other, until each of them knows of enough
// copies or time is up; `done` gets the smallest number that one of them knew of. Ends early, and
// without calling `done`, when the client is gone.
class CopiesQuestion : public std::enable_shared_from_this<CopiesQuestion> {
 public:
  using Done = std::function<void(int64_t copies)>;

  CopiesQuestion(std::shared_ptr<Deferred> deferred, int64_t wanted, int64_t timeout_ms, Done done)
      : deferred_(std::move(deferred)),
        wanted_(wanted),
        deadline_ms_(timeout_ms == 0 ? 0 : NowMs() + timeout_ms),
        done_(std::move(done)),
        asker_(std::make_unique<engine::InternalClient>(&deferred_->home())) {}

  void Ask() {
    // Now and then it looks whether anybody still wants to know.
    constexpr int64_t kSliceMs = 500;
    int64_t slice_ms = kSliceMs;
    if (deadline_ms_ != 0) slice_ms = std::clamp<int64_t>(deadline_ms_ - NowMs(), 1, kSliceMs);
    std::vector<std::string> words = {"cluster", "wait", std::to_string(partition_),
                                      std::to_string(wanted_), std::to_string(slice_ms)};
    if (index_ > 0) words.push_back(std::to_string(index_));
    asker_->Call(words, [self = shared_from_this()](const resp::Reply& reply) {
      self->Take(reply);
      // Later, since the client that has brought the reply may go away with this object; a moment
      // later when the partition has no leader.
      constexpr uint64_t kPauseMs = 20;
      self->Home().RunAfter(reply.is_error() ? kPauseMs : 0, [self] { self->Next(); });
    });
  }

 private:
  Core& Home() const { return deferred_->home(); }
  int64_t NowMs() const { return Home().clock().MonotonicMs(); }

  void Take(const resp::Reply& reply) {
    // After an error nobody knows of a copy.
    copies_ = 0;
    if (reply.elements.size() != 2) return;
    copies_ = reply.elements[0].integer;
    index_ = static_cast<uint64_t>(reply.elements[1].integer);
  }

  void Next() {
    if (deferred_->client() == nullptr) return;
    const bool over = Home().draining() || (deadline_ms_ != 0 && NowMs() >= deadline_ms_);
    if (copies_ < wanted_ && !over) {
      Ask();
      return;
    }
    least_ = std::min(least_, copies_);
    index_ = 0;
    if (++partition_ < Home().engine().partitions()) {
      Ask();
    } else {
      done_(least_);
    }
  }

  const std::shared_ptr<Deferred> deferred_;
  const int64_t wanted_;
  const int64_t deadline_ms_;
  const Done done_;
  const std::unique_ptr<engine::InternalClient> asker_;
  uint32_t partition_ = 0;
  uint64_t index_ = 0;  // of this partition, that copies are wanted of; 0: not known yet
  int64_t copies_ = 0;
  int64_t least_ = INT64_MAX;
};

// How many replicas hold what the client has written on disk; 0 for one node alone, which no
// replica will ever answer.
void AskForCopies(SessionContext& ctx, int64_t wanted, int64_t timeout_ms,
                  std::function<void(int64_t copies, resp::Writer& reply)> answer) {
  if (!ctx.core.engine().in_cluster()) {
    answer(0, ctx.reply);
    return;
  }
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  std::make_shared<CopiesQuestion>(
      deferred, wanted, timeout_ms,
      [deferred, answer = std::move(answer)](int64_t copies) {
        deferred->Finish([&answer, copies](resp::Writer& reply) { answer(copies, reply); });
      })
      ->Ask();
}

}  // namespace

// WAIT numreplicas timeout. Its reply comes behind those of all writes before it.
void Wait(SessionContext& ctx) {
  int64_t replicas;
  int64_t timeout_ms;
  if (!ctx.ParseInt(1, &replicas) || !ParseTimeout(ctx, 2, &timeout_ms)) return;
  AskForCopies(ctx, std::max<int64_t>(0, replicas), timeout_ms,
               [](int64_t copies, resp::Writer& reply) { reply.Integer(copies); });
}

// WAITAOF numlocal numreplicas timeout
void Waitaof(SessionContext& ctx) {
  int64_t local;
  int64_t replicas;
  int64_t timeout_ms;
  if (!ctx.ParseInt(1, &local)) return;
  if (local < 0 || local > 1) {
    ctx.Error("ERR value is out of range, value must between 0 and 1");
    return;
  }
  if (!ctx.ParseInt(2, &replicas)) return;
  if (replicas < 0) {
    ctx.Error("ERR value is out of range, must be positive");
    return;
  }
  if (!ParseTimeout(ctx, 3, &timeout_ms)) return;
  // With durability "os" an acknowledged write may not be on disk yet, here and elsewhere.
  const bool on_disk = ctx.core.config().durability == engine::Durability::kFsync;
  AskForCopies(ctx, on_disk ? replicas : 0, timeout_ms,
               [on_disk](int64_t copies, resp::Writer& reply) {
                 reply.Array(2);
                 reply.Integer(on_disk ? 1 : 0);
                 reply.Integer(on_disk ? copies : 0);
               });
}

// CLUSTER WAIT partition copies timeout [index]
void ClusterWait(ExecContext& ctx) {
  int64_t copies;
  int64_t timeout_ms;
  int64_t index = 0;
  if (!ctx.ParseInt(3, &copies)) return;
  if (!ParseTimeout(ctx, 4, &timeout_ms)) return;
  if (ctx.args.size() > 6) return ctx.Error(engine::kSyntaxError);
  if (ctx.args.size() == 6 && !ctx.ParseInt(5, &index)) return;
  if (copies < 0 || index < 0) return ctx.Error("ERR value is out of range, must be positive");
  const uint64_t wanted = index > 0 ? static_cast<uint64_t>(index) : ctx.LastIndex();
  const uint64_t there = ctx.partition().CopiesOf(wanted);
  if (there < static_cast<uint64_t>(copies) && !ctx.caller.retry) {
    ctx.BlockForCopies(wanted, static_cast<uint64_t>(copies), timeout_ms);
    return;
  }
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(there));
  ctx.reply.Integer(static_cast<int64_t>(wanted));
}

// As INFO replication has it.
void Role(SessionContext& ctx) {
  GatherReply<CoreReport>(
      ctx, [](Core& core) { return ReadCore(core, false); },
      [&home = ctx.core](std::vector<CoreReport>& cores, resp::Writer& reply) {
        const CoreReport report = MergeReports(cores);
        const std::vector<ReplicaReport> replicas = ReadReplicas(home, report);
        reply.Array(3);
        reply.Bulk("master");
        reply.Integer(static_cast<int64_t>(CommittedEntries(report)));
        reply.Array(replicas.size());
        for (const ReplicaReport& replica : replicas) {
          reply.Array(3);
          reply.Bulk(replica.host);
          reply.Bulk(replica.port);
          reply.Bulk(std::to_string(replica.held));
        }
      });
}

void Readonly(SessionContext& ctx) {
  if (!ctx.core.engine().in_cluster()) return ctx.Error(engine::kNoCluster);
  ctx.client.readonly = true;
  ctx.reply.Ok();
}

void Readwrite(SessionContext& ctx) {
  if (!ctx.core.engine().in_cluster()) return ctx.Error(engine::kNoCluster);
  ctx.client.readonly = false;
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
