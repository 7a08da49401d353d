#include "commands/syntax.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::commands {
namespace {

using ArgumentType = Argument::Type;

constexpr int kMaxDepth = 8;

// Values whose names say that they are numbers; everything else is a string.
constexpr std::string_view kIntegers[] = {
    "bit",           "client-id",      "count",    "cursor",    "db",
    "decrement",     "destination-db", "end",      "frequency", "increment",
    "index",         "index1",         "index2",   "len",       "milliseconds",
    "min-match-len", "number",         "numkeys",  "numlocal",  "numreplicas",
    "offset",        "protover",       "revision", "seconds",   "start",
    "stop",          "timeout",        "token",    "ttl",       "version"};

ArgumentType TypeOfValue(std::string_view name) {
  if (name == "pattern") return ArgumentType::kPattern;
  if (name == "timestamp" || name.starts_with("unix-")) return ArgumentType::kUnixTime;
  if (name == "float-increment") return ArgumentType::kDouble;
  return std::find(std::begin(kIntegers), std::end(kIntegers), name) != std::end(kIntegers)
             ? ArgumentType::kInteger
             : ArgumentType::kString;
}

// A word without a small letter stands for itself.
bool IsToken(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

std::string JoinNames(const std::vector<Argument>& arguments) {
  std::string name;
  for (const Argument& argument : arguments) {
    if (!name.empty()) name += '_';
    name += argument.name;
  }
  return name;
}

// Redis has names of their own for what many commands share.
std::string NameOfGroup(ArgumentType type, const std::vector<Argument>& arguments) {
  if (type == ArgumentType::kOneOf) {
    const std::string& token = arguments[0].token;
    if (token == "EX") return "expiration";
    if (token == "NX" || token == "IFEQ") return "condition";
    if (token == "BYTE") return "index_unit";
  }
  return JoinNames(arguments);
}

Argument Group(ArgumentType type, std::vector<Argument> arguments) {
  Argument group;
  group.type = type;
  group.name = NameOfGroup(type, arguments);
  group.arguments = std::move(arguments);
  return group;
}

Argument Word(std::string_view word) {
  Argument argument;
  if (IsToken(word)) {
    argument.type = ArgumentType::kPureToken;
    argument.name = ToLower(word);
    argument.token = word;
  } else {
    argument.type = TypeOfValue(word);
    argument.name = word;
  }
  return argument;
}

bool MayTakeToken(const Argument& argument) {
  return argument.type != ArgumentType::kPureToken && argument.token.empty() && !argument.optional;
}

// "EX", "seconds" becomes one argument with a token.
void AttachTokens(std::vector<Argument>* arguments) {
  std::vector<Argument> joined;
  for (Argument& argument : *arguments) {
    if (!joined.empty() && joined.back().type == ArgumentType::kPureToken &&
        !joined.back().optional && !joined.back().multiple && MayTakeToken(argument)) {
      argument.token = joined.back().token;
      joined.back() = std::move(argument);
    } else {
      joined.push_back(std::move(argument));
    }
  }
  *arguments = std::move(joined);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<std::vector<Argument>> All() {
    std::vector<Argument> arguments;
    if (!Sequence(0, &arguments)) return std::nullopt;
    Skip();
    if (!rest_.empty() || repeated_) return std::nullopt;
    AttachTokens(&arguments);
    return arguments;
  }

 private:
  void Skip() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }

  // Items up to the end, a bar or a closing bracket. Tokens are not attached yet.
  bool Sequence(int depth, std::vector<Argument>* items) {
    if (depth > kMaxDepth) return false;
    while (true) {
      Skip();
      if (rest_.empty() || rest_[0] == '|' || rest_[0] == ']' || rest_[0] == '>') return true;
      if (rest_[0] == '[' || rest_[0] == '<') {
        if (!Bracket(depth, items)) return false;
        continue;
      }
      const size_t length = std::min(rest_.find_first_of(" []<>|"), rest_.size());
      items->push_back(Word(rest_.substr(0, length)));
      rest_.remove_prefix(length);
    }
  }

  // One alternative as one argument.
  static Argument Alternative(std::vector<Argument> items) {
    // A token with several arguments leads a block: "AUTH username password".
    if (items.size() > 2 && items[0].type == ArgumentType::kPureToken && MayTakeToken(items[1])) {
      const std::string token = items[0].token;
      items.erase(items.begin());
      AttachTokens(&items);
      Argument block =
          items.size() == 1 ? std::move(items[0]) : Group(ArgumentType::kBlock, std::move(items));
      block.token = token;
      return block;
    }
    AttachTokens(&items);
    return items.size() == 1 ? std::move(items[0]) : Group(ArgumentType::kBlock, std::move(items));
  }

  // "[a b ...]" behind a and b: they may be repeated.
  static bool Repeat(const std::vector<Argument>& repeated, std::vector<Argument>* items) {
    const size_t n = repeated.size();
    if (n == 0 || n > items->size()) return false;
    const size_t begin = items->size() - n;
    for (size_t i = 0; i < n; ++i) {
      if ((*items)[begin + i].name != repeated[i].name) return false;
    }
    std::vector<Argument> unit(
        std::make_move_iterator(items->begin() + static_cast<ptrdiff_t>(begin)),
        std::make_move_iterator(items->end()));
    items->resize(begin);
    Argument whole = Alternative(std::move(unit));
    whole.multiple = true;
    whole.multiple_token = !whole.token.empty() && whole.type != ArgumentType::kPureToken;
    items->push_back(std::move(whole));
    return true;
  }

  bool Bracket(int depth, std::vector<Argument>* items) {
    const bool optional = rest_[0] == '[';
    const char close = optional ? ']' : '>';
    rest_.remove_prefix(1);
    std::vector<Argument> alternatives;
    while (true) {
      std::vector<Argument> sequence;
      if (!Sequence(depth + 1, &sequence) || sequence.empty() || rest_.empty()) return false;
      const char end = rest_[0];
      rest_.remove_prefix(1);
      const bool repetition = sequence.back().name == "...";
      if (repetition) sequence.pop_back();
      if (repetition && (!optional || end != close)) return false;
      if (repetition && alternatives.empty()) return Repeat(sequence, items);
      if (sequence.empty()) return false;
      alternatives.push_back(Alternative(std::move(sequence)));
      if (repetition) {
        // "[a | b [a | b ...]]": it is the enclosing bracket that may be repeated.
        if (repeated_) return false;
        repeated_ = NameOfGroup(ArgumentType::kOneOf, alternatives);
        return true;
      }
      if (end == close) break;
      if (end != '|') return false;
    }
    Argument argument = alternatives.size() == 1
                            ? std::move(alternatives[0])
                            : Group(ArgumentType::kOneOf, std::move(alternatives));
    if (argument.optional && optional) return false;
    argument.optional = optional;
    if (repeated_) {
      if (argument.name != *repeated_) return false;
      argument.multiple = true;
      repeated_.reset();
    }
    items->push_back(std::move(argument));
    return true;
  }

  std::string_view rest_;
  // The alternatives that a bracket inside the present one repeats.
  std::optional<std::string> repeated_;
};

bool Covers(const engine::KeySpec& spec, int position) {
  if ((spec.flags & engine::kKeyNotKey) != 0) return false;
  switch (spec.kind) {
    case engine::KeySpec::Kind::kNone:
      return false;
    case engine::KeySpec::Kind::kRange:
      if (position < spec.first) return false;
      if (spec.last >= 0 && position > spec.last) return false;
      return (position - spec.first) % spec.step == 0;
    case engine::KeySpec::Kind::kNumKeys:
      return position == spec.first + 1;
    case engine::KeySpec::Kind::kKeyword:
    case engine::KeySpec::Kind::kStreams:
    case engine::KeySpec::Kind::kSortStore:
      return false;  // nowhere in particular
  }
  return false;
}

// Marks the keys among arguments whose positions are fixed; `position` is the first one's. Ends
// behind the first argument that isn't always exactly one.
void MarkKeys(const engine::Command& command, std::vector<Argument>* arguments, int* position) {
  for (Argument& argument : *arguments) {
    if (*position < 0) return;
    if (argument.optional || argument.type == ArgumentType::kOneOf) {
      // Behind a number of keys that may be 0.
      if (command.has(engine::kNoMandatoryKeys) && argument.type == ArgumentType::kString &&
          Covers(command.keys, *position)) {
        argument.type = ArgumentType::kKey;
        argument.key_spec_index = 0;
      }
      *position = -1;
      return;
    }
    if (!argument.token.empty() && argument.type != ArgumentType::kPureToken) ++*position;
    const bool multiple = argument.multiple;
    if (argument.type == ArgumentType::kBlock) {
      MarkKeys(command, &argument.arguments, position);
    } else {
      const bool first = Covers(command.keys, *position);
      if (first || Covers(command.more_keys, *position)) {
        argument.type = ArgumentType::kKey;
        argument.key_spec_index = first ? 0 : 1;
      }
      ++*position;
    }
    if (multiple) *position = -1;
  }
}

}  // namespace

std::string_view TypeName(ArgumentType type) {
  constexpr std::string_view kNames[] = {"string",    "integer",    "double", "key",  "pattern",
                                         "unix-time", "pure-token", "oneof",  "block"};
  return kNames[static_cast<size_t>(type)];
}

std::optional<std::vector<Argument>> ParseSyntax(std::string_view syntax) {
  return Parser(syntax).All();
}

std::vector<Argument> ArgumentsOf(const engine::Command& command) {
  std::optional<std::vector<Argument>> arguments = ParseSyntax(command.syntax);
  CHECK_MSG(arguments.has_value(), engine::FullName(command).c_str());
  if (command.name == "incrbyfloat") arguments->back().type = ArgumentType::kDouble;
  int position = command.parent.empty() ? 1 : 2;
  MarkKeys(command, &*arguments, &position);
  return std::move(*arguments);
}

}  // namespace holdfast::commands
