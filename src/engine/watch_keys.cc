// WATCH and UNWATCH: the watches are kept by the partition of the keys, here or elsewhere.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/gather.h"

namespace holdfast::engine {

void Unwatch(Client* client, std::vector<WatchedKey> watched) {
  if (watched.empty()) return;
  Core* core = client->core;
  const uint32_t number = watched[0].partition;
  Partition* partition = core->FindPartition(number);
  if (partition != nullptr && core->router().Direct(number)) {
    for (const WatchedKey& watch : watched) partition->Unwatch(watch.db, watch.key);
    return;
  }
  std::unique_ptr<Routed> routed = MakeRouted(*client, number, PeerRequestType::kUnwatch);
  routed->request.watched = std::move(watched);
  routed->answer = [](const PeerReply&) {};
  core->router().Submit(std::move(routed));
}

void UnwatchAll(Client* client) {
  Unwatch(client, std::move(client->watched));
  client->watched.clear();
}

namespace {

// The revisions come back with the answer; until then no further request is taken.
void RouteWatch(Client* client, std::vector<WatchedKey> wanted) {
  Core* home = client->core;
  std::unique_ptr<Routed> routed =
      MakeRouted(*client, wanted[0].partition, PeerRequestType::kWatch);
  routed->request.watched = wanted;
  ++client->waiting;
  routed->answer = [home, id = client->id, wanted = std::move(wanted)](PeerReply outcome) mutable {
    const bool watched = outcome.error.empty() && outcome.revisions.size() == wanted.size();
    Client* owner = home->FindClient(id);
    if (owner == nullptr) {
      if (!watched) return;
      // Gone meanwhile: nobody else would take the watches back.
      auto unwatch = std::make_unique<Routed>();
      unwatch->request.partition = wanted[0].partition;
      unwatch->request.type = PeerRequestType::kUnwatch;
      unwatch->request.watched = std::move(wanted);
      unwatch->answer = [](const PeerReply&) {};
      home->router().Submit(std::move(unwatch));
      return;
    }
    if (watched) {
      for (size_t i = 0; i < wanted.size(); ++i) {
        wanted[i].revision = outcome.revisions[i];
        owner->watched.push_back(std::move(wanted[i]));
      }
    }
    --owner->waiting;
    owner->replies.Begin(nullptr)->append(watched ? "+OK\r\n" : outcome.TakeBytes());
    FinishReply(owner);
    owner->GateOpened();
    if (owner->waiting == 0) owner->core->ResumeLater(owner);
  };
  home->router().Submit(std::move(routed));
}

}  // namespace

void WatchKeys(Client* client, Args args, const Command& watch) {
  Core* core = client->core;
  Engine* engine = &core->engine();
  std::vector<WatchedKey> wanted;
  for (size_t i = 1; i < args.size(); ++i) {
    WatchedKey key{client->db, std::string(args[i]), engine->PartitionOfSlot(KeySlot(args[i])), 0};
    for (const WatchedKey& other : client->watched) {
      if (other.partition != key.partition) {
        Reject(client, &watch, kCrossSlot);
        return;
      }
    }
    if (!wanted.empty() && wanted[0].partition != key.partition) {
      Reject(client, &watch, kCrossSlot);
      return;
    }
    const auto same = [&key](const WatchedKey& w) { return w.db == key.db && w.key == key.key; };
    if (std::any_of(client->watched.begin(), client->watched.end(), same) ||
        std::any_of(wanted.begin(), wanted.end(), same)) {
      continue;
    }
    wanted.push_back(std::move(key));
  }
  if (wanted.empty()) {
    client->replies.Begin(nullptr)->append("+OK\r\n");
    FinishReply(client);
    return;
  }
  const uint32_t number = wanted[0].partition;
  Partition* partition = core->FindPartition(number);
  if (partition != nullptr && core->router().Direct(number) &&
      !MustWaitForValues(*client, *partition, {})) {
    for (WatchedKey& key : wanted) {
      key.revision = partition->Watch(key.db, key.key);
      client->watched.push_back(std::move(key));
    }
    client->replies.Begin(nullptr)->append("+OK\r\n");
    FinishReply(client);
    return;
  }
  RouteWatch(client, std::move(wanted));
}

}  // namespace holdfast::engine
