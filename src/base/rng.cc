#include "base/rng.h"

#include <sys/random.h>

namespace holdfast {

uint64_t RandomSeed() {
  uint64_t seed = 0;
  const ssize_t n = getrandom(&seed, sizeof seed, 0);
  CHECK_MSG(n == static_cast<ssize_t>(sizeof seed), "getrandom gave no randomness");
  return seed;
}

}  // namespace holdfast
