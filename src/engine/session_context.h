// What a session command sees: one that touches no key and runs on the connection's own core.
#pragma once

#include <string>

#include "engine/client.h"
#include "engine/command.h"
#include "engine/core.h"
#include "engine/errors.h"
#include "resp/writer.h"

namespace holdfast::engine {

// What the commands on keys of an EXEC wait for, on the client's own core.
struct TransactionGate {
  Partition* partition = nullptr;
  Gate gate;
  bool is_write = false;
};

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
  // The same, but further requests run meanwhile; their replies wait behind this one.
  ReplyAddress DeferReplyOnly();

  // Set by a handler whose command isn't over when it returns: it calls core.CommandDone itself
  // when it is, so that statistics and slow log see the whole of it.
  bool accounts_itself = false;
  // Set by a handler whose reply is one of messages, which CLIENT REPLY doesn't mute.
  bool replies_messages = false;

  // ---- Inside EXEC.
  bool in_transaction = false;
  // What nobody may hear of before the transaction is committed waits for this; null: nothing has
  // to wait.
  const TransactionGate* behind = nullptr;
};

}  // namespace holdfast::engine
