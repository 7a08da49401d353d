#include "commands/table.h"

#include <string>
#include <vector>

#include "base/numbers.h"
#include "engine/command.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

// "[0, 2]" for the positions of keys, "none" when the arguments don't fit.
std::string KeysOf(std::vector<std::string_view> args) {
  for (uint32_t id = 0; id < Table().size(); ++id) {
    const engine::Command& row = Table().ById(id);
    if (row.name != args[0] || row.keys.kind == engine::KeySpec::Kind::kNone) continue;
    std::vector<int> positions;
    if (!engine::FindKeys(row, args, &positions)) return "none";
    std::string text;
    for (const int i : positions) text += (text.empty() ? "" : " ") + std::to_string(i);
    return text;
  }
  return "no such row";
}

TEST_CASE("every row of a data command is complete") {
  using engine::KeySpec;
  using engine::Route;
  for (uint32_t id = 0; id < Table().size(); ++id) {
    const engine::Command& row = Table().ById(id);
    CAPTURE(engine::FullName(row));
    CHECK(row.name == ToLower(row.name));
    CHECK(row.arity != 0);
    CHECK_FALSE(row.since.empty());
    CHECK_FALSE(row.group.empty());
    CHECK_FALSE(row.summary.empty());
    CHECK((row.data != nullptr || row.session != nullptr || !row.subcommands.empty()));
    const bool has_keys = row.keys.kind != KeySpec::Kind::kNone;
    if (row.data == nullptr) continue;
    CHECK_FALSE(row.complexity.empty());
    // A script is what it does.
    const bool is_script = (row.acl & engine::kAclScripting) != 0;
    if (has_keys && !is_script) CHECK(row.has(engine::kWrite) != row.has(engine::kReadonly));
    CHECK(has_keys == (row.route == Route::kKeys || row.route == Route::kSpread));
    CHECK((row.merge != engine::Merge::kNone) ==
          (row.route == Route::kSpread || row.route == Route::kEveryPartition));
    CHECK(row.arity * (row.arity < 0 ? -1 : 1) > row.keys.first);
    CHECK((row.keys.flags != 0) == has_keys);
    CHECK((row.more_keys.flags != 0) == (row.more_keys.kind != KeySpec::Kind::kNone));
    // Only what may make data larger is refused when memory is full.
    if (row.has(engine::kDenyOom)) CHECK(row.has(engine::kWrite));
  }
}

TEST_CASE("where the keys of a request are") {
  CHECK(KeysOf({"get", "k"}) == "1");
  CHECK(KeysOf({"mget", "a", "b", "c"}) == "1 2 3");
  CHECK(KeysOf({"mset", "a", "1", "b", "2"}) == "1 3");
  // The last key's value is missing: what is sent with a key to its partition isn't there.
  CHECK(KeysOf({"mset", "a", "1", "b"}) == "none");
  CHECK(KeysOf({"bitop", "and", "d", "s", "t"}) == "2 3 4");
  CHECK(KeysOf({"lcs", "a", "b", "LEN"}) == "1 2");
  CHECK(KeysOf({"rename", "a", "b"}) == "1 2");
  CHECK(KeysOf({"encoding", "ignored", "k"}) == "2");
  CHECK(KeysOf({"msetex", "2", "a", "1", "b", "2", "NX"}) == "2 4");
  CHECK(KeysOf({"msetex", "3", "a", "1", "b", "2"}) == "none");
  CHECK(KeysOf({"msetex", "0", "a", "1"}) == "none");
  CHECK(KeysOf({"msetex", "9223372036854775807", "a", "1"}) == "none");
  CHECK(KeysOf({"lock", "l", "me", "1000"}) == "1");
}

}  // namespace
}  // namespace holdfast::commands
