// Arbitrary bytes as requests and as replies. However the bytes are cut into reads, the same comes
// out; a request that was read is read again from its canonical form; what the parser holds is
// bounded by what it was given; and no text makes the writer write anything but one reply.
//
// The first byte chooses the limits, the second how the rest is cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../unit/resp/feed.h"
#include "base/check.h"
#include "base/rng.h"
#include "resp/reply_parser.h"
#include "resp/request_parser.h"
#include "resp/writer.h"

namespace holdfast::resp {
namespace {

// Cutting byte by byte copies the rest for every byte; longer inputs waste the fuzzer's time.
constexpr size_t kMaxStream = 16 * 1024;

ParserLimits ChooseLimits(uint8_t choice) {
  ParserLimits limits;
  if ((choice & 1) != 0) limits.authenticated = false;
  if ((choice & 2) != 0) limits.max_inline_bytes = 32;
  if ((choice & 4) != 0) limits.max_bulk_bytes = 16;
  if ((choice & 8) != 0) limits.max_args = 4;
  return limits;
}

std::vector<size_t> ChooseCuts(uint8_t choice, std::string_view stream) {
  if (choice == 0) return EveryByte(stream);
  std::vector<size_t> ends;
  Rng rng(choice);
  for (size_t at = rng.Below(choice) + 1; at < stream.size(); at += rng.Below(choice) + 1) {
    ends.push_back(at);
  }
  return ends;
}

void FuzzRequests(std::string_view stream, const std::vector<size_t>& cuts,
                  const ParserLimits& limits) {
  const Transcript whole = Feed(stream, {}, limits);
  const Transcript pieces = Feed(stream, cuts, limits);
  CHECK(whole == pieces);
  // Room for 1024 arguments is made on a client's word; the rest it has to send: at least six
  // bytes for an argument, of which a view and an offset are kept in lists that double.
  for (const Transcript* t : {&whole, &pieces}) {
    CHECK(t->most_memory <= 1024 * 24 + 256 + 8 * stream.size());
  }
  for (const std::vector<std::string>& request : whole.requests) {
    const std::string canonical = Encode(request);
    const Transcript again = Feed(canonical, {});
    CHECK(again.error.empty() && again.used == canonical.size());
    CHECK(again.requests.size() == 1 && again.requests[0] == request);
  }
}

struct Replies {
  std::vector<Reply> replies;
  std::string error;
  size_t used = 0;

  bool operator==(const Replies&) const = default;
};

Replies FeedReplies(std::string_view stream, std::vector<size_t> ends) {
  ends.push_back(stream.size());
  Replies out;
  ReplyLimits limits;
  limits.max_line_bytes = 64;
  ReplyParser parser(limits);
  for (const size_t end : ends) {
    while (true) {
      const std::vector<char> block(stream.begin() + static_cast<ptrdiff_t>(out.used),
                                    stream.begin() + static_cast<ptrdiff_t>(end));
      const ParseOutcome outcome = parser.Next(std::string_view(block.data(), block.size()));
      if (outcome == ParseOutcome::kIncomplete) break;
      if (outcome == ParseOutcome::kError) {
        out.error = parser.error();
        return out;
      }
      CHECK(parser.consumed() > 0 && parser.consumed() <= block.size());
      out.used += parser.consumed();
      CHECK(!parser.reply().ToText().empty() || parser.reply().type == ReplyType::kSimple);
      out.replies.push_back(std::move(parser.reply()));
    }
  }
  return out;
}

// Any bytes in any function of the writer are exactly one reply, with the bytes in it.
void FuzzWriter(std::string_view text) {
  for (const int protocol : {2, 3}) {
    std::string bytes;
    Writer writer(&bytes, protocol);
    writer.Array(5);
    writer.Bulk(text);
    writer.Simple(text);
    writer.Error(text);
    writer.Verbatim("txt", text);
    const size_t mark = writer.Mark();
    writer.Bulk(text);
    writer.Null();
    writer.MapAt(mark, 1);
    ReplyParser parser;
    CHECK(parser.Next(bytes) == ParseOutcome::kRequest);
    CHECK(parser.consumed() == bytes.size());
    const std::vector<Reply>& elements = parser.reply().elements;
    CHECK(elements.size() == 5);
    CHECK(elements[0].string == text);
    CHECK(elements[1].string.size() == text.size());
    CHECK(elements[2].type == ReplyType::kError);
    CHECK(elements[3].string == text);
    CHECK(elements[4].elements.size() == 2 && elements[4].elements[0].string == text);
  }
}

void Fuzz(uint8_t limits, uint8_t cutting, std::string_view stream) {
  const std::vector<size_t> cuts = ChooseCuts(cutting, stream);
  FuzzRequests(stream, cuts, ChooseLimits(limits));
  CHECK(FeedReplies(stream, {}) == FeedReplies(stream, cuts));
  FuzzWriter(stream);
}

}  // namespace
}  // namespace holdfast::resp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  holdfast::resp::Fuzz(data[0], data[1], bytes.substr(2, holdfast::resp::kMaxStream));
  return 0;
}
