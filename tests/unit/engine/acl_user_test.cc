// Rules of access control, their canonical text, and what they allow.
#include "engine/acl_user.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "commands/table.h"
#include "engine/access_control.h"
#include "engine/acl_check.h"
#include "engine/acl_log.h"
#include "engine/acl_rules.h"
#include "engine/acl_table.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

const CommandTable& Commands() { return commands::Table(); }

// A user made by rules; they have to be right.
AclUser Make(const std::vector<std::string>& rules) {
  AclUser user("u", false);
  const std::vector<std::string_view> views(rules.begin(), rules.end());
  const std::string wrong = ApplyRules(Commands(), views, false, &user);
  CHECK_MESSAGE(wrong.empty(), wrong);
  return user;
}

std::string Wrong(const std::vector<std::string>& rules) {
  AclUser user("u", false);
  const AclUser before = user;
  const std::vector<std::string_view> views(rules.begin(), rules.end());
  std::string wrong = ApplyRules(Commands(), views, false, &user);
  CHECK(user == before);
  return wrong;
}

AclVerdict Ask(const AclUser& user, const std::vector<std::string_view>& request) {
  const Command* command = Commands().Find(request[0]);
  REQUIRE(command != nullptr);
  if (!command->subcommands.empty()) command = Commands().FindSubcommand(*command, request[1]);
  REQUIRE(command != nullptr);
  return CheckAcl(user, *command, request);
}

bool May(const AclUser& user, const std::vector<std::string_view>& request) {
  return Ask(user, request).allowed();
}

}  // namespace

TEST_CASE("a new user may do nothing and can't log in") {
  const AclUser user("u", false);
  CHECK(user.Describe(Commands()) == "off resetchannels -@all");
  CHECK_FALSE(user.Accepts(""));
  CHECK_FALSE(user.unrestricted());
  CHECK_FALSE(May(user, {"get", "k"}));
  CHECK(May(user, {"auth", "x"}));
}

TEST_CASE("the default user may do everything") {
  const AclUser open = AclUser::Default(Commands(), "");
  CHECK(open.Describe(Commands()) == "on nopass ~* &* +@all");
  CHECK(open.LetsAnybodyIn());
  CHECK(open.unrestricted());
  const AclUser closed = AclUser::Default(Commands(), "secret");
  CHECK(closed.Describe(Commands()) == "on #" + Sha256Hex("secret") + " ~* &* +@all");
  CHECK(closed.unrestricted());
  CHECK_FALSE(closed.LetsAnybodyIn());
  CHECK(closed.Accepts("secret"));
  CHECK_FALSE(closed.Accepts("secre"));
  CHECK_FALSE(closed.Accepts(""));
  CHECK_FALSE(closed.Accepts(Sha256Hex("secret")));
}

TEST_CASE("a password is hashed whoever is refused") {
  // Else who is off, or has no password, would be told from others by the time that it takes.
  const std::string password(16 << 20, 'x');
  // Of this thread's processor time: how busy the machine is doesn't matter.
  const auto cpu_ns = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  };
  const auto cost = [&](const AclUser& user) {
    int64_t best = INT64_MAX;
    for (int i = 0; i < 3; ++i) {
      const int64_t begin = cpu_ns();
      (void)user.Accepts(password);
      best = std::min(best, cpu_ns() - begin);
    }
    return best;
  };
  const int64_t usual = cost(Make({"on", ">secret"}));
  CHECK(cost(Make({"off", ">secret"})) > usual / 4);
  CHECK(cost(Make({"on", "nopass"})) > usual / 4);
  CHECK(cost(Make({"off", "nopass"})) > usual / 4);
}

TEST_CASE("canonical texts are Redis's") {
  const std::string off = "off resetchannels ";
  CHECK(Make({"+@all", "-@dangerous"}).Describe(Commands()) == off + "+@all -@dangerous");
  CHECK(Make({"+@all", "-config", "+config|get"}).Describe(Commands()) ==
        off + "+@all -config +config|get");
  CHECK(Make({"+@read", "+@write", "-get"}).Describe(Commands()) ==
        off + "-@all +@write +@read -get");
  CHECK(Make({"+select|0", "+select|1", "+SELECT|0"}).Describe(Commands()) ==
        off + "-@all +select|0 +select|1");
  CHECK(Make({"+@all", "-select", "+select|0"}).Describe(Commands()) ==
        off + "+@all -select +select|0");
  CHECK(Make({"+config|get", "+config|set", "-config|get"}).Describe(Commands()) ==
        off + "-@all +config|set");
  CHECK(Make({"+config", "-config|get"}).Describe(Commands()) == off + "-@all +config -config|get");
  CHECK(Make({"on", "nopass", "~*", "&*", "+@all", "sanitize-payload"}).Describe(Commands()) ==
        "on nopass sanitize-payload ~* &* +@all");
  CHECK(Make({"skip-sanitize-payload", ">a", ">b", "<a"}).Describe(Commands()) ==
        "off skip-sanitize-payload #" + Sha256Hex("b") + " resetchannels -@all");
  CHECK(Make({"+get", "+set", "~a*", "%R~b*", "%W~c*", "%RW~d", "&ch*", "(+@read ~x*)",
              "(~y +get -@all)"})
            .Describe(Commands()) ==
        "off ~a* %R~b* %W~c* ~d resetchannels &ch* -@all +get +set (~x* resetchannels -@all "
        "+@read) (~y resetchannels -@all)");
  CHECK(Make({"%R~k", "%W~k"}).Describe(Commands()) == "off ~k resetchannels -@all");
  CHECK(Make({"%R~*", "~a", "%W~*"}).Describe(Commands()) == "off ~* resetchannels -@all");
  CHECK(Make({"+select", "+select|0"}) == Make({"+select"}));
  CHECK(Make({"+@all", "-config", "+config"}) == Make({"+@all"}));
  CHECK(Make({"reset"}).Describe(Commands()) == "off sanitize-payload resetchannels -@all");
}

TEST_CASE("wrong rules change nothing and say why") {
  const std::string begin = "Error in ACL SETUSER modifier '";
  CHECK(Wrong({"on", "+foo"}) == begin + "+foo': Unknown command or category name in ACL");
  CHECK(Wrong({"+@foo"}) == begin + "+@foo': Unknown command or category name in ACL");
  CHECK(Wrong({"+config|foo"}) == begin + "+config|foo': Unknown command or category name in ACL");
  CHECK(Wrong({"nonsense"}) == begin + "nonsense': Syntax error");
  CHECK(Wrong({"+select|"}) == begin + "+select|': Syntax error");
  CHECK(Wrong({"%RR~a"}) == begin + "%RR~a': Syntax error");
  CHECK(Wrong({"%X~a"}) == begin + "%X~a': Syntax error");
  CHECK(Wrong({"%~a"}) == begin + "%~a': Syntax error");
  CHECK(Wrong({"~a b"}) == begin + "~a b': Syntax error");
  CHECK(Wrong({"(+get"}) == "Unmatched parenthesis in acl selector starting at '(+get'.");
  CHECK(Wrong({"(on)"}) == begin + "(on)': Syntax error");
  CHECK(Wrong({"+config|get|x"}) ==
        begin + "+config|get|x': Allowing first-arg of a subcommand is not supported");
  CHECK(Wrong({"<a"}) ==
        begin + "<a': The password you are trying to remove from the user does not exist");
  CHECK(Wrong({"#zz"}).starts_with(begin + "#zz': The password hash must be exactly 64"));
  CHECK(Wrong({"~*", "~a"}).starts_with(begin + "~a': Adding a pattern after the * pattern"));
  CHECK(Wrong({"&*", "&a"}).starts_with(begin + "&a': Adding a pattern after the * pattern"));
}

TEST_CASE("what is written is read again") {
  const std::vector<std::vector<std::string>> users = {
      {"on", ">p", "+@all", "~*", "&*"},
      {"+@all", "-@admin", "-@scripting", "+eval", "~a?[b-c]*", "%R~\"q\"", "&x)", "&y("},
      {"(~a\\x22 +get)", "(\"~p)\" +set)", "(+select|0 %W~'q' &c)"},
      {"+@read", "-get", "+config|get", "-@slow", "+acl"},
      {"nopass", "on", "( +ping   ~k )", "()"},
  };
  for (const auto& rules : users) {
    const AclUser user = Make(rules);
    const std::string text = user.Describe(Commands());
    CAPTURE(text);
    AclUser read("u", false);
    REQUIRE(ReadUser(Commands(), text, &read));
    CHECK(read == user);
  }
}

TEST_CASE("a text of a newer version loses what isn't known here") {
  AclUser user("u", false);
  REQUIRE(ReadUser(Commands(),
                   "on ~* resetchannels -@all +get +newcommand -@newgroup (~x "
                   "resetchannels -@all +newer|sub +set)",
                   &user));
  CHECK(user == Make({"on", "~*", "+get", "(~x +set)"}));
  CHECK_FALSE(ReadUser(Commands(), "on nonsense", &user));
  CHECK_FALSE(ReadUser(Commands(), "on (+get", &user));
}

TEST_CASE("commands, keys and channels") {
  const AclUser user = Make({"+@all", "-@admin", "%R~r*", "%W~w*", "~rw*", "&news*", "&lit?"});
  CHECK(May(user, {"get", "r1"}));
  CHECK(May(user, {"set", "w1", "v"}));
  CHECK(Ask(user, {"get", "w1"}).denial == AclDenial::kKey);
  CHECK(Ask(user, {"set", "r1", "v"}).denial == AclDenial::kKey);
  CHECK(Ask(user, {"set", "w1", "v", "GET"}).denial == AclDenial::kKey);
  CHECK(Ask(user, {"set", "w1", "v", "IFEQ", "x"}).denial == AclDenial::kKey);
  CHECK(May(user, {"set", "rw1", "v", "get"}));
  CHECK(May(user, {"bitfield", "r1", "GET", "u8", "0"}));
  CHECK_FALSE(May(user, {"bitfield", "r1", "SET", "u8", "0", "1"}));
  CHECK(May(user, {"exists", "r1", "w1"}));
  CHECK_FALSE(May(user, {"exists", "r1", "other"}));
  CHECK(Ask(user, {"mget", "r1", "x", "r2"}).arg == 2);
  CHECK(May(user, {"sismember", "w1", "m"}));
  CHECK_FALSE(May(user, {"smismember", "w1", "m"}));
  CHECK(May(user, {"copy", "r1", "w1"}));
  CHECK_FALSE(May(user, {"copy", "w1", "r1"}));
  CHECK(Ask(user, {"config", "get", "x"}).denial == AclDenial::kCommand);
  CHECK(May(user, {"sort", "r1", "STORE", "w1"}));
  CHECK_FALSE(May(user, {"sort", "r1", "STORE", "r2"}));
  CHECK(May(user, {"publish", "news1", "x"}));
  CHECK(Ask(user, {"publish", "other", "x"}).denial == AclDenial::kChannel);
  CHECK(Ask(user, {"subscribe", "news", "other"}).arg == 2);
  CHECK(May(user, {"psubscribe", "news*"}));
  CHECK_FALSE(May(user, {"psubscribe", "news1"}));
  CHECK(May(user, {"psubscribe", "lit?"}));
  CHECK(May(user, {"unsubscribe", "other"}));
  CHECK(May(user, {"ssubscribe", "newsletter"}));
  CHECK_FALSE(May(user, {"spublish", "other", "x"}));
}

TEST_CASE("the last STORE counts, and so do all others") {
  const AclUser user = Make({"+@all", "~a"});
  CHECK(May(user, {"georadius", "a", "0", "0", "1", "m", "STORE", "a"}));
  CHECK_FALSE(May(user, {"georadius", "a", "0", "0", "1", "m", "STORE", "a", "STORE", "b"}));
  CHECK_FALSE(May(user, {"georadius", "a", "0", "0", "1", "m", "STOREDIST", "b", "STORE", "a"}));
}

TEST_CASE("one of the selectors has to allow all of it") {
  const AclUser user = Make({"+get", "~a", "(+set ~b)"});
  CHECK(May(user, {"get", "a"}));
  CHECK(May(user, {"set", "b", "v"}));
  CHECK(Ask(user, {"get", "b"}).denial == AclDenial::kKey);
  CHECK(Ask(user, {"set", "a", "v"}).denial == AclDenial::kKey);
  CHECK(Ask(user, {"del", "a"}).denial == AclDenial::kCommand);
}

TEST_CASE("first arguments") {
  const AclUser user = Make({"+select|0"});
  CHECK(May(user, {"select", "0"}));
  CHECK_FALSE(May(user, {"select", "1"}));
}

TEST_CASE("SORT by other keys needs the right to read all") {
  const auto check = [](const AclUser& user, const std::vector<std::string_view>& request) {
    return std::string(CheckSortAcl(user, *Commands().Find("sort"), request));
  };
  const AclUser some = Make({"+@all", "~a"});
  CHECK(check(some, {"sort", "a"}).empty());
  CHECK(check(some, {"sort", "a", "BY", "nosort"}).empty());
  CHECK(check(some, {"sort", "a", "BY", "w*"}) ==
        "ERR BY option of SORT denied due to insufficient ACL permissions.");
  CHECK(check(some, {"sort", "a", "GET", "#"}) ==
        "ERR GET option of SORT denied due to insufficient ACL permissions.");
  CHECK(check(Make({"+@all", "%R~*"}), {"sort", "a", "BY", "w*", "GET", "x"}).empty());
  CHECK_FALSE(check(Make({"+@all", "%W~*", "~a"}), {"sort", "a", "GET", "x"}).empty());
}

TEST_CASE("an ACL file is read as a whole or not at all") {
  std::vector<AclUser> users;
  CHECK(ReadAclFile(Commands(), "f", "user a on +get\n\n  user b off (+set\t~x)\r\n", false, &users)
            .empty());
  REQUIRE(users.size() == 2);
  CHECK(users[0].name() == "a");
  const std::string end =
      "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
  const auto wrong = [&](std::string_view text) {
    std::vector<AclUser> none;
    const std::string error = ReadAclFile(Commands(), "f", text, false, &none);
    CHECK(none.empty());
    return error;
  };
  CHECK(wrong("user a on\nuser a off") == "WARNING: Duplicate user 'a' found on line 2. " + end);
  CHECK(wrong("nobody") == "f:1 should start with user keyword followed by the username. " + end);
  CHECK(wrong("user a +x +y") ==
        "f:1: Error in applying operation '+x': Unknown command or category name in ACL. f:1: "
        "Error in applying operation '+y': Unknown command or category name in ACL. " +
            end);
  CHECK(wrong("\nuser a >pw bad worse") == "f:2: Syntax error. " + end);
  CHECK(wrong("user a (+get") == "f:1: Unmatched parenthesis in selector definition." + end);
}

TEST_CASE("passwords go no further than their hashes") {
  CHECK(HideSecret(">pw") == "#" + Sha256Hex("pw"));
  CHECK(HideSecret("<pw") == "!" + Sha256Hex("pw"));
  CHECK(HideSecret("~>pw") == "~>pw");
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("the default user follows from requirepass until it has rules of its own") {
  AclUsers users(Commands());
  users.SetPassword("");
  CHECK(users.default_user()->LetsAnybodyIn());
  const AclUserPtr before = users.default_user();
  users.SetPassword("");
  CHECK(users.default_user() == before);
  users.SetPassword("pw");
  CHECK(users.default_user()->Accepts("pw"));
  CHECK(users.default_is_implied());
  auto table = std::make_shared<AclTable>();
  table->revision = 7;
  table->users.emplace("default", std::make_shared<const AclUser>(Make({"on", ">own"})));
  table->users.emplace("u", std::make_shared<const AclUser>(Make({"on"})));
  users.Set(table, "pw");
  CHECK_FALSE(users.default_is_implied());
  CHECK(users.default_user()->Accepts("own"));
  CHECK_FALSE(users.default_user()->Accepts("pw"));
  CHECK(users.revision() == 7);
  CHECK(users.Find("u") == table->users.find("u")->second);
  CHECK(users.Find("nobody") == nullptr);
  CHECK(users.All().size() == 2);
}

TEST_CASE("loopback addresses") {
  for (const std::string_view own :
       {"127.0.0.1:1", "127.1.2.3:6379", "[::1]:1", "[::ffff:127.0.0.1]:9", "/run/h.sock"}) {
    CAPTURE(own);
    CHECK(IsLoopback(own));
  }
  for (const std::string_view other : {"10.0.0.1:1", "[::2]:1", "[fe80::1]:1", "?:0", "",
                                       "[::ffff:10.0.0.1]:9", "192.127.0.1:1"}) {
    CAPTURE(other);
    CHECK_FALSE(IsLoopback(other));
  }
}

TEST_CASE("ACL LOG counts what is alike and forgets the oldest") {
  AclLog log;
  const auto entry = [](std::string object, int64_t at_ms) {
    AclLogEntry made;
    made.reason = "key";
    made.context = "toplevel";
    made.object = std::move(object);
    made.username = "u";
    made.at_ms = at_ms;
    return made;
  };
  log.Add(entry("a", 1000), 3);
  log.Add(entry("b", 2000), 3);
  log.Add(entry("a", 3000), 3);
  REQUIRE(log.entries().size() == 2);
  CHECK(log.entries()[0].object == "a");
  CHECK(log.entries()[0].count == 2);
  log.Add(entry("a", 63'001), 3);
  CHECK(log.entries().size() == 3);
  log.Add(entry("c", 63'001), 3);
  CHECK(log.entries().size() == 3);
  CHECK(log.entries().back().object == "a");
  log.Add(entry(std::string(5000, 'x'), 63'001), 3);
  CHECK(log.entries()[0].object.size() == 1024);
}

}  // namespace holdfast::engine
