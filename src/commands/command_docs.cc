// COMMAND DOCS.
#include <string>
#include <vector>

#include "commands/command_lookup.h"
#include "commands/server_handlers.h"
#include "commands/syntax.h"
#include "engine/engine.h"
#include "engine/session_context.h"

namespace holdfast::commands {
namespace {

using engine::Command;
using engine::SessionContext;
using resp::Writer;

void WriteField(std::string_view name, std::string_view value, Writer& reply) {
  reply.Bulk(name);
  reply.Bulk(value);
}

void WriteArguments(const std::vector<Argument>& arguments, Writer& reply);

void WriteArgument(const Argument& argument, Writer& reply) {
  std::vector<std::string_view> flags;
  if (argument.optional) flags.push_back("optional");
  if (argument.multiple) flags.push_back("multiple");
  if (argument.multiple_token) flags.push_back("multiple_token");
  const size_t mark = reply.Mark();
  size_t fields = 2;
  WriteField("name", argument.name, reply);
  WriteField("type", TypeName(argument.type), reply);
  if (argument.key_spec_index >= 0) {
    reply.Bulk("key_spec_index");
    reply.Integer(argument.key_spec_index);
    ++fields;
  }
  if (!argument.token.empty()) {
    WriteField("token", argument.token, reply);
    ++fields;
  }
  if (!flags.empty()) {
    reply.Bulk("flags");
    reply.Set(flags.size());
    for (const std::string_view flag : flags) reply.Simple(flag);
    ++fields;
  }
  if (!argument.arguments.empty()) {
    reply.Bulk("arguments");
    WriteArguments(argument.arguments, reply);
    ++fields;
  }
  reply.MapAt(mark, fields);
}

void WriteArguments(const std::vector<Argument>& arguments, Writer& reply) {
  reply.Array(arguments.size());
  for (const Argument& argument : arguments) WriteArgument(argument, reply);
}

void WriteDocs(const Command& command, Writer& reply) {
  const size_t mark = reply.Mark();
  size_t fields = 3;
  WriteField("summary", command.summary, reply);
  WriteField("since", command.since, reply);
  WriteField("group", command.group, reply);
  if (!command.complexity.empty()) {
    WriteField("complexity", command.complexity, reply);
    ++fields;
  }
  if (!command.syntax.empty()) {
    reply.Bulk("arguments");
    WriteArguments(ArgumentsOf(command), reply);
    ++fields;
  }
  if (!command.subcommands.empty()) {
    reply.Bulk("subcommands");
    reply.Map(command.subcommands.size());
    for (const Command& subcommand : command.subcommands) {
      reply.Bulk(FullName(subcommand));
      WriteDocs(subcommand, reply);
    }
    ++fields;
  }
  reply.MapAt(mark, fields);
}

}  // namespace

void CommandDocs(SessionContext& ctx) {
  const engine::CommandTable& table = ctx.core.engine().commands();
  std::vector<const Command*> wanted;
  if (ctx.args.size() == 2) {
    for (const Command& command : table.commands()) wanted.push_back(&command);
  }
  for (const std::string_view name : ctx.args.subspan(2)) {
    const Command* command = LookUpName(table, name);
    if (command != nullptr) wanted.push_back(command);
  }
  ctx.reply.Map(wanted.size());
  for (const Command* command : wanted) {
    ctx.reply.Bulk(FullName(*command));
    WriteDocs(*command, ctx.reply);
  }
}

}  // namespace holdfast::commands
