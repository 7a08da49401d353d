// Feeds a byte stream to a RequestParser in given pieces and writes down what comes out. Shared by
// the unit tests and the fuzz target.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "resp/request_parser.h"

namespace holdfast::resp {

struct Transcript {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  size_t used = 0;         // bytes of whole requests
  size_t most_memory = 0;  // what the parser held at most, in bytes

  // Memory depends on the pieces.
  bool operator==(const Transcript& other) const {
    return requests == other.requests && error == other.error && used == other.used;
  }
};

// `ends`: where each piece ends, ascending; the last piece ends with the stream. Every call gets
// its bytes in a heap block of just their size and never the same block twice, so that a view
// into an earlier call's bytes and a read past the end are seen by AddressSanitizer. Also checks
// what the parser promises about idle(), bytes_wanted() and consumed().
inline Transcript Feed(std::string_view stream, std::vector<size_t> ends,
                       const ParserLimits& limits = {}) {
  ends.push_back(stream.size());
  Transcript out;
  RequestParser parser;
  std::unique_ptr<char[]> last;
  size_t promised = 0;  // no request ends before this byte of the stream
  for (const size_t end : ends) {
    while (true) {
      CHECK(out.used <= end && end <= stream.size());
      const size_t length = end - out.used;
      auto block = std::make_unique<char[]>(length);
      std::copy_n(stream.data() + out.used, length, block.get());
      const std::string_view input(block.get(), length);
      const ParseOutcome outcome = parser.Next(input, limits);
      last = std::move(block);
      out.most_memory = std::max(out.most_memory, parser.memory_bytes());
      if (outcome == ParseOutcome::kError) {
        CHECK(parser.Next(input, limits) == ParseOutcome::kError);
        out.error = parser.error();
        CHECK(!out.error.empty());
        return out;
      }
      if (outcome == ParseOutcome::kIncomplete) {
        CHECK(parser.bytes_wanted() > 0);
        CHECK(parser.bytes_wanted() <= std::max<size_t>(1, limits.max_bulk_bytes + 2));
        CHECK(parser.idle() == (length == 0));
        promised = end + parser.bytes_wanted();
        break;
      }
      CHECK(parser.idle());
      CHECK(parser.consumed() > 0);
      CHECK(parser.consumed() <= length);
      out.used += parser.consumed();
      CHECK(out.used >= promised);
      out.requests.emplace_back(parser.args().begin(), parser.args().end());
    }
  }
  return out;
}

inline std::vector<size_t> EveryByte(std::string_view stream) {
  std::vector<size_t> ends;
  for (size_t i = 1; i < stream.size(); ++i) ends.push_back(i);
  return ends;
}

// A request as clients send it.
inline std::string Encode(const std::vector<std::string>& args) {
  std::string bytes = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string& arg : args) {
    bytes += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
  }
  return bytes;
}

}  // namespace holdfast::resp
