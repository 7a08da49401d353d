#include "engine/peer_server.h"

#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/forwarding.h"

namespace holdfast::engine {
namespace {

std::string WatchName(uint32_t partition, uint32_t db, std::string_view key) {
  std::string name;
  AppendFixed32(&name, partition);
  AppendFixed32(&name, db);
  name.append(key);
  return name;
}

uint32_t PartitionOfName(std::string_view name) { return LoadFixed32(name.data()); }
uint32_t DatabaseOfName(std::string_view name) { return LoadFixed32(name.data() + 4); }
std::string_view KeyOfName(std::string_view name) { return name.substr(8); }

}  // namespace

PeerServer::PeerServer(Core* core) : core_(core) {}
PeerServer::~PeerServer() = default;

PeerServer::Caller* PeerServer::CallerOf(uint64_t link) {
  Caller& caller = by_link_[link];
  if (caller.id == 0) {
    caller.id = core_->engine().NextClientId();
    caller.link = link;
    link_of_[caller.id] = link;
  }
  return &caller;
}

std::string PeerServer::Resolve(PeerRequest* request) const {
  const Engine& engine = core_->engine();
  const CommandTable& table = engine.commands();
  std::vector<int> positions;
  for (PeerCommand& one : request->commands) {
    const Args args = one.args.args();
    const Command* command = table.Find(args[0]);
    if (command != nullptr && !command->subcommands.empty() && args.size() > 1) {
      command = table.FindSubcommand(*command, args[1]);
    }
    if (command == nullptr || command->data == nullptr || !ArityFits(*command, args.size())) {
      return "ERR the leading node doesn't run '" + std::string(args[0].substr(0, 128)) +
             "' for other nodes";
    }
    one.command = command;
    positions.clear();
    if (command->route != Route::kKeys && command->route != Route::kSpread) continue;
    // What doesn't fit is for the handler to refuse.
    if (!FindKeys(*command, args, &positions)) continue;
    for (const int i : positions) {
      const uint16_t slot = KeySlot(args[static_cast<size_t>(i)]);
      if (engine.PartitionOfSlot(slot) != request->partition) return std::string(kCrossSlot);
    }
  }
  for (const WatchedKey& key : request->watched) {
    if (engine.PartitionOfSlot(KeySlot(key.key)) != request->partition) {
      return std::string(kCrossSlot);
    }
  }
  return {};
}

bool PeerServer::CountWatches(Caller* caller, PeerRequest* request) {
  if (request->type == PeerRequestType::kWatch) {
    if (caller->watch_count + request->watched.size() > kMaxWatches) return false;
    for (const WatchedKey& key : request->watched) {
      ++caller->watches[WatchName(request->partition, key.db, key.key)];
    }
    caller->watch_count += request->watched.size();
    return true;
  }
  for (auto key = request->watched.begin(); key != request->watched.end();) {
    const auto it = caller->watches.find(WatchName(request->partition, key->db, key->key));
    if (it != caller->watches.end()) {
      --caller->watch_count;
      if (--it->second == 0) caller->watches.erase(it);
      ++key;
    } else if (request->type == PeerRequestType::kUnwatch) {
      // It was watched at another leader: not to be taken from somebody else here.
      key = request->watched.erase(key);
    } else {
      ++key;
    }
  }
  return true;
}

Status PeerServer::OnRequest(uint64_t link, std::string_view bytes) {
  PeerRequest request;
  RETURN_IF_ERROR(DecodePeerRequest(bytes, &request));
  Engine* engine = &core_->engine();
  if (request.partition >= engine->all_partitions()) {
    return Status::Corruption("forwarded request: there is no such partition");
  }
  ++core_->stats()->forwarded_received;
  Caller* caller = CallerOf(link);
  const uint64_t id = caller->id;
  std::string error = Resolve(&request);
  if (error.empty() && !CountWatches(caller, &request)) {
    error = "ERR the clients of this node watch too many keys of another one";
  }
  if (!error.empty()) {
    PeerReply reply = PeerReply::Error(error);
    reply.id = request.id;
    Reply(id, std::move(reply));
    return Status::Ok();
  }
  const uint32_t target = engine->CoreOfPartition(request.partition);
  const uint32_t home = core_->number();
  if (target == home) {
    core_->forwarding().RunForPeer(home, id, std::move(request));
  } else {
    core_->Post(target, [engine, target, home, id, request = std::move(request)]() mutable {
      engine->core(target).forwarding().RunForPeer(home, id, std::move(request));
    });
  }
  return Status::Ok();
}

Status PeerServer::OnCancel(uint64_t link, std::string_view bytes) {
  PeerCancel cancel;
  RETURN_IF_ERROR(DecodePeerCancel(bytes, &cancel));
  Engine* engine = &core_->engine();
  if (cancel.partition >= engine->all_partitions()) {
    return Status::Corruption("forwarded cancel: there is no such partition");
  }
  const auto it = by_link_.find(link);
  if (it == by_link_.end()) return Status::Ok();
  const ReplyAddress place{core_->number(), it->second.id, cancel.id};
  const uint32_t target = engine->CoreOfPartition(cancel.partition);
  // By the same way as the request, so behind it.
  if (target == core_->number()) {
    core_->forwarding().CancelForPeer(place, cancel);
  } else {
    core_->Post(target, [engine, target, place, cancel] {
      engine->core(target).forwarding().CancelForPeer(place, cancel);
    });
  }
  return Status::Ok();
}

void PeerServer::LinkDown(uint64_t link) {
  const auto it = by_link_.find(link);
  if (it == by_link_.end()) return;
  Engine* engine = &core_->engine();
  const uint64_t id = it->second.id;
  for (uint32_t i = 0; i < engine->cores(); ++i) {
    std::vector<WatchedKey> watched;
    for (const auto& [name, count] : it->second.watches) {
      const uint32_t partition = PartitionOfName(name);
      if (engine->CoreOfPartition(partition) != i) continue;
      const WatchedKey key{DatabaseOfName(name), std::string(KeyOfName(name)), partition, 0};
      watched.insert(watched.end(), count, key);
    }
    core_->Post(i, [engine, i, id, watched = std::move(watched)] {
      engine->core(i).forwarding().PeerGone(id, watched);
    });
  }
  link_of_.erase(id);
  by_link_.erase(it);
}

void PeerServer::ForgetWatches(uint32_t partition) {
  for (auto& [link, caller] : by_link_) {
    Caller* owner = &caller;
    absl::erase_if(owner->watches, [owner, partition](const auto& watch) {
      if (PartitionOfName(watch.first) != partition) return false;
      owner->watch_count -= watch.second;
      return true;
    });
  }
}

void PeerServer::Reply(uint64_t caller, PeerReply reply) {
  const auto link = link_of_.find(caller);
  if (link == link_of_.end()) return;
  Caller& to = by_link_.find(link->second)->second;
  std::string bytes = EncodePeerReply(reply);
  if (bytes.size() > links_->max_item_bytes()) {
    PeerReply error = PeerReply::Error(kTooLargeToForward);
    error.id = reply.id;
    bytes = EncodePeerReply(error);
  }
  if (to.unsent.empty() && links_->Send(to.link, replica::ItemKind::kReply, bytes)) return;
  to.unsent_bytes += bytes.size();
  to.unsent.push_back(std::move(bytes));
  if (to.unsent_bytes > kMaxUnsentBytes) {
    links_->Close(to.link, Status::NoSpace("too many replies wait for the node to read them"));
  }
}

bool PeerServer::SendWaiting() {
  bool waiting = false;
  for (auto& [link, caller] : by_link_) {
    while (!caller.unsent.empty()) {
      const std::string& front = caller.unsent.front();
      if (!links_->Send(link, replica::ItemKind::kReply, front)) break;
      caller.unsent_bytes -= front.size();
      caller.unsent.pop_front();
    }
    waiting |= !caller.unsent.empty();
  }
  return waiting;
}

}  // namespace holdfast::engine
