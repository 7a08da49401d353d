#include "engine/snapshot_sender.h"

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "data/persist.h"
#include "raft/membership.h"
#include "storage/mem_store.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

// A core in a test's hands: I/O happens when it says so.
class FakeHost final : public SnapshotSender::Host {
 public:
  explicit FakeHost(std::shared_ptr<storage::Store> store) : store_(std::move(store)) {}

  int64_t NowMs() const override { return now_ms; }
  void RunIo(SnapshotSender::Work work, SnapshotSender::Work done) override {
    io.emplace_back(std::move(work), std::move(done));
  }
  bool SendItem(raft::NodeId, std::string_view item) override {
    sent.emplace_back(item);
    return true;
  }
  std::shared_ptr<storage::Store> StoreOf(uint32_t) override { return store_; }
  bool IsNeeded(uint32_t, raft::NodeId, uint64_t term) const override { return term == leads_term; }
  void Ended(uint32_t, const raft::SnapshotStatus& status) override { ended.push_back(status); }
  uint64_t BytesPerSecond() const override { return uint64_t{1} << 30; }

  void DoIo() {
    while (!io.empty()) {
      auto [work, done] = std::move(io.front());
      io.pop_front();
      work();
      if (done != nullptr) done();
    }
  }

  int64_t now_ms = 1000;
  uint64_t leads_term = 1;
  std::deque<std::pair<SnapshotSender::Work, SnapshotSender::Work>> io;
  std::vector<std::string> sent;
  std::vector<raft::SnapshotStatus> ended;

 private:
  const std::shared_ptr<storage::Store> store_;
};

void Write(storage::Store* store, const data::AppliedState& applied) {
  storage::StoreBatch batch;
  batch.Put(data::kMembershipRecord, raft::EncodeMembership({{1, 2}, {}, {}}));
  batch.Put(data::kAppliedRecord, data::EncodeApplied(applied));
  REQUIRE(store->Write(batch, true).ok());
}

TEST_CASE("P15 a snapshot is announced in the term in which it is sent, or not at all") {
  storage::MemStoreDisk disk;
  const std::shared_ptr<storage::Store> store = disk.Open("0").value();
  Write(store.get(), {10, 1});
  FakeHost host(store);
  SnapshotSender sender(&host, 1);

  sender.Start(0, 2, 1);
  sender.Tick();
  host.DoIo();
  REQUIRE(host.sent.size() == 1);
  replica::SnapshotItem begin;
  REQUIRE(replica::DecodeSnapshotItem(host.sent[0], &begin).ok());
  CHECK(begin.term == 1);
  CHECK(begin.position == raft::LogPosition{10, 1});

  // Another node leads before the I/O thread comes to it; what the store has then is of its term,
  // and would be no snapshot that a receiver takes for sensible.
  sender.Start(0, 2, 1);
  sender.Tick();
  host.leads_term = 0;
  Write(store.get(), {12, 2});
  host.DoIo();
  CHECK(host.sent.size() == 1);
  CHECK(host.ended.empty());
  CHECK(sender.idle());
}

}  // namespace
}  // namespace holdfast::engine
