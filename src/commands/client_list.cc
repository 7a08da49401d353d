#include "commands/client_list.h"

#include <algorithm>

#include "base/log.h"
#include "base/numbers.h"
#include "engine/core.h"

namespace holdfast::commands {
namespace {

using engine::SubscriptionKind;

// Length of "<prefix><n>\r\n".
size_t HeaderBytes(size_t n) { return std::to_string(n).size() + 3; }

size_t NameBytes(const engine::Client& client) {
  return client.address.size() + client.local_address.size() + client.name.size() +
         client.lib_name.size() + client.lib_version.size();
}

std::string Flags(const engine::Client& client) {
  std::string flags;
  if (client.monitor) flags += 'O';
  if (client.subscribed()) flags += 'P';
  if (client.in_multi) flags += 'x';
  if (client.blocked || client.pause_ticket != 0) flags += 'b';
  if (client.tracking != nullptr) {
    flags += 't';
    if (client.tracking->broken_redirect) flags += 'R';
    if (client.tracking->options.broadcast) flags += 'B';
  }
  if (client.close_after_reply) flags += 'c';
  if (client.closing) flags += 'A';
  if (client.no_evict) flags += 'e';
  if (client.no_touch) flags += 'T';
  return flags.empty() ? "N" : flags;
}

}  // namespace

int64_t RedirectOf(const engine::Client& client) {
  if (client.tracking == nullptr) return -1;
  return static_cast<int64_t>(client.tracking->options.redirect);
}

size_t RequestBytes(engine::Args args) {
  size_t bytes = HeaderBytes(args.size());
  for (const std::string_view arg : args) bytes += HeaderBytes(arg.size()) + arg.size() + 2;
  return bytes;
}

size_t ClientMemory(const engine::Client& client) {
  return sizeof(client) + NameBytes(client) + client.queued_bytes + client.input_bytes() +
         client.output_bytes() + client.subscription_bytes();
}

void AppendClientLine(const engine::Client& client, size_t request_bytes, int64_t now_ms,
                      std::string* out) {
  // What is in the reply queue, and what the socket hasn't taken.
  const size_t queued_output = client.replies.bytes();
  const size_t total_output = client.output_bytes();
  const size_t unsent = total_output > queued_output ? total_output - queued_output : 0;
  out->append(fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} "
      "multi={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} "
      "tot-mem={} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={}\n",
      client.id, client.address, client.local_address, client.fd, client.name,
      (now_ms - client.created_ms) / 1000, (now_ms - client.last_interaction_ms) / 1000,
      Flags(client), client.db, client.subscription_count(SubscriptionKind::kChannel),
      client.subscription_count(SubscriptionKind::kPattern),
      client.subscription_count(SubscriptionKind::kShardChannel),
      client.in_multi ? static_cast<int64_t>(client.queued.size()) : -1,
      std::max(request_bytes, client.input_bytes()), client.input_free_bytes(), request_bytes,
      client.queued_bytes, queued_output, queued_output, queued_output, unsent > 0 ? 1 : 0, unsent,
      ClientMemory(client), unsent > 0 ? "rw" : "r",
      client.last_command == nullptr ? "NULL" : engine::FullName(*client.last_command),
      client.user == nullptr ? std::string_view("(superuser)")
                             : std::string_view(client.user->name()),
      RedirectOf(client), client.protocol, client.lib_name, client.lib_version));
}

std::string DescribeClient(const engine::Client& client) {
  std::string line;
  AppendClientLine(client, 0, client.core->clock().MonotonicMs(), &line);
  line.pop_back();
  return line;
}

std::optional<ClientType> ParseClientType(std::string_view name) {
  if (EqualsIgnoreCase(name, "normal")) return ClientType::kNormal;
  if (EqualsIgnoreCase(name, "master")) return ClientType::kMaster;
  if (EqualsIgnoreCase(name, "replica")) return ClientType::kReplica;
  if (EqualsIgnoreCase(name, "slave")) return ClientType::kReplica;
  if (EqualsIgnoreCase(name, "pubsub")) return ClientType::kPubsub;
  return std::nullopt;
}

ClientType TypeOf(const engine::Client& client) {
  // A monitor counts as a replica, as in Redis: for its buffer limits too.
  if (client.monitor) return ClientType::kReplica;
  return client.subscribed() ? ClientType::kPubsub : ClientType::kNormal;
}

bool ClientFilter::Matches(const engine::Client& client) const {
  if (client.id == except) return false;
  if (address && client.address != *address) return false;
  if (local_address && client.local_address != *local_address) return false;
  if (user && (client.user == nullptr || client.user->name() != *user)) return false;
  if (type && TypeOf(client) != *type) return false;
  return ids.empty() || ids.contains(client.id);
}

}  // namespace holdfast::commands
