// The client's side of RESP2 and RESP3: replies as trees. For tests and tools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"

namespace holdfast::resp {

enum class ReplyType {
  kSimple,     // +  string
  kError,      // -  string
  kInteger,    // :  integer
  kBulk,       // $  string
  kNull,       // _ and $-1
  kNullArray,  // *-1
  kArray,      // *  elements
  kDouble,     // ,  number; string is its text
  kBool,       // #  integer 0 or 1
  kBigNumber,  // (  string
  kBulkError,  // !  string
  kVerbatim,   // =  string; format
  kMap,        // %  elements: key, value, key, value, …
  kSet,        // ~  elements
  kPush,       // >  elements
};

// One reply with everything inside it.
struct Reply {
  ReplyType type = ReplyType::kNull;
  std::string string;
  std::string format;  // of kVerbatim, three bytes
  int64_t integer = 0;
  double number = 0;
  std::vector<Reply> elements;
  // RESP3 attributes that stood before this reply ("|"): key, value, key, value, …
  std::vector<Reply> attributes;

  bool is_null() const { return type == ReplyType::kNull || type == ReplyType::kNullArray; }
  bool is_error() const { return type == ReplyType::kError || type == ReplyType::kBulkError; }
  // The value of `key` in a map, or in an array that is a RESP2 map; nullptr when it is missing.
  const Reply* Find(std::string_view key) const;
  // One line for people: [1, "a", nil], {"k": 2}, (error) ERR no. Bytes that don't print are \xHH.
  std::string ToText() const;

  // Doubles are compared by their text, so that "nan" equals itself.
  bool operator==(const Reply& other) const;
};

// What a reply may need at most; beyond it is a protocol error.
struct ReplyLimits {
  size_t max_bulk_bytes = size_t{512} * 1024 * 1024;
  size_t max_line_bytes = size_t{64} * 1024;  // simple strings, errors and headers
  size_t max_elements = size_t{1} << 31;      // of one aggregate, a map's keys and values both
  size_t max_depth = 32;                      // aggregates inside each other
};

// Incremental; one thread. Unlike requests, replies are checked strictly: every line ends in CRLF
// and every value is of its type's form. Streamed ("?") lengths, which no Redis sends, are refused.
class ReplyParser {
 public:
  explicit ReplyParser(const ReplyLimits& limits = ReplyLimits()) : limits_(limits) {}

  // As RequestParser::Next: `input` begins at the same reply start until kRequest is returned,
  // which here means that a whole reply is there.
  [[nodiscard]] ParseOutcome Next(std::string_view input);

  // After kRequest, until the next call; may be moved from.
  Reply& reply() { return reply_; }
  // After kRequest: the bytes of input that the reply took.
  size_t consumed() const { return pos_; }
  // After kError: what is wrong, with the byte's position in the reply.
  const std::string& error() const { return error_; }

 private:
  // An aggregate whose elements are being read.
  struct Frame {
    Reply reply;
    size_t missing = 0;                     // elements still to come
    bool is_attribute = false;              // not a reply: it belongs to the one that follows
    std::vector<Reply> pending_attributes;  // read already, for the next element
  };

  ParseOutcome Fail(std::string_view what);
  // Reads one value: its line and, for a string, its bytes; for an aggregate only the header.
  ParseOutcome ReadValue(std::string_view input);
  ParseOutcome ReadBulk(std::string_view input, char type, std::string_view length, size_t body);
  ParseOutcome ReadAggregate(char type, std::string_view length, size_t body);
  // Puts a whole value where it belongs and closes the aggregates that it completes.
  void Place(Reply value);
  std::vector<Reply>* PendingAttributes();

  ReplyLimits limits_;
  bool whole_ = false;
  bool failed_ = false;
  size_t pos_ = 0;
  size_t scanned_ = 0;  // no line end before this position
  std::vector<Frame> frames_;
  std::vector<Reply> top_attributes_;  // for the outermost reply
  Reply reply_;
  std::string error_;
};

}  // namespace holdfast::resp
