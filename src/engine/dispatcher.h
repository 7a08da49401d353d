// From a parsed request to the place where it runs: the checks that come before every command,
// MULTI queueing, and the way to the partition of its keys, here or on another core.
//
// Loop thread of the client's core only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/client.h"
#include "engine/command.h"
#include "engine/core.h"

namespace holdfast::engine {

enum class Dispatched : uint8_t {
  kDone,     // taken: its reply is in the client's queue, or will be
  kTryLater  // not taken (CLIENT PAUSE, overload): the same request again after Resume
};

// Takes one request. `args` is not empty.
Dispatched Dispatch(Client* client, Args args);

// Runs what MULTI queued as one transaction; the whole of EXEC but its checks. Clears the client's
// transaction state.
void RunTransaction(Client* client, const Command& exec);
// Ends MULTI and forgets what was queued (not WATCH).
void ResetTransaction(Client* client);
// WATCH for the keys args[1…]; replies.
void WatchKeys(Client* client, Args args, const Command& watch);
// Takes watches back. All keys are of one partition.
void Unwatch(Client* client, std::vector<WatchedKey> watched);
// Forgets all watched keys.
void UnwatchAll(Client* client);
// The client is gone: takes its blocked request out of the line.
void CancelBlocked(Client* client);

// Sends the command to every client in MONITOR; `who`: the client's address, or "lua" for a script.
void FeedMonitors(Core* core, uint32_t db, std::string_view who, const Command& command, Args args);
// Monitors see it when it begins, before the commands that it calls: EVAL and its kin.
bool ShowsItselfEarly(const Command& command);

}  // namespace holdfast::engine
