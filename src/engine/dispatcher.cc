#include "engine/dispatcher.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/gather.h"
#include "engine/session_context.h"
#include "resp/writer.h"

namespace holdfast::engine {
namespace {

// Commands and bytes that MULTI may queue.
constexpr size_t kMaxQueued = 1024 * 1024;

// "'a' 'b' ": as much of the arguments as Redis shows for an unknown command.
std::string ShowArgs(Args args) {
  std::string shown;
  for (size_t i = 1; i < args.size() && shown.size() < 128; ++i) {
    shown += '\'';
    shown += args[i].substr(0, 128 - std::min<size_t>(128, shown.size()));
    shown += "' ";
  }
  return shown;
}

// Finds the row for the request, a subcommand's where there is one; rejects and returns nullptr
// when there is none.
const Command* Resolve(Client* client, Args args) {
  const CommandTable& table = client->core->engine().commands();
  const Command* command = table.Find(args[0]);
  if (command == nullptr) {
    Reject(client, nullptr,
           "ERR unknown command '" + std::string(args[0].substr(0, 128)) +
               "', with args beginning with: " + ShowArgs(args));
    return nullptr;
  }
  if (command->subcommands.empty() || args.size() < 2) return command;
  const Command* subcommand = table.FindSubcommand(*command, args[1]);
  // Whoever has no user is the node itself.
  if (subcommand != nullptr && subcommand->has(kInternal) && client->user != nullptr) {
    subcommand = nullptr;
  }
  if (subcommand == nullptr) {
    Reject(client, command,
           "ERR unknown subcommand '" + std::string(args[1].substr(0, 128)) + "'. Try " +
               ToUpper(command->name) + " HELP.");
  }
  return subcommand;
}

// Commands that run at once inside MULTI instead of being queued.
bool RunsInsideMulti(const Command& command) {
  const std::string_view name = command.name;
  return command.parent.empty() && (name == "exec" || name == "discard" || name == "multi" ||
                                    name == "watch" || name == "quit" || name == "reset");
}

// What a client may still do in RESP2 once it listens, where a message can't be told from a reply.
bool AllowedWhileSubscribed(const Command& command) {
  const std::string_view name = command.name;
  return command.parent.empty() &&
         (name == "ping" || name == "subscribe" || name == "unsubscribe" || name == "psubscribe" ||
          name == "punsubscribe" || name == "ssubscribe" || name == "sunsubscribe" ||
          name == "quit" || name == "reset");
}

// `in_transaction`, `behind`: see SessionContext.
void RunSession(Client* client, const Command& command, Args args, bool in_transaction = false,
                const TransactionGate* behind = nullptr) {
  // As in Redis any command makes room first, since clients' buffers may have grown: what INFO
  // tells is true.
  if (client->core->config().maxmemory_bytes != 0 && !in_transaction) {
    client->core->evictor().Tick();
  }
  const int64_t begin_ns = client->core->clock().MonotonicNs();
  std::optional<PubSub::AfterReply> after_reply;
  if (client->subscribed()) after_reply.emplace(client);
  // The handler writes into a string of its own: it may reserve places in the queue meanwhile.
  std::string reply;
  resp::Writer writer(&reply, client->protocol);
  SessionContext context(client, command, args, &writer);
  context.in_transaction = in_transaction;
  context.behind = behind;
  command.session(context);
  if (!reply.empty()) {
    client->replies.Begin(nullptr)->append(reply);
    if (context.replies_messages) {
      client->replies.CommitReady();
    } else {
      FinishReply(client);
    }
  }
  if (context.accounts_itself) return;
  client->core->CommandDone({&command, args, client->db}, CallerOf(*client),
                            client->core->clock().MonotonicNs() - begin_ns, reply);
}

}  // namespace

void Reject(Client* client, const Command* command, std::string_view error) {
  resp::Writer(client->replies.Begin(nullptr), client->protocol).Error(error);
  FinishReply(client);
  if (client->in_multi) client->multi_failed = true;
  if (command != nullptr) {
    client->core->CommandRejected(*command, error);
  } else {
    client->core->stats()->CountError(error);
  }
}

void Refuse(Client* client, const Command& command, std::string_view error) {
  if (!command.parent.empty() || command.name != "exec") {
    Reject(client, &command, error);
    return;
  }
  ResetTransaction(client);
  UnwatchAll(client);
  Reject(client, &command, "EXECABORT Transaction discarded because of: " + std::string(error));
}

namespace {

data::Author AuthorOf(const Client& client) {
  if (client.tracking == nullptr || !client.tracking->options.no_loop) return {};
  return {client.core->engine().author_node(), client.id};
}

}  // namespace

Caller CallerOf(const Client& client) {
  Caller caller;
  caller.db = client.db;
  caller.protocol = client.protocol;
  caller.no_touch = client.no_touch;
  caller.unconfirmed = client.core->config().reads == Reads::kLocal;
  if (client.tracking != nullptr) {
    if (Tracking::Remembers(client)) caller.reader = client.id;
    caller.author = AuthorOf(client);
  }
  caller.address = client.address;
  caller.name = client.name;
  if (!client.unrestricted && client.user != nullptr) {
    caller.acl_user = client.user->name();
    caller.acl_revision = client.core->access().users().changed();
  }
  return caller;
}

std::unique_ptr<Routed> MakeRouted(const Client& client, uint32_t partition, PeerRequestType type) {
  auto routed = std::make_unique<Routed>();
  routed->request.partition = partition;
  routed->request.type = type;
  routed->request.no_touch = client.no_touch;
  routed->request.protocol = client.protocol;
  routed->request.author = AuthorOf(client);
  routed->request.address = client.address;
  routed->request.name = client.name;
  if (!client.unrestricted && client.user != nullptr) {
    routed->request.acl_user = client.user->name();
    routed->request.acl_revision = client.core->access().users().changed();
  }
  routed->reply = {client.core->number(), client.id, 0};
  return routed;
}

void NoteReserved(Client* client, uint64_t slot) {
  if (client->reply_mode != ReplyMode::kOn) client->muted_slots.push_back(slot);
}

void FinishReply(Client* client) {
  if (client->reply_mode == ReplyMode::kOn) {
    client->replies.CommitReady();
  } else {
    client->replies.Abandon();
  }
}

void FinishReply(Client* client, Partition* partition, const ExecResult& result) {
  if (client->reply_mode == ReplyMode::kOn) {
    client->replies.Commit(partition, result.gate, result.is_write);
  } else {
    client->replies.Abandon();
  }
}

namespace {

// ---- MULTI

void Queue(Client* client, const Command& command, Args args) {
  if (command.has(kNoMulti)) {
    Reject(client, &command, "ERR Command not allowed inside a transaction");
    return;
  }
  const Config& config = client->core->config();
  if (command.has(kDenyOom) && config.maxmemory_bytes != 0 &&
      config.maxmemory_policy == MaxmemoryPolicy::kNoEviction &&
      client->core->UsedMemory() > config.maxmemory_bytes) {
    Reject(client, &command, kOutOfMemory);
    return;
  }
  if (client->queued.size() >= kMaxQueued ||
      client->queued_bytes > config.query_buffer_limit_bytes) {
    Reject(client, &command, "ERR transaction is too large");
    return;
  }
  if (command.route != Route::kSession) {
    std::vector<int> positions;
    int64_t partition = -1;
    if (command.route == Route::kKeys || command.route == Route::kSpread) {
      if (FindKeys(command, args, &positions)) {
        partition = PartitionOfKeys(*client, args, positions);
      }
    } else {
      partition = client->core->engine().partitions() == 1 ? 0 : -2;
    }
    if (partition == -2 ||
        (partition >= 0 && client->multi_partition >= 0 && partition != client->multi_partition)) {
      Reject(client, &command, kCrossSlot);
      return;
    }
    if (partition >= 0) client->multi_partition = partition;
  }
  client->queued.push_back({&command, OwnedArgs(args)});
  client->queued_bytes += client->queued.back().args.MemoryBytes();
  client->queued_may_write |= RequestMayWrite(client->core, command, args);
  client->replies.Begin(nullptr)->append("+QUEUED\r\n");
  FinishReply(client);
}

// Whether too much waits on the way of the request. Asked only when something waits at all.
bool MustWait(const Client& client, const Command& command, Args args) {
  const Engine& engine = client.core->engine();
  const Router& router = client.core->router();
  if (command.name == "exec") {
    return client.multi_partition >= 0 &&
           router.Full(static_cast<uint32_t>(client.multi_partition));
  }
  if (command.route == Route::kSession) return false;
  if (command.route == Route::kKeys || command.route == Route::kSpread) {
    std::vector<int> positions;
    if (!FindKeys(command, args, &positions)) return false;
    return std::any_of(positions.begin(), positions.end(), [&](int i) {
      return router.Full(engine.PartitionOfSlot(KeySlot(args[static_cast<size_t>(i)])));
    });
  }
  for (uint32_t p = 0; p < engine.partitions(); ++p) {
    if (router.Full(p)) return true;
  }
  return false;
}

// Whether the request is about keys, and reads that this node answers as a follower are on their
// way, which it must not overtake.
bool MustWaitForReads(const Client& client, const Command& command) {
  if (client.follower_slots.empty() || IsKeyRead(command)) return false;
  return command.route != Route::kSession || command.name == "exec" || command.name == "watch";
}

// Redis answers nothing while a script takes long. Here a command is refused when its partition is
// busy, which the partition itself does; one that is queued, when that can be told; and one that
// touches no key when nothing of the keyspace is served, as it always is with one partition.
std::string_view WhyBusy(const Client& client, const Command& command, Args args, bool queued) {
  const Engine& engine = client.core->engine();
  const uint32_t busy = engine.busy_partitions();
  if (busy == 0 || command.has(kAllowBusy)) return {};
  if (busy == engine.partitions()) {
    return queued || command.route == Route::kSession ? engine.WhyBusy(0) : std::string_view();
  }
  if (!queued || (command.route != Route::kKeys && command.route != Route::kSpread)) return {};
  std::vector<int> positions;
  if (!FindKeys(command, args, &positions)) return {};
  const int64_t partition = PartitionOfKeys(client, args, positions);
  return partition < 0 ? std::string_view() : engine.WhyBusy(static_cast<uint32_t>(partition));
}

// CLIENT REPLY SKIP covers exactly one request, CLIENT CACHING one or a transaction. `command`
// null: there was none.
void AfterRequest(Client* client, const Command* command) {
  if (client->reply_mode == ReplyMode::kSkipThis) client->reply_mode = ReplyMode::kOn;
  if (client->tracking == nullptr || client->in_multi) return;
  if (command == nullptr || command->parent != "client") client->tracking->caching = false;
}

}  // namespace

Dispatched Dispatch(Client* client, Args args) {
  CHECK(!args.empty());
  Core* core = client->core;
  if (client->reply_mode == ReplyMode::kSkipNext) client->reply_mode = ReplyMode::kSkipThis;
  const Command* command = Resolve(client, args);
  if (command == nullptr) {
    AfterRequest(client, nullptr);
    return Dispatched::kDone;
  }
  const auto later = [client] {
    if (client->reply_mode == ReplyMode::kSkipThis) client->reply_mode = ReplyMode::kSkipNext;
    return Dispatched::kTryLater;
  };
  if (core->router().crowded() && MustWait(*client, *command, args)) {
    core->WaitForRoom(client);
    return later();
  }
  if (MustWaitForReads(*client, *command)) {
    client->waits_for_reads = true;
    return later();
  }
  if (!ArityFits(*command, args.size())) {
    Refuse(client, *command,
           "ERR wrong number of arguments for '" + FullName(*command) + "' command");
    AfterRequest(client, command);
    return Dispatched::kDone;
  }
  if (!client->unrestricted && !core->access().Allows(client, *command, args)) {
    AfterRequest(client, command);
    return Dispatched::kDone;
  }
  if (client->subscribed() && client->protocol == 2 && !AllowedWhileSubscribed(*command)) {
    Reject(client, command,
           "ERR Can't execute '" + FullName(*command) +
               "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
               "this context");
    AfterRequest(client, command);
    return Dispatched::kDone;
  }
  const bool queued = client->in_multi && !RunsInsideMulti(*command);
  if (const std::string_view busy = WhyBusy(*client, *command, args, queued); !busy.empty()) {
    Refuse(client, *command, busy);
    AfterRequest(client, command);
    return Dispatched::kDone;
  }
  if (core->pause().until_ms != 0 && core->IsPaused(*client, *command, args)) {
    core->WaitForPause(client);
    return later();
  }
  client->last_command = command;
  ++client->commands;
  // What is queued is shown when EXEC runs it, and EXEC behind it.
  const bool watched = core->engine().monitors.load(std::memory_order_relaxed) > 0;
  const bool early = ShowsItselfEarly(*command) && !queued;
  const bool shows_itself = early || queued || (client->in_multi && command->name == "exec");
  if (watched && early) FeedMonitors(core, client->db, client->address, *command, args);
  if (queued) {
    Queue(client, *command, args);
  } else if (command->route == Route::kSession) {
    RunSession(client, *command, args);
  } else {
    RunData(client, *command, args);
  }
  // After the command, as in Redis: RESET in MONITOR isn't shown to the one who sent it.
  if (!shows_itself && core->engine().monitors.load(std::memory_order_relaxed) > 0) {
    FeedMonitors(core, client->db, client->address, *command, args);
  }
  AfterRequest(client, command);
  return Dispatched::kDone;
}

// ---- EXEC

namespace {

// Queued commands between two session commands: they run on the partition as part of the one
// transaction, and their replies come as one run of bytes.
struct TransactionRequest {
  std::vector<QueuedCommand> queued;
  std::vector<uint32_t> dbs;
  std::vector<WatchedKey> watched;

  static bool RunsOnPartition(const QueuedCommand& queued) {
    return queued.command->route != Route::kSession && queued.refusal.empty();
  }
  std::vector<Request> DataRequests() const {
    std::vector<Request> requests;
    for (size_t i = 0; i < queued.size(); ++i) {
      if (!RunsOnPartition(queued[i])) continue;
      requests.push_back({queued[i].command, queued[i].args.args(), dbs[i]});
    }
    return requests;
  }
};

// The database that each queued command runs in: SELECT changes it for those behind it.
std::vector<uint32_t> DatabasesOf(const Client& client, const std::vector<QueuedCommand>& queued) {
  std::vector<uint32_t> dbs;
  uint32_t db = client.db;
  for (const QueuedCommand& command : queued) {
    dbs.push_back(db);
    int64_t wanted;
    if (command.command->name == "select" && command.args.args().size() == 2 &&
        ParseInt64(command.args.args()[1], &wanted) && wanted >= 0 &&
        wanted < static_cast<int64_t>(data::kLogicalDatabases)) {
      db = static_cast<uint32_t>(wanted);
    }
  }
  return dbs;
}

// Puts the reply of a transaction into the client's queue: the array's head, then per queued
// command its bytes from the partition, or whatever its session handler answers.
void ReplyTransaction(Client* client, const TransactionRequest& transaction, Partition* partition,
                      const ExecResult* result, std::vector<std::string> replies) {
  // Among them may be subscribing, and publishing to itself.
  const PubSub::AfterReply after_reply(client);
  TransactionGate gate;
  if (partition != nullptr) gate = {partition, result->gate, result->is_write};
  resp::Writer(client->replies.Begin(nullptr), client->protocol).Array(transaction.queued.size());
  FinishReply(client);
  size_t next = 0;
  for (const QueuedCommand& queued : transaction.queued) {
    std::string refusal = queued.refusal;
    // Those in front of it may have changed who the client is.
    if (queued.command->route == Route::kSession) {
      refusal =
          client->core->access().WhyRefusedAtExec(client, *queued.command, queued.args.args());
    }
    if (!refusal.empty()) {
      resp::Writer(client->replies.Begin(nullptr), client->protocol).Error(refusal);
      FinishReply(client);
      continue;
    }
    if (queued.command->route == Route::kSession) {
      RunSession(client, *queued.command, queued.args.args(), /*in_transaction=*/true,
                 partition != nullptr ? &gate : nullptr);
      continue;
    }
    client->replies.Begin(partition)->append(replies[next++]);
    if (partition != nullptr) {
      FinishReply(client, partition, *result);
    } else {
      FinishReply(client);
    }
  }
}

// The transaction was refused as a whole: nothing was executed.
void ReplyRefused(Client* client, std::string_view refusal) {
  resp::Writer(client->replies.Begin(nullptr), client->protocol)
      .Error("EXECABORT Transaction discarded because of: " + std::string(refusal));
  FinishReply(client);
}

void ReplyAborted(Client* client, Partition* partition, const ExecResult* result) {
  resp::Writer(client->replies.Begin(partition), client->protocol).NullArray();
  if (partition != nullptr) {
    FinishReply(client, partition, *result);
  } else {
    FinishReply(client);
  }
}

// The outcome of a transaction that ran on another core or node.
void ReplyOutcome(Client* client, const TransactionRequest& transaction, size_t data_commands,
                  PeerReply outcome) {
  if (outcome.refused) {
    ReplyRefused(client, outcome.error);
  } else if (!outcome.error.empty()) {
    resp::Writer(client->replies.Begin(nullptr), client->protocol).Error(outcome.error);
    FinishReply(client);
  } else if (!outcome.executed) {
    ReplyAborted(client, nullptr, nullptr);
  } else {
    // Should replies be missing, the form of the whole is kept.
    outcome.replies.resize(data_commands, "$-1\r\n");
    ReplyTransaction(client, transaction, nullptr, nullptr, std::move(outcome.replies));
  }
}

// The replies of a transaction on this core that a script kept from ending at once.
class TransactionReply final : public GateWaiter {
 public:
  TransactionReply(Core* home, uint64_t client, std::shared_ptr<TransactionRequest> transaction,
                   bool is_write, PeerReply outcome)
      : home_(home),
        client_(client),
        transaction_(std::move(transaction)),
        is_write_(is_write),
        outcome_(std::move(outcome)) {}

  void OnGateOpen() override {
    Client* owner = home_->FindClient(client_);
    if (owner == nullptr) return;
    --owner->waiting;
    ReplyOutcome(owner, *transaction_, transaction_->DataRequests().size(), std::move(outcome_));
    owner->GateOpened();
    if (owner->waiting == 0) home_->ResumeLater(owner);
  }
  void OnGateLost(bool proposed) override {
    outcome_ = PeerReply::Error(is_write_ && proposed ? kInDoubt : kTryAgain);
    OnGateOpen();
  }

 private:
  Core* const home_;
  const uint64_t client_;
  const std::shared_ptr<TransactionRequest> transaction_;
  const bool is_write_;
  PeerReply outcome_;
};

void WaitForTransaction(Client* client, Partition* partition,
                        std::shared_ptr<TransactionRequest> transaction) {
  ++client->waiting;
  partition->WhenScriptEnds(
      [home = client->core, id = client->id, partition, transaction = std::move(transaction)](
          const ExecResult& result, std::vector<std::string> replies) mutable {
        PeerReply outcome;
        outcome.replies = std::move(replies);
        outcome.refused = !result.refusal.empty();
        outcome.error = result.refusal;
        partition->WaitAt(result.gate,
                          std::make_unique<TransactionReply>(home, id, std::move(transaction),
                                                             result.is_write, std::move(outcome)));
      });
}

void RouteTransaction(Client* client, std::shared_ptr<TransactionRequest> transaction,
                      uint32_t number) {
  Core* home = client->core;
  std::unique_ptr<Routed> routed = MakeRouted(*client, number, PeerRequestType::kTransaction);
  for (size_t i = 0; i < transaction->queued.size(); ++i) {
    QueuedCommand& queued = transaction->queued[i];
    if (!TransactionRequest::RunsOnPartition(queued)) continue;
    if (Tracking::Remembers(*client)) {
      home->tracking().Remember(client, *queued.command, queued.args.args());
    }
    routed->is_write |= queued.command->may_write();
    // What it needs and isn't here may be known there: the error is then that node's to give.
    const Command* sent = queued.command;
    if (sent->forward != nullptr) (void)sent->forward(*home, &sent, &queued.args);
    if ((sent->acl & kAclScripting) != 0) {
      routed->request.functions_revision = home->engine().functions_revision.load();
    }
    routed->request.commands.push_back({sent, transaction->dbs[i], std::move(queued.args)});
  }
  routed->request.watched = transaction->watched;
  // The client takes no further request until this one is answered: its reply is put together from
  // the partition's and from session commands that run then.
  ++client->waiting;
  routed->answer = [home, id = client->id, transaction,
                    data_commands = routed->request.commands.size()](PeerReply outcome) {
    Client* owner = home->FindClient(id);
    if (owner == nullptr) return;
    --owner->waiting;
    ReplyOutcome(owner, *transaction, data_commands, std::move(outcome));
    owner->GateOpened();
    if (owner->waiting == 0) home->ResumeLater(owner);
  };
  home->router().Submit(std::move(routed));
}

}  // namespace

void RunTransaction(Client* client, const Command& exec) {
  auto transaction = std::make_shared<TransactionRequest>();
  transaction->queued = std::move(client->queued);
  transaction->dbs = DatabasesOf(*client, transaction->queued);
  transaction->watched = std::move(client->watched);
  client->watched.clear();
  int64_t number = client->multi_partition;
  ResetTransaction(client);
  for (QueuedCommand& queued : transaction->queued) {
    if (client->unrestricted || queued.command->route == Route::kSession) continue;
    queued.refusal =
        client->core->access().WhyRefusedAtExec(client, *queued.command, queued.args.args());
  }
  for (const WatchedKey& watch : transaction->watched) {
    if (number >= 0 && number != watch.partition) {
      // Watched keys and changed keys have to be on one partition to be compared atomically.
      Unwatch(client, std::move(transaction->watched));
      Reject(client, &exec, kCrossSlot);
      return;
    }
    number = watch.partition;
  }
  if (number < 0) {
    // Nothing to compare; commands without keys run on any partition.
    bool has_data = false;
    for (const QueuedCommand& queued : transaction->queued) {
      has_data |= TransactionRequest::RunsOnPartition(queued);
    }
    if (!has_data) {
      ReplyTransaction(client, *transaction, nullptr, nullptr, {});
      return;
    }
    number = 0;
  }
  Partition* partition = client->core->FindPartition(static_cast<uint32_t>(number));
  if (partition == nullptr || !client->core->router().Direct(partition->number()) ||
      partition->HoldsRequests() ||
      MustWaitForValues(*client, *partition, transaction->DataRequests())) {
    RouteTransaction(client, std::move(transaction), static_cast<uint32_t>(number));
    return;
  }
  std::vector<std::string> replies;
  const ExecResult result = partition->ExecuteTransaction(
      transaction->DataRequests(), CallerOf(*client), transaction->watched, &replies);
  for (const WatchedKey& watch : transaction->watched) partition->Unwatch(watch.db, watch.key);
  if (result.suspended) {
    WaitForTransaction(client, partition, std::move(transaction));
  } else if (!result.refusal.empty()) {
    ReplyRefused(client, result.refusal);
  } else if (result.executed) {
    ReplyTransaction(client, *transaction, partition, &result, std::move(replies));
    WaitForAnnouncement(client, partition, result);
  } else {
    ReplyAborted(client, partition, &result);
  }
}

void ResetTransaction(Client* client) {
  client->in_multi = false;
  client->multi_failed = false;
  client->multi_partition = -1;
  client->queued.clear();
  client->queued_bytes = 0;
  client->queued_may_write = false;
}

void CancelBlocked(Client* client) {
  if (!client->blocked) return;
  Core* core = client->core;
  Engine* engine = &core->engine();
  const ReplyAddress address{core->number(), client->id, client->blocked_slot};
  const uint32_t number = client->blocked_partition;
  engine->blocked_clients.fetch_sub(1, std::memory_order_relaxed);
  client->blocked = false;
  if (core->router().Cancel(number, address)) return;
  if (Partition* partition = core->FindPartition(number)) {
    partition->CancelBlocked(address);
    return;
  }
  core->Post(engine->CoreOfPartition(number), [engine, number, address] {
    engine->core(engine->CoreOfPartition(number)).FindPartition(number)->CancelBlocked(address);
  });
}

}  // namespace holdfast::engine
