// Requests of other cores and nodes, where their partition is. Loop thread of the partition's core.
#pragma once

#include <absl/functional/any_invocable.h>

#include "engine/partition.h"
#include "engine/peer_request.h"

namespace holdfast::engine {

// Runs a request on its partition. `done` gets the outcome, on this core, when its gate is open or
// lost, which may be at once. A request that blocks is known by `address` from then on: `done` is
// not called, the reply is delivered there, or PartitionHost::GiveBack is told.
// REQUIRES: the partition is ready.
void RunRequest(Partition* partition, const PeerRequest& request, const ReplyAddress& address,
                absl::AnyInvocable<void(PeerReply)> done);

}  // namespace holdfast::engine
