// Options that are the same on every node: what CONFIG SET has made of them in a cluster. They win
// over the node's own file, variables and flags.
//
//   CONFIG SET on any node ──▶ record "setting/<name>" of the meta partition ──committed──▶ on each
//   node core 0 changes its options and gives them to all cores, then tells the other nodes up to
//   which revision it has come (item kSettings)
//
// The node that was asked answers when every node that it can reach has the change, or after a
// second, so that what its client does next finds it in force wherever the key is led. A node that
// can't be reached learns of it when it is back.
//
// The records are keys of the meta partition's database 0; their values are
//   1 <the option's value, as CONFIG GET shows it>
// and the item is
//   u8 version (1) | u64 revision, little-endian
//
// Core 0's loop thread only; constructed and destroyed while the cores don't run.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "engine/internal_client.h"
#include "raft/types.h"
#include "replica/peer_link.h"

namespace holdfast::cluster {

inline constexpr std::string_view kSettingPrefix = "setting/";

std::string SettingKey(std::string_view option);
std::string EncodeSetting(std::string_view value);
// Corruption for anything that EncodeSetting doesn't write, Unsupported for another version.
Status DecodeSetting(std::string_view record, std::string_view* value);

class Settings final : public engine::CommitObserver {
 public:
  // Gets the whole error reply, empty when the change is made.
  using Done = absl::AnyInvocable<void(const std::string& error)>;

  // REQUIRES: core 0's transport is there.
  explicit Settings(engine::Engine* engine);

  // Changes options of the whole cluster: names and values in turn, as the client gave them.
  void Change(const std::vector<std::string>& pairs, Done done);

  // Another follower of the meta partition has brought what it makes of it to all cores, up to this
  // revision. What it did before is there then, too.
  void Applied(uint64_t revision);
  // `done` when every node that can be reached has come so far, or after a second.
  void Await(uint64_t revision, Done done);

  // An item of kind kSettings. Closes links that send nonsense.
  void OnItem(replica::PeerLink& link, std::string_view bytes);
  // Tells a node that has just been found.
  void OnUp(replica::PeerLink& link);
  // Every now and then.
  void Tick() { Answer(); }
  // Nobody waits any more, since the core is about to end.
  void Stop();

  // ---- engine::CommitObserver, of the meta partition
  void OnCommitted(std::string_view payload) override;
  void OnReplaced(const data::Keyspace& keyspace) override;

 private:
  struct Waiting {
    uint64_t revision = 0;
    int64_t until_ms = 0;
    Done done;
  };

  void Take(std::string_view key, std::string_view record, engine::Config* config) const;
  // Gives it to all cores.
  void Apply(const engine::Config& config, uint64_t revision);
  bool IsEverywhere(uint64_t revision) const;
  // Those whose change has arrived, or who have waited long enough.
  void Answer();

  engine::Engine* const engine_;
  engine::Core* const core_;
  std::unique_ptr<engine::InternalClient> self_;
  const engine::Command* const change_;  // CLUSTER SETOPTION
  bool running_ = false;
  bool stopped_ = false;
  uint64_t applied_ = 0;                     // of this node: the revision
  std::map<raft::NodeId, uint64_t> others_;  // of the others, as they said
  std::vector<Waiting> waiting_;
};

}  // namespace holdfast::cluster
