// A router and the nodes around it, without sockets: this node (1) and two others that lead by
// turns, links that deliver late and break, hints that are old. Everything happens when told to.
// Include it before doctest, whose CHECK takes the place of ours.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "engine/errors.h"
#include "engine/router.h"

namespace holdfast::engine {

// One partition, number 0. A request's name is its only argument; "w…" are writes, "b…" block.
class RouterModel final : public RouterHost {
 public:
  static constexpr raft::NodeId kSelf = 1;
  static constexpr uint64_t kSelfSource = 1000;

  struct Node {
    uint64_t term = 0;  // in which it leads; 0: it doesn't
    EpochGuard guard;
    struct Pending {
      std::string name;
      bool is_write;
      uint64_t link;  // where its answer goes; 0: home
      uint64_t id;
      bool blocked;
      std::unique_ptr<Routed> routed;  // of this node's own
    };
    std::deque<Pending> pending;  // executed, not committed
  };
  struct Link {
    raft::NodeId node;
    bool full = false;
    std::deque<std::pair<replica::ItemKind, std::string>> out;
    std::deque<std::string> in;
  };

  RouterModel() : router(this, 2) {
    for (const raft::NodeId node : {1, 2, 3}) nodes[node];
  }

  // ---- Clients
  void Submit(const std::string& name) {
    auto routed = std::make_unique<Routed>();
    PeerCommand command;
    const std::string_view word = name;
    command.args = OwnedArgs({&word, 1});
    routed->request.commands.push_back(std::move(command));
    routed->is_write = name[0] != 'r';
    routed->blocking = name[0] == 'b';
    routed->reply = {0, 1, ++slots};
    routed->answer = [this, name](PeerReply reply) {
      CHECK(!answers.contains(name));
      answers[name] = reply.error.empty() ? reply.replies[0] : reply.error;
    };
    router.Submit(std::move(routed));
  }
  std::string AnswerOf(const std::string& name) const {
    const auto it = answers.find(name);
    return it == answers.end() ? "" : it->second;
  }

  // ---- Leadership
  void Lead(raft::NodeId node) {
    nodes[node].term = ++last_term;
    if (node == kSelf) hint = 0;
  }
  // `proposed` of what was not committed was proposed; `kept` of that will be committed.
  void StepDown(raft::NodeId node, size_t proposed = 0, size_t kept = 0) {
    Node& n = nodes[node];
    n.term = 0;
    std::deque<Node::Pending> pending;
    pending.swap(n.pending);
    size_t at = 0;
    // Writes wait by index and reads by round, so their answers don't come in order.
    std::stable_partition(pending.begin(), pending.end(),
                          [](const Node::Pending& p) { return p.is_write; });
    for (Node::Pending& p : pending) {
      PeerReply reply;
      if (p.blocked || !p.is_write) {
        reply.outcome = p.blocked ? PeerOutcome::kNotLeader : PeerOutcome::kLostRead;
      } else if (at < proposed) {
        reply = PeerReply::Error(kInDoubt);
        if (at < kept) executed.push_back(p.name);
        ++at;
      } else {
        reply.outcome = PeerOutcome::kNotLeader;
      }
      Reply(&p, std::move(reply));
    }
  }
  // What is pending is committed.
  void Commit(raft::NodeId node) {
    std::deque<Node::Pending> pending;
    pending.swap(nodes[node].pending);
    for (Node::Pending& p : pending) {
      if (p.blocked) {
        nodes[node].pending.push_back(std::move(p));
        continue;
      }
      // The answer tells which execution it is of.
      Reply(&p, PeerReply::Bytes("+" + std::to_string(executed.size())));
      executed.push_back(p.name);
    }
  }
  void Hint(raft::NodeId leader) {
    hint = leader;
    router.LeaderChanged(0);
  }

  // ---- Links
  uint64_t Connect(raft::NodeId node) {
    links[++last_link].node = node;
    router.LinkUp();
    return last_link;
  }
  void Break(uint64_t link) {
    nodes[links[link].node].guard.Forget(link);
    std::deque<Node::Pending>& pending = nodes[links[link].node].pending;
    std::erase_if(pending, [link](const auto& p) { return p.blocked && p.link == link; });
    links.erase(link);
    router.LinkDown(link);
  }
  // The node takes one item from the link, or sends nothing.
  bool DeliverOut(uint64_t link) {
    Link& from = links[link];
    if (from.out.empty()) return false;
    const auto [kind, bytes] = std::move(from.out.front());
    from.out.pop_front();
    Node& node = nodes[from.node];
    if (kind == replica::ItemKind::kCancel) {
      PeerCancel cancel;
      CHECK(DecodePeerCancel(bytes, &cancel).ok());
      const auto it = std::find_if(node.pending.begin(), node.pending.end(), [&](const auto& p) {
        return p.blocked && p.link == link && p.id == cancel.id;
      });
      if (it == node.pending.end()) return true;
      Node::Pending p = std::move(*it);
      node.pending.erase(it);
      Reply(&p, PeerReply::Bytes("$-1"));
      return true;
    }
    PeerRequest request;
    CHECK(DecodePeerRequest(bytes, &request).ok());
    const std::string name(request.commands[0].args.args()[0]);
    last_waited_ms = request.waited_ms;
    Node::Pending p{name, name[0] != 'r', link, request.id, name[0] == 'b', nullptr};
    Execute(&node, link, request.epoch, std::move(p));
    return true;
  }
  bool DeliverIn(uint64_t link) {
    Link& from = links[link];
    if (from.in.empty()) return false;
    const std::string bytes = std::move(from.in.front());
    from.in.pop_front();
    CHECK(router.OnReply(link, bytes).ok());
    return true;
  }

  // ---- This node's other core
  bool DeliverThere() {
    if (to_core.empty()) return false;
    std::unique_ptr<Routed> routed = std::move(to_core.front());
    to_core.pop_front();
    if (routed == nullptr) {
      from_core.emplace_back(nullptr, PeerReply());
      return true;
    }
    const std::string name(routed->request.commands[0].args.args()[0]);
    const uint64_t epoch = routed->request.epoch;
    Node::Pending p{name, routed->is_write, 0, 0, routed->blocking, std::move(routed)};
    Execute(&nodes[kSelf], kSelfSource, epoch, std::move(p));
    return true;
  }
  bool DeliverHere() {
    if (from_core.empty()) return false;
    auto [routed, reply] = std::move(from_core.front());
    from_core.pop_front();
    if (routed == nullptr) {
      router.Fenced(0);
    } else if (reply.outcome == PeerOutcome::kDone) {
      Answer(std::move(routed), std::move(reply));
    } else {
      router.TakeBack(std::move(routed));
    }
    return true;
  }
  // Everything that is under way arrives.
  void Settle() {
    for (bool again = true; again;) {
      again = DeliverThere();
      again = DeliverHere() || again;
      for (uint64_t link = 1; link <= last_link; ++link) {
        if (!links.contains(link)) continue;
        again = DeliverOut(link) || again;
        again = DeliverIn(link) || again;
      }
    }
  }
  void Advance(int64_t ms) {
    now_ms += ms;
    router.Tick();
  }

  // ---- RouterHost
  int64_t NowMs() const override { return now_ms; }
  int64_t RetryTimeoutMs() const override { return retry_timeout_ms; }
  bool Leads(uint32_t) const override { return nodes.at(kSelf).term != 0; }
  raft::NodeId LeaderOf(uint32_t) const override { return hint; }
  uint64_t LinkTo(raft::NodeId node) const override {
    // The newest, while requests may be outstanding at an older one.
    uint64_t newest = 0;
    for (const auto& [id, link] : links) {
      if (link.node == node) newest = id;
    }
    return newest;
  }
  bool Send(uint64_t link, replica::ItemKind kind, std::string_view bytes) override {
    const auto it = links.find(link);
    if (it == links.end() || it->second.full) return false;
    it->second.out.emplace_back(kind, bytes);
    return true;
  }
  size_t MaxItemBytes() const override { return 1000; }
  void RunHere(std::unique_ptr<Routed> routed) override { to_core.push_back(std::move(routed)); }
  void Fence(uint32_t) override { to_core.push_back(nullptr); }
  void Answer(std::unique_ptr<Routed> routed, PeerReply reply) override {
    routed->answer(std::move(reply));
  }
  void WakeAt(int64_t) override {}
  CoreStats* stats() override { return &stats_; }

  std::map<raft::NodeId, Node> nodes;
  std::map<uint64_t, Link> links;
  std::deque<std::unique_ptr<Routed>> to_core;                          // null: a fence
  std::deque<std::pair<std::unique_ptr<Routed>, PeerReply>> from_core;  // null: a fence's answer
  raft::NodeId hint = 0;
  uint64_t last_term = 0;
  uint64_t last_link = 0;
  uint64_t slots = 0;
  int64_t now_ms = 1000;
  int64_t retry_timeout_ms = 2000;
  int64_t last_waited_ms = 0;
  std::vector<std::string> executed;           // with effect, in this order
  std::map<std::string, std::string> answers;  // by name

  Router router;

 private:
  void Execute(Node* node, uint64_t source, uint64_t epoch, Node::Pending p) {
    if (node->guard.Admit(source, 0, epoch, node->term)) {
      node->pending.push_back(std::move(p));
      return;
    }
    PeerReply reply;
    reply.outcome = PeerOutcome::kNotLeader;
    Reply(&p, std::move(reply));
  }
  void Reply(Node::Pending* p, PeerReply reply) {
    reply.id = p->id;
    if (p->link == 0) {
      from_core.emplace_back(std::move(p->routed), std::move(reply));
    } else if (links.contains(p->link)) {
      links[p->link].in.push_back(EncodePeerReply(reply));
    }
  }

  CoreStats stats_;
};

}  // namespace holdfast::engine
