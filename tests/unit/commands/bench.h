// One partition on its leader, without sockets and threads, and a follower that applies what is
// committed: for the tests of data commands. Include it before doctest, whose CHECK takes the place
// of ours.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/numbers.h"
#include "commands/rows.h"
#include "engine/partition.h"
#include "replica/replica.h"
#include "resp/reply_parser.h"
#include "storage/log_thread.h"

namespace holdfast::commands {

// A log that is durable as soon as it is written to.
class InstantLog final : public storage::Log {
 public:
  uint64_t Submit(storage::WalBatch&& batch) override {
    bytes_ += batch.bytes();
    batch.Clear();
    return ++tickets_;
  }
  uint64_t durable_ticket() const override { return tickets_; }
  uint64_t pending_bytes() const override { return 0; }
  bool saturated() const override { return false; }
  void RemoveObsolete(const storage::AppliedIndexes&) override {}
  uint64_t free_bytes() const override { return UINT64_MAX; }
  uint64_t segment_bytes() const override { return bytes_; }

 private:
  uint64_t tickets_ = 0;
  uint64_t bytes_ = 0;
};

class Bench final : public engine::PartitionHost {
 public:
  explicit Bench(uint16_t first_slot = 0, uint16_t last_slot = kSlots - 1)
      : replicas_(&log_, &clock_) {
    data::Keyspace::Options keyspace;
    keyspace.first_slot = first_slot;
    keyspace.last_slot = last_slot;
    keyspace.hash_seed = 7;
    keyspace.clock = &clock_;
    follower_ = std::make_unique<data::Keyspace>(keyspace);
    engine::Partition::Options options;
    options.first_slot = first_slot;
    options.last_slot = last_slot;
    options.host = this;
    options.keyspace = std::make_unique<data::Keyspace>(keyspace);
    options.seed = 5;
    partition_ = std::make_unique<engine::Partition>(std::move(options));
    raft::GroupConfig group;
    group.self = 1;
    group.max_uncommitted_bytes = UINT64_MAX / 2;
    raft::Restored restored;
    restored.membership.voters = {1};
    Result<replica::Replica*> replica =
        replicas_.Add(0, group, std::move(restored), partition_.get());
    CHECK(replica.ok());
    partition_->Attach(replica.value());
    for (int i = 0; i < 100 && !partition_->ready(); ++i) {
      clock_.AdvanceMs(50);
      replicas_.Tick();
      EndTurn();
    }
    CHECK(partition_->ready());
  }

  // Runs a request given as words and answers its reply as Reply::ToText shows it; "(blocked)" when
  // there is none yet.
  std::string Do(std::string_view line) {
    std::vector<std::string_view> args;
    size_t at = 0;
    while ((at = line.find_first_not_of(' ', at)) != std::string_view::npos) {
      const size_t end = std::min(line.find(' ', at), line.size());
      args.push_back(line.substr(at, end - at));
      at = end;
    }
    return Run(args);
  }
  std::string Run(const std::vector<std::string_view>& args) { return Ask(args).ToText(); }
  // The integer of a reply that is one.
  int64_t Number(std::string_view line) {
    int64_t number = -1;
    CHECK(ParseInt64(Do(line), &number));
    return number;
  }

  resp::Reply Ask(const std::vector<std::string_view>& args) {
    const std::string bytes = RunRaw(args);
    if (bytes.empty()) {
      resp::Reply blocked;
      blocked.type = resp::ReplyType::kSimple;
      blocked.string = "(blocked)";
      return blocked;
    }
    return Parse(bytes);
  }

  // The bytes of the reply; empty when the request is blocked. Its place is last_address() then.
  std::string RunRaw(const std::vector<std::string_view>& args) {
    const engine::Command command = FindCommand(args);
    std::string bytes;
    if (!engine::ArityFits(command, args.size())) {
      return "-ERR wrong number of arguments for '" + engine::FullName(command) + "' command\r\n";
    }
    commands_.push_back(std::make_unique<engine::Command>(command));
    ++last_address_.slot;
    const engine::ExecResult result = partition_->Execute({commands_.back().get(), args, db},
                                                          MakeCaller(), last_address_, &bytes);
    EndTurn();
    // Whatever the reply depends on is committed by the end of the turn.
    CHECK(result.blocked || partition_->IsOpen(result.gate));
    CHECK(result.blocked == bytes.empty());
    return bytes;
  }

  // The replies of the requests run as one transaction.
  std::vector<std::string> Transaction(const std::vector<std::vector<std::string_view>>& lines) {
    std::vector<engine::Request> requests;
    for (const auto& line : lines) {
      commands_.push_back(std::make_unique<engine::Command>(FindCommand(line)));
      requests.push_back({commands_.back().get(), line, db});
    }
    std::vector<std::string> replies;
    const engine::ExecResult result =
        partition_->ExecuteTransaction(requests, MakeCaller(), {}, &replies);
    CHECK(result.executed);
    EndTurn();
    std::vector<std::string> texts;
    for (const std::string& reply : replies) texts.push_back(Parse(reply).ToText());
    return texts;
  }

  // What was delivered to the place of a blocked request, as text; empty when nothing was.
  std::string Delivered(const engine::ReplyAddress& address) {
    const auto it = delivered_.find(address.slot);
    return it == delivered_.end() ? std::string() : Parse(it->second).ToText();
  }
  engine::ReplyAddress last_address() const { return last_address_; }

  // Lets time pass; the partition's timer runs at its end.
  void Advance(int64_t ms) {
    clock_.AdvanceMs(ms);
    partition_->Tick();
    EndTurn();
  }
  // Lets time pass without the timer: keys are found expired by whoever looks at them.
  void AdvanceUnnoticed(int64_t ms) { clock_.AdvanceMs(ms); }

  // Whether the follower, which saw only the log, has the same keys, values and metas.
  bool FollowerAgrees() {
    for (uint32_t number = 0; number < data::kLogicalDatabases; ++number) {
      const data::Database* mine = partition_->keyspace().Logical(number);
      const data::Database* other = follower_->Logical(number);
      if (mine->physical != other->physical || mine->table.size() != other->table.size()) {
        return false;
      }
      bool same = true;
      uint64_t cursor = 0;
      do {
        cursor = mine->table.Scan(cursor, 100, [&](data::Object* object) {
          const data::Object* twin = other->table.Find(follower_->Hash(object->key()));
          same = same && twin != nullptr && twin->value() == object->value() &&
                 twin->type() == object->type() && twin->revision() == object->revision() &&
                 twin->version() == object->version() && twin->created() == object->created() &&
                 twin->fence() == object->fence() && twin->raw() == object->raw() &&
                 data::Keyspace::ExpireAt(*mine, object) == data::Keyspace::ExpireAt(*other, twin);
        });
      } while (cursor != 0);
      if (!same) return false;
    }
    return true;
  }

  engine::Partition& partition() { return *partition_; }
  ManualClock& manual_clock() { return clock_; }
  // Bytes that the log has taken.
  uint64_t log_bytes() const { return log_.segment_bytes(); }
  uint64_t effects() const { return stats_.effects; }
  engine::Config& mutable_config() { return config_; }

  // How requests come.
  uint32_t db = 0;
  int protocol = 2;

  // ---- PartitionHost
  const engine::Config& config() const override { return config_; }
  const Clock& clock() const override { return clock_; }
  engine::CoreStats* stats() override { return &stats_; }
  int64_t NowMs() override { return clock_.WallMs(); }
  void CommandDone(const engine::Request&, const engine::Caller&, int64_t,
                   std::string_view) override {}
  void CommandRejected(const engine::Command&, std::string_view) override {}
  uint64_t UsedMemory() const override { return 0; }
  bool DiskIsFull() const override { return false; }
  bool EvictElsewhere(const engine::Partition*, size_t) override { return false; }
  bool ActiveExpireEnabled() const override { return true; }
  void Deliver(const engine::ReplyAddress& address, std::string bytes) override {
    delivered_[address.slot] = std::move(bytes);
  }
  void WakeClient(uint64_t) override {}
  void GatesLost(engine::Partition*) override {}
  void GiveBack(engine::Partition*, engine::BlockedRequest) override {}
  void StandingChanged(engine::Partition*) override {}
  void Rebuild(engine::Partition*, engine::RebuildRequest) override {}
  void LoadValues(engine::Partition*, engine::ValueRequest) override {}
  void SendSnapshot(engine::Partition*, raft::NodeId) override {}
  void Persist(engine::Partition*, data::PersistJob job) override {
    for (const auto& payload : job.payloads) CHECK(follower_->ApplyPayload(*payload).ok());
  }
  void NeedsTurnEnd(engine::Partition*) override {}

 private:
  static engine::Command FindCommand(const std::vector<std::string_view>& args) {
    for (const std::span<const engine::Command> rows : {StringRows(), KeyRows(), HoldfastRows()}) {
      for (const engine::Command& row : rows) {
        if (!EqualsIgnoreCase(row.name, args[0])) continue;
        for (const engine::Command& subcommand : row.subcommands) {
          if (args.size() < 2 || !EqualsIgnoreCase(subcommand.name, args[1])) continue;
          engine::Command found = subcommand;
          found.parent = row.name;
          return found;
        }
        CHECK_MSG(row.subcommands.empty(), "a subcommand that is not there");
        return row;
      }
    }
    CHECK_MSG(false, "a command that is not there");
    return {};
  }

  static resp::Reply Parse(const std::string& bytes) {
    resp::ReplyParser parser;
    CHECK(parser.Next(bytes) == resp::ParseOutcome::kRequest);
    CHECK(parser.consumed() == bytes.size());
    return parser.reply();
  }

  engine::Caller MakeCaller() const {
    engine::Caller caller;
    caller.db = db;
    caller.protocol = protocol;
    return caller;
  }

  void EndTurn() {
    // A reply that wakes a blocked request may leave something for the next turn.
    for (int i = 0; i < 3; ++i) {
      partition_->TurnEnd();
      replicas_.EndTurn();
      replicas_.OnDurable();
    }
  }

  ManualClock clock_{1'750'000'000'000};
  engine::Config config_;
  engine::CoreStats stats_;
  InstantLog log_;
  replica::Host replicas_;
  std::unique_ptr<data::Keyspace> follower_;
  std::unique_ptr<engine::Partition> partition_;
  std::vector<std::unique_ptr<engine::Command>> commands_;  // blocked requests keep a pointer
  engine::ReplyAddress last_address_{0, 1, 0};
  std::map<uint64_t, std::string> delivered_;
};

}  // namespace holdfast::commands
