// The process: configuration, engine, listeners, signals. Main thread, except where cores accept.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cluster/access.h"
#include "cluster/cluster.h"
#include "engine/engine.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "net/tls.h"
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
  // An address that clients connect to.
  struct Door {
    std::string host;
    uint16_t port = 0;
    bool tls = false;
    bool operator==(const Door&) const = default;
  };
  // With one socket for each core that accepts.
  struct BoundDoor {
    Door door;
    net::PortBinding binding;
  };
  // What a core has for its clients.
  struct CoreSide {
    std::unique_ptr<SessionList> sessions;
    std::vector<std::pair<Door, std::unique_ptr<net::Listener>>> listeners;
  };

  // How many cores take connections: the first ones.
  uint32_t AcceptingCores() const;
  // The addresses of `config` with its ports.
  static std::vector<Door> DoorsOf(const engine::Config& config);
  // Binds those of them that aren't open, and listens if that is wanted.
  Result<std::vector<BoundDoor>> Bind(const engine::Config& config, bool listen) const;
  // Cores accept at these doors. Before clients may change them.
  void OpenDoors(std::vector<BoundDoor> doors);
  // Has a core accept on a door's socket.
  void OpenDoor(uint32_t core, const Door& door, net::Socket socket);
  // Runs `work` on every core's loop and waits for all.
  void OnEveryCore(const std::function<void(engine::Core&, CoreSide&)>& work);
  void HandOver();
  // Waits until the users of the cluster are known here; not for ever.
  void LearnUsers();
  // CONFIG SET port/tls-port/bind, on a core's loop.
  Status ChangeListeners(engine::Core& core, const engine::Config& config);
  // Raises the limit of open files for maxclients, or lowers these to what it allows.
  Status MakeRoomForClients();
  // Sets what the engine can't do by itself.
  void ServeEngine();
  // SIGHUP: what the options of now name is read, and used from now on.
  void RenewCertificates();
  Status WritePidFile() const;
  // How this node enters a cluster, if its configuration says so; blocks while it asks others.
  Result<std::optional<engine::ClusterEntry>> EnterCluster(const storage::Identity& identity) const;
  // Takes the cluster port. Nothing when the node is to be alone.
  Status BindCluster(const engine::Config& config, std::optional<net::PortBinding>* binding) const;

  LoadedConfig loaded_;
  net::EventLoop loop_;  // of the main thread: signals, and what may block
  net::Mailbox jobs_{&loop_};
  std::deque<net::SignalWatcher> signals_;  // that come while it starts wait for Run
  net::TlsSlot tls_;
  // Outlives the engine, whose cores use it.
  std::unique_ptr<script::Scripting> scripting_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<cluster::Access> access_;
  std::unique_ptr<cluster::Cluster> cluster_;  // null when the node is alone
  std::vector<Door> doors_;                    // that are open; once cores run, core 0's
  std::vector<CoreSide> sides_;
  std::atomic<bool> stopping_{false};
};

}  // namespace holdfast::server
