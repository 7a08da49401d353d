// Commands of all sorts, to make states of all sorts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"

namespace holdfast::sim {

using Command = std::vector<std::string>;

// A key of that partition: `name` in a hash tag with a number that leads there, one of `different`
// ones.
std::string KeyOf(uint32_t partition, uint32_t partitions, const std::string& name, uint64_t which,
                  uint64_t different);

// A command on keys of one partition, or on databases. Uses databases `first_db` to first_db + 2.
Command RandomCommand(uint32_t partition, uint32_t partitions, uint32_t first_db, Rng* rng);

}  // namespace holdfast::sim
