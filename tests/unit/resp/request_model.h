// What RequestParser should do, told as plainly as possible: look at ever longer beginnings of the
// input, each from its first byte. The rules are those of Redis 7.0.15 for bytes that arrive one by
// one; each error text was seen from a running server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"

namespace holdfast::resp {

struct ModelResult {
  ParseOutcome outcome = ParseOutcome::kIncomplete;
  std::vector<std::string> args;
  size_t consumed = 0;
  std::string error;
};

class RequestModel {
 public:
  explicit RequestModel(const ParserLimits& limits) : limits_(limits) {}

  // The first request of `input`.
  ModelResult First(const std::string& input) const {
    for (size_t length = 1; length <= input.size(); ++length) {
      ModelResult result = Look(input.substr(0, length));
      if (result.outcome != ParseOutcome::kIncomplete) return result;
    }
    return {};
  }

 private:
  static constexpr size_t kNone = std::string::npos;

  static ModelResult Error(const std::string& text) {
    return {ParseOutcome::kError, {}, 0, "Protocol error: " + text};
  }

  // strchr: a NUL ends the search.
  static size_t Find(const std::string& bytes, size_t from, char wanted) {
    for (size_t i = from; i < bytes.size() && bytes[i] != '\0'; ++i) {
      if (bytes[i] == wanted) return i;
    }
    return kNone;
  }

  // A number as it would be printed, and nothing else.
  static bool Number(const std::string& text, int64_t* value) {
    const size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
    if (text.size() == sign || text.size() > sign + 18) return false;
    if (text.find_first_not_of("0123456789", sign) != kNone) return false;
    *value = std::stoll(text);
    return std::to_string(*value) == text;
  }

  ModelResult Look(const std::string& bytes) const {
    return bytes[0] == '*' ? LookArray(bytes) : LookInline(bytes);
  }

  ModelResult LookArray(const std::string& bytes) const {
    size_t end = Find(bytes, 0, '\r');
    if (end == kNone) {
      if (bytes.size() > limits_.max_inline_bytes) return Error("too big mbulk count string");
      return {};
    }
    if (end + 1 == bytes.size()) return {};
    int64_t count = 0;
    if (!Number(bytes.substr(1, end - 1), &count) ||
        count > static_cast<int64_t>(limits_.max_args)) {
      return Error("invalid multibulk length");
    }
    if (count > 10 && !limits_.authenticated) return Error("unauthenticated multibulk length");
    ModelResult whole{ParseOutcome::kRequest, {}, end + 2, ""};
    for (int64_t i = 0; i < count; ++i) {
      size_t& at = whole.consumed;
      end = Find(bytes, at, '\r');
      if (end == kNone) {
        if (bytes.size() - at > limits_.max_inline_bytes) return Error("too big bulk count string");
        return {};
      }
      if (end + 1 == bytes.size()) return {};
      if (bytes[at] != '$') {
        const std::string got(1, bytes[at] == '\r' || bytes[at] == '\n' ? ' ' : bytes[at]);
        return Error("expected '$', got '" + got + "'");
      }
      int64_t length = 0;
      if (!Number(bytes.substr(at + 1, end - at - 1), &length) || length < 0 ||
          length > static_cast<int64_t>(limits_.max_bulk_bytes)) {
        return Error("invalid bulk length");
      }
      if (length > 16384 && !limits_.authenticated) return Error("unauthenticated bulk length");
      at = end + 2;
      if (bytes.size() - at < static_cast<size_t>(length) + 2) return {};
      whole.args.push_back(bytes.substr(at, static_cast<size_t>(length)));
      at += static_cast<size_t>(length) + 2;
    }
    return whole;
  }

  ModelResult LookInline(const std::string& bytes) const {
    const size_t end = Find(bytes, 0, '\n');
    if (end == kNone) {
      if (bytes.size() > limits_.max_inline_bytes) return Error("too big inline request");
      return {};
    }
    std::string line = bytes.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    ModelResult whole{ParseOutcome::kRequest, {}, end + 1, ""};
    if (!Split(line, &whole.args)) return Error("unbalanced quotes in request");
    return whole;
  }

  static bool Blank(char c) { return std::string_view(" \t\n\v\f\r").find(c) != kNone; }
  static bool Hex(char c) { return std::string_view("0123456789abcdefABCDEF").find(c) != kNone; }

  // One character at a time; `quote` is the open quote or 0.
  static bool Split(const std::string& line, std::vector<std::string>* args) {
    bool inside = false;
    char quote = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      const std::string rest = line.substr(i + 1);
      if (!inside) {
        if (Blank(c)) continue;
        inside = true;
        args->emplace_back();
      }
      std::string& arg = args->back();
      if (quote == 0) {
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
          inside = false;
        } else if (c == '"' || c == '\'') {
          quote = c;
        } else {
          arg += c;
        }
      } else if (c == quote) {
        if (!rest.empty() && !Blank(rest[0])) return false;
        quote = 0;
        inside = false;
      } else if (quote == '\'') {
        const bool escaped = c == '\\' && !rest.empty() && rest[0] == '\'';
        arg += escaped ? '\'' : c;
        if (escaped) ++i;
      } else if (c == '\\' && rest.size() >= 3 && rest[0] == 'x' && Hex(rest[1]) && Hex(rest[2])) {
        arg += static_cast<char>(std::stoi(rest.substr(1, 2), nullptr, 16));
        i += 3;
      } else if (c == '\\' && !rest.empty()) {
        const size_t known = std::string_view("nrtba").find(rest[0]);
        arg += known == kNone ? rest[0] : "\n\r\t\b\a"[known];
        ++i;
      } else {
        arg += c;
      }
    }
    return quote == 0;
  }

  ParserLimits limits_;
};

}  // namespace holdfast::resp
