// COMMAND without DOCS: all of it is made from the command table.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/glob.h"
#include "base/numbers.h"
#include "commands/command_flags.h"
#include "commands/command_lookup.h"
#include "commands/server_handlers.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {
namespace {

using engine::Command;
using engine::KeySpec;
using engine::SessionContext;
using resp::Writer;

void WriteStatusSet(const std::vector<std::string_view>& names, std::string_view prefix,
                    Writer& reply) {
  reply.Set(names.size());
  for (const std::string_view name : names) reply.Simple(std::string(prefix) + std::string(name));
}

std::vector<KeySpec> SpecsOf(const Command& command) {
  std::vector<KeySpec> specs;
  for (const KeySpec& spec : {command.keys, command.more_keys, command.last_keys}) {
    if (spec.kind != KeySpec::Kind::kNone) specs.push_back(spec);
  }
  return specs;
}

// The keys as clients older than key specifications know them: first, last, step.
KeySpec LegacyRange(const Command& command) {
  KeySpec range;
  range.step = 0;
  for (const KeySpec& spec : SpecsOf(command)) {
    if (spec.kind != KeySpec::Kind::kRange) continue;
    if (range.kind == KeySpec::Kind::kNone) {
      range = spec;
    } else if (spec.step == 1 && range.step == 1 && spec.first == range.last + 1) {
      range.last = spec.last;
    }
  }
  return range;
}

void WriteSpecPart(std::string_view type, std::vector<std::pair<std::string_view, int>> fields,
                   Writer& reply) {
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk(type);
  reply.Bulk("spec");
  reply.Map(fields.size());
  for (const auto& [name, value] : fields) {
    reply.Bulk(name);
    reply.Integer(value);
  }
}

void WriteKeywordSearch(std::string_view keyword, int first, Writer& reply) {
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk("keyword");
  reply.Bulk("spec");
  reply.Map(2);
  reply.Bulk("keyword");
  reply.Bulk(keyword);
  reply.Bulk("startfrom");
  reply.Integer(first);
}

// begin_search and find_keys of a specification.
void WriteSearch(const KeySpec& spec, Writer& reply) {
  reply.Bulk("begin_search");
  switch (spec.kind) {
    case KeySpec::Kind::kStreams:
      WriteKeywordSearch("STREAMS", spec.first, reply);
      break;
    case KeySpec::Kind::kKeyword:
      WriteKeywordSearch(spec.keyword, spec.first, reply);
      break;
    case KeySpec::Kind::kSortStore:
      WriteSpecPart("unknown", {}, reply);
      break;
    default:
      WriteSpecPart("index", {{"index", spec.first}}, reply);
  }
  reply.Bulk("find_keys");
  switch (spec.kind) {
    case KeySpec::Kind::kNumKeys:
      WriteSpecPart("keynum", {{"keynumidx", 0}, {"firstkey", 1}, {"keystep", spec.step}}, reply);
      break;
    case KeySpec::Kind::kStreams:
      // Half of what there is.
      WriteSpecPart("range", {{"lastkey", -1}, {"keystep", 1}, {"limit", 2}}, reply);
      break;
    case KeySpec::Kind::kSortStore:
      WriteSpecPart("unknown", {}, reply);
      break;
    default: {
      // Counted from the first key, unless from the end.
      const bool is_range = spec.kind == KeySpec::Kind::kRange;
      const int last = !is_range ? 0 : spec.last >= 0 ? spec.last - spec.first : spec.last;
      WriteSpecPart("range", {{"lastkey", last}, {"keystep", spec.step}, {"limit", 0}}, reply);
    }
  }
}

void WriteKeySpec(const KeySpec& spec, Writer& reply) {
  reply.Map(3);
  reply.Bulk("flags");
  WriteStatusSet(KeyFlagNames(spec.flags), "", reply);
  WriteSearch(spec, reply);
}

void WriteInfo(const Command& command, Writer& reply) {
  const KeySpec range = LegacyRange(command);
  reply.Array(10);
  reply.Bulk(FullName(command));
  reply.Integer(command.arity);
  WriteStatusSet(CommandFlagNames(command.flags), "", reply);
  reply.Integer(range.first);
  reply.Integer(range.last);
  reply.Integer(range.step);
  WriteStatusSet(AclCategoryNames(command.acl), "@", reply);
  const std::vector<std::string_view> tips = SplitTips(command.tips);
  reply.Set(tips.size());
  for (const std::string_view tip : tips) reply.Bulk(tip);
  const std::vector<KeySpec> specs = SpecsOf(command);
  reply.Set(specs.size());
  for (const KeySpec& spec : specs) WriteKeySpec(spec, reply);
  reply.Array(command.subcommands.size());
  for (const Command& subcommand : command.subcommands) WriteInfo(subcommand, reply);
}

// One filter of COMMAND LIST.
struct Filter {
  enum class Kind : uint8_t { kAll, kNone, kCategory, kPattern };
  Kind kind = Kind::kAll;
  uint32_t category = 0;
  std::string_view pattern;

  bool Matches(const Command& command) const {
    switch (kind) {
      case Kind::kAll:
        return true;
      case Kind::kNone:
        return false;
      case Kind::kCategory:
        return (command.acl & category) != 0;
      case Kind::kPattern:
        return GlobMatch(pattern, FullName(command));
    }
    return false;
  }
};

bool ParseFilter(SessionContext& ctx, Filter* filter) {
  if (ctx.args.size() == 2) return true;
  if (ctx.args.size() == 5 && EqualsIgnoreCase(ctx.args[2], "filterby")) {
    const std::string_view value = ctx.args[4];
    if (EqualsIgnoreCase(ctx.args[3], "module")) {
      // There are no modules.
      filter->kind = Filter::Kind::kNone;
      return true;
    }
    if (EqualsIgnoreCase(ctx.args[3], "aclcat")) {
      const std::optional<uint32_t> category = FindAclCategory(value);
      filter->kind = category ? Filter::Kind::kCategory : Filter::Kind::kNone;
      filter->category = category.value_or(0);
      return true;
    }
    if (EqualsIgnoreCase(ctx.args[3], "pattern")) {
      filter->kind = Filter::Kind::kPattern;
      filter->pattern = value;
      return true;
    }
  }
  ctx.Error(engine::kSyntaxError);
  return false;
}

void WriteKeys(SessionContext& ctx, bool with_flags) {
  const engine::Args request = ctx.args.subspan(2);
  const Command* command = LookUp(ctx.core.engine().commands(), request);
  if (command == nullptr) {
    ctx.Error("ERR Invalid command specified");
    return;
  }
  if (command->keys.kind == KeySpec::Kind::kNone ||
      (command->keys.flags & engine::kKeyNotKey) != 0) {
    ctx.Error("ERR The command has no key arguments");
    return;
  }
  if (!ArityFits(*command, request.size())) {
    ctx.Error("ERR Invalid number of arguments specified for command");
    return;
  }
  std::vector<engine::KeyUse> keys;
  if (!FindKeyUses(*command, request, &keys)) {
    ctx.Error("ERR Invalid arguments specified for command");
    return;
  }
  ctx.reply.Array(keys.size());
  for (const engine::KeyUse& key : keys) {
    if (with_flags) ctx.reply.Array(2);
    ctx.reply.Bulk(request[static_cast<size_t>(key.position)]);
    if (with_flags) WriteStatusSet(KeyFlagNames(key.flags), "", ctx.reply);
  }
}

}  // namespace

std::vector<std::string_view> SplitTips(std::string_view tips) {
  std::vector<std::string_view> list;
  while (!tips.empty()) {
    const size_t end = std::min(tips.find(' '), tips.size());
    list.push_back(tips.substr(0, end));
    tips.remove_prefix(std::min(end + 1, tips.size()));
  }
  return list;
}

const Command* LookUpName(const engine::CommandTable& table, std::string_view name) {
  const size_t bar = name.find('|');
  const Command* command = table.Find(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return table.FindSubcommand(*command, name.substr(bar + 1));
}

const Command* LookUp(const engine::CommandTable& table, engine::Args request) {
  const Command* command = table.Find(request[0]);
  if (command == nullptr || command->subcommands.empty() || request.size() < 2) return command;
  return table.FindSubcommand(*command, request[1]);
}

void CommandAll(SessionContext& ctx) {
  const auto commands = ctx.core.engine().commands().commands();
  ctx.reply.Array(commands.size());
  for (const Command& command : commands) WriteInfo(command, ctx.reply);
}

void CommandCount(SessionContext& ctx) {
  ctx.reply.Integer(static_cast<int64_t>(ctx.core.engine().commands().commands().size()));
}

void CommandInfo(SessionContext& ctx) {
  if (ctx.args.size() == 2) {
    CommandAll(ctx);
    return;
  }
  ctx.reply.Array(ctx.args.size() - 2);
  for (const std::string_view name : ctx.args.subspan(2)) {
    const Command* command = LookUpName(ctx.core.engine().commands(), name);
    if (command == nullptr) {
      ctx.reply.Null();
    } else {
      WriteInfo(*command, ctx.reply);
    }
  }
}

void CommandList(SessionContext& ctx) {
  Filter filter;
  if (!ParseFilter(ctx, &filter)) return;
  const engine::CommandTable& table = ctx.core.engine().commands();
  const size_t mark = ctx.reply.Mark();
  size_t count = 0;
  for (uint32_t id = 0; id < table.size(); ++id) {
    const Command& command = table.ById(id);
    if (!filter.Matches(command)) continue;
    ctx.reply.Bulk(FullName(command));
    ++count;
  }
  ctx.reply.ArrayAt(mark, count);
}

void CommandGetkeys(SessionContext& ctx) { WriteKeys(ctx, false); }

void CommandGetkeysandflags(SessionContext& ctx) { WriteKeys(ctx, true); }

}  // namespace holdfast::commands
