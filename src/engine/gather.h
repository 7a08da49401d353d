// Requests that run on several partitions. Loop thread of the client's core.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/client.h"
#include "engine/core.h"
#include "engine/partition.h"

namespace holdfast::engine {

// Runs a command whose keys span partitions, or that concerns the whole keyspace, and merges the
// replies as command.merge says. Not atomic across partitions.
void RunOnManyPartitions(Client* client, const Command& command, Args args);

// ---- Parts of Dispatch that its neighbours need.

// Ends the reply begun with client->replies.Begin, minding CLIENT REPLY.
void FinishReply(Client* client);
void FinishReply(Client* client, Partition* partition, const ExecResult& result);
// A reserved slot minds CLIENT REPLY as of now.
void NoteReserved(Client* client, uint64_t slot);
// Replies an error that refuses a request before it runs. Inside MULTI it spoils the transaction.
// `command` may be null.
void Reject(Client* client, const Command* command, std::string_view error);
// The same for a request that may be EXEC: as in Redis it ends its transaction, whatever keeps it
// from being run.
void Refuse(Client* client, const Command& command, std::string_view error);
// Whether the client's requests can't run before values are in memory (value_loads.h).
bool MustWaitForValues(const Client& client, const Partition& partition,
                       std::span<const Request> requests);
// When the request announces something, its client takes no further one before that is out: what it
// publishes itself stays behind.
void WaitForAnnouncement(Client* client, Partition* partition, const ExecResult& result);
// Who asks.
Caller CallerOf(const Client& client);
// Whether this is a read of keys, as a follower may answer it.
bool IsKeyRead(const Command& command);
// The one partition of all keys; -1: no keys; -2: several partitions.
int64_t PartitionOfKeys(const Client& client, Args args, const std::vector<int>& positions);
// A request of this client on its way to a partition elsewhere, still without its contents.
std::unique_ptr<Routed> MakeRouted(const Client& client, uint32_t partition, PeerRequestType type);
// Runs the whole request on one partition: the one place that decides where that happens.
void RunOn(Client* client, const Command& command, Args args, uint32_t partition);
// Routes a data command by its keys.
void RunData(Client* client, const Command& command, Args args);

}  // namespace holdfast::engine
