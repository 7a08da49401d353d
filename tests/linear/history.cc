#include "history.h"

#include <array>

#include "base/numbers.h"

namespace holdfast::linear {
namespace {

// What stands for an argument or a result: v value, e expected, n number; s seen, f flag, m the
// number seen, o owner or ~, t token or ~. A result in capitals may be left out.
struct Syntax {
  ModelKind model;
  std::string_view word;
  Kind kind;
  std::string_view arguments;
  std::string_view results;
};

constexpr std::array kSyntax = {
    Syntax{ModelKind::kRegister, "write", Kind::kWrite, "v", ""},
    Syntax{ModelKind::kRegister, "read", Kind::kRead, "", "s"},
    Syntax{ModelKind::kRegister, "readrev", Kind::kReadRevision, "", "sM"},
    Syntax{ModelKind::kRegister, "cas", Kind::kCas, "ev", "fM"},
    Syntax{ModelKind::kRegister, "casrev", Kind::kCasRevision, "nv", "fM"},
    Syntax{ModelKind::kRegister, "setnx", Kind::kSetIfMissing, "v", "f"},
    Syntax{ModelKind::kRegister, "delete", Kind::kDelete, "", "f"},
    Syntax{ModelKind::kCounter, "incr", Kind::kIncrement, "n", "m"},
    Syntax{ModelKind::kCounter, "read", Kind::kRead, "", "m"},
    Syntax{ModelKind::kLock, "lock", Kind::kLock, "vn", "t"},
    Syntax{ModelKind::kLock, "unlock", Kind::kUnlock, "v", "f"},
    Syntax{ModelKind::kLock, "extend", Kind::kExtend, "vn", "fM"},
    Syntax{ModelKind::kLock, "info", Kind::kInfo, "", "sM"},
    Syntax{ModelKind::kAppend, "append", Kind::kAppend, "v", "m"},
    Syntax{ModelKind::kAppend, "read", Kind::kRead, "", "s"},
};

constexpr std::array<std::string_view, 4> kModels = {"register", "counter", "lock", "append"};
constexpr std::array<std::string_view, 3> kOutcomes = {"ok", "failed", "doubt"};

// The next field of `line`, which loses it; empty at the end.
std::string_view Take(std::string_view* line) {
  const size_t blank = line->find(' ');
  const std::string_view field = line->substr(0, blank);
  *line = blank == std::string_view::npos ? std::string_view() : line->substr(blank + 1);
  return field;
}

template <size_t N>
int IndexOf(const std::array<std::string_view, N>& words, std::string_view word) {
  for (size_t i = 0; i < N; ++i) {
    if (words[i] == word) return static_cast<int>(i);
  }
  return -1;
}

bool TakeItem(char item, std::string_view field, Operation* op) {
  if (field.empty()) return false;
  switch (item) {
    case 'v':
      op->value = field;
      return field != kMissing;
    case 'e':
      op->expected = field;
      return true;
    case 'n':
      return ParseInt64(field, &op->number);
    case 's':
      op->seen = field;
      return true;
    case 'f':
      if (field == "notowner") op->flag = Operation::kNotOwner;
      if (field == "1") op->flag = 1;
      return op->flag != 0 || field == "0";
    case 't':
      if (field == kMissing) return true;
      [[fallthrough]];
    default:
      return ParseInt64(field, &op->seen_number);
  }
}

bool TakeAll(std::string_view items, std::string_view* line, Operation* op) {
  for (const char item : items) {
    if (item == 'M' && line->empty()) continue;
    if (!TakeItem(item == 'M' ? 'm' : item, Take(line), op)) return false;
  }
  return true;
}

const Syntax* Find(ModelKind model, std::string_view word) {
  for (const Syntax& syntax : kSyntax) {
    if (syntax.model == model && syntax.word == word) return &syntax;
  }
  return nullptr;
}

}  // namespace

Result<Operation> ParseOperation(std::string_view line) {
  Operation op;
  const int model = IndexOf(kModels, Take(&line));
  if (model < 0) return Status::InvalidArgument("an unknown model");
  op.model = static_cast<ModelKind>(model);
  op.key = Take(&line);
  op.client = Take(&line);
  if (!ParseInt64(Take(&line), &op.start)) return Status::InvalidArgument("START is no number");
  const std::string_view end = Take(&line);
  if (end != "-" && !ParseInt64(end, &op.end)) return Status::InvalidArgument("END is no number");
  const int outcome = IndexOf(kOutcomes, Take(&line));
  if (outcome < 0) return Status::InvalidArgument("an unknown outcome");
  op.outcome = static_cast<Outcome>(outcome);
  if (op.outcome == Outcome::kOk && (op.end == kNever || op.end < op.start)) {
    return Status::InvalidArgument("an operation that was answered ends behind its start");
  }
  if (op.outcome == Outcome::kInDoubt) op.end = kNever;
  const Syntax* syntax = Find(op.model, Take(&line));
  if (syntax == nullptr) return Status::InvalidArgument("the model has no such operation");
  op.kind = syntax->kind;
  if (!TakeAll(syntax->arguments, &line, &op)) return Status::InvalidArgument("a bad argument");
  if (op.outcome == Outcome::kOk && !syntax->results.empty()) {
    if (Take(&line) != "=" || !TakeAll(syntax->results, &line, &op)) {
      return Status::InvalidArgument("a bad result");
    }
  }
  if (!line.empty()) return Status::InvalidArgument("more fields than the operation has");
  return op;
}

std::string Format(const Operation& op) {
  const Syntax* syntax = nullptr;
  for (const Syntax& each : kSyntax) {
    if (each.model == op.model && each.kind == op.kind) syntax = &each;
  }
  CHECK(syntax != nullptr);
  std::string text(kModels[static_cast<size_t>(op.model)]);
  text += ' ' + op.key + ' ' + op.client + ' ' + std::to_string(op.start) + ' ';
  text += op.end == kNever ? "-" : std::to_string(op.end);
  text += ' ';
  text += kOutcomes[static_cast<size_t>(op.outcome)];
  text += ' ';
  text += syntax->word;
  const auto add = [&](char item) {
    if (item == 'M' && op.seen_number == Operation::kNone) return;
    text += ' ';
    if (item == 'v') text += op.value;
    if (item == 'e') text += op.expected;
    if (item == 's') text += op.seen;
    if (item == 'n') text += std::to_string(op.number);
    if (item == 'f') text += op.flag == Operation::kNotOwner ? "notowner" : std::to_string(op.flag);
    if (item == 't' && op.seen_number == Operation::kNone) {
      text += kMissing;
    } else if (item == 'm' || item == 'M' || item == 't') {
      text += std::to_string(op.seen_number);
    }
  };
  for (const char item : syntax->arguments) add(item);
  if (op.outcome == Outcome::kOk && !syntax->results.empty()) {
    text += " =";
    for (const char item : syntax->results) add(item);
  }
  return text;
}

Status ReadHistory(std::istream& in, const std::string& name, std::vector<Operation>* history) {
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    Result<Operation> op = ParseOperation(line);
    if (!op.ok()) {
      return Status::InvalidArgument(name + ":" + std::to_string(number) + ": " +
                                     op.status().message() + ": " + line.substr(0, 200));
    }
    history->push_back(std::move(op).value());
  }
  if (in.bad()) return Status::IoError(name + ": can't be read");
  return Status::Ok();
}

}  // namespace holdfast::linear
