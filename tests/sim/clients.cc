#include "clients.h"

#include <algorithm>
#include <utility>

#include "../linear/checker.h"
#include "base/check.h"

namespace holdfast::sim {
namespace {

using linear::Kind;
using linear::ModelKind;
using linear::Operation;
using linear::Outcome;

constexpr uint64_t kRegisters = 2;
constexpr uint64_t kOtherDb = 1;  // of commands that nobody checks
constexpr uint64_t kRetryUs = 30'000;
// Beyond this a history is undecided, which is a failure.
constexpr uint64_t kConfigurations = 3'000'000;

std::string TextOf(const resp::Reply& reply) {
  return reply.is_null() ? std::string(linear::kMissing) : reply.string;
}

}  // namespace

Clients::Clients(Host* host, const Options& options, uint64_t seed, Report* report)
    : host_(host), options_(options), rng_(seed), report_(report), clients_(options.clients) {
  for (size_t i = 0; i < clients_.size(); ++i) {
    clients_[i].name = "c" + std::to_string(i);
    clients_[i].leaders.resize(options.partitions);
  }
}

void Clients::Start() {
  for (uint64_t c = 0; c < clients_.size(); ++c) {
    host_->After(rng_.Below(options_.think_us), [this, c] { Next(c); });
  }
}

bool Clients::idle() const {
  return std::none_of(clients_.begin(), clients_.end(),
                      [](const Client& client) { return client.busy; });
}

void Clients::AskEverything() {
  for (uint64_t c = 0; c < clients_.size(); ++c) {
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      for (uint64_t k = 0; k < kRegisters; ++k) {
        clients_[c].to_ask.push_back(ReadOf(ModelKind::kRegister, p, k));
      }
      for (const ModelKind model : {ModelKind::kCounter, ModelKind::kLock, ModelKind::kAppend}) {
        clients_[c].to_ask.push_back(ReadOf(model, p, 0));
      }
      // Everybody stores something, and learns what of the log may go.
      Request write;
      write.partition = p;
      write.db = kOtherDb;
      write.commands = {{"set", Key(p, "end", 0), "1"}};
      clients_[c].to_ask.push_back(std::move(write));
    }
    Next(c);
  }
}

// ---- The life of an operation

void Clients::Next(uint64_t c) {
  Client& client = clients_[c];
  CHECK(!client.busy);
  if (!client.to_ask.empty()) {
    Request request = std::move(client.to_ask.back());
    client.to_ask.pop_back();
    Begin(c, std::move(request));
  } else if (!stopped_ && operations_ < options_.most_operations) {
    ++operations_;
    Begin(c, RandomRequest(c));
  }
}

void Clients::Begin(uint64_t c, Request request) {
  Client& client = clients_[c];
  client.busy = true;
  client.request = std::move(request);
  client.start_us = host_->now_us();
  ++client.number;
  client.attempt = 0;
  ++(*report_)[Count::kCommands];
  host_->After(options_.timeout_us, [this, c, number = client.number] { Overdue(c, number); });
  Attempt(c);
}

void Clients::Attempt(uint64_t c) {
  Client& client = clients_[c];
  ++client.attempt;
  client.waits = true;
  const raft::NodeId leader = client.leaders[client.request.partition];
  const bool wanders = leader == raft::kNoNode || rng_.Chance(options_.wander_percent, 100);
  client.node = wanders ? host_->AnyNode() : leader;
  host_->SendRequest(client.node, client.request, {client.attempt, c, client.number});
}

// Nothing was applied: another attempt of the same operation.
void Clients::TryAgain(uint64_t c) {
  Client& client = clients_[c];
  client.waits = false;
  const uint32_t partition = client.request.partition;
  client.leaders[partition] = host_->LeaderAt(client.node, partition);
  host_->After(1 + rng_.Below(kRetryUs), [this, c, number = client.number] {
    if (clients_[c].busy && clients_[c].number == number && !clients_[c].waits) Attempt(c);
  });
}

void Clients::Overdue(uint64_t c, uint64_t number) {
  Client& client = clients_[c];
  if (!client.busy || client.number != number) return;
  client.leaders[client.request.partition] = raft::kNoNode;
  End(c, client.waits ? Outcome::kInDoubt : Outcome::kFailed);
}

void Clients::OnRefused(const engine::ReplyAddress& address) {
  const Client& client = clients_[address.client];
  if (!client.busy || client.number != address.slot || client.attempt != address.core) return;
  if (client.waits) TryAgain(address.client);
}

void Clients::OnNodeLost(raft::NodeId node) {
  for (uint64_t c = 0; c < clients_.size(); ++c) {
    const Client& client = clients_[c];
    if (client.busy && client.waits && client.node == node) End(c, Outcome::kInDoubt);
  }
}

void Clients::End(uint64_t c, Outcome outcome) {
  Client& client = clients_[c];
  const auto start = static_cast<int64_t>(client.start_us) * 1000;
  const auto end = static_cast<int64_t>(host_->now_us()) * 1000;
  for (Operation& operation : client.request.operations) {
    operation.outcome = outcome;
    operation.start = start;
    operation.end = outcome == Outcome::kInDoubt ? linear::kNever : end;
    if (outcome == Outcome::kOk) Learn(operation);
    history_.push_back(operation);
    report_->Note(Hash64(linear::Format(operation)));
  }
  ++(*report_)[outcome == Outcome::kOk       ? Count::kOperationsOk
               : outcome == Outcome::kFailed ? Count::kOperationsFailed
                                             : Count::kOperationsInDoubt];
  client.busy = client.waits = false;
  if (outcome == Outcome::kInDoubt && options_.mutant == Mutant::kDoubtRetried) {
    // The history says that it was asked once: the second time is nobody's operation.
    Request again = client.request;
    again.operations.clear();
    again.is_pair = false;
    client.to_ask.push_back(std::move(again));
  }
  host_->After(rng_.Below(options_.think_us), [this, c] {
    if (!clients_[c].busy) Next(c);
  });
}

void Clients::OnReply(const engine::ReplyAddress& address, const std::string& bytes,
                      raft::NodeId from) {
  const uint64_t c = address.client;
  Client& client = clients_[c];
  if (!client.busy || client.number != address.slot || client.attempt != address.core) return;
  if (!client.waits) return;
  resp::ReplyParser parser;
  if (parser.Next(bytes) != resp::ParseOutcome::kRequest || parser.consumed() != bytes.size()) {
    report_->Violation("a reply that is no RESP: " + bytes);
    return;
  }
  const resp::Reply& reply = parser.reply();
  if (reply.is_error() && reply.string.starts_with("TRYAGAIN")) {
    TryAgain(c);
    return;
  }
  client.leaders[client.request.partition] = from;
  if (reply.is_error() && reply.string.starts_with("INDOUBT")) {
    const bool done =
        options_.mutant == Mutant::kDoubtAsDone && client.request.commands.size() == 1 &&
        client.request.commands[0].size() == 3 && client.request.commands[0][0] == "set";
    End(c, done ? Outcome::kOk : Outcome::kInDoubt);
    return;
  }
  TakeReply(c, reply);
}

void Clients::TakeReply(uint64_t c, const resp::Reply& reply) {
  Client& client = clients_[c];
  std::vector<Operation>& operations = client.request.operations;
  const bool whole = client.request.commands.size() > 1;
  if (whole && reply.elements.size() != client.request.commands.size()) {
    report_->Violation("a transaction answered " + reply.ToText());
    return;
  }
  for (size_t i = 0; i < operations.size(); ++i) {
    const resp::Reply& result = whole ? reply.elements[i] : reply;
    if (TakeResult(&operations[i], result)) continue;
    report_->Violation(client.request.commands[i][0] + " " + operations[i].key + " answered " +
                       result.ToText());
    return;
  }
  if (client.request.is_pair && operations[0].kind == Kind::kRead &&
      operations[0].seen_number != operations[1].seen_number) {
    report_->Violation("half of a transaction is visible: " + reply.ToText());
  }
  End(c, Outcome::kOk);
}

// False: it is no answer to that.
bool Clients::TakeResult(Operation* operation, const resp::Reply& reply) {
  const auto integer = [&reply](int64_t* to) {
    *to = reply.integer;
    return reply.type == resp::ReplyType::kInteger;
  };
  switch (operation->kind) {
    case Kind::kWrite:
      return reply.string == "OK";
    case Kind::kRead:
      if (operation->model == ModelKind::kCounter) {
        operation->seen_number = reply.is_null() ? 0 : std::stoll("0" + reply.string);
      } else {
        operation->seen = TextOf(reply);
      }
      return !reply.is_error();
    case Kind::kReadRevision:
      operation->seen = std::string(linear::kMissing);
      operation->seen_number = 0;
      if (reply.is_null()) return true;
      if (reply.elements.size() != 3) return false;
      operation->seen = reply.elements[0].string;
      operation->seen_number = reply.elements[1].integer;
      return true;
    case Kind::kCas:
    case Kind::kCasRevision:
      if (reply.elements.size() != 2) return false;
      operation->flag = reply.elements[0].integer;
      operation->seen_number = reply.elements[1].integer;
      return true;
    case Kind::kSetIfMissing:
    case Kind::kDelete:
    case Kind::kUnlock:
      return integer(&operation->flag);
    case Kind::kIncrement:
    case Kind::kAppend:
      return integer(&operation->seen_number);
    case Kind::kLock:
      return reply.is_null() || integer(&operation->seen_number);
    case Kind::kExtend:
      if (reply.is_error() && reply.string.starts_with("NOTOWNER")) {
        operation->flag = Operation::kNotOwner;
        return true;
      }
      // The revision is not the token, once a renewal has recorded a longer lease.
      if (reply.elements.size() != 2) return false;
      operation->flag = reply.elements[0].integer;
      return true;
    case Kind::kInfo:
      operation->seen = std::string(linear::kMissing);
      if (reply.is_null()) return true;
      if (reply.Find("owner") == nullptr || reply.Find("token") == nullptr) return false;
      operation->seen = reply.Find("owner")->string;
      operation->seen_number = reply.Find("token")->integer;
      return true;
  }
  return false;
}

void Clients::Learn(const Operation& operation) {
  Seen& seen = seen_[operation.key];
  if (operation.kind == Kind::kWrite) seen = {operation.value, 0};
  if (operation.kind == Kind::kRead && operation.model == ModelKind::kRegister) {
    seen = {operation.seen, seen.revision};
  }
  if (operation.kind == Kind::kReadRevision) seen = {operation.seen, operation.seen_number};
}

// ---- What is asked

std::string Clients::Key(uint32_t partition, const char* name, uint64_t which) const {
  return name + KeyOf(partition, options_.partitions, "k", which, 7);
}

Request Clients::RandomRequest(uint64_t c) {
  const auto partition = static_cast<uint32_t>(rng_.Below(options_.partitions));
  Request request;
  request.partition = partition;
  const uint64_t dice = rng_.Below(100);
  if (dice < 20) {
    // Makes states of all sorts, and whole databases go.
    request.db = kOtherDb;
    for (uint64_t n = rng_.Chance(1, 4) ? 1 + rng_.Below(4) : 1; n > 0; --n) {
      request.commands.push_back(RandomCommand(partition, options_.partitions, kOtherDb, &rng_));
    }
  } else if (dice < 30) {
    return Pair(partition, c);
  } else if (dice < 37) {
    AddRegister(&request, Key(partition, "r", rng_.Below(kRegisters)), c);
    AddCounter(&request, Key(partition, "c", 0), c);
    AddAppend(&request, Key(partition, "a", 0), c);
  } else if (dice < 62) {
    AddRegister(&request, Key(partition, "r", rng_.Below(kRegisters)), c);
  } else if (dice < 74) {
    AddCounter(&request, Key(partition, "c", 0), c);
  } else if (dice < 88) {
    AddLock(&request, Key(partition, "l", 0), c);
  } else {
    AddAppend(&request, Key(partition, "a", 0), c);
  }
  return request;
}

Request Clients::ReadOf(ModelKind model, uint32_t partition, uint64_t key) {
  constexpr const char* kNames[] = {"r", "c", "l", "a"};
  Request request;
  request.partition = partition;
  const std::string name = Key(partition, kNames[static_cast<size_t>(model)], key);
  Add(&request, model, model == ModelKind::kLock ? Kind::kInfo : Kind::kRead, name, 0);
  request.commands.push_back({model == ModelKind::kLock ? "lockinfo" : "get", name});
  return request;
}

void Clients::Add(Request* request, ModelKind model, Kind kind, const std::string& key,
                  uint64_t c) {
  Operation operation;
  operation.model = model;
  operation.kind = kind;
  operation.key = key;
  operation.client = clients_[c].name;
  request->operations.push_back(std::move(operation));
}

void Clients::AddRegister(Request* request, const std::string& key, uint64_t c) {
  const Seen& seen = seen_[key];
  std::string value = clients_[c].name + "-" + std::to_string(clients_[c].number);
  value += "." + std::to_string(request->commands.size());
  constexpr Kind kKinds[] = {Kind::kWrite,        Kind::kWrite, Kind::kRead, Kind::kRead,
                             Kind::kReadRevision, Kind::kCas,   Kind::kCas,  Kind::kCasRevision,
                             Kind::kSetIfMissing, Kind::kDelete};
  Add(request, ModelKind::kRegister, kKinds[rng_.Below(std::size(kKinds))], key, c);
  Operation& operation = request->operations.back();
  switch (operation.kind) {
    case Kind::kWrite:
      request->commands.push_back({"set", key, value});
      break;
    case Kind::kRead:
      request->commands.push_back({"get", key});
      return;
    case Kind::kReadRevision:
      request->commands.push_back({"getrev", key});
      return;
    case Kind::kCas:
      operation.expected =
          seen.value.empty() || seen.value == linear::kMissing ? "none" : seen.value;
      request->commands.push_back({"cas", key, operation.expected, value});
      break;
    case Kind::kCasRevision:
      operation.number = seen.revision;
      request->commands.push_back({"casrev", key, std::to_string(seen.revision), value});
      break;
    case Kind::kSetIfMissing:
      request->commands.push_back({"setnx", key, value});
      break;
    default:
      request->commands.push_back({"del", key});
      return;
  }
  operation.value = value;
}

void Clients::AddCounter(Request* request, const std::string& key, uint64_t c) {
  const bool reads = rng_.Chance(1, 3);
  Add(request, ModelKind::kCounter, reads ? Kind::kRead : Kind::kIncrement, key, c);
  if (reads) {
    request->commands.push_back({"get", key});
    return;
  }
  const uint64_t delta = 1 + rng_.Below(3);
  request->operations.back().number = static_cast<int64_t>(delta);
  request->commands.push_back({"incrby", key, std::to_string(delta)});
}

void Clients::AddLock(Request* request, const std::string& key, uint64_t c) {
  constexpr Kind kKinds[] = {Kind::kLock, Kind::kLock, Kind::kLock,  Kind::kUnlock,
                             Kind::kInfo, Kind::kInfo, Kind::kExtend};
  Add(request, ModelKind::kLock, kKinds[rng_.Below(std::size(kKinds))], key, c);
  Operation& operation = request->operations.back();
  const std::string& owner = clients_[c].name;
  const auto ms = static_cast<int64_t>(50 + rng_.Below(800));
  if (operation.kind != Kind::kInfo) operation.value = owner;
  if (operation.kind == Kind::kLock || operation.kind == Kind::kExtend) {
    // A clock that runs fast ends it so much earlier.
    operation.number = ms * 1000 / static_cast<int64_t>(1000 + options_.fast_per_mille);
  }
  switch (operation.kind) {
    case Kind::kLock:
      request->commands.push_back({"lock", key, owner, std::to_string(ms)});
      if (rng_.Chance(1, 3)) {
        request->commands.back().insert(request->commands.back().end(),
                                        {"wait", std::to_string(1 + rng_.Below(500))});
      }
      return;
    case Kind::kUnlock:
      request->commands.push_back({"unlock", key, owner});
      return;
    case Kind::kExtend:
      request->commands.push_back({"extend", key, std::to_string(ms), "owner", owner});
      return;
    default:
      request->commands.push_back({"lockinfo", key});
      return;
  }
}

void Clients::AddAppend(Request* request, const std::string& key, uint64_t c) {
  const bool reads = rng_.Chance(1, 3);
  Add(request, ModelKind::kAppend, reads ? Kind::kRead : Kind::kAppend, key, c);
  if (reads) {
    request->commands.push_back({"get", key});
    return;
  }
  const std::string element = clients_[c].name + "." + std::to_string(clients_[c].number) + ";";
  request->operations.back().value = element;
  request->commands.push_back({"append", key, element});
}

// Two counters that are only ever changed and read together.
Request Clients::Pair(uint32_t partition, uint64_t c) {
  Request request;
  request.partition = partition;
  request.is_pair = true;
  const bool reads = rng_.Chance(1, 2);
  for (const char* name : {"p", "q"}) {
    const std::string key = Key(partition, name, 0);
    Add(&request, ModelKind::kCounter, reads ? Kind::kRead : Kind::kIncrement, key, c);
    if (reads) {
      request.commands.push_back({"get", key});
    } else {
      request.operations.back().number = 1;
      request.commands.push_back({"incrby", key, "1"});
    }
  }
  return request;
}

void Clients::Check() {
  linear::Options options;
  options.configurations = kConfigurations;
  options.seconds = 60;
  const linear::Report checked = linear::CheckHistory(history_, options);
  (*report_)[Count::kHistories] += checked.keys;
  if (checked.passed()) return;
  const linear::KeyReport& fault = checked.faults.front();
  report_->Violation(fault.key + (fault.verdict == linear::Verdict::kUndecided
                                      ? ": its history is undecided"
                                      : ": its history is not linearizable\n" + fault.explanation));
}

}  // namespace holdfast::sim
