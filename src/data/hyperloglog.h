// HyperLogLog: an estimate of how many different elements were added, in a string of Redis's form,
// so that values move between the two.
//
//   "HYLL" | u8 encoding (0 dense, 1 sparse) | 3 bytes 0 | cardinality, 8 bytes LE, or, with its
//   highest bit set, to be counted anew | registers
//
// An element's hash chooses one of 16384 registers and gives it a rank, 1 to 51; a register keeps
// the highest rank it has seen. Dense: 6 bits for each register, the lowest bits of a byte first.
// Sparse: runs of equal registers, in order:
//
//   00nnnnnn            n + 1 registers of 0
//   01nnnnnn nnnnnnnn   n + 1 registers of 0, n big-endian
//   1vvvvvnn            n + 1 registers of v + 1
//
// The estimate is that of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
// (2017), algorithm 6. Pure functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::data {

inline constexpr size_t kHllRegisters = 16384;
using HllRegisters = std::array<uint8_t, kHllRegisters>;

// What an element does: register `index` becomes at least `rank`.
struct HllUpdate {
  uint32_t index = 0;
  uint8_t rank = 0;
};
HllUpdate HllUpdateOf(std::string_view element);

// Whether a string says that it is one: its registers may still be damaged.
[[nodiscard]] bool IsHyperLogLog(std::string_view value);
// REQUIRES, for these: IsHyperLogLog.
[[nodiscard]] bool IsSparseHll(std::string_view value);
// The cardinality that the value carries; nullopt when it has to be counted.
std::optional<uint64_t> HllCachedCount(std::string_view value);
// Raises `registers` to those of the value. False when it is damaged.
[[nodiscard]] bool MergeHll(std::string_view value, HllRegisters* registers);
// The runs of a sparse one as Redis's PFDEBUG DECODE shows them; nullopt when it is damaged.
std::optional<std::string> DescribeSparseHll(std::string_view value);

// What is behind the first 8 bytes of a value with a cardinality, and of one without.
std::string EncodeHllCount(std::optional<uint64_t> count);
inline constexpr size_t kHllCountAt = 8;

// A value with these registers: sparse when that may be and takes at most `sparse_max_bytes` of
// runs. Without `count` it is to be counted.
std::string EncodeHll(const HllRegisters& registers, bool may_be_sparse, size_t sparse_max_bytes,
                      std::optional<uint64_t> count);
uint64_t EstimateHll(const HllRegisters& registers);

// Adds to a sparse value, in time that depends on its length only. False when it is damaged.
// *changed: whether a register has. Becomes dense when it has to.
[[nodiscard]] bool AddToSparseHll(const std::vector<HllUpdate>& updates, size_t sparse_max_bytes,
                                  std::string* value, bool* changed);

// Of a dense value: a register, and the bytes around it as they are with another one.
struct HllPatch {
  size_t offset = 0;
  std::string bytes;
};
uint8_t DenseHllRegister(std::string_view value, uint32_t index);
HllPatch PatchDenseHll(std::string_view value, HllUpdate update);

}  // namespace holdfast::data
