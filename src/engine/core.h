// One core: a thread, its loop, its partitions with their log and persister threads, its clients.
// Cores share nothing; they exchange messages (Post).
//
// The end of a turn, in order: partitions propose what the turn gathered and confirm its reads; the
// log thread gets one batch; messages to other cores leave with at most one wake-up each; replies
// whose gates are open are written.
//
// Loop thread of this core only, unless a function says otherwise.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/persist.h"
#include "engine/access_control.h"
#include "engine/client.h"
#include "engine/config.h"
#include "engine/evictor.h"
#include "engine/forwarding.h"
#include "engine/partition.h"
#include "engine/persister.h"
#include "engine/pubsub.h"
#include "engine/rates.h"
#include "engine/slowlog.h"
#include "engine/snapshots.h"
#include "engine/stats.h"
#include "engine/tracking.h"
#include "net/event_loop.h"
#include "net/mailbox.h"
#include "replica/replica.h"
#include "replica/transport.h"
#include "storage/log_thread.h"

namespace holdfast::engine {

class Core;
class Engine;

// Whether the request may write or publish, as far as can be told before it runs.
[[nodiscard]] bool RequestMayWrite(Core* core, const Command& command, Args args);

class Core final : public PartitionHost, public replica::MessageSink, public replica::PeerHandler {
 public:
  Core(Engine* engine, uint32_t number, const Config& config);
  ~Core() override;

  uint32_t number() const { return number_; }
  Engine& engine() { return *engine_; }
  net::EventLoop& loop() { return loop_; }

  // ---- Start and stop; see Engine.
  // Makes the log and persister threads. Start-up thread.
  void OpenLog(storage::FileSystem* fs, const std::string& directory,
               std::unique_ptr<storage::WalWriter> writer);
  // Takes a partition over. Start-up thread.
  Status AddPartition(std::unique_ptr<Partition> partition, const raft::GroupConfig& config,
                      raft::Restored restored, std::unique_ptr<storage::Store> store);
  // Runs the loop until Stop. This core's thread.
  void Run();
  // Alone: all partitions lead and have every entry in memory. In a cluster: the loop runs. Any
  // thread.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  // Makes the links to other nodes. This core's thread, or before it runs.
  void OpenTransport(replica::Credentials credentials, replica::TransportOptions options);
  // Null when the node is alone.
  replica::Transport* transport() { return transport_.get(); }
  // Takes no more requests, lets what is in flight finish, flushes the store; then `done` runs.
  void Drain(absl::AnyInvocable<void()> done);
  bool draining() const { return drained_ != nullptr; }

  // ---- Messages.
  // Runs `task` on core `target`, in the order of the calls; at once in the next turn when that is
  // this core.
  void Post(uint32_t target, net::Task task);
  // From threads that are no core.
  void PostFromAnyThread(net::Task task) { mailbox_.PostFromAnyThread(std::move(task)); }

  // ---- Clients.
  void AddClient(Client* client);
  // One that is in no list of clients.
  void AddInternalClient(Client* client);
  void RemoveClient(Client* client);
  Client* FindClient(uint64_t id) const;
  const absl::flat_hash_map<uint64_t, Client*>& clients() const { return clients_; }
  // For Client::MarkDirty.
  void AddDirty(Client* client) { dirty_.push_back(client->id); }
  // Client::Resume is called before this turn ends, outside of whatever is running now.
  void ResumeLater(Client* client);
  // Whether clients have to wait with further requests: the log, the persister or another core is
  // behind, or evicts for this one, or too many of their requests are held. They are resumed when
  // it has caught up.
  bool Overloaded() const;
  void WaitUntilCalm(Client* client);
  // The lane of the client's next request is full; see Router. It is resumed when there is room.
  void WaitForRoom(Client* client);
  // Writes the client's replies that may leave before the turn ends, behind the messages to other
  // cores and nodes, as at the turn's end.
  void FlushEarly(Client* client);

  // Who clients are, and what they may do.
  AccessControl& access() { return access_; }
  const AccessControl& access() const { return access_; }

  // ---- CLIENT PAUSE.
  struct Pause {
    int64_t until_ms = 0;  // monotonic; 0 = not paused
    bool only_writes = false;
  };
  void SetPause(const Pause& pause);
  const Pause& pause() const { return pause_; }
  // Whether the client's request has to wait.
  bool IsPaused(const Client& client, const Command& command, Args args);
  // It is resumed when the pause ends; until then it counts as blocked.
  void WaitForPause(Client* client);

  // ---- Partitions.
  const std::vector<std::unique_ptr<Partition>>& partitions() const { return partitions_; }
  // nullptr when it lives on another core.
  Partition* FindPartition(uint32_t number) const;
  replica::Host& replicas() { return *replicas_; }
  storage::LogThread& log() { return *log_; }
  Persister& persister() { return *persister_; }
  Snapshots& snapshots() { return *snapshots_; }
  Evictor& evictor() { return evictor_; }
  PubSub& pubsub() { return pubsub_; }
  const PubSub& pubsub() const { return pubsub_; }
  Tracking& tracking() { return tracking_; }
  const Tracking& tracking() const { return tracking_; }
  // The way of requests to and from other cores and nodes.
  Forwarding& forwarding() { return *forwarding_; }
  const Router& router() const { return forwarding_->router(); }
  Router& router() { return forwarding_->router(); }
  // The timer fires at this monotonic time at the latest.
  void WakeAt(int64_t at_ms) { ArmTick(at_ms); }

  // ---- PartitionHost
  Core* core() override { return this; }
  const Config& config() const override { return config_; }
  const Clock& clock() const override { return *SystemClock(); }
  CoreStats* stats() override { return &stats_; }
  int64_t NowMs() override;
  void CommandDone(const Request& request, const Caller& caller, int64_t ns,
                   std::string_view reply) override;
  void CommandRejected(const Command& command, std::string_view error) override;
  void NoteLatency(std::string_view event, int64_t ns) override;
  uint64_t UsedMemory() const override;
  bool DiskIsFull() const override;
  bool EvictElsewhere(const Partition* asking, size_t max_keys) override {
    return evictor_.EvictElsewhere(asking, max_keys);
  }
  // As in Redis, keys don't go by themselves while clients are paused.
  bool ActiveExpireEnabled() const override { return active_expire_ && pause_.until_ms == 0; }
  void Deliver(const ReplyAddress& address, std::string bytes) override;
  void PublishKeyEvent(const KeyEvent& event) override { pubsub_.PublishKeyEvent(event); }
  void NoteCommitted(const ChangePosition& position, std::string_view payload) override {
    tracking_.OnCommitted(position, payload);
  }
  void NoteReplaced() override { tracking_.EverythingChanged(); }
  void NoteRead(uint64_t reader, const Request& request, const ChangePosition& seen) override;
  void WakeClient(uint64_t client) override;
  void GatesLost(Partition* partition) override;
  void GiveBack(Partition* partition, BlockedRequest request) override;
  void StandingChanged(Partition* partition) override;
  void Rebuild(Partition* partition, RebuildRequest request) override;
  void LoadValues(Partition* partition, ValueRequest request) override;
  void Persist(Partition* partition, data::PersistJob job) override;
  void NeedsTurnEnd(Partition* partition) override;
  void ContinueLater(Partition* partition) override;
  void SendSnapshot(Partition* partition, raft::NodeId peer) override;

  // ---- The rest.
  // What of other nodes' items is not the engine's own business goes here, and news of links.
  struct PeerEvents {
    std::function<void(replica::PeerLink&, replica::ItemKind, std::string_view)> on_item;
    std::function<void(replica::PeerLink&)> on_up;
  };
  PeerEvents peer_events;
  void SetConfig(const Config& config);
  void set_active_expire(bool on) { active_expire_ = on; }
  SlowLog& slowlog() { return slowlog_; }
  LatencyMonitor& latency() { return latency_; }
  const RateMeter& rates() const { return rates_; }
  // Runs `task` after `ms` milliseconds, unless the core ends before that.
  void RunAfter(uint64_t ms, absl::AnyInvocable<void()> task);
  uint64_t KeyspaceBytesNow() const;
  // Bytes of entries that are held for the log or the store. Any thread.
  uint64_t log_bytes() const { return log_bytes_.load(std::memory_order_relaxed); }
  // Bytes that this core's clients hold; theirs to change. Any thread may read.
  std::atomic<uint64_t> client_bytes{0};
  // A flushed database of partition `number`: freed, and its records collected, elsewhere.
  void Retire(uint32_t number, std::unique_ptr<data::Database> database);
  // Bytes of the keys of this core's partitions, as of the last turn. Any thread.
  uint64_t keyspace_bytes() const { return keyspace_bytes_.load(std::memory_order_relaxed); }

 private:
  bool TurnEnd();
  // ---- replica::MessageSink
  void Send(uint32_t partition, const raft::Message& message) override;
  // ---- replica::PeerHandler
  void OnUp(replica::PeerLink& link) override;
  void OnClock(replica::PeerLink& link, uint64_t clock) override;
  void OnItem(replica::PeerLink& link, replica::ItemKind kind, std::string_view bytes) override;
  void OnDown(replica::PeerLink& link, const Status& why) override;
  void OnRaftItem(replica::PeerLink& link, std::string_view bytes);
  void OnSnapshotItem(replica::PeerLink& link, std::string_view bytes);
  void OnSnapshotAck(replica::PeerLink& link, std::string_view bytes);
  uint64_t LatestRevision() const;
  void FlushClients();
  void Tick();
  void ArmTick(int64_t at_ms);
  void ResumeWaiting();
  void ResumeAll(std::vector<uint64_t>* ids);
  void CheckDrained();
  void LeavePause(Client* client);
  void CheckReady();

  Engine* const engine_;
  const uint32_t number_;
  Config config_;
  net::EventLoop loop_;
  net::Mailbox mailbox_;
  std::vector<std::unique_ptr<net::Outbox>> outboxes_;  // by core; made at the first turn
  std::unique_ptr<net::Notifier> durable_;
  std::unique_ptr<storage::LogThread> log_;
  std::unique_ptr<replica::Transport> transport_;
  std::unique_ptr<PeerLinks> links_;  // of transport_
  std::unique_ptr<replica::Host> replicas_;
  std::unique_ptr<Persister> persister_;
  std::unique_ptr<Forwarding> forwarding_;
  std::unique_ptr<Snapshots> snapshots_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::vector<Partition*> by_number_;
  std::vector<Partition*> turn_end_;
  absl::flat_hash_map<uint64_t, Client*> clients_;
  absl::flat_hash_map<uint64_t, Client*> internal_clients_;
  std::vector<uint64_t> dirty_;
  std::vector<uint64_t> flushing_;
  std::vector<uint64_t> to_resume_;
  std::vector<uint64_t> waiting_for_calm_;
  std::vector<uint64_t> waiting_for_room_;
  Evictor evictor_{this};
  static constexpr size_t kMaxHeldBytes = size_t{8} << 20;
  PubSub pubsub_{this};
  Tracking tracking_{this};
  AccessControl access_{this};
  Pause pause_;
  std::map<uint64_t, uint64_t> paused_clients_;  // ids by Client::pause_ticket
  uint64_t last_pause_ticket_ = 0;
  net::Timer tick_;
  int64_t tick_at_ms_ = 0;
  net::Timer pause_timer_;
  CoreStats stats_;
  SlowLog slowlog_;
  LatencyMonitor latency_;
  RateMeter rates_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<net::Timer>> delayed_;  // RunAfter's, by number
  uint64_t next_delayed_ = 0;
  bool active_expire_ = true;
  std::atomic<bool> ready_{false};
  std::atomic<uint64_t> keyspace_bytes_{0};
  std::atomic<uint64_t> log_bytes_{0};
  absl::AnyInvocable<void()> drained_;
  int64_t wall_ms_ = 0;
  uint64_t wall_turn_ = UINT64_MAX;
  uint32_t wall_uses_ = 0;
};

}  // namespace holdfast::engine
