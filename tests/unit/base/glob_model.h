// Glob matching as its definition says it, without cleverness: the pattern becomes a list of
// elements, and a table says which beginnings match which. GlobMatch is compared with it.
#pragma once

#include <bitset>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

struct GlobElement {
  bool star = false;
  std::bitset<256> bytes;  // what the one byte may be, when it is no star
};

class GlobModel {
 public:
  GlobModel(std::string_view pattern, bool ignore_case) : ignore_case_(ignore_case) {
    while (!pattern.empty()) pattern.remove_prefix(Parse(pattern));
  }

  bool Matches(std::string_view text) const {
    // row[i]: whether the elements so far match the first i bytes of the text.
    std::vector<char> row(text.size() + 1, 0);
    row[0] = 1;
    for (const GlobElement& element : elements_) {
      std::vector<char> next(text.size() + 1, 0);
      for (size_t i = 0; i <= text.size(); ++i) {
        if (element.star) {
          next[i] = row[i] != 0 || (i > 0 && next[i - 1] != 0) ? 1 : 0;
        } else if (i > 0) {
          const auto c = static_cast<unsigned char>(text[i - 1]);
          next[i] = row[i - 1] != 0 && element.bytes.test(c) ? 1 : 0;
        }
      }
      row = std::move(next);
    }
    return row[text.size()] != 0;
  }

 private:
  static unsigned Byte(char c) { return static_cast<unsigned char>(c); }
  static unsigned Lower(unsigned c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

  // Allows `c`, in both cases when case doesn't count.
  void Allow(unsigned c, std::bitset<256>* bytes) const {
    for (unsigned other = 0; other < 256; ++other) {
      if (other == c || (ignore_case_ && Lower(other) == Lower(c))) bytes->set(other);
    }
  }

  // Adds the element that `rest` begins with; returns how many bytes it takes.
  size_t Parse(std::string_view rest) {
    GlobElement element;
    size_t length = 1;
    if (rest[0] == '*') {
      element.star = true;
    } else if (rest[0] == '?') {
      element.bytes.set();
    } else if (rest[0] == '[') {
      length = ParseClass(rest, &element.bytes);
    } else {
      if (rest[0] == '\\' && rest.size() > 1) length = 2;
      Allow(Byte(rest[length - 1]), &element.bytes);
    }
    elements_.push_back(element);
    return length;
  }

  size_t ParseClass(std::string_view rest, std::bitset<256>* bytes) const {
    size_t i = 1;
    const bool negated = rest.size() > 1 && rest[1] == '^';
    if (negated) ++i;
    while (i < rest.size() && rest[i] != ']') {
      if (rest[i] == '\\' && i + 1 < rest.size()) {
        bytes->set(Byte(rest[i + 1]));  // Redis: an escaped member is compared as it is
        i += 2;
      } else if (i + 2 < rest.size() && rest[i + 1] == '-') {
        AllowRange(Byte(rest[i]), Byte(rest[i + 2]), bytes);
        i += 3;
      } else {
        Allow(Byte(rest[i]), bytes);
        ++i;
      }
    }
    if (negated) bytes->flip();
    return i < rest.size() ? i + 1 : i;
  }

  void AllowRange(unsigned first, unsigned last, std::bitset<256>* bytes) const {
    if (first > last) std::swap(first, last);
    if (ignore_case_) {
      first = Lower(first);
      last = Lower(last);
    }
    for (unsigned c = 0; c < 256; ++c) {
      const unsigned folded = ignore_case_ ? Lower(c) : c;
      if (folded >= first && folded <= last) bytes->set(c);
    }
  }

  bool ignore_case_;
  std::vector<GlobElement> elements_;
};

}  // namespace holdfast
