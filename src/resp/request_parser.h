// Requests as Redis 7.0 reads them: arrays of bulk strings (RESP) and inline lines.
//
// Two habits of Redis are kept on purpose, because clients can see them:
//  - Only the '\r' of a line end and the two bytes behind a bulk are counted; whether they are
//    "\r\n" is not checked.
//  - A NUL byte hides the rest of a header or inline line, which then never ends and is refused
//    once it is too long.
// One is not: Redis notices a too long line only when a read happens to end inside it. Here the
// outcome does not depend on how the bytes were cut into reads; it is the one that Redis gives
// when every byte arrives alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::resp {

// What a request may need at most. It may differ from call to call (AUTH, CONFIG SET).
struct ParserLimits {
  // Longest single argument, in bytes: Redis's proto-max-bulk-len.
  size_t max_bulk_bytes = size_t{512} * 1024 * 1024;
  // Most arguments of one request. Redis 7.0 takes what an int holds (6.x stopped at 1024 * 1024).
  // An argument costs at least six bytes of input, so a caller that bounds its input buffer
  // (client-query-buffer-limit) bounds the parser's memory too, to 16/6 of that.
  size_t max_args = 2147483647;
  // Longest inline line and longest header line ("*…", "$…"), in bytes. REQUIRES: at least 32.
  size_t max_inline_bytes = size_t{64} * 1024;
  // Without a password given, while one is needed: at most 10 arguments of 16 KiB.
  bool authenticated = true;
};

enum class ParseOutcome {
  kRequest,     // args() and consumed() are set
  kIncomplete,  // more bytes are needed: bytes_wanted()
  kError,       // error() is set; the connection can't be used any further
};

// One connection's parser; one thread. It copies no argument and, once its list of arguments has
// grown to what the connection uses, allocates nothing.
class RequestParser {
 public:
  RequestParser() = default;
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Looks for one whole request at the start of `input`: the bytes of the request so far, always
  // from the same request start until kRequest is returned (the caller keeps the bytes and passes
  // them again, longer; they may have moved in memory). Bytes behind the request are not looked
  // at. Resumes where the last call stopped: the work is linear in the request's size even when
  // it arrives in tiny pieces. After kError every further call returns kError.
  // REQUIRES: after kIncomplete, `input` is not shorter than it was.
  [[nodiscard]] ParseOutcome Next(std::string_view input, const ParserLimits& limits);

  // After kRequest, until the next call: the arguments, which are views into `input` (quoted
  // inline arguments: into the parser). Empty for an empty line, `*0` and `*-1`, which clients may
  // send and which get no answer.
  std::span<const std::string_view> args() const { return args_; }

  // After kRequest: how many bytes of the input the request took.
  size_t consumed() const { return pos_; }

  // After kError: Redis's text, such as "Protocol error: expected '$', got 'x'". The caller sends
  // "-ERR " and this and closes the connection.
  std::string_view error() const { return error_; }

  // After kIncomplete: at least so many bytes are missing; the whole rest of a large argument, so
  // that the caller can reserve once. It comes from the client and is bounded by
  // limits.max_bulk_bytes + 2.
  size_t bytes_wanted() const { return wanted_; }

  // Whether nothing of a request has been seen yet.
  bool idle() const { return state_ == State::kIdle; }

  // Bytes on the heap, for a client's memory use.
  size_t memory_bytes() const;

  // Gives the memory of earlier requests back; args() becomes empty. Without effect inside a
  // request. For connections that went idle.
  void ReleaseMemory();

 private:
  enum class State : uint8_t {
    kIdle,        // at the start of a request
    kInline,      // inside an inline line
    kCount,       // inside "*<n>\r\n"
    kBulkHeader,  // inside "$<n>\r\n"
    kBulkBody,    // inside an argument of bulk_bytes_ bytes
    kFailed,
  };

  enum class Line : uint8_t { kWhole, kPartial, kTooLong };

  void Begin();
  void StartLine();
  ParseOutcome Finish(std::string_view input);
  ParseOutcome Fail(std::string_view what);
  ParseOutcome Incomplete(std::string_view input, size_t wanted);
  ParseOutcome ParseInline(std::string_view input, const ParserLimits& limits);
  ParseOutcome ParseCount(std::string_view input, const ParserLimits& limits);
  ParseOutcome ParseBulks(std::string_view input, const ParserLimits& limits);
  Line ReadHeader(std::string_view input, size_t max_bytes, std::string_view* header);
  Line FindLineEnd(std::string_view input, char terminator, size_t max_bytes, size_t* end);
  bool SplitInline(std::string_view line);
  bool AppendQuoted(std::string_view line, size_t* at);

  State state_ = State::kIdle;
  bool hidden_ = false;  // a NUL stands in the line before any terminator: it never ends
  size_t pos_ = 0;       // bytes of the request that are parsed
  size_t scanned_ = 0;   // bytes of the request that were searched for the line's end
  size_t seen_ = 0;      // length of the input of the last call
  size_t wanted_ = 0;
  size_t args_missing_ = 0;  // arguments still to come
  size_t bulk_bytes_ = 0;    // length of the argument whose header has been read
  std::vector<std::string_view> args_;
  // Where the arguments parsed by earlier calls begin in the request: `input` may have moved, so
  // their views are made anew, once, when the request is whole.
  std::vector<size_t> offsets_;
  std::string unquoted_;  // the text of quoted inline arguments
  std::string error_;
};

}  // namespace holdfast::resp
