// What one script may call, and how: redis.call on the partition that the script runs on.
// Loop thread of the partition's core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "script/machine.h"

namespace holdfast::script {

class ScriptCalls final : public ScriptHost {
 public:
  // `flags`: the script's ScriptFlag; `read_only`: by EVAL_RO or EVALSHA_RO.
  ScriptCalls(engine::ExecContext* context, uint32_t flags, bool read_only);

  // Why the script can't run at all; empty when it can.
  std::string_view WhyRefused();

  // ---- ScriptHost
  std::string_view Call(engine::Args args, int protocol, std::string* reply) override;
  bool Knows(engine::Args args) override;
  bool Permits(engine::Args args) override;
  std::string_view Interrupt() override;

 private:
  // The row of a request, a subcommand's where there is one; nullptr when there is none.
  const engine::Command* Find(engine::Args args) const;
  // Counts a refusal, of no command if it is null, and gives `why` back.
  std::string_view Refuse(const engine::Command* command, std::string_view why);
  // Why this command of the script is refused; empty when it isn't.
  std::string_view Judge(const engine::Command& command, engine::Args args);
  // Whether all that the command is about is in this partition.
  bool IsHere(const engine::Command& command, engine::Args args);
  // Commands that touch no key run here as far as they need no connection.
  std::string_view RunSession(const engine::Command& command, engine::Args args, int protocol,
                              std::string* reply);

  // The parts of DEBUG that tests want scripts to call; false: none of them.
  bool RunDebug(const engine::Command& command, engine::Args args, resp::Writer& writer);
  // Shows the command to clients in MONITOR.
  void Monitor(const engine::Command& command, engine::Args args);
  // PUBLISH and SPUBLISH: sent when the script's effects are committed.
  void Publish(bool sharded, engine::Args args, resp::Writer& writer);

  engine::ExecContext& context_;
  const uint32_t flags_;
  const bool read_only_;
  uint32_t db_;  // SELECT inside of a script is the script's own
  bool wrote_ = false;
  size_t published_bytes_ = 0;
  bool out_of_memory_ = false;  // when the script began
  std::vector<int> positions_;
  std::string refusal_;  // the last one that isn't a constant
};

}  // namespace holdfast::script
