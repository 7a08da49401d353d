#include "data/hyperloglog.h"

#include "base/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace holdfast::data {
namespace {

constexpr size_t kNoLimit = 2 * kHllRegisters;

std::string Empty(bool sparse) { return EncodeHll(HllRegisters{}, sparse, kNoLimit, 0); }

HllRegisters RegistersOf(const std::string& value) {
  HllRegisters registers{};
  REQUIRE(MergeHll(value, &registers));
  return registers;
}

TEST_CASE("an empty one is what Redis makes of it") {
  // "HYLL", sparse, a valid cardinality of 0, one run of 16384 zeros.
  const std::string expected = std::string("HYLL\1\0\0\0\0\0\0\0\0\0\0\0", 16) + "\x7f\xff";
  CHECK(Empty(true) == expected);
  CHECK(IsHyperLogLog(expected));
  CHECK(HllCachedCount(expected) == 0);
  CHECK(Empty(false).size() == 16 + 12288);
  CHECK(EstimateHll(RegistersOf(expected)) == 0);
}

TEST_CASE("sparse, dense and plain registers agree") {
  Rng rng(1);
  for (const size_t limit : {size_t{0}, size_t{100}, size_t{3000}, kNoLimit}) {
    HllRegisters model{};
    std::string sparse = Empty(true);
    std::string dense = Empty(false);
    for (int round = 0; round < 300; ++round) {
      std::vector<HllUpdate> updates;
      bool model_changes = false;
      for (uint64_t i = rng.Below(20); i > 0; --i) {
        // Few registers, and ranks that are rarely high, so that runs join and split.
        const HllUpdate update{
            static_cast<uint32_t>(rng.Below(3) == 0 ? rng.Below(kHllRegisters) : rng.Below(64)),
            static_cast<uint8_t>(1 + rng.Below(rng.Below(50) == 0 ? 51 : 4))};
        updates.push_back(update);
        model_changes |= model[update.index] < update.rank;
        model[update.index] = std::max(model[update.index], update.rank);
        if (DenseHllRegister(dense, update.index) < update.rank) {
          const HllPatch patch = PatchDenseHll(dense, update);
          dense.replace(patch.offset, patch.bytes.size(), patch.bytes);
        }
      }
      if (IsSparseHll(sparse)) {
        bool changed = false;
        REQUIRE(AddToSparseHll(updates, limit, &sparse, &changed));
        CHECK(changed == model_changes);
        CHECK((!IsSparseHll(sparse) || sparse.size() <= 16 + std::max<size_t>(limit, 2)));
      } else {
        sparse = EncodeHll(model, false, limit, 0);
      }
      CHECK(RegistersOf(sparse) == model);
      CHECK(RegistersOf(dense) == model);
      CHECK(RegistersOf(EncodeHll(model, true, limit, 5)) == model);
    }
  }
}

TEST_CASE("estimates are within four standard errors") {
  std::string dense = Empty(false);
  uint64_t next = 100;
  for (uint64_t element = 1; element <= 1'000'000; ++element) {
    const HllUpdate update = HllUpdateOf("element:" + std::to_string(element));
    if (DenseHllRegister(dense, update.index) < update.rank) {
      const HllPatch patch = PatchDenseHll(dense, update);
      dense.replace(patch.offset, patch.bytes.size(), patch.bytes);
    }
    if (element != next) continue;
    next *= 10;
    const auto estimate = static_cast<double>(EstimateHll(RegistersOf(dense)));
    const double error = std::abs(estimate / static_cast<double>(element) - 1);
    CHECK(error < 4 * 1.04 / 128);
  }
}

TEST_CASE("damage is found") {
  std::string value = Empty(true);
  bool changed;
  REQUIRE(AddToSparseHll({HllUpdateOf("a"), HllUpdateOf("b")}, kNoLimit, &value, &changed));
  HllRegisters registers{};
  CHECK_FALSE(MergeHll(value + "x", &registers));
  CHECK_FALSE(MergeHll(value.substr(0, value.size() - 1), &registers));
  CHECK_FALSE(MergeHll(value.substr(0, 16), &registers));
  std::string longer = value + "x";
  CHECK_FALSE(AddToSparseHll({HllUpdateOf("c")}, kNoLimit, &longer, &changed));
  CHECK_FALSE(DescribeSparseHll(longer).has_value());
  CHECK(DescribeSparseHll(Empty(true)) == "Z:16384");
  std::string wrong = value;
  wrong[0] = 'h';
  CHECK_FALSE(IsHyperLogLog(wrong));
  wrong = value;
  wrong[4] = 2;
  CHECK_FALSE(IsHyperLogLog(wrong));
  wrong[4] = 0;  // dense, and too short for it
  CHECK_FALSE(IsHyperLogLog(wrong));
  CHECK_FALSE(IsHyperLogLog(value.substr(0, 15)));
}

TEST_CASE("a cardinality that isn't known says so") {
  CHECK_FALSE(HllCachedCount(EncodeHll(HllRegisters{}, true, kNoLimit, std::nullopt)).has_value());
  CHECK(HllCachedCount(EncodeHll(HllRegisters{}, false, 0, 77)) == 77);
}

}  // namespace
}  // namespace holdfast::data
