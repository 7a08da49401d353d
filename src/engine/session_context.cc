#include "engine/session_context.h"

#include "base/numbers.h"
#include "engine/gather.h"

namespace holdfast::engine {

void SessionContext::ErrorArity() {
  reply.Error("ERR wrong number of arguments for '" + FullName(command) + "' command");
}

void SessionContext::ErrorUnknownSubcommand() {
  const std::string_view container = command.parent.empty() ? command.name : command.parent;
  reply.Error("ERR unknown subcommand or wrong number of arguments for '" +
              std::string(args.size() > 1 ? args[1].substr(0, 128) : "") + "'. Try " +
              ToUpper(container) + " HELP.");
}

bool SessionContext::ParseInt(size_t i, int64_t* value, std::string_view error) {
  if (i < args.size() && ParseInt64(args[i], value)) return true;
  Error(error);
  return false;
}

ReplyAddress SessionContext::Defer() {
  const ReplyAddress address = DeferReplyOnly();
  client.deferred_slots.push_back(address.slot);
  ++client.waiting;
  return address;
}

ReplyAddress SessionContext::DeferReplyOnly() {
  const uint64_t slot = client.replies.Reserve();
  NoteReserved(&client, slot);
  return {core.number(), client.id, slot};
}

}  // namespace holdfast::engine
