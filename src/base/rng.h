// A small, fast, seedable random number generator (SplitMix64). Not for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"

namespace holdfast {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // Uniform in [0, n). REQUIRES: n > 0.
  uint64_t Below(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    CHECK(n > 0);
    return static_cast<uint64_t>((static_cast<Wide>(Next()) * n) >> 64);
  }

  // True with probability `numerator` / `denominator`.
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }

 private:
  uint64_t state_;
};

// 64 bits from the operating system, for seeds and ids. Any thread.
uint64_t RandomSeed();

// `n` bytes from the operating system that nobody can guess: for nonces. Any thread.
// REQUIRES: n <= 256 (more might come in pieces).
std::string RandomBytes(size_t n);

}  // namespace holdfast
