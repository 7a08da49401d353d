// CLUSTER. What changes the cluster's records runs on the meta partition, wherever that is led;
// what only shows them is answered from this core's view.
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/numbers.h"
#include "cluster/cluster.h"
#include "commands/handlers.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {
namespace {

using cluster::FormatId;
using cluster::NodeRecord;
using cluster::NodeState;
using cluster::PartitionRecord;
using cluster::View;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;
using engine::SessionContext;

constexpr std::string_view kBadId = "ERR Invalid node id: 16 hexadecimal digits are expected";
constexpr std::string_view kUnknownNode = "ERR Unknown node ";
constexpr std::string_view kBadPartition = "ERR Invalid partition number";

[[nodiscard]] bool ParseNode(ExecContext& ctx, size_t i, raft::NodeId* id) {
  if (cluster::ParseId(ctx.args[i], id)) return true;
  ctx.Error(kBadId);
  return false;
}

// `name` is NodeKey(id), and must outlive the result.
Key FindNode(ExecContext& ctx, const std::string& name, NodeRecord* record) {
  Key key = ctx.FindForWriteIn(0, name);
  if (key) CHECK(cluster::DecodeNode(key.object->value(), record).ok());
  return key;
}

// As FindNode, for a node that has to be there; false, with the error replied, when it isn't.
[[nodiscard]] bool FindKnownNode(ExecContext& ctx, const std::string& name, Key* key,
                                 NodeRecord* record) {
  *key = FindNode(ctx, name, record);
  if (!*key) ctx.Error(std::string(kUnknownNode) + std::string(ctx.args[2]));
  return static_cast<bool>(*key);
}

void PutNode(ExecContext& ctx, Key* key, const NodeRecord& record) {
  ctx.Put(key, data::ObjectType::kString, cluster::EncodeNode(record), Expiry::Clear());
}

// "10.0.0.1:16379 " would break the record's form.
bool IsPlain(std::string_view address) {
  return address.find_first_of(" \r\n\t") == std::string_view::npos && address.size() <= 256;
}

const View* ViewOf(SessionContext& ctx) {
  engine::Engine& engine = ctx.core.engine();
  if (engine.cluster == nullptr) {
    ctx.Error(engine::kNoCluster);
    return nullptr;
  }
  return &engine.cluster->view(ctx.core);
}

struct SlotRange {
  uint16_t first;
  uint16_t last;
};

// The slots of the partitions that the node leads, as far as this node knows.
std::vector<SlotRange> SlotsOf(const engine::Engine& engine, raft::NodeId node) {
  std::vector<SlotRange> ranges;
  for (uint32_t p = 0; p < engine.partitions(); ++p) {
    if (engine.LeaderOf(p) != node) continue;
    const uint16_t first = engine.FirstSlotOf(p);
    const auto last = static_cast<uint16_t>(
        p + 1 == engine.partitions() ? kSlots - 1 : engine.FirstSlotOf(p + 1) - 1);
    if (!ranges.empty() && ranges.back().last + 1 == first) {
      ranges.back().last = last;
    } else {
      ranges.push_back({first, last});
    }
  }
  return ranges;
}

// One line of CLUSTER NODES, as Redis writes it. A node that leads no partition of the keyspace is
// shown as replica of the one that leads the first.
std::string NodeLine(SessionContext& ctx, raft::NodeId id, const NodeRecord& record) {
  engine::Engine& engine = ctx.core.engine();
  const bool myself = id == engine.identity().node_id;
  const std::vector<SlotRange> slots = SlotsOf(engine, id);
  const bool connected = myself || ctx.core.transport()->Link(id) != nullptr;
  const std::string& address = record.client_address;
  const size_t colon = record.cluster_address.rfind(':');
  std::string line = FormatId(id) + ' ' + (address.empty() ? ":0" : address) + '@' +
                     record.cluster_address.substr(colon + 1) + ' ';
  if (myself) line += "myself,";
  const raft::NodeId leader = engine.LeaderOf(0);
  const bool master = !slots.empty() || leader == raft::kNoNode;
  line += master ? "master" : "slave";
  if (!connected) line += ",fail?";
  if (record.state == NodeState::kJoining) line += ",handshake";
  if (!record.present()) line += ",noaddr";
  line += ' ' + (master ? "-" : FormatId(leader)) + " 0 0 0 ";
  line += connected ? "connected" : "disconnected";
  for (const SlotRange& range : slots) {
    line += ' ' + std::to_string(range.first);
    if (range.last != range.first) line += '-' + std::to_string(range.last);
  }
  return line;
}

}  // namespace

// ---- On the meta partition

// CLUSTER ADDNODE id cluster-address [client-address]
void ClusterAddnode(ExecContext& ctx) {
  raft::NodeId id;
  if (!ParseNode(ctx, 2, &id)) return;
  if (ctx.args.size() > 5) return ctx.ErrorArity();
  NodeRecord wanted;
  wanted.cluster_address = ctx.args[3];
  if (ctx.args.size() > 4) wanted.client_address = ctx.args[4];
  if (!IsPlain(wanted.cluster_address) || !IsPlain(wanted.client_address) ||
      wanted.cluster_address.rfind(':') == std::string::npos) {
    return ctx.Error("ERR Invalid node address: a numeric address with a port is expected");
  }
  NodeRecord present;
  const std::string name = cluster::NodeKey(id);
  Key key = FindNode(ctx, name, &present);
  if (key) {
    if (!present.present()) {
      return ctx.Error("ERR Node " + FormatId(id) +
                       " was removed from this cluster; an id is used only once");
    }
    wanted.state = present.state;
  }
  if (!key || wanted != present) PutNode(ctx, &key, wanted);
  ctx.reply.Simple("OK");
}

// CLUSTER REMOVENODE id
void ClusterRemovenode(ExecContext& ctx) {
  raft::NodeId id;
  if (!ParseNode(ctx, 2, &id)) return;
  NodeRecord record;
  const std::string name = cluster::NodeKey(id);
  Key key;
  if (!FindKnownNode(ctx, name, &key, &record)) return;
  if (record.present()) {
    size_t members = 0;
    size_t others = 0;
    data::Keyspace& keyspace = ctx.partition().keyspace();
    cluster::ViewBuilder all;
    CHECK(all.Reset(keyspace).ok());
    for (const auto& [other, other_record] : all.view().nodes) {
      if (other == id || !other_record.present()) continue;
      ++others;
      members += other_record.state == NodeState::kMember ? 1 : 0;
    }
    if (others == 0) return ctx.Error("ERR The last member can't be removed");
    if (members == 0) return ctx.Error("TRYAGAIN The other nodes have not arrived yet");
    record.state = NodeState::kLeaving;
    PutNode(ctx, &key, record);
  }
  ctx.reply.Simple("OK");
}

// CLUSTER SETNODE id member|removed: the meta leader notes that a node has arrived or is gone.
void ClusterSetnode(ExecContext& ctx) {
  raft::NodeId id;
  if (!ParseNode(ctx, 2, &id)) return;
  NodeRecord record;
  const std::string name = cluster::NodeKey(id);
  Key key;
  if (!FindKnownNode(ctx, name, &key, &record)) return;
  const std::string_view state = ctx.args[3];
  if (EqualsIgnoreCase(state, "member") && record.state == NodeState::kJoining) {
    record.state = NodeState::kMember;
  } else if (EqualsIgnoreCase(state, "removed") && record.state == NodeState::kLeaving) {
    record.state = NodeState::kRemoved;
  } else {
    return ctx.Error("ERR A node that is " + std::string(cluster::NameOf(record.state)) +
                     " does not become " + std::string(state));
  }
  PutNode(ctx, &key, record);
  ctx.reply.Simple("OK");
}

// CLUSTER SETPARTITION number epoch voters learners: a partition's leader reports its members.
void ClusterSetpartition(ExecContext& ctx) {
  uint64_t number;
  PartitionRecord wanted;
  if (!ParseUint64(ctx.args[2], &number) || number > UINT32_MAX) return ctx.Error(kBadPartition);
  if (!ParseUint64(ctx.args[3], &wanted.epoch) || !cluster::ParseIds(ctx.args[4], &wanted.voters) ||
      !cluster::ParseIds(ctx.args[5], &wanted.learners) || wanted.voters.empty()) {
    return ctx.Error(engine::kSyntaxError);
  }
  const std::string name = cluster::PartitionKey(static_cast<uint32_t>(number));
  Key key = ctx.FindForWriteIn(0, name);
  if (key) {
    PartitionRecord present;
    CHECK(cluster::DecodePartition(key.object->value(), &present).ok());
    if (wanted.epoch <= present.epoch) return ctx.Error("ERR A later report is known");
  }
  ctx.Put(&key, data::ObjectType::kString, cluster::EncodePartition(wanted), Expiry::Clear());
  ctx.reply.Simple("OK");
}

// CLUSTER SETOPTION name value […]. The reply is the revision of the change, or of the last one
// when everything is as it should be.
void ClusterSetoption(ExecContext& ctx) {
  if (ctx.args.size() % 2 != 0) return ctx.Error(engine::kSyntaxError);
  engine::Config scratch = ctx.config();
  std::map<std::string, const engine::Option*> changes;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    const engine::Option* option = engine::FindOption(ctx.args[i]);
    if (option == nullptr || (option->flags & engine::kShared) == 0) {
      return ctx.Error("ERR Unknown option of the cluster");
    }
    std::string key_name = cluster::SettingKey(option->name);
    const Key key = ctx.FindForWriteIn(0, key_name);
    std::string_view present;
    // An option of several parts may be set in part: that is added to the newest value.
    if (changes.emplace(key_name, option).second && key &&
        cluster::DecodeSetting(key.object->value(), &present).ok()) {
      (void)engine::SetOption(&scratch, *option, present);
    }
    const Status status = engine::SetOption(&scratch, *option, ctx.args[i + 1]);
    if (!status.ok()) return ctx.Error(engine::ConfigSetFailed(option->name, status.message()));
  }
  uint64_t revision = 0;
  for (const auto& [key_name, option] : changes) {
    Key key = ctx.FindForWriteIn(0, key_name);
    const std::string record = cluster::EncodeSetting(engine::GetOption(scratch, *option));
    const uint64_t at = key && key.object->value() == record
                            ? key.object->revision()
                            : ctx.Put(&key, data::ObjectType::kString, record, Expiry::Clear());
    revision = std::max(revision, at);
  }
  ctx.reply.Integer(static_cast<int64_t>(revision));
}

// ---- On the partition

// CLUSTER TRANSFER partition id
void ClusterTransfer(ExecContext& ctx) {
  uint64_t number;
  raft::NodeId id;
  if (!ParseUint64(ctx.args[2], &number) || number != ctx.partition().number()) {
    return ctx.Error(kBadPartition);
  }
  if (!ParseNode(ctx, 3, &id)) return;
  // Leadership may be gone before a round is over.
  ctx.TellsNoState();
  if (id == ctx.partition().replica()->group().self()) return ctx.reply.Simple("OK");
  switch (ctx.partition().replica()->Transfer(id)) {
    case raft::Refusal::kNone:
      return ctx.reply.Simple("OK");
    case raft::Refusal::kTransferring:
      return ctx.Error("ERR Leadership is on its way to another node already");
    case raft::Refusal::kNotCaughtUp:
      return ctx.Error("ERR Node " + FormatId(id) + " lacks too much of the log");
    case raft::Refusal::kChanging:
      return ctx.Error("TRYAGAIN The members are being changed");
    default:
      return ctx.Error("ERR Node " + FormatId(id) + " can't lead this partition");
  }
}

// ---- On any node

void ClusterMyid(SessionContext& ctx) {
  ctx.reply.Bulk(FormatId(ctx.core.engine().identity().node_id));
}

void ClusterKeyslot(SessionContext& ctx) { ctx.reply.Integer(KeySlot(ctx.args[2])); }

void ClusterNodes(SessionContext& ctx) {
  const View* view = ViewOf(ctx);
  if (view == nullptr) return;
  std::string text;
  for (const auto& [id, record] : view->nodes) {
    if (record.state != NodeState::kRemoved) text += NodeLine(ctx, id, record) + '\n';
  }
  ctx.reply.Bulk(text);
}

// The members that follow where the given node leads.
void ClusterReplicas(SessionContext& ctx) {
  const View* view = ViewOf(ctx);
  if (view == nullptr) return;
  raft::NodeId wanted;
  if (!cluster::ParseId(ctx.args[2], &wanted)) return ctx.Error(kBadId);
  if (view->Find(wanted) == nullptr) {
    return ctx.Error(std::string(kUnknownNode) + FormatId(wanted));
  }
  const bool leads = !SlotsOf(ctx.core.engine(), wanted).empty();
  std::vector<std::string> lines;
  for (const auto& [id, record] : view->nodes) {
    if (leads && id != wanted && record.state != NodeState::kRemoved) {
      lines.push_back(NodeLine(ctx, id, record));
    }
  }
  ctx.reply.Array(lines.size());
  for (const std::string& line : lines) ctx.reply.Bulk(line);
}

void ClusterInfo(SessionContext& ctx) {
  const View* view = ViewOf(ctx);
  if (view == nullptr) return;
  const engine::Engine& engine = ctx.core.engine();
  size_t led = 0;
  std::vector<raft::NodeId> leaders;
  for (uint32_t p = 0; p < engine.partitions(); ++p) {
    const raft::NodeId leader = engine.LeaderOf(p);
    if (leader == raft::kNoNode) continue;
    const size_t next = p + 1 == engine.partitions() ? kSlots : engine.FirstSlotOf(p + 1);
    led += next - engine.FirstSlotOf(p);
    if (std::find(leaders.begin(), leaders.end(), leader) == leaders.end()) {
      leaders.push_back(leader);
    }
  }
  size_t nodes = 0;
  uint64_t epoch = 0;
  for (const auto& [id, record] : view->nodes) {
    nodes += record.state != NodeState::kRemoved ? 1 : 0;
  }
  for (const auto& [number, record] : view->partitions) epoch = std::max(epoch, record.epoch);
  std::string text;
  const auto line = [&text](std::string_view name, const std::string& value) {
    text.append(name).append(":").append(value).append("\r\n");
  };
  line("cluster_state", led == kSlots ? "ok" : "fail");
  line("cluster_slots_assigned", std::to_string(kSlots));
  line("cluster_slots_ok", std::to_string(led));
  line("cluster_slots_pfail", "0");
  line("cluster_slots_fail", std::to_string(kSlots - led));
  line("cluster_known_nodes", std::to_string(nodes));
  line("cluster_size", std::to_string(leaders.size()));
  line("cluster_current_epoch", std::to_string(epoch));
  line("cluster_my_epoch", std::to_string(epoch));
  line("cluster_id", FormatId(engine.identity().cluster_id));
  line("cluster_partitions", std::to_string(engine.partitions()));
  ctx.reply.Verbatim("txt", text);
}

}  // namespace holdfast::commands
