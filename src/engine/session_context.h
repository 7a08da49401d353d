// What a session command sees: one that touches no key and runs on the connection's own core.
#pragma once

#include <string>

#include "engine/client.h"
#include "engine/command.h"
#include "engine/core.h"
#include "engine/errors.h"
#include "resp/writer.h"

namespace holdfast::engine {

class SessionContext {
 public:
  SessionContext(Client* the_client, const Command& the_command, Args the_args,
                 resp::Writer* writer)
      : client(*the_client),
        core(*the_client->core),
        command(the_command),
        args(the_args),
        reply(*writer) {}

  Client& client;
  Core& core;
  const Command& command;
  const Args args;
  resp::Writer& reply;

  void Error(std::string_view text) { reply.Error(text); }
  void ErrorArity();
  // Replies Redis's "unknown subcommand" error for args[1].
  void ErrorUnknownSubcommand();
  [[nodiscard]] bool ParseInt(size_t i, int64_t* value, std::string_view error = kNotInteger);

  // The reply comes later: nothing may be written to `reply`. No further request of this client
  // runs before core.Deliver(address, bytes) was called, on any core.
  ReplyAddress Defer();

  // Set by a handler whose command isn't over when it returns: it calls core.CommandDone itself
  // when it is, so that statistics and slow log see the whole of it.
  bool accounts_itself = false;
};

}  // namespace holdfast::engine
