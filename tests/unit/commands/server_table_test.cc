#include "base/numbers.h"
#include "commands/command_flags.h"
#include "commands/command_lookup.h"
#include "commands/table.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

using engine::Command;

TEST_CASE("every row of the whole table is complete") {
  const engine::CommandTable& table = Table();
  for (uint32_t id = 0; id < table.size(); ++id) {
    const Command& row = table.ById(id);
    CAPTURE(FullName(row));
    CHECK(row.id == id);
    CHECK(row.name == ToLower(row.name));
    CHECK(row.arity != 0);
    CHECK_FALSE(row.since.empty());
    CHECK_FALSE(row.group.empty());
    CHECK_FALSE(row.summary.empty());
    // A container may run by itself too, as COMMAND does.
    CHECK((row.data != nullptr || row.session != nullptr || !row.subcommands.empty()));
    // FUNCTION LOAD and its like have a part that runs on the meta partition.
    const bool has_both = row.parent == "function" && row.has(engine::kWrite);
    CHECK((row.data != nullptr && row.session != nullptr) == has_both);
    CHECK((row.route == engine::Route::kSession) == (row.data == nullptr || has_both));
    CHECK(row.help.empty() == row.subcommands.empty());
    if (!row.subcommands.empty()) CHECK(table.FindSubcommand(row, "HELP") != nullptr);
  }
}

TEST_CASE("rows are found by name in any case, subcommands behind a bar") {
  const engine::CommandTable& table = Table();
  REQUIRE(LookUpName(table, "PiNg") != nullptr);
  CHECK(FullName(*LookUpName(table, "Client|KILL")) == "client|kill");
  CHECK(LookUpName(table, "client|nosuch") == nullptr);
  CHECK(LookUpName(table, "get|key") == nullptr);
  CHECK(LookUpName(table, "config|get|key") == nullptr);
  CHECK(LookUpName(table, "") == nullptr);
  CHECK(LookUpName(table, std::string(1000, 'x')) == nullptr);
  const std::vector<std::string_view> request = {"CONFIG", "get", "x"};
  CHECK(FullName(*LookUp(table, request)) == "config|get");
}

TEST_CASE("what may be done before AUTH, and what not inside MULTI") {
  const engine::CommandTable& table = Table();
  std::string no_auth;
  std::string no_multi;
  for (const Command& row : table.commands()) {
    if (row.has(engine::kNoAuth)) no_auth += std::string(row.name) + " ";
    if (row.has(engine::kNoMulti)) no_multi += std::string(row.name) + " ";
    for (const Command& subcommand : row.subcommands) {
      CHECK_FALSE(subcommand.has(engine::kNoAuth));
    }
  }
  CHECK(no_auth == "auth hello quit reset ");
  CHECK(no_multi == "save shutdown ");
}

TEST_CASE("flags and categories have Redis's names, in its order") {
  using Names = std::vector<std::string_view>;
  CHECK(CommandFlagNames(Table().Find("auth")->flags) ==
        Names{"noscript", "loading", "stale", "fast", "no_auth", "allow_busy"});
  CHECK(AclCategoryNames(Table().Find("save")->acl) == Names{"admin", "slow", "dangerous"});
  CHECK(AclCategoryNames(Table().Find("lolwut")->acl) == Names{"read", "fast"});
  CHECK(AclCategoryNames(Table().Find("client")->acl) == Names{"slow"});
  CHECK(KeyFlagNames(engine::kKeyRw | engine::kKeyUpdate | engine::kKeyVariable) ==
        Names{"RW", "update", "variable_flags"});
  CHECK(FindAclCategory("DANGEROUS") == engine::kAclDangerous);
  CHECK_FALSE(FindAclCategory("nosuch").has_value());
  CHECK_FALSE(FindAclCategory("@read").has_value());
}

TEST_CASE("tips are split at blanks") {
  CHECK(SplitTips("").empty());
  CHECK(SplitTips("one") == std::vector<std::string_view>{"one"});
  CHECK(SplitTips("one two:three") == std::vector<std::string_view>{"one", "two:three"});
}

}  // namespace
}  // namespace holdfast::commands
