// The rows of the command table, by family. table.cc joins them. Any thread.
#pragma once

#include <span>

#include "engine/command.h"

namespace holdfast::commands {

std::span<const engine::Command> AclRows();          // table_acl.cc
std::span<const engine::Command> ClusterRows();      // table_cluster.cc
std::span<const engine::Command> ConnectionRows();   // table_connection.cc
std::span<const engine::Command> GeoRows();          // table_geo.cc
std::span<const engine::Command> HashRows();         // table_hashes.cc
std::span<const engine::Command> HoldfastRows();     // table_holdfast.cc: beyond Redis
std::span<const engine::Command> HyperloglogRows();  // table_hyperloglog.cc
std::span<const engine::Command> KeyRows();          // table_keys.cc: keys of any type, databases
std::span<const engine::Command> ListRows();         // table_lists.cc
std::span<const engine::Command> PubsubRows();       // table_pubsub.cc
std::span<const engine::Command> ScriptingRows();    // table_scripting.cc
std::span<const engine::Command> FunctionRows();     // table_functions.cc
std::span<const engine::Command> ServerRows();       // table_server.cc
std::span<const engine::Command> SetRows();          // table_sets.cc
std::span<const engine::Command> SortedSetRows();    // table_sorted_sets.cc
std::span<const engine::Command> StreamRows();       // table_streams.cc
std::span<const engine::Command> StringRows();       // table_strings.cc: strings and their bits
std::span<const engine::Command> TransactionRows();  // table_transactions.cc

}  // namespace holdfast::commands
