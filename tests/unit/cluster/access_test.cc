// Records of users, and the users of a node's own files.
#include "cluster/access.h"

#include <string>

#include "commands/table.h"
#include "engine/config.h"

#include <doctest/doctest.h>

namespace holdfast::cluster {

TEST_CASE("a user's record is read as it was written") {
  const engine::CommandTable& table = commands::Table();
  engine::AclUser user("alice", false);
  for (const std::string_view rule : {"on", ">pw", "~a*", "+@read", "(%W~b +set)"}) {
    REQUIRE(user.Apply(table, rule, false) == engine::AclFault::kNone);
  }
  const std::string record = EncodeUser(table, user);
  CHECK(record.find("pw") == std::string::npos);
  const Result<engine::AclUser> read = DecodeUser(table, UserKey("alice"), record);
  REQUIRE(read.ok());
  CHECK(read.value() == user);
}

TEST_CASE("damaged records and those of another version are refused") {
  const engine::CommandTable& table = commands::Table();
  for (const std::string_view record : {"", "1", "1 wrong", "2 on", "on +get", "1 on (+get"}) {
    CAPTURE(record);
    CHECK_FALSE(DecodeUser(table, UserKey("a"), record).ok());
  }
}

TEST_CASE("users of the configuration") {
  const engine::CommandTable& table = commands::Table();
  engine::Config config;
  UserMap users;
  REQUIRE(engine::SetOption(&config, *engine::FindOption("users"),
                            "user a on >pw ~* +@all (+get ~x) user b off")
              .ok());
  REQUIRE(ReadOwnUsers(table, config, &users).ok());
  REQUIRE(users.size() == 2);
  CHECK(users.at("a")->Accepts("pw"));
  CHECK(users.at("a")->selectors().size() == 2);
  CHECK(engine::GetOption(config, *engine::FindOption("users")).find("pw") == std::string::npos);
  for (const std::string_view wrong : {"a on", "user", "user a on user a on", "user a +nothing"}) {
    CAPTURE(wrong);
    REQUIRE(engine::SetOption(&config, *engine::FindOption("users"), wrong).ok());
    UserMap none;
    CHECK_FALSE(ReadOwnUsers(table, config, &none).ok());
  }
}

}  // namespace holdfast::cluster
