#include "script/call.h"

#include "base/numbers.h"
#include "engine/core.h"
#include "engine/dispatcher.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/partition.h"
#include "engine/session_context.h"
#include "resp/writer.h"
#include "script/scripting.h"

namespace holdfast::script {
namespace {

using engine::Args;
using engine::Command;
using engine::Route;

// Of one script, until its effects are committed.
constexpr size_t kMaxPublishedBytes = size_t{64} << 20;

constexpr std::string_view kNotAllowed = "This Redis command is not allowed from script";
constexpr std::string_view kNotLocal =
    "Script attempted to access a non local key in a cluster node";

const engine::CommandTable& TableOf(engine::ExecContext& context) {
  return context.partition().host()->core()->engine().commands();
}

Scripting& ScriptingOf(engine::ExecContext& context) {
  return *context.partition().host()->core()->engine().scripting;
}

}  // namespace

ScriptCalls::ScriptCalls(engine::ExecContext* context, uint32_t flags, bool read_only)
    : context_(*context),
      flags_(flags),
      read_only_(read_only || (flags & kNoWrites) != 0),
      db_(context->caller.db) {}

std::string_view ScriptCalls::WhyRefused() {
  const bool may_write = (flags_ & kNoWrites) == 0;
  if ((flags_ & kNoShebang) == 0) {
    if ((flags_ & kNoCluster) != 0 && context_.partition().host()->core()->engine().in_cluster()) {
      return "ERR Can not run script on cluster, 'no-cluster' flag is set.";
    }
    if (may_write && read_only_) {
      return "ERR Can not execute a script with write flag using *_ro command.";
    }
    if (may_write) {
      const std::string_view refusal = context_.WhyRefused(engine::kWrite);
      if (!refusal.empty()) return refusal;
    }
  }
  // Only once: a script that has begun to write goes on, and no key is evicted under it.
  if (!read_only_ && (flags_ & kAllowOom) == 0) {
    out_of_memory_ = context_.WhyRefused(engine::kWrite | engine::kDenyOom) == engine::kOutOfMemory;
    if (out_of_memory_ && (flags_ & kNoShebang) == 0) {
      return "OOM allow-oom flag is not set on the script, can not run it when used memory > "
             "'maxmemory'";
    }
  }
  return {};
}

const Command* ScriptCalls::Find(Args args) const {
  const engine::CommandTable& table = TableOf(context_);
  const Command* command = table.Find(args[0]);
  if (command == nullptr || command->subcommands.empty() || args.size() < 2) return command;
  return table.FindSubcommand(*command, args[1]);
}

bool ScriptCalls::Knows(Args args) { return Find(args) != nullptr; }

bool ScriptCalls::Permits(Args args) {
  const engine::AccessControl& access = context_.partition().host()->core()->access();
  return access.AllowsInScript(context_.caller, *Find(args), args);
}

bool ScriptCalls::IsHere(const Command& command, Args args) {
  const engine::Partition& partition = context_.partition();
  const bool whole = partition.first_slot() == 0 && partition.last_slot() == kSlots - 1;
  if (whole || command.route == Route::kSession) return true;
  if (command.route != Route::kKeys && command.route != Route::kSpread) return false;
  positions_.clear();
  // What has no keys, or not where they should be, is for the handler to refuse.
  if (!FindKeys(command, args, &positions_)) return true;
  for (const int i : positions_) {
    const uint16_t slot = KeySlot(args[static_cast<size_t>(i)]);
    if (slot < partition.first_slot() || slot > partition.last_slot()) return false;
  }
  return true;
}

std::string_view ScriptCalls::Judge(const Command& command, Args args) {
  const bool debugs = command.name == "debug" && ScriptingOf(context_).allow_debug.load();
  if ((command.has(engine::kNoscript) && !debugs) || command.route == Route::kMeta ||
      command.route == Route::kPartition) {
    return kNotAllowed;
  }
  if (!context_.caller.acl_user.empty()) {
    engine::AccessControl& access = context_.partition().host()->core()->access();
    refusal_ = access.WhyRefusedInScript(context_.caller, command, args);
    if (!refusal_.empty()) return refusal_;
  }
  if (read_only_ && command.may_write()) {
    return "Write commands are not allowed from read-only scripts.";
  }
  if (command.has(engine::kWrite)) {
    const std::string_view refusal = context_.WhyRefused(engine::kWrite);
    if (!refusal.empty()) {
      refusal_ = "-" + std::string(refusal);
      return refusal_;
    }
    if (out_of_memory_ && !wrote_ && command.has(engine::kDenyOom)) {
      return "-OOM command not allowed when used memory > 'maxmemory'.";
    }
  }
  return IsHere(command, args) ? std::string_view() : kNotLocal;
}

std::string_view ScriptCalls::Refuse(const Command* command, std::string_view why) {
  engine::PartitionHost* host = context_.partition().host();
  // As it is shown: with its code.
  std::string text(why.starts_with('-') ? why.substr(1) : why);
  if (!why.starts_with('-') || text.find(' ') == std::string::npos) text.insert(0, "ERR ");
  if (command != nullptr) {
    host->CommandRejected(*command, text);
  } else {
    host->stats()->CountError(text);
  }
  return why;
}

std::string_view ScriptCalls::Call(Args args, int protocol, std::string* reply) {
  const Command* command = Find(args);
  if (command == nullptr) return Refuse(nullptr, "Unknown Redis command called from script");
  if (!ArityFits(*command, args.size())) {
    return Refuse(command, "Wrong number of args calling Redis command from script");
  }
  const std::string_view refusal = Judge(*command, args);
  if (!refusal.empty()) return Refuse(command, refusal);
  Monitor(*command, args);
  if (command->route == Route::kSession) {
    const size_t begin = reply->size();
    const std::string_view refused = RunSession(*command, args, protocol, reply);
    if (!refused.empty()) return Refuse(command, refused);
    context_.partition().host()->CommandDone({command, args, db_}, context_.caller, 0,
                                             std::string_view(*reply).substr(begin));
    return {};
  }
  // Which keys a script touches is known for certain only now.
  const std::string_view end = context_.partition().AwaitValues({command, args, db_});
  if (!end.empty()) return end;
  wrote_ |= command->has(engine::kWrite);
  context_.RunInside(*command, args, db_, protocol, reply);
  return {};
}

void ScriptCalls::Monitor(const Command& command, Args args) {
  engine::Core* core = context_.partition().host()->core();
  if (core->engine().monitors.load(std::memory_order_relaxed) == 0) return;
  engine::FeedMonitors(core, db_, "lua", command, args);
}

void ScriptCalls::Publish(bool sharded, Args args, resp::Writer& writer) {
  published_bytes_ += args[1].size() + args[2].size();
  if (published_bytes_ > kMaxPublishedBytes) {
    writer.Error("ERR the script publishes too much");
    return;
  }
  engine::Core* core = context_.partition().host()->core();
  const engine::PubSub::Publication publication{sharded, args[1], args[2]};
  writer.Integer(core->pubsub().ReceiversOf(publication));
  context_.WhenCommitted(
      [core, sharded, channel = std::string(args[1]), message = std::string(args[2])] {
        const engine::PubSub::Publication copy{sharded, channel, message};
        (void)core->pubsub().Publish(copy, [] { return engine::PubSub::Done([](int64_t) {}); });
      });
}

std::string_view ScriptCalls::RunSession(const Command& command, Args args, int protocol,
                                         std::string* reply) {
  resp::Writer writer(reply, protocol);
  if (command.name == "select") {
    int64_t db;
    if (!ParseInt64(args[1], &db)) {
      writer.Error("ERR value is not an integer or out of range");
    } else if (db < INT32_MIN || db > INT32_MAX) {
      writer.Error("ERR value is out of range, value must between -2147483648 and 2147483647");
    } else if (db < 0 || db >= engine::kDatabases) {
      writer.Error("ERR DB index is out of range");
    } else {
      db_ = static_cast<uint32_t>(db);
      writer.Ok();
    }
  } else if (command.name == "ping") {
    if (args.size() > 2) {
      writer.Error("ERR wrong number of arguments for 'ping' command");
    } else if (args.size() == 2) {
      writer.Bulk(args[1]);
    } else {
      writer.Simple("PONG");
    }
  } else if (command.name == "publish" || command.name == "spublish") {
    Publish(command.name == "spublish", args, writer);
  } else if (command.name == "echo") {
    writer.Bulk(args[1]);
  } else if (command.name == "time") {
    const int64_t us = context_.partition().host()->clock().WallUs();
    writer.Array(2);
    writer.BulkInteger(us / 1'000'000);
    writer.BulkInteger(us % 1'000'000);
  } else if (command.name != "debug" || !RunDebug(command, args, writer)) {
    // The others look at a connection, or wait for other cores.
    return kNotAllowed;
  }
  return {};
}

bool ScriptCalls::RunDebug(const Command& command, Args args, resp::Writer& writer) {
  engine::Core* core = context_.partition().host()->core();
  if (args.size() == 3 && EqualsIgnoreCase(args[1], "protocol")) {
    engine::SessionContext session(ScriptingOf(context_).ClientOf(*core), command, args, &writer);
    command.session(session);
    return true;
  }
  double seconds;
  if (args.size() != 3 || !EqualsIgnoreCase(args[1], "sleep") || !ParseDouble(args[2], &seconds) ||
      !(seconds >= 0 && seconds <= 60)) {
    return false;
  }
  const int64_t until_ms = core->clock().MonotonicMs() + static_cast<int64_t>(seconds * 1000);
  while (core->clock().MonotonicMs() <= until_ms && context_.partition().AwaitInScript().empty()) {
  }
  writer.Ok();
  return true;
}

std::string_view ScriptCalls::Interrupt() { return context_.partition().ScriptPoint(); }

}  // namespace holdfast::script
