// The process's limit of open files. Clients mustn't get the descriptors that log and stores need:
// when these get none, the process ends. So no more clients are let in than there is room for
// beside everything else.
#pragma once

#include <cstdint>

namespace holdfast::engine {

struct Config;

// Raises the limit as far as `config`'s maxclients need it and the system allows it without
// privileges, and says how many clients fit then: maxclients, or fewer, or none (0 or negative).
// Any thread, one call at a time.
int64_t ClientsThatFit(const Config& config);

}  // namespace holdfast::engine
