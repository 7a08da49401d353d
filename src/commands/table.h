// The command table: every command is one row, in the table_*.cc file of its family.
#pragma once

#include "engine/command.h"

namespace holdfast::commands {

// The whole table. Built at the first call; any thread after that.
const engine::CommandTable& Table();

}  // namespace holdfast::commands
