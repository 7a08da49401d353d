#include "commands/bits.h"

#include <string>
#include <vector>

#include "base/rng.h"
#include "bench.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

bool BitOf(const std::string& bytes, uint64_t i) {
  return ((static_cast<unsigned char>(bytes[i >> 3]) >> (7 - (i & 7))) & 1) != 0;
}

std::string RandomBytes(Rng* rng, size_t size) {
  // Long runs of equal bytes, which the word-wise loops skip.
  std::string bytes(size, rng->Chance(1, 2) ? '\0' : '\xff');
  for (uint64_t i = rng->Below(4); i-- > 0 && size > 0;) {
    bytes[rng->Below(size)] = static_cast<char>(rng->Next());
  }
  return bytes;
}

TEST_CASE("counting and finding bits, against a loop over bits") {
  Rng rng(3);
  for (int round = 0; round < 20'000; ++round) {
    const std::string bytes = RandomBytes(&rng, 1 + rng.Below(60));
    const uint64_t first = rng.Below(bytes.size() * 8);
    const uint64_t last = first + rng.Below(bytes.size() * 8 - first);
    int64_t ones = 0;
    int64_t found[2] = {-1, -1};
    for (uint64_t i = first; i <= last; ++i) {
      const bool bit = BitOf(bytes, i);
      ones += bit ? 1 : 0;
      if (found[bit] < 0) found[bit] = static_cast<int64_t>(i);
    }
    CHECK(CountOnes(bytes, first, last) == ones);
    CHECK(FindBit(bytes, false, first, last) == found[0]);
    CHECK(FindBit(bytes, true, first, last) == found[1]);
  }
}

TEST_CASE("fields of every type at every shift are read as they were written") {
  Rng rng(4);
  for (int bits = 1; bits <= 64; ++bits) {
    for (const bool is_signed : {false, true}) {
      if (!is_signed && bits == 64) continue;
      const FieldType type{is_signed, bits};
      for (unsigned shift = 0; shift < 8; ++shift) {
        unsigned char window[kFieldWindow];
        for (unsigned char& byte : window) byte = static_cast<unsigned char>(rng.Next());
        unsigned char before[kFieldWindow];
        std::copy(std::begin(window), std::end(window), before);
        int64_t value;
        CHECK(FitField(type, Overflow::kWrap, static_cast<int64_t>(rng.Next()), &value));
        WriteField(window, shift, type, value);
        CHECK(ReadField(window, shift, type) == value);
        // Nothing else has changed.
        for (unsigned i = 0; i < 8 * kFieldWindow; ++i) {
          if (i >= shift && i < shift + static_cast<unsigned>(bits)) continue;
          const unsigned mask = 1u << (7 - (i & 7));
          CHECK((window[i >> 3] & mask) == (before[i >> 3] & mask));
        }
      }
    }
  }
}

TEST_CASE("what doesn't fit a field wraps, saturates or fails") {
  const FieldType i8{true, 8};
  const FieldType u8{false, 8};
  const FieldType i64{true, 64};
  const FieldType i1{true, 1};
  struct Row {
    FieldType type;
    int64_t value;
    int64_t by;
    int64_t wrapped;
    int64_t saturated;
  };
  const Row rows[] = {
      {i8, 127, 1, -128, 127},
      {i8, -128, -1, 127, -128},
      {i8, 100, 1000, 76, 127},
      {u8, 255, 1, 0, 255},
      {u8, 0, -1, 255, 0},
      {u8, 3, INT64_MIN, 3, 0},
      {i64, INT64_MAX, 1, INT64_MIN, INT64_MAX},
      {i64, INT64_MIN, -1, INT64_MAX, INT64_MIN},
      {i1, -1, -1, 0, -1},
      {i1, 0, 1, -1, 0},
  };
  for (const Row& row : rows) {
    int64_t sum;
    CHECK(AddToField(row.type, Overflow::kWrap, row.value, row.by, &sum));
    CHECK(sum == row.wrapped);
    CHECK(AddToField(row.type, Overflow::kSaturate, row.value, row.by, &sum));
    CHECK(sum == row.saturated);
    CHECK_FALSE(AddToField(row.type, Overflow::kFail, row.value, row.by, &sum));
    CHECK(AddToField(row.type, Overflow::kFail, row.value, 0, &sum));
    CHECK(sum == row.value);
  }
  int64_t fitted;
  CHECK(FitField(u8, Overflow::kSaturate, -1, &fitted));
  CHECK(fitted == 255);
  CHECK(FitField(i8, Overflow::kSaturate, INT64_MIN, &fitted));
  CHECK(fitted == -128);
  CHECK_FALSE(FitField(u8, Overflow::kFail, -1, &fitted));
}

TEST_CASE("types of fields") {
  FieldType type;
  CHECK(ParseFieldType("i64", &type));
  CHECK(type == FieldType{true, 64});
  CHECK(ParseFieldType("u63", &type));
  CHECK(type == FieldType{false, 63});
  for (const char* bad : {"", "i", "u64", "i65", "i0", "u-1", "x8", "I8", "u08", "i 8"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseFieldType(bad, &type));
  }
}

TEST_CASE("BITOP of strings of different lengths, against a loop over bytes") {
  Bench bench;
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> sources;
    std::vector<std::string_view> request;
    const size_t count = 1 + rng.Below(4);
    size_t longest = 0;
    for (size_t i = 0; i < count; ++i) {
      sources.push_back(RandomBytes(&rng, rng.Below(40)));
      longest = std::max(longest, sources[i].size());
      const std::string name = "s" + std::to_string(i);
      if (sources[i].empty()) {
        bench.Run({"DEL", name});
      } else {
        bench.Run({"SET", name, sources[i]});
      }
    }
    const uint64_t operation = rng.Below(count == 1 ? 4 : 3);
    static constexpr std::string_view kNames[] = {"AND", "OR", "XOR", "NOT"};
    static constexpr std::string_view kSources[] = {"s0", "s1", "s2", "s3"};
    request = {"BITOP", kNames[operation], rng.Chance(1, 3) ? "s0" : "target"};
    for (size_t i = 0; i < count; ++i) request.push_back(kSources[i]);
    std::string expected;
    for (size_t i = 0; i < longest; ++i) {
      int byte = i < sources[0].size() ? sources[0][i] : 0;
      if (operation == 3) byte = ~byte;
      for (size_t s = 1; s < count; ++s) {
        const int other = i < sources[s].size() ? sources[s][i] : 0;
        byte = operation == 0 ? byte & other : operation == 1 ? byte | other : byte ^ other;
      }
      expected.push_back(static_cast<char>(byte));
    }
    CHECK(bench.Run(request) == std::to_string(longest));
    CHECK(bench.Ask({"GET", request[2]}).string == expected);
    CHECK(bench.Run({"EXISTS", request[2]}) == (longest == 0 ? "0" : "1"));
  }
  CHECK(bench.Do("BITOP NOT t a b") ==
        "(error) ERR BITOP NOT must be called with a single source key.");
  CHECK(bench.Do("BITOP NAND t a b") == "(error) ERR syntax error");
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("a bit that is set already is no change") {
  Bench bench;
  CHECK(bench.Do("SETBIT k 0 0") == "0");
  CHECK(bench.Do("BITFIELD f SET i5 0 11") == "[0]");
  const uint64_t effects = bench.effects();
  CHECK(bench.Do("SETBIT k 0 0") == "0");
  CHECK(bench.Do("BITFIELD f SET i5 0 11") == "[11]");
  CHECK(bench.effects() == effects);
  CHECK(bench.Do("SETBIT k 0 1") == "0");
  CHECK(bench.Do("BITFIELD f INCRBY i5 0 1") == "[12]");
  CHECK(bench.effects() == effects + 2);
  CHECK(bench.Do("SETBIT k 100 0") == "0");
  CHECK(bench.Do("STRLEN k") == "13");
  CHECK(bench.effects() == effects + 3);
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("one BITFIELD is one change, in the order of its operations") {
  Bench bench;
  CHECK(bench.Do("BITFIELD k SET u8 0 1 INCRBY u8 0 5 GET u8 0 SET u8 #100 9 GET u8 #100") ==
        "[0, 6, 6, 0, 9]");
  CHECK(bench.Do("GETREV k") != "nil");
  CHECK(bench.Do("STRLEN k") == "101");
  CHECK(bench.Do("BITFIELD k OVERFLOW FAIL INCRBY u8 0 250 INCRBY u8 #200 1000") == "[nil, nil]");
  CHECK(bench.Do("STRLEN k") == "101");
  CHECK(bench.Do("BITFIELD missing OVERFLOW FAIL INCRBY u8 0 1000") == "[nil]");
  CHECK(bench.Do("EXISTS missing") == "0");
  CHECK(bench.Do("BITFIELD k") == "[]");
  CHECK(bench.Do("BITFIELD missing GET u8 0") == "[0]");
  CHECK(bench.Do("BITFIELD_RO k GET u8 0") == "[6]");
  CHECK(bench.Do("BITFIELD_RO k SET u8 0 1") ==
        "(error) ERR BITFIELD_RO only supports the GET subcommand");
  CHECK(bench.Do("BITFIELD k SET u64 0 1") ==
        "(error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
        "supported but i64 is.");
  for (const char* bad : {"-1", "x", "#-1", "#x", "4294967296", "#9223372036854775807"}) {
    CHECK(bench.Run({"BITFIELD", "k", "GET", "u8", bad}) ==
          "(error) ERR bit offset is not an integer or out of range");
  }
  CHECK(bench.FollowerAgrees());
}

TEST_CASE("BITCOUNT and BITPOS in bytes and bits") {
  Bench bench;
  CHECK(bench.Run({"SET", "k", "foobar"}) == "OK");
  CHECK(bench.Do("BITCOUNT k") == "26");
  CHECK(bench.Do("BITCOUNT k 1 1") == "6");
  CHECK(bench.Do("BITCOUNT k 5 30 BIT") == "17");
  CHECK(bench.Do("BITCOUNT k -2 -3") == "0");
  CHECK(bench.Do("BITCOUNT k 0 4294967296") == "26");
  CHECK(bench.Do("BITCOUNT k 0") == "(error) ERR syntax error");
  CHECK(bench.Do("BITCOUNT k 0 1 hello") == "(error) ERR syntax error");
  CHECK(bench.Run({"SET", "ones", "\xff\xff\xff"}) == "OK");
  CHECK(bench.Do("BITPOS ones 0") == "24");
  CHECK(bench.Do("BITPOS ones 0 1") == "24");
  CHECK(bench.Do("BITPOS ones 0 0 -1") == "-1");
  CHECK(bench.Do("BITPOS ones 1 9 12 BIT") == "9");
  CHECK(bench.Do("BITPOS missing 0") == "0");
  CHECK(bench.Do("BITPOS missing 1") == "-1");
  CHECK(bench.Do("BITPOS ones 2") == "(error) ERR The bit argument must be 1 or 0.");
  CHECK(bench.Do("SETBIT k 4294967296 1") ==
        "(error) ERR bit offset is not an integer or out of range");
  CHECK(bench.Do("SETBIT k 0 2") == "(error) ERR bit is not an integer or out of range");
}

}  // namespace
}  // namespace holdfast::commands
