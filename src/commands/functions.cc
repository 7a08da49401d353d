// FUNCTION: libraries of functions, which are records of the meta partition (script/library.h).
//
// What changes them is two handlers. The session's has the change made on the meta partition,
// wherever that is led, and answers when this node knows of it; the data handler makes it there,
// and answers [revision, reply]. What shows them runs on the meta partition, too, and so sees
// whatever was acknowledged anywhere.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/glob.h"
#include "base/numbers.h"
#include "commands/deferred.h"
#include "commands/handlers.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/partition.h"
#include "engine/session_context.h"
#include "script/scripting.h"

namespace holdfast::commands {
namespace {

using engine::ExecContext;
using engine::Expiry;
using engine::Key;
using engine::SessionContext;
using script::Function;
using script::Library;

using LibraryMap = std::map<std::string, Library, std::less<>>;

// All libraries, uncommitted ones included: the reply waits for every entry so far.
LibraryMap LibrariesOf(ExecContext& ctx) {
  ctx.DependsOnAll();
  LibraryMap libraries;
  uint64_t cursor = 0;
  do {
    const data::Keyspace& keyspace = ctx.partition().keyspace();
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [&libraries](data::Object* object) {
      if (!object->key().starts_with(script::kLibraryPrefix)) return;
      Library library;
      CHECK(script::DecodeLibrary(object->key(), object->value(), &library).ok());
      std::string name = library.name;
      libraries.insert_or_assign(std::move(name), std::move(library));
    });
  } while (cursor != 0);
  return libraries;
}

uint64_t DeleteLibrary(ExecContext& ctx, std::string_view name) {
  const std::string key_name = script::LibraryKey(name);
  Key key = ctx.FindForWriteIn(0, key_name);
  CHECK(static_cast<bool>(key));
  return ctx.Delete(&key);
}

uint64_t PutLibrary(ExecContext& ctx, const Library& library) {
  const std::string key_name = script::LibraryKey(library.name);
  Key key = ctx.FindForWriteIn(0, key_name);
  return ctx.Put(&key, data::ObjectType::kString, script::EncodeLibrary(library), Expiry::Clear());
}

// The first half of the reply; the second one follows.
void BeginChanged(ExecContext& ctx, uint64_t revision) {
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(revision));
}

// A function of `library` that one of the others has; nullptr when there is none. Names are
// compared without their case, as calls do.
const Function* FindTaken(const Library& library, const LibraryMap& others) {
  for (const Function& function : library.functions) {
    for (const auto& [name, other] : others) {
      const auto same = [&function](const Function& present) {
        return EqualsIgnoreCase(present.name, function.name);
      };
      if (std::any_of(other.functions.begin(), other.functions.end(), same)) return &function;
    }
  }
  return nullptr;
}

std::string AlreadyThere(const Function& function) {
  return "Function " + function.name + " already exists";
}

// The library of `code`, checked for what it is by itself. What is wrong with it, else empty.
std::string ReadCode(ExecContext& ctx, std::string_view code, const LibraryMap& others,
                     bool replace, Library* library) {
  std::string wrong = script::ParseLibraryName(code, &library->name);
  if (!wrong.empty()) return wrong;
  if (!replace && others.contains(library->name)) {
    return "Library '" + library->name + "' already exists";
  }
  library->code = code;
  script::Scripting& scripting = *ctx.partition().host()->core()->engine().scripting;
  return scripting.CheckLibrary(ctx, library->body(), &library->functions);
}

enum class Policy : uint8_t { kAppend, kReplace, kFlush };

bool ParsePolicy(ExecContext& ctx, Policy* policy) {
  *policy = Policy::kAppend;
  if (ctx.args.size() == 3) return true;
  const std::string_view name = ctx.args[3];
  if (EqualsIgnoreCase(name, "append")) return true;
  if (EqualsIgnoreCase(name, "replace")) {
    *policy = Policy::kReplace;
  } else if (EqualsIgnoreCase(name, "flush")) {
    *policy = Policy::kFlush;
  } else {
    ctx.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    return false;
  }
  return true;
}

// The libraries of a payload, checked against each other. What is wrong with them, else empty.
std::string ReadPayload(ExecContext& ctx, LibraryMap* libraries) {
  std::vector<std::string> codes;
  std::string wrong = script::ReadLibraries(ctx.args[2], &codes);
  for (const std::string& code : codes) {
    if (!wrong.empty()) return wrong;
    Library library;
    wrong = ReadCode(ctx, code, *libraries, /*replace=*/false, &library);
    if (!wrong.empty()) return wrong;
    if (const Function* taken = FindTaken(library, *libraries)) return AlreadyThere(*taken);
    std::string name = library.name;
    libraries->emplace(std::move(name), std::move(library));
  }
  return wrong;
}

// Takes those out of `present` that the policy has the new ones replace.
std::string MakeRoom(const LibraryMap& added, Policy policy, LibraryMap* present) {
  if (policy == Policy::kFlush) present->clear();
  for (const auto& [name, library] : added) {
    const auto it = present->find(name);
    if (it == present->end()) continue;
    if (policy != Policy::kReplace) return "Library " + name + " already exists";
    present->erase(it);
  }
  for (const auto& [name, library] : added) {
    if (const Function* taken = FindTaken(library, *present)) return AlreadyThere(*taken);
  }
  return {};
}

}  // namespace

// ---- On the meta partition

// FUNCTION LOAD [REPLACE] code
void ApplyFunctionLoad(ExecContext& ctx) {
  bool replace = false;
  for (size_t i = 2; i + 1 < ctx.args.size(); ++i) {
    if (!EqualsIgnoreCase(ctx.args[i], "replace")) {
      return ctx.Error("ERR Unknown option given: " + std::string(ctx.args[i]));
    }
    replace = true;
  }
  LibraryMap others = LibrariesOf(ctx);
  Library library;
  const std::string wrong = ReadCode(ctx, ctx.args.back(), others, replace, &library);
  if (!wrong.empty()) return ctx.Error("ERR " + wrong);
  others.erase(library.name);
  if (const Function* taken = FindTaken(library, others)) {
    return ctx.Error("ERR " + AlreadyThere(*taken));
  }
  BeginChanged(ctx, PutLibrary(ctx, library));
  ctx.reply.Bulk(library.name);
}

// FUNCTION DELETE name
void ApplyFunctionDelete(ExecContext& ctx) {
  if (!LibrariesOf(ctx).contains(ctx.args[2])) return ctx.Error("ERR Library not found");
  BeginChanged(ctx, DeleteLibrary(ctx, ctx.args[2]));
  ctx.reply.Ok();
}

// FUNCTION FLUSH [ASYNC | SYNC]
void ApplyFunctionFlush(ExecContext& ctx) {
  uint64_t revision = 0;
  for (const auto& [name, library] : LibrariesOf(ctx)) revision = DeleteLibrary(ctx, name);
  BeginChanged(ctx, revision);
  ctx.reply.Ok();
}

// FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]
void ApplyFunctionRestore(ExecContext& ctx) {
  Policy policy;
  if (!ParsePolicy(ctx, &policy)) return;
  LibraryMap added;
  std::string wrong = ReadPayload(ctx, &added);
  const LibraryMap before = LibrariesOf(ctx);
  LibraryMap present = before;
  if (wrong.empty()) wrong = MakeRoom(added, policy, &present);
  if (!wrong.empty()) return ctx.Error("ERR " + wrong);
  uint64_t revision = 0;
  for (const auto& [name, library] : before) {
    if (!present.contains(name) && !added.contains(name)) revision = DeleteLibrary(ctx, name);
  }
  for (const auto& [name, library] : added) revision = PutLibrary(ctx, library);
  BeginChanged(ctx, revision);
  ctx.reply.Ok();
}

// FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]
void FunctionList(ExecContext& ctx) {
  bool with_code = false;
  std::optional<std::string_view> pattern;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    if (!with_code && EqualsIgnoreCase(ctx.args[i], "withcode")) {
      with_code = true;
    } else if (!pattern && EqualsIgnoreCase(ctx.args[i], "libraryname")) {
      if (i + 1 == ctx.args.size()) return ctx.Error("ERR library name argument was not given");
      pattern = ctx.args[++i];
    } else {
      return ctx.Error("ERR Unknown argument " + std::string(ctx.args[i]));
    }
  }
  LibraryMap libraries = LibrariesOf(ctx);
  std::erase_if(libraries, [&pattern](const auto& entry) {
    return pattern.has_value() && !GlobMatch(*pattern, entry.first, /*ignore_case=*/true);
  });
  ctx.reply.Array(libraries.size());
  for (const auto& [name, library] : libraries) {
    ctx.reply.Map(with_code ? 4 : 3);
    ctx.reply.Bulk("library_name");
    ctx.reply.Bulk(name);
    ctx.reply.Bulk("engine");
    ctx.reply.Bulk("LUA");
    ctx.reply.Bulk("functions");
    ctx.reply.Array(library.functions.size());
    for (const Function& function : library.functions) {
      ctx.reply.Map(3);
      ctx.reply.Bulk("name");
      ctx.reply.Bulk(function.name);
      ctx.reply.Bulk("description");
      if (function.description.has_value()) {
        ctx.reply.Bulk(*function.description);
      } else {
        ctx.reply.Null();
      }
      ctx.reply.Bulk("flags");
      const size_t mark = ctx.reply.Mark();
      size_t flags = 0;
      for (const script::NamedFlag& flag : script::NamedFlags()) {
        if ((function.flags & flag.flag) == 0) continue;
        ctx.reply.Simple(flag.name);
        ++flags;
      }
      ctx.reply.SetAt(mark, flags);
    }
    if (!with_code) continue;
    ctx.reply.Bulk("library_code");
    ctx.reply.Bulk(library.code);
  }
}

void FunctionDump(ExecContext& ctx) {
  const LibraryMap libraries = LibrariesOf(ctx);
  std::vector<const Library*> all;
  all.reserve(libraries.size());
  for (const auto& [name, library] : libraries) all.push_back(&library);
  ctx.reply.Bulk(script::DumpLibraries(all));
}

// ---- On any node

namespace {

// What can be told to be wrong here goes no further. False: it was replied.
bool CheckChange(SessionContext& ctx) {
  const std::string_view name = ctx.command.name;
  const bool flush = name == "flush";
  if ((flush && ctx.args.size() > 3) || (name == "restore" && ctx.args.size() > 4)) {
    ctx.ErrorUnknownSubcommand();
    return false;
  }
  if (flush && ctx.args.size() == 3 && !EqualsIgnoreCase(ctx.args[2], "sync") &&
      !EqualsIgnoreCase(ctx.args[2], "async")) {
    ctx.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    return false;
  }
  return true;
}

}  // namespace

// FUNCTION LOAD, DELETE, FLUSH and RESTORE.
void FunctionChange(SessionContext& ctx) {
  if (!CheckChange(ctx)) return;
  const std::vector<std::string> args(ctx.args.begin(), ctx.args.end());
  std::shared_ptr<Deferred> deferred = Deferred::Make(ctx);
  ctx.core.engine().scripting->Change(ctx.core, ctx.command, args,
                                      [deferred](const resp::Reply& reply) {
                                        deferred->Finish([&reply](resp::Writer& writer) {
                                          if (reply.is_error()) {
                                            writer.Error(reply.string);
                                          } else if (reply.type == resp::ReplyType::kBulk) {
                                            writer.Bulk(reply.string);
                                          } else {
                                            writer.Ok();
                                          }
                                        });
                                      });
}

namespace {

using Running = std::optional<engine::Partition::RunningScript>;

// The one that has run for the longest time.
Running LongestOn(engine::Core& core) {
  Running longest;
  for (const auto& partition : core.partitions()) {
    if (partition->number() == core.engine().meta_partition()) continue;
    Running running = partition->FindRunningScript();
    if (running && (!longest || running->duration_ms > longest->duration_ms)) {
      longest = std::move(running);
    }
  }
  return longest;
}

void WriteRunning(const script::Libraries& libraries, const Running& running, resp::Writer& reply) {
  reply.Map(2);
  reply.Bulk("running_script");
  if (running) {
    const auto set = libraries.Present();
    const script::LibrarySet::Found* found = set->Find(running->request[1]);
    reply.Map(3);
    reply.Bulk("name");
    reply.Bulk(found == nullptr ? running->request[1]
                                : found->library->functions[found->function].name);
    reply.Bulk("command");
    reply.Array(running->request.size());
    for (const std::string& arg : running->request) reply.Bulk(arg);
    reply.Bulk("duration_ms");
    reply.Integer(running->duration_ms);
  } else {
    reply.Null();
  }
  reply.Bulk("engines");
  reply.Map(1);
  reply.Bulk("LUA");
  reply.Map(2);
  reply.Bulk("libraries_count");
  reply.Integer(static_cast<int64_t>(libraries.count()));
  reply.Bulk("functions_count");
  reply.Integer(static_cast<int64_t>(libraries.functions()));
}

}  // namespace

// What this node runs, and what it knows.
void FunctionStats(SessionContext& ctx) {
  const script::Libraries* libraries = &ctx.core.engine().scripting->libraries();
  GatherReply<Running>(ctx, LongestOn, [libraries](std::vector<Running>& all, resp::Writer& reply) {
    Running longest;
    for (Running& one : all) {
      if (one && (!longest || one->duration_ms > longest->duration_ms)) {
        longest = std::move(one);
      }
    }
    if (longest && !longest->function) {
      reply.Error(engine::kBusy);
    } else {
      WriteRunning(*libraries, longest, reply);
    }
  });
}

}  // namespace holdfast::commands
