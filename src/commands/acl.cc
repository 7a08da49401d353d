// ACL. What changes users goes by core 0 to the meta partition (cluster/access.h); everything else
// is answered from what this core knows.
#include <absl/strings/escaping.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "cluster/access.h"
#include "cluster/acl_file.h"
#include "commands/command_lookup.h"
#include "commands/deferred.h"
#include "commands/server_handlers.h"
#include "engine/access_control.h"
#include "engine/acl_rules.h"

namespace holdfast::commands {
namespace {

using engine::AclSelector;
using engine::AclUser;
using engine::Core;
using engine::Engine;
using engine::SessionContext;

constexpr int64_t kMaxPasswordBits = 4096;
constexpr int64_t kDefaultLogEntries = 10;

constexpr std::string_view kNoAclFile =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration.";

void WriteAclReply(const resp::Reply& reply, resp::Writer& writer) {
  if (reply.is_error()) {
    writer.Error(reply.string);
  } else if (reply.type == resp::ReplyType::kInteger) {
    writer.Integer(reply.integer);
  } else {
    writer.Ok();
  }
}

// From core 0, for a client of any core.
void FinishFromFirst(Core& first, const std::shared_ptr<Deferred>& deferred, resp::Reply reply) {
  first.Post(deferred->home().number(), [deferred, reply = std::move(reply)] {
    deferred->Finish([&reply](resp::Writer& writer) { WriteAclReply(reply, writer); });
  });
}

void FailFromFirst(Core& first, const std::shared_ptr<Deferred>& deferred, std::string error) {
  resp::Reply reply;
  reply.type = resp::ReplyType::kError;
  reply.string = std::move(error);
  FinishFromFirst(first, deferred, std::move(reply));
}

// What the client wrote, in an error that names what was sent instead of it.
std::string WithOwnWords(std::string error, const std::vector<std::string>& own,
                         const std::vector<std::string>& sent) {
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] == sent[i]) continue;
    const std::string quoted = "'" + sent[i] + "'";
    if (const size_t at = error.find(quoted); at != std::string::npos) {
      return error.replace(at, quoted.size(), "'" + own[i] + "'");
    }
  }
  return error;
}

// Has the change made; `own` are the rules as the client wrote them, `args` end with what is sent
// for them.
void ChangeUsers(SessionContext& ctx, std::vector<std::string> args, std::vector<std::string> own) {
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  Engine* engine = &ctx.core.engine();
  ctx.core.Post(0, [engine, deferred, args = std::move(args), own = std::move(own)]() mutable {
    Core& first = engine->core(0);
    const std::vector<std::string> sent(args.end() - static_cast<std::ptrdiff_t>(own.size()),
                                        args.end());
    engine->access->Change(
        std::move(args), [&first, deferred, own = std::move(own), sent](const resp::Reply& reply) {
          if (reply.is_error()) {
            FailFromFirst(first, deferred, WithOwnWords(reply.string, own, sent));
          } else {
            FinishFromFirst(first, deferred, reply);
          }
        });
  });
}

void WriteAclSelector(const engine::CommandTable& table, const AclSelector& selector,
                      resp::Writer& reply) {
  reply.Bulk("commands");
  reply.Bulk(selector.DescribeCommands(table));
  reply.Bulk("keys");
  reply.Bulk(selector.DescribeKeys());
  reply.Bulk("channels");
  reply.Bulk(selector.DescribeChannels());
}

std::string UserLine(const engine::CommandTable& table, const AclUser& user) {
  return "user " + user.name() + " " + user.Describe(table);
}

void WriteAclEntry(const engine::AclLogEntry& entry, int64_t now_ms, resp::Writer& reply) {
  reply.Map(7);
  reply.Bulk("count");
  reply.Integer(static_cast<int64_t>(entry.count));
  reply.Bulk("reason");
  reply.Bulk(entry.reason);
  reply.Bulk("context");
  reply.Bulk(entry.context);
  reply.Bulk("object");
  reply.Bulk(entry.object);
  reply.Bulk("username");
  reply.Bulk(entry.username);
  reply.Bulk("age-seconds");
  reply.Double(static_cast<double>(now_ms - entry.at_ms) / 1000);
  reply.Bulk("client-info");
  reply.Bulk(entry.client);
}

// Has `work` done on core 0 and replies what `write` makes of its result.
void OnFirstCore(
    SessionContext& ctx, std::function<std::vector<engine::AclLogEntry>(Core&)> work,
    std::function<void(const std::vector<engine::AclLogEntry>&, resp::Writer&)> write) {
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  Engine* engine = &ctx.core.engine();
  ctx.core.Post(0, [engine, deferred, work = std::move(work), write = std::move(write)] {
    Core& first = engine->core(0);
    first.Post(deferred->home().number(), [deferred, write, entries = work(first)] {
      deferred->Finish([&](resp::Writer& reply) { write(entries, reply); });
    });
  });
}

// What a thread of its own reads or writes for ACL LOAD or SAVE.
struct FileWork {
  std::string path;
  std::string text;
  Status status;
};

// Runs `work` off the loop and `done` on core 0.
void OnFile(SessionContext& ctx, std::function<void(Core&, FileWork*)> prepare,
            std::function<void(FileWork*)> work,
            std::function<void(Core&, const std::shared_ptr<Deferred>&, FileWork*)> done) {
  if (ctx.core.config().aclfile.empty()) return ctx.Error(kNoAclFile);
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  Engine* engine = &ctx.core.engine();
  ctx.core.Post(0, [engine, deferred, prepare = std::move(prepare), work = std::move(work),
                    done = std::move(done)] {
    Core& first = engine->core(0);
    auto file = std::make_shared<FileWork>();
    file->path = first.config().aclfile;
    prepare(first, file.get());
    const bool begun = engine->access->InBackground(
        [file, work] { work(file.get()); },
        [&first, deferred, file, done] { done(first, deferred, file.get()); });
    if (!begun) {
      FailFromFirst(first, deferred, "ERR Another ACL LOAD or ACL SAVE is under way");
    }
  });
}

}  // namespace

void AclWhoami(SessionContext& ctx) {
  if (ctx.client.user == nullptr) {
    ctx.reply.Null();
  } else {
    ctx.reply.Bulk(ctx.client.user->name());
  }
}

void AclUsers(SessionContext& ctx) {
  const auto users = ctx.core.access().users().All();
  ctx.reply.Array(users.size());
  for (const auto& [name, user] : users) ctx.reply.Bulk(name);
}

void AclList(SessionContext& ctx) {
  const auto users = ctx.core.access().users().All();
  ctx.reply.Array(users.size());
  for (const auto& [name, user] : users) {
    ctx.reply.Bulk(UserLine(ctx.core.engine().commands(), *user));
  }
}

void AclGetuser(SessionContext& ctx) {
  const engine::AclUserPtr user = ctx.core.access().users().Find(ctx.args[2]);
  if (user == nullptr) return ctx.reply.Null();
  const engine::CommandTable& table = ctx.core.engine().commands();
  ctx.reply.Map(6);
  ctx.reply.Bulk("flags");
  const auto flags = user->FlagNames();
  ctx.reply.Set(flags.size());
  for (const std::string_view flag : flags) ctx.reply.Bulk(flag);
  ctx.reply.Bulk("passwords");
  ctx.reply.Array(user->passwords().size());
  for (const std::string& hash : user->passwords()) ctx.reply.Bulk(hash);
  WriteAclSelector(table, user->selectors().front(), ctx.reply);
  ctx.reply.Bulk("selectors");
  ctx.reply.Array(user->selectors().size() - 1);
  for (size_t i = 1; i < user->selectors().size(); ++i) {
    ctx.reply.Map(3);
    WriteAclSelector(table, user->selectors()[i], ctx.reply);
  }
}

void AclCat(SessionContext& ctx) {
  if (ctx.args.size() > 3) return ctx.ErrorUnknownSubcommand();
  if (ctx.args.size() == 2) {
    ctx.reply.Array(engine::AclCategories().size());
    for (const auto& category : engine::AclCategories()) ctx.reply.Bulk(category.name);
    return;
  }
  const uint32_t bit = engine::FindAclCategoryBit(ctx.args[2]);
  if (bit == 0) {
    return ctx.Error("ERR Unknown category '" + std::string(ctx.args[2].substr(0, 128)) + "'");
  }
  const size_t mark = ctx.reply.Mark();
  size_t count = 0;
  const engine::CommandTable& table = ctx.core.engine().commands();
  for (uint32_t id = 0; id < table.size(); ++id) {
    if ((table.ById(id).acl & bit) == 0) continue;
    ctx.reply.Bulk(FullName(table.ById(id)));
    ++count;
  }
  ctx.reply.ArrayAt(mark, count);
}

void AclGenpass(SessionContext& ctx) {
  if (ctx.args.size() > 3) return ctx.ErrorUnknownSubcommand();
  int64_t bits = 256;
  if (ctx.args.size() == 3 && !ctx.ParseInt(2, &bits)) return;
  if (bits <= 0 || bits > kMaxPasswordBits) {
    return ctx.Error(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
        "number up to 4096");
  }
  const auto digits = static_cast<size_t>((bits + 3) / 4);
  const std::string password = absl::BytesToHexString(RandomBytes((digits + 1) / 2));
  ctx.reply.Bulk(std::string_view(password).substr(0, digits));
}

void AclDryrun(SessionContext& ctx) {
  const engine::AclUserPtr user = ctx.core.access().users().Find(ctx.args[2]);
  if (user == nullptr) {
    return ctx.Error("ERR User '" + std::string(ctx.args[2]) + "' not found");
  }
  const engine::Args request = ctx.args.subspan(3);
  const engine::Command* command = LookUp(ctx.core.engine().commands(), request);
  if (command == nullptr) {
    return ctx.Error("ERR Command '" + std::string(request[0]) + "' not found");
  }
  if (!ArityFits(*command, request.size())) {
    return ctx.Error("ERR wrong number of arguments for '" + FullName(*command) + "' command");
  }
  const engine::AclVerdict verdict = CheckAcl(*user, *command, request);
  if (verdict.allowed()) {
    ctx.reply.Ok();
  } else {
    ctx.reply.Bulk(NoPermissionDryRun(verdict, *command, request));
  }
}

// ACL LOG [count | RESET]
void AclLogShow(SessionContext& ctx) {
  if (ctx.args.size() > 3) return ctx.ErrorUnknownSubcommand();
  int64_t count = kDefaultLogEntries;
  if (ctx.args.size() == 3 && EqualsIgnoreCase(ctx.args[2], "reset")) {
    OnFirstCore(
        ctx,
        [](Core& first) {
          first.access().log().Clear();
          return std::vector<engine::AclLogEntry>();
        },
        [](const auto&, resp::Writer& reply) { reply.Ok(); });
    return;
  }
  if (ctx.args.size() == 3 && !ctx.ParseInt(2, &count)) return;
  const auto wanted = static_cast<size_t>(std::max<int64_t>(count, 0));
  OnFirstCore(
      ctx,
      [wanted](Core& first) {
        const auto& all = first.access().log().entries();
        const auto shown = static_cast<std::ptrdiff_t>(std::min(wanted, all.size()));
        return std::vector<engine::AclLogEntry>(all.begin(), all.begin() + shown);
      },
      [home = &ctx.core](const auto& entries, resp::Writer& reply) {
        const int64_t now_ms = home->clock().WallUs() / 1000;
        reply.Array(entries.size());
        for (const engine::AclLogEntry& entry : entries) WriteAclEntry(entry, now_ms, reply);
      });
}

void AclSetuser(SessionContext& ctx) {
  if (const auto wrong = engine::WhyBadUserName(ctx.args[2]); !wrong.empty()) {
    return ctx.Error(wrong);
  }
  const engine::Args rules = ctx.args.subspan(3);
  std::vector<std::string> own;
  if (const int open = engine::MergeSelectors(rules, &own); open >= 0) {
    return ctx.Error("ERR Unmatched parenthesis in acl selector starting at '" +
                     std::string(rules[static_cast<size_t>(open)]) + "'.");
  }
  std::vector<std::string> args = {"SET", std::string(ctx.args[2])};
  for (const std::string& rule : own) args.push_back(engine::HideSecret(rule));
  ChangeUsers(ctx, std::move(args), std::move(own));
}

void AclDeluser(SessionContext& ctx) {
  std::vector<std::string> args = {"DEL"};
  args.insert(args.end(), ctx.args.begin() + 2, ctx.args.end());
  ChangeUsers(ctx, std::move(args), {});
}

void AclSave(SessionContext& ctx) {
  OnFile(
      ctx,
      [](Core& first, FileWork* file) {
        for (const auto& [name, user] : first.access().users().All()) {
          file->text += UserLine(first.engine().commands(), *user) + "\n";
        }
      },
      [](FileWork* file) { file->status = cluster::ReplaceAclText(file->path, file->text); },
      [](Core& first, const std::shared_ptr<Deferred>& deferred, FileWork* file) {
        if (file->status.ok()) {
          resp::Reply ok;
          ok.type = resp::ReplyType::kSimple;
          FinishFromFirst(first, deferred, std::move(ok));
          return;
        }
        LogWarning("ACL SAVE: {}", file->status.message());
        FailFromFirst(first, deferred,
                      "ERR There was an error trying to save the ACLs. Please check the server "
                      "logs for more information");
      });
}

void AclLoad(SessionContext& ctx) {
  OnFile(
      ctx, [](Core&, FileWork*) {},
      [](FileWork* file) {
        Result<std::string> text = cluster::ReadAclText(file->path);
        if (text.ok()) {
          file->text = std::move(text).value();
        } else {
          file->status = text.status();
        }
      },
      [](Core& first, const std::shared_ptr<Deferred>& deferred, FileWork* file) {
        if (!file->status.ok()) {
          FailFromFirst(first, deferred,
                        "ERR Error loading ACLs, opening file '" + file->path +
                            "': " + file->status.message());
          return;
        }
        const engine::CommandTable& table = first.engine().commands();
        std::vector<AclUser> users;
        const std::string wrong = engine::ReadAclFile(table, file->path, file->text,
                                                      first.config().acl_all_channels, &users);
        if (!wrong.empty()) return FailFromFirst(first, deferred, "ERR " + wrong);
        std::vector<std::string> args = {"LOAD"};
        for (const AclUser& user : users) {
          args.push_back(user.name());
          args.push_back(user.Describe(table));
        }
        first.engine().access->Change(std::move(args),
                                      [&first, deferred](const resp::Reply& reply) {
                                        FinishFromFirst(first, deferred, reply);
                                      });
      });
}

}  // namespace holdfast::commands
