// Access control on one core: who its clients are, and what they may do. The rules are
// acl_user.h's, their way to all nodes is cluster/access.h's.
//
//   request ──▶ Client::unrestricted? ──yes──▶ on its way, as without any of this
//                   └─no─▶ Allows: logged in? may this user run it, on these keys and channels?
//
// A request is judged on its client's core, when it arrives and once more when EXEC runs it. What a
// script calls is judged where the script runs: the request names its user and the revision of the
// rules that this node knows, and waits there until they are known, too (Caller::acl_user).
//
// When rules change, a connection has the new ones with its next request. One that waits in a
// blocking command which its user may not run any more is answered NOPERM; one that listens to what
// it may not hear any more is closed, and so is one whose user is gone.
//
// Loop thread of the core only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/acl_check.h"
#include "engine/acl_log.h"
#include "engine/acl_table.h"
#include "engine/command.h"

namespace holdfast::engine {

class Client;
class Core;
struct Caller;
struct Config;

// What a client from elsewhere is told while protected-mode keeps it out, with its end of line.
extern const std::string_view kDeniedByProtectedMode;

// Whether "127.0.0.1:4711" or "[::1]:4711" is on this machine's loopback interface, or no address
// of a network at all.
[[nodiscard]] bool IsLoopback(std::string_view address);

class AccessControl {
 public:
  explicit AccessControl(Core* core);

  const AclUsers& users() const { return users_; }
  // Before the core runs, too.
  void SetUsers(std::shared_ptr<const AclTable> table);
  // Options may have changed.
  void ConfigChanged();

  // ---- Clients
  // A connection begins, or begins anew (RESET): as the default user, perhaps before AUTH.
  void Admit(Client* client) const;
  // Whether protected-mode keeps connections from this address out.
  bool IsProtectedFrom(std::string_view address) const;
  // AUTH, or HELLO with it. False: it was wrong, which is in the log. `command`: its name.
  bool Authenticate(Client* client, std::string_view name, std::string_view password,
                    std::string_view command);
  // Whether it has to log in first.
  bool MustAuthenticate(const Client& client) const;
  // Whether the client may run the request; if not, the error was replied. REQUIRES: the arity
  // fits.
  bool Allows(Client* client, const Command& command, Args args);
  // EXEC runs it now: empty, or the error that stands in its place.
  std::string WhyRefusedAtExec(Client* client, const Command& command, Args args);

  // ---- Scripts
  // What `caller`'s script calls. Empty: it may; else what the script is told.
  std::string WhyRefusedInScript(const Caller& caller, const Command& command, Args args);
  // Without a trace in the log.
  bool AllowsInScript(const Caller& caller, const Command& command, Args args) const;

  // ---- The node's log; on core 0.
  AclLog& log() { return log_; }

 private:
  void Refresh(Client* client);
  // Closes it, after what it is owed.
  static void Dismiss(Client* client);
  void CheckSubscriptions(Client* client) const;
  void CheckBlocked(Client* client) const;
  // Puts it into the node's log, wherever that is.
  void Log(AclLogEntry entry);
  void LogDenial(const AclVerdict& verdict, std::string_view context, const Command& command,
                 Args args, std::string_view user, std::string client);

  Core* const core_;
  AclUsers users_;
  AclLog log_;
};

}  // namespace holdfast::engine
