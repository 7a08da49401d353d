// How COMMAND's subcommands find rows.
#pragma once

#include <string_view>
#include <vector>

#include "engine/command.h"

namespace holdfast::commands {

// The row of "get" or "config|get", in any case; nullptr when there is none.
const engine::Command* LookUpName(const engine::CommandTable& table, std::string_view name);

// The row of a whole request; nullptr when there is none. REQUIRES: it is not empty.
const engine::Command* LookUp(const engine::CommandTable& table, engine::Args request);

// A row's tips, one by one.
std::vector<std::string_view> SplitTips(std::string_view tips);

}  // namespace holdfast::commands
