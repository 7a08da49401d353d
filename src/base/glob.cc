#include "base/glob.h"

#include <cstddef>
#include <utility>

namespace holdfast {
namespace {

char Fold(char c, bool ignore_case) {
  return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// Matches one character class that starts after '['. Sets `*end` behind the closing ']' (or at the
// end of the pattern when it is missing, as Redis does).
bool MatchClass(std::string_view pattern, size_t begin, char c, bool ignore_case, size_t* end) {
  size_t i = begin;
  const bool negate = i < pattern.size() && pattern[i] == '^';
  if (negate) ++i;
  const auto folded = static_cast<unsigned char>(Fold(c, ignore_case));
  bool match = false;
  while (i < pattern.size() && pattern[i] != ']') {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      if (pattern[i] == c) match = true;
      ++i;
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      // Redis puts the ends in order first and folds them then, so [Z-a] without case is empty.
      auto low = static_cast<unsigned char>(pattern[i]);
      auto high = static_cast<unsigned char>(pattern[i + 2]);
      if (low > high) std::swap(low, high);
      low = static_cast<unsigned char>(Fold(static_cast<char>(low), ignore_case));
      high = static_cast<unsigned char>(Fold(static_cast<char>(high), ignore_case));
      if (folded >= low && folded <= high) match = true;
      i += 3;
    } else {
      if (static_cast<unsigned char>(Fold(pattern[i], ignore_case)) == folded) match = true;
      ++i;
    }
  }
  *end = i < pattern.size() ? i + 1 : i;
  return match != negate;
}

// Matches the single-character element at pattern[p]; `*next` is where the following one begins.
bool MatchOne(std::string_view pattern, size_t p, char c, bool ignore_case, size_t* next) {
  switch (pattern[p]) {
    case '?':
      *next = p + 1;
      return true;
    case '[':
      return MatchClass(pattern, p + 1, c, ignore_case, next);
    case '\\':
      if (p + 1 < pattern.size()) ++p;
      [[fallthrough]];
    default:
      *next = p + 1;
      return Fold(pattern[p], ignore_case) == Fold(c, ignore_case);
  }
}

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view text, bool ignore_case) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // pattern position behind the last star
  size_t star_text = 0;                  // where that star's match ends for now
  while (t < text.size()) {
    size_t next = 0;
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
    } else if (p < pattern.size() && MatchOne(pattern, p, text[t], ignore_case, &next)) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace holdfast
