// Client-side caching (CLIENT TRACKING): who of this core's clients has read which keys, and
// telling them when these change.
//
//   a client reads ──▶ its core's table: key -> clients that may have it in their caches
//   an entry is committed ──▶ each node's partition, as it hands the entry to its store
//       ──keys──▶ cores of this node whose clients may have read them ──▶ "invalidate" to those
//
// Nothing of it goes from node to node: each node has every partition, and what a client must hear
// comes to its node by the log, whoever leads. At a node that follows, that is with the next
// message or heartbeat of the leader; but who has written through this node is answered when it is
// known here (Forwarding::Answer), and CLIENT TRACKING ON when all that was done before is. So a
// change that a read or BCAST doesn't have to hear of is told only where somebody wrote through
// another node at the same time. Why nothing is missed: when a client's read begins, the
// client is in the table, and what its node's partition has not committed by then it will tell
// later. What was committed before, the read has seen, since reads are linearizable. On the
// client's connection an invalidation comes behind the reply of every read that was sent before it,
// so it may come needlessly, never too early. Exceptions: what a blocking command answers isn't for
// a cache, and who waits in one is told at once; with REDIRECT it comes on another connection,
// whose clients have to be careful themselves, as with Redis.
//
// Whenever a node can't say what has changed, it says that everything has, which clients know from
// FLUSHALL: when it gets a snapshot instead of entries, when a partition has lost its leader (it
// may be this node that is cut off), and when more is on its way to another core than may be.
//
// NOLOOP: entries name the authors of such clients' changes (data/effect.h), so that a client's
// node knows its own whichever way they went. A client whose write was answered INDOUBT has to
// forget the key itself.
//
// The keys of the table are bounded by tracking-table-max-keys for all cores of the node together;
// one that is pushed out is told as changed. Databases aren't told apart, as in Redis.
//
// Loop thread of the owning core only, unless a function says otherwise.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "data/effect.h"
#include "engine/command.h"

namespace holdfast::engine {

class Client;
class Core;
struct ReplyAddress;

// What a client has asked for by CLIENT TRACKING.
struct TrackingOptions {
  bool broadcast = false;  // of every key with one of `prefixes`, read or not
  bool opt_in = false;     // only what is read behind CLIENT CACHING YES
  bool opt_out = false;    // not what is read behind CLIENT CACHING NO
  bool no_loop = false;    // not of its own changes
  // The connection that is told instead, and its core; 0: this one.
  uint64_t redirect = 0;
  uint32_t redirect_core = 0;
  std::vector<std::string> prefixes;  // no one begins with another
};

// The place of a change among those of a partition while a node led it without interruption: what
// a leader had proposed and then lost may have been replaced.
struct ChangePosition {
  uint64_t period = 0;  // Partition::ready_period; 0: unknown
  uint64_t entry = 0;
  uint32_t change = 0;  // how many are before it in the entry

  bool IsBefore(const ChangePosition& other) const {
    if (period == 0 || period != other.period) return false;
    return entry < other.entry || (entry == other.entry && change < other.change);
  }
};

// Of a client that tracks.
struct ClientTracking {
  TrackingOptions options;
  bool caching = false;          // CLIENT CACHING, for the next request or transaction
  bool broken_redirect = false;  // the other connection was gone when there was something to tell
  // Client::commands when it was told last that everything has changed: unless it broadcasts, it
  // has read nothing since as long as that stays.
  uint64_t flushed_at = UINT64_MAX;
};

class Tracking {
 public:
  explicit Tracking(Core* core);
  ~Tracking();
  Tracking(const Tracking&) = delete;
  Tracking& operator=(const Tracking&) = delete;

  // ---- Clients of this core.

  // Begins, or changes what was asked for before; prefixes are added to those of before. REQUIRES:
  // `options` fits to what the client has.
  void Enable(Client* client, TrackingOptions options);
  // Also for a client that doesn't track.
  void Disable(Client* client);
  // Whether what the client reads now is to be remembered.
  static bool Remembers(const Client& client);
  // The client is about to read the request's keys, or has done so and has seen everything before
  // `seen` in their partition. Nothing, unless the command reads.
  void Remember(Client* client, const Command& command, Args args, const ChangePosition& seen = {});
  // The client is about to have a script run elsewhere, which answers to `place` and may read what
  // it has declared; and it has done so. What changes meanwhile is told, if at all, then.
  void RememberScript(const ReplyAddress& place, const Command& command, Args args);
  void ScriptAnswered(const ReplyAddress& place, const Command& command, Args args,
                      bool read_nothing);

  // ---- What has happened to keys.

  // An entry of one of this core's partitions is committed. `position`: of its first change.
  void OnCommitted(ChangePosition position, std::string_view payload);
  // Any key may have changed, without this node knowing it.
  void EverythingChanged();
  // Bounded work, every now and then.
  void Tick();
  // The turn ends: replies that clients have waited for are in their queues.
  void TurnEnd();

  // ---- For INFO, of this core.
  size_t clients() const { return clients_.size(); }
  size_t keys() const { return entries_.size(); }
  size_t items() const { return items_; }  // keys times their clients
  size_t prefixes() const { return prefixes_.size(); }

 private:
  struct Reader {
    uint64_t client = 0;
    ChangePosition seen;  // all changes before this one
    // Not 0: a script, by its place, that has not answered yet. Whether the key has changed since
    // it began, and whether the client has read the key otherwise.
    uint64_t script = 0;
    bool changed = false;
    bool certain = false;
  };
  using Readers = absl::InlinedVector<Reader, 1>;  // by client
  struct Entry {
    std::string key;
    size_t place = 0;  // in entries_
    Readers readers;
  };
  struct Change {
    std::string key;
    ChangePosition position;
    data::Author author;
  };
  struct Changes {
    bool everything = false;
    std::vector<Change> keys;
    size_t bytes = 0;
  };
  using KeyList = std::vector<std::string_view>;

  bool IsIdle() const;
  // Whether a client of this core may have to hear of the key. Any thread.
  bool MayWant(std::string_view key) const;
  void Add(std::string_view key, const Reader& reader);
  static Readers::iterator LowerBound(Readers* readers, uint64_t client);
  Reader* FindReader(std::string_view key, uint64_t client);
  void RemoveReader(std::string_view key, uint64_t client);
  void Erase(Entry* entry);
  void Clear();
  std::atomic<uint32_t>& Interest(std::string_view key);
  // Brings the table towards its bounds, by at most `effort` keys.
  void Shrink(size_t effort);
  // To the cores of this node; what is queued for them is left empty.
  void Distribute();
  void Take(const Changes& changes);
  void TakeForReaders(const Change& change);
  void TakeForPrefix(std::string_view prefix, const std::vector<Client*>& clients,
                     const std::vector<Change>& changes);
  // `keys` null: everything.
  void Tell(Client* client, const KeyList* keys);
  // A connection of this core is told instead of client `from` of core `from_core`.
  void TellRedirected(uint64_t target, uint32_t from_core, uint64_t from, std::string_view resp2,
                      std::string_view resp3);
  void RedirectIsBroken(Client* client);
  void Push(Client* client, std::string_view bytes);
  void FreeSome(size_t keys);
  bool IsOwn(const Client& client, const data::Author& author) const;

  static constexpr size_t kInterestBuckets = 16384;
  // Of changes on their way to other cores, and of what waits for one client's reply. Beyond it
  // they are told that everything has changed.
  static constexpr size_t kMaxInFlightBytes = size_t{64} << 20;
  static constexpr size_t kMaxLateBytes = size_t{1} << 20;

  Core* const core_;
  absl::flat_hash_map<uint64_t, Client*> clients_;  // that track
  absl::flat_hash_map<std::string_view, Entry*> table_;
  std::vector<std::unique_ptr<Entry>> entries_;            // all of table_, in no order
  std::vector<std::vector<std::unique_ptr<Entry>>> dead_;  // freed little by little
  size_t items_ = 0;
  size_t added_ = 0;                                                   // keys, in this turn
  std::map<std::string, std::vector<Client*>, std::less<>> prefixes_;  // of broadcasting clients
  uint64_t random_ = 0x9e3779b97f4a7c15;
  std::vector<Changes> queued_;  // by core; during OnCommitted
  // What is told behind replies that aren't in the client's queue yet: for clients in blocking
  // commands until this turn ends, since it may be what they wait for that has come; for clients
  // with other requests that are answered later (EXEC), until these are.
  std::map<uint64_t, std::string> late_;
  size_t in_flight_bytes_ = 0;

  // How many keys of the table fall into a bucket by their hash, and how many clients broadcast.
  // Written by this core, read by all.
  std::unique_ptr<std::array<std::atomic<uint32_t>, kInterestBuckets>> interest_;
  std::atomic<uint32_t> broadcasting_{0};
};

}  // namespace holdfast::engine
