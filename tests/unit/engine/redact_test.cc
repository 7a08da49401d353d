#include "engine/redact.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

// The arguments as MONITOR shows them.
std::string Show(const Command& command, const std::vector<std::string_view>& args) {
  std::string text;
  for (size_t i = 0; i < args.size(); ++i) {
    if (i > 0) text += ' ';
    text += IsSecret(command, args, i) ? kRedacted : args[i];
  }
  return text;
}

TEST_CASE("passwords are secret wherever they stand") {
  Command auth;
  auth.name = "auth";
  CHECK(Show(auth, {"AUTH", "pass"}) == "AUTH (redacted)");
  CHECK(Show(auth, {"AUTH", "user", "pass"}) == "AUTH (redacted) (redacted)");
  Command setuser;
  setuser.parent = "acl";
  setuser.name = "setuser";
  CHECK(Show(setuser, {"ACL", "SETUSER", "u", "on", ">p"}) ==
        "ACL SETUSER (redacted) (redacted) (redacted)");
  Command hello;
  hello.name = "hello";
  CHECK(Show(hello, {"HELLO"}) == "HELLO");
  CHECK(Show(hello, {"HELLO", "3", "auth", "u", "p"}) == "HELLO 3 auth (redacted) (redacted)");
  CHECK(Show(hello, {"HELLO", "3", "SETNAME", "n", "AUTH", "u", "p"}) ==
        "HELLO 3 SETNAME n AUTH (redacted) (redacted)");
  CHECK(Show(hello, {"HELLO", "3", "AUTH", "u", "p", "SETNAME", "n"}) ==
        "HELLO 3 AUTH (redacted) (redacted) SETNAME n");
  Command dryrun;
  dryrun.parent = "acl";
  dryrun.name = "dryrun";
  CHECK(Show(dryrun, {"ACL", "DRYRUN", "auth", "GET", "k"}) == "ACL DRYRUN auth GET k");
  CHECK(Show(dryrun, {"ACL", "DRYRUN", "u", "Auth", "p"}) == "ACL DRYRUN u Auth (redacted)");
  CHECK(Show(dryrun, {"ACL", "DRYRUN", "u", "ACL", "SETUSER", "v", ">p"}) ==
        "ACL DRYRUN u ACL (redacted) (redacted) (redacted)");
  Command set;
  set.name = "set";
  CHECK(Show(set, {"SET", "auth", "requirepass", "x"}) == "SET auth requirepass x");
}

TEST_CASE("CONFIG SET hides the values of secret options only") {
  Command set;
  set.name = "set";
  set.parent = "config";
  CHECK(Show(set, {"CONFIG", "SET", "RequirePass", "p", "timeout", "5"}) ==
        "CONFIG SET RequirePass (redacted) timeout 5");
  CHECK(Show(set, {"CONFIG", "SET", "timeout", "requirepass", "requirepass", "p"}) ==
        "CONFIG SET timeout requirepass requirepass (redacted)");
  CHECK(Show(set, {"CONFIG", "SET", "requirpass", "p", "timeout", "5"}) ==
        "CONFIG SET requirpass (redacted) timeout 5");
  Command get;
  get.name = "get";
  get.parent = "config";
  CHECK(Show(get, {"CONFIG", "GET", "requirepass"}) == "CONFIG GET requirepass");
}

TEST_CASE("quoting") {
  const auto quoted = [](std::string_view text) {
    std::string out;
    AppendQuoted(text, &out);
    return out;
  };
  CHECK(quoted("") == "\"\"");
  CHECK(quoted("plain text") == "\"plain text\"");
  CHECK(quoted("a\"b\\c") == "\"a\\\"b\\\\c\"");
  CHECK(quoted("\n\r\t\a\b") == "\"\\n\\r\\t\\a\\b\"");
  CHECK(quoted(std::string_view("\0\x7f\xff", 3)) == "\"\\x00\\x7f\\xff\"");
}

}  // namespace
}  // namespace holdfast::engine
