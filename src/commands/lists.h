// What other families do with lists. Loop thread of the core that owns the partition.
#pragma once

#include <span>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Makes the key a list of these items, of which clients hear as `event`, or deletes it when there
// are none.
void StoreList(engine::ExecContext& ctx, engine::Key* key, std::span<const std::string_view> items,
               std::string_view event);

}  // namespace holdfast::commands
