#include "engine/tracking.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "resp/writer.h"

namespace holdfast::engine {
namespace {

// Where clients of RESP2 that are told for others listen.
constexpr std::string_view kInvalidateChannel = "__redis__:invalidate";
// Keys that are pushed out at each tick, and for each one that comes in.
constexpr size_t kShrinkPerTick = 1000;
constexpr size_t kShrinkPerKey = 2;
// Keys of tables that were emptied are freed at these rates; a hundred takes 20 us or so.
constexpr size_t kFreedPerTick = 5000;
constexpr size_t kFreedPerTurn = 200;
// What a change on its way takes besides its key, roughly.
constexpr size_t kChangeOverhead = 64;

// `keys` null: all keys.
void WriteKeys(const std::vector<std::string_view>* keys, resp::Writer* writer) {
  if (keys == nullptr) {
    writer->Null();
    return;
  }
  writer->Array(keys->size());
  for (const std::string_view key : *keys) writer->Bulk(key);
}

std::string InvalidatePush(const std::vector<std::string_view>* keys) {
  std::string bytes;
  resp::Writer writer(&bytes, 3);
  writer.Push(2);
  writer.Bulk("invalidate");
  WriteKeys(keys, &writer);
  return bytes;
}

std::string InvalidateMessage(const std::vector<std::string_view>* keys) {
  std::string bytes;
  resp::Writer writer(&bytes, 2);
  writer.Push(3);
  writer.Bulk("message");
  writer.Bulk(kInvalidateChannel);
  WriteKeys(keys, &writer);
  return bytes;
}

}  // namespace

Tracking::Tracking(Core* core)
    : core_(core),
      interest_(std::make_unique<std::array<std::atomic<uint32_t>, kInterestBuckets>>()) {}

Tracking::~Tracking() = default;

// ---- Clients

void Tracking::Enable(Client* client, TrackingOptions options) {
  if (client->tracking == nullptr) {
    client->tracking = std::make_unique<ClientTracking>();
    clients_.emplace(client->id, client);
    if (options.broadcast) broadcasting_.fetch_add(1);
    // Before anything is read: partitions look at it when they commit.
    core_->engine().tracking_clients.fetch_add(1);
  }
  ClientTracking& tracking = *client->tracking;
  tracking.broken_redirect = false;
  tracking.caching = false;
  std::vector<std::string> prefixes = std::move(tracking.options.prefixes);
  if (options.broadcast && options.prefixes.empty()) options.prefixes.emplace_back();
  for (std::string& prefix : options.prefixes) {
    if (std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end()) continue;
    prefixes_[prefix].push_back(client);
    prefixes.push_back(std::move(prefix));
  }
  std::sort(prefixes.begin(), prefixes.end());
  options.prefixes = std::move(prefixes);
  tracking.options = std::move(options);
}

void Tracking::Disable(Client* client) {
  if (client->tracking == nullptr) return;
  const std::unique_ptr<ClientTracking> tracking = std::move(client->tracking);
  for (const std::string& prefix : tracking->options.prefixes) {
    const auto it = prefixes_.find(prefix);
    std::erase(it->second, client);
    if (it->second.empty()) prefixes_.erase(it);
  }
  if (tracking->options.broadcast) broadcasting_.fetch_sub(1);
  // What the table has of it goes when the keys change.
  CHECK(clients_.erase(client->id) == 1);
  core_->engine().tracking_clients.fetch_sub(1);
}

bool Tracking::Remembers(const Client& client) {
  if (client.tracking == nullptr || client.tracking->options.broadcast) return false;
  if (client.tracking->options.opt_in) return client.tracking->caching;
  return !client.tracking->options.opt_out || !client.tracking->caching;
}

void Tracking::Remember(Client* client, const Command& command, Args args,
                        const ChangePosition& seen) {
  // Of a script that runs elsewhere, what it may read.
  if (!command.has(kReadonly) && (command.acl & kAclScripting) == 0) return;
  std::vector<int> positions;
  if (!FindKeys(command, args, &positions)) return;
  for (const int i : positions) Add(args[static_cast<size_t>(i)], {client->id, seen});
}

void Tracking::RememberScript(const ReplyAddress& place, const Command& command, Args args) {
  std::vector<int> positions;
  if (!FindKeys(command, args, &positions)) return;
  for (const int i : positions) {
    // Places begin with 0.
    Add(args[static_cast<size_t>(i)],
        {.client = place.client, .seen = {}, .script = place.slot + 1});
  }
}

void Tracking::ScriptAnswered(const ReplyAddress& place, const Command& command, Args args,
                              bool read_nothing) {
  std::vector<int> positions;
  if (!FindKeys(command, args, &positions)) return;
  for (const int i : positions) {
    const std::string_view key = args[static_cast<size_t>(i)];
    Reader* reader = FindReader(key, place.client);
    if (reader == nullptr || reader->script != place.slot + 1) continue;
    reader->script = 0;
    const bool has_read = reader->certain || !read_nothing;
    if (has_read && !reader->changed) continue;
    if (has_read) {
      const KeyList changed{key};
      const auto client = clients_.find(place.client);
      if (client != clients_.end() && !client->second->tracking->options.broadcast) {
        Tell(client->second, &changed);
      }
    }
    RemoveReader(key, place.client);
  }
}

// ---- The table

Tracking::Readers::iterator Tracking::LowerBound(Readers* readers, uint64_t client) {
  return std::lower_bound(readers->begin(), readers->end(), client,
                          [](const Reader& reader, uint64_t id) { return reader.client < id; });
}

std::atomic<uint32_t>& Tracking::Interest(std::string_view key) {
  return (*interest_)[Hash64(key) % kInterestBuckets];
}

bool Tracking::MayWant(std::string_view key) const {
  // Sequentially consistent, as the writes: who has committed after a read began finds it here.
  return broadcasting_.load() > 0 || (*interest_)[Hash64(key) % kInterestBuckets].load() > 0;
}

Tracking::Reader* Tracking::FindReader(std::string_view key, uint64_t client) {
  const auto found = table_.find(key);
  if (found == table_.end()) return nullptr;
  auto& readers = found->second->readers;
  const auto it = LowerBound(&readers, client);
  return it != readers.end() && it->client == client ? &*it : nullptr;
}

void Tracking::Add(std::string_view key, const Reader& reader) {
  const auto found = table_.find(key);
  if (found != table_.end()) {
    auto& readers = found->second->readers;
    const auto it = LowerBound(&readers, reader.client);
    if (it != readers.end() && it->client == reader.client) {
      // What it has read before may be older.
      it->certain |= reader.script == 0 || reader.script != it->script;
      return;
    }
    readers.insert(it, reader);
    ++items_;
    return;
  }
  auto added = std::make_unique<Entry>();
  added->key = key;
  added->place = entries_.size();
  added->readers.push_back(reader);
  const std::string_view name = added->key;
  table_.emplace(name, added.get());
  entries_.push_back(std::move(added));
  ++items_;
  Interest(name).fetch_add(1);
  core_->engine().tracked_keys.fetch_add(1, std::memory_order_relaxed);
  ++added_;
}

void Tracking::RemoveReader(std::string_view key, uint64_t client) {
  Entry* entry = table_.find(key)->second;
  entry->readers.erase(LowerBound(&entry->readers, client));
  --items_;
  if (entry->readers.empty()) Erase(entry);
}

void Tracking::Erase(Entry* entry) {
  Interest(entry->key).fetch_sub(1);
  core_->engine().tracked_keys.fetch_sub(1, std::memory_order_relaxed);
  items_ -= entry->readers.size();
  table_.erase(entry->key);
  const size_t place = entry->place;
  entries_.back()->place = place;
  std::swap(entries_[place], entries_.back());
  entries_.pop_back();
}

void Tracking::Clear() {
  core_->engine().tracked_keys.fetch_sub(static_cast<int64_t>(entries_.size()),
                                         std::memory_order_relaxed);
  for (std::atomic<uint32_t>& bucket : *interest_) bucket.store(0);
  table_ = {};
  items_ = 0;
  if (!entries_.empty()) dead_.push_back(std::exchange(entries_, {}));
}

void Tracking::FreeSome(size_t keys) {
  while (!dead_.empty() && keys > 0) {
    std::vector<std::unique_ptr<Entry>>& last = dead_.back();
    const size_t some = std::min(keys, last.size());
    last.resize(last.size() - some);
    keys -= some;
    if (last.empty()) dead_.pop_back();
  }
}

void Tracking::Shrink(size_t effort) {
  const int64_t limit = core_->config().tracking_table_max_keys;
  const auto full = [this, limit] {
    return limit > 0 && core_->engine().tracked_keys.load(std::memory_order_relaxed) > limit;
  };
  while (full() && !entries_.empty() && effort > 0) {
    --effort;
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    const std::string key = entries_[(random_ >> 32) % entries_.size()]->key;
    TakeForReaders({key, {}, {}});
    if (const auto it = table_.find(key); it != table_.end()) Erase(it->second);
  }
}

void Tracking::Tick() {
  if (!entries_.empty()) Shrink(kShrinkPerTick);
  FreeSome(kFreedPerTick);
}

// ---- Changes

// With nobody left the table goes as its keys change.
bool Tracking::IsIdle() const {
  return core_->engine().tracking_clients.load() == 0 && core_->engine().tracked_keys.load() == 0;
}

void Tracking::OnCommitted(ChangePosition position, std::string_view payload) {
  Engine& engine = core_->engine();
  if (IsIdle()) return;
  queued_.resize(engine.cores());
  const auto note = [this, &position, &engine](const data::Effect& effect) {
    for (uint32_t i = 0; i < engine.cores(); ++i) {
      if (effect.kind == data::EffectKind::kDatabases) {
        queued_[i].everything = true;
        continue;
      }
      if (queued_[i].everything || !engine.core(i).tracking().MayWant(effect.key)) continue;
      if (i != core_->number() && in_flight_bytes_ > kMaxInFlightBytes) {
        queued_[i] = {};
        queued_[i].everything = true;
        continue;
      }
      queued_[i].keys.push_back({std::string(effect.key), position, effect.author});
      queued_[i].bytes += effect.key.size() + kChangeOverhead;
    }
    ++position.change;
    return Status::Ok();
  };
  CHECK(data::ForEachEffect(payload, note).ok());
  Distribute();
}

void Tracking::EverythingChanged() {
  if (IsIdle()) return;
  queued_.resize(core_->engine().cores());
  for (Changes& changes : queued_) changes.everything = true;
  Distribute();
}

void Tracking::Distribute() {
  Engine* engine = &core_->engine();
  for (uint32_t i = 0; i < queued_.size(); ++i) {
    if (!queued_[i].everything && queued_[i].keys.empty()) continue;
    Changes changes = std::exchange(queued_[i], {});
    if (i == core_->number()) {
      Take(changes);
      continue;
    }
    const size_t bytes = changes.bytes;
    in_flight_bytes_ += bytes;
    core_->Post(i, [engine, i, home = core_->number(), bytes, changes = std::move(changes)] {
      engine->core(i).tracking().Take(changes);
      engine->core(i).Post(
          home, [engine, home, bytes] { engine->core(home).tracking().in_flight_bytes_ -= bytes; });
    });
  }
}

bool Tracking::IsOwn(const Client& client, const data::Author& author) const {
  return client.tracking->options.no_loop && author.client == client.id &&
         author.node == core_->engine().author_node();
}

void Tracking::Take(const Changes& changes) {
  if (changes.everything) {
    Clear();
    for (const auto& [id, client] : clients_) Tell(client, nullptr);
  }
  for (const Change& change : changes.keys) TakeForReaders(change);
  for (const auto& [prefix, clients] : prefixes_) TakeForPrefix(prefix, clients, changes.keys);
}

void Tracking::TakeForPrefix(std::string_view prefix, const std::vector<Client*>& clients,
                             const std::vector<Change>& changes) {
  std::vector<const Change*> of_prefix;
  for (const Change& change : changes) {
    if (change.key.starts_with(prefix)) of_prefix.push_back(&change);
  }
  if (of_prefix.empty()) return;
  for (Client* client : clients) {
    KeyList keys;
    for (const Change* change : of_prefix) {
      if (!IsOwn(*client, change->author)) keys.push_back(change->key);
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    if (!keys.empty()) Tell(client, &keys);
  }
}

void Tracking::TakeForReaders(const Change& change) {
  const auto found = table_.find(change.key);
  if (found == table_.end()) return;
  Entry* entry = found->second;
  const KeyList key{change.key};
  const bool pushed_out = change.position.entry == 0;
  const auto told = [this, &change, &key, pushed_out](Reader& reader) {
    const auto it = clients_.find(reader.client);
    if (it == clients_.end() || it->second->tracking->options.broadcast) return true;
    Client* client = it->second;
    if (change.position.IsBefore(reader.seen) || IsOwn(*client, change.author)) return false;
    if (reader.script != 0 && !pushed_out) {
      reader.changed = true;
      return false;
    }
    Tell(client, &key);
    // It hears of the change before the reply that it waits for, which may be older.
    return !client->blocked;
  };
  const size_t before = entry->readers.size();
  const auto end = std::remove_if(entry->readers.begin(), entry->readers.end(), told);
  entry->readers.erase(end, entry->readers.end());
  items_ -= before - entry->readers.size();
  if (entry->readers.empty()) Erase(entry);
}

// ---- Telling

void Tracking::Push(Client* client, std::string_view bytes) {
  if (client->waiting == 0) {
    core_->pubsub().Push(client, bytes);
    return;
  }
  std::string& late = late_[client->id];
  if (late.size() + bytes.size() <= kMaxLateBytes) {
    late.append(bytes);
  } else {
    late = client->protocol == 3 ? InvalidatePush(nullptr) : InvalidateMessage(nullptr);
  }
}

void Tracking::TurnEnd() {
  // Not as keys are added, when replies are being written.
  if (added_ > 0) Shrink(kShrinkPerKey * std::exchange(added_, 0));
  if (!dead_.empty()) FreeSome(kFreedPerTurn);
  for (auto it = late_.begin(); it != late_.end();) {
    Client* client = core_->FindClient(it->first);
    if (client != nullptr && client->waiting > 0 && (!client->blocked || client->reply_is_late)) {
      ++it;
      continue;
    }
    if (client != nullptr) core_->pubsub().Push(client, it->second);
    it = late_.erase(it);
  }
}

void Tracking::Tell(Client* client, const KeyList* keys) {
  ClientTracking& tracking = *client->tracking;
  if (keys == nullptr && !tracking.options.broadcast) {
    // A second time says nothing new, when it has asked for nothing meanwhile.
    if (tracking.flushed_at == client->commands) return;
    tracking.flushed_at = client->commands;
  }
  const TrackingOptions& options = tracking.options;
  if (options.redirect == 0) {
    // In RESP2 there is no way to tell a connection that doesn't listen.
    if (client->protocol == 3) Push(client, InvalidatePush(keys));
    return;
  }
  Engine* engine = &core_->engine();
  const uint32_t there = options.redirect_core;
  std::string resp2 = InvalidateMessage(keys);
  std::string resp3 = InvalidatePush(keys);
  if (there == core_->number()) {
    TellRedirected(options.redirect, there, client->id, resp2, resp3);
    return;
  }
  core_->Post(there, [engine, there, home = core_->number(), target = options.redirect,
                      from = client->id, resp2 = std::move(resp2), resp3 = std::move(resp3)] {
    engine->core(there).tracking().TellRedirected(target, home, from, resp2, resp3);
  });
}

void Tracking::TellRedirected(uint64_t target, uint32_t from_core, uint64_t from,
                              std::string_view resp2, std::string_view resp3) {
  if (Client* client = core_->FindClient(target); client != nullptr && !client->closing) {
    if (client->protocol == 3) {
      Push(client, resp3);
    } else if (client->subscribed()) {
      Push(client, resp2);
    }
    return;
  }
  Engine* engine = &core_->engine();
  const auto broken = [engine, from_core, from] {
    Client* client = engine->core(from_core).FindClient(from);
    if (client != nullptr) engine->core(from_core).tracking().RedirectIsBroken(client);
  };
  if (from_core == core_->number()) {
    broken();
  } else {
    core_->Post(from_core, broken);
  }
}

void Tracking::RedirectIsBroken(Client* client) {
  if (client->tracking == nullptr || client->tracking->options.redirect == 0) return;
  client->tracking->broken_redirect = true;
  if (client->protocol != 3) return;
  std::string bytes;
  resp::Writer writer(&bytes, 3);
  writer.Push(2);
  writer.Bulk("tracking-redir-broken");
  writer.Integer(static_cast<int64_t>(client->tracking->options.redirect));
  Push(client, bytes);
}

}  // namespace holdfast::engine
