#include "cluster/cluster.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "cluster/join.h"
#include "cluster/reconcile.h"

namespace holdfast::cluster {
namespace {

constexpr uint64_t kTickMs = 50;
// Calls of this node to the meta partition that may wait for their answers.
constexpr size_t kMaxCalls = 16;
// Nodes that came by themselves and are remembered.
constexpr size_t kMaxLearned = 64;
// An entry travels whole: the largest value, or what one transaction may write.
constexpr size_t kMaxFrameBytes = size_t{1280} << 20;
// Version of entries and snapshots; nodes with another one don't understand each other.
constexpr uint32_t kDataFormat = 1;

PeerStatusOf StatusIn(const raft::Group& group) {
  return [&group](raft::NodeId peer) { return group.StatusOf(peer); };
}

std::string HostAndPort(const std::string& host, int64_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

void LogRefusal(const resp::Reply& reply) {
  if (reply.is_error()) LogVerbose("the cluster's records were not changed: {}", reply.string);
}

}  // namespace

std::string Cluster::ClusterAddress(const engine::Config& config) {
  if (!config.cluster_announce.empty()) return config.cluster_announce;
  return HostAndPort(config.bind.front(), config.cluster_port);
}

std::string Cluster::ClientAddress(const engine::Config& config) {
  return HostAndPort(config.bind.front(), config.port != 0 ? config.port : config.tls_port);
}

replica::Hello Cluster::HelloOf(const engine::Config& config, const storage::Identity& identity) {
  replica::Hello hello;
  hello.data_format = kDataFormat;
  hello.cluster_id = identity.cluster_id;
  hello.node_id = identity.node_id;
  hello.partitions = identity.partitions;
  hello.cluster_address = ClusterAddress(config);
  hello.client_address = ClientAddress(config);
  return hello;
}

Cluster::Cluster(engine::Engine* engine, const engine::Config& config)
    : engine_(engine),
      node_(engine->identity().node_id),
      hello_(HelloOf(config, engine->identity())),
      secret_(config.cluster_secret),
      tls_(config.tls_cluster ? engine->tls : nullptr) {
  hello_.cores = engine->cores();
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    engine::Core* core = &engine->core(i);
    auto side = std::make_unique<Side>(core);
    side->view = std::make_shared<const View>();
    side->self = std::make_unique<engine::InternalClient>(core);
    Side* raw = side.get();
    sides_.push_back(std::move(side));
    replica::Hello self = hello_;
    self.core_index = i;
    replica::TransportOptions options;
    options.link.max_frame_bytes = kMaxFrameBytes;
    core->OpenTransport(
        {self, secret_, [this, raw](const replica::Hello& peer) { return Authorize(*raw, peer); },
         tls_},
        std::move(options));
    core->peer_events.on_up = [this, raw](replica::PeerLink& link) { OnUp(raw, link); };
    core->peer_events.on_item = [this, raw](replica::PeerLink& link, replica::ItemKind kind,
                                            std::string_view bytes) {
      OnItem(raw, link, kind, bytes);
    };
    raw->timer.Start(kTickMs, kTickMs, [this, raw] { Tick(raw); });
  }
  engine::Partition* meta = engine->core(0).FindPartition(engine->meta_partition());
  LearnFromLog(*meta);
  meta->Observe(this);
  settings_ = std::make_unique<Settings>(engine);
  engine->cluster = this;
}

// What the log holds is not known to be committed before somebody leads, and nobody can be elected
// before the nodes have found each other: so any address in it will do to dial.
void Cluster::LearnFromLog(engine::Partition& meta) {
  ViewBuilder all;
  Status status = all.Reset(meta.keyspace());
  const raft::Group& group = meta.replica()->group();
  for (uint64_t i = group.applied_index() + 1; i <= group.last_index() && status.ok(); ++i) {
    const raft::Entry& entry = group.EntryAt(i);
    if (entry.kind == raft::EntryKind::kData) status = all.Apply(*entry.payload);
  }
  if (!status.ok()) Fatal(status.message());
  for (const auto& [id, record] : all.view().nodes) {
    if (id == node_ || record.state == NodeState::kRemoved) continue;
    for (auto& side : sides_) side->learned.push_back({id, record.cluster_address});
  }
}

Cluster::~Cluster() { engine_->cluster = nullptr; }

void Cluster::Listen(net::Socket socket) {
  Side* first = sides_[0].get();
  listener_ = std::make_unique<replica::PeerListener>(
      &first->core->loop(), std::move(socket),
      replica::Credentials{
          hello_, secret_,
          [this, first](const replica::Hello& peer) { return Authorize(*first, peer); }, tls_},
      replica::PeerListenerOptions(), [this, first](replica::AcceptedPeer accepted) {
        const uint32_t target = accepted.peer.core_index % engine_->cores();
        engine::Core* core = &engine_->core(target);
        first->core->Post(target, [core, accepted = std::move(accepted)]() mutable {
          core->transport()->Adopt(std::move(accepted));
        });
      });
}

bool Cluster::HandOver(engine::Core& core) {
  bool done = true;
  for (const auto& partition : core.partitions()) {
    const raft::Group& group = partition->replica()->group();
    if (group.standing().role != raft::Role::kLeader) continue;
    const raft::NodeId successor = Successor(group.membership(), view(core), StatusIn(group));
    if (successor == raft::kNoNode) continue;
    done = false;
    if (group.standing().transferring_to == raft::kNoNode) Transfer(partition.get(), successor);
  }
  return done;
}

void Cluster::Stop(engine::Core& core) {
  if (core.number() == 0) {
    listener_.reset();
    settings_->Stop();
  }
  sides_[core.number()]->timer.Stop();
}

// ---- What the meta group knows

void Cluster::OnCommitted(std::string_view payload) {
  const Status status = builder_.Apply(payload);
  if (!status.ok()) Fatal(status.message());
  Publish();
}

void Cluster::OnReplaced(const data::Keyspace& keyspace) {
  const Status status = builder_.Reset(keyspace);
  if (!status.ok()) Fatal(status.message());
  if (engine_->cluster != nullptr) {
    Publish();
    return;
  }
  // No core runs yet.
  const auto view = std::make_shared<const View>(builder_.view());
  for (auto& side : sides_) TakeView(side.get(), view);
}

void Cluster::Publish() {
  const auto view = std::make_shared<const View>(builder_.view());
  for (auto& side : sides_) {
    Side* raw = side.get();
    sides_[0]->core->Post(raw->core->number(), [this, raw, view] { TakeView(raw, view); });
  }
}

void Cluster::TakeView(Side* side, std::shared_ptr<const View> view) {
  side->view = std::move(view);
  UpdatePeers(side);
}

// ---- Links

void Cluster::UpdatePeers(Side* side) {
  std::vector<replica::Peer> peers;
  for (const auto& [id, record] : side->view->nodes) {
    // One that leaves is told until its last group has let it go.
    if (id == node_ || record.state == NodeState::kRemoved) continue;
    peers.push_back({id, record.cluster_address});
  }
  for (const replica::Peer& learned : side->learned) {
    if (side->view->Find(learned.id) == nullptr) peers.push_back(learned);
  }
  side->core->transport()->SetPeers(std::move(peers));
}

Status Cluster::Authorize(const Side& side, const replica::Hello& peer) const {
  const NodeRecord* record = side.view->Find(peer.node_id);
  if (record != nullptr && record->state == NodeState::kRemoved) {
    return Status::Unsupported("node " + FormatId(peer.node_id) +
                               " was removed from this cluster; an id is used only once");
  }
  if (peer.cluster_id != 0 && peer.partitions != engine_->partitions()) {
    return Status::Unsupported("the cluster has " + std::to_string(engine_->partitions()) +
                               " partitions, node " + FormatId(peer.node_id) + " has " +
                               std::to_string(peer.partitions));
  }
  return Status::Ok();
}

void Cluster::OnUp(Side* side, replica::PeerLink& link) {
  const replica::Hello& peer = link.peer();
  if (side->core->number() == 0) settings_->OnUp(link);
  if (peer.cluster_id == 0 || side->view->Find(peer.node_id) != nullptr) return;
  // A node that this one has no record of: this one is new itself. Whoever writes to it has to be
  // answered.
  const replica::Peer found{peer.node_id, peer.cluster_address};
  if (std::find(side->learned.begin(), side->learned.end(), found) != side->learned.end()) return;
  std::erase_if(side->learned, [&found](const replica::Peer& old) { return old.id == found.id; });
  if (side->learned.size() >= kMaxLearned) return;
  side->learned.push_back(found);
  // Not from inside a call of the transport.
  side->core->Post(side->core->number(), [this, side] { UpdatePeers(side); });
}

void Cluster::OnItem(Side* side, replica::PeerLink& link, replica::ItemKind kind,
                     std::string_view bytes) {
  if (kind == replica::ItemKind::kJoin) OnJoin(side, link, bytes);
  if (kind == replica::ItemKind::kSettings && side->core->number() == 0) {
    settings_->OnItem(link, bytes);
  }
}

void Cluster::OnJoin(Side* side, replica::PeerLink& link, std::string_view bytes) {
  JoinRequest request;
  const Status status = DecodeJoin(bytes, &request);
  if (!status.ok()) {
    link.Close(status);
    return;
  }
  if (side->self->pending() >= kMaxCalls) return;  // it asks again
  side->self->Call({"CLUSTER", "ADDNODE", FormatId(link.node()), request.cluster_address,
                    request.client_address},
                   [this, side, link_id = link.id()](const resp::Reply& answer) {
                     replica::PeerLink* back = side->core->transport()->FindLink(link_id);
                     if (back == nullptr) return;
                     JoinReply reply;
                     reply.welcome = !answer.is_error();
                     reply.reason = answer.string;
                     reply.entry.cluster_id = hello_.cluster_id;
                     reply.entry.member = node_;
                     reply.entry.partitions = engine_->partitions();
                     reply.entry.hash_seed = engine_->identity().hash_seed;
                     back->Send(replica::ItemKind::kJoinReply, EncodeJoinReply(reply));
                   });
}

// ---- Step by step

void Cluster::Tick(Side* side) {
  for (const auto& partition : side->core->partitions()) {
    if (!partition->ready()) continue;
    Reconcile(side, partition.get());
    Report(side, *partition);
  }
  if (side->core->number() != 0) return;
  KeepRecords(side);
  settings_->Tick();
}

void Cluster::Reconcile(Side* side, engine::Partition* partition) {
  replica::Replica* replica = partition->replica();
  const raft::Group& group = replica->group();
  if (group.changing() || group.standing().transferring_to != raft::kNoNode) return;
  const bool is_meta = partition->number() == engine_->meta_partition();
  const ReconcileStep step =
      NextStep(node_, partition->number(), is_meta ? GroupKind::kMeta : GroupKind::kData,
               group.membership(), *side->view, StatusIn(group));
  if (step.transfer_to != raft::kNoNode) {
    Transfer(partition, step.transfer_to);
  } else if (step.change.has_value()) {
    const raft::Proposal proposal = replica->ChangeMembership(*step.change);
    LogNotice("partition {}: members change to voters {}, learners {}: {}", partition->number(),
              FormatIds(step.change->voters), FormatIds(step.change->learners),
              proposal.accepted() ? "proposed" : "not now");
  }
}

void Cluster::Transfer(engine::Partition* partition, raft::NodeId to) {
  if (partition->replica()->Transfer(to) != raft::Refusal::kNone) return;
  LogNotice("partition {}: hands leadership over to node {}", partition->number(), FormatId(to));
}

void Cluster::Report(Side* side, engine::Partition& partition) {
  const raft::Group& group = partition.replica()->group();
  if (group.changing() || side->self->pending() >= kMaxCalls) return;
  const raft::Membership& members = group.membership();
  const auto it = side->view->partitions.find(partition.number());
  if (it != side->view->partitions.end() && it->second.voters == members.voters &&
      it->second.learners == members.learners) {
    return;
  }
  side->self->Call({"CLUSTER", "SETPARTITION", std::to_string(partition.number()),
                    std::to_string(group.commit_index()), FormatIds(members.voters),
                    FormatIds(members.learners)},
                   LogRefusal);
}

bool Cluster::IsVoterEverywhere(raft::NodeId node, const View& view) const {
  for (uint32_t p = 0; p < engine_->all_partitions(); ++p) {
    const auto it = view.partitions.find(p);
    if (it == view.partitions.end() || !Contains(it->second.voters, node)) return false;
  }
  return true;
}

bool Cluster::IsNowhere(raft::NodeId node, const View& view) const {
  for (uint32_t p = 0; p < engine_->all_partitions(); ++p) {
    const auto it = view.partitions.find(p);
    if (it == view.partitions.end() || Contains(it->second.voters, node) ||
        Contains(it->second.learners, node)) {
      return false;
    }
  }
  return true;
}

void Cluster::KeepRecords(Side* side) {
  if (side->self->pending() > 0) return;
  const View& view = *side->view;
  const NodeRecord* own = view.Find(node_);
  engine::Partition* meta = side->core->FindPartition(engine_->meta_partition());
  // The founder introduces itself; everybody corrects an address that has changed.
  const bool unknown = own == nullptr && meta->ready();
  const bool moved = own != nullptr && own->present() &&
                     (own->cluster_address != hello_.cluster_address ||
                      own->client_address != hello_.client_address);
  if (unknown || moved) {
    side->self->Call(
        {"CLUSTER", "ADDNODE", FormatId(node_), hello_.cluster_address, hello_.client_address},
        LogRefusal);
    return;
  }
  if (!meta->ready()) return;
  for (const auto& [id, record] : view.nodes) {
    if (record.state == NodeState::kJoining && IsVoterEverywhere(id, view)) {
      side->self->Call({"CLUSTER", "SETNODE", FormatId(id), "member"}, LogRefusal);
    } else if (record.state == NodeState::kLeaving && IsNowhere(id, view)) {
      side->self->Call({"CLUSTER", "SETNODE", FormatId(id), "removed"}, LogRefusal);
    }
  }
}

}  // namespace holdfast::cluster
