#include "commands/syntax.h"

#include <string>
#include <vector>

#include "commands/table.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

// "key:string", "EX seconds:integer?", "(a:string b:string)+", "{NX | XX}?" …: `?` is optional,
// `+` multiple, `*` multiple with its token, `#n` a key of specification n.
std::string Show(const std::vector<Argument>& arguments, std::string_view separator = " ");

std::string Show(const Argument& argument) {
  std::string text;
  if (argument.type == Argument::Type::kPureToken) {
    text = argument.token;
  } else {
    if (!argument.token.empty()) text = argument.token + " ";
    if (argument.type == Argument::Type::kBlock) {
      text += "(" + Show(argument.arguments) + ")";
    } else if (argument.type == Argument::Type::kOneOf) {
      text += "{" + Show(argument.arguments, " | ") + "}";
    } else {
      text += argument.name + ":" + std::string(TypeName(argument.type));
    }
  }
  if (argument.key_spec_index >= 0) text += "#" + std::to_string(argument.key_spec_index);
  if (argument.multiple) text += argument.multiple_token ? "*" : "+";
  if (argument.optional) text += "?";
  return text;
}

std::string Show(const std::vector<Argument>& arguments, std::string_view separator) {
  std::string text;
  for (const Argument& argument : arguments) {
    if (!text.empty()) text += separator;
    text += Show(argument);
  }
  return text;
}

std::string Parse(std::string_view syntax) {
  const auto arguments = ParseSyntax(syntax);
  return arguments ? Show(*arguments) : "refused";
}

TEST_CASE("words, options and alternatives") {
  CHECK(Parse("") == "");
  CHECK(Parse("key value") == "key:string value:string");
  CHECK(Parse("[message]") == "message:string?");
  CHECK(Parse("key [NX | XX]") == "key:string {NX | XX}?");
  CHECK(Parse("<ON | OFF>") == "{ON | OFF}");
  CHECK(Parse("cursor [MATCH pattern] [COUNT count]") ==
        "cursor:integer MATCH pattern:pattern? COUNT count:integer?");
  CHECK(Parse("[EX seconds | EXAT unix-time-seconds | KEEPTTL]") ==
        "{EX seconds:integer | EXAT unix-time-seconds:unix-time | KEEPTTL}?");
  CHECK(Parse("[TYPE <NORMAL | PUBSUB>]") == "TYPE {NORMAL | PUBSUB}?");
  CHECK(Parse("[LEN] [IDX] [MINMATCHLEN len]") == "LEN? IDX? MINMATCHLEN len:integer?");
}

TEST_CASE("repetition takes as many items as it repeats") {
  CHECK(Parse("key [key ...]") == "key:string+");
  CHECK(Parse("key value [key value ...]") == "(key:string value:string)+");
  CHECK(Parse("numkeys key value [key value ...]") == "numkeys:integer (key:string value:string)+");
  CHECK(Parse("[PREFIX prefix [PREFIX prefix ...]]") == "PREFIX prefix:string*?");
  CHECK(Parse("[ID client-id [client-id ...]]") == "ID client-id:integer+?");
  CHECK(Parse("[command-name [command-name ...]]") == "command-name:string+?");
  // The inner bracket repeats the whole of the outer one.
  CHECK(Parse("[GET encoding offset | SET encoding [GET encoding offset | SET encoding ...]]") ==
        "{GET (encoding:string offset:integer) | SET encoding:string}+?");
}

TEST_CASE("blocks") {
  CHECK(Parse("[protover [AUTH username password] [SETNAME clientname]]") ==
        "(protover:integer AUTH (username:string password:string)? SETNAME clientname:string?)?");
  CHECK(Parse("key [start end [BYTE | BIT]]") ==
        "key:string (start:integer end:integer {BYTE | BIT}?)?");
  CHECK(Parse("[OVERFLOW <WRAP | FAIL>] <SET a b | INCRBY c>") ==
        "OVERFLOW {WRAP | FAIL}? {SET (a:string b:string) | INCRBY c:string}");
}

TEST_CASE("groups have Redis's names") {
  CHECK((*ParseSyntax("[EX seconds | KEEPTTL]"))[0].name == "expiration");
  CHECK((*ParseSyntax("[NX | XX]"))[0].name == "condition");
  CHECK((*ParseSyntax("<WRITE | ALL>"))[0].name == "write_all");
  CHECK((*ParseSyntax("[AUTH username password]"))[0].name == "username_password");
}

TEST_CASE("what is not in the notation is refused") {
  for (const std::string_view bad :
       {"[", "]", "key ]", "[key", "<ON | OFF", "<ON | OFF]", "[]", "[|]", "[a |]",
        "key [value ...]", "[key ...]", "<key ...>", "a | b", "[...]", "[a | b ...]", "[[a]]",
        "[a | b [a | c ...]]"}) {
    CAPTURE(bad);
    CHECK(Parse(bad) == "refused");
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a | ";
  CHECK(Parse(deep) == "refused");
}

std::string Arguments(std::string_view name) {
  const engine::Command* row = Table().Find(name);
  return row == nullptr ? "no such row" : Show(ArgumentsOf(*row));
}

TEST_CASE("keys are found by their positions") {
  CHECK(Arguments("get") == "key:key#0");
  CHECK(Arguments("mget") == "key:key#0+");
  CHECK(Arguments("mset") == "(key:key#0 value:string)+");
  CHECK(Arguments("rename") == "key:key#0 newkey:key#1");
  CHECK(Arguments("bitop") == "operation:string destkey:key#0 key:key#1+");
  CHECK(Arguments("lock") ==
        "name:key#0 owner:string milliseconds:integer WAIT milliseconds:integer?");
  CHECK(Arguments("watch") == "key:key#0+");
  CHECK(Arguments("echo") == "message:string");
  CHECK(Arguments("incrbyfloat") == "key:key#0 increment:double");
}

TEST_CASE("every row's syntax is in the notation") {
  for (uint32_t id = 0; id < Table().size(); ++id) {
    const engine::Command& row = Table().ById(id);
    CAPTURE(engine::FullName(row));
    CHECK(ParseSyntax(row.syntax).has_value());
  }
}

}  // namespace
}  // namespace holdfast::commands
