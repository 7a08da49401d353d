#include "engine/router.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/errors.h"
#include "resp/writer.h"

namespace holdfast::engine {
namespace {

constexpr std::string_view kWaitLost =
    "UNBLOCKED the leader that knew from where this client reads is gone; nothing was read";

// XREAD with BLOCK and `$`: only the leader that it waits at knows what `$` meant then. Asked again
// elsewhere it would miss what has come since.
bool IsSettledWhereItWaits(const Routed& routed) {
  if (!routed.blocking || routed.request.commands.size() != 1) return false;
  const Command& command = *routed.request.commands[0].command;
  const Args args = routed.request.commands[0].args.args();
  std::vector<int> keys;
  if (command.keys.kind != KeySpec::Kind::kStreams || !FindKeys(command, args, &keys)) return false;
  return std::find(args.end() - static_cast<ptrdiff_t>(keys.size()), args.end(), "$") != args.end();
}

// Requests in the order in which they were sent.
void SortById(std::deque<std::unique_ptr<Routed>>* requests) {
  std::stable_sort(requests->begin(), requests->end(),
                   [](const auto& a, const auto& b) { return a->request.id < b->request.id; });
}

bool SamePlace(const ReplyAddress& a, const ReplyAddress& b) {
  return a.core == b.core && a.client == b.client && a.slot == b.slot;
}

}  // namespace

// ---- Counting

Router::Router(RouterHost* host, uint32_t partitions) : host_(host), lanes_(partitions) {}
Router::~Router() = default;

void Router::Enter(Routed* routed) {
  routed->bytes = sizeof(Routed) + routed->request.MemoryBytes();
  Lane& lane = LaneOf(*routed);
  ++lane.requests;
  ++requests_;
  lane.bytes += routed->bytes;
  bytes_ += routed->bytes;
  host_->stats()->forwarded_waiting = requests_;
}

void Router::Leave(const Routed& routed) {
  Lane& lane = LaneOf(routed);
  CHECK(lane.requests > 0 && lane.bytes >= routed.bytes);
  --lane.requests;
  --requests_;
  lane.bytes -= routed.bytes;
  bytes_ -= routed.bytes;
  host_->stats()->forwarded_waiting = requests_;
}

void Router::Update(Lane* lane) {
  const bool busy = lane->requests > 0 || lane->fencing;
  if (busy == lane->busy) return;
  lane->busy = busy;
  busy ? ++busy_lanes_ : --busy_lanes_;
}

bool Router::Full(uint32_t partition) const {
  const Lane& lane = lanes_[partition];
  return lane.requests >= kMaxLaneRequests || lane.bytes >= kMaxLaneBytes ||
         (lane.busy && (requests_ >= kMaxRequests || bytes_ >= kMaxBytes));
}

bool Router::TakeRoom() {
  if (!was_full_) return false;
  // Well below the limits, so that clients don't come and go for each request. The lane that was
  // full may be another one; then its clients wait again.
  for (const Lane& lane : lanes_) {
    if (lane.requests > kMaxLaneRequests / 2 || lane.bytes > kMaxLaneBytes / 2) return false;
  }
  if (requests_ > kMaxRequests / 4 * 3 || bytes_ > kMaxBytes / 4 * 3) return false;
  was_full_ = false;
  return true;
}

// ---- Requests

void Router::Submit(std::unique_ptr<Routed> routed) {
  const uint32_t partition = routed->request.partition;
  Lane& lane = lanes_[partition];
  routed->began_ms = host_->NowMs();
  routed->deadline_ms = routed->began_ms + (draining_ ? 0 : host_->RetryTimeoutMs());
  if (Direct(partition)) {
    lane.posted = true;
    Depart(&lane, routed.get());
    host_->RunHere(std::move(routed));
    return;
  }
  Enter(routed.get());
  const int64_t deadline_ms = routed->deadline_ms;
  lane.held.push_back(std::move(routed));
  Update(&lane);
  Pump(partition);
  if (!lane.held.empty()) host_->WakeAt(deadline_ms);
}

void Router::Depart(Lane* lane, Routed* routed) {
  routed->request.id = next_id_++;
  routed->request.epoch = lane->epoch;
  routed->sent_ms = host_->NowMs();
  if (routed->blocking) routed->request.waited_ms = routed->sent_ms - routed->began_ms;
}

void Router::Finish(std::unique_ptr<Routed> routed, PeerReply reply) {
  Leave(*routed);
  host_->Answer(std::move(routed), std::move(reply));
}

std::unique_ptr<Routed> Router::TakeSent(uint64_t id) {
  const auto it = sent_.find(id);
  CHECK(it != sent_.end());
  std::unique_ptr<Routed> routed = std::move(it->second);
  sent_.erase(it);
  Lane& lane = LaneOf(*routed);
  CHECK(lane.sent > 0);
  if (--lane.sent == 0) lane.abandon_at_ms = 0;
  return routed;
}

void Router::WatchFormerLeader(Lane* lane, raft::NodeId leader) {
  if (lane->sent == 0 || lane->node == leader) {
    lane->abandon_at_ms = 0;
  } else if (lane->abandon_at_ms == 0) {
    lane->abandon_at_ms = host_->NowMs() + kAbandonMs;
    host_->WakeAt(lane->abandon_at_ms);
  }
}

void Router::Pump(uint32_t partition) {
  Lane& lane = lanes_[partition];
  while (true) {
    const bool here = host_->Leads(partition);
    const raft::NodeId leader = here ? raft::kNoNode : host_->LeaderOf(partition);
    if (!here && leader == raft::kNoNode) break;
    WatchFormerLeader(&lane, leader);
    if (leader != lane.refused_by) lane.refused_by = raft::kNoNode;
    if (lane.fencing || lane.over || lane.held.empty()) break;
    // What the former leader did with them has to be known first.
    if (lane.sent > 0 && lane.node != leader) break;
    if (here) {
      std::unique_ptr<Routed> routed = std::move(lane.held.front());
      lane.held.pop_front();
      Leave(*routed);
      lane.posted = true;
      Depart(&lane, routed.get());
      host_->RunHere(std::move(routed));
      continue;
    }
    if (lane.posted) {
      BeginFence(partition);
      break;
    }
    if (lane.refused_by != raft::kNoNode && host_->NowMs() < lane.retry_at_ms) {
      host_->WakeAt(lane.retry_at_ms);
      break;
    }
    if (!SendFront(&lane, leader)) break;
  }
  Update(&lane);
}

bool Router::SendFront(Lane* lane, raft::NodeId leader) {
  // As long as something is outstanding, by the same link: two links keep no order.
  const uint64_t link = lane->sent > 0 ? lane->link : host_->LinkTo(leader);
  if (link == 0) return false;
  Routed* front = lane->held.front().get();
  Depart(lane, front);
  const std::string bytes = EncodePeerRequest(front->request);
  if (bytes.size() > host_->MaxItemBytes()) {
    std::unique_ptr<Routed> routed = std::move(lane->held.front());
    lane->held.pop_front();
    Finish(std::move(routed), PeerReply::Error(kTooLargeToForward));
    return true;
  }
  if (!host_->Send(link, replica::ItemKind::kRequest, bytes)) {
    host_->WakeAt(host_->NowMs() + kRetryMs);
    return false;
  }
  ++host_->stats()->forwarded_sent;
  front->link = link;
  lane->link = link;
  lane->node = leader;
  ++lane->sent;
  sent_.emplace(front->request.id, std::move(lane->held.front()));
  lane->held.pop_front();
  return true;
}

// ---- Back

void Router::BeginFence(uint32_t partition) {
  Lane& lane = lanes_[partition];
  lane.fencing = true;
  Update(&lane);
  host_->Fence(partition);
}

void Router::TakeBack(std::unique_ptr<Routed> routed) {
  const uint32_t partition = routed->request.partition;
  Lane& lane = lanes_[partition];
  ++host_->stats()->forwarded_refused;
  BringBack(std::move(routed));
  if (lane.sent > 0) {
    lane.over = true;
  } else if (!lane.fencing) {
    BeginFence(partition);
  }
}

void Router::Fenced(uint32_t partition) {
  Lane& lane = lanes_[partition];
  CHECK(lane.fencing);
  lane.fencing = false;
  lane.posted = false;
  NextEpoch(&lane);
  Pump(partition);
}

void Router::BringBack(std::unique_ptr<Routed> routed) {
  Lane& lane = LaneOf(*routed);
  routed->deadline_ms += host_->NowMs() - routed->sent_ms;
  if (draining_) routed->deadline_ms = host_->NowMs();
  routed->link = 0;
  Enter(routed.get());
  host_->WakeAt(routed->deadline_ms);
  lane.back.push_back(std::move(routed));
  Update(&lane);
}

void Router::NextEpoch(Lane* lane) {
  CHECK(lane->sent == 0 && !lane->fencing);
  SortById(&lane->back);
  while (!lane->back.empty()) {
    lane->held.push_front(std::move(lane->back.back()));
    lane->back.pop_back();
  }
  lane->over = false;
  ++lane->epoch;
}

void Router::Lose(std::unique_ptr<Routed> routed) {
  Lane& lane = LaneOf(*routed);
  if (routed->request.type == PeerRequestType::kUnwatch) {
    // The node has forgotten its watches with the link.
    Finish(std::move(routed), PeerReply());
  } else if (routed->cancelled) {
    Finish(std::move(routed), PeerReply());
  } else if (routed->is_write) {
    ++host_->stats()->forwarded_in_doubt;
    Finish(std::move(routed), PeerReply::Error(kInDoubt));
  } else if (IsSettledWhereItWaits(*routed)) {
    Finish(std::move(routed), PeerReply::Error(kWaitLost));
  } else {
    lane.over = true;
    Leave(*routed);
    BringBack(std::move(routed));
  }
}

void Router::LoseAll(uint32_t partition) {
  std::vector<uint64_t> ids;
  for (const auto& [id, routed] : sent_) {
    if (routed->request.partition == partition) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  Lane& lane = lanes_[partition];
  // Answers may submit requests; they wait for the next epoch.
  lane.over = true;
  for (const uint64_t id : ids) Lose(TakeSent(id));
  CHECK(lane.sent == 0);
  NextEpoch(&lane);
  Pump(partition);
}

// ---- Events

Status Router::OnReply(uint64_t link, std::string_view bytes) {
  PeerReply reply;
  RETURN_IF_ERROR(DecodePeerReply(bytes, &reply));
  const auto it = sent_.find(reply.id);
  // It was given up, or its client cancelled it.
  if (it == sent_.end() || it->second->link != link) return Status::Ok();
  std::unique_ptr<Routed> routed = TakeSent(reply.id);
  const uint32_t partition = routed->request.partition;
  Lane& lane = lanes_[partition];
  if (reply.outcome == PeerOutcome::kLostRead && routed->is_write) {
    reply = PeerReply::Error(kInDoubt);
  }
  if (reply.outcome == PeerOutcome::kLostRead && IsSettledWhereItWaits(*routed)) {
    reply = PeerReply::Error(kWaitLost);
  }
  if (reply.outcome == PeerOutcome::kDone || routed->cancelled) {
    Finish(std::move(routed), std::move(reply));
  } else {
    if (reply.outcome == PeerOutcome::kNotLeader) {
      ++host_->stats()->forwarded_refused;
      lane.refused_by = lane.node;
      lane.retry_at_ms = host_->NowMs() + kRetryMs;
    }
    lane.over = true;
    Leave(*routed);
    BringBack(std::move(routed));
  }
  if (lane.over && lane.sent == 0) NextEpoch(&lane);
  Pump(partition);
  return Status::Ok();
}

void Router::LinkUp() {
  if (busy_lanes_ == 0) return;
  for (uint32_t p = 0; p < lanes_.size(); ++p) {
    if (lanes_[p].busy) Pump(p);
  }
}

void Router::LinkDown(uint64_t link) {
  for (uint32_t p = 0; p < lanes_.size(); ++p) {
    if (lanes_[p].sent > 0 && lanes_[p].link == link) LoseAll(p);
  }
}

void Router::LeaderChanged(uint32_t partition) {
  if (lanes_[partition].busy) Pump(partition);
}

int64_t Router::Tick() {
  if (busy_lanes_ == 0) return 0;
  const int64_t now_ms = host_->NowMs();
  int64_t next = 0;
  std::vector<uint64_t> again;
  again.swap(uncancelled_);
  for (const uint64_t id : again) {
    const auto it = sent_.find(id);
    if (it == sent_.end()) continue;
    if (!SendCancel(*it->second, PeerCancelMode::kGone)) uncancelled_.push_back(id);
  }
  if (!uncancelled_.empty()) next = now_ms + kRetryMs;
  for (uint32_t p = 0; p < lanes_.size(); ++p) {
    Lane& lane = lanes_[p];
    if (!lane.busy) continue;
    if (lane.abandon_at_ms != 0 && lane.abandon_at_ms <= now_ms) {
      // Unless it is the leader again.
      const bool led_there = !host_->Leads(p) && host_->LeaderOf(p) == lane.node;
      lane.abandon_at_ms = 0;
      if (!led_there) LoseAll(p);
    }
    Pump(p);
    AnswerOverdue(p, now_ms);
    if (!lane.held.empty() || lane.abandon_at_ms != 0) next = now_ms + kRetryMs;
  }
  return next;
}

void Router::AnswerOverdue(uint32_t partition, int64_t now_ms) {
  Lane& lane = lanes_[partition];
  const auto is_overdue = [now_ms](const auto& r) { return r->deadline_ms <= now_ms; };
  if (std::none_of(lane.held.begin(), lane.held.end(), is_overdue)) return;
  Requests overdue;
  Requests kept;
  for (auto& routed : lane.held) {
    (is_overdue(routed) ? overdue : kept).push_back(std::move(routed));
  }
  lane.held = std::move(kept);
  const bool led = host_->Leads(partition) || host_->LeaderOf(partition) != raft::kNoNode;
  for (auto& routed : overdue) {
    Finish(std::move(routed), PeerReply::Error(led ? kTryAgain : kClusterDown));
  }
  Update(&lane);
}

void Router::Drain() {
  draining_ = true;
  for (uint32_t p = 0; p < lanes_.size(); ++p) {
    for (auto& routed : lanes_[p].held) routed->deadline_ms = 0;
    if (lanes_[p].busy) AnswerOverdue(p, host_->NowMs());
  }
}

// ---- Cancelling

std::unique_ptr<Routed> Router::TakeHeld(uint32_t partition, const ReplyAddress& reply) {
  Lane& lane = lanes_[partition];
  for (Requests* requests : {&lane.held, &lane.back}) {
    const auto it = std::find_if(requests->begin(), requests->end(),
                                 [&](const auto& r) { return SamePlace(r->reply, reply); });
    if (it == requests->end()) continue;
    std::unique_ptr<Routed> routed = std::move(*it);
    requests->erase(it);
    return routed;
  }
  return nullptr;
}

Routed* Router::FindSent(uint32_t partition, const ReplyAddress& reply) {
  if (lanes_[partition].sent == 0) return nullptr;
  for (auto& [id, routed] : sent_) {
    if (routed->request.partition == partition && SamePlace(routed->reply, reply)) {
      return routed.get();
    }
  }
  return nullptr;
}

bool Router::SendCancel(const Routed& routed, PeerCancelMode mode) {
  return host_->Send(routed.link, replica::ItemKind::kCancel,
                     EncodePeerCancel({routed.request.id, routed.request.partition, mode}));
}

bool Router::Cancel(uint32_t partition, const ReplyAddress& reply) {
  if (!lanes_[partition].busy) return false;
  if (const std::unique_ptr<Routed> held = TakeHeld(partition, reply)) {
    Leave(*held);
    Update(&lanes_[partition]);
    return true;
  }
  Routed* sent = FindSent(partition, reply);
  if (sent == nullptr) return false;
  // It stays outstanding until the node has answered, which it does when it takes the request out
  // of the line.
  sent->cancelled = true;
  if (!SendCancel(*sent, PeerCancelMode::kGone)) uncancelled_.push_back(sent->request.id);
  return true;
}

bool Router::Unblock(uint32_t partition, const ReplyAddress& reply, bool with_error) {
  if (!lanes_[partition].busy) return false;
  if (std::unique_ptr<Routed> held = TakeHeld(partition, reply)) {
    std::string bytes;
    resp::Writer writer(&bytes, held->request.protocol);
    if (with_error) {
      writer.Error(kUnblocked);
    } else {
      writer.Null();
    }
    Finish(std::move(held), PeerReply::Bytes(std::move(bytes)));
    Update(&lanes_[partition]);
    return true;
  }
  const Routed* sent = FindSent(partition, reply);
  return sent != nullptr &&
         SendCancel(*sent, with_error ? PeerCancelMode::kError : PeerCancelMode::kTimeout);
}

// ---- The leader's side

EpochGuard::EpochGuard() = default;
EpochGuard::~EpochGuard() = default;

bool EpochGuard::Admit(uint64_t source, uint32_t partition, uint64_t epoch, uint64_t term) {
  Bound& bound = sources_[source][partition];
  if (epoch < bound.epoch) return false;
  if (epoch > bound.epoch) bound = {epoch, term};
  return term != 0 && bound.term == term;
}

void EpochGuard::Forget(uint64_t source) { sources_.erase(source); }

}  // namespace holdfast::engine
