#include "replica/publication.h"

#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::replica {
namespace {

std::string Item(const Publication& publication) {
  return EncodePublicationHead(publication).append(publication.message);
}

TEST_CASE("publications come back as they were") {
  Rng rng(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string channel(rng.Below(300), static_cast<char>(rng.Below(256)));
    const std::string message(rng.Below(3000), static_cast<char>(rng.Below(256)));
    const Publication sent{rng.Chance(1, 2), channel, message};
    const std::string item = Item(sent);
    Publication got;
    REQUIRE(DecodePublication(item, &got).ok());
    CHECK(got.sharded == sent.sharded);
    CHECK(got.channel == channel);
    CHECK(got.message == message);
    CHECK(Item(got) == item);
  }
}

TEST_CASE("what no version writes is refused") {
  const std::string item = Item({true, "channel", "message"});
  Publication got;
  // The message has no length of its own; everything before it has.
  const size_t head = item.size() - std::string_view("message").size();
  for (size_t size = 0; size < head; ++size) {
    CHECK(DecodePublication(item.substr(0, size), &got).code() == Code::kCorruption);
  }
  REQUIRE(DecodePublication(item.substr(0, head), &got).ok());
  CHECK(got.message.empty());
  std::string other = item;
  other[0] = 2;
  CHECK(DecodePublication(other, &got).code() == Code::kUnsupported);
  other = item;
  other[1] = 2;
  CHECK(DecodePublication(other, &got).code() == Code::kCorruption);
  // A length beyond the end, and one that is written longer than needed.
  other = item;
  other[2] = 100;
  CHECK(DecodePublication(other, &got).code() == Code::kCorruption);
  CHECK(DecodePublication(std::string("\x01\x00\x80\x00", 4), &got).code() == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::replica
