// What requests to run scripts become before they leave their client's core.
#pragma once

#include <string_view>

#include "engine/command.h"

namespace holdfast::commands {

// See engine::ForwardHandler and script/scripting.h.
std::string_view ForwardEval(engine::Core& core, const engine::Command** command,
                             engine::OwnedArgs* args);
std::string_view ForwardEvalsha(engine::Core& core, const engine::Command** command,
                                engine::OwnedArgs* args);

// See engine::WritesHandler. What isn't known here may do anything.
bool EvalWrites(engine::Core& core, engine::Args args);
bool EvalshaWrites(engine::Core& core, engine::Args args);
bool FcallWrites(engine::Core& core, engine::Args args);

}  // namespace holdfast::commands
