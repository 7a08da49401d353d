#include "base/numbers.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::string Printf17(double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.17g", value);
  return buffer;
}

TEST_CASE("integers are read in their canonical form only") {
  int64_t v = 0;
  for (const std::string_view text : {"0", "7", "-1", "10", "9223372036854775807",
                                      "-9223372036854775808", "1000000000000000000"}) {
    INFO(text);
    CHECK(ParseInt64(text, &v));
    CHECK(std::to_string(v) == text);
  }
  v = 99;
  for (const std::string_view text : {"",
                                      "-",
                                      "+1",
                                      "-0",
                                      "00",
                                      "01",
                                      "-01",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "--1",
                                      "a",
                                      "1a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "1\n",
                                      "000000000000000000001"}) {
    INFO(text);
    CHECK_FALSE(ParseInt64(text, &v));
  }
  CHECK_FALSE(ParseInt64(std::string_view("1\0", 2), &v));
  CHECK(v == 99);  // untouched by what was refused
}

TEST_CASE("unsigned integers") {
  uint64_t v = 0;
  CHECK(ParseUint64("18446744073709551615", &v));
  CHECK(v == UINT64_MAX);
  CHECK(ParseUint64("0", &v));
  CHECK(v == 0);
  for (const std::string_view text : {"", "-1", "-0", "+1", "01", "18446744073709551616", "1 "}) {
    INFO(text);
    CHECK_FALSE(ParseUint64(text, &v));
  }
}

TEST_CASE("integers are printed as std::to_string prints them") {
  char buffer[20];
  Rng rng(4);
  std::vector<int64_t> numbers = {0, 1, -1, 9, 10, 99, 100, INT64_MAX, INT64_MIN};
  for (int i = 0; i < 1000; ++i)
    numbers.push_back(static_cast<int64_t>(rng.Next() >> rng.Below(64)));
  for (const int64_t n : numbers) {
    CHECK(std::string(buffer, FormatInt64(n, buffer)) == std::to_string(n));
  }
}

TEST_CASE("floating-point numbers are read whole, without blanks and NaN") {
  double d = 0;
  long double ld = 0;
  const auto reads = [&](std::string_view text) {
    const bool as_double = ParseDouble(text, &d);
    CHECK(ParseLongDouble(text, &ld) == as_double);
    return as_double;
  };
  CHECK(reads("3.25"));
  CHECK(d == 3.25);
  CHECK(ld == 3.25L);
  CHECK(reads("-1e3"));
  CHECK(d == -1000);
  CHECK(reads("+5"));
  CHECK(reads(".5"));
  CHECK(reads("5."));
  CHECK(reads("0x1p4"));  // strtod's forms, as in Redis
  CHECK(d == 16);
  CHECK(reads("inf"));
  CHECK(d == kInf);
  CHECK(reads("-Infinity"));
  CHECK(d == -kInf);
  for (const std::string_view text : {"", " 1", "1 ", "\t1", "nan", "-nan", "NAN(1)", "1.2.3",
                                      "abc", "1e", "--1", "1,5", "e5", "."}) {
    INFO(text);
    CHECK_FALSE(reads(text));
  }
  CHECK_FALSE(reads(std::string_view("1\0", 2)));
  CHECK_FALSE(reads(std::string_view("1\0002", 3)));
  CHECK_FALSE(reads(std::string(6000, '1')));
}

TEST_CASE("floating-point numbers out of range") {
  double d = 5;
  long double ld = 5;
  CHECK_FALSE(ParseDouble("1e400", &d));
  CHECK_FALSE(ParseDouble("-1e400", &d));
  CHECK_FALSE(ParseDouble("1e-400", &d));
  CHECK(d == 5);
  CHECK(ParseDouble("4.9e-324", &d));  // the smallest denormal is still a number
  CHECK(d > 0);
  CHECK(ParseLongDouble("1e400", &ld));
  CHECK_FALSE(ParseLongDouble("1e5000", &ld));
  CHECK_FALSE(ParseLongDouble("1e-5000", &ld));
}

TEST_CASE("doubles are printed like printf's %.17g") {
  CHECK(FormatDouble(0.1) == "0.10000000000000001");
  CHECK(FormatDouble(3) == "3");
  CHECK(FormatDouble(-0.0) == "-0");
  CHECK(FormatDouble(0.0) == "0");
  CHECK(FormatDouble(1e16) == "10000000000000000");
  CHECK(FormatDouble(1e17) == "1e+17");
  CHECK(FormatDouble(kInf) == "inf");
  CHECK(FormatDouble(-kInf) == "-inf");
  CHECK(FormatDouble(std::nan("")) == "nan");
  CHECK(FormatDouble(-std::nan("")) == "nan");

  std::vector<double> numbers = {1e17 - 16,
                                 99999999999999984.0,
                                 -1e17,
                                 123456.5,
                                 1e-5,
                                 0.0001,
                                 std::numeric_limits<double>::max(),
                                 std::numeric_limits<double>::lowest(),
                                 std::numeric_limits<double>::min(),
                                 std::numeric_limits<double>::denorm_min()};
  Rng rng(5);
  for (int i = 0; i < 50'000; ++i) {
    const uint64_t bits = rng.Next();
    double any;
    std::memcpy(&any, &bits, sizeof any);
    if (!std::isnan(any)) numbers.push_back(any);
    numbers.push_back(static_cast<double>(static_cast<int64_t>(bits) >> rng.Below(64)));
    numbers.push_back(static_cast<double>(rng.Below(1'000'000)) / 100);
  }
  for (const double n : numbers) {
    char buffer[kMaxDoubleText];
    const size_t length = FormatDouble(n, buffer);
    REQUIRE(length <= sizeof buffer);
    REQUIRE(std::string(buffer, length) == Printf17(n));
    REQUIRE(FormatDouble(n) == Printf17(n));
  }
}

// The first ones are the examples in the documentation of INCRBYFLOAT.
TEST_CASE("long doubles are printed for people") {
  CHECK(FormatLongDouble(3.0L) == "3");
  CHECK(FormatLongDouble(10.5L + 0.1L) == "10.6");
  CHECK(FormatLongDouble(5.0e3L + 2.0e2L) == "5200");
  CHECK(FormatLongDouble(-0.0L) == "0");
  CHECK(FormatLongDouble(-1e-20L) == "0");
  CHECK(FormatLongDouble(0.1L) == "0.1");
  CHECK(FormatLongDouble(1e20L) == "100000000000000000000");
  CHECK(FormatLongDouble(1.0L / 3) == "0.33333333333333333");
  CHECK(FormatLongDouble(100.0L) == "100");
  CHECK(FormatLongDouble(std::numeric_limits<long double>::infinity()) == "inf");
  CHECK(FormatLongDouble(-std::numeric_limits<long double>::infinity()) == "-inf");
  CHECK(FormatLongDouble(std::numeric_limits<long double>::max()).size() == 4933);
}

TEST_CASE("sizes with units") {
  uint64_t bytes = 0;
  const auto size = [&](std::string_view text) {
    REQUIRE(ParseMemorySize(text, &bytes));
    return bytes;
  };
  CHECK(size("0") == 0);
  CHECK(size("123") == 123);
  CHECK(size("1b") == 1);
  CHECK(size("1k") == 1000);
  CHECK(size("1kb") == 1024);
  CHECK(size("2M") == 2'000'000);
  CHECK(size("2MB") == 2'097'152);
  CHECK(size("3g") == 3'000'000'000);
  CHECK(size("3Gb") == 3'221'225'472);
  CHECK(size("18446744073709551615") == UINT64_MAX);
  for (const std::string_view text : {"", "k", "-1", "1 kb", "1tb", "1.5g", "1kbb",
                                      "18446744073709551616", "18446744073709551615k"}) {
    INFO(text);
    CHECK_FALSE(ParseMemorySize(text, &bytes));
  }
}

TEST_CASE("ASCII case") {
  CHECK(ToLower("GeT-1\xc4[") == "get-1\xc4[");
  CHECK(ToUpper("GeT-1\xe4{") == "GET-1\xe4{");
  CHECK(EqualsIgnoreCase("", ""));
  CHECK(EqualsIgnoreCase("Px", "pX"));
  CHECK_FALSE(EqualsIgnoreCase("px", "pxx"));
  CHECK_FALSE(EqualsIgnoreCase("@", "`"));
  CHECK_FALSE(EqualsIgnoreCase("\xc4", "\xe4"));
}

}  // namespace
}  // namespace holdfast
