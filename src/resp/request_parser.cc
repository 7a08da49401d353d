#include "resp/request_parser.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::resp {
namespace {

// Redis's limits before authentication (networking.c, processMultibulkBuffer).
constexpr int64_t kUnauthenticatedArgs = 10;
constexpr int64_t kUnauthenticatedBulkBytes = 16384;
// Arguments that room is made for on the word of a client; beyond it, as they arrive.
constexpr size_t kReservedArgs = 1024;
// Memory up to this stays with an idle parser.
constexpr size_t kKeptArgs = 1024;
constexpr size_t kKeptText = 4096;
// The shortest bound under which a header of nine digits is never too long.
constexpr size_t kSmallestLineLimit = 32;

// C's isspace() in the "C" locale, which decides where inline arguments begin.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What ends an unquoted inline argument: fewer characters than IsSpace() takes.
bool EndsWord(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads the header of almost every request: one to nine digits at input[at] without a leading
// zero, '\r', and one byte more. Anything else is left to the slow way. Sets `*next` behind it.
inline bool ReadShortLength(std::string_view input, size_t at, int64_t* value, size_t* next) {
  const size_t limit = std::min(input.size(), at + 10);
  size_t i = at;
  int64_t number = 0;
  for (; i < limit; ++i) {
    const auto digit = static_cast<unsigned>(static_cast<unsigned char>(input[i])) - '0';
    if (digit > 9) break;
    number = number * 10 + static_cast<int64_t>(digit);
  }
  if (i == at || i - at > 9 || i + 1 >= input.size() || input[i] != '\r') return false;
  if (input[at] == '0' && i - at > 1) return false;
  *value = number;
  *next = i + 2;
  return true;
}

}  // namespace

ParseOutcome RequestParser::Next(std::string_view input, const ParserLimits& limits) {
  CHECK(limits.max_inline_bytes >= kSmallestLineLimit);
  if (state_ == State::kIdle) {
    Begin();
    if (input.empty()) return Incomplete(input, 1);
    state_ = input[0] == '*' ? State::kCount : State::kInline;
  }
  CHECK_MSG(input.size() >= seen_, "the bytes of an incomplete request were dropped");
  switch (state_) {
    case State::kInline:
      return ParseInline(input, limits);
    case State::kCount:
      return ParseCount(input, limits);
    case State::kBulkHeader:
    case State::kBulkBody:
      return ParseBulks(input, limits);
    case State::kIdle:
    case State::kFailed:
      break;
  }
  return ParseOutcome::kError;
}

void RequestParser::Begin() {
  // The last request was small, an earlier one was huge: give that one's memory back.
  if (args_.capacity() > kKeptArgs && args_.size() < args_.capacity() / 8) {
    std::vector<std::string_view>().swap(args_);
    std::vector<size_t>().swap(offsets_);
  }
  if (unquoted_.capacity() > kKeptText && unquoted_.size() < unquoted_.capacity() / 8) {
    std::string().swap(unquoted_);
  }
  args_.clear();
  offsets_.clear();
  unquoted_.clear();
  pos_ = 0;
  seen_ = 0;
  StartLine();
}

void RequestParser::StartLine() {
  scanned_ = pos_;
  hidden_ = false;
}

ParseOutcome RequestParser::Finish(std::string_view input) {
  for (size_t i = 0; i < offsets_.size(); ++i) {
    args_[i] = input.substr(offsets_[i], args_[i].size());
  }
  state_ = State::kIdle;
  return ParseOutcome::kRequest;
}

ParseOutcome RequestParser::Fail(std::string_view what) {
  state_ = State::kFailed;
  args_.clear();
  offsets_.clear();
  error_ = "Protocol error: ";
  error_ += what;
  return ParseOutcome::kError;
}

ParseOutcome RequestParser::Incomplete(std::string_view input, size_t wanted) {
  // Each argument comes by here at most once, so the sum of this work is linear.
  for (size_t i = offsets_.size(); i < args_.size(); ++i) {
    offsets_.push_back(static_cast<size_t>(args_[i].data() - input.data()));
  }
  seen_ = input.size();
  wanted_ = wanted;
  return ParseOutcome::kIncomplete;
}

// Looks for `terminator` in the line that begins at pos_. A line may have `max_bytes` bytes before
// it; that is decided from those bytes alone, however many more are there.
RequestParser::Line RequestParser::FindLineEnd(std::string_view input, char terminator,
                                               size_t max_bytes, size_t* end) {
  const size_t limit = std::min(input.size(), pos_ + max_bytes + 1);
  if (!hidden_ && scanned_ < limit) {
    const char* from = input.data() + scanned_;
    const size_t length = limit - scanned_;
    const auto* hit = static_cast<const char*>(std::memchr(from, terminator, length));
    const size_t searched = hit != nullptr ? static_cast<size_t>(hit - from) : length;
    hidden_ = std::memchr(from, '\0', searched) != nullptr;
    scanned_ += searched;
    if (hit != nullptr && !hidden_) {
      *end = scanned_;
      return Line::kWhole;
    }
  }
  return input.size() - pos_ > max_bytes ? Line::kTooLong : Line::kPartial;
}

// Reads one line "<type><text>\r?" at pos_ into `*header`, with its type.
RequestParser::Line RequestParser::ReadHeader(std::string_view input, size_t max_bytes,
                                              std::string_view* header) {
  size_t end = 0;
  const Line line = FindLineEnd(input, '\r', max_bytes, &end);
  if (line != Line::kWhole) return line;
  // The byte behind '\r' belongs to the line, whatever it is. scanned_ stays in front of the '\r',
  // so that the next call finds it at once.
  if (end + 2 > input.size()) return Line::kPartial;
  *header = input.substr(pos_, end - pos_);
  return Line::kWhole;
}

ParseOutcome RequestParser::ParseInline(std::string_view input, const ParserLimits& limits) {
  size_t end = 0;
  switch (FindLineEnd(input, '\n', limits.max_inline_bytes, &end)) {
    case Line::kPartial:
      return Incomplete(input, 1);
    case Line::kTooLong:
      return Fail("too big inline request");
    case Line::kWhole:
      break;
  }
  // A '\r' before the '\n' needs no care: it counts as a blank.
  if (!SplitInline(input.substr(0, end))) return Fail("unbalanced quotes in request");
  pos_ = end + 1;
  return Finish(input);
}

bool RequestParser::SplitInline(std::string_view line) {
  size_t i = 0;
  while (true) {
    while (i < line.size() && IsSpace(line[i])) ++i;
    if (i == line.size()) return true;
    const size_t begin = i;
    while (i < line.size() && !EndsWord(line[i]) && line[i] != '"' && line[i] != '\'') ++i;
    if (i == line.size() || EndsWord(line[i])) {
      args_.push_back(line.substr(begin, i - begin));
      continue;
    }
    // No text is longer than what it was written as: the views into unquoted_ stay valid.
    unquoted_.reserve(line.size());
    const size_t text = unquoted_.size();
    unquoted_.append(line, begin, i - begin);
    if (!AppendQuoted(line, &i)) return false;
    args_.push_back(std::string_view(unquoted_).substr(text));
  }
}

// Appends the text between the quote at line[*at] and its partner to unquoted_. A closing quote
// must be followed by a blank or the line's end. Sets `*at` behind it.
bool RequestParser::AppendQuoted(std::string_view line, size_t* at) {
  const char quote = line[*at];
  size_t i = *at + 1;
  for (; i < line.size(); ++i) {
    const char c = line[i];
    if (c == quote) {
      *at = i + 1;
      return i + 1 == line.size() || IsSpace(line[i + 1]);
    }
    if (c != '\\' || i + 1 == line.size()) {
      unquoted_.push_back(c);
      continue;
    }
    const char escaped = line[i + 1];
    if (quote == '\'') {
      // Between single quotes only the quote itself can be escaped.
      if (escaped == '\'') ++i;
      unquoted_.push_back(line[i]);
      continue;
    }
    ++i;
    if (escaped == 'x' && i + 2 < line.size() && HexDigit(line[i + 1]) >= 0 &&
        HexDigit(line[i + 2]) >= 0) {
      unquoted_.push_back(static_cast<char>(HexDigit(line[i + 1]) * 16 + HexDigit(line[i + 2])));
      i += 2;
      continue;
    }
    switch (escaped) {
      case 'n':
        unquoted_.push_back('\n');
        break;
      case 'r':
        unquoted_.push_back('\r');
        break;
      case 't':
        unquoted_.push_back('\t');
        break;
      case 'b':
        unquoted_.push_back('\b');
        break;
      case 'a':
        unquoted_.push_back('\a');
        break;
      default:
        unquoted_.push_back(escaped);
    }
  }
  return false;
}

ParseOutcome RequestParser::ParseCount(std::string_view input, const ParserLimits& limits) {
  int64_t count = 0;
  size_t next = 0;
  bool valid = true;
  if (!ReadShortLength(input, 1, &count, &next)) {
    std::string_view header;
    switch (ReadHeader(input, limits.max_inline_bytes, &header)) {
      case Line::kPartial:
        return Incomplete(input, 1);
      case Line::kTooLong:
        return Fail("too big mbulk count string");
      case Line::kWhole:
        break;
    }
    valid = ParseInt64(header.substr(1), &count);
    next = header.size() + 2;
  }
  if (!valid || (count > 0 && static_cast<uint64_t>(count) > limits.max_args)) {
    return Fail("invalid multibulk length");
  }
  if (count > kUnauthenticatedArgs && !limits.authenticated) {
    return Fail("unauthenticated multibulk length");
  }
  pos_ = next;
  args_missing_ = count > 0 ? static_cast<size_t>(count) : 0;
  args_.reserve(std::min(args_missing_, kReservedArgs));
  state_ = State::kBulkHeader;
  StartLine();
  return ParseBulks(input, limits);
}

ParseOutcome RequestParser::ParseBulks(std::string_view input, const ParserLimits& limits) {
  while (true) {
    if (state_ == State::kBulkHeader) {
      if (args_missing_ == 0) return Finish(input);
      int64_t length = 0;
      size_t next = 0;
      if (pos_ == input.size()) return Incomplete(input, 1);
      if (input[pos_] != '$' || !ReadShortLength(input, pos_ + 1, &length, &next)) {
        std::string_view header;
        switch (ReadHeader(input, limits.max_inline_bytes, &header)) {
          case Line::kPartial:
            return Incomplete(input, 1);
          case Line::kTooLong:
            return Fail("too big bulk count string");
          case Line::kWhole:
            break;
        }
        // Redis blanks line ends in an error's text. A header that is empty shows its '\r'.
        char type = input[pos_];
        if (type != '$') {
          if (type == '\r' || type == '\n') type = ' ';
          return Fail(std::string("expected '$', got '") + type + "'");
        }
        if (!ParseInt64(header.substr(1), &length)) return Fail("invalid bulk length");
        next = pos_ + header.size() + 2;
      }
      if (length < 0 || static_cast<uint64_t>(length) > limits.max_bulk_bytes) {
        return Fail("invalid bulk length");
      }
      if (length > kUnauthenticatedBulkBytes && !limits.authenticated) {
        return Fail("unauthenticated bulk length");
      }
      bulk_bytes_ = static_cast<size_t>(length);
      pos_ = next;
      state_ = State::kBulkBody;
    }
    const size_t present = input.size() - pos_;
    if (present < bulk_bytes_ + 2) return Incomplete(input, bulk_bytes_ + 2 - present);
    args_.push_back(input.substr(pos_, bulk_bytes_));
    pos_ += bulk_bytes_ + 2;
    --args_missing_;
    state_ = State::kBulkHeader;
    StartLine();
  }
}

size_t RequestParser::memory_bytes() const {
  return args_.capacity() * sizeof(args_[0]) + offsets_.capacity() * sizeof(offsets_[0]) +
         unquoted_.capacity() + error_.capacity();
}

void RequestParser::ReleaseMemory() {
  if (state_ != State::kIdle) return;
  std::vector<std::string_view>().swap(args_);
  std::vector<size_t>().swap(offsets_);
  std::string().swap(unquoted_);
}

}  // namespace holdfast::resp
