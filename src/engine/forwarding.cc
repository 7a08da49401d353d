#include "engine/forwarding.h"

#include <utility>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/gather.h"
#include "engine/run_request.h"

namespace holdfast::engine {
namespace {

// EpochGuard's sources are other nodes' links, by client number, and cores.
uint64_t CoreSource(uint32_t core) { return (uint64_t{1} << 63) | core; }

PeerReply NotLeader() {
  PeerReply reply;
  reply.outcome = PeerOutcome::kNotLeader;
  return reply;
}

}  // namespace

Forwarding::Forwarding(Core* core)
    : core_(core), router_(this, core->engine().all_partitions()), server_(core) {}

void Forwarding::SetLinks(PeerLinks* links) {
  links_ = links;
  server_.SetLinks(links);
}

// ---- From the core

void Forwarding::OnItem(uint64_t link, replica::ItemKind kind, std::string_view bytes) {
  Status status;
  switch (kind) {
    case replica::ItemKind::kRequest:
      status = server_.OnRequest(link, bytes);
      break;
    case replica::ItemKind::kReply:
      status = router_.OnReply(link, bytes);
      break;
    case replica::ItemKind::kCancel:
      status = server_.OnCancel(link, bytes);
      break;
    default:
      return;
  }
  if (status.ok()) return;
  LogWarning("link to another node: {}", status.message());
  links_->Close(link, status);
}

void Forwarding::OnLinkDown(uint64_t link) {
  server_.LinkDown(link);
  router_.LinkDown(link);
}

void Forwarding::LeaderChanged(uint32_t partition) {
  if (!Leads(partition)) server_.ForgetWatches(partition);
  router_.LeaderChanged(partition);
}

int64_t Forwarding::Tick() {
  const int64_t wish = router_.Tick();
  if (!replies_wait_) return wish;
  const int64_t soon_ms = NowMs() + Router::kRetryMs;
  return wish == 0 ? soon_ms : std::min(wish, soon_ms);
}

void Forwarding::Deliver(const ReplyAddress& place, std::string bytes) {
  PeerReply reply = PeerReply::Bytes(std::move(bytes));
  reply.id = place.slot;
  server_.Reply(place.client, std::move(reply));
}

void Forwarding::GiveBack(uint32_t partition, BlockedRequest request) {
  const ReplyAddress place = request.address;
  Client* client = core_->FindClient(place.client);
  if (client == nullptr) {
    PeerReply reply = NotLeader();
    // Its node knows the arguments that the client sent, not those that it waited with.
    if (!request.sent_args.args().empty()) reply.outcome = PeerOutcome::kLostRead;
    reply.id = place.slot;
    server_.Reply(place.client, std::move(reply));
    return;
  }
  const bool blocking = client->blocked && client->blocked_slot == place.slot;
  if (!blocking && !client->TakeFollowerSlot(place.slot)) return;
  std::unique_ptr<Routed> routed = MakeRouted(*client, partition, PeerRequestType::kCommand);
  routed->request.no_touch = request.caller.no_touch;
  routed->request.protocol = request.caller.protocol;
  routed->request.commands.push_back({request.command, request.caller.db, std::move(request.args)});
  routed->is_write = request.command->may_write();
  routed->blocking = blocking;
  routed->reply = place;
  routed->sent_ms = NowMs();
  routed->began_ms = routed->sent_ms - request.caller.waited_ms;
  routed->deadline_ms = routed->sent_ms + RetryTimeoutMs();
  if (blocking) {
    router_.TakeBack(std::move(routed));
  } else {
    router_.Submit(std::move(routed));
  }
}

// ---- On the partition's core

namespace {

std::optional<std::vector<ColdValue>> MissingValues(const Partition& partition,
                                                    const Origin& origin,
                                                    const PeerRequest& request) {
  std::vector<Request> requests;
  for (const PeerCommand& one : request.commands) {
    requests.push_back({one.command, one.args.args(), one.db});
  }
  return partition.MissingValues(origin, requests);
}

// SCRIPT KILL must not wait for the script that it is to end.
bool WaitsForScript(const Partition& partition, const PeerRequest& request) {
  return partition.HoldsRequests() && !(request.type == PeerRequestType::kCommand &&
                                        request.commands[0].command->has(kAllowBusy));
}

// Holds a request that can't run yet, behind what its origin has asked before. What waits for
// values stays ahead of what came later, also when a script keeps it from running once they are
// there.
template <typename MakeHeld>
bool Hold(Partition* partition, const Origin& origin, const PeerRequest& request,
          const MakeHeld& make) {
  if (!partition->WaitsForValues(origin) && WaitsForScript(*partition, request)) {
    partition->RunBehindScript(make());
    return true;
  }
  if (!partition->MayMissValues()) return false;
  std::optional<std::vector<ColdValue>> missing = MissingValues(*partition, origin, request);
  if (!missing.has_value()) return false;
  std::string name = origin.Name();  // before the request, and with it the address, moves away
  partition->RunWithValues(std::move(name), make(), *std::move(missing));
  return true;
}

}  // namespace

void Forwarding::RunFor(uint32_t home, std::unique_ptr<Routed> routed) {
  const PeerRequest& request = routed->request;
  Partition* partition = core_->FindPartition(request.partition);
  const Origin origin{routed->reply, {}};
  const auto hold = [&] {
    HeldCharge charge(&core_->engine().held_bytes(home), request.MemoryBytes());
    return HeldRequest{
        origin.place,
        [this, home, routed = std::move(routed)]() mutable { RunFor(home, std::move(routed)); },
        std::move(charge)};
  };
  if (Hold(partition, origin, request, hold)) return;
  // A request of this core can only wait in this partition, so it isn't behind one that was
  // refused.
  const bool admitted = home == core_->number()
                            ? partition->ready()
                            : guard_.Admit(CoreSource(home), request.partition, request.epoch,
                                           partition->ready_period());
  if (!admitted) {
    Return(home, std::move(routed), NotLeader());
    return;
  }
  const ReplyAddress place = routed->reply;
  RunRequest(partition, request, place,
             [this, home, routed = std::move(routed)](PeerReply reply) mutable {
               Return(home, std::move(routed), std::move(reply));
             });
}

void Forwarding::Return(uint32_t home, std::unique_ptr<Routed> routed, PeerReply reply) {
  if (home == core_->number()) {
    Settle(std::move(routed), std::move(reply));
    return;
  }
  Forwarding* there = &core_->engine().core(home).forwarding();
  core_->Post(home, [there, routed = std::move(routed), reply = std::move(reply)]() mutable {
    there->Settle(std::move(routed), std::move(reply));
  });
}

void Forwarding::Settle(std::unique_ptr<Routed> routed, PeerReply reply) {
  if (reply.outcome == PeerOutcome::kDone) {
    Answer(std::move(routed), std::move(reply));
  } else {
    router_.TakeBack(std::move(routed));
  }
}

void Forwarding::RunForPeer(uint32_t home, uint64_t caller, PeerRequest request) {
  Partition* partition = core_->FindPartition(request.partition);
  const uint64_t id = request.id;
  const Origin origin{{home, caller, id}, request.address};
  const auto hold = [&] {
    // Its node bounds what it has under way here.
    return HeldRequest{origin.place, [this, home, caller, request = std::move(request)]() mutable {
                         RunForPeer(home, caller, std::move(request));
                       }};
  };
  if (Hold(partition, origin, request, hold)) return;
  if (!guard_.Admit(caller, request.partition, request.epoch, partition->ready_period())) {
    PeerReply refusal = NotLeader();
    refusal.id = id;
    ReplyToPeer(home, caller, std::move(refusal));
    return;
  }
  RunRequest(partition, request, {home, caller, id}, [this, home, caller, id](PeerReply reply) {
    reply.id = id;
    ReplyToPeer(home, caller, std::move(reply));
  });
}

void Forwarding::ReplyToPeer(uint32_t home, uint64_t caller, PeerReply reply) {
  if (home == core_->number()) {
    server_.Reply(caller, std::move(reply));
    return;
  }
  Forwarding* there = &core_->engine().core(home).forwarding();
  core_->Post(home, [there, caller, reply = std::move(reply)]() mutable {
    there->server_.Reply(caller, std::move(reply));
  });
}

void Forwarding::CancelForPeer(const ReplyAddress& place, const PeerCancel& cancel) {
  Partition* partition = core_->FindPartition(cancel.partition);
  if (cancel.mode != PeerCancelMode::kGone) {
    partition->Unblock(place, cancel.mode == PeerCancelMode::kError);
    return;
  }
  if (!partition->CancelBlocked(place)) return;
  // Nobody wants the reply, but the sender has to know that nothing is outstanding.
  PeerReply reply;
  reply.id = cancel.id;
  ReplyToPeer(place.core, place.client, std::move(reply));
}

void Forwarding::PeerGone(uint64_t caller, const std::vector<WatchedKey>& watched) {
  guard_.Forget(caller);
  for (const auto& partition : core_->partitions()) partition->CancelBlockedOf(caller);
  for (const WatchedKey& key : watched) {
    core_->FindPartition(key.partition)->Unwatch(key.db, key.key);
  }
}

// ---- RouterHost

int64_t Forwarding::NowMs() const { return core_->clock().MonotonicMs(); }

int64_t Forwarding::RetryTimeoutMs() const { return core_->config().cluster_retry_timeout_ms; }

bool Forwarding::Leads(uint32_t partition) const { return core_->engine().Leads(partition); }

raft::NodeId Forwarding::LeaderOf(uint32_t partition) const {
  const raft::NodeId leader = core_->engine().LeaderOf(partition);
  // Elected, but not ready yet: a moment without a leader.
  return leader == core_->engine().identity().node_id ? raft::kNoNode : leader;
}

uint64_t Forwarding::LinkTo(raft::NodeId node) const {
  return links_ == nullptr ? 0 : links_->LinkTo(node);
}

bool Forwarding::Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) {
  return links_ != nullptr && links_->Send(link, kind, bytes);
}

size_t Forwarding::MaxItemBytes() const { return links_ == nullptr ? 0 : links_->max_item_bytes(); }

void Forwarding::RunHere(std::unique_ptr<Routed> routed) {
  const uint32_t home = core_->number();
  const uint32_t target = core_->engine().CoreOfPartition(routed->request.partition);
  if (target == home) {
    RunFor(home, std::move(routed));
    return;
  }
  Forwarding* there = &core_->engine().core(target).forwarding();
  core_->Post(target, [there, home, routed = std::move(routed)]() mutable {
    there->RunFor(home, std::move(routed));
  });
}

void Forwarding::Fence(uint32_t partition) {
  Engine* engine = &core_->engine();
  const uint32_t home = core_->number();
  const uint32_t target = engine->CoreOfPartition(partition);
  core_->Post(target, [engine, home, target, partition] {
    engine->core(target).Post(home, [engine, home, partition] {
      engine->core(home).forwarding().router().Fenced(partition);
    });
  });
}

void Forwarding::CatchUp(uint32_t partition, absl::AnyInvocable<void()> then) {
  Engine* engine = &core_->engine();
  const uint32_t home = core_->number();
  const uint32_t target = engine->CoreOfPartition(partition);
  core_->Post(target, [engine, home, target, partition, then = std::move(then)]() mutable {
    engine->core(target).FindPartition(partition)->CatchUp(
        [engine, home, target, then = std::move(then)]() mutable {
          engine->core(target).Post(home, std::move(then));
        });
  });
}

// Where a leader runs, clients that track are told of a change before anybody is answered. So they
// are here: who has written by this node and been answered may count on it.
void Forwarding::Answer(std::unique_ptr<Routed> routed, PeerReply reply) {
  const uint32_t partition = routed->request.partition;
  if (!routed->is_write || Leads(partition) || core_->engine().tracking_clients.load() == 0) {
    GiveAnswer(routed.get(), std::move(reply));
    return;
  }
  if (routed->blocking) {
    if (Client* client = core_->FindClient(routed->reply.client)) client->reply_is_late = true;
  }
  CatchUp(partition, [this, routed = std::move(routed), reply = std::move(reply)]() mutable {
    GiveAnswer(routed.get(), std::move(reply));
  });
}

void Forwarding::GiveAnswer(Routed* routed, PeerReply reply) {
  if (routed->request.asks_reads) {
    const PeerCommand& script = routed->request.commands[0];
    core_->tracking().ScriptAnswered(routed->reply, *script.command, script.args.args(),
                                     reply.read_nothing);
  }
  if (routed->answer) {
    routed->answer(std::move(reply));
  } else if (Client* client = core_->FindClient(routed->reply.client)) {
    client->ReplyArrived(routed->reply.slot, reply.TakeBytes());
  }
}

void Forwarding::WakeAt(int64_t at_ms) { core_->WakeAt(at_ms); }

CoreStats* Forwarding::stats() { return core_->stats(); }

}  // namespace holdfast::engine
