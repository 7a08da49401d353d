#include "data/listpack.h"

#include <string>
#include <vector>

#include "base/bytes.h"

#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

// A listpack of entries that are encoded already.
std::string Listpack(const std::vector<std::string>& entries) {
  std::string body;
  for (const std::string& entry : entries) body += entry;
  std::string out;
  AppendFixed32(&out, static_cast<uint32_t>(body.size() + 7));
  out.push_back(static_cast<char>(entries.size()));
  out.push_back(0);
  return out + body + '\xff';
}

// An encoding with the length of a short entry behind it.
std::string Entry(const std::string& bytes) { return bytes + static_cast<char>(bytes.size()); }

TEST_CASE("every form of an entry is read") {
  std::vector<std::string> read;
  REQUIRE(ReadListpack(Listpack({}), &read));
  CHECK(read.empty());
  REQUIRE(ReadListpack(
      Listpack({Entry("\x7f"),
                Entry("\x83"
                      "abc"),
                Entry(std::string("\xc1\x00", 2)), Entry("\xdf\xff"), Entry("\xe0\x02xy"),
                Entry("\xf1\xff\x7f"), Entry(std::string("\xf2\x00\x00\x80", 4)),
                Entry("\xf3\xff\xff\xff\xff"),
                Entry(std::string("\xf4\x00\x00\x00\x00\x00\x00\x00\x80", 9)),
                Entry(std::string("\xf0\x01\x00\x00\x00z", 6))}),
      &read));
  CHECK(read == std::vector<std::string>{"127", "abc", "256", "-1", "xy", "32767", "-8388608", "-1",
                                         "-9223372036854775808", "z"});
  // Longer entries have longer lengths behind them.
  const std::string long_bytes(300, 'l');
  REQUIRE(ReadListpack(Listpack({"\xe1\x2c" + long_bytes + "\x02\xae"}), &read));
  CHECK(read == std::vector<std::string>{long_bytes});
}

TEST_CASE("what is cut, too long or of another size is refused") {
  const std::string whole = Listpack({Entry("\x83"
                                            "abc"),
                                      Entry("\x07"), Entry("\xf1\x01\x02")});
  std::vector<std::string> read;
  REQUIRE(ReadListpack(whole, &read));
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    std::string cut = whole.substr(0, size);
    CHECK(!ReadListpack(cut, &read));
    // The same with a length that claims to be right.
    if (size < 4) continue;
    for (int i = 0; i < 4; ++i) cut[static_cast<size_t>(i)] = static_cast<char>(size >> (8 * i));
    CHECK(!ReadListpack(cut, &read));
  }
  CHECK(!ReadListpack(whole + "x", &read));
  std::string wrong_count = whole;
  wrong_count[4] = 2;
  CHECK(!ReadListpack(wrong_count, &read));
  CHECK(!ReadListpack(Listpack({Entry("\xf5")}), &read));
  CHECK(!ReadListpack(Listpack({std::string("\xf0\xff\xff\xff\x7f"
                                            "abc\x08",
                                            9)}),
                      &read));
}

}  // namespace
}  // namespace holdfast::data
