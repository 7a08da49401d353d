#include "base/hmac.h"

#include <set>
#include <string>
#include <string_view>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    for (const int shift : {4, 0}) {
      hex += "0123456789abcdef"[(static_cast<unsigned char>(c) >> shift) & 15];
    }
  }
  return hex;
}

TEST_CASE("HMAC-SHA256 as RFC 4231 has it") {
  CHECK(Hex(HmacSha256(std::string(20, '\x0b'), "Hi There")) ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(Hex(HmacSha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // A key longer than a block.
  CHECK(Hex(HmacSha256(std::string(131, '\xaa'),
                       "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("an empty key and empty bytes") {
  CHECK(Hex(HmacSha256("", "")) ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  HmacSha256("another key", "bytes");
  CHECK(HmacSha256({}, "bytes") == HmacSha256("", "bytes"));
  CHECK(HmacSha256({}, "bytes") != HmacSha256("another key", "bytes"));
}

TEST_CASE("comparing") {
  CHECK(EqualInConstantTime("", ""));
  CHECK(EqualInConstantTime("same", "same"));
  CHECK(!EqualInConstantTime("same", "samf"));
  CHECK(!EqualInConstantTime("same", "tame"));
  CHECK(!EqualInConstantTime("same", "sam"));
  CHECK(!EqualInConstantTime("", "s"));
}

TEST_CASE("random bytes don't repeat") {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = RandomBytes(32);
    CHECK(bytes.size() == 32);
    CHECK(seen.insert(bytes).second);
  }
  CHECK(RandomBytes(0).empty());
}

}  // namespace
}  // namespace holdfast
