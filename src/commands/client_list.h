// One client as CLIENT LIST and CLIENT INFO show it, and the filters of CLIENT LIST and KILL.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/client.h"

namespace holdfast::commands {

// Appends the client's line, with its newline, in Redis's format. `request_bytes` is the size of
// the request that the client is executing, 0 when it is another client; `now_ms` is monotonic.
void AppendClientLine(const engine::Client& client, size_t request_bytes, int64_t now_ms,
                      std::string* out);

// The same without the newline, for a client that executes no request that would count.
std::string DescribeClient(const engine::Client& client);

// The bytes of a request in the form in which clients send it.
size_t RequestBytes(engine::Args args);

// The client that is told for this one what changes: 0 when it is told itself, -1 when nobody is.
int64_t RedirectOf(const engine::Client& client);

// The memory that a client takes, roughly.
size_t ClientMemory(const engine::Client& client);

// CLIENT LIST's and KILL's TYPE.
enum class ClientType : uint8_t { kNormal, kMaster, kReplica, kPubsub };
std::optional<ClientType> ParseClientType(std::string_view name);
ClientType TypeOf(const engine::Client& client);

// Which clients are meant; conditions that are not set match all.
struct ClientFilter {
  std::optional<std::string> address;
  std::optional<std::string> local_address;
  std::optional<ClientType> type;
  std::optional<std::string> user;
  absl::flat_hash_set<uint64_t> ids;  // empty: any
  uint64_t except = 0;                // this one isn't meant; 0: no exception

  bool Matches(const engine::Client& client) const;
};

}  // namespace holdfast::commands
