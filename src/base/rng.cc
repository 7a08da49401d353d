#include "base/rng.h"

#include <sys/random.h>

namespace holdfast {

uint64_t RandomSeed() {
  uint64_t seed = 0;
  const ssize_t n = getrandom(&seed, sizeof seed, 0);
  CHECK_MSG(n == static_cast<ssize_t>(sizeof seed), "getrandom gave no randomness");
  return seed;
}

std::string RandomBytes(size_t n) {
  CHECK(n <= 256);
  std::string bytes(n, '\0');
  CHECK_MSG(getrandom(bytes.data(), n, 0) == static_cast<ssize_t>(n), "getrandom gave too little");
  return bytes;
}

}  // namespace holdfast
