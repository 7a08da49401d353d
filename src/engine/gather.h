// Requests that run on several partitions, and results that travel home from another core. Loop
// threads; each function says which.
#pragma once

#include <absl/functional/any_invocable.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/client.h"
#include "engine/core.h"
#include "engine/partition.h"

namespace holdfast::engine {

// When the result's gate is open, runs `finish(replies)` on core `home`; when it can't open any
// more, every reply is an error then. On the partition's core.
void ReturnHome(Partition* partition, Core* core, uint32_t home, const ExecResult& result,
                std::vector<std::string> replies,
                absl::AnyInvocable<void(std::vector<std::string>)> finish);

// Runs a command whose keys span partitions, or that concerns the whole keyspace, and merges the
// replies as command.merge says. On the client's core. Not atomic across partitions.
void RunOnManyPartitions(Client* client, const Command& command, Args args);

// ---- Parts of Dispatch that its neighbours need.

// Ends the reply begun with client->replies.Begin, minding CLIENT REPLY.
void FinishReply(Client* client);
void FinishReply(Client* client, Partition* partition, const ExecResult& result);
// A reserved slot minds CLIENT REPLY as of now.
void NoteReserved(Client* client, uint64_t slot);
// Runs the whole request on one partition, wherever that is.
void RunOn(Client* client, const Command& command, Args args, uint32_t partition);
// Routes a data command by its keys.
void RunData(Client* client, const Command& command, Args args);

}  // namespace holdfast::engine
