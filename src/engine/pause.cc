// CLIENT PAUSE: whose requests wait for its end. It concerns the clients of this node; what comes
// from other nodes is served.
#include "base/check.h"
#include "engine/core.h"
#include "engine/engine.h"

namespace holdfast::engine {

bool RequestMayWrite(Core* core, const Command& command, Args args) {
  return command.may_write() && (command.writes == nullptr || command.writes(*core, args));
}

void Core::SetPause(const Pause& pause) {
  pause_ = pause;
  const int64_t left_ms = pause.until_ms - clock().MonotonicMs();
  if (pause.until_ms != 0 && left_ms > 0) {
    pause_timer_.Start(static_cast<uint64_t>(left_ms), 0, [this] { SetPause({}); });
    return;
  }
  pause_ = {};
  pause_timer_.Stop();
  // In the order in which they came. Resumed outside of what is running now: this may be a request
  // of one of them.
  for (const auto& [ticket, id] : paused_clients_) {
    Client* client = FindClient(id);
    CHECK(client != nullptr && client->pause_ticket == ticket);
    client->pause_ticket = 0;
    ResumeLater(client);
  }
  engine_->blocked_clients.fetch_sub(static_cast<int64_t>(paused_clients_.size()),
                                     std::memory_order_relaxed);
  paused_clients_.clear();
}

bool Core::IsPaused(const Client& client, const Command& command, Args args) {
  if (pause_.until_ms == 0) return false;
  // Or nobody could end it.
  if (command.name == "client" || command.parent == "client") return false;
  if (!pause_.only_writes) return true;
  if (command.name == "exec" && client.in_multi) return client.queued_may_write;
  return RequestMayWrite(this, command, args);
}

void Core::WaitForPause(Client* client) {
  CHECK(client->pause_ticket == 0);
  client->pause_ticket = ++last_pause_ticket_;
  paused_clients_.emplace(client->pause_ticket, client->id);
  engine_->blocked_clients.fetch_add(1, std::memory_order_relaxed);
}

void Core::LeavePause(Client* client) {
  if (client->pause_ticket == 0) return;
  paused_clients_.erase(client->pause_ticket);
  client->pause_ticket = 0;
  engine_->blocked_clients.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace holdfast::engine
