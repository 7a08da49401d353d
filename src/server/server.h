// The process: configuration, engine, listeners, signals. Main thread, except where cores accept.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cluster/access.h"
#include "cluster/cluster.h"
#include "engine/engine.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "script/scripting.h"
#include "server/config_loader.h"
#include "server/session.h"

namespace holdfast::server {

class Server {
 public:
  explicit Server(LoadedConfig loaded);
  ~Server();

  // Binds, loads, listens. One clear line on failure.
  Status Start();
  // Serves until a signal or SHUTDOWN; returns the exit code.
  int Run();

 private:
  // What a core has for its clients.
  struct CoreSide {
    std::unique_ptr<SessionList> sessions;
    std::vector<std::unique_ptr<net::Listener>> listeners;
  };

  // How many cores take connections: the first ones.
  uint32_t AcceptingCores() const;
  // Binds every address of `config`, one socket for each of them.
  Status Bind(const engine::Config& config, std::vector<net::PortBinding>* bindings) const;
  // Cores accept on these sockets instead of the present ones.
  Status ListenOn(std::vector<net::PortBinding> bindings, int64_t backlog);
  // Runs `work` on every core's loop and waits for all.
  void OnEveryCore(const std::function<void(engine::Core&, CoreSide&)>& work);
  void HandOver();
  // Waits until the users of the cluster are known here; not for ever.
  void LearnUsers();
  // CONFIG SET port/bind, on a core's loop.
  Status ChangeListeners(engine::Core& core, const engine::Config& config);
  Status WritePidFile() const;
  // How this node enters a cluster, if its configuration says so; blocks while it asks others.
  Result<std::optional<engine::ClusterEntry>> EnterCluster(const storage::Identity& identity) const;
  // Takes the cluster port. Nothing when the node is to be alone.
  Status BindCluster(const engine::Config& config, std::optional<net::PortBinding>* binding) const;

  LoadedConfig loaded_;
  net::EventLoop loop_;  // of the main thread: signals
  // Outlives the engine, whose cores use it.
  std::unique_ptr<script::Scripting> scripting_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<cluster::Access> access_;
  std::unique_ptr<cluster::Cluster> cluster_;  // null when the node is alone
  std::vector<net::PortBinding> bindings_;
  std::vector<CoreSide> sides_;
  std::atomic<bool> stopping_{false};
};

}  // namespace holdfast::server
