// A snapshot's way from a sender to a receiver, with everything between them played by the test:
// the link, the I/O threads, the clock.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../data/stores.h"
#include "base/rng.h"
#include "engine/snapshot_receiver.h"
#include "engine/snapshot_sender.h"
#include "raft/membership.h"
#include "storage/mem_store.h"

namespace holdfast::engine {
namespace {

constexpr uint32_t kPartition = 3;
constexpr raft::NodeId kLeader = 1;
constexpr raft::NodeId kFollower = 2;
constexpr uint64_t kTerm = 7;
constexpr uint64_t kIndex = 400;

// An I/O thread that works when it is told to.
class Io {
 public:
  void Run(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
    tasks_.emplace_back(std::move(work), std::move(done));
  }
  bool Step() {
    if (tasks_.empty()) return false;
    auto [work, done] = std::move(tasks_.front());
    tasks_.pop_front();
    work();
    work = nullptr;
    if (done != nullptr) done();
    return true;
  }

 private:
  std::deque<std::pair<absl::AnyInvocable<void()>, absl::AnyInvocable<void()>>> tasks_;
};

class SendingHost final : public SnapshotSender::Host {
 public:
  int64_t NowMs() const override { return *now_ms; }
  void RunIo(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override {
    io.Run(std::move(work), std::move(done));
  }
  bool SendItem(raft::NodeId to, std::string_view item) override {
    if (full) return false;
    items.emplace_back(to, std::string(item));
    bytes += item.size();
    return true;
  }
  std::shared_ptr<storage::Store> StoreOf(uint32_t) override { return store; }
  bool IsNeeded(uint32_t, raft::NodeId, uint64_t) const override { return needed; }
  void Ended(uint32_t partition, const raft::SnapshotStatus& status) override {
    CHECK(partition == kPartition);
    ended.push_back(status);
  }
  uint64_t BytesPerSecond() const override { return rate; }

  const int64_t* now_ms = nullptr;
  Io io;
  std::shared_ptr<storage::Store> store;
  bool needed = true;
  bool full = false;
  uint64_t rate = uint64_t{1} << 40;
  uint64_t bytes = 0;
  std::deque<std::pair<raft::NodeId, std::string>> items;
  std::vector<raft::SnapshotStatus> ended;
};

class ReceivingHost final : public SnapshotReceiver::Host {
 public:
  int64_t NowMs() const override { return *now_ms; }
  void RunIo(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override {
    io.Run(std::move(work), std::move(done));
  }
  void SendAck(raft::NodeId to, const replica::SnapshotAck& ack) override {
    acks.emplace_back(to, ack);
  }
  bool Leads(uint32_t) const override { return leads; }
  bool WantsSnapshot(uint32_t, raft::LogPosition) const override { return wants; }
  bool HasRoom() const override { return room; }
  std::shared_ptr<data::SnapshotWriter> NewWriter(uint32_t partition) override {
    return std::make_shared<data::SnapshotWriter>(&disk, "incoming-" + std::to_string(partition),
                                                  kFollower, partition);
  }
  std::unique_ptr<data::Keyspace> NewKeyspace(uint32_t) const override {
    data::Keyspace::Options options;
    options.clock = &clock;
    options.hash_seed = 1234;
    return std::make_unique<data::Keyspace>(options);
  }
  SnapshotReceiver::Switching SwitchIn(std::shared_ptr<ReceivedSnapshot> snapshot) override {
    ++switches;
    if (switching == SnapshotReceiver::Switching::kUnderWay) switched = std::move(snapshot);
    return switching;
  }

  const int64_t* now_ms = nullptr;
  mutable ManualClock clock{1'700'000'000'000};
  Io io;
  storage::MemStoreDisk disk;
  bool leads = false;
  bool wants = true;
  bool room = true;
  int switches = 0;
  SnapshotReceiver::Switching switching = SnapshotReceiver::Switching::kUnderWay;
  std::shared_ptr<ReceivedSnapshot> switched;
  std::deque<std::pair<raft::NodeId, replica::SnapshotAck>> acks;
};

// A leader with some megabytes, a follower without anything, and what is between them.
class Transfer {
 public:
  Transfer() {
    sending.now_ms = receiving.now_ms = &now_ms_;
    sending.store = std::move(source_.Open("source")).value();
    Rng rng(5);
    for (uint64_t index = 1; index <= kIndex; ++index) {
      std::string value;
      while (value.size() < 8192) value += std::to_string(rng.Next());
      data::PersistJob job =
          data::JobOf(index, {data::PutOf("key" + std::to_string(index), value, index)});
      job.applied_term = 6;
      if (index == 1) {
        job.membership =
            std::make_shared<const std::string>(raft::EncodeMembership({{1, 2, 3}, {}, {}}));
      }
      REQUIRE(data::PersistEntries(sending.store.get(), job, false, nullptr).ok());
    }
  }

  void Start() { sender.Start(kPartition, kFollower, kTerm); }

  // Everybody does what there is to do, two items are carried, and `ms` pass. `pass` says whether
  // an item arrives.
  void Turn(const std::function<bool(const std::string&)>& pass = nullptr, int64_t ms = 10) {
    sender.Tick();
    while (sending.io.Step()) {
    }
    for (int n = 0; n < 2 && !sending.items.empty(); ++n) {
      const std::string item = std::move(sending.items.front().second);
      sending.items.pop_front();
      ++items_;
      if (pass == nullptr || pass(item)) Arrive(item);
    }
    while (receiving.io.Step()) {
    }
    receiver->Tick();
    while (!receiving.acks.empty()) {
      const replica::SnapshotAck ack = receiving.acks.front().second;
      receiving.acks.pop_front();
      last_ack = ack;
      if (acks_arrive) sender.OnAck(kFollower, ack);
    }
    while (receiving.io.Step()) {
    }
    if (receiving.switched != nullptr && !switched_) {
      switched_ = true;
      receiver->Switched(kPartition);
    }
    now_ms_ += ms;
  }
  void Arrive(const std::string& bytes) {
    replica::SnapshotItem item;
    REQUIRE(replica::DecodeSnapshotItem(bytes, &item).ok());
    receiver->OnItem(kLeader, std::move(item));
  }
  // False: nothing was reported within the time.
  bool RunUntilEnded(const std::function<bool(const std::string&)>& pass = nullptr,
                     int64_t ms = 60'000) {
    const size_t before = sending.ended.size();
    for (const int64_t end = now_ms_ + ms; now_ms_ < end;) {
      Turn(pass);
      if (sending.ended.size() > before) return true;
    }
    return false;
  }
  // What has arrived is what was sent.
  void CheckArrived() {
    REQUIRE(receiving.switched != nullptr);
    const ReceivedSnapshot& snapshot = *receiving.switched;
    CHECK(snapshot.install.last == raft::LogPosition{kIndex, 6});
    CHECK(snapshot.install.term == kTerm);
    CHECK(snapshot.install.leader == kLeader);
    CHECK(snapshot.install.membership == raft::Membership{{1, 2, 3}, {}, {}});
    data::Contents sent = data::ReadAll(sending.store.get());
    data::Contents arrived = data::ReadAll(snapshot.writer->store());
    // Each store says whose it is.
    for (data::Contents* contents : {&sent, &arrived}) {
      std::erase_if(*contents, [](const auto& record) { return record.first.starts_with("s"); });
    }
    CHECK(sent.size() == 400);
    CHECK(sent == arrived);
    CHECK(snapshot.keyspace->Logical(0)->table.size() == 400);
    CHECK(data::ReadApplied(snapshot.writer->store()).value().index == kIndex);
  }

  SendingHost sending;
  ReceivingHost receiving;
  SnapshotSender sender{&sending, 1000};
  std::unique_ptr<SnapshotReceiver> receiver = std::make_unique<SnapshotReceiver>(&receiving);
  bool acks_arrive = true;
  replica::SnapshotAck last_ack;
  int64_t now_ms() const { return now_ms_; }
  size_t items() const { return items_; }

 private:
  storage::MemStoreDisk source_;
  int64_t now_ms_ = 1'000'000;
  size_t items_ = 0;
  bool switched_ = false;
};

TEST_CASE("a snapshot arrives as it was sent") {
  Transfer transfer;
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended[0].ok);
  CHECK(transfer.sending.ended[0].peer == kFollower);
  CHECK(transfer.sending.ended[0].position == raft::LogPosition{kIndex, 6});
  transfer.CheckArrived();
  CHECK(transfer.sender.idle());
  CHECK(transfer.receiver->idle());
  CHECK(transfer.items() > 10);
}

TEST_CASE("any item of a snapshot may be lost, repeated or late") {
  size_t items = 0;
  {
    Transfer counted;
    counted.Start();
    REQUIRE(counted.RunUntilEnded());
    items = counted.items();
  }
  for (size_t lost = 0; lost < items; ++lost) {
    CAPTURE(lost);
    Transfer transfer;
    transfer.Start();
    size_t n = 0;
    std::string kept;
    REQUIRE(transfer.RunUntilEnded([&](const std::string& item) {
      if (n++ == lost) {
        kept = item;
        return false;
      }
      // What was lost comes later after all, twice.
      if (n == lost + 5) {
        transfer.Arrive(kept);
        transfer.Arrive(kept);
      }
      return true;
    }));
    CHECK(transfer.sending.ended[0].ok);
    transfer.CheckArrived();
  }
}

TEST_CASE("a snapshot arrives through a link that loses a third of everything") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Transfer transfer;
    Rng rng(seed);
    transfer.Start();
    REQUIRE(transfer.RunUntilEnded(
        [&](const std::string&) {
          transfer.acks_arrive = !rng.Chance(1, 3);
          transfer.sending.full = rng.Chance(1, 3);
          return !rng.Chance(1, 3);
        },
        600'000));
    if (!transfer.sending.ended[0].ok) continue;  // only the last answer may have been lost
    transfer.CheckArrived();
  }
}

TEST_CASE("a receiver that was started again knows nothing of the transfer: it fails") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  REQUIRE_FALSE(transfer.receiver->idle());
  REQUIRE(transfer.sending.ended.empty());
  transfer.receiver = std::make_unique<SnapshotReceiver>(&transfer.receiving);
  REQUIRE(transfer.RunUntilEnded());
  CHECK_FALSE(transfer.sending.ended[0].ok);
  // The next one begins anew over what the first has left.
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended[1].ok);
  transfer.CheckArrived();
}

TEST_CASE("who hears nothing gives up") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  const int64_t began_ms = transfer.now_ms();
  SUBCASE("the sender of the receiver") {
    transfer.acks_arrive = false;
    REQUIRE(transfer.RunUntilEnded());
    CHECK_FALSE(transfer.sending.ended[0].ok);
    CHECK(transfer.now_ms() - began_ms >= SnapshotSender::kSilenceMs - 100);
    CHECK(transfer.sender.idle());
  }
  SUBCASE("the receiver of the sender") {
    const auto nothing = [](const std::string&) { return false; };
    transfer.acks_arrive = false;
    while (!transfer.receiver->idle() && transfer.now_ms() - began_ms < 60'000) {
      transfer.Turn(nothing);
    }
    CHECK(transfer.receiver->idle());
    CHECK(transfer.now_ms() - began_ms >= SnapshotReceiver::kSilenceMs - 100);
    CHECK(transfer.last_ack.answer == replica::SnapshotAnswer::kFailed);
    CHECK_FALSE(transfer.receiving.disk.Exists("incoming-3").value());
  }
}

TEST_CASE("a snapshot that isn't needed any more ends without a report") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  transfer.sending.needed = false;
  transfer.Turn();
  CHECK(transfer.sender.idle());
  CHECK(transfer.sending.ended.empty());
}

TEST_CASE("a receiver that can't take a snapshot says so, and is asked ever less often") {
  Transfer transfer;
  SUBCASE("its disk is full") { transfer.receiving.room = false; }
  SUBCASE("it leads") { transfer.receiving.leads = true; }
  int64_t pause_ms = 0;
  for (int i = 0; i < 10; ++i) {
    CAPTURE(i);
    const int64_t began_ms = transfer.now_ms();
    transfer.Start();
    REQUIRE(transfer.RunUntilEnded());
    CHECK_FALSE(transfer.sending.ended.back().ok);
    const int64_t took_ms = transfer.now_ms() - began_ms;
    CHECK(took_ms >= pause_ms - 20);
    CHECK(took_ms <= pause_ms + 100);
    pause_ms = pause_ms == 0 ? SnapshotSender::kRetryMs
                             : std::min<int64_t>(2 * pause_ms, SnapshotSender::kMaxRetryMs);
  }
  transfer.receiving.room = true;
  transfer.receiving.leads = false;
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended.back().ok);
  transfer.CheckArrived();
}

TEST_CASE("a disk that fails or fills up in the middle ends the transfer, and leaves nothing") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  REQUIRE_FALSE(transfer.receiver->idle());
  SUBCASE("full") { transfer.receiving.room = false; }
  SUBCASE("failing") { transfer.receiving.disk.FailNth(2, Status::IoError("the disk is gone")); }
  REQUIRE(transfer.RunUntilEnded());
  CHECK_FALSE(transfer.sending.ended[0].ok);
  CHECK(transfer.receiver->idle());
  transfer.receiving.room = true;
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended[1].ok);
  transfer.CheckArrived();
}

TEST_CASE("a follower that has what the snapshot holds needs none") {
  Transfer transfer;
  transfer.receiving.wants = false;
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended[0].ok);
  CHECK(transfer.receiving.switches == 0);
}

TEST_CASE("a complete snapshot is switched in as soon as that can be") {
  Transfer transfer;
  transfer.receiving.switching = SnapshotReceiver::Switching::kNotNow;
  transfer.Start();
  CHECK_FALSE(transfer.RunUntilEnded(nullptr, 30'000));
  CHECK(transfer.receiving.switches > 100);
  SUBCASE("it is") {
    transfer.receiving.switching = SnapshotReceiver::Switching::kUnderWay;
    REQUIRE(transfer.RunUntilEnded());
    transfer.CheckArrived();
  }
  SUBCASE("the group went on without it") {
    transfer.receiving.switching = SnapshotReceiver::Switching::kNoNews;
    REQUIRE(transfer.RunUntilEnded());
    CHECK(transfer.receiver->idle());
  }
  CHECK(transfer.sending.ended[0].ok);
}

TEST_CASE("a later leader's snapshot replaces an earlier one's, and not the other way round") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  REQUIRE_FALSE(transfer.receiver->idle());
  replica::SnapshotItem begin;
  begin.partition = kPartition;
  begin.transfer = 5;
  begin.position = {500, 6};
  begin.membership = {{1, 2, 3}, {}, {}};
  begin.term = kTerm - 1;
  transfer.receiver->OnItem(3, begin);
  CHECK(transfer.receiving.acks.back().second.answer == replica::SnapshotAnswer::kBusy);
  begin.term = kTerm + 1;
  transfer.receiver->OnItem(3, begin);
  CHECK(transfer.receiving.acks.back().first == kLeader);
  CHECK(transfer.receiving.acks.back().second.answer == replica::SnapshotAnswer::kFailed);
  REQUIRE(transfer.RunUntilEnded());
  CHECK_FALSE(transfer.sending.ended[0].ok);
}

TEST_CASE("snapshots are sent no faster than they may, and two at a time") {
  Transfer transfer;
  transfer.sending.rate = 1'000'000;
  transfer.Start();
  const int64_t began_ms = transfer.now_ms();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended[0].ok);
  const double seconds = static_cast<double>(transfer.now_ms() - began_ms) / 1000;
  CHECK(static_cast<double>(transfer.sending.bytes) / seconds < 1'300'000);
  CHECK(static_cast<double>(transfer.sending.bytes) / seconds > 700'000);

  // Partitions beyond the second wait.
  for (uint32_t p = 10; p < 14; ++p) transfer.sender.Start(p, kFollower, kTerm);
  transfer.sender.Tick();
  while (transfer.sending.io.Step()) {
  }
  CHECK(transfer.sending.items.size() == SnapshotSender::kMaxActive);
}

TEST_CASE("a transfer that is started again takes the place of the one before") {
  Transfer transfer;
  transfer.Start();
  for (int i = 0; i < 3; ++i) transfer.Turn();
  transfer.Start();
  REQUIRE(transfer.RunUntilEnded());
  CHECK(transfer.sending.ended.size() == 1);
  CHECK(transfer.sending.ended[0].ok);
  transfer.CheckArrived();
}

}  // namespace
}  // namespace holdfast::engine
