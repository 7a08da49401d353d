#include "engine/acl_user.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hmac.h"
#include "base/numbers.h"
#include "base/sha256.h"
#include "engine/acl_rules.h"

namespace holdfast::engine {

std::string_view FaultText(AclFault fault) {
  switch (fault) {
    case AclFault::kNone:
      break;
    case AclFault::kUnknownCommand:
      return "Unknown command or category name in ACL";
    case AclFault::kSyntax:
      return "Syntax error";
    case AclFault::kKeyAfterAll:
      return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does "
             "not have any effect. Try 'resetkeys' to start with an empty list of patterns";
    case AclFault::kChannelAfterAll:
      return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
             "does not have any effect. Try 'resetchannels' to start with an empty list of "
             "channels";
    case AclFault::kNoSuchPassword:
      return "The password you are trying to remove from the user does not exist";
    case AclFault::kBadHash:
      return "The password hash must be exactly 64 characters and contain only lowercase "
             "hexadecimal characters";
    case AclFault::kFirstArgOfSubcommand:
      return "Allowing first-arg of a subcommand is not supported";
  }
  return "Wrong format";
}

AclUser::AclUser(std::string name, bool all_channels) : name_(std::move(name)) {
  selectors_.emplace_back(all_channels);
}

AclUser AclUser::Default(const CommandTable& table, std::string_view password) {
  AclUser user("default", true);
  for (const std::string_view rule : {"+@all", "~*", "&*", "on", "nopass"}) {
    CHECK(user.Apply(table, rule, true) == AclFault::kNone);
  }
  if (!password.empty()) {
    CHECK(user.Apply(table, ">" + std::string(password), true) == AclFault::kNone);
  }
  return user;
}

bool AclUser::unrestricted() const {
  return std::any_of(selectors_.begin(), selectors_.end(), [](const AclSelector& selector) {
    return selector.all_commands() && selector.all_keys() && selector.all_channels();
  });
}

std::vector<std::string_view> AclUser::FlagNames() const {
  std::vector<std::string_view> names = {on_ ? "on" : "off"};
  if (nopass_) names.emplace_back("nopass");
  if (sanitize_ == Sanitize::kSkip) names.emplace_back("skip-sanitize-payload");
  if (sanitize_ == Sanitize::kYes) names.emplace_back("sanitize-payload");
  return names;
}

bool AclUser::Accepts(std::string_view password) const {
  // Also of one that is off: who takes no time to be refused would be told from one that isn't
  // there.
  const std::string hash = Sha256Hex(password);
  bool found = false;
  // All of them, so that which one it was can't be measured.
  for (const std::string& known : passwords_) found |= EqualInConstantTime(hash, known);
  return on_ && (nopass_ || found);
}

AclFault AclUser::Apply(const CommandTable& table, std::string_view rule, bool all_channels) {
  if (rule.empty() || ApplyFlag(rule, all_channels)) return AclFault::kNone;
  switch (rule.front()) {
    case '>':
    case '#':
    case '<':
    case '!':
      return ApplyPassword(rule);
    case '(':
      if (rule.back() != ')' || rule.size() < 2) return AclFault::kSyntax;
      return AddSelector(table, rule.substr(1, rule.size() - 2), all_channels);
    default:
      return selectors_.front().Apply(table, rule);
  }
}

// Rules that are one word and can't fail. False: it is none of them.
bool AclUser::ApplyFlag(std::string_view rule, bool all_channels) {
  if (EqualsIgnoreCase(rule, "on") || EqualsIgnoreCase(rule, "off")) {
    on_ = rule.size() == 2;
  } else if (EqualsIgnoreCase(rule, "skip-sanitize-payload")) {
    sanitize_ = Sanitize::kSkip;
  } else if (EqualsIgnoreCase(rule, "sanitize-payload")) {
    sanitize_ = Sanitize::kYes;
  } else if (EqualsIgnoreCase(rule, "nopass") || EqualsIgnoreCase(rule, "resetpass")) {
    nopass_ = EqualsIgnoreCase(rule, "nopass");
    passwords_.clear();
  } else if (EqualsIgnoreCase(rule, "clearselectors")) {
    selectors_.resize(1, AclSelector(false));
  } else if (EqualsIgnoreCase(rule, "reset")) {
    *this = AclUser(std::move(name_), all_channels);
    sanitize_ = Sanitize::kYes;
  } else {
    return false;
  }
  return true;
}

AclFault AclUser::ApplyPassword(std::string_view rule) {
  const char kind = rule.front();
  rule.remove_prefix(1);
  const bool hashed = kind == '#' || kind == '!';
  if (hashed && !IsSha256Hex(rule)) return AclFault::kBadHash;
  const std::string hash = hashed ? std::string(rule) : Sha256Hex(rule);
  const auto it = std::find(passwords_.begin(), passwords_.end(), hash);
  if (kind == '>' || kind == '#') {
    if (it == passwords_.end()) passwords_.push_back(hash);
    nopass_ = false;
    return AclFault::kNone;
  }
  if (it == passwords_.end()) return AclFault::kNoSuchPassword;
  passwords_.erase(it);
  return AclFault::kNone;
}

AclFault AclUser::AddSelector(const CommandTable& table, std::string_view rules,
                              bool all_channels) {
  std::vector<std::string> words;
  if (!SplitRules(rules, &words)) return AclFault::kSyntax;
  AclSelector selector(all_channels);
  for (const std::string& word : words) {
    const AclFault fault = selector.Apply(table, word);
    if (fault != AclFault::kNone) return fault;
  }
  selectors_.push_back(std::move(selector));
  return AclFault::kNone;
}

std::string AclUser::Describe(const CommandTable& table) const {
  std::string text;
  for (const std::string_view flag : FlagNames()) {
    text += flag;
    text += ' ';
  }
  for (const std::string& hash : passwords_) text += "#" + hash + " ";
  text += selectors_.front().Describe(table);
  for (size_t i = 1; i < selectors_.size(); ++i) {
    text += " (" + selectors_[i].DescribeNested(table) + ")";
  }
  return text;
}

}  // namespace holdfast::engine
