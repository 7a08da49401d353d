// Simulated clients of a group: each asks one thing at a time, of the node that it believes to
// lead, and all that they see is a history for the checker of tests/linear.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../linear/history.h"
#include "base/rng.h"
#include "commands.h"
#include "engine/client.h"
#include "mutants.h"
#include "raft/types.h"
#include "report.h"
#include "resp/reply_parser.h"

namespace holdfast::sim {

// A request: one command, or a transaction.
struct Request {
  uint32_t partition = 0;
  uint32_t db = 0;
  std::vector<Command> commands;
  // What each command is to the checker; empty for commands on keys that nobody checks.
  std::vector<linear::Operation> operations;
  bool is_pair = false;  // reads two counters that always change together
};

class Clients {
 public:
  // The network between clients and nodes.
  class Host {
   public:
    virtual ~Host() = default;
    virtual uint64_t now_us() const = 0;
    virtual void After(uint64_t us, std::function<void()> what) = 0;
    // Arrives later or never. The answer, if any, comes by OnReply or OnRefused.
    virtual void SendRequest(raft::NodeId node, const Request& request,
                             const engine::ReplyAddress& address) = 0;
    virtual raft::NodeId AnyNode() = 0;
    // The node that this one takes for the partition's leader.
    virtual raft::NodeId LeaderAt(raft::NodeId node, uint32_t partition) = 0;
  };

  struct Options {
    uint32_t partitions = 1;
    uint64_t clients = 3;
    uint64_t think_us = 20'000;  // at most
    uint64_t timeout_us = 1'500'000;
    uint64_t wander_percent = 10;  // how often a client asks just anybody
    uint64_t most_operations = 1500;
    // The fastest clock runs so many thousandths fast: leases may seem shorter by that.
    uint64_t fast_per_mille = 0;
    Mutant mutant = Mutant::kNone;
  };
  Clients(Host* host, const Options& options, uint64_t seed, Report* report);

  void Start();
  // No new operations; those under way end.
  void Stop() { stopped_ = true; }
  bool idle() const;
  // Everybody writes once more, and reads every key.
  void AskEverything();

  void OnReply(const engine::ReplyAddress& address, const std::string& bytes, raft::NodeId from);
  // Nobody is there: nothing was applied.
  void OnRefused(const engine::ReplyAddress& address);
  // Its connections are gone.
  void OnNodeLost(raft::NodeId node);

  // Whether the history is linearizable, key by key.
  void Check();
  const std::vector<linear::Operation>& history() const { return history_; }

 private:
  struct Client {
    std::string name;
    bool busy = false;
    bool waits = false;    // an attempt is under way
    uint32_t attempt = 0;  // of the operation
    uint64_t number = 0;   // of the operation
    uint64_t start_us = 0;
    raft::NodeId node = raft::kNoNode;
    std::vector<raft::NodeId> leaders;  // by partition, as far as it knows
    Request request;
    std::vector<Request> to_ask;
  };
  // What somebody has read of a register.
  struct Seen {
    std::string value;
    int64_t revision = 0;
  };

  void Next(uint64_t client);
  void Begin(uint64_t client, Request request);
  void Attempt(uint64_t client);
  void TryAgain(uint64_t client);
  void Overdue(uint64_t client, uint64_t number);
  void End(uint64_t client, linear::Outcome outcome);
  void TakeReply(uint64_t client, const resp::Reply& reply);
  bool TakeResult(linear::Operation* operation, const resp::Reply& reply);
  void Learn(const linear::Operation& operation);

  Request RandomRequest(uint64_t client);
  Request ReadOf(linear::ModelKind model, uint32_t partition, uint64_t key);
  void Add(Request* request, linear::ModelKind model, linear::Kind kind, const std::string& key,
           uint64_t client);
  void AddRegister(Request* request, const std::string& key, uint64_t client);
  void AddCounter(Request* request, const std::string& key, uint64_t client);
  void AddLock(Request* request, const std::string& key, uint64_t client);
  void AddAppend(Request* request, const std::string& key, uint64_t client);
  Request Pair(uint32_t partition, uint64_t client);
  std::string Key(uint32_t partition, const char* name, uint64_t which) const;

  Host* const host_;
  const Options options_;
  Rng rng_;
  Report* const report_;
  std::vector<Client> clients_;
  std::map<std::string, Seen> seen_;
  std::vector<linear::Operation> history_;
  uint64_t operations_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::sim
