#include "engine/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/transport_links.h"
#include "replica/message_codec.h"

namespace holdfast::engine {
namespace {

// Reading from clients stops while the log has this much that is not durable yet.
constexpr uint64_t kMaxUndurableBytes = uint64_t{128} << 20;

}  // namespace

Core::Core(Engine* engine, uint32_t number, const Config& config)
    : engine_(engine),
      number_(number),
      config_(config),
      mailbox_(&loop_),
      tick_(&loop_),
      pause_timer_(&loop_) {
  stats_.commands.resize(engine->commands().size());
  by_number_.resize(engine->all_partitions());
  persister_ = std::make_unique<Persister>(this);
  forwarding_ = std::make_unique<Forwarding>(this);
  snapshots_ = std::make_unique<Snapshots>(this);
  durable_ = std::make_unique<net::Notifier>(&loop_, [this] { replicas_->OnDurable(); });
}

Core::~Core() {
  for (const auto& partition : partitions_) partition->AbandonScript(/*answer=*/false);
  snapshots_->Stop();
  persister_->Stop();
  if (log_ != nullptr) log_->Stop();
}

void Core::OpenLog(storage::FileSystem* fs, const std::string& directory,
                   std::unique_ptr<storage::WalWriter> writer) {
  storage::LogOptions options;
  options.max_pending_bytes = kMaxUndurableBytes;
  options.on_durable = [this] { durable_->Notify(); };
  log_ = std::make_unique<storage::LogThread>("hf-log-" + std::to_string(number_), fs, directory,
                                              std::move(writer), std::move(options));
  replicas_ = std::make_unique<replica::Host>(log_.get(), SystemClock(), this);
}

Status Core::AddPartition(std::unique_ptr<Partition> partition, const raft::GroupConfig& config,
                          raft::Restored restored, std::unique_ptr<storage::Store> store) {
  const uint64_t applied = restored.applied.index;
  Result<replica::Replica*> replica =
      replicas_->Add(partition->number(), config, std::move(restored), partition.get());
  if (!replica.ok()) return replica.status();
  partition->Attach(replica.value());
  persister_->AddPartition(partition.get(), std::move(store), applied,
                           partition->keyspace().found_dead_records());
  by_number_[partition->number()] = partition.get();
  partitions_.push_back(std::move(partition));
  return Status::Ok();
}

void Core::Run() {
  for (uint32_t i = 0; i < engine_->cores(); ++i) {
    outboxes_.push_back(std::make_unique<net::Outbox>(&engine_->core(i).mailbox_));
  }
  loop_.OnTurnEnd([this] { return TurnEnd(); });
  ArmTick(clock().MonotonicMs());
  loop_.Run();
}

// ---- The turn

bool Core::TurnEnd() {
  if (!to_resume_.empty()) ResumeAll(&to_resume_);
  // Partitions may be added while their turn ends (a reply that wakes a blocked request).
  for (size_t i = 0; i < turn_end_.size(); ++i) turn_end_[i]->TurnEnd();
  turn_end_.clear();
  replicas_->EndTurn();
  forwarding_->TurnEnd();
  tracking_.TurnEnd();
  if (!waiting_for_room_.empty() && router().TakeRoom()) ResumeAll(&waiting_for_room_);
  // To the other nodes, while the log thread writes.
  if (transport_ != nullptr) transport_->Flush();
  // Messages leave before replies: whatever a client does after its answer, on any core, comes
  // behind what the answered command had to tell that core.
  for (auto& outbox : outboxes_) outbox->Flush();
  FlushClients();
  for (auto& outbox : outboxes_) outbox->Flush();
  if (transport_ != nullptr) transport_->Flush();
  keyspace_bytes_.store(KeyspaceBytesNow(), std::memory_order_relaxed);
  log_bytes_.store(log_->pending_bytes() + persister_->pending_bytes(), std::memory_order_relaxed);
  if (!waiting_for_calm_.empty()) ResumeWaiting();
  if (drained_) CheckDrained();
  if (!ready()) CheckReady();
  return !turn_end_.empty() || !dirty_.empty() || !to_resume_.empty();
}

void Core::CheckReady() {
  // In a cluster clients may come at once: whoever leads serves them, or they wait for it.
  for (const auto& partition : partitions_) {
    if (!partition->ready() && !engine_->in_cluster()) return;
  }
  ready_.store(true, std::memory_order_release);
  engine_->CoreReady();
}

void Core::NeedsTurnEnd(Partition* partition) {
  if (std::find(turn_end_.begin(), turn_end_.end(), partition) == turn_end_.end()) {
    turn_end_.push_back(partition);
  }
  // A deadline may have come closer.
  const int64_t blocked_ms = partition->blocked().next_deadline_ms();
  if (blocked_ms != 0) ArmTick(blocked_ms);
}

void Core::ContinueLater(Partition* partition) {
  Post(number_, [partition] { partition->ContinueScript(); });
}

void Core::FlushClients() {
  flushing_.swap(dirty_);
  for (const uint64_t id : flushing_) {
    if (Client* client = FindClient(id)) {
      client->dirty = false;
      client->Flush();
    }
  }
  flushing_.clear();
}

void Core::FlushEarly(Client* client) {
  if (transport_ != nullptr) transport_->Flush();
  for (auto& outbox : outboxes_) outbox->Flush();
  client->Flush();
}

void Core::ArmTick(int64_t at_ms) {
  if (tick_at_ms_ != 0 && tick_at_ms_ <= at_ms && tick_.active()) return;
  tick_at_ms_ = at_ms;
  const int64_t wait_ms = std::max<int64_t>(0, at_ms - clock().MonotonicMs());
  tick_.Start(static_cast<uint64_t>(wait_ms), 0, [this] { Tick(); });
}

void Core::Tick() {
  tick_at_ms_ = 0;
  replicas_->Tick();
  const int64_t now_ms = clock().MonotonicMs();
  int64_t next = now_ms + std::max<int64_t>(1, 1000 / config_.hz);
  if (replicas_->NeedsTicks()) next = now_ms + 10;
  for (auto& partition : partitions_) {
    const int64_t wish = partition->Tick();
    if (wish != 0) next = std::min(next, std::max(wish, now_ms + 1));
  }
  const int64_t forwarding_wish = forwarding_->Tick();
  if (forwarding_wish != 0) next = std::min(next, std::max(forwarding_wish, now_ms + 1));
  tracking_.Tick();
  if (evictor_.Tick()) next = std::min(next, now_ms + 1);
  persister_->Pump(false);
  stats_.max_turn_ns = std::max(stats_.max_turn_ns, static_cast<uint64_t>(loop_.TakeMaxTurnNs()));
  rates_.Sample(now_ms, {stats_.commands_processed, stats_.input_bytes, stats_.output_bytes});
  if (number_ == 0) engine_->SampleMemory();
  ArmTick(next);
}

int64_t Core::NowMs() {
  // One reading a turn is exact enough for expiry times, but a long turn moves on.
  if (wall_turn_ != loop_.turns() || ++wall_uses_ >= 64) {
    wall_turn_ = loop_.turns();
    wall_uses_ = 0;
    wall_ms_ = clock().WallMs();
  }
  return wall_ms_;
}

uint64_t Core::KeyspaceBytesNow() const {
  uint64_t bytes = 0;
  for (const auto& partition : partitions_) bytes += partition->MemoryBytes();
  return bytes;
}

uint64_t Core::UsedMemory() const { return engine_->UsedMemory(*this); }

bool Core::DiskIsFull() const { return log_->free_bytes() < config_.disk_reserve_bytes; }

void Core::CommandDone(const Request& request, const Caller& caller, int64_t ns,
                       std::string_view reply) {
  CommandStats& stats = stats_.commands[request.command->id];
  ++stats.calls;
  ++stats_.commands_processed;
  stats.ns += static_cast<uint64_t>(ns);
  if (config_.latency_tracking) stats.latency.Add(static_cast<uint64_t>(ns));
  if (!reply.empty() && reply[0] == '-') {
    ++stats.failed;
    if (!caller.error_counted) stats_.CountError(reply.substr(1, reply.find('\r') - 1));
  }
  const int64_t us = ns / 1000;
  NoteLatency(request.command->has(kFast) ? "fast-command" : "command", ns);
  if (config_.slowlog_slower_than_us < 0 || us < config_.slowlog_slower_than_us ||
      request.command->has(kSkipSlowlog)) {
    return;
  }
  slowlog_.Add(engine_->NextSlowId(), clock().WallMs() / 1000, us, *request.command, request.args,
               caller.address, caller.name, static_cast<size_t>(config_.slowlog_max_len));
}

void Core::NoteLatency(std::string_view event, int64_t ns) {
  const int64_t threshold_ms = config_.latency_monitor_threshold_ms;
  if (threshold_ms == 0 || ns / 1'000'000 < threshold_ms) return;
  latency_.Add(event, clock().WallMs() / 1000, ns / 1'000'000);
}

void Core::CommandRejected(const Command& command, std::string_view error) {
  ++stats_.commands[command.id].rejected;
  stats_.CountError(error);
}

void Core::RunAfter(uint64_t ms, absl::AnyInvocable<void()> task) {
  const uint64_t number = next_delayed_++;
  auto timer = std::make_unique<net::Timer>(&loop_);
  timer->Start(ms, 0, [this, number, task = std::move(task)]() mutable {
    // The timer that calls owns this closure: it goes when the task has run.
    task();
    delayed_.erase(number);
  });
  delayed_.emplace(number, std::move(timer));
}

// ---- Other nodes

void Core::OpenTransport(replica::Credentials credentials, replica::TransportOptions options) {
  options.link.clock = [this] { return LatestRevision(); };
  options.seed = engine_->identity().node_id + number_;
  const replica::PeerLinkOptions link_options = options.link;
  transport_ = std::make_unique<replica::Transport>(&loop_, std::move(credentials),
                                                    std::move(options), this);
  links_ = std::make_unique<TransportLinks>(transport_.get(), link_options);
  forwarding_->SetLinks(links_.get());
}

uint64_t Core::LatestRevision() const {
  uint64_t latest = 0;
  for (const auto& partition : partitions_) {
    latest = std::max(latest, partition->last_revision());
  }
  return latest;
}

void Core::Send(uint32_t partition, const raft::Message& message) {
  // Without a link the message is lost, which raft takes into account.
  if (transport_ != nullptr) transport_->SendMessage(partition, message);
}

void Core::OnUp(replica::PeerLink& link) {
  forwarding_->OnLinkUp();
  if (peer_events.on_up) peer_events.on_up(link);
}

void Core::OnClock(replica::PeerLink&, uint64_t clock) {
  for (const auto& partition : partitions_) partition->ObserveRevision(clock);
}

void Core::OnItem(replica::PeerLink& link, replica::ItemKind kind, std::string_view bytes) {
  if (kind == replica::ItemKind::kRaft) {
    OnRaftItem(link, bytes);
  } else if (kind == replica::ItemKind::kRequest || kind == replica::ItemKind::kReply ||
             kind == replica::ItemKind::kCancel) {
    forwarding_->OnItem(link.id(), kind, bytes);
  } else if (kind == replica::ItemKind::kSnapshot) {
    OnSnapshotItem(link, bytes);
  } else if (kind == replica::ItemKind::kSnapshotAck) {
    OnSnapshotAck(link, bytes);
  } else if (kind == replica::ItemKind::kPublish) {
    pubsub_.OnPeerItem(link, bytes);
  } else if (peer_events.on_item) {
    peer_events.on_item(link, kind, bytes);
  }
}

void Core::OnDown(replica::PeerLink& link, const Status&) { forwarding_->OnLinkDown(link.id()); }

void Core::OnRaftItem(replica::PeerLink& link, std::string_view bytes) {
  uint32_t partition;
  raft::Message message;
  const Status status = replica::DecodeMessage(bytes, &partition, &message);
  if (!status.ok() || partition >= engine_->all_partitions() || message.from != link.node()) {
    link.Close(status.ok() ? Status::Corruption("a message that is not the peer's to send")
                           : status);
    return;
  }
  const uint32_t target = engine_->CoreOfPartition(partition);
  if (target == number_) {
    replicas_->Deliver(partition, std::move(message));
    return;
  }
  Core* core = &engine_->core(target);
  Post(target, [core, partition, message = std::move(message)]() mutable {
    core->replicas_->Deliver(partition, std::move(message));
  });
}

void Core::OnSnapshotItem(replica::PeerLink& link, std::string_view bytes) {
  replica::SnapshotItem item;
  const Status status = replica::DecodeSnapshotItem(bytes, &item);
  if (!status.ok() || item.partition >= engine_->all_partitions()) {
    link.Close(status.ok() ? Status::Corruption("a snapshot of a partition that isn't there")
                           : status);
    return;
  }
  const uint32_t target = engine_->CoreOfPartition(item.partition);
  Core* core = &engine_->core(target);
  Post(target, [core, from = link.node(), item = std::move(item)]() mutable {
    core->snapshots_->OnItem(from, std::move(item));
  });
}

void Core::OnSnapshotAck(replica::PeerLink& link, std::string_view bytes) {
  replica::SnapshotAck ack;
  const Status status = replica::DecodeSnapshotAck(bytes, &ack);
  if (!status.ok() || ack.partition >= engine_->all_partitions()) {
    link.Close(status.ok() ? Status::Corruption("an answer for a partition that isn't there")
                           : status);
    return;
  }
  const uint32_t target = engine_->CoreOfPartition(ack.partition);
  Core* core = &engine_->core(target);
  Post(target, [core, from = link.node(), ack] { core->snapshots_->OnAck(from, ack); });
}

// ---- Messages

void Core::Post(uint32_t target, net::Task task) { outboxes_[target]->Post(std::move(task)); }

void Core::Deliver(const ReplyAddress& address, std::string bytes) {
  if (address.core == number_) {
    if (Client* client = FindClient(address.client)) {
      client->ReplyArrived(address.slot, bytes);
    } else {
      forwarding_->Deliver(address, std::move(bytes));
    }
    return;
  }
  Core* target = &engine_->core(address.core);
  Post(address.core, [target, address, bytes = std::move(bytes)]() mutable {
    target->Deliver(address, std::move(bytes));
  });
}

// ---- Clients

void Core::AddClient(Client* client) {
  const bool fresh = clients_.emplace(client->id, client).second;
  CHECK(fresh);
}

void Core::AddInternalClient(Client* client) { internal_clients_.emplace(client->id, client); }

void Core::RemoveClient(Client* client) {
  LeavePause(client);
  tracking_.Disable(client);
  clients_.erase(client->id);
  internal_clients_.erase(client->id);
}

Client* Core::FindClient(uint64_t id) const {
  if (const auto it = clients_.find(id); it != clients_.end()) return it->second;
  const auto it = internal_clients_.find(id);
  return it == internal_clients_.end() ? nullptr : it->second;
}

void Core::WakeClient(uint64_t client) {
  if (Client* found = FindClient(client)) found->GateOpened();
}

void Core::NoteRead(uint64_t reader, const Request& request, const ChangePosition& seen) {
  if (Client* client = FindClient(reader)) {
    tracking_.Remember(client, *request.command, request.args, seen);
  }
}

void Core::GatesLost(Partition* partition) {
  // Also those that no partition knows of yet, because their turn has not ended.
  for (const auto* clients : {&clients_, &internal_clients_}) {
    for (const auto& [id, client] : *clients) {
      client->replies.LoseGates(partition);
      client->GateOpened();
    }
  }
}

bool Core::Overloaded() const {
  if (log_->saturated()) return true;
  if (persister_->pending_bytes() > config_.persist_queue_limit_bytes) return true;
  if (evictor_.on_credit()) return true;
  if (engine_->held_bytes(number_).load(std::memory_order_relaxed) > kMaxHeldBytes) return true;
  for (const auto& outbox : outboxes_) {
    if (outbox->congested()) return true;
  }
  return false;
}

void Core::WaitUntilCalm(Client* client) { waiting_for_calm_.push_back(client->id); }

void Core::WaitForRoom(Client* client) {
  waiting_for_room_.push_back(client->id);
  router().NoteFull();
}

void Core::ResumeWaiting() {
  if (Overloaded()) {
    // What it waits for ends with a message to this loop, except another core's queue.
    ArmTick(clock().MonotonicMs() + 1);
    return;
  }
  ResumeAll(&waiting_for_calm_);
}

void Core::ResumeAll(std::vector<uint64_t>* ids) {
  std::vector<uint64_t> taken;
  taken.swap(*ids);
  for (const uint64_t id : taken) {
    if (Client* client = FindClient(id)) client->Resume();
  }
}

void Core::ResumeLater(Client* client) {
  to_resume_.push_back(client->id);
  loop_.RequestTurn();
}

// ---- Partitions

Partition* Core::FindPartition(uint32_t number) const { return by_number_[number]; }

void Core::Persist(Partition* partition, data::PersistJob job) {
  persister_->Add(partition, std::move(job));
}

void Core::GiveBack(Partition* partition, BlockedRequest request) {
  const uint32_t number = partition->number();
  const uint32_t home = request.address.core;
  if (home == number_) {
    forwarding_->GiveBack(number, std::move(request));
    return;
  }
  Forwarding* there = &engine_->core(home).forwarding();
  Post(home, [there, number, request = std::move(request)]() mutable {
    there->GiveBack(number, std::move(request));
  });
}

void Core::StandingChanged(Partition* partition) {
  const uint32_t number = partition->number();
  const bool had_leader = engine_->LeaderOf(number) != raft::kNoNode;
  engine_->NoteStanding(number, partition->replica()->group().leader(), partition->ready());
  // It may be this node that is cut off, and hears of no change any more.
  if (had_leader && engine_->LeaderOf(number) == raft::kNoNode) tracking_.EverythingChanged();
  // Before the cores run there is nothing to tell them.
  for (uint32_t i = 0; i < outboxes_.size(); ++i) {
    Forwarding* there = &engine_->core(i).forwarding();
    Post(i, [there, number] { there->LeaderChanged(number); });
  }
}

void Core::Rebuild(Partition* partition, RebuildRequest request) {
  persister_->Rebuild(partition, std::move(request));
}

void Core::LoadValues(Partition* partition, ValueRequest request) {
  persister_->LoadValues(partition, std::move(request));
}

void Core::SendSnapshot(Partition* partition, raft::NodeId peer) {
  snapshots_->Send(partition, peer);
}

void Core::Retire(uint32_t number, std::unique_ptr<data::Database> database) {
  // While loading there is nothing to collect that loading doesn't find by itself.
  if (Partition* partition = by_number_[number]) persister_->CollectDead(partition);
  const size_t keys = database->table.size();
  persister_->FreeLater(std::move(database), keys);
}

void Core::SetConfig(const Config& config) {
  config_ = config;
  engine_->ShareOptions(config);
  evictor_.ConfigChanged();
  tracking_.Tick();
  access_.ConfigChanged();
  slowlog_.Trim(static_cast<size_t>(config.slowlog_max_len));
}

void Core::Drain(absl::AnyInvocable<void()> done) {
  drained_ = std::move(done);
  SetPause({});
  router().Drain();
  loop_.RequestTurn();
}

void Core::CheckDrained() {
  for (const auto& [id, client] : clients_) {
    if (client->waiting > 0 && client->blocked) continue;  // waits for a lock: nothing is owed
    if (!client->replies.empty()) return;
  }
  absl::AnyInvocable<void()> done = std::move(drained_);
  drained_ = nullptr;
  persister_->Flush(std::move(done));
}

}  // namespace holdfast::engine
