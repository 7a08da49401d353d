#include "raft/progress.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft {
namespace {

using State = Progress::State;

TEST_CASE("P18 raft progress: a probe is one append at a time") {
  Progress progress(11, 4, 1000);
  CHECK(progress.state() == State::kProbe);
  CHECK(progress.CanSend());
  progress.Sent(20, 100);
  CHECK_FALSE(progress.CanSend());
  CHECK(progress.next() == 11);
  progress.Alive();
  CHECK(progress.CanSend());
  progress.SentEmpty();
  CHECK_FALSE(progress.CanSend());
}

TEST_CASE("P18 raft progress: rejections move the guess down; old ones do nothing") {
  Progress progress(11, 4, 1000);
  progress.Sent(11, 10);
  CHECK_FALSE(progress.Rejected(9, 3));  // of another guess
  CHECK_FALSE(progress.CanSend());
  CHECK(progress.Rejected(10, 6));
  CHECK(progress.next() == 7);
  CHECK(progress.CanSend());
  CHECK_FALSE(progress.Rejected(10, 2));  // the same answer again
  progress.Sent(11, 10);
  CHECK(progress.Accepted(11));
  CHECK(progress.state() == State::kPipeline);
  CHECK(progress.match() == 11);
  CHECK(progress.next() == 12);
  CHECK_FALSE(progress.Rejected(11, 3));  // known to match since
  CHECK(progress.match() == 11);
}

TEST_CASE("P18 raft progress: a pipeline is bounded in appends and in bytes") {
  Progress progress(1, 3, 1000);
  progress.Sent(1, 10);
  CHECK(progress.Accepted(1));
  uint64_t last = 1;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(progress.CanSend());
    progress.Sent(++last, 10);
  }
  CHECK_FALSE(progress.CanSend());
  CHECK(progress.inflight_appends() == 3);
  CHECK(progress.Accepted(2));
  CHECK(progress.CanSend());
  CHECK_FALSE(progress.Accepted(2));
  progress.Sent(++last, 2000);  // one that is too large goes, and then nothing
  CHECK(progress.inflight_bytes() == 2020);
  CHECK(progress.Accepted(4));
  CHECK(progress.inflight_appends() == 1);
  CHECK_FALSE(progress.CanSend());
  CHECK(progress.Accepted(5));
  CHECK(progress.CanSend());
  CHECK(progress.inflight_bytes() == 0);
}

TEST_CASE("P18 raft progress: a rejection in the pipeline goes back to what is known") {
  Progress progress(1, 8, 1000);
  progress.Sent(1, 10);
  progress.Accepted(1);
  for (uint64_t i = 2; i <= 6; ++i) progress.Sent(i, 10);
  CHECK(progress.next() == 7);
  CHECK(progress.Rejected(4, 2));
  CHECK(progress.state() == State::kProbe);
  CHECK(progress.next() == 3);
  CHECK(progress.inflight_appends() == 0);
  CHECK(progress.inflight_bytes() == 0);
  // Never below what is known to match, whatever the answer says.
  progress.Sent(3, 10);
  CHECK(progress.Rejected(2, 0));
  CHECK(progress.next() == 2);
}

TEST_CASE("P16 raft progress: nothing is sent to a follower that waits for a snapshot") {
  Progress progress(11, 4, 1000);
  progress.SentEmpty();
  CHECK(progress.Rejected(10, 2));
  progress.BecomeSnapshot(8);
  CHECK(progress.state() == State::kSnapshot);
  CHECK_FALSE(progress.CanSend());
  progress.Alive();
  CHECK_FALSE(progress.CanSend());
  CHECK_FALSE(progress.Rejected(8, 2));
  CHECK(progress.dispensable() == 8);  // what is behind it is needed afterwards
  // It tells where it is, and still needs what is gone.
  CHECK(progress.Accepted(5));
  CHECK(progress.state() == State::kSnapshot);
  CHECK(progress.match() == 5);
  CHECK(progress.Accepted(8));
  CHECK(progress.state() == State::kPipeline);
  CHECK(progress.next() == 9);
  CHECK(progress.dispensable() == 8);
  progress.SnapshotEnded(20);  // too late to mean anything
  CHECK(progress.state() == State::kPipeline);
  CHECK(progress.next() == 9);
}

TEST_CASE("P15 raft progress: the report about a snapshot is a guess, not a match") {
  Progress progress(3, 4, 1000);
  progress.BecomeSnapshot(8);
  progress.SnapshotEnded(12);
  CHECK(progress.state() == State::kProbe);
  CHECK(progress.next() == 13);
  CHECK(progress.match() == 0);
  progress.SentEmpty();
  CHECK(progress.Rejected(12, 4));
  progress.BecomeSnapshot(8);
  progress.SnapshotEnded(0);
  CHECK(progress.state() == State::kProbe);
  CHECK(progress.next() == 1);
}

// A leader's log that never changes and a follower that holds a prefix of it, joined by a network
// that loses and reorders: whatever is answered, match stays true, the limits hold, and the
// follower catches up.
TEST_CASE("raft progress: with a lossy network the follower's end is never overestimated") {
  struct Packet {
    bool reply = false;
    bool rejected = false;
    uint64_t previous = 0;  // or the place that is refused
    uint64_t last = 0;      // or where the follower ends
  };
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const uint64_t leader_last = 200;
    uint64_t follower_last = rng.Below(leader_last);
    const auto max_appends = static_cast<uint32_t>(1 + rng.Below(5));
    Progress progress(leader_last + 1, max_appends, 50);
    std::deque<Packet> network;
    const auto send = [&](bool even_if_empty) {
      while (progress.next() <= leader_last && progress.CanSend()) {
        const uint64_t last = std::min(leader_last, progress.next() + rng.Below(4));
        network.push_back({.previous = progress.next() - 1, .last = last});
        progress.Sent(last, (last - network.back().previous) * 10);
        even_if_empty = false;
      }
      if (even_if_empty) {
        network.push_back({.previous = progress.next() - 1, .last = progress.next() - 1});
        progress.SentEmpty();
      }
      REQUIRE(progress.inflight_appends() <= max_appends);
      REQUIRE(progress.inflight_bytes() < 50 + 40);
      REQUIRE(progress.match() < progress.next());
      REQUIRE(progress.match() <= follower_last);
    };
    for (int step = 0; step < 20000 && progress.match() < leader_last; ++step) {
      if (network.empty() || rng.Chance(1, 20)) {
        progress.Alive();
        send(true);
      }
      const size_t i = rng.Chance(1, 4) ? rng.Below(network.size()) : 0;
      const Packet packet = network[i];
      if (rng.Chance(9, 10)) network.erase(network.begin() + static_cast<std::ptrdiff_t>(i));
      if (rng.Chance(1, 5)) continue;  // lost, or it comes again
      if (!packet.reply) {
        Packet reply{.reply = true};
        if (packet.previous > follower_last) {
          reply.rejected = true;
          reply.previous = packet.previous;
          reply.last = follower_last;
        } else {
          follower_last = std::max(follower_last, packet.last);
          reply.last = packet.last;
        }
        network.push_back(reply);
      } else if (packet.rejected) {
        if (progress.Rejected(packet.previous, packet.last)) send(false);
      } else {
        progress.Accepted(packet.last);
        send(false);
      }
    }
    CHECK(progress.match() == leader_last);
  }
}

}  // namespace
}  // namespace holdfast::raft
