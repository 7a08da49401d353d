#include "engine/acl_rules.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/numbers.h"
#include "base/sha256.h"

namespace holdfast::engine {
namespace {

constexpr std::string_view kAclBlanks = " \t\r\n";

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What stands behind a backslash in double quotes; `text` begins behind it and isn't empty.
char TakeEscaped(std::string_view* text) {
  const char c = text->front();
  if (c == 'x' && text->size() >= 3 && HexDigit((*text)[1]) >= 0 && HexDigit((*text)[2]) >= 0) {
    const char byte = static_cast<char>(HexDigit((*text)[1]) * 16 + HexDigit((*text)[2]));
    text->remove_prefix(3);
    return byte;
  }
  text->remove_prefix(1);
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// A quoted part, whose opening quote is gone. False: it isn't closed, or something follows at once.
bool TakeQuoted(char quote, std::string_view* text, std::string* word) {
  while (!text->empty()) {
    const char c = text->front();
    text->remove_prefix(1);
    if (c == quote) return text->empty() || IsBlank(text->front());
    if (c == '\\' && quote == '"' && !text->empty()) {
      word->push_back(TakeEscaped(text));
    } else if (c == '\\' && quote == '\'' && text->starts_with('\'')) {
      word->push_back('\'');
      text->remove_prefix(1);
    } else {
      word->push_back(c);
    }
  }
  return false;
}

std::string_view TrimBlanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(kAclBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kAclBlanks) - begin + 1);
}

// The words of a line of an ACL file, which has no quotes: blanks part them, two of them an empty
// one, which changes nothing.
std::vector<std::string_view> SplitLine(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end + 1);
  }
}

// What is wrong with a user's line, for ReadAclFile. `where`: the file and the line's number.
std::string ReadLine(const CommandTable& table, const std::string& where,
                     std::span<const std::string_view> rules, bool all_channels, AclUser* user) {
  std::vector<std::string> merged;
  if (MergeSelectors(rules, &merged) >= 0) {
    return where + ": Unmatched parenthesis in selector definition.";
  }
  std::string errors;
  bool reported = false;
  for (const std::string& rule : merged) {
    const std::string_view trimmed = TrimBlanks(rule);
    const AclFault fault = user->Apply(table, trimmed, all_channels);
    if (fault == AclFault::kUnknownCommand) {
      // Such a rule holds no secret.
      errors += where + ": Error in applying operation '" + std::string(trimmed) +
                "': " + std::string(FaultText(fault)) + ". ";
    } else if (fault != AclFault::kNone && !std::exchange(reported, true)) {
      errors += where + ": " + std::string(FaultText(fault)) + ". ";
    }
  }
  return errors;
}

}  // namespace

bool SplitRules(std::string_view text, std::vector<std::string>* words) {
  while (true) {
    while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
    if (text.empty()) return true;
    std::string& word = words->emplace_back();
    while (!text.empty() && !IsBlank(text.front())) {
      const char c = text.front();
      text.remove_prefix(1);
      if (c == '"' || c == '\'') {
        if (!TakeQuoted(c, &text, &word)) return false;
      } else {
        word.push_back(c);
      }
    }
  }
}

int MergeSelectors(std::span<const std::string_view> rules, std::vector<std::string>* merged) {
  int open = -1;
  std::string selector;
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string_view rule = rules[i];
    if (open >= 0) {
      selector += ' ';
      selector += rule;
    } else if (rule.starts_with('(') && !rule.ends_with(')')) {
      selector = rule;
      open = static_cast<int>(i);
      continue;
    } else {
      merged->emplace_back(rule);
      continue;
    }
    if (rule.ends_with(')')) {
      merged->push_back(std::move(selector));
      open = -1;
    }
  }
  return open;
}

bool HasBlanks(std::string_view text) { return std::any_of(text.begin(), text.end(), IsBlank); }

std::string_view WhyBadUserName(std::string_view name) {
  // Unlike in Redis: what is forwarded without a name may do everything.
  if (name.empty()) return "ERR Usernames can't be empty";
  return HasBlanks(name) ? "ERR Usernames can't contain spaces or null characters"
                         : std::string_view();
}

std::string ApplyRules(const CommandTable& table, std::span<const std::string_view> rules,
                       bool all_channels, AclUser* user) {
  std::vector<std::string> merged;
  if (const int open = MergeSelectors(rules, &merged); open >= 0) {
    return "Unmatched parenthesis in acl selector starting at '" +
           std::string(rules[static_cast<size_t>(open)]) + "'.";
  }
  AclUser changed = *user;
  for (const std::string& rule : merged) {
    const AclFault fault = changed.Apply(table, rule, all_channels);
    if (fault == AclFault::kNone) continue;
    return "Error in ACL SETUSER modifier '" + rule + "': " + std::string(FaultText(fault));
  }
  *user = std::move(changed);
  return {};
}

std::string HideSecret(std::string_view rule) {
  if (rule.starts_with('>')) return "#" + Sha256Hex(rule.substr(1));
  if (rule.starts_with('<')) return "!" + Sha256Hex(rule.substr(1));
  return std::string(rule);
}

bool ReadUser(const CommandTable& table, std::string_view text, AclUser* user) {
  const std::vector<std::string_view> words = SplitLine(text);
  std::vector<std::string> merged;
  if (MergeSelectors(words, &merged) >= 0) return false;
  AclUser read(user->name(), /*all_channels=*/false);
  for (const std::string& rule : merged) {
    if (!rule.starts_with('(')) {
      const AclFault fault = read.Apply(table, rule, /*all_channels=*/false);
      if (fault != AclFault::kNone && fault != AclFault::kUnknownCommand) return false;
      continue;
    }
    // Word by word, since what isn't known must not take the rest along.
    std::string known = "(";
    if (!rule.ends_with(')')) return false;
    for (const std::string_view word :
         SplitLine(std::string_view(rule).substr(1, rule.size() - 2))) {
      AclSelector scratch(false);
      if (scratch.Apply(table, word) == AclFault::kUnknownCommand) continue;
      if (known.size() > 1) known += ' ';
      known += word;
    }
    if (read.Apply(table, known + ")", /*all_channels=*/false) != AclFault::kNone) return false;
  }
  *user = std::move(read);
  return true;
}

std::string ReadAclFile(const CommandTable& table, std::string_view file, std::string_view text,
                        bool all_channels, std::vector<AclUser>* users) {
  std::string errors;
  std::map<std::string, size_t, std::less<>> names;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = TrimBlanks(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const std::string where = std::string(file) + ":" + std::to_string(number);
    const std::vector<std::string_view> words = SplitLine(line);
    if (words[0] != "user" || words.size() < 2) {
      errors += where + " should start with user keyword followed by the username. ";
      continue;
    }
    const std::string name(words[1]);
    if (!WhyBadUserName(name).empty()) {
      errors += "'" + where + ": username '" + name + "' contains invalid characters. ";
      continue;
    }
    if (!names.emplace(name, number).second) {
      errors +=
          "WARNING: Duplicate user '" + name + "' found on line " + std::to_string(number) + ". ";
      continue;
    }
    AclUser user(name, all_channels);
    errors += ReadLine(table, where, std::span(words).subspan(2), all_channels, &user);
    users->push_back(std::move(user));
  }
  if (!errors.empty()) {
    users->clear();
    errors +=
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
  }
  return errors;
}

}  // namespace holdfast::engine
