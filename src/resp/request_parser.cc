#include "resp/request_parser.h"

#include <algorithm>

#include "base/numbers.h"

namespace holdfast::resp {
namespace {

// Arguments that a header may announce before memory is set aside for them.
constexpr int64_t kMaxReserve = 1024;
constexpr size_t kMaxUnauthenticatedArgs = 10;
constexpr size_t kMaxUnauthenticatedBulk = 16 * 1024;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char Unescape(char c) {
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

// Reads a double-quoted argument that begins behind its quote. Returns the position behind the
// closing quote, npos when there is none or something follows it at once.
size_t ReadDoubleQuoted(std::string_view line, size_t i, std::string* arg) {
  while (i < line.size()) {
    const char c = line[i];
    if (c == '"') {
      const bool ends = i + 1 == line.size() || IsBlank(line[i + 1]);
      return ends ? i + 1 : std::string_view::npos;
    }
    if (c == '\\' && i + 3 < line.size() && line[i + 1] == 'x' && HexValue(line[i + 2]) >= 0 &&
        HexValue(line[i + 3]) >= 0) {
      arg->push_back(static_cast<char>(HexValue(line[i + 2]) * 16 + HexValue(line[i + 3])));
      i += 4;
    } else if (c == '\\' && i + 1 < line.size()) {
      arg->push_back(Unescape(line[i + 1]));
      i += 2;
    } else {
      arg->push_back(c);
      ++i;
    }
  }
  return std::string_view::npos;
}

size_t ReadSingleQuoted(std::string_view line, size_t i, std::string* arg) {
  while (i < line.size()) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
      arg->push_back('\'');
      i += 2;
    } else if (line[i] == '\'') {
      const bool ends = i + 1 == line.size() || IsBlank(line[i + 1]);
      return ends ? i + 1 : std::string_view::npos;
    } else {
      arg->push_back(line[i++]);
    }
  }
  return std::string_view::npos;
}

}  // namespace

ParseOutcome RequestParser::Fail(std::string text) {
  error_ = std::move(text);
  return ParseOutcome::kError;
}

ParseOutcome RequestParser::Finish(size_t consumed) {
  consumed_ = consumed;
  position_ = 0;
  searched_ = 0;
  expected_args_ = -1;
  bulk_bytes_ = -1;
  bytes_wanted_ = 0;
  ends_.clear();
  return ParseOutcome::kRequest;
}

ParseOutcome RequestParser::Next(std::string_view input, const ParserLimits& limits) {
  args_.clear();
  if (input.empty()) {
    bytes_wanted_ = 1;
    return ParseOutcome::kIncomplete;
  }
  if (expected_args_ < 0 && input[0] != '*') return ParseInline(input, limits);
  return ParseArgs(input, limits);
}

ParseOutcome RequestParser::ReadHeader(std::string_view input, size_t max_line,
                                       std::string_view too_big, std::string_view invalid,
                                       int64_t* number) {
  // Like Redis, the line ends at the carriage return; the byte behind it is taken unseen.
  const size_t end = input.find('\r', std::max(position_, searched_));
  if (end == std::string_view::npos) {
    searched_ = input.size();
    if (input.size() - position_ > max_line) return Fail(std::string(too_big));
    bytes_wanted_ = 1;
    return ParseOutcome::kIncomplete;
  }
  if (end + 1 >= input.size()) {
    searched_ = end;
    bytes_wanted_ = 1;
    return ParseOutcome::kIncomplete;
  }
  if (!ParseInt64(input.substr(position_ + 1, end - position_ - 1), number)) {
    return Fail(std::string(invalid));
  }
  position_ = end + 2;
  return ParseOutcome::kRequest;
}

ParseOutcome RequestParser::ParseArgs(std::string_view input, const ParserLimits& limits) {
  if (expected_args_ < 0) {
    int64_t count;
    const ParseOutcome header =
        ReadHeader(input, limits.max_inline_bytes, "Protocol error: too big mbulk count string",
                   "Protocol error: invalid multibulk length", &count);
    if (header != ParseOutcome::kRequest) return header;
    if (count > static_cast<int64_t>(limits.max_args)) {
      return Fail("Protocol error: invalid multibulk length");
    }
    if (!limits.authenticated && count > static_cast<int64_t>(kMaxUnauthenticatedArgs)) {
      return Fail("Protocol error: unauthenticated multibulk length");
    }
    if (count <= 0) return Finish(position_);
    expected_args_ = count;
    ends_.reserve(static_cast<size_t>(std::min(count, kMaxReserve)));
  }
  while (static_cast<int64_t>(ends_.size()) < expected_args_) {
    if (bulk_bytes_ < 0) {
      if (position_ >= input.size()) {
        bytes_wanted_ = 4;
        return ParseOutcome::kIncomplete;
      }
      if (input[position_] != '$') {
        return Fail(std::string("Protocol error: expected '$', got '") + input[position_] + "'");
      }
      int64_t length;
      const ParseOutcome header =
          ReadHeader(input, limits.max_inline_bytes, "Protocol error: too big bulk count string",
                     "Protocol error: invalid bulk length", &length);
      if (header != ParseOutcome::kRequest) return header;
      if (length < 0 || length > static_cast<int64_t>(limits.max_bulk_bytes)) {
        return Fail("Protocol error: invalid bulk length");
      }
      if (!limits.authenticated && length > static_cast<int64_t>(kMaxUnauthenticatedBulk)) {
        return Fail("Protocol error: unauthenticated bulk length");
      }
      bulk_bytes_ = length;
    }
    const size_t whole = static_cast<size_t>(bulk_bytes_) + 2;
    if (input.size() - position_ < whole) {
      bytes_wanted_ = whole - (input.size() - position_);
      return ParseOutcome::kIncomplete;
    }
    ends_.emplace_back(position_, static_cast<size_t>(bulk_bytes_));
    position_ += whole;
    bulk_bytes_ = -1;
  }
  args_.reserve(ends_.size());
  for (const auto& [offset, length] : ends_) args_.push_back(input.substr(offset, length));
  return Finish(position_);
}

ParseOutcome RequestParser::ParseInline(std::string_view input, const ParserLimits& limits) {
  const size_t end = input.find('\n', searched_);
  if (end == std::string_view::npos) {
    searched_ = input.size();
    position_ = 1;  // not idle
    if (input.size() > limits.max_inline_bytes) {
      return Fail("Protocol error: too big inline request");
    }
    bytes_wanted_ = 1;
    return ParseOutcome::kIncomplete;
  }
  std::string_view line = input.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (!SplitInline(line)) return Fail("Protocol error: unbalanced quotes in request");
  for (const std::string& arg : inline_args_) args_.push_back(arg);
  return Finish(end + 1);
}

// Splits a line as a shell would: blanks between arguments, double quotes with escapes, single
// quotes without.
bool RequestParser::SplitInline(std::string_view line) {
  inline_args_.clear();
  size_t i = 0;
  while (true) {
    while (i < line.size() && IsBlank(line[i])) ++i;
    if (i == line.size()) return true;
    std::string arg;
    while (i < line.size() && !IsBlank(line[i])) {
      if (line[i] == '"' || line[i] == '\'') {
        i = line[i] == '"' ? ReadDoubleQuoted(line, i + 1, &arg)
                           : ReadSingleQuoted(line, i + 1, &arg);
        if (i == std::string_view::npos) return false;
      } else {
        arg.push_back(line[i++]);
      }
    }
    inline_args_.push_back(std::move(arg));
  }
}

}  // namespace holdfast::resp
