#include "server/server.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <future>
#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "cluster/join.h"
#include "commands/client_list.h"
#include "commands/table.h"
#include "engine/descriptors.h"
#include "engine/version.h"
#include "server/certificates.h"

namespace holdfast::server {
namespace {

constexpr int64_t kHandOverMs = 2000;
constexpr uint64_t kHandOverTickMs = 10;
constexpr int64_t kLearnUsersMs = 2000;

}  // namespace

Server::Server(LoadedConfig loaded) : loaded_(std::move(loaded)) {}

Server::~Server() {
  // Only after a start that failed late: Run leaves nothing to stop.
  if (engine_ != nullptr && !sides_.empty()) engine_->Shutdown(0);
  sides_.clear();
  access_.reset();
  cluster_.reset();
}

// Clients live on cores that own partitions: a request that has to go to another core and back
// costs 1.4 times the CPU of one that stays (measured with GET, 50 clients, no pipelining).
uint32_t Server::AcceptingCores() const {
  return std::min(engine_->cores(), engine_->partitions());
}

std::vector<Server::Door> Server::DoorsOf(const engine::Config& config) {
  std::vector<Door> doors;
  for (const bool tls : {false, true}) {
    const auto port = static_cast<uint16_t>(tls ? config.tls_port : config.port);
    if (port == 0) continue;
    for (const std::string& host : config.bind) doors.push_back({host, port, tls});
  }
  return doors;
}

Result<std::vector<Server::BoundDoor>> Server::Bind(const engine::Config& config,
                                                    bool listen) const {
  const size_t sockets = engine_ == nullptr ? 1 : AcceptingCores();
  std::vector<BoundDoor> bound;
  for (const Door& door : DoorsOf(config)) {
    if (std::find(doors_.begin(), doors_.end(), door) != doors_.end()) continue;
    Result<net::PortBinding> binding = net::PortBinding::Bind(door.host, door.port, sockets);
    if (!binding.ok()) return binding.status();
    if (listen) {
      RETURN_IF_ERROR(binding.value().Listen(static_cast<int>(config.tcp_backlog)));
    }
    bound.push_back({door, std::move(binding).value()});
  }
  return bound;
}

Status Server::Start() {
  const engine::Config& config = loaded_.config;
  RETURN_IF_ERROR(OpenLog(config.log_level, config.log_file));
  // Before anything else looks at the limit, as LevelDB does once.
  RETURN_IF_ERROR(MakeRoomForClients());
  {
    // Later CONFIG SET may close all doors for a while, as in Redis.
    if (DoorsOf(config).empty()) return Status::InvalidArgument("port and tls-port are both 0");
    // A port that is taken is found before anything is loaded.
    RETURN_IF_ERROR(Bind(config, false).status());
  }
  signals_.emplace_back(&loop_, SIGHUP, [this] { RenewCertificates(); });
  Result<std::shared_ptr<const net::TlsContext>> certificates = ReadCertificates(config);
  if (!certificates.ok()) return certificates.status();
  tls_.Set(std::move(certificates).value());
  cluster::UserMap own_users;
  RETURN_IF_ERROR(cluster::ReadOwnUsers(commands::Table(), config, &own_users));
  std::optional<net::PortBinding> cluster_binding;
  RETURN_IF_ERROR(BindCluster(config, &cluster_binding));
  LogNotice("holdfast {} starts, pid {}", engine::kVersion, getpid());
  Result<std::unique_ptr<engine::Engine>> engine = engine::Engine::Open(
      config, &commands::Table(),
      [this](const storage::Identity& identity) { return EnterCluster(identity); });
  if (!engine.ok()) return engine.status();
  engine_ = std::move(engine).value();
  engine_->config_file = loaded_.file;
  scripting_ = std::make_unique<script::Scripting>(engine_.get());
  ServeEngine();
  Result<std::vector<BoundDoor>> doors = Bind(config, false);
  if (!doors.ok()) return doors.status();
  RETURN_IF_ERROR(WritePidFile());
  if (engine_->in_cluster()) {
    if (!cluster_binding.has_value()) {
      return Status::InvalidArgument("this node belongs to a cluster: cluster-port is needed");
    }
    RETURN_IF_ERROR(cluster_binding->Listen(static_cast<int>(config.tcp_backlog)));
    if (config.cluster_secret.empty() && !config.tls_cluster &&
        !engine::IsLoopback(config.bind.front())) {
      LogWarning(
          "whoever reaches the cluster port may join and read everything: set cluster-secret");
    }
    cluster_ = std::make_unique<cluster::Cluster>(engine_.get(), config);
    cluster_->Listen(cluster_binding->Take());
  }
  access_ = std::make_unique<cluster::Access>(engine_.get(), std::move(own_users));
  engine_->describe_client = commands::DescribeClient;
  engine_->Start();
  sides_.resize(engine_->cores());
  OnEveryCore([](engine::Core& core, CoreSide& side) {
    side.sessions = std::make_unique<SessionList>(&core);
  });
  LearnUsers();
  // Up to here they end the process at once; whoever has been served may count on a clean end.
  for (const int signo : {SIGTERM, SIGINT}) {
    signals_.emplace_back(&loop_, signo, [this] { loop_.Stop(); });
  }
  for (BoundDoor& door : doors.value()) {
    RETURN_IF_ERROR(door.binding.Listen(static_cast<int>(config.tcp_backlog)));
  }
  OpenDoors(std::move(doors).value());
  for (const Door& door : DoorsOf(config)) {
    LogNotice("ready to accept connections on {}:{}{}", door.host, door.port,
              door.tls ? " (TLS)" : "");
  }
  return Status::Ok();
}

Status Server::MakeRoomForClients() {
  int64_t& maxclients = loaded_.config.maxclients;
  const int64_t fit = engine::ClientsThatFit(loaded_.config);
  if (fit < 1) {
    return Status::InvalidArgument(
        "the limit of open files (ulimit -n) leaves no room for clients: raise it, or lower cores");
  }
  if (fit < maxclients) {
    LogWarning("maxclients is {} instead of {}: the limit of open files (ulimit -n) allows no more",
               fit, maxclients);
    maxclients = fit;
  }
  return Status::Ok();
}

void Server::ServeEngine() {
  engine_->on_shutdown_requested = [this] { loop_.Stop(); };
  engine_->change_listeners = [this](engine::Core& core, const engine::Config& changed) {
    return ChangeListeners(core, changed);
  };
  engine_->tls = &tls_;
  engine_->read_certificates = [this](const engine::Config& changed,
                                      engine::Engine::CertificatesRead done) {
    jobs_.PostFromAnyThread([this, changed, done = std::move(done)]() mutable {
      engine_->core(0).PostFromAnyThread(
          [done = std::move(done), read = ReadCertificates(changed)]() mutable {
            done(std::move(read));
          });
    });
  };
  engine_->rewrite_config = [this](const engine::Config& present) {
    if (loaded_.file.empty()) {
      return Status::InvalidArgument("The server is running without a config file");
    }
    return RewriteFile(loaded_.file, present);
  };
}

void Server::RenewCertificates() {
  engine_->core(0).PostFromAnyThread([this] {
    const engine::Config& config = engine_->core(0).config();
    if (!config.UsesTls()) return;
    engine_->read_certificates(config, [this, before = config](auto certificates) {
      if (!engine::SameTlsOptions(before, engine_->core(0).config())) {
        RenewCertificates();  // what was read may be out of date
      } else if (certificates.ok()) {
        tls_.Set(std::move(certificates).value());
        LogNotice("SIGHUP: certificates were read anew");
      } else {
        LogWarning("SIGHUP: certificates stay as they were: {}", certificates.status().message());
      }
    });
  });
}

Status Server::BindCluster(const engine::Config& config,
                           std::optional<net::PortBinding>* binding) const {
  if (config.cluster_port == 0) {
    if (!config.bootstrap && config.join.empty()) return Status::Ok();
    return Status::InvalidArgument("bootstrap and join need a cluster-port");
  }
  if (config.bootstrap && !config.join.empty()) {
    return Status::InvalidArgument("bootstrap founds a cluster, join enters one: give one of them");
  }
  if (config.heartbeat_interval_ms * 2 > config.election_timeout_ms) {
    return Status::InvalidArgument(
        "cluster-heartbeat-interval must be at most half of cluster-election-timeout");
  }
  Result<net::PortBinding> bound =
      net::PortBinding::Bind(config.bind.front(), static_cast<uint16_t>(config.cluster_port), 1);
  if (!bound.ok()) return bound.status();
  *binding = std::move(bound).value();
  return Status::Ok();
}

Result<std::optional<engine::ClusterEntry>> Server::EnterCluster(
    const storage::Identity& identity) const {
  // Long enough for a cluster that is being started as a whole.
  constexpr int64_t kJoinTimeoutMs = 60'000;
  const engine::Config& config = loaded_.config;
  std::optional<engine::ClusterEntry> entry;
  if (config.bootstrap) {
    entry.emplace();
    while (entry->cluster_id == 0) entry->cluster_id = RandomSeed();
  } else if (!config.join.empty()) {
    Result<engine::ClusterEntry> joined =
        cluster::Join(config.join, cluster::Cluster::HelloOf(config, identity),
                      config.cluster_secret, config.tls_cluster ? &tls_ : nullptr, kJoinTimeoutMs);
    if (!joined.ok()) return joined.status();
    entry = joined.value();
  }
  return entry;
}

Status Server::WritePidFile() const {
  const std::string& path = loaded_.config.pidfile;
  if (path.empty()) return Status::Ok();
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return Status::FromErrno("pidfile " + path, errno);
  std::fprintf(file, "%d\n", getpid());
  if (std::fclose(file) != 0) return Status::FromErrno("pidfile " + path, errno);
  return Status::Ok();
}

void Server::OpenDoors(std::vector<BoundDoor> doors) {
  for (const BoundDoor& door : doors) doors_.push_back(door.door);
  OnEveryCore([this, &doors](engine::Core& core, CoreSide&) {
    if (core.number() >= AcceptingCores()) return;
    for (BoundDoor& door : doors) OpenDoor(core.number(), door.door, door.binding.Take());
  });
}

void Server::OpenDoor(uint32_t core, const Door& door, net::Socket socket) {
  SessionList* sessions = sides_[core].sessions.get();
  const net::TlsSlot* tls = door.tls ? &tls_ : nullptr;
  sides_[core].listeners.emplace_back(
      door, std::make_unique<net::Listener>(
                &engine_->core(core).loop(), std::move(socket),
                [sessions, tls](net::Socket s) { sessions->Accept(std::move(s), tls); }));
}

void Server::OnEveryCore(const std::function<void(engine::Core&, CoreSide&)>& work) {
  for (uint32_t i = 0; i < engine_->cores(); ++i) {
    std::promise<void> done;
    engine_->core(i).PostFromAnyThread([this, i, &work, &done] {
      work(engine_->core(i), sides_[i]);
      done.set_value();
    });
    done.get_future().wait();
  }
}

Status Server::ChangeListeners(engine::Core& core, const engine::Config& config) {
  Result<std::vector<BoundDoor>> added = Bind(config, true);
  if (!added.ok()) return added.status();
  // From here on nothing can fail. Each core takes its sockets on its own thread, and closes those
  // that are no longer wanted: clients that are connected stay.
  doors_ = DoorsOf(config);
  auto shared = std::make_shared<std::vector<BoundDoor>>(std::move(added).value());
  auto mutex = std::make_shared<std::mutex>();
  for (uint32_t i = 0; i < engine_->cores(); ++i) {
    core.Post(i, [this, i, wanted = doors_, shared, mutex] {
      std::erase_if(sides_[i].listeners, [&](const auto& listener) {
        return std::find(wanted.begin(), wanted.end(), listener.first) == wanted.end();
      });
      if (i >= AcceptingCores()) return;
      for (BoundDoor& door : *shared) {
        net::Socket socket;
        {
          const std::lock_guard lock(*mutex);
          socket = door.binding.Take();
        }
        OpenDoor(i, door.door, std::move(socket));
      }
    });
  }
  return Status::Ok();
}

void Server::LearnUsers() {
  const auto learned = std::make_shared<std::promise<void>>();
  std::future<void> known = learned->get_future();
  // A new node knows no password at all; one that was a member before serves nothing that needs
  // the others as long as they aren't there.
  const bool is_new = cluster_ != nullptr && access_->is_new();
  engine_->core(0).PostFromAnyThread(
      [this, learned] { access_->CatchUp([learned] { learned->set_value(); }); });
  const std::chrono::milliseconds wait(kLearnUsersMs);
  if (known.wait_for(wait) != std::future_status::timeout) return;
  if (!is_new) {
    LogWarning("nobody leads the cluster: users are those that this node knew last");
    return;
  }
  // Who is let in now would stay in when the users come.
  LogWarning("nobody leads the cluster: clients have to wait, since this node knows no users yet");
  known.wait();
}

// Other nodes lead on before this one stops serving, so that no request waits for an election. Not
// for ever: what can't be handed over is found out by the others' election timeouts.
void Server::HandOver() {
  if (cluster_ == nullptr) return;
  int64_t ticks_left = kHandOverMs / static_cast<int64_t>(kHandOverTickMs);
  net::Timer timer(&loop_);
  timer.Start(0, kHandOverTickMs, [&] {
    bool done = true;
    OnEveryCore([&](engine::Core& core, CoreSide&) { done &= cluster_->HandOver(core); });
    if (done || --ticks_left <= 0) loop_.Stop();
  });
  loop_.Run();
}

int Server::Run() {
  loop_.Run();
  signals_.clear();  // the next one ends it at once
  LogNotice("shutting down");
  HandOver();
  OnEveryCore([this](engine::Core& core, CoreSide& side) {
    side.listeners.clear();
    side.sessions->CloseAll();
    if (core.number() == 0) access_->Stop();
    if (cluster_ != nullptr) cluster_->Stop(core);
  });
  const bool drained = engine_->Shutdown(loaded_.config.shutdown_timeout_s * 1000);
  if (!drained) LogWarning("shutdown timeout: some requests in flight were not answered");
  // The loops have ended: what lives on them goes before they do.
  sides_.clear();
  access_.reset();
  cluster_.reset();
  scripting_.reset();
  engine_.reset();
  if (!loaded_.config.pidfile.empty()) ::unlink(loaded_.config.pidfile.c_str());
  LogNotice("bye");
  FlushLog();
  return drained ? 0 : 1;
}

}  // namespace holdfast::server
