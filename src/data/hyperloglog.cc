#include "data/hyperloglog.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::data {
namespace {

constexpr std::string_view kHllMagic = "HYLL";
constexpr size_t kHllEncodingAt = 4;
constexpr size_t kHllHeader = 16;
constexpr char kHllDense = 0;
constexpr char kHllSparse = 1;
constexpr int kHllIndexBits = 14;
constexpr int kHllRankBits = 64 - kHllIndexBits;  // of a hash; ranks go up to one more
constexpr int kHllRegisterBits = 6;
constexpr size_t kHllDenseBytes = kHllRegisters * kHllRegisterBits / 8;
constexpr uint64_t kHllMustCount = uint64_t{1} << 63;
constexpr uint64_t kHllSeed = 0xadc83b19;

constexpr uint8_t kMaxSparseRank = 32;
constexpr size_t kMaxShortZeros = 64;
constexpr size_t kMaxRankRun = 4;

// MurmurHash64A of A. Appleby, as on a little-endian machine: the hash is a part of the format.
uint64_t HllHash(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  uint64_t hash = kHllSeed ^ (bytes.size() * kMultiplier);
  while (bytes.size() >= 8) {
    uint64_t block = LoadFixed64(bytes.data()) * kMultiplier;
    block = (block ^ (block >> kShift)) * kMultiplier;
    hash = (hash ^ block) * kMultiplier;
    bytes.remove_prefix(8);
  }
  if (!bytes.empty()) {
    uint64_t rest = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      rest |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    hash = (hash ^ rest) * kMultiplier;
  }
  hash = (hash ^ (hash >> kShift)) * kMultiplier;
  return hash ^ (hash >> kShift);
}

// Registers of equal rank next to each other.
struct HllRun {
  uint8_t rank = 0;
  uint32_t length = 0;
};

void AppendRun(std::vector<HllRun>* runs, uint8_t rank, uint32_t length) {
  if (length == 0) return;
  if (!runs->empty() && runs->back().rank == rank) {
    runs->back().length += length;
  } else {
    runs->push_back({rank, length});
  }
}

// Calls `visit` for each operation of a sparse value, in order. False when they aren't exactly all
// registers.
template <typename Visit>
bool ForEachSparse(std::string_view value, const Visit& visit) {
  size_t registers = 0;
  for (size_t i = kHllHeader; i < value.size(); ++i) {
    const auto byte = static_cast<unsigned char>(value[i]);
    HllRun run;
    bool is_long = false;
    if ((byte & 0x80) != 0) {
      run = {static_cast<uint8_t>(((byte >> 2) & 0x1f) + 1), (byte & 3u) + 1};
    } else if ((byte & 0x40) != 0) {
      if (++i == value.size()) return false;
      run.length = ((byte & 0x3fu) << 8 | static_cast<unsigned char>(value[i])) + 1;
      is_long = true;
    } else {
      run.length = (byte & 0x3fu) + 1;
    }
    registers += run.length;
    if (registers > kHllRegisters) return false;
    visit(run, is_long);
  }
  return registers == kHllRegisters;
}

bool ReadRuns(std::string_view value, std::vector<HllRun>* runs) {
  return ForEachSparse(value, [runs](HllRun run, bool) { AppendRun(runs, run.rank, run.length); });
}

std::string HllHeader(char encoding, std::optional<uint64_t> count) {
  std::string header(kHllMagic);
  header.push_back(encoding);
  header.append(3, '\0');
  return header + EncodeHllCount(count);
}

// nullopt when a rank is too high, or it takes more than `max_bytes`.
std::optional<std::string> EncodeSparse(const std::vector<HllRun>& runs, size_t max_bytes,
                                        std::optional<uint64_t> count) {
  std::string value = HllHeader(kHllSparse, count);
  for (HllRun run : runs) {
    if (run.rank > kMaxSparseRank) return std::nullopt;
    if (run.rank == 0 && run.length > kMaxShortZeros) {
      const uint32_t length = run.length - 1;
      value.push_back(static_cast<char>(0x40 | (length >> 8)));
      value.push_back(static_cast<char>(length & 0xff));
    } else if (run.rank == 0) {
      value.push_back(static_cast<char>(run.length - 1));
    } else {
      for (uint32_t left = run.length; left > 0;) {
        const uint32_t length = std::min<uint32_t>(left, kMaxRankRun);
        value.push_back(static_cast<char>(0x80 | (run.rank - 1) << 2 | (length - 1)));
        left -= length;
      }
    }
    if (value.size() > kHllHeader + max_bytes) return std::nullopt;
  }
  return value;
}

std::string EncodeDense(const HllRegisters& registers, std::optional<uint64_t> count) {
  std::string value = HllHeader(kHllDense, count);
  value.reserve(kHllHeader + kHllDenseBytes);
  // Four registers are three bytes.
  for (size_t i = 0; i < kHllRegisters; i += 4) {
    const uint32_t four = registers[i] | registers[i + 1] << 6 | registers[i + 2] << 12 |
                          static_cast<uint32_t>(registers[i + 3]) << 18;
    value.push_back(static_cast<char>(four & 0xff));
    value.push_back(static_cast<char>(four >> 8 & 0xff));
    value.push_back(static_cast<char>(four >> 16));
  }
  return value;
}

// The paper's sigma and tau: what registers of 0, and of the highest rank, stand for.
double ErtlSigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double factor = 1;
  double sum = x;
  double before;
  do {
    x *= x;
    before = sum;
    sum += x * factor;
    factor += factor;
  } while (sum != before);
  return sum;
}

double ErtlTau(double x) {
  if (x == 0 || x == 1) return 0;
  double factor = 1;
  double sum = 1 - x;
  double before;
  do {
    x = std::sqrt(x);
    before = sum;
    factor *= 0.5;
    sum -= (1 - x) * (1 - x) * factor;
  } while (sum != before);
  return sum / 3;
}

// Raises registers of runs to those of updates, which are sorted by index. Returns whether one
// changed.
bool RaiseRuns(const std::vector<HllUpdate>& updates, std::vector<HllRun>* runs) {
  std::vector<HllRun> raised;
  raised.reserve(runs->size() + 2 * updates.size());
  bool changed = false;
  size_t next = 0;
  uint32_t begin = 0;
  for (const HllRun& run : *runs) {
    const uint32_t end = begin + run.length;
    uint32_t at = begin;
    while (next < updates.size() && updates[next].index < end) {
      // Several elements may mean the same register.
      const uint32_t index = updates[next].index;
      uint8_t rank = run.rank;
      for (; next < updates.size() && updates[next].index == index; ++next) {
        rank = std::max(rank, updates[next].rank);
      }
      AppendRun(&raised, run.rank, index - at);
      AppendRun(&raised, rank, 1);
      changed |= rank != run.rank;
      at = index + 1;
    }
    AppendRun(&raised, run.rank, end - at);
    begin = end;
  }
  *runs = std::move(raised);
  return changed;
}

}  // namespace

HllUpdate HllUpdateOf(std::string_view element) {
  const uint64_t hash = HllHash(element);
  // The rank is where the first one is among the bits above the index; there is one at the end.
  const uint64_t bits = hash >> kHllIndexBits | uint64_t{1} << kHllRankBits;
  return {static_cast<uint32_t>(hash & (kHllRegisters - 1)),
          static_cast<uint8_t>(std::countr_zero(bits) + 1)};
}

bool IsHyperLogLog(std::string_view value) {
  if (value.size() < kHllHeader || !value.starts_with(kHllMagic)) return false;
  if (value[kHllEncodingAt] == kHllSparse) return true;
  return value[kHllEncodingAt] == kHllDense && value.size() == kHllHeader + kHllDenseBytes;
}

bool IsSparseHll(std::string_view value) { return value[kHllEncodingAt] == kHllSparse; }

std::optional<uint64_t> HllCachedCount(std::string_view value) {
  const uint64_t count = LoadFixed64(value.data() + kHllCountAt);
  if ((count & kHllMustCount) != 0) return std::nullopt;
  return count;
}

std::string EncodeHllCount(std::optional<uint64_t> count) {
  std::string bytes;
  AppendFixed64(&bytes, count.value_or(kHllMustCount));
  return bytes;
}

uint8_t DenseHllRegister(std::string_view value, uint32_t index) {
  const size_t bit = size_t{index} * kHllRegisterBits;
  const size_t at = kHllHeader + bit / 8;
  uint32_t two = static_cast<unsigned char>(value[at]);
  if (at + 1 < value.size())
    two |= static_cast<uint32_t>(static_cast<unsigned char>(value[at + 1])) << 8;
  return two >> (bit % 8) & 0x3f;
}

HllPatch PatchDenseHll(std::string_view value, HllUpdate update) {
  const size_t bit = size_t{update.index} * kHllRegisterBits;
  HllPatch patch{.offset = kHllHeader + bit / 8, .bytes = {}};
  patch.bytes = value.substr(patch.offset, 2);
  uint32_t two = static_cast<unsigned char>(patch.bytes[0]);
  if (patch.bytes.size() > 1) {
    two |= static_cast<uint32_t>(static_cast<unsigned char>(patch.bytes[1])) << 8;
  }
  two &= ~(0x3fu << bit % 8);
  two |= static_cast<uint32_t>(update.rank) << bit % 8;
  patch.bytes[0] = static_cast<char>(two & 0xff);
  if (patch.bytes.size() > 1) patch.bytes[1] = static_cast<char>(two >> 8);
  return patch;
}

bool MergeHll(std::string_view value, HllRegisters* registers) {
  if (!IsSparseHll(value)) {
    for (uint32_t i = 0; i < kHllRegisters; ++i) {
      (*registers)[i] = std::max((*registers)[i], DenseHllRegister(value, i));
    }
    return true;
  }
  uint32_t begin = 0;
  return ForEachSparse(value, [registers, &begin](HllRun run, bool) {
    for (uint32_t i = begin; run.rank > 0 && i < begin + run.length; ++i) {
      (*registers)[i] = std::max((*registers)[i], run.rank);
    }
    begin += run.length;
  });
}

std::optional<std::string> DescribeSparseHll(std::string_view value) {
  std::string text;
  const bool whole = ForEachSparse(value, [&text](HllRun run, bool is_long) {
    if (!text.empty()) text += ' ';
    if (run.rank > 0) {
      text += "v:" + std::to_string(run.rank) + "," + std::to_string(run.length);
    } else {
      text += (is_long ? "Z:" : "z:") + std::to_string(run.length);
    }
  });
  if (!whole) return std::nullopt;
  return text;
}

std::string EncodeHll(const HllRegisters& registers, bool may_be_sparse, size_t sparse_max_bytes,
                      std::optional<uint64_t> count) {
  if (may_be_sparse) {
    std::vector<HllRun> runs;
    for (const uint8_t rank : registers) AppendRun(&runs, rank, 1);
    std::optional<std::string> sparse = EncodeSparse(runs, sparse_max_bytes, count);
    if (sparse.has_value()) return *std::move(sparse);
  }
  return EncodeDense(registers, count);
}

uint64_t EstimateHll(const HllRegisters& registers) {
  constexpr double kAlphaInfinity = 0.7213475204444817;  // 1 / (2 ln 2)
  constexpr double kCount = kHllRegisters;
  std::array<uint32_t, kHllRankBits + 2> of_rank{};
  for (const uint8_t rank : registers) {
    // A damaged value may have higher ones.
    ++of_rank[std::min<size_t>(rank, of_rank.size() - 1)];
  }
  double sum = kCount * ErtlTau((kCount - of_rank[kHllRankBits + 1]) / kCount);
  for (int rank = kHllRankBits; rank >= 1; --rank) {
    sum = (sum + of_rank[static_cast<size_t>(rank)]) * 0.5;
  }
  sum += kCount * ErtlSigma(of_rank[0] / kCount);
  return static_cast<uint64_t>(std::llround(kAlphaInfinity * kCount * kCount / sum));
}

bool AddToSparseHll(const std::vector<HllUpdate>& updates, size_t sparse_max_bytes,
                    std::string* value, bool* changed) {
  CHECK(IsSparseHll(*value));
  std::vector<HllRun> runs;
  if (!ReadRuns(*value, &runs)) return false;
  std::vector<HllUpdate> sorted = updates;
  std::sort(sorted.begin(), sorted.end(),
            [](const HllUpdate& a, const HllUpdate& b) { return a.index < b.index; });
  *changed = RaiseRuns(sorted, &runs);
  if (!*changed) return true;
  std::optional<std::string> sparse = EncodeSparse(runs, sparse_max_bytes, std::nullopt);
  if (sparse.has_value()) {
    *value = *std::move(sparse);
    return true;
  }
  HllRegisters registers{};
  size_t at = 0;
  for (const HllRun& run : runs) {
    std::fill_n(registers.begin() + static_cast<ptrdiff_t>(at), run.length, run.rank);
    at += run.length;
  }
  *value = EncodeDense(registers, std::nullopt);
  return true;
}

}  // namespace holdfast::data
