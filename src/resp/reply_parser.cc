#include "resp/reply_parser.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::resp {
namespace {

// Elements that room is made for on the word of the server; beyond it, as they arrive.
constexpr size_t kReservedElements = 64;

// A signed decimal integer; RESP allows a plus sign.
bool ReadInteger(std::string_view text, int64_t* value) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return false;
  }
  return ParseInt64(text, value);
}

bool IsBigNumber(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool ReadDouble(std::string_view text, double* value) {
  if (text == "inf" || text == "-inf") {
    *value = text == "inf" ? HUGE_VAL : -HUGE_VAL;
    return true;
  }
  if (text == "nan") {
    *value = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  // strtod takes more forms, such as hexadecimal ones.
  if (text.find_first_not_of("+-.eE0123456789") != std::string_view::npos) return false;
  return ParseDouble(text, value);
}

// The value of a line that is a whole reply; false when it is not of its type's form.
bool ReadScalar(char type, std::string_view text, Reply* value) {
  switch (type) {
    case '+':
    case '-':
      value->type = type == '+' ? ReplyType::kSimple : ReplyType::kError;
      value->string = text;
      return true;
    case ':':
      value->type = ReplyType::kInteger;
      return ReadInteger(text, &value->integer);
    case ',':
      value->type = ReplyType::kDouble;
      value->string = text;
      return ReadDouble(text, &value->number);
    case '#':
      value->type = ReplyType::kBool;
      value->integer = text == "t" ? 1 : 0;
      return text == "t" || text == "f";
    case '(':
      value->type = ReplyType::kBigNumber;
      value->string = text;
      return IsBigNumber(text);
    case '_':
      value->type = ReplyType::kNull;
      return text.empty();
    default:
      return false;
  }
}

ReplyType AggregateType(char type) {
  switch (type) {
    case '%':
      return ReplyType::kMap;
    case '~':
      return ReplyType::kSet;
    case '>':
      return ReplyType::kPush;
    default:
      return ReplyType::kArray;
  }
}

void AppendQuotedText(std::string_view bytes, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (const char c : bytes) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      *out += {'\\', c};
    } else if (u < 0x20 || u >= 0x7f) {
      *out += {'\\', 'x', kHex[u >> 4], kHex[u & 15]};
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendText(const Reply& reply, std::string* out);

void AppendElements(const Reply& reply, const char* brackets, std::string* out) {
  const bool map = reply.type == ReplyType::kMap;
  out->push_back(brackets[0]);
  for (size_t i = 0; i < reply.elements.size(); ++i) {
    if (i > 0) *out += map && i % 2 == 1 ? ": " : ", ";
    AppendText(reply.elements[i], out);
  }
  out->push_back(brackets[1]);
}

// Recursive; a reply is at most ReplyLimits::max_depth deep.
void AppendText(const Reply& reply, std::string* out) {
  switch (reply.type) {
    case ReplyType::kSimple:
    case ReplyType::kBigNumber:
    case ReplyType::kDouble:
      *out += reply.string;
      return;
    case ReplyType::kError:
    case ReplyType::kBulkError:
      *out += "(error) ";
      *out += reply.string;
      return;
    case ReplyType::kInteger:
      *out += std::to_string(reply.integer);
      return;
    case ReplyType::kBool:
      *out += reply.integer != 0 ? "true" : "false";
      return;
    case ReplyType::kBulk:
    case ReplyType::kVerbatim:
      AppendQuotedText(reply.string, out);
      return;
    case ReplyType::kNull:
    case ReplyType::kNullArray:
      *out += "nil";
      return;
    case ReplyType::kArray:
      return AppendElements(reply, "[]", out);
    case ReplyType::kMap:
    case ReplyType::kSet:
      return AppendElements(reply, "{}", out);
    case ReplyType::kPush:
      return AppendElements(reply, "<>", out);
  }
}

}  // namespace

bool Reply::operator==(const Reply& other) const {
  return type == other.type && string == other.string && format == other.format &&
         integer == other.integer && elements == other.elements && attributes == other.attributes;
}

const Reply* Reply::Find(std::string_view key) const {
  for (size_t i = 0; i + 1 < elements.size(); i += 2) {
    if (elements[i].string == key) return &elements[i + 1];
  }
  return nullptr;
}

std::string Reply::ToText() const {
  std::string text;
  AppendText(*this, &text);
  return text;
}

ParseOutcome ReplyParser::Next(std::string_view input) {
  if (failed_) return ParseOutcome::kError;
  if (whole_) {
    whole_ = false;
    pos_ = 0;
    scanned_ = 0;
    reply_ = Reply();
  }
  CHECK_MSG(input.size() >= scanned_, "the bytes of an incomplete reply were dropped");
  while (!whole_) {
    const ParseOutcome outcome = ReadValue(input);
    if (outcome != ParseOutcome::kRequest) return outcome;
    scanned_ = pos_;
  }
  return ParseOutcome::kRequest;
}

ParseOutcome ReplyParser::Fail(std::string_view what) {
  failed_ = true;
  frames_.clear();
  error_ = std::string(what) + " at byte " + std::to_string(pos_);
  return ParseOutcome::kError;
}

ParseOutcome ReplyParser::ReadValue(std::string_view input) {
  const size_t limit = std::min(input.size(), pos_ + limits_.max_line_bytes + 1);
  if (scanned_ < limit) {
    const auto* hit =
        static_cast<const char*>(std::memchr(input.data() + scanned_, '\r', limit - scanned_));
    scanned_ = hit != nullptr ? static_cast<size_t>(hit - input.data()) : limit;
  }
  if (scanned_ == limit) {
    if (input.size() - pos_ > limits_.max_line_bytes) return Fail("too long line");
    return ParseOutcome::kIncomplete;
  }
  const size_t end = scanned_;
  if (end + 1 == input.size()) return ParseOutcome::kIncomplete;
  const std::string_view line = input.substr(pos_, end - pos_);
  if (input[end + 1] != '\n' || line.find('\n') != std::string_view::npos) {
    return Fail("bad line end");
  }
  if (line.empty()) return Fail("empty line");

  const char type = line[0];
  switch (type) {
    case '$':
    case '!':
    case '=':
      return ReadBulk(input, type, line.substr(1), end + 2);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      return ReadAggregate(type, line.substr(1), end + 2);
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '(':
    case '_':
      break;
    default:
      return Fail("unknown type");
  }
  Reply value;
  if (!ReadScalar(type, line.substr(1), &value)) return Fail("bad value");
  pos_ = end + 2;
  Place(std::move(value));
  return ParseOutcome::kRequest;
}

ParseOutcome ReplyParser::ReadBulk(std::string_view input, char type, std::string_view length,
                                   size_t body) {
  Reply value;
  if (type == '$' && length == "-1") {
    pos_ = body;
    Place(std::move(value));
    return ParseOutcome::kRequest;
  }
  uint64_t bytes = 0;
  if (!ParseUint64(length, &bytes) || bytes > limits_.max_bulk_bytes) return Fail("bad length");
  if (input.size() - body < bytes + 2) return ParseOutcome::kIncomplete;
  if (input.substr(body + bytes, 2) != "\r\n") return Fail("bad end of a string");
  std::string_view text = input.substr(body, bytes);
  value.type = type == '$' ? ReplyType::kBulk : ReplyType::kBulkError;
  if (type == '=') {
    if (text.size() < 4 || text[3] != ':') return Fail("bad verbatim string");
    value.type = ReplyType::kVerbatim;
    value.format = text.substr(0, 3);
    text.remove_prefix(4);
  }
  value.string = text;
  pos_ = body + bytes + 2;
  Place(std::move(value));
  return ParseOutcome::kRequest;
}

ParseOutcome ReplyParser::ReadAggregate(char type, std::string_view length, size_t body) {
  Frame frame;
  frame.reply.type = AggregateType(type);
  if (type == '*' && length == "-1") {
    frame.reply.type = ReplyType::kNullArray;
    pos_ = body;
    Place(std::move(frame.reply));
    return ParseOutcome::kRequest;
  }
  uint64_t count = 0;
  const size_t each = type == '%' || type == '|' ? 2 : 1;
  if (!ParseUint64(length, &count) || count > limits_.max_elements / each) {
    return Fail("bad length");
  }
  if (type == '>' && !frames_.empty()) return Fail("push inside a reply");
  if (frames_.size() == limits_.max_depth) return Fail("too deep");
  pos_ = body;
  frame.missing = count * each;
  frame.is_attribute = type == '|';
  if (frame.missing == 0) {
    if (!frame.is_attribute) Place(std::move(frame.reply));
    return ParseOutcome::kRequest;
  }
  frame.reply.elements.reserve(std::min(frame.missing, kReservedElements));
  frames_.push_back(std::move(frame));
  return ParseOutcome::kRequest;
}

std::vector<Reply>* ReplyParser::PendingAttributes() {
  return frames_.empty() ? &top_attributes_ : &frames_.back().pending_attributes;
}

void ReplyParser::Place(Reply value) {
  while (true) {
    value.attributes = std::exchange(*PendingAttributes(), {});
    if (frames_.empty()) {
      reply_ = std::move(value);
      whole_ = true;
      return;
    }
    Frame& top = frames_.back();
    top.reply.elements.push_back(std::move(value));
    if (--top.missing > 0) return;
    Frame closed = std::move(top);
    frames_.pop_back();
    if (closed.is_attribute) {
      // It is no element of what it stands in: it waits for the reply that it describes.
      std::vector<Reply>* pending = PendingAttributes();
      std::move(closed.reply.elements.begin(), closed.reply.elements.end(),
                std::back_inserter(*pending));
      return;
    }
    value = std::move(closed.reply);
  }
}

}  // namespace holdfast::resp
