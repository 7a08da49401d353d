#include "base/glob.h"

#include <chrono>
#include <string>

#include "base/rng.h"
#include "glob_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

TEST_CASE("glob: literals, ? and *") {
  CHECK(GlobMatch("", ""));
  CHECK_FALSE(GlobMatch("", "a"));
  CHECK_FALSE(GlobMatch("a", ""));
  CHECK(GlobMatch("abc", "abc"));
  CHECK_FALSE(GlobMatch("abc", "abd"));
  CHECK_FALSE(GlobMatch("abc", "abcd"));
  CHECK_FALSE(GlobMatch("abcd", "abc"));
  CHECK(GlobMatch("a?c", "axc"));
  CHECK_FALSE(GlobMatch("a?c", "ac"));
  CHECK(GlobMatch("*", ""));
  CHECK(GlobMatch("*", "anything"));
  CHECK(GlobMatch("***", "x"));
  CHECK(GlobMatch("a*", "a"));
  CHECK(GlobMatch("*a", "a"));
  CHECK(GlobMatch("user:*:name", "user:42:name"));
  CHECK_FALSE(GlobMatch("user:*:name", "user:42:names"));
  CHECK(GlobMatch("*ab", "aab"));
  CHECK(GlobMatch("*a*b*c", "xxaxxbxxbxxc"));
  CHECK_FALSE(GlobMatch("*a*b*c", "xxaxxcxxb"));
  CHECK(GlobMatch("*?", "x"));
  CHECK_FALSE(GlobMatch("*?", ""));
  CHECK(GlobMatch(std::string_view("a\0*", 3), std::string_view("a\0b", 3)));
}

TEST_CASE("glob: classes") {
  CHECK(GlobMatch("h[ae]llo", "hello"));
  CHECK(GlobMatch("h[ae]llo", "hallo"));
  CHECK_FALSE(GlobMatch("h[ae]llo", "hillo"));
  CHECK(GlobMatch("h[^e]llo", "hallo"));
  CHECK_FALSE(GlobMatch("h[^e]llo", "hello"));
  CHECK(GlobMatch("[a-c]", "b"));
  CHECK(GlobMatch("[c-a]", "b"));  // a range may be written backwards
  CHECK_FALSE(GlobMatch("[a-c]", "d"));
  CHECK(GlobMatch("[a-cx-z]", "y"));
  CHECK(GlobMatch("[^a-c]", "-"));
  CHECK(GlobMatch("[\\]]", "]"));
  CHECK(GlobMatch("[\\-x]", "-"));
  CHECK(GlobMatch("[a-]", "-") == false);  // the ] is the end of a range, as in Redis
  CHECK_FALSE(GlobMatch("[]", "a"));
  CHECK(GlobMatch("[^]", "a"));
  CHECK_FALSE(GlobMatch("[a]", ""));
}

TEST_CASE("glob: a class without an end takes the rest of the pattern") {
  CHECK(GlobMatch("x[abc", "xb"));
  CHECK_FALSE(GlobMatch("x[abc", "xd"));
  CHECK_FALSE(GlobMatch("x[", "x"));
  CHECK_FALSE(GlobMatch("[", "["));
  CHECK(GlobMatch("[^", "a"));
  CHECK(GlobMatch("[a\\", "\\"));
}

TEST_CASE("glob: escapes") {
  CHECK(GlobMatch("a\\*b", "a*b"));
  CHECK_FALSE(GlobMatch("a\\*b", "axb"));
  CHECK(GlobMatch("\\?", "?"));
  CHECK_FALSE(GlobMatch("\\?", "x"));
  CHECK(GlobMatch("\\[a]", "[a]"));
  CHECK(GlobMatch("\\\\", "\\"));
  CHECK(GlobMatch("a\\", "a\\"));  // a last backslash stands for itself
  CHECK(GlobMatch("*\\*", "ab*"));
  CHECK_FALSE(GlobMatch("*\\*", "ab"));
}

TEST_CASE("glob: case") {
  CHECK_FALSE(GlobMatch("ABC", "abc"));
  CHECK(GlobMatch("ABC", "abc", true));
  CHECK(GlobMatch("a*Z", "AxxZ", true));
  CHECK(GlobMatch("[a-c]X", "Bx", true));
  CHECK(GlobMatch("[QR]", "q", true));
  CHECK_FALSE(GlobMatch("[QR]", "q"));
  CHECK_FALSE(GlobMatch("@", "`", true));  // only letters have cases
}

TEST_CASE("glob: ranges go by unsigned bytes") {
  CHECK(GlobMatch("[\x80-\xff]", "\xc3"));
  CHECK_FALSE(GlobMatch("[\x80-\xff]", "a"));
  CHECK(GlobMatch("[a-\xff]", "z"));
  CHECK_FALSE(GlobMatch("[a-\xff]", "A"));
}

std::string RandomText(Rng* rng, std::string_view alphabet, size_t max_length) {
  std::string text;
  for (size_t n = rng->Below(max_length + 1); n > 0; --n) {
    text.push_back(alphabet[rng->Below(alphabet.size())]);
  }
  return text;
}

TEST_CASE("glob: the same as the model on random patterns") {
  Rng rng(20);
  int matches = 0;
  constexpr int kRounds = 300'000;
  for (int i = 0; i < kRounds; ++i) {
    const bool ignore_case = rng.Chance(1, 3);
    const std::string_view alphabet = rng.Chance(1, 2) ? "ab*?" : "aAbBzZ*?[]^-\\\xff";
    const std::string pattern = RandomText(&rng, alphabet, 9);
    const std::string text =
        RandomText(&rng, rng.Chance(1, 2) ? "ab" : "aAbBzZ*[]^-\\\xff`@", rng.Chance(1, 3) ? 3 : 9);
    const bool expected = GlobModel(pattern, ignore_case).Matches(text);
    matches += expected ? 1 : 0;
    INFO("pattern ", pattern, " text ", text, " ignore_case ", ignore_case);
    REQUIRE(GlobMatch(pattern, text, ignore_case) == expected);
  }
  // Both answers must have been asked for often.
  CHECK(matches > kRounds / 20);
  CHECK(matches < kRounds / 2);
}

// A matcher that goes back to every star takes 2^n steps here.
TEST_CASE("glob: many stars take bounded time") {
  const auto start = std::chrono::steady_clock::now();
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "a*";
  pattern += "b";
  const std::string text(20'000, 'a');
  CHECK_FALSE(GlobMatch(pattern, text));
  CHECK(GlobMatch(pattern, text + "b"));

  std::string classes;
  for (int i = 0; i < 500; ++i) classes += "*[a-z][^0-9]?";
  CHECK_FALSE(GlobMatch(classes + "B", text));
  CHECK(GlobMatch(classes + "B", text + "B"));
  CHECK_FALSE(GlobMatch("*" + std::string(5000, 'a') + "b", text));
  CHECK_FALSE(GlobMatch("*" + std::string(2000, '['), text));

  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(took.count() < 30.0);  // a fraction of a second; a sanitizer on a busy machine takes longer
}

}  // namespace
}  // namespace holdfast
