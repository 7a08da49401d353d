#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/glob.h"
#include "base/numbers.h"
#include "engine/acl_rules.h"
#include "engine/acl_user.h"

namespace holdfast::engine {
namespace {

constexpr size_t kFutureCommands = AclSelector::kMaxCommands - 1;

constexpr AclCategoryName kAclCategoryNames[] = {
    {kAclKeyspace, "keyspace"},
    {kAclRead, "read"},
    {kAclWrite, "write"},
    {kAclSet, "set"},
    {kAclSortedSet, "sortedset"},
    {kAclList, "list"},
    {kAclHash, "hash"},
    {kAclString, "string"},
    {kAclBitmap, "bitmap"},
    {kAclHyperloglog, "hyperloglog"},
    {kAclGeo, "geo"},
    {kAclStream, "stream"},
    {kAclPubsub, "pubsub"},
    {kAclAdmin, "admin"},
    {kAclFast, "fast"},
    {kAclSlow, "slow"},
    {kAclBlocking, "blocking"},
    {kAclDangerous, "dangerous"},
    {kAclConnection, "connection"},
    {kAclTransaction, "transaction"},
    {kAclScripting, "scripting"},
    {kAclLock, "lock"},
    {kAclSequence, "sequence"},
};

// "config" or "config|get"; nullptr when there is none of that name.
const Command* FindByFullName(const CommandTable& table, std::string_view name) {
  const size_t bar = name.find('|');
  const Command* command = table.Find(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return table.FindSubcommand(*command, name.substr(bar + 1));
}

std::string_view PatternPrefix(const AclKeyPattern& pattern) {
  switch (pattern.access) {
    case kMayRead:
      return "%R~";
    case kMayWrite:
      return "%W~";
    default:
      return "~";
  }
}

// Calls `visit(command)` for every row, subcommands behind their container, in the table's order.
template <typename Visit>
void ForEachCommand(const CommandTable& table, Visit visit) {
  for (const Command& command : table.commands()) {
    visit(command);
    for (const Command& subcommand : command.subcommands) visit(subcommand);
  }
}

// Of kAclCategoryNames; its size: there is none of that name.
size_t FindAclCategory(std::string_view name) {
  const auto* const it = std::find_if(
      std::begin(kAclCategoryNames), std::end(kAclCategoryNames),
      [name](const AclCategoryName& category) { return EqualsIgnoreCase(category.name, name); });
  return static_cast<size_t>(it - std::begin(kAclCategoryNames));
}

// A word of a selector's text, which is split like an inline request and ends with a parenthesis.
std::string QuoteWord(std::string word) {
  if (word.find_first_of("\"')") == std::string::npos) return word;
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

// Of each category, by the commands' ids. Users are described by the thousand on a loop, for which
// going through the table again and again takes too long.
struct AclCategorySets {
  using Set = std::bitset<AclSelector::kMaxCommands>;
  std::array<std::vector<uint32_t>, std::size(kAclCategoryNames)> members;
  // What a rule about the category changes: subcommands of the members, too.
  std::array<Set, std::size(kAclCategoryNames)> changed;
};

const AclCategorySets& CommandTable::category_sets() const {
  std::call_once(category_sets_once_, [this] {
    CHECK(size() < kFutureCommands);
    auto sets = std::make_shared<AclCategorySets>();
    ForEachCommand(*this, [&sets](const Command& command) {
      for (size_t i = 0; i < std::size(kAclCategoryNames); ++i) {
        if ((command.acl & kAclCategoryNames[i].bit) == 0) continue;
        sets->members[i].push_back(command.id);
        sets->changed[i].set(command.id);
        for (const Command& subcommand : command.subcommands) sets->changed[i].set(subcommand.id);
      }
    });
    category_sets_ = std::move(sets);
  });
  return *category_sets_;
}

std::span<const AclCategoryName> AclCategories() { return kAclCategoryNames; }

uint32_t FindAclCategoryBit(std::string_view name) {
  const size_t i = FindAclCategory(name);
  return i == std::size(kAclCategoryNames) ? 0 : kAclCategoryNames[i].bit;
}

// ---- Rules

AclFault AclSelector::Apply(const CommandTable& table, std::string_view rule) {
  CHECK(table.size() < kFutureCommands);
  if (EqualsIgnoreCase(rule, "allkeys") || rule == "~*") {
    all_keys_ = true;
    keys_.clear();
  } else if (EqualsIgnoreCase(rule, "resetkeys")) {
    all_keys_ = false;
    keys_.clear();
  } else if (EqualsIgnoreCase(rule, "allchannels") || rule == "&*") {
    all_channels_ = true;
    channels_.clear();
  } else if (EqualsIgnoreCase(rule, "resetchannels")) {
    all_channels_ = false;
    channels_.clear();
  } else if (EqualsIgnoreCase(rule, "allcommands") || EqualsIgnoreCase(rule, "+@all")) {
    all_commands_ = true;
    commands_.set();
    first_args_.clear();
  } else if (EqualsIgnoreCase(rule, "nocommands") || EqualsIgnoreCase(rule, "-@all")) {
    all_commands_ = false;
    commands_.reset();
    first_args_.clear();
  } else if (rule.starts_with('~') || rule.starts_with('%')) {
    return ApplyToKeys(rule);
  } else if (rule.starts_with('&')) {
    return ApplyToChannels(rule);
  } else if (rule.starts_with("+@") || rule.starts_with("-@")) {
    const size_t category = FindAclCategory(rule.substr(2));
    if (category == std::size(kAclCategoryNames)) return AclFault::kUnknownCommand;
    SetCategory(table, category, rule.front() == '+');
  } else if (rule.starts_with('+')) {
    return AllowByName(table, rule.substr(1));
  } else if (rule.starts_with('-')) {
    return Deny(table, rule.substr(1));
  } else {
    return AclFault::kSyntax;
  }
  return AclFault::kNone;
}

// "~pattern", "%R~pattern", "%W~pattern" or "%RW~pattern".
AclFault AclSelector::ApplyToKeys(std::string_view rule) {
  if (all_keys_) return AclFault::kKeyAfterAll;
  const size_t tilde = rule.find('~');
  if (tilde == std::string_view::npos) return AclFault::kSyntax;
  uint8_t access = 0;
  for (const char c : rule.substr(0, tilde).substr(rule.front() == '%' ? 1 : 0)) {
    const uint8_t more = c == 'R' || c == 'r' ? kMayRead : c == 'W' || c == 'w' ? kMayWrite : 0;
    if (more == 0 || (access & more) != 0) return AclFault::kSyntax;
    access |= more;
  }
  if (rule.front() == '~') access = kMayReadAndWrite;
  const std::string_view pattern = rule.substr(tilde + 1);
  if (access == 0 || HasBlanks(pattern)) return AclFault::kSyntax;
  const auto it = std::find_if(keys_.begin(), keys_.end(), [pattern](const AclKeyPattern& present) {
    return present.pattern == pattern;
  });
  if (it != keys_.end()) access |= it->access;
  if (pattern == "*" && access == kMayReadAndWrite) {
    // What reads "~*" is that, however it came about.
    all_keys_ = true;
    keys_.clear();
  } else if (it != keys_.end()) {
    it->access = access;
  } else {
    keys_.push_back({std::string(pattern), access});
  }
  return AclFault::kNone;
}

AclFault AclSelector::ApplyToChannels(std::string_view rule) {
  if (all_channels_) return AclFault::kChannelAfterAll;
  const std::string_view pattern = rule.substr(1);
  if (HasBlanks(pattern)) return AclFault::kSyntax;
  if (std::find(channels_.begin(), channels_.end(), pattern) == channels_.end()) {
    channels_.emplace_back(pattern);
  }
  return AclFault::kNone;
}

// "get", "config|get", or "select|0": a command with its first argument.
AclFault AclSelector::AllowByName(const CommandTable& table, std::string_view name) {
  const size_t bar = name.rfind('|');
  const Command* command = FindByFullName(table, name.substr(0, bar));
  if (command == nullptr) return AclFault::kUnknownCommand;
  if (bar == std::string_view::npos) {
    Set(*command, true);
    return AclFault::kNone;
  }
  const std::string_view behind = name.substr(bar + 1);
  if (!command->parent.empty()) return AclFault::kFirstArgOfSubcommand;
  if (behind.empty() || HasBlanks(behind)) return AclFault::kSyntax;
  if (!command->subcommands.empty()) {
    const Command* subcommand = table.FindSubcommand(*command, behind);
    if (subcommand == nullptr) return AclFault::kUnknownCommand;
    Set(*subcommand, true);
    return AclFault::kNone;
  }
  // Whatever takes the command away again takes its first arguments along.
  if (commands_.test(command->id)) return AclFault::kNone;
  std::vector<std::string>& allowed = first_args_[command->id];
  const bool present = std::any_of(allowed.begin(), allowed.end(), [behind](const auto& arg) {
    return EqualsIgnoreCase(arg, behind);
  });
  if (!present) allowed.emplace_back(behind);
  return AclFault::kNone;
}

AclFault AclSelector::Deny(const CommandTable& table, std::string_view name) {
  const Command* command = FindByFullName(table, name);
  if (command == nullptr) return AclFault::kUnknownCommand;
  Set(*command, false);
  return AclFault::kNone;
}

void AclSelector::Set(const Command& command, bool allowed) {
  commands_.set(command.id, allowed);
  first_args_.erase(command.id);
  for (const Command& subcommand : command.subcommands) commands_.set(subcommand.id, allowed);
  // Everything, future commands included, is "+@all", however it came about.
  all_commands_ = allowed && (all_commands_ || commands_.all());
}

void AclSelector::SetCategory(const CommandTable& table, size_t category, bool allowed) {
  const AclCategorySets::Set& changed = table.category_sets().changed[category];
  if (changed.none()) return;
  commands_ = allowed ? commands_ | changed : commands_ & ~changed;
  std::erase_if(first_args_, [&changed](const auto& entry) { return changed.test(entry.first); });
  all_commands_ = allowed && (all_commands_ || commands_.all());
}

// ---- Questions

bool AclSelector::AllowsCommand(const Command& command, Args args) const {
  if (all_commands_ || command.has(kNoAuth) || commands_.test(command.id)) return true;
  const auto it = first_args_.find(command.id);
  if (it == first_args_.end() || args.size() < 2) return false;
  return std::any_of(it->second.begin(), it->second.end(), [args](const std::string& allowed) {
    return EqualsIgnoreCase(allowed, args[1]);
  });
}

bool AclSelector::AllowsKey(std::string_view key, uint8_t access) const {
  if (all_keys_) return true;
  return std::any_of(keys_.begin(), keys_.end(), [key, access](const AclKeyPattern& pattern) {
    return (pattern.access & access) == access && GlobMatch(pattern.pattern, key);
  });
}

bool AclSelector::AllowsEveryKey(uint8_t access) const {
  if (all_keys_) return true;
  return std::any_of(keys_.begin(), keys_.end(), [access](const AclKeyPattern& pattern) {
    return (pattern.access & access) == access && pattern.pattern == "*";
  });
}

bool AclSelector::AllowsChannel(std::string_view channel, bool is_pattern) const {
  if (all_channels_) return true;
  return std::any_of(channels_.begin(), channels_.end(), [&](const std::string& pattern) {
    return is_pattern ? pattern == channel : GlobMatch(pattern, channel);
  });
}

// ---- Canonical text

std::string AclSelector::DescribeKeys() const {
  if (all_keys_) return "~*";
  std::string text;
  for (const AclKeyPattern& pattern : keys_) {
    if (!text.empty()) text += ' ';
    text += PatternPrefix(pattern);
    text += pattern.pattern;
  }
  return text;
}

std::string AclSelector::DescribeChannels() const {
  if (all_channels_) return "&*";
  std::string text;
  for (const std::string& pattern : channels_) {
    if (!text.empty()) text += ' ';
    text += '&';
    text += pattern;
  }
  return text;
}

// Categories first, the one that fits best each time, as Redis chooses them; then what they don't
// say exactly.
std::string AclSelector::DescribeCommands(const CommandTable& table) const {
  const bool adds = !commands_.test(kFutureCommands);
  const char sign = adds ? '+' : '-';
  std::string text = adds ? "-@all" : "+@all";
  AclSelector so_far(false);
  CHECK(so_far.Apply(table, text) == AclFault::kNone);
  const AclCategorySets& sets = table.category_sets();
  AclSelector rest = *this;
  std::array<bool, std::size(kAclCategoryNames)> applied{};
  while (true) {
    size_t best = std::size(kAclCategoryNames);
    size_t fewest_wrong = SIZE_MAX;
    size_t most_right = 0;
    for (size_t i = 0; i < std::size(kAclCategoryNames); ++i) {
      if (applied[i]) continue;
      size_t allowed = 0;
      for (const uint32_t id : sets.members[i]) allowed += rest.commands_.test(id) ? 1 : 0;
      const size_t denied = sets.members[i].size() - allowed;
      const size_t right = adds ? allowed : denied;
      const size_t wrong = adds ? denied : allowed;
      if (right > wrong &&
          (wrong < fewest_wrong || (wrong == fewest_wrong && right > most_right))) {
        best = i;
        fewest_wrong = wrong;
        most_right = right;
      }
    }
    if (best == std::size(kAclCategoryNames)) break;
    so_far.SetCategory(table, best, adds);
    rest.SetCategory(table, best, !adds);
    text += std::string(" ") + sign + "@" + std::string(kAclCategoryNames[best].name);
    applied[best] = true;
  }
  DescribeSingly(table, &so_far, &text);
  CHECK(so_far.commands_ == commands_);
  return text;
}

void AclSelector::DescribeSingly(const CommandTable& table, AclSelector* so_far,
                                 std::string* out) const {
  ForEachCommand(table, [&](const Command& command) {
    const bool allowed = commands_.test(command.id);
    if (allowed != so_far->commands_.test(command.id)) {
      *out += (allowed ? " +" : " -") + FullName(command);
      so_far->Set(command, allowed);
    }
    const auto first_args = first_args_.find(command.id);
    if (allowed || first_args == first_args_.end()) return;
    for (const std::string& arg : first_args->second) {
      *out += " +" + FullName(command) + "|" + arg;
    }
  });
}

std::string AclSelector::Describe(const CommandTable& table) const {
  std::string text = DescribeKeys();
  if (!text.empty()) text += ' ';
  if (!all_channels_) text += "resetchannels ";
  const std::string channels = DescribeChannels();
  text += channels;
  if (!channels.empty()) text += ' ';
  return text + DescribeCommands(table);
}

std::string AclSelector::DescribeNested(const CommandTable& table) const {
  std::string text;
  const std::string plain = Describe(table);
  for (size_t begin = 0; begin <= plain.size();) {
    const size_t end = std::min(plain.find(' ', begin), plain.size());
    if (begin > 0) text += ' ';
    text += QuoteWord(plain.substr(begin, end - begin));
    begin = end + 1;
  }
  return text;
}

}  // namespace holdfast::engine
