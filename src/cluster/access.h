// The users of access control, which are the same on every node: records of the meta partition.
//
//   ACL SETUSER on any node ──▶ CLUSTER SETUSERS on the leader of the meta partition: the rules are
//   applied to the user as it is there, so that no change made elsewhere meanwhile is lost ──▶
//   record "user/<name>" ──committed──▶ Access (core 0 of each node) ──AclTable──▶ every core
//
// Passwords leave the node that was asked as hashes only. That node answers when every node that it
// can reach has the change on all of its cores, or after a second; see settings.h, whose way of
// telling how far a node has come is used here, too.
//
// Before anything was changed there are no records: each node has the users of its own file
// (`users`, or `aclfile`), and the default user. The first change makes those of the leader
// records, with the mark "users"; from then on records are all there is, whatever files say, until
// ACL LOAD. The default user is a record only when it was given rules; else its password is
// requirepass.
//
// A node that starts may have missed changes, or not have read its log yet. It asks the leader of
// the meta partition how far that is and gets there before it listens to clients (CatchUp), unless
// nobody leads for long: then it goes by what it knew when it ended. One that is new and knows
// nothing waits for as long as it takes.
//
// The records are keys of the meta partition's database 0; their values are
//   1 <the user's rules, as ACL LIST shows them>
// and that of the mark is "1".
//
// Core 0's loop thread only; constructed and destroyed while the cores don't run.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"
#include "engine/acl_table.h"
#include "engine/engine.h"
#include "engine/internal_client.h"
#include "resp/reply_parser.h"

namespace holdfast::cluster {

inline constexpr std::string_view kUserPrefix = "user/";
inline constexpr std::string_view kUsersMark = "users";
inline constexpr std::string_view kUsersMarkValue = "1";
// Rules of one user, as text; and users.
inline constexpr size_t kMaxUserBytes = size_t{1} << 20;
inline constexpr size_t kMaxUserNameBytes = 1024;
inline constexpr size_t kMaxUsers = 100'000;

using UserMap = std::map<std::string, engine::AclUserPtr, std::less<>>;

std::string UserKey(std::string_view name);
std::string EncodeUser(const engine::CommandTable& table, const engine::AclUser& user);
// `key` is UserKey of its name. Corruption for anything that EncodeUser doesn't write, Unsupported
// for another version.
Result<engine::AclUser> DecodeUser(const engine::CommandTable& table, std::string_view key,
                                   std::string_view record);

// Reads `users` and `aclfile` of a configuration. What is wrong with them, as one line; blocks.
Status ReadOwnUsers(const engine::CommandTable& table, const engine::Config& config,
                    UserMap* users);

class Access final : public engine::CommitObserver {
 public:
  using Done = absl::AnyInvocable<void(const resp::Reply& reply)>;

  // `own`: of this node's files. REQUIRES: engine->cluster is set, if it will be.
  Access(engine::Engine* engine, UserMap own);
  ~Access();

  // The users of this node's files: what holds while there are no records.
  const UserMap& own() const { return own_; }
  // Runs CLUSTER SETUSERS with these arguments on the meta partition; `done` gets the reply's
  // second part when the change is known, or an error.
  void Change(std::vector<std::string> args, Done done);
  // `done` when every change that was acknowledged anywhere before is known on all cores of this
  // node; not before somebody leads.
  void CatchUp(std::function<void()> done);
  // Whether this node has never had any record of the meta group: it is new in its cluster.
  bool is_new() const { return is_new_; }
  // Runs `work` on a thread of its own, then `done` on core 0. False: something else runs there.
  [[nodiscard]] bool InBackground(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done);
  // Nobody waits any more, since the core is about to end.
  void Stop();

  // ---- engine::CommitObserver, of the meta partition
  void OnCommitted(std::string_view payload) override;
  void OnReplaced(const data::Keyspace& keyspace) override;

 private:
  struct Waiting {
    uint64_t revision = 0;
    int64_t until_ms = 0;
    resp::Reply reply;
    Done done;
  };

  void Take(std::string_view key, std::string_view record);
  // Gives them to all cores.
  void Publish(uint64_t revision);
  void Applied(uint64_t revision);
  void Answer();
  void AwaitIndex(uint64_t index, std::function<void()> done);

  engine::Engine* const engine_;
  engine::Core* const core_;
  const UserMap own_;
  std::unique_ptr<engine::InternalClient> self_;
  const engine::Command* const change_;  // CLUSTER SETUSERS
  const bool is_new_;
  bool running_ = false;
  bool stopped_ = false;
  bool checking_ = false;  // a check of waiting_ is on its way
  bool marked_ = false;    // records are all there is
  uint64_t changed_ = 0;   // AclTable::changed
  UserMap records_;
  uint64_t applied_ = 0;  // revision of what all cores have
  std::vector<Waiting> waiting_;
  std::thread worker_;
};

}  // namespace holdfast::cluster
