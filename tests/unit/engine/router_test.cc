#include "engine/router.h"

#include "base/numbers.h"
#include "router_model.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

using Names = std::vector<std::string>;

// Node 2 leads, is known to, and has a link.
struct Led {
  Led() {
    model.Lead(2);
    model.Hint(2);
    link = model.Connect(2);
  }
  RouterModel model;
  uint64_t link;
};

TEST_CASE("requests go to the leader without waiting for each other") {
  Led led;
  RouterModel& model = led.model;
  CHECK_FALSE(model.router.Direct(0));
  model.Submit("w1");
  model.Submit("r2");
  model.Submit("w3");
  CHECK(model.links[led.link].out.size() == 3);
  model.Settle();
  model.Commit(2);
  model.Settle();
  CHECK(model.executed == Names{"w1", "r2", "w3"});
  CHECK(model.answers.size() == 3);
  CHECK(model.AnswerOf("w3") == "+2");
  CHECK_FALSE(model.router.busy(0));
  CHECK(model.router.bytes() == 0);
}

TEST_CASE("requests are held until there is a leader, and then run in order") {
  RouterModel model;
  model.Submit("w1");
  model.Submit("w2");
  CHECK(model.router.held(0) == 2);
  model.Lead(3);
  model.Hint(3);
  CHECK(model.router.held(0) == 2);  // no link yet
  model.Connect(3);
  CHECK(model.router.held(0) == 0);
  model.Settle();
  model.Commit(3);
  model.Settle();
  CHECK(model.executed == Names{"w1", "w2"});
}

TEST_CASE("held requests are answered at their deadline: nothing was applied") {
  RouterModel model;
  model.Submit("w1");
  model.Advance(1999);
  CHECK(model.AnswerOf("w1").empty());
  model.Submit("w2");
  model.Advance(1);
  CHECK(model.AnswerOf("w1") == kClusterDown);
  CHECK(model.AnswerOf("w2").empty());
  model.Hint(2);  // known, and can't be reached
  model.Advance(1999);
  CHECK(model.AnswerOf("w2") == kTryAgain);
  CHECK_FALSE(model.router.busy(0));
  model.retry_timeout_ms = 0;
  model.Submit("w3");
  model.Advance(0);
  CHECK(model.AnswerOf("w3") == kTryAgain);
}

TEST_CASE("a leader that refuses one request refuses all behind it, also when it leads again") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("w1");
  model.Submit("w2");
  model.DeliverOut(led.link);
  model.Commit(2);
  model.StepDown(2);
  model.DeliverOut(led.link);  // w2 is refused
  model.Submit("w3");
  model.Lead(2);
  model.DeliverOut(led.link);  // w3 must not overtake it
  model.Submit("w4");
  model.Settle();
  CHECK(model.executed == Names{"w1"});
  model.Advance(Router::kRetryMs);
  model.Settle();
  model.Commit(2);
  model.Settle();
  CHECK(model.executed == Names{"w1", "w2", "w3", "w4"});
  CHECK(model.stats()->forwarded_refused == 3);
}

TEST_CASE("a node that doesn't lead is asked again after a pause, another one at once") {
  Led led;
  RouterModel& model = led.model;
  model.StepDown(2);
  model.Submit("w1");
  model.DeliverOut(led.link);
  model.DeliverIn(led.link);
  CHECK(model.router.held(0) == 1);
  CHECK(model.links[led.link].out.empty());
  const uint64_t other = model.Connect(3);
  model.Lead(3);
  model.Hint(3);
  CHECK(model.links[other].out.size() == 1);
}

TEST_CASE("when a link breaks, writes are in doubt and reads are repeated in front") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("r1");
  model.Submit("w2");
  model.Submit("r3");
  model.DeliverOut(led.link);
  model.Break(led.link);
  CHECK(model.AnswerOf("w2") == kInDoubt);
  CHECK(model.AnswerOf("r1").empty());
  model.Submit("w4");
  const uint64_t link = model.Connect(2);
  CHECK(model.links[link].out.size() == 3);
  model.Settle();
  model.StepDown(2);
  model.Lead(2);
  model.Settle();
  model.Advance(Router::kRetryMs);
  model.Settle();
  model.Commit(2);
  model.Settle();
  CHECK(model.executed == Names{"r1", "r3", "w4"});
  CHECK(model.stats()->forwarded_in_doubt == 1);
}

TEST_CASE("what a node has lost by stepping down: proposed writes are in doubt, the rest goes on") {
  Led led;
  RouterModel& model = led.model;
  for (const char* name : {"w1", "r2", "w3"}) model.Submit(name);
  while (model.DeliverOut(led.link)) {
  }
  model.StepDown(2, 1, 0);
  const uint64_t other = model.Connect(3);
  model.Lead(3);
  model.Hint(3);
  CHECK(model.links[other].out.empty());  // node 2 hasn't answered yet
  model.Settle();
  CHECK(model.AnswerOf("w1") == kInDoubt);
  model.Commit(3);
  model.Settle();
  CHECK(model.executed == Names{"r2", "w3"});
}

TEST_CASE("a former leader that says nothing is not waited for") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("w1");
  model.Submit("r2");
  model.Connect(3);
  model.Lead(3);
  model.Hint(3);
  model.Submit("w3");
  model.Advance(Router::kAbandonMs - 1);
  CHECK(model.answers.empty());
  model.Advance(1);
  CHECK(model.AnswerOf("w1") == kInDoubt);
  model.DeliverOut(3 - 1);
  model.DeliverOut(3 - 1);
  model.Commit(3);
  CHECK(model.executed == Names{"r2", "w3"});
  model.Settle();  // what the old one says at last changes nothing
  CHECK(model.answers.size() == 3);
}

TEST_CASE("leadership comes here when nothing is outstanding elsewhere, and goes with a fence") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("w1");
  model.StepDown(2);
  model.Lead(1);
  model.router.LeaderChanged(0);
  model.Submit("w2");
  CHECK(model.to_core.empty());
  model.Settle();  // w1 is refused
  model.Commit(1);
  model.Settle();
  CHECK(model.executed == Names{"w1", "w2"});
  CHECK(model.router.Direct(0));
  // By the mailbox of the partition's core: what is refused there comes back in order.
  model.Submit("w3");
  model.StepDown(1);
  model.Lead(2);
  model.Hint(2);
  model.Submit("w4");
  CHECK(model.links[led.link].out.empty());
  model.Submit("w5");
  model.Settle();
  model.Commit(2);
  model.Settle();
  CHECK(model.executed == Names{"w1", "w2", "w3", "w4", "w5"});
}

TEST_CASE("a blocked request waits on at the next leader, for the rest of its time") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("b1");
  model.Settle();
  model.Advance(60'000);
  CHECK(model.AnswerOf("b1").empty());
  model.StepDown(2);
  model.Settle();
  CHECK(model.router.held(0) == 1);
  model.Connect(3);
  model.Lead(3);
  model.Advance(1500);
  model.Hint(3);
  model.Settle();
  CHECK(model.nodes[3].pending.size() == 1);
  CHECK(model.last_waited_ms == 61'500);
  CHECK(model.AnswerOf("b1").empty());
}

TEST_CASE("cancelling a blocked request, and unblocking it") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("b1");
  model.Settle();
  CHECK_FALSE(model.router.Cancel(0, {0, 1, 99}));
  model.links[led.link].full = true;
  CHECK(model.router.Cancel(0, {0, 1, 1}));
  model.Settle();
  CHECK(model.nodes[2].pending.size() == 1);
  model.links[led.link].full = false;
  model.Advance(1);  // told again
  model.Settle();
  CHECK(model.nodes[2].pending.empty());
  CHECK_FALSE(model.router.busy(0));

  model.Submit("b2");
  model.Settle();
  CHECK(model.router.Unblock(0, {0, 1, 2}, true));
  model.Settle();
  CHECK(model.AnswerOf("b2") == "$-1");

  model.Break(led.link);
  model.Submit("b3");
  CHECK(model.router.Unblock(0, {0, 1, 3}, true));
  CHECK(model.AnswerOf("b3") == "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  model.Submit("b4");
  CHECK(model.router.Cancel(0, {0, 1, 4}));
  CHECK_FALSE(model.router.busy(0));
  CHECK(model.AnswerOf("b4").empty());
}

TEST_CASE("a lane is bounded, and says when there is room again") {
  RouterModel model;
  for (size_t i = 0; i < Router::kMaxLaneRequests; ++i) {
    CHECK_FALSE(model.router.crowded());
    model.Submit("w" + std::to_string(i));
  }
  CHECK(model.router.crowded());
  CHECK(model.router.Full(0));
  CHECK_FALSE(model.router.Full(1));
  model.router.NoteFull();
  CHECK_FALSE(model.router.TakeRoom());
  model.Advance(2000);
  CHECK(model.router.TakeRoom());
  CHECK_FALSE(model.router.TakeRoom());
  CHECK(model.router.requests() == 0);
}

TEST_CASE("requests that don't fit in a frame and links that are full") {
  Led led;
  RouterModel& model = led.model;
  model.Submit("w" + std::string(2000, 'x'));
  CHECK(model.AnswerOf("w" + std::string(2000, 'x')) == kTooLargeToForward);
  model.links[led.link].full = true;
  model.Submit("w1");
  CHECK(model.router.held(0) == 1);
  model.links[led.link].full = false;
  model.Advance(Router::kRetryMs);
  CHECK(model.router.held(0) == 0);
}

TEST_CASE("nonsense from a link is an error, and an unknown id is not") {
  Led led;
  CHECK_FALSE(led.model.router.OnReply(led.link, "x").ok());
  PeerReply reply = PeerReply::Bytes("+OK");
  reply.id = 77;
  CHECK(led.model.router.OnReply(led.link, EncodePeerReply(reply)).ok());
}

TEST_CASE("a node that shuts down holds nothing") {
  RouterModel model;
  model.Submit("w1");
  model.router.Drain();
  CHECK(model.AnswerOf("w1") == kClusterDown);
}

TEST_CASE("an epoch belongs to one leadership") {
  EpochGuard guard;
  CHECK(guard.Admit(1, 0, 1, 5));
  CHECK(guard.Admit(1, 0, 1, 5));
  CHECK(guard.Admit(2, 0, 1, 5));
  CHECK_FALSE(guard.Admit(1, 0, 1, 0));
  CHECK_FALSE(guard.Admit(1, 0, 1, 6));
  CHECK(guard.Admit(1, 1, 1, 6));
  CHECK(guard.Admit(1, 0, 2, 6));
  CHECK_FALSE(guard.Admit(1, 0, 1, 6));
  CHECK_FALSE(guard.Admit(1, 0, 3, 0));
  CHECK_FALSE(guard.Admit(1, 0, 3, 7));
  guard.Forget(1);
  CHECK(guard.Admit(1, 0, 3, 7));
}

raft::NodeId LeaderIn(RouterModel* model) {
  for (const auto& [id, node] : model->nodes) {
    if (node.term != 0) return id;
  }
  return 0;
}

uint64_t SomeLink(RouterModel* model, Rng* rng) {
  if (model->links.empty()) return 0;
  auto it = model->links.begin();
  std::advance(it, rng->Below(model->links.size()));
  return it->first;
}

// One random event.
void Happen(RouterModel* model, Rng* rng, int step, std::vector<std::string>* names) {
  const uint64_t what = rng->Below(100);
  if (what < 25) {
    names->push_back((rng->Chance(1, 2) ? "w" : "r") + std::to_string(step));
    model->Submit(names->back());
  } else if (what < 50) {
    if (const uint64_t link = SomeLink(model, rng)) model->DeliverOut(link);
  } else if (what < 65) {
    if (const uint64_t link = SomeLink(model, rng)) model->DeliverIn(link);
  } else if (what < 73) {
    model->DeliverThere();
    model->DeliverHere();
  } else if (what < 80) {
    if (LeaderIn(model) != 0) model->Commit(LeaderIn(model));
  } else if (what < 85) {
    if (LeaderIn(model) != 0) model->StepDown(LeaderIn(model), rng->Below(4), rng->Below(4));
    if (rng->Chance(3, 4)) model->Lead(1 + rng->Below(3));
    if (rng->Chance(1, 2)) model->router.LeaderChanged(0);
  } else if (what < 90) {
    model->Hint(LeaderIn(model) == RouterModel::kSelf ? 0
                : rng->Chance(2, 3)                   ? LeaderIn(model)
                                                      : 2);
  } else if (what < 92) {
    if (const uint64_t link = SomeLink(model, rng)) model->Break(link);
  } else if (what < 95) {
    const raft::NodeId node = 2 + rng->Below(2);
    if (model->LinkTo(node) == 0 || rng->Chance(1, 3)) model->Connect(node);
  } else {
    model->Advance(static_cast<int64_t>(rng->Below(60)));
  }
}

void CalmDown(RouterModel* model, size_t names) {
  if (LeaderIn(model) == 0) model->Lead(2);
  for (const raft::NodeId node : {2, 3}) {
    if (model->LinkTo(node) == 0) model->Connect(node);
  }
  model->Hint(LeaderIn(model) == RouterModel::kSelf ? 0 : LeaderIn(model));
  for (int i = 0; i < 50; ++i) {
    model->Settle();
    model->Commit(LeaderIn(model));
    model->Settle();
    model->Advance(20);
  }
  CHECK_FALSE(model->router.busy(0));
  CHECK(model->router.requests() == 0);
  CHECK(model->answers.size() == names);
}

// Compares what the clients were told with what has happened.
void CheckTruth(const RouterModel& model, const std::vector<std::string>& names) {
  std::map<std::string, size_t> times;
  for (const std::string& name : model.executed) ++times[name];
  int64_t before = -1;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string answer = model.AnswerOf(name);
    if (answer[0] == '+') {
      int64_t at;
      REQUIRE(ParseInt64(std::string_view(answer).substr(1), &at));
      CHECK(model.executed[static_cast<size_t>(at)] == name);
      CHECK(at > before);
      before = at;
      if (name[0] == 'w') CHECK(times[name] == 1);
    } else if (answer == kInDoubt) {
      CHECK(name[0] == 'w');
      CHECK(times[name] <= 1);
    } else {
      CHECK((answer == kTryAgain || answer == kClusterDown));
      if (name[0] == 'w') CHECK(times[name] == 0);
    }
  }
}

TEST_CASE("whatever happens, requests run in order, writes at most once, and answers are true") {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    RouterModel model;
    model.retry_timeout_ms = 200;
    std::vector<std::string> names;
    for (int step = 0; step < 600; ++step) Happen(&model, &rng, step, &names);
    CalmDown(&model, names.size());
    CheckTruth(model, names);
  }
}

}  // namespace
}  // namespace holdfast::engine
