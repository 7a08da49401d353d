// The way of one request with keys: to its partition here, on another core or on another node.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/gather.h"

namespace holdfast::engine {

// Not scripts, which may ask for anything; not LOCKINFO: a lease counts from when the leader
// executed its grant, which a follower sees only once that is committed.
bool IsKeyRead(const Command& command) {
  return command.has(kReadonly) && !command.may_write() && !command.has(kBlocking) &&
         (command.acl & (kAclLock | kAclScripting)) == 0 &&
         (command.route == Route::kKeys || command.route == Route::kSpread);
}

int64_t PartitionOfKeys(const Client& client, Args args, const std::vector<int>& positions) {
  const Engine& engine = client.core->engine();
  if (positions.empty()) return -1;
  if (engine.partitions() == 1) return 0;
  int64_t partition = -1;
  for (const int i : positions) {
    const auto p =
        static_cast<int64_t>(engine.PartitionOfSlot(KeySlot(args[static_cast<size_t>(i)])));
    if (partition >= 0 && p != partition) return -2;
    partition = p;
  }
  return partition;
}

namespace {

// Whether this node answers the client's read although it doesn't lead the partition. What the
// client has asked before and is not answered must not be overtaken, unless it is of this kind.
bool ReadsAsFollower(const Client& client, const Command& command, uint32_t partition) {
  const Engine& engine = client.core->engine();
  return (client.readonly || client.core->config().reads == Reads::kLocal) && IsKeyRead(command) &&
         partition < engine.partitions() && !engine.Leads(partition) &&
         client.replies.open_slots() == client.follower_slots.size();
}

void ReadAsFollower(Client* client, const Command& command, Args args, uint32_t number) {
  Core* core = client->core;
  BlockedRequest request;
  request.address = {core->number(), client->id, client->replies.Reserve()};
  NoteReserved(client, request.address.slot);
  client->follower_slots.push_back(request.address.slot);
  request.command = &command;
  request.args = OwnedArgs(args);
  request.caller.db = client->db;
  request.caller.protocol = client->protocol;
  request.caller.no_touch = client->no_touch;
  const bool confirm = core->config().reads != Reads::kLocal;
  if (Partition* partition = core->FindPartition(number)) {
    partition->ReadAsFollower(std::move(request), confirm);
    return;
  }
  Core* there = &core->engine().core(core->engine().CoreOfPartition(number));
  core->Post(there->number(), [there, number, confirm, request = std::move(request)]() mutable {
    there->FindPartition(number)->ReadAsFollower(std::move(request), confirm);
  });
}

}  // namespace

namespace {

// The reply of a script that takes long. Until it is there, no further request of its client is
// taken.
void WaitForScript(Client* client, Partition* partition) {
  const ReplyAddress address{client->core->number(), client->id, client->replies.Reserve()};
  NoteReserved(client, address.slot);
  client->deferred_slots.push_back(address.slot);
  ++client->waiting;
  partition->WhenScriptEnds(
      [partition, address](const ExecResult& result, std::vector<std::string> replies) {
        if (!result.refusal.empty()) {
          partition->host()->Deliver(address, "-" + std::string(result.refusal) + "\r\n");
        } else {
          partition->DeliverAt(result.gate, result.is_write, address, std::move(replies[0]));
        }
      });
}

class Announced final : public GateWaiter {
 public:
  Announced(Core* home, uint64_t client) : home_(home), client_(client) {}

  void OnGateOpen() override {
    Client* owner = home_->FindClient(client_);
    if (owner == nullptr) return;
    if (--owner->waiting == 0) home_->ResumeLater(owner);
  }
  void OnGateLost(bool) override { OnGateOpen(); }

 private:
  Core* const home_;
  const uint64_t client_;
};

}  // namespace

void WaitForAnnouncement(Client* client, Partition* partition, const ExecResult& result) {
  if (!result.announces) return;
  ++client->waiting;
  Core* core = client->core;
  auto waiter = std::make_unique<Announced>(core, client->id);
  if (!partition->IsOpen(result.AnnounceGate())) {
    partition->WaitAt(result.AnnounceGate(), std::move(waiter));
  } else {
    core->Post(core->number(), [waiter = std::move(waiter)] { waiter->OnGateOpen(); });
  }
}

bool MustWaitForValues(const Client& client, const Partition& partition,
                       std::span<const Request> requests) {
  if (!partition.MayMissValues()) return false;
  const Origin origin{{client.core->number(), client.id, 0}, {}};
  return partition.MissingValues(origin, requests).has_value();
}

// Here and at once, when the partition is led on this core and nothing of it is under way; here,
// when it is a read that its client lets a follower answer; else the router knows.
void RunOn(Client* client, const Command& command, Args args, uint32_t number) {
  Core* core = client->core;
  Partition* partition = core->FindPartition(number);
  const Request request{&command, args, client->db};
  const bool direct = partition != nullptr && core->router().Direct(number) &&
                      (command.has(kAllowBusy) || !partition->HoldsRequests()) &&
                      !MustWaitForValues(*client, *partition, {&request, 1});
  const bool may_block = command.has(kBlocking);
  // Before it leaves: what changes behind it is told. What runs here tells by itself what it reads.
  const bool remembers = !direct && Tracking::Remembers(*client);
  const bool is_script = (command.acl & kAclScripting) != 0;
  if (remembers && !is_script) core->tracking().Remember(client, command, args);
  if (!direct && ReadsAsFollower(*client, command, number)) {
    ReadAsFollower(client, command, args, number);
    return;
  }
  if (direct && !may_block) {
    std::string* out = client->replies.Begin(partition);
    const ExecResult result = partition->Execute(request, CallerOf(*client), {}, out);
    CHECK(!result.blocked);
    if (result.suspended) {
      client->replies.Abandon();
      WaitForScript(client, partition);
      return;
    }
    if (result.too_long) {
      // As with any other reply that doesn't fit into the buffer. From elsewhere the error comes.
      client->replies.Abandon();
      ++core->stats()->output_buffer_limit_disconnections;
      client->Close("output buffer limit reached");
      return;
    }
    FinishReply(client, partition, result);
    WaitForAnnouncement(client, partition, result);
    return;
  }
  const Command* sent = &command;
  OwnedArgs sent_args;
  if (!direct) {
    sent_args = OwnedArgs(args);
    if (command.forward != nullptr) {
      const std::string_view error = command.forward(*core, &sent, &sent_args);
      if (!error.empty()) {
        Reject(client, &command, error);
        return;
      }
    }
  }
  const ReplyAddress reply{core->number(), client->id, client->replies.Reserve()};
  NoteReserved(client, reply.slot);
  if (may_block) {
    ++client->waiting;
    client->blocked = true;
    client->blocked_slot = reply.slot;
    client->blocked_partition = number;
    client->blocked_args = OwnedArgs(args);
    client->revoked.clear();
    core->engine().blocked_clients.fetch_add(1, std::memory_order_relaxed);
  }
  if (direct) {
    partition->ExecuteAndDeliver(request, CallerOf(*client), reply);
    return;
  }
  std::unique_ptr<Routed> routed = MakeRouted(*client, number, PeerRequestType::kCommand);
  if (is_script) {
    routed->request.functions_revision = core->engine().functions_revision.load();
    routed->request.asks_reads = remembers;
    if (remembers) core->tracking().RememberScript(reply, *sent, sent_args.args());
  }
  routed->request.commands.push_back({sent, client->db, std::move(sent_args)});
  routed->is_write = command.may_write();
  routed->blocking = may_block;
  routed->reply = reply;
  core->router().Submit(std::move(routed));
}

namespace {

// On the meta partition, or on the one that the arguments name.
void RunOnNamedPartition(Client* client, const Command& command, Args args) {
  const Engine& engine = client->core->engine();
  if (!engine.in_cluster() && command.parent == "cluster") {
    Reject(client, &command, kNoCluster);
    return;
  }
  uint64_t number = engine.meta_partition();
  if (command.route == Route::kPartition &&
      (!ParseUint64(args[2], &number) || number >= engine.all_partitions())) {
    Reject(client, &command, "ERR Invalid partition number");
    return;
  }
  RunOn(client, command, args, static_cast<uint32_t>(number));
}

}  // namespace

void RunData(Client* client, const Command& command, Args args) {
  std::vector<int>& positions = client->key_positions;
  positions.clear();
  switch (command.route) {
    case Route::kEveryPartition:
    case Route::kByCursor:
      RunOnManyPartitions(client, command, args);
      return;
    case Route::kMeta:
    case Route::kPartition:
      RunOnNamedPartition(client, command, args);
      return;
    case Route::kKeys:
    case Route::kSpread:
      break;
    case Route::kSession:
      CHECK_MSG(false, "a session command has no partition");
  }
  if (!FindKeys(command, args, &positions)) {
    // The handler words the error; it touches no key then. Any partition will do.
    RunOn(client, command, args, 0);
    return;
  }
  const int64_t partition = PartitionOfKeys(*client, args, positions);
  if (partition >= 0) {
    RunOn(client, command, args, static_cast<uint32_t>(partition));
  } else if (partition == -1) {
    RunOn(client, command, args, 0);
  } else if (command.route == Route::kSpread) {
    RunOnManyPartitions(client, command, args);
  } else {
    Reject(client, &command, kCrossSlot);
  }
}

}  // namespace holdfast::engine
